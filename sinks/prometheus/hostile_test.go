package prometheus_test

import (
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sextant/collector/flow"
	"sextant/sinks/prometheus"
)

// of returns an IPv4 connection of a workload.
func (r rig) of(namespace, workload string) flow.Connection {
	c := r.connection("worker-1")
	c.Source.Endpoint = r.names.Endpoint(flow.Endpoint{Namespace: r.names.Name(namespace), Workload: r.names.Name(workload)})
	return c
}

func (r rig) series(t *testing.T) (all int, byName map[string]int) {
	t.Helper()
	byName = map[string]int{}
	for series := range r.values(t) {
		name, _, _ := strings.Cut(series, "{")
		byName[name]++
		all++
	}
	return all, byName
}

// A million nodes, and a hundred thousand namespaces, registries and names, each seen once, leave a page and a memory that are as large as after
// the first thousand, and sums that are right.
func TestMillionNames(t *testing.T) {
	const limit, million, step = 50, 1_000_000, 5_000
	r := open(t, prometheus.Config{MaxSeries: limit, FullestBuckets: 5})
	var early, late runtime.MemStats
	size := 0
	c := r.connection("worker-1")
	c.FallbackOf, c.AvoidableIPv4 = flow.UUID{1}, true
	var few [1000]flow.Name // a million pairs of them
	for n := range few {
		few[n] = r.names.Name("few-" + strconv.Itoa(n))
	}
	for from := 0; from < million; from += step {
		b := &flow.Batch{}
		for n := from; n < from+step; n++ {
			c.Cluster, c.Node = few[n/len(few)], few[n%len(few)]
			if n%10 != 0 {
				b.Connections = append(b.Connections, c)
				continue
			}
			name := r.names.Name("evil-" + strconv.Itoa(n))
			evil := c
			evil.Source.Endpoint, evil.Destination.Name = r.names.Endpoint(flow.Endpoint{Namespace: name, Workload: name}), name
			b.Connections = append(b.Connections, evil)
			f := r.answer(name.String(), "AAAA")
			f.Node, f.DropReason, f.DropCode = name, name, 188
			p := r.pull(name.String(), flow.Pulled)
			g, u := r.gap(name.String(), flow.GapLostRing), r.charge()
			g.Cluster, u.Service = name, name
			b.Records, b.Pulls = append(b.Records, f), append(b.Pulls, p)
			b.Gaps, b.Charges, b.Beats = append(b.Gaps, g), append(b.Charges, u), append(b.Beats, r.beat(name.String()))
		}
		r.write(t, b)
		if from == 50*step || from == million-step { // by then what is remembered of names is full
			all, byName := r.series(t)
			if size != 0 && all != size {
				t.Errorf("%d series, before there were %d", all, size)
			}
			size = all
			for name, n := range byName {
				buckets := 1
				if strings.HasSuffix(name, "_bucket") {
					buckets = 10
				}
				if n > (limit+1)*buckets {
					t.Errorf("%s has %d series", name, n)
				}
			}
			stats := &early
			if from != 50*step {
				stats = &late
			}
			b = nil
			runtime.GC()
			runtime.ReadMemStats(stats)
		}
	}
	if late.HeapAlloc > early.HeapAlloc+16<<20 {
		t.Errorf("the heap has grown from %d to %d MB", early.HeapAlloc>>20, late.HeapAlloc>>20)
	}
	r.want(t, map[string]string{
		`sextant_connections_total{class="~other",class_evidence="~other",cluster="~other",direction="~other",family="~other",node="~other",outcome="~other"}`: fmt.Sprint(million - limit),
		`sextant_prometheus_series_overflow_total{metric="sextant_connections_total"}`:                                                                         fmt.Sprint(million - limit),
		`sextant_translation_failures_total{cluster="~other",drop_reason="~other",family="~other",node="~other"}`:                                              fmt.Sprint(million/10 - limit),
		`sextant_rate_limit_uses_total{cluster="~other",evidence="~other",family="~other",measure="~other",service="~other",side="~other"}`:                    fmt.Sprint(million/10 - limit),
	})
	for _, metric := range []string{prometheus.MetricFallbacksTotal, prometheus.MetricAvoidableIPv4ConnectionsTotal, prometheus.MetricFallbackDelaySeconds + "_count"} {
		sum := 0
		for series, value := range r.values(t) {
			if strings.HasPrefix(series, metric+"{") {
				n, _ := strconv.Atoi(value)
				sum += n
			}
		}
		if sum != million {
			t.Errorf("%s adds up to %d", metric, sum)
		}
	}
}

// Two metrics with the same labels have nothing to do with each other: neither their values nor their room.
func TestSameLabels(t *testing.T) {
	r := open(t, prometheus.Config{MaxSeries: 2})
	avoidable, retry := r.of("a", "w"), r.of("b", "w")
	avoidable.AvoidableIPv4, retry.FallbackOf = true, flow.UUID{1}
	in := r.of("c", "w")
	in.Direction, in.Destination.Endpoint, in.AvoidableIPv4 = flow.IngressDirection, in.Source.Endpoint, true
	r.write(t, r.connections(avoidable, avoidable, retry, in))
	of := func(metric, namespace, workload string) string {
		return metric + `{cluster="default",namespace="` + namespace + `",workload="` + workload + `"}`
	}
	r.want(t, map[string]string{
		of(prometheus.MetricAvoidableIPv4ConnectionsTotal, "a", "w"): "2", of(prometheus.MetricAvoidableIPv4ConnectionsTotal, "b", "w"): "0",
		of(prometheus.MetricFallbacksTotal, "a", "w"): "0", of(prometheus.MetricFallbacksTotal, "b", "w"): "1",
		of(prometheus.MetricFallbacksTotal, "c", "w"):                                           "", // who is asked from outside has no choice
		`sextant_prometheus_series_overflow_total{metric="sextant_workload_connections_total"}`: "1",
		`sextant_prometheus_series_overflow_total{metric="sextant_fallbacks_total"}`:            "0",
		`sextant_workload_connections_total{class="~other",class_evidence="~other",cluster="~other",direction="~other",family="~other",namespace="~other",outcome="~other",side="~other",traffic="~other",workload="~other"}`: "1",
	})
}

// Whose connection it is: of who is asked from outside, or else of who asks.
func TestOwnEnd(t *testing.T) {
	r := open(t, prometheus.Default())
	out, in, ping, dns := r.of("shop", "web"), r.of("", ""), r.of("shop", "web"), r.of("shop", "web")
	out.Source.Side, out.Destination.Side = flow.SidePod, flow.SideWorld
	in.Source.Side, in.Destination.Side, in.Direction = flow.SideWorld, flow.SidePod, flow.IngressDirection
	in.Destination.Endpoint = r.names.Endpoint(flow.Endpoint{Namespace: r.names.Name("front"), Workload: r.names.Name("gate")})
	ping.Protocol, dns.Destination.Port = flow.ICMP, 53
	r.write(t, r.connections(out, in, ping, dns))
	found := map[string]bool{}
	for series := range r.values(t) {
		if m := regexp.MustCompile(`^sextant_workload_connections_total\{.*direction="(\w+)".*namespace="(\w+)".*side="(\w+)",traffic="(\w+)",workload="(\w+)"`).FindStringSubmatch(series); m != nil {
			found[strings.Join(m[1:], " ")] = true
		}
	}
	for _, want := range []string{"egress shop pod other web", "ingress front pod other gate", "egress shop unknown ping web", "egress shop unknown dns web"} {
		if !found[want] {
			t.Errorf("no series %s in %v", want, found)
		}
	}
}

// The series of a workload go together when nobody has heard of it for long, those of a namespace when nobody has heard of
// any of its workloads.
func TestGoneWorkloadsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, prometheus.Config{MaxSeries: 100, WorkloadTTL: time.Hour})
		retry := func(namespace, workload string) flow.Connection {
			c := r.of(namespace, workload)
			c.FallbackOf = flow.UUID{1}
			return c
		}
		rare := retry("ci", "stays")
		r.write(t, r.connections(retry("ci", "job-1"), rare, retry("gone", "job-1"), retry("", "")))
		time.Sleep(59 * time.Minute)
		r.write(t, r.connections(r.of("ci", "stays"))) // another metric than that of fallbacks
		time.Sleep(2 * time.Minute)
		of := func(metric, labels string) string { return metric + `{cluster="default",` + labels + `}` }
		r.want(t, map[string]string{
			of(prometheus.MetricFallbacksTotal, `namespace="ci",workload="stays"`):   "1",
			of(prometheus.MetricFallbacksTotal, `namespace="ci",workload="job-1"`):   "",
			of(prometheus.MetricFallbacksTotal, `namespace="gone",workload="job-1"`): "",
			of(prometheus.MetricFallbacksTotal, `namespace="",workload=""`):          "1", // of nobody that could be gone
			of(prometheus.MetricFallbackDelaySeconds+"_count", `namespace="ci"`):     "2",
			of(prometheus.MetricFallbackDelaySeconds+"_count", `namespace="gone"`):   "",
			of(prometheus.MetricConnectionsTotal, `node="worker-1"`):                 "",
			of(prometheus.MetricIPv4EgressConnectionsTotal, `namespace="gone"`):      "",
		})
		for series := range r.values(t) {
			if strings.Contains(series, `namespace="gone"`) || strings.Contains(series, `workload="job-1"`) {
				t.Errorf("%s is still there", series)
			}
		}
		r.write(t, r.connections(retry("gone", "job-1"))) // it comes back from nothing
		r.want(t, map[string]string{
			of(prometheus.MetricFallbacksTotal, `namespace="gone",workload="job-1"`): "1",
			of(prometheus.MetricFallbackDelaySeconds+"_count", `namespace="gone"`):   "1",
		})
	})
}

// A Prometheus that can read native histograms gets one.
func TestNativeHistogram(t *testing.T) {
	r := open(t, prometheus.Default())
	for _, ms := range []uint32{1, 250, 250, 30_000, 4_000_000_000} {
		c := r.of("shop", "web")
		c.FallbackOf, c.FallbackMs = flow.UUID{1}, ms
		r.write(t, r.connections(c))
	}
	families, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == prometheus.MetricFallbackDelaySeconds {
			h := f.GetMetric()[0].GetHistogram()
			if h.Schema == nil || len(h.GetPositiveSpan()) == 0 || h.GetSampleCount() != 5 || len(h.GetBucket()) == 0 {
				t.Errorf("no native histogram with classic buckets: %v", h)
			}
			return
		}
	}
	t.Error("there is no histogram")
}
