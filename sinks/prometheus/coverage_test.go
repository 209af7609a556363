package prometheus_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"sextant/collector/flow"
	"sextant/sinks/prometheus"
)

// at returns a second of the test's hour.
func at(second int) time.Time { return begin.Add(time.Duration(second) * time.Second) }

func (r rig) watchedFrom(node string, from, to int) *flow.Batch {
	b := r.beat(node)
	b.From, b.To = at(from), at(to)
	return &flow.Batch{Beats: []flow.Beat{b}}
}

func (r rig) missedFrom(node string, from, to int, cause flow.GapCause) *flow.Batch {
	g := r.gap(node, cause)
	g.From, g.To = at(from), at(to)
	return r.gaps(g)
}

func observed(node string) string {
	return `sextant_observed_seconds_total{cluster="default",node="` + node + `"}`
}

// What was observed is what was watched less what was missed, whatever comes first.
func TestObservedSeconds(t *testing.T) {
	r := open(t, prometheus.Default())
	r.write(t, r.watchedFrom("n", 0, 60))
	r.want(t, map[string]string{observed("n"): "60"})
	r.write(t, r.missedFrom("n", 50, 70, flow.GapLostRing), r.watchedFrom("n", 60, 120)) // the gap is told with the beat after it
	r.want(t, map[string]string{observed("n"): "100"})
	r.write(t, r.missedFrom("n", 55, 75, flow.GapRingOverrun)) // overlaps the gap before; owed, for what was counted stays
	r.want(t, map[string]string{observed("n"): "100"})
	r.write(t, r.watchedFrom("n", 120, 180))
	r.want(t, map[string]string{observed("n"): "155"})
	r.write(t, r.missedFrom("n", 180, 240, flow.GapNodeUnavailable), r.watchedFrom("n", 240, 300)) // where nobody watched nothing is lost
	r.want(t, map[string]string{observed("n"): "215"})
	r.write(t, r.watchedFrom("n", 200, 300)) // another collector saw more, and some of it again; not what the gap says
	r.want(t, map[string]string{observed("n"): "215"})
	r.write(t, r.missedFrom("n", 0, 300, flow.GapHidden), r.watchedFrom("n", 300, 310)) // its pods were seen
	r.want(t, map[string]string{observed("n"): "225"})

	// A gap that is tied to no node is every node's, also of one that is heard of only then, but no other cluster's.
	all := r.missedFrom("", 310, 315, flow.GapQueueFull)
	r.write(t, all)
	foreign := r.watchedFrom("f", 310, 320)
	foreign.Beats[0].Cluster = r.names.Name("elsewhere")
	r.write(t, r.watchedFrom("n", 310, 320), r.watchedFrom("m", 310, 320), foreign)
	r.want(t, map[string]string{observed("n"): "230", observed("m"): "5", `sextant_observed_seconds_total{cluster="elsewhere",node="f"}`: "10"})

	// One that was never watched counts as a node, of which nothing was seen.
	r.write(t, r.missedFrom("dead", 0, 300, flow.GapNodeUnavailable))
	r.want(t, map[string]string{observed("dead"): "0"})
}

// Against a count second by second, in any order: once beats come that no gap lies in, all debts are paid.
func TestObservedSecondsModel(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		r := open(t, prometheus.Default())
		const length = 200
		var watched, missed [length]bool
		for range 15 {
			from := random.IntN(length)
			to := min(length, from+1+random.IntN(40))
			node, cause := "n", flow.GapLostRing
			if random.IntN(4) == 0 {
				node = ""
			}
			if random.IntN(2) == 0 {
				r.write(t, r.watchedFrom("n", from, to))
				for i := from; i < to; i++ {
					watched[i] = true
				}
				continue
			}
			r.write(t, r.missedFrom(node, from, to, cause))
			for i := from; i < to; i++ {
				missed[i] = true
			}
		}
		want := 1000
		for i := range length {
			if watched[i] && !missed[i] {
				want++
			}
		}
		r.write(t, r.watchedFrom("n", length, length+1000))
		got, err := strconv.ParseFloat(r.values(t)[observed("n")], 64)
		if err != nil || math.Abs(got-float64(want)) > 1e-6 {
			t.Errorf("seed %d: %v seconds, want %d", seed, got, want)
		}
	}
}

// Nodes and clusters without end take no more room than there is, and no node is told apart from another wrongly.
func TestObservedSecondsAreBounded(t *testing.T) {
	r := open(t, prometheus.Config{MaxSeries: 2})
	for n := range 5 {
		r.write(t, r.watchedFrom(fmt.Sprint("n-", n), 0, 60))
		g := r.missedFrom("", 0, 60, flow.GapQueueFull)
		g.Gaps[0].Cluster = r.names.Name(fmt.Sprint("c-", n))
		r.write(t, g)
	}
	for n := range 1000 { // of gaps without end the last 32 are remembered
		r.write(t, r.missedFrom("n-0", 100+2*n, 101+2*n, flow.GapLostRing))
	}
	r.write(t, r.watchedFrom("n-0", 100, 2100))
	r.want(t, map[string]string{
		observed("n-0"): "2028", observed("n-1"): "60", observed("n-2"): "", `sextant_observed_seconds_total{cluster="~other",node="~other"}`: "",
		`sextant_prometheus_series_overflow_total{metric="sextant_observed_seconds_total"}`: "6",
	})
}

// A node that left is not expected any more, however it is known; one that is silent is.
func TestNodesThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, prometheus.Default())
		listed := func(minute int, nodes ...string) *flow.Batch {
			b := &flow.Batch{}
			for _, n := range nodes {
				b.Items = append(b.Items, flow.Item{Time: at(60 * minute), Cluster: r.names.Name("default"), Kind: flow.ItemNode, Family: flow.FamilyIPv6, Name: r.names.Name(n)})
			}
			return b
		}
		everybody := []string{"stays", "silent", "said", "back", "unlisted"}
		for _, n := range everybody {
			r.write(t, r.flows(r.flow(n)), r.watchedFrom(n, 0, 60))
		}
		r.write(t, listed(0, everybody...))
		time.Sleep(time.Minute)
		r.write(t, r.watchedFrom("stays", 60, 120), r.missedFrom("said", 60, 60, flow.GapNodeGone), r.missedFrom("back", 60, 60, flow.GapNodeGone))
		r.write(t, listed(1, "stays", "silent", "said", "back"))
		time.Sleep(5 * time.Minute)
		r.want(t, map[string]string{observed("said"): "60", observed("unlisted"): "60"})                    // a last scrape may have them
		r.write(t, r.watchedFrom("back", 240, 300), r.flows(r.flow("said")), r.watchedFrom("said", 50, 60)) // what comes late is no sign of life
		time.Sleep(11 * time.Minute)
		r.want(t, map[string]string{observed("stays"): "120", observed("silent"): "60", observed("back"): "120", observed("said"): "", observed("unlisted"): ""})
		for _, n := range []string{"said", "unlisted"} {
			r.want(t, map[string]string{`sextant_last_flow_timestamp_seconds{cluster="default",node="` + n + `"}`: ""})
		}
	})
}
