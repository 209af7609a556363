package hubble

import (
	"testing"
	"time"

	"sextant/collector/flow"
)

// What comes at once is out of the ring, and how old it is says nothing of clocks.
func TestSampleTellsLiveFlows(t *testing.T) {
	names, now := flow.NewInterner(), time.Now()
	node, samples := NodeName{Node: names.Name("node-1")}, map[NodeName]*Sample{}
	for _, f := range []struct{ age, after time.Duration }{{time.Hour, 0}, {time.Minute, time.Second}, {3 * time.Second, 2 * time.Second}, {5 * time.Second, 3 * time.Second}} {
		take(samples, 1, &Event{Kind: KindFlow, Node: node.Node}, &flow.Record{Time: now.Add(-f.age)}, f.after, now)
	}
	take(samples, 1, &Event{Kind: KindFlow, Node: names.Name("one too many")}, &flow.Record{Time: now}, 0, now)
	take(samples, 1, &Event{Kind: KindStatus, Node: node.Node}, &flow.Record{}, 0, now)
	s := samples[node]
	if len(samples) != 1 || s.Flows != 4 || s.Live != 2 || s.Offset != -3*time.Second || !s.Oldest.Equal(now.Add(-time.Hour)) {
		t.Errorf("%d nodes, %+v", len(samples), s)
	}
}
