package prometheus_test

import (
	"flag"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/prometheus"
	"sextant/sinks/sinktest"
)

var update = flag.Bool("update", false, "write the golden files")

var begin = time.Date(2026, 11, 24, 6, 7, 8, 250_000_000, time.UTC)

// rig is a sink on a registry of its own, which checks every scrape.
type rig struct {
	*prometheus.Sink
	reg   *client.Registry
	names *flow.Interner
}

func open(t testing.TB, cfg prometheus.Config) rig {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	reg := client.NewPedanticRegistry()
	return rig{prometheus.New(cfg, reg), reg, flow.NewInterner()}
}

func (r rig) write(t testing.TB, batches ...*flow.Batch) {
	t.Helper()
	if err := r.Write(t.Context(), collector.Delivery{Batches: batches}); err != nil {
		t.Fatal(err)
	}
}

func (r rig) flows(records ...flow.Record) *flow.Batch { return &flow.Batch{Records: records} }
func (r rig) connections(connections ...flow.Connection) *flow.Batch {
	return &flow.Batch{Connections: connections}
}
func (r rig) gaps(gaps ...flow.Gap) *flow.Batch { return &flow.Batch{Gaps: gaps} }

// flow returns a forwarded IPv6 flow of a node.
func (r rig) flow(node string) flow.Record {
	return flow.Record{
		Time: begin, Cluster: r.names.Name("default"), Node: r.names.Name(node),
		EventType: flow.EventTrace, Verdict: flow.Forwarded, Family: flow.FamilyIPv6, AggregatedFlows: 1,
		Class: flow.Native6, ClassEvidence: flow.Observed,
	}
}

// connection returns an answered IPv4 connection to the world.
func (r rig) connection(node string) flow.Connection {
	c := flow.Connection{
		Cluster: r.names.Name("default"), Node: r.names.Name(node), Family: flow.FamilyIPv4, Direction: flow.EgressDirection,
		Class: flow.NAT44, ClassEvidence: flow.Inferred, Outcome: flow.Answered,
	}
	c.Source.Endpoint = r.names.Endpoint(flow.Endpoint{Namespace: r.names.Name("shop"), Workload: r.names.Name("web")})
	return c
}

// gap returns a gap of two seconds without a count.
func (r rig) gap(node string, cause flow.GapCause) flow.Gap {
	return flow.Gap{Cluster: r.names.Name("default"), Node: r.names.Name(node), Cause: cause, From: begin, To: begin.Add(2 * time.Second)}
}

// beat returns a minute for which a node was watched.
func (r rig) beat(node string) flow.Beat {
	return flow.Beat{Cluster: r.names.Name("default"), Node: r.names.Name(node), From: begin, To: begin.Add(time.Minute), Flows: flow.Count{Known: true}}
}

// charge returns one connection to a registry.
func (r rig) charge() flow.Charge {
	return flow.Charge{
		Time: begin, Cluster: r.names.Name("default"), Node: r.names.Name("worker-1"), Service: r.names.Name("registry.example"),
		Bucket: r.names.Name("2001:db8:a::/64"), Family: flow.FamilyIPv6, Evidence: flow.BucketObserved,
		Measure: flow.MeasureConnection, Side: flow.SidePod, Uses: 1, Limited: true,
	}
}

// bucket returns the state of a registry's bucket, of which nothing is refused.
func (r rig) bucket(prefix string, used uint32, limit uint64) flow.Bucket {
	b := flow.Bucket{
		Time: begin, Cluster: r.names.Name("default"), Service: r.names.Name("registry.example"), Bucket: r.names.Name(prefix),
		Family: flow.FamilyIPv4, Evidence: flow.BucketInferred, Used: used, Limit: flow.Count{N: limit, Known: limit > 0},
		Headroom: flow.Count{Known: limit > 0}, WindowSeconds: 21600, SeenSeconds: 3600, Unseen: flow.UnseenNode, Limited: used / 10,
	}
	if uint64(used) < limit {
		b.Headroom.N = limit - uint64(used)
	}
	return b
}

// answer returns a DNS answer that reached a pod of shop/web.
func (r rig) answer(query, kind string, addresses ...string) flow.Record {
	f := r.flow("worker-1")
	f.EventType, f.L7Type = flow.EventL7, flow.L7Response
	f.Destination.Endpoint = r.names.Endpoint(flow.Endpoint{Namespace: r.names.Name("shop"), Workload: r.names.Name("web")})
	f.DNS.Query, f.DNS.Types = r.names.Name(query), r.names.Names([]flow.Name{r.names.Name(kind)})
	for _, a := range addresses {
		f.DNS.Answers = append(f.DNS.Answers, netip.MustParseAddr(a))
	}
	return f
}

// page returns what a scrape shows.
func (r rig) page(t testing.TB) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(r.reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: %s", w.Body)
	}
	return w.Body.String()
}

// values returns the samples of a scrape by name and labels, written as on the page.
func (r rig) values(t testing.TB) map[string]string {
	t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(r.page(t)) {
		if !strings.HasPrefix(line, "#") {
			i := strings.LastIndexByte(line, ' ')
			values[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return values
}

func (r rig) want(t testing.TB, want map[string]string) {
	t.Helper()
	got := r.values(t)
	for series, value := range want {
		if got[series] != value {
			t.Errorf("%s is %q, want %q", series, got[series], value)
		}
	}
}

func TestPage(t *testing.T) {
	r := open(t, prometheus.Config{MaxSeries: 4, FullestBuckets: 2})
	aggregated := r.flow("worker-1")
	aggregated.AggregatedFlows = 41
	unsaid := r.flow("worker-1")
	unsaid.AggregatedFlows = 0 // not said is one
	dropped := r.flow("worker-2")
	dropped.EventType, dropped.Verdict, dropped.Family = flow.EventDrop, flow.Dropped, flow.FamilyIPv4
	dropped.Class, dropped.ClassEvidence, dropped.Time = flow.NAT44, flow.Inferred, begin.Add(time.Minute)
	counted := r.gap("worker-1", flow.GapLostRing)
	counted.Count = flow.Count{N: 30, Known: true}
	backwards := r.gap("worker-1", flow.GapLostRing)
	backwards.From, backwards.To = backwards.To, backwards.From
	openEnded := r.gap("", flow.GapQueueFull)
	openEnded.From = time.Time{}

	avoidable := r.connection("worker-1")
	avoidable.AvoidableIPv4 = true
	fallback := r.connection("worker-1")
	fallback.FallbackOf, fallback.FallbackMs = flow.UUID{1}, 250
	slow := fallback
	slow.FallbackMs = 3000
	untranslated := r.flow("worker-2")
	untranslated.EventType, untranslated.Verdict = flow.EventDrop, flow.Dropped
	untranslated.DropCode, untranslated.DropReason, untranslated.Class = 188, r.names.Name("NAT64"), flow.NAT64
	denied := r.flow("worker-2")
	denied.EventType, denied.Verdict, denied.DropCode, denied.DropReason = flow.EventDrop, flow.Dropped, 133, r.names.Name("POLICY_DENIED")
	pull := r.charge()
	pull.Measure, pull.Side, pull.Uses, pull.Limited = flow.MeasurePull, flow.SideHost, 3, false

	storm := r.pull("registry.example", flow.PullRateLimited)
	storm.Count = 30
	sized := r.pull("registry.example", flow.Pulled)
	sized.Count, sized.Bytes = 2, flow.Count{N: 1 << 20, Known: true}
	present := r.pull("registry.example", flow.PullPresent)
	present.Count, present.Bytes = 0, sized.Bytes // not said is one; nothing was moved

	r.write(t,
		&flow.Batch{Pulls: []flow.Pull{storm, sized, present, r.pull("registry.example:5000", flow.Pulled)}},
		&flow.Batch{Items: r.cluster(begin)},
		r.connections(r.connection("worker-1"), avoidable, fallback, slow),
		&flow.Batch{Charges: []flow.Charge{r.charge(), pull}},
		&flow.Batch{Buckets: []flow.Bucket{r.bucket("192.0.2.1", 90, 100), r.bucket("192.0.2.2", 130, 100), r.bucket("192.0.2.3", 10, 100), r.bucket("", 500, 0)}},
		r.flows(r.flow("worker-1"), aggregated, unsaid, dropped, flow.Record{}, untranslated, denied),
		r.gaps(counted, r.gap("worker-1", flow.GapLostRing), backwards, openEnded),
		&flow.Batch{Beats: []flow.Beat{r.beat("worker-1"), r.beat("worker-1"), {From: begin, To: begin.Add(-time.Hour)}}},
		r.flows(r.flow("worker-3"), r.flow("worker-4"), r.flow("worker-5")), // more than there is room for
	)
	golden(t, "metrics", r.page(t))

	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update writes it anew):\n%s", file, diff)
	}
}

func TestSink(t *testing.T) {
	var r rig
	sinktest.Run(t,
		func(t *testing.T) collector.Sink {
			r = open(t, prometheus.Default())
			return r
		},
		func(t *testing.T) collector.Counts {
			var c collector.Counts
			counters := map[string]*int64{
				"sextant_flows_total": &c.Flows, "sextant_connections_total": &c.Connections, "sextant_gaps_total": &c.Gaps,
				"sextant_image_pulls_total": &c.Pulls, "sextant_inventory_items": &c.Items,
				"sextant_heartbeats_total": &c.Beats, "sextant_rate_limit_uses_total": &c.Charges,
			}
			for series, value := range r.values(t) {
				n, err := strconv.ParseFloat(value, 64)
				if err != nil {
					t.Fatal(err)
				}
				name, _, _ := strings.Cut(series, "{")
				if counter := counters[name]; counter != nil {
					*counter += int64(n)
				}
			}
			return c
		}, sinktest.Buckets)
}

// Every declared metric moves: a family without a series after a few rows would be one that nothing fills.
func TestEveryMetricMoves(t *testing.T) {
	r := open(t, prometheus.Config{MaxSeries: 1, FullestBuckets: 1})
	gap := r.gap("worker-1", flow.GapLostRing)
	gap.Count = flow.Count{N: 30, Known: true}
	connection := r.connection("worker-1")
	connection.AvoidableIPv4, connection.FallbackOf, connection.FallbackMs = true, flow.UUID{1}, 250
	pull := r.pull("registry.example", flow.Pulled)
	pull.Bytes = flow.Count{N: 1, Known: true}
	dropped := r.flow("worker-1")
	dropped.DropCode, dropped.DropReason = 188, r.names.Name("NAT64")
	bucket := r.bucket("192.0.2.1", 130, 100)
	bucket.ExhaustedIn = flow.Count{N: 60, Known: true}
	left := r.bucket("192.0.2.2", 20, 100)
	batch := &flow.Batch{
		Records: []flow.Record{r.flow("worker-1"), r.flow("worker-2"), dropped}, Connections: []flow.Connection{connection}, Gaps: []flow.Gap{gap},
		Pulls: []flow.Pull{pull}, Items: r.cluster(begin), Beats: []flow.Beat{r.beat("worker-1")}, Charges: []flow.Charge{r.charge()},
		Buckets: []flow.Bucket{bucket, left},
	}
	for n := range 40_000 { // more names than causes have room for
		f := r.answer("www-"+strconv.Itoa(n)+".example.", "AAAA")
		batch.Records = append(batch.Records, f)
	}
	for n := range 30_000 { // the first half is let go of when there is a third
		f := r.answer("ftp-"+strconv.Itoa(n)+".example.", "AAAA")
		batch.Records = append(batch.Records, f)
	}
	r.write(t, batch)
	bucket.Used, bucket.Headroom = 1, flow.Count{N: 99, Known: true}
	bucket.Time = bucket.Time.Add(time.Minute)
	moved := map[string]bool{}
	for range 2 { // of a bucket that is full nothing is left
		for series, value := range r.values(t) {
			name, _, _ := strings.Cut(series, "{")
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				if whole := strings.TrimSuffix(name, part); whole == prometheus.MetricFallbackDelaySeconds {
					name = whole
				}
			}
			moved[name] = moved[name] || value != "0"
		}
		r.write(t, &flow.Batch{Buckets: []flow.Bucket{bucket}})
	}
	for _, d := range prometheus.Declared() {
		if !moved[d.Name] {
			t.Errorf("%s does not move", d.Name)
		}
	}
	if len(moved) != len(prometheus.Declared()) {
		t.Errorf("%d metrics are shown, %d are declared", len(moved), len(prometheus.Declared()))
	}
}

func TestOverflow(t *testing.T) {
	r := open(t, prometheus.Config{MaxSeries: 2})
	for range 3 {
		for node := range 5 {
			r.write(t, r.flows(r.flow(fmt.Sprintf("worker-%d", node))))
		}
	}
	r.write(t, r.gaps(r.gap("worker-9", flow.GapLostRing))) // another metric has room of its own
	r.want(t, map[string]string{
		`sextant_flows_total{cluster="default",event_type="trace",family="ipv6",node="worker-0",verdict="FORWARDED"}`: "3",
		`sextant_flows_total{cluster="default",event_type="trace",family="ipv6",node="worker-1",verdict="FORWARDED"}`: "3",
		`sextant_flows_total{cluster="default",event_type="trace",family="ipv6",node="worker-2",verdict="FORWARDED"}`: "",
		`sextant_flows_total{cluster="~other",event_type="~other",family="~other",node="~other",verdict="~other"}`:    "9",
		`sextant_prometheus_series_overflow_total{metric="sextant_flows_total"}`:                                      "9",
		`sextant_prometheus_series_overflow_total{metric="sextant_gaps_total"}`:                                       "0",
		`sextant_gaps_total{cause="lost_hubble_ring",cluster="default",node="worker-9"}`:                              "1",
	})
}

// What a stranger calls a node breaks neither the page nor the count, even where two names look the same on it, or like
// our own.
func TestHostileNodeNames(t *testing.T) {
	r := open(t, prometheus.Config{MaxSeries: 10})
	long := strings.Repeat("é", 200) // 400 bytes; the limit falls into the middle of a character
	for _, node := range []string{"a\xff", "a\xfe", "line\nbreak", `quo"te`, long + "1", long + "2"} {
		r.write(t, r.flows(r.flow(node)))
	}
	r.want(t, map[string]string{
		`sextant_last_flow_timestamp_seconds{cluster="default",node="a` + "\ufffd" + `"}`:                                                     "1.79550042825e+09",
		`sextant_flows_total{cluster="default",event_type="trace",family="ipv6",node="a` + "\ufffd" + `",verdict="FORWARDED"}`:                "2",
		`sextant_flows_total{cluster="default",event_type="trace",family="ipv6",node="line\nbreak",verdict="FORWARDED"}`:                      "1",
		`sextant_flows_total{cluster="default",event_type="trace",family="ipv6",node="quo\"te",verdict="FORWARDED"}`:                          "1",
		`sextant_flows_total{cluster="default",event_type="trace",family="ipv6",node="` + strings.Repeat("é", 126) + `",verdict="FORWARDED"}`: "2",
	})

	small := open(t, prometheus.Config{MaxSeries: 1})
	alias := small.flow("~other")
	alias.Cluster = alias.Node
	small.write(t, small.flows(alias, small.flow("worker-1"), small.flow("worker-2")))
	small.want(t, map[string]string{
		`sextant_last_flow_timestamp_seconds{cluster="~other",node="~other"}`: "1.79550042825e+09",
	})
}

// Label values are told apart wherever one ends and the next begins.
func TestValuesDoNotRunTogether(t *testing.T) {
	for _, joint := range []string{"", "-", ",", "/", "\x00", "\t", " "} {
		r := open(t, prometheus.Default())
		one, two := r.flow("b"+joint+"c"), r.flow("c")
		one.Cluster, two.Cluster = r.names.Name("a"), r.names.Name("a"+joint+"b")
		r.write(t, r.flows(one, two))
		nodes := 0
		for series := range r.values(t) {
			if strings.HasPrefix(series, "sextant_last_flow") {
				nodes++
			}
		}
		if nodes != 2 {
			t.Errorf("two nodes whose names join with %q became %d series", joint, nodes)
		}
	}
}

// A second interner gives other handles on the same names.
func TestTwoInternersOneSeries(t *testing.T) {
	r := open(t, prometheus.Default())
	r.write(t, r.flows(r.flow("worker-1")))
	r.names = flow.NewInterner()
	r.write(t, r.flows(r.flow("worker-1")))
	r.want(t, map[string]string{
		`sextant_flows_total{cluster="default",event_type="trace",family="ipv6",node="worker-1",verdict="FORWARDED"}`: "2",
	})
}

func TestLastFlow(t *testing.T) {
	r := open(t, prometheus.Default())
	series := `sextant_last_flow_timestamp_seconds{cluster="default",node="worker-1"}`
	future := r.flow("worker-1")
	future.Time = begin.Add(24 * time.Hour) // a clock that was wrong for a moment
	timeless := r.flow("worker-1")
	timeless.Time = time.Time{}
	r.write(t, r.flows(timeless))
	r.want(t, map[string]string{series: ""})
	r.write(t, r.flows(future, r.flow("worker-1"), timeless))
	r.want(t, map[string]string{series: "1.79550042825e+09"})
}

// Only a node that is silent altogether is forgotten, and then with everything; it comes back from nothing.
func TestSilentNodesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, prometheus.Config{MaxSeries: 100, NodeTTL: time.Hour})
		rare := r.flow("stays")
		rare.Verdict = flow.Dropped
		r.write(t, r.flows(r.flow("goes"), rare), r.gaps(r.gap("goes", flow.GapLostRing), r.gap("", flow.GapQueueFull)))

		time.Sleep(59 * time.Minute)
		r.write(t, r.gaps(r.gap("stays", flow.GapLostRing))) // a gap is a sign of life
		r.want(t, map[string]string{`sextant_gaps_total{cause="lost_hubble_ring",cluster="default",node="goes"}`: "1"})

		time.Sleep(2 * time.Minute)
		for series := range r.values(t) {
			if strings.Contains(series, `node="goes"`) {
				t.Errorf("%s is still there", series)
			}
		}
		r.want(t, map[string]string{
			`sextant_flows_total{cluster="default",event_type="trace",family="ipv6",node="stays",verdict="DROPPED"}`: "1",
			`sextant_gaps_total{cause="queue_full",cluster="default",node=""}`:                                       "1",
		})

		r.write(t, r.flows(r.flow("goes")))
		r.want(t, map[string]string{
			`sextant_flows_total{cluster="default",event_type="trace",family="ipv6",node="goes",verdict="FORWARDED"}`: "1",
		})
	})
}

// Forgotten nodes make room.
func TestForgettingMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, prometheus.Config{MaxSeries: 1, NodeTTL: time.Hour})
		r.write(t, r.flows(r.flow("old"), r.flow("overflowing")))
		time.Sleep(2 * time.Hour)
		r.page(t)
		r.write(t, r.flows(r.flow("new")))
		r.want(t, map[string]string{
			`sextant_last_flow_timestamp_seconds{cluster="default",node="new"}`:   "1.79550042825e+09",
			`sextant_last_flow_timestamp_seconds{cluster="~other",node="~other"}`: "1.79550042825e+09",
		})
	})
}

func TestNothingIsForgottenWithoutTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, prometheus.Config{MaxSeries: 1})
		r.write(t, r.flows(r.flow("worker-1")))
		time.Sleep(1000 * time.Hour)
		r.want(t, map[string]string{`sextant_last_flow_timestamp_seconds{cluster="default",node="worker-1"}`: "1.79550042825e+09"})
	})
}

// A scrape may come at any time; every page is whole and no count ever goes back.
func TestScrapeWhileWriting(t *testing.T) {
	r := open(t, prometheus.Config{MaxSeries: 20, NodeTTL: time.Hour})
	const rounds, nodes = 200, 30
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			last := 0.0
			for {
				families, err := r.reg.Gather()
				if err != nil {
					t.Error(err)
					return
				}
				total := 0.0
				for _, f := range families {
					if f.GetName() == "sextant_flows_total" {
						for _, m := range f.GetMetric() {
							total += m.GetCounter().GetValue()
						}
					}
				}
				if total < last {
					t.Errorf("the count went back from %v to %v", last, total)
				}
				last = total
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range rounds {
		b := r.flows()
		for node := range nodes {
			*b.Next() = r.flow(fmt.Sprintf("worker-%d", node))
		}
		r.write(t, b)
	}
	close(stop)
	wg.Wait()
	r.want(t, map[string]string{
		`sextant_flows_total{cluster="~other",event_type="~other",family="~other",node="~other",verdict="~other"}`: fmt.Sprint(rounds * (nodes - 20)),
	})
}

// busy returns a batch of flows as several nodes send them, and a few gaps.
func busy(r rig) *flow.Batch {
	b := r.flows()
	for i := range 4096 {
		f := r.flow(fmt.Sprintf("worker-%d", i%16))
		f.Family, f.Class = flow.Family(1+i%2), flow.Class(i%7)
		if i%10 == 0 {
			f.EventType, f.Verdict = flow.EventDrop, flow.Dropped
		}
		*b.Next() = f
	}
	for i := range 16 {
		b.Gaps = append(b.Gaps, r.gap(fmt.Sprintf("worker-%d", i), flow.GapLostRing))
		c := r.connection(fmt.Sprintf("worker-%d", i))
		c.Destination.Name, c.FallbackOf, c.FallbackMs = r.names.Name("www.example"), flow.UUID{byte(i % 2)}, 250
		b.Connections = append(b.Connections, c)
		b.Beats = append(b.Beats, r.beat(fmt.Sprintf("worker-%d", i)))
		b.Pulls = append(b.Pulls, r.pull("registry.example", flow.PullResult(i%8)))
		b.Charges = append(b.Charges, r.charge())
		b.Buckets = append(b.Buckets, r.bucket(fmt.Sprintf("192.0.2.%d", i%3), 10, 100))
		*b.Next() = r.answer("www.example.", "AAAA", "2001:db8::1")
	}
	b.Items = r.cluster(begin)
	return b
}

func TestKnownSeriesDoNotAllocate(t *testing.T) {
	for _, limit := range []int{prometheus.Default().MaxSeries, 3} { // room for all, and overflowing
		r := open(t, prometheus.Config{MaxSeries: limit})
		batches := []*flow.Batch{busy(r)}
		if n := testing.AllocsPerRun(10, func() { r.write(t, batches...) }); n != 0 {
			t.Errorf("%v allocations for a delivery without a new series, with room for %d", n, limit)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	r := open(b, prometheus.Default())
	batches := []*flow.Batch{busy(r)}
	r.write(b, batches...)
	b.ReportAllocs()
	for b.Loop() {
		r.write(b, batches...)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batches[0].Records)), "ns/flow")
}

func BenchmarkScrape(b *testing.B) {
	r := open(b, prometheus.Default())
	batch := r.flows()
	for i := range 2000 {
		*batch.Next() = r.flow(fmt.Sprintf("worker-%d", i))
	}
	r.write(b, batch)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.reg.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
