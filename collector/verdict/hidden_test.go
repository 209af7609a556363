package verdict_test

import (
	"testing"
	"time"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// TestHidden: what a node's settings hide is a gap, from its first flow to its last, and only where they are known to.
func TestHidden(t *testing.T) {
	hides := verdict.Settings{
		KubeProxyReplacement: flow.No, BPFMasquerade: flow.No, HostFirewall: flow.No, WireGuard: flow.No, IPsec: flow.No,
		L2Announcements: flow.No, Aggregation: "medium",
	}
	shows, tells, doubtful, untold := hides, hides, hides, hides
	shows.HostFirewall = flow.Yes
	tells.Aggregation = "none"
	doubtful.WireGuard = flow.Unknown
	untold.Aggregation = ""
	cluster := &verdict.Cluster{}
	for name, settings := range map[string]verdict.Settings{"hides": hides, "shows": shows, "tells": tells, "doubtful": doubtful, "untold": untold} {
		cluster.Nodes = append(cluster.Nodes, verdict.Node{Name: name, Settings: settings})
	}
	names := flow.NewInterner()
	judge := verdict.New(names, verdict.Prefixes{})
	stage := verdict.NewHidden(names, judge)
	begin := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	batch := func(seconds int) *flow.Batch {
		b := &flow.Batch{}
		for _, node := range []string{"hides", "shows", "tells", "doubtful", "untold", "stranger"} {
			b.Records = append(b.Records, flow.Record{Node: names.Name(node), Cluster: names.Name("lab"), Time: begin.Add(time.Duration(seconds) * time.Second)})
		}
		return b
	}
	gaps := func(end bool) []flow.Gap {
		var b flow.Batch
		stage.Flush(&b, end)
		return b.Gaps
	}
	want := func(gaps []flow.Gap, from, to int) {
		t.Helper()
		if len(gaps) != 1 || gaps[0].Node != names.Name("hides") || gaps[0].Cause != flow.GapHidden || gaps[0].Count.Known ||
			!gaps[0].From.Equal(begin.Add(time.Duration(from)*time.Second)) || !gaps[0].To.Equal(begin.Add(time.Duration(to)*time.Second)) {
			t.Errorf("got %+v, want one gap of the node that hides, from %d to %d s", gaps, from, to)
		}
	}

	stage.Process(batch(0))
	if g := gaps(true); len(g) != 0 {
		t.Errorf("without facts: %+v", g)
	}
	judge.SetFacts(verdict.NewFacts(names, cluster))
	stage.Process(batch(0))
	stage.Process(batch(30))
	if g := gaps(false); len(g) != 0 {
		t.Errorf("after half a minute: %+v", g)
	}
	stage.Process(batch(90))
	want(gaps(false), 0, 90)
	stage.Process(batch(100))
	want(gaps(true), 90, 100)
	if g := gaps(true); len(g) != 0 {
		t.Errorf("told twice: %+v", g)
	}
	known := batch(100)
	if n := testing.AllocsPerRun(100, func() { stage.Process(known) }); n != 0 {
		t.Errorf("%v allocations for nodes that are known", n)
	}
}
