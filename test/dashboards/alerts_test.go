package dashboardstest_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/dashboards"
	"sextant/dashboards/rules"
	"sextant/sinks/prometheus"
	"sextant/sinks/spool"
	dashboardstest "sextant/test/dashboards"
)

var names = flow.NewInterner()

func name(text string) flow.Name { return names.Name(text) }

// rows are what one scenario writes in one minute.
type rows func(minute int, now time.Time, b *flow.Batch)

// connection returns a connection of a pod to the outside.
func connection(namespace, workload string, family flow.Family, class flow.Class, outcome flow.Outcome) flow.Connection {
	return flow.Connection{
		Cluster: name("lab"), Node: name("node-1"), Family: family, Protocol: flow.TCP, Class: class, Outcome: outcome, Direction: flow.EgressDirection,
		Source:      flow.End{Side: flow.SidePod, Endpoint: names.Endpoint(flow.Endpoint{Namespace: name(namespace), Workload: name(workload)})},
		Destination: flow.End{Side: flow.SideWorld, IP: netip.MustParseAddr("198.51.100.1"), Port: 443},
	}
}

// each returns rows that hold some connections in every minute from a minute on.
func each(from, count int, c flow.Connection) rows {
	return func(minute int, _ time.Time, b *flow.Batch) {
		if minute >= from {
			for range count {
				b.Connections = append(b.Connections, c)
			}
		}
	}
}

func both(list ...rows) rows {
	return func(minute int, now time.Time, b *flow.Batch) {
		for _, f := range list {
			f(minute, now, b)
		}
	}
}

func bucket(used uint32, limit flow.Count, exhausted flow.Count) rows {
	return func(_ int, now time.Time, b *flow.Batch) {
		b.Buckets = append(b.Buckets, flow.Bucket{
			Time: now, Cluster: name("lab"), Service: name("registry-1.docker.io"), Bucket: name("2001:db8:a::/64"), Family: flow.FamilyIPv6, Evidence: flow.BucketObserved,
			Used: used, Limit: limit, WindowSeconds: 21600, SeenSeconds: 21600, ExhaustedIn: exhausted,
		})
	}
}

func known(n uint64) flow.Count { return flow.Count{N: n, Known: true} }

func item(i flow.Item) rows {
	return func(_ int, now time.Time, b *flow.Batch) {
		i.Time, i.Cluster = now, name("lab")
		b.Items = append(b.Items, i)
	}
}

func prefix(used, total uint64) rows {
	return item(flow.Item{Kind: flow.ItemNodePrefix, Family: flow.FamilyIPv4, Prefix: name("10.0.0.0/24"), Name: name("10.0.0.0/24"), Node: name("node-1"), Total: known(total), Used: known(used)})
}

func service(family flow.Family, ready uint64) rows {
	return item(flow.Item{Kind: flow.ItemService, Family: family, Namespace: name("shop"), Name: name("web"), Has: flow.Yes, Used: known(ready), Total: known(2)})
}

func drops(count int) rows {
	return func(_ int, now time.Time, b *flow.Batch) {
		for range count {
			b.Records = append(b.Records, flow.Record{Time: now, Cluster: name("lab"), Node: name("node-1"), Family: flow.FamilyIPv4, DropCode: 191, DropReason: name("SNAT_NO_MAP_FOUND")})
		}
	}
}

func refused(uses uint32, limited bool) rows {
	return func(_ int, now time.Time, b *flow.Batch) {
		b.Charges = append(b.Charges, flow.Charge{Time: now, Cluster: name("lab"), Service: name("registry-1.docker.io"), Family: flow.FamilyIPv6, Uses: uses, Limited: limited})
	}
}

func retry() flow.Connection {
	c := connection("shop", "checkout", flow.FamilyIPv4, flow.NAT44, flow.Answered)
	c.FallbackOf[0] = 1
	return c
}

var (
	overIPv6 = connection("shop", "web", flow.FamilyIPv6, flow.NAT66, flow.Answered)
	overIPv4 = connection("shop", "web", flow.FamilyIPv4, flow.NAT44, flow.Answered)
	legacy   = connection("legacy", "erp-client", flow.FamilyIPv4, flow.NAT44, flow.Answered)
	nat64    = connection("shop", "mailer", flow.FamilyIPv6, flow.NAT64, flow.Answered)
	nat64Bad = connection("shop", "mailer", flow.FamilyIPv6, flow.NAT64, flow.Unanswered)
)

// scenarios say of each alert what trips it, and what is near and does not.
var scenarios = []struct {
	alert string
	trips rows
	quiet rows
	says  string // a piece of the summary or description
}{
	{"SextantUnexpectedIPv4", func(m int, now time.Time, b *flow.Batch) {
		if m == warm+30 { // a single one, of a workload that made none before
			each(0, 1, overIPv4)(m, now, b)
		}
	}, both(each(0, 3, overIPv6), each(0, 1, legacy), each(0, 1, nat64)), "shop/web leaves over IPv4"},
	{"SextantIPv4ShareRising", both(each(0, 8, overIPv6), each(warm+20, 4, overIPv4)), both(each(0, 8, overIPv6), each(0, 4, overIPv4)), "shop uses more IPv4 than 1h ago"},
	{"SextantRateLimitNear", bucket(85, known(100), flow.Count{}), bucket(70, known(100), flow.Count{}), "85% of its limit"},
	{"SextantRateLimitExhausting", bucket(50, known(100), known(600)), bucket(50, known(100), known(7200)), "in 10m 0s"},
	{"SextantRateLimited", refused(1, true), refused(5, false), "registry-1.docker.io refuses this cluster"},
	{"SextantNAT64Failing", both(each(0, 8, nat64), each(warm, 2, nat64Bad)), both(each(0, 100, nat64), each(warm, 1, nat64Bad)), "through NAT64 fail"},
	{"SextantTranslationFailing", drops(2), drops(0), "SNAT_NO_MAP_FOUND"},
	{"SextantIPv6Fallback", each(warm, 1, retry()), func(m int, now time.Time, b *flow.Batch) {
		if m%20 == 0 {
			each(0, 1, retry())(m, now, b)
		}
	}, "shop/checkout tries IPv6 in vain"},
	{"SextantPrefixNearlyFull", prefix(240, 254), prefix(100, 254), "10.0.0.0/24 is nearly used up"},
	{"SextantServiceOneFamily", both(service(flow.FamilyIPv6, 0), service(flow.FamilyIPv4, 2)), both(service(flow.FamilyIPv6, 1), service(flow.FamilyIPv4, 2)), "shop/web promises ipv6"},
}

const (
	warm    = 70  // minutes until the window is full
	minutes = 150 // of a scenario
)

// settings are the defaults, with an entry in the allow-list, and a comparison that needs no day.
func settings() dashboards.Config {
	c := dashboards.Default()
	c.ShareAgainst = time.Hour
	c.AllowIPv4 = []string{"namespace=legacy workload=erp-client until=2027-03-31 why=vendor"}
	return c
}

var begin = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)

// play runs a scenario on the real sink. A node that is not watched has no heartbeats from the time on when the window is
// full, nor has the inventory news.
func play(t *testing.T, c dashboards.Config, scenario rows, complete bool) *dashboardstest.Prometheus {
	t.Helper()
	p := ruled(t, c)
	sink := prometheus.New(prometheus.Default(), p.Registry)
	p.Registry.MustRegister(alive())
	for m := range minutes {
		now := begin.Add(time.Duration(m) * time.Minute)
		b := &flow.Batch{}
		watched := complete || m < 5
		if watched {
			for _, n := range []string{"node-1", "node-2"} {
				b.Beats = append(b.Beats, flow.Beat{Cluster: name("lab"), Node: name(n), From: now.Add(-time.Minute), To: now})
				item(flow.Item{Kind: flow.ItemNode, Name: name(n), Family: flow.FamilyIPv6, Has: flow.Yes})(m, now, b)
			}
		}
		scenario(m, now, b)
		if !watched {
			for i := range b.Items {
				b.Items[i].Time = begin // the inventory of then
			}
		}
		if err := sink.Write(t.Context(), collector.Delivery{Batches: []*flow.Batch{b}}); err != nil {
			t.Fatal(err)
		}
		p.Tick(now)
		if m < warm-20 {
			p.Forget() // nothing is known of the time before the begin
		}
	}
	return p
}

func ruled(t *testing.T, c dashboards.Config) *dashboardstest.Prometheus {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	recording, err := rules.Recording(c).YAML()
	if err != nil {
		t.Fatal(err)
	}
	alerting, err := rules.Alerting(c).YAML()
	if err != nil {
		t.Fatal(err)
	}
	return dashboardstest.New(t, recording, alerting)
}

func alive() client.Collector {
	return client.NewCounter(client.CounterOpts{Name: collector.MetricFlowsTotal, Help: "x"})
}

func find(c dashboards.Config, alert string) dashboards.Alert {
	all := dashboards.Alerts(c)
	return all[slices.IndexFunc(all, func(a dashboards.Alert) bool { return a.Name == alert })]
}

// TestAlerts sees each alert about the cluster given when it should be, not given when it need not be, and, while too little
// is known, held back with another one in its place.
func TestAlerts(t *testing.T) {
	c := settings()
	flags := map[dashboards.Guard]string{dashboards.Observed: "SextantBlind", dashboards.Fresh: "SextantInventoryStale"}
	for _, s := range scenarios {
		t.Run(s.alert, func(t *testing.T) {
			t.Parallel()
			p := play(t, c, s.trips, true)
			fired := p.Fired()
			got, given := fired[s.alert]
			compareApart(t, p, c, find(c, s.alert))
			if !given {
				t.Errorf("not given; given were %v", keys(fired))
			}
			if text := got.Annotations["summary"] + " " + got.Annotations["description"]; !strings.Contains(text, s.says) || strings.Contains(text, "<") {
				t.Errorf("says %q, want %q in it", text, s.says)
			}
			for _, label := range find(c, s.alert).About {
				if got.Labels[label] == "" {
					t.Errorf("is not told what %s it is about: %v", label, got.Labels)
				}
			}
			flag := flags[find(c, s.alert).Guard]
			if _, given := fired[flag]; flag == "" || given {
				t.Errorf("%q is given although all is known", flag)
			}
			fired = play(t, c, s.quiet, true).Fired()
			if a, given := fired[s.alert]; given {
				t.Errorf("given for no reason: %v", a)
			}
			fired = play(t, c, s.trips, false).Fired()
			if a, given := fired[s.alert]; given {
				t.Errorf("given although too little is known: %v", a)
			}
			if _, given := fired[flag]; !given {
				t.Errorf("too little is known, and %s does not say so; given were %v", flag, keys(fired))
			}
		})
	}
}

// compareApart sees to it that who compares the value with the threshold apart, as Grafana does, gets what Prometheus does.
func compareApart(t *testing.T, p *dashboardstest.Prometheus, c dashboards.Config, a dashboards.Alert) {
	t.Helper()
	now := begin.Add((minutes - 1) * time.Minute)
	whole, err := p.At(a.Expr(c), now)
	if err != nil {
		t.Fatal(err)
	}
	apart, err := p.At(a.Guarded(c), now)
	if err != nil {
		t.Fatal(err)
	}
	beyond := 0
	for _, s := range apart {
		if a.Compare == dashboards.Above && s.F > a.Limit || a.Compare == dashboards.Below && s.F < a.Limit {
			beyond++
		}
	}
	if len(whole) == 0 || beyond != len(whole) {
		t.Errorf("%d values are beyond the threshold, %d where they are compared apart", len(whole), beyond)
	}
}

// TestAllowed sees an entry of the allow-list end.
func TestAllowed(t *testing.T) {
	c := settings()
	c.AllowIPv4 = []string{"namespace=legacy until=2026-11-23"}
	if _, given := play(t, c, each(0, 1, legacy), true).Fired()["SextantUnexpectedIPv4"]; !given {
		t.Error("an entry that has ended still allows")
	}
	c.AllowIPv4 = []string{"workload=erp-client until=2026-11-24"}
	if a, given := play(t, c, each(0, 1, legacy), true).Fired()["SextantUnexpectedIPv4"]; given {
		t.Errorf("an entry that ends today does not allow: %v", a)
	}
}

// TestOwnAlerts does the same for alerts about Sextant itself, whose metrics are set here by hand.
func TestOwnAlerts(t *testing.T) {
	counter := func(name string, labels ...string) *client.CounterVec {
		return client.NewCounterVec(client.CounterOpts{Name: name, Help: "x"}, labels)
	}
	gauge := func(name string) client.Gauge { return client.NewGauge(client.GaugeOpts{Name: name, Help: "x"}) }
	lost, retries := counter(collector.MetricSinkLostTotal, "sink", "reason"), counter(collector.MetricSinkRetriesTotal, "sink")
	overflow, age, lag := counter(prometheus.MetricSeriesOverflowTotal, "metric"), gauge(spool.MetricOldestSeconds), gauge(collector.MetricLagSeconds)
	for _, s := range []struct {
		alert        string
		metric       client.Collector
		trips, quiet func()
	}{
		{"SextantSinkLosing", lost, func() { lost.WithLabelValues("clickhouse", "queue_full").Inc() }, func() { lost.WithLabelValues("clickhouse", "queue_full").Add(0) }},
		{"SextantSinkRetrying", retries, func() { retries.WithLabelValues("clickhouse").Inc() }, func() { retries.WithLabelValues("clickhouse").Add(0.1) }},
		{"SextantSeriesOverflow", overflow, func() { overflow.WithLabelValues("sextant_flows_total").Inc() }, func() { overflow.WithLabelValues("sextant_flows_total").Add(0) }},
		{"SextantSpoolOld", age, func() { age.Set(3600) }, func() { age.Set(60) }},
		{"SextantLagging", lag, func() { lag.Set(600) }, func() { lag.Set(2) }},
		{"SextantDown", nil, nil, func() {}},
	} {
		for _, trip := range []bool{true, false} {
			act := s.quiet
			if trip {
				act = s.trips
			}
			if vec, ok := s.metric.(*client.CounterVec); ok {
				vec.Reset()
			}
			p := ruled(t, settings())
			if act != nil {
				p.Registry.MustRegister(alive())
			}
			if s.metric != nil {
				p.Registry.MustRegister(s.metric)
			}
			for m := range warm + 30 {
				if act != nil {
					act()
				}
				p.Tick(begin.Add(time.Duration(m) * time.Minute))
			}
			if _, given := p.Fired()[s.alert]; given != trip {
				t.Errorf("%s: given: %v, want %v; given were %v", s.alert, given, trip, keys(p.Fired()))
			}
		}
	}
}

// TestBlindness sees a node fall out of sight, and settings that hide what nodes do.
func TestBlindness(t *testing.T) {
	p := ruled(t, settings())
	sink := prometheus.New(prometheus.Default(), p.Registry)
	p.Registry.MustRegister(alive())
	run := func(from, to int, nodes ...string) {
		for m := from; m < to; m++ {
			now := begin.Add(time.Duration(m) * time.Minute)
			b := &flow.Batch{}
			for _, n := range nodes {
				b.Beats = append(b.Beats, flow.Beat{Cluster: name("lab"), Node: name(n), From: now.Add(-time.Minute), To: now})
			}
			if m == 60 {
				b.Gaps = append(b.Gaps, flow.Gap{Cluster: name("lab"), Node: name("node-1"), From: begin, To: now, Cause: flow.GapHidden})
			}
			if err := sink.Write(t.Context(), collector.Delivery{Batches: []*flow.Batch{b}}); err != nil {
				t.Fatal(err)
			}
			p.Tick(now)
		}
	}
	run(0, 59, "node-1", "node-2", "node-3")
	if len(p.Fired()) > 0 {
		t.Errorf("for no reason: %v", keys(p.Fired()))
	}
	run(59, 120, "node-1", "node-2")
	for alert, label := range map[string]string{"SextantNodeUnobserved": "node-3", "SextantBlindSpot": "node-1", "SextantBlind": ""} {
		if got, given := p.Fired()[alert]; !given || got.Labels["node"] != label {
			t.Errorf("%s: %v, want one of %q; given were %v", alert, got, label, keys(p.Fired()))
		}
	}
}

// TestAlertsCovered sees to it that no alert is left out above.
func TestAlertsCovered(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios {
		seen[s.alert] = true
	}
	for own := range strings.FieldsSeq("SextantBlind SextantInventoryStale SextantNodeUnobserved SextantBlindSpot SextantSinkLosing SextantSinkRetrying SextantSpoolOld SextantLagging SextantDown SextantSeriesOverflow") {
		seen[own] = true
	}
	for _, a := range dashboards.Alerts(settings()) {
		if !seen[a.Name] {
			t.Errorf("nobody has seen %s", a.Name)
		}
	}
}

func keys(fired map[string]dashboardstest.Fired) []string {
	var list []string
	for k := range fired {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
