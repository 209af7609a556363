package hubble_test

import (
	"strings"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

// of returns flow i as of another node and time.
func of(f *fake, node string, i int, t time.Time) *observerpb.GetFlowsResponse {
	m := at(f.flow(i), t)
	m.NodeName, m.GetFlow().NodeName = node, node
	return m
}

// behindRelay returns a relay with two nodes of one flow each, and a client that has both.
func behindRelay(t *testing.T, slice time.Duration) (*fake, *run) {
	t.Helper()
	server := newFake(t, "lab/relay")
	server.nodes = []*observerpb.Node{relayNode("lab/node-1", time.Hour, 100, 50), relayNode("lab/node-2", time.Hour, 100, 50)}
	server.serve("[::1]:0", nil)
	now := time.Now()
	server.send(nodeStatus(relaypb.NodeState_NODE_CONNECTED, "", "lab/node-1", "lab/node-2"),
		of(server, "lab/node-1", 0, now.Add(-time.Minute)), of(server, "lab/node-2", 1, now))
	r := startSlicing(t, server.addr, slice, func(c *hubble.Config) { c.Since = "1h" })
	r.waitFlows(ids(0, 2))
	r.waitReady()
	return server, r
}

// Through Relay a stream is resumed from the node that is farthest behind, and repeated flows are told apart per node.
func TestRelayResume(t *testing.T) {
	t.Parallel()
	server, r := behindRelay(t, time.Minute)
	server.mu.Lock()
	oldest := server.ring[1].GetTime().AsTime()
	server.mu.Unlock()
	server.cut(nil)
	if got := server.request(1).GetSince().AsTime(); !got.Equal(oldest.Add(-5 * time.Second)) {
		t.Errorf("resumed from %s, want 5s before %s", got, oldest)
	}
	now := time.Now()
	server.send(of(server, "lab/node-1", 2, now), of(server, "lab/node-2", 3, now))
	r.waitFlows(ids(0, 4))
	r.noGaps()
	if got := r.metric("sextant_hubble_connected_nodes"); got != 2 {
		t.Errorf("connected_nodes is %v", got)
	}
}

// Without a position "now" is asked for by time, because Relay asks nodes that come back the same again.
func TestRelayNow(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/relay")
	server.nodes = []*observerpb.Node{relayNode("lab/node-1", time.Hour, 100, 50)}
	server.serve("[::1]:0", nil)
	began := time.Now()
	r := start(t, server.addr, nil)
	first := server.request(0)
	if since := first.GetSince().AsTime(); first.GetSince() == nil || since.After(began) || since.Before(began.Add(-time.Minute)) {
		t.Errorf("asked for %v", first)
	}
	r.waitReady()
	server.cut(nil)
	if again := server.request(1); again.GetSince() == nil || again.GetSince().AsTime().After(began) {
		t.Errorf("asked again for %v", again)
	}
}

// A number is no position for a node that comes back to Relay.
func TestRelayRejoin(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/relay")
	server.nodes = []*observerpb.Node{relayNode("lab/node-1", time.Hour, 100, 50)}
	server.serve("[::1]:0", nil)
	server.send(server.flows(0, 5)...)
	r := start(t, server.addr, func(c *hubble.Config) { c.Last = 5 })
	r.waitFlows(ids(0, 5))
	server.send(nodeStatus(relaypb.NodeState_NODE_ERROR, "EOF", "lab/node-1"))
	if again := server.request(1); again.GetSince() == nil {
		t.Errorf("asked again for %v", again)
	}
}

// What Relay says of a node that lasts is told as a gap, and ends with the node's next flow.
func TestRelayNodeUnavailable(t *testing.T) {
	t.Parallel()
	server, r := behindRelay(t, slice)
	server.relays(relayNode("lab/node-1", time.Hour, 100, 50), &observerpb.Node{Name: "lab/node-2", State: relaypb.NodeState_NODE_UNAVAILABLE})
	server.send(nodeStatus(relaypb.NodeState_NODE_ERROR, "error reading from server: EOF", "lab/node-2"))
	wait(t, "two slices", func() bool { return len(r.allGaps()) >= 2 })
	for i, g := range r.allGaps() {
		if g.Cause != flow.GapNodeUnavailable || g.Node.String() != "node-2" || !strings.Contains(g.Detail.String(), "EOF") {
			t.Errorf("gap %s", gapTexts(r.allGaps()[i:i+1]))
		}
	}
	server.relays(relayNode("lab/node-1", time.Hour, 100, 50), relayNode("lab/node-2", time.Hour, 100, 50))
	server.send(of(server, "lab/node-2", 2, time.Now()))
	r.waitFlows(ids(0, 3))
	r.polls(1)
	n := len(r.allGaps())
	r.polls(5)
	r.waitGaps(n)
}

// Relay holds errors back for a while. One about a node that is back already is none.
func TestRelayLateError(t *testing.T) {
	t.Parallel()
	server, r := behindRelay(t, slice)
	server.locked(func() { server.noNodes = true }) // which would say that the node is connected
	late := nodeStatus(relaypb.NodeState_NODE_ERROR, "EOF", "lab/node-2")
	late.Time = timestamppb.New(time.Now().Add(-10 * time.Second))
	server.send(late)
	r.polls(2)
	r.noGaps()
}

// An outage ends with the node's next flow.
func TestRelayFlowEndsOutage(t *testing.T) {
	t.Parallel()
	server, r := behindRelay(t, slice)
	server.locked(func() { server.noNodes = true })
	time.Sleep(5 * time.Millisecond)
	server.send(nodeStatus(relaypb.NodeState_NODE_ERROR, "EOF", "lab/node-2"))
	wait(t, "a slice", func() bool { return len(r.allGaps()) > 0 })
	server.send(of(server, "lab/node-2", 2, time.Now()))
	r.waitFlows(ids(0, 3))
	n := len(r.allGaps())
	r.polls(5)
	r.waitGaps(n)
}

// A quiet node is no outage when Relay is connected to it again.
func TestRelayConnectedEndsOutage(t *testing.T) {
	t.Parallel()
	server, r := behindRelay(t, slice)
	time.Sleep(5 * time.Millisecond)
	server.send(nodeStatus(relaypb.NodeState_NODE_ERROR, "EOF", "lab/node-2"))
	r.polls(3)
	r.noGaps()
}

// A short failure after which the node goes on is no gap: Relay has it send again what its ring holds.
func TestRelayShortError(t *testing.T) {
	t.Parallel()
	server, r := behindRelay(t, time.Minute)
	time.Sleep(5 * time.Millisecond)
	server.send(nodeStatus(relaypb.NodeState_NODE_ERROR, "EOF", "lab/node-2"), of(server, "lab/node-2", 1, time.Now()), of(server, "lab/node-2", 2, time.Now()))
	r.waitFlows(ids(0, 3))
	r.noGaps()
}

// A node's agent that restarts behind Relay is found by its numbers, once.
func TestRelayAgentRestart(t *testing.T) {
	t.Parallel()
	server, r := behindRelay(t, time.Minute)
	r.polls(2)
	server.send(nodeStatus(relaypb.NodeState_NODE_ERROR, "EOF", "lab/node-2"))
	server.relays(relayNode("lab/node-1", time.Hour, 100, 50), relayNode("lab/node-2", 50*time.Millisecond, 3, 50))
	restarted := time.Now()
	g := r.waitGaps(1)[0]
	if g.Cause != flow.GapAgentRestart || g.Node.String() != "node-2" {
		t.Errorf("gap %s", gapTexts([]flow.Gap{g}))
	}
	if !g.From.Equal(r.flows[1].Time) || g.To.Before(restarted.Add(-time.Second)) || g.To.After(time.Now()) {
		t.Errorf("gap from %s to %s, want from %s to %s", g.From, g.To, r.flows[1].Time, restarted)
	}
	server.relays(relayNode("lab/node-1", time.Hour, 100, 50), relayNode("lab/node-2", time.Minute, 4, 50))
	server.send(of(server, "lab/node-2", 2, time.Now()))
	r.waitFlows(ids(0, 3))
	r.polls(5)
	r.waitGaps(1)
}

// Where flows of the new agent came before its numbers, the gap begins with what was known before.
func TestRelayAgentRestartFlowsFirst(t *testing.T) {
	t.Parallel()
	server, r := behindRelay(t, time.Minute)
	r.polls(2)
	server.locked(func() {
		server.nodes = []*observerpb.Node{relayNode("lab/node-1", time.Hour, 100, 50), relayNode("lab/node-2", time.Second, 3, 50)}
		server.ring = append(server.ring, of(server, "lab/node-2", 2, time.Now()))
		server.written++
	})
	r.waitFlows(ids(0, 3))
	if g := r.waitGaps(1)[0]; g.Cause != flow.GapAgentRestart || !g.From.Equal(r.flows[1].Time) {
		t.Errorf("gap %s", gapTexts([]flow.Gap{g}))
	}
}

// A ring that wrapped while Relay was away is told for its node alone.
func TestRelayRingWrapped(t *testing.T) {
	t.Parallel()
	server, r := behindRelay(t, time.Minute)
	r.polls(2)
	server.cut(nil)
	server.stop()
	_ = r.waitTrouble()
	time.Sleep(5 * time.Millisecond)
	now := time.Now()
	server.locked(func() {
		server.ring = []*observerpb.GetFlowsResponse{
			server.ring[1], of(server, "lab/node-1", 2, now), of(server, "lab/node-2", 3, now),
		}
		server.nodes = []*observerpb.Node{relayNode("lab/node-1", time.Hour, 110, 50), relayNode("lab/node-2", time.Hour, 1000, 50)}
	})
	server.locked(func() {
		for _, n := range server.nodes {
			n.NumFlows = 50
		}
	})
	server.again()
	r.waitFlows(ids(0, 4))
	g := r.waitGaps(1)[0]
	if g.Cause != flow.GapRingWrapped || g.Node.String() != "node-2" || !g.To.Equal(now.Truncate(0).UTC()) {
		t.Errorf("gap %s", gapTexts([]flow.Gap{g}))
	}
	r.polls(3)
	r.waitGaps(1)
}

// A node that could not be followed until it left was missed until then; one that was followed was not.
func TestRelayNodeGone(t *testing.T) {
	t.Parallel()
	server, r := behindRelay(t, slice)
	server.relays(relayNode("lab/node-1", time.Hour, 100, 50), &observerpb.Node{Name: "lab/node-2", State: relaypb.NodeState_NODE_UNAVAILABLE})
	wait(t, "a slice", func() bool { return len(r.allGaps()) >= 1 })
	server.relays() // node-1 was followed to its end
	wait(t, "the end", func() bool {
		gaps := r.allGaps()
		return gaps[len(gaps)-1].Cause == flow.GapNodeGone
	})
	for _, g := range r.allGaps() {
		if g.Node.String() != "node-2" {
			t.Errorf("gap %s", gapTexts([]flow.Gap{g}))
		}
	}
}
