package prometheus_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/sinks/prometheus"
)

func TestCauseOf(t *testing.T) {
	names := flow.NewInterner()
	plain := flow.Connection{Family: flow.FamilyIPv4, Class: flow.NAT44, Direction: flow.EgressDirection}
	plain.Destination.Name = names.Name("www.example")
	with := func(change func(*flow.Connection)) *flow.Connection {
		c := plain
		change(&c)
		return &c
	}
	retry := with(func(c *flow.Connection) { c.FallbackOf = flow.UUID{1} })
	avoidable := with(func(c *flow.Connection) { c.AvoidableIPv4 = true })
	nat64 := with(func(c *flow.Connection) { c.Family, c.Class = flow.FamilyIPv6, flow.NAT64 })
	nameless := with(func(c *flow.Connection) { c.Destination.Name = flow.Name{} })
	all := prometheus.Known{Denied: true, NAT64: true, Asks: true, AAAA: true, NoAAAA: true}
	allowed := all
	allowed.Denied = false
	type known = prometheus.Known
	for i, test := range []struct {
		c    *flow.Connection
		k    known
		want prometheus.Cause
	}{
		{&plain, known{}, prometheus.CauseUnknown},
		{&plain, known{Asks: true}, prometheus.CauseUnknown},
		{&plain, all, prometheus.CausePolicy},
		{&plain, allowed, prometheus.CauseNoAAAA}, // who reaches it through NAT64 was told that there is no other way
		{&plain, known{AAAA: true, NoAAAA: true}, prometheus.CauseApplication},
		{&plain, known{NoAAAA: true}, prometheus.CauseNoAAAA},
		{retry, known{}, prometheus.CauseFallback},
		{retry, allowed, prometheus.CauseFallback},
		{retry, all, prometheus.CausePolicy},
		{avoidable, known{}, prometheus.CauseApplication},
		{avoidable, all, prometheus.CauseApplication},
		{nat64, known{}, prometheus.CauseNoAAAA},
		{nat64, all, prometheus.CauseNoAAAA},
		{nameless, known{}, prometheus.CauseUnknown},
		{nameless, known{Asks: true}, prometheus.CauseLiteral},
		{nameless, all, prometheus.CauseLiteral},
		{with(func(c *flow.Connection) { c.Destination.Name, c.FallbackOf = flow.Name{}, flow.UUID{1} }), all, prometheus.CauseFallback},
	} {
		if got := prometheus.CauseOf(test.c, test.k); got != test.want {
			t.Errorf("%d: cause is %s, want %s", i, got, test.want)
		}
	}
}

// The words, and the order in which they are decided, are those of the view in ClickHouse.
func TestCausesAreTheViewsWords(t *testing.T) {
	sql, err := os.ReadFile("../clickhouse/view_sql.go")
	if err != nil {
		t.Fatal(err)
	}
	decision := regexp.MustCompile(`(?s)multiIf\(\s*sign IN \('', 'fallback'\) AND denied.*?\) AS cause`).Find(sql)
	if decision == nil {
		t.Fatal("the view ipv4_dependencies does not decide causes as it did")
	}
	words := map[string]bool{}
	for _, m := range regexp.MustCompile(`, ('([a-z_]+)'|sign)[,)]`).FindAllSubmatch(decision, -1) {
		if word := string(m[2]); word != "" {
			words[word] = true
		}
	}
	// The two that a connection tells by itself go by the name of its sign.
	for _, m := range regexp.MustCompile(`sign IN \('(fallback)', '(application)'\), sign`).FindAllSubmatch(decision, -1) {
		words[string(m[1])], words[string(m[2])] = true, true
	}
	var got, want []string
	for c := prometheus.CauseUnknown; c <= prometheus.CauseLiteral; c++ {
		got = append(got, c.String())
	}
	for word := range words {
		want = append(want, word)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes (-SQL +Go)\n%s", diff)
	}
}

// to returns an IPv4 connection of shop/web to a name.
func (r rig) to(name string) flow.Connection {
	c := r.connection("worker-1")
	c.Destination.Name, c.Last = r.names.Name(name), begin.Add(time.Minute)
	return c
}

func (r rig) wantCauses(t *testing.T, want map[string]int) {
	t.Helper()
	got := map[string]int{}
	for series, value := range r.values(t) {
		if m := regexp.MustCompile(`^sextant_ipv4_egress_connections_total\{cause="([^"]*)"`).FindStringSubmatch(series); m != nil {
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			got[m[1]] += n
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("causes (-want +got)\n%s", diff)
	}
}

// What answers and other connections say decides about the connections that end after them.
func TestCauses(t *testing.T) {
	r := open(t, prometheus.Default())
	r.write(t, r.connections(r.to("www.example"), r.to("")))
	r.wantCauses(t, map[string]int{"unknown": 2})

	mixed := r.answer("WWW.Example.", "AAAA", "192.0.2.1", "2001:db8::1") // names are equal whatever their case (RFC 4343)
	failed := r.answer("broken.example.", "AAAA")
	failed.DNS.RCode = 2
	other := r.answer("a.example.", "A", "192.0.2.1")
	late := r.answer("late.example.", "AAAA", "2001:db8::2")
	late.Time = begin.Add(time.Hour)
	asked := r.answer("question.example.", "AAAA", "2001:db8::2")
	asked.L7Type = flow.L7Request
	r.write(t,
		r.flows(mixed, failed, other, late, asked, r.answer("v4.example.", "AAAA"), r.answer("dns64.example.", "AAAA", "64:ff9b::c000:201")),
		r.connections(r.to("www.example"), r.to("v4.example"), r.to("dns64.example"), r.to("broken.example"), r.to("a.example"),
			r.to("late.example"), r.to("question.example"), r.to("")))
	r.wantCauses(t, map[string]int{"application": 1, "no_aaaa": 2, "unknown": 2 + 4, "literal": 1})

	// Another cluster, namespace or workload knows nothing of what these were told, but what a name has is told to all of the cluster.
	stranger, foreign := r.to("www.example"), r.to("www.example")
	stranger.Source.Endpoint = r.names.Endpoint(flow.Endpoint{Namespace: r.names.Name("shop"), Workload: r.names.Name("other")})
	foreign.Cluster = r.names.Name("elsewhere")
	silent := stranger
	silent.Destination.Name = flow.Name{}
	r.write(t, r.connections(stranger, foreign, silent))
	r.wantCauses(t, map[string]int{"application": 2, "no_aaaa": 2, "unknown": 2 + 4 + 2, "literal": 1})

	// That a question was seen whose answer was an error says nothing.
	lost := r.answer("broken.example.", "A")
	lost.DNS.RCode, lost.Destination.Endpoint = 2, silent.Source.Endpoint
	r.write(t, r.flows(lost), r.connections(silent))
	r.wantCauses(t, map[string]int{"application": 2, "no_aaaa": 2, "unknown": 2 + 4 + 3, "literal": 1})

	// A denied IPv6 attempt and a way through NAT64 say something of the connections beside them.
	denied, nat64 := r.to("www.example"), r.to("64.example")
	denied.Family, denied.Class, denied.Outcome = flow.FamilyIPv6, flow.Native6, flow.Denied
	nat64.Family, nat64.Class = flow.FamilyIPv6, flow.NAT64
	refused := r.to("www.example")
	refused.Outcome = flow.Denied
	inside, native := r.to("www.example"), r.to("www.example")
	inside.Direction = flow.InternalDirection
	native.Family, native.Class = flow.FamilyIPv6, flow.Native6
	r.write(t, r.connections(r.to("www.example"), stranger, r.to("64.example"), denied, nat64, refused, inside, native))
	r.wantCauses(t, map[string]int{"application": 3, "no_aaaa": 4, "unknown": 2 + 4 + 3, "literal": 1, "policy": 1})
}

// What is not said again for a day is forgotten; what is, is not.
func TestFactsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, prometheus.Config{MaxSeries: 100})
		once, often := r.answer("once.example", "AAAA"), r.answer("often.example", "AAAA")
		r.write(t, r.flows(once, often))
		time.Sleep(13 * time.Hour)
		r.write(t, r.connections(r.to("once.example")))
		r.wantCauses(t, map[string]int{"no_aaaa": 1})
		for range 5 {
			time.Sleep(8 * time.Hour)
			r.write(t, r.flows(often))
		}
		r.write(t, r.connections(r.to("once.example"), r.to("often.example")))
		r.wantCauses(t, map[string]int{"no_aaaa": 1 + 1, "unknown": 1})
		r.want(t, map[string]string{"sextant_prometheus_facts_forgotten_total": "0"}) // there was room
	})
}
