package hubble_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sextant/collector/flow"
)

// A run goes on where another one stopped: what that one stored and its stages know does not come again, what only they do
// not know comes for them alone. Where the ring no longer reaches back, a gap says so.
func TestResumeAnotherRun(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-time.Minute).Truncate(time.Second)
	point := func(i int) flow.Point {
		return flow.Point{Time: began.Add(time.Duration(i) * time.Second), UUID: flow.UUID(uuid.MustParse(id(i)))}
	}
	nameless := func(i int) flow.Point { return flow.Point{Time: point(i).Time} }
	for _, tt := range []struct {
		name        string
		known, sent flow.Point
		held        int // flows that the ring still holds, of 20
		replayed    []string
		flows       []string
		gaps        []string // seconds
	}{
		{"all stored", point(9), point(9), 20, nil, ids(10, 20), nil},
		{"not all known", point(6), point(9), 20, ids(7, 10), ids(10, 20), nil},
		{"nothing new", point(19), point(19), 20, nil, nil, nil},
		{"without identifiers", nameless(6), nameless(9), 20, ids(7, 10), ids(10, 20), nil},
		{"told in another order", flow.Point{Time: point(4).Time, UUID: point(6).UUID}, point(9), 20, ids(7, 10), ids(10, 20), nil},
		{"the ring begins between", point(6), point(9), 12, ids(8, 10), ids(10, 20), []string{"ring_wrapped 6 8"}},
		{"the ring begins behind", point(6), point(9), 8, nil, ids(12, 20), []string{"ring_wrapped 6 12"}},
		{"from its first flow on", flow.Point{Time: point(0).Time.Add(-1)}, point(9), 20, ids(0, 10), ids(10, 20), nil},
		{"never seen before", flow.Point{}, flow.Point{}, 20, nil, ids(19, 20), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
			server.size = tt.held
			for i := range 20 {
				server.send(at(server.flow(i), began.Add(time.Duration(i)*time.Second)))
			}
			var marks []flow.Mark
			if !tt.known.Time.IsZero() {
				names := flow.NewInterner()
				marks = append(marks, flow.Mark{Node: names.Name("node-1"), Cluster: names.Name("lab"), Known: tt.known, Sent: tt.sent})
			}
			r := startSlicing(t, server.addr, time.Minute, nil, marks...)
			r.waitReady()
			server.send(server.flow(20))
			r.waitFlows(slices.Concat(tt.replayed, tt.flows, ids(20, 21)))
			var replayed, gaps []string
			for _, g := range r.allGaps() {
				gaps = append(gaps, fmt.Sprint(g.Cause, g.From.Sub(began).Seconds(), g.To.Sub(began).Seconds()))
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			for i := range r.flows {
				if r.flows[i].Replayed {
					replayed = append(replayed, uuid.UUID(r.flows[i].UUID).String())
				}
			}
			if diff := cmp.Diff(tt.replayed, replayed); diff != "" {
				t.Errorf("replayed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.gaps, gaps); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
		})
	}
}

// Through Relay one position does for all nodes, and each has its own mark.
func TestRelayResumeAnotherRun(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/relay")
	server.nodes = []*observerpb.Node{relayNode("lab/node-1", time.Hour, 100, 50), relayNode("lab/node-2", time.Hour, 100, 50)}
	server.serve("[::1]:0", nil)
	began, names := time.Now().Add(-time.Minute), flow.NewInterner()
	server.send(nodeStatus(relaypb.NodeState_NODE_CONNECTED, "", "lab/node-1", "lab/node-2"))
	var marks []flow.Mark
	for i := range 20 {
		stamp := began.Add(time.Duration(i) * time.Second)
		node := []string{"node-1", "node-2"}[i%2]
		server.send(of(server, "lab/"+node, i, stamp))
		if i == 7 || i == 16 {
			last := flow.Point{Time: stamp, UUID: flow.UUID(uuid.MustParse(id(i)))}
			marks = append(marks, flow.Mark{Node: names.Name(node), Cluster: names.Name("lab"), Known: last, Sent: last})
		}
	}
	r := startSlicing(t, server.addr, time.Minute, nil, marks...)
	var want []string
	for i := 8; i < 20; i++ {
		if i%2 == 1 || i > 16 {
			want = append(want, id(i))
		}
	}
	r.waitFlows(want)
	if since := server.request(0).GetSince().AsTime(); !since.Equal(began.Add(2 * time.Second)) {
		t.Errorf("asked from %s on, want 5s before the mark that is farthest behind", since)
	}
	r.noGaps()
}
