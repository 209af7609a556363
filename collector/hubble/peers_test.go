package hubble_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

// cluster is a Peer service and the agents of some nodes, each with flows of its own: node i has 1000*i and on.
type cluster struct {
	t      *testing.T
	peers  *fake
	agents []*fake
}

func newCluster(t *testing.T, nodes int) *cluster {
	t.Helper()
	c := &cluster{t: t, peers: newFake(t, "lab/node-0").serve("[::1]:0", nil)}
	for i := range nodes {
		c.peers.announce(c.add(i))
	}
	return c
}

// add starts the agent of a further node and returns its announcement.
func (c *cluster) add(i int) *peerpb.ChangeNotification {
	c.t.Helper()
	a := newFake(c.t, nodeName(i)).serve("[::1]:0", nil)
	a.send(a.flow(1000 * i))
	c.agents = append(c.agents, a)
	return added(nodeName(i), a.addr)
}

func nodeName(i int) string { return "lab/node-" + string(rune('0'+i)) }

func (c *cluster) follow(slice time.Duration, edit func(*hubble.Config)) *run {
	c.t.Helper()
	return startSlicing(c.t, "localhost:1", slice, func(cfg *hubble.Config) {
		cfg.Peers = c.peers.addr
		if edit != nil {
			edit(cfg)
		}
	})
}

// waitSet waits for just these flows, in any order.
func (r *run) waitSet(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	wait(r.t, "flows", func() bool { return len(r.uuids()) >= len(want) })
	got := r.uuids()
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Fatalf("flows: -want +got\n%s", diff)
	}
}

func TestPeers(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	r := c.follow(time.Minute, nil)
	r.waitSet(id(0), id(1000))
	r.waitReady()
	wait(t, "both to count as connected", func() bool { return r.metric("sextant_hubble_connected_nodes") == 2 })
	r.polls(2) // what is announced from here on is new

	// All that a new node has seen is new.
	joined := c.add(2)
	c.agents[2].send(c.agents[2].flows(2001, 2010)...)
	c.peers.announce(joined)
	want := append([]string{id(0), id(1000)}, ids(2000, 2010)...)
	r.waitSet(want...)

	// A node that has left is followed no more, and missed no more.
	c.peers.announce(deleted(nodeName(1)))
	wait(t, "one to leave", func() bool { return r.metric("sextant_hubble_connected_nodes") == 2 })
	c.agents[1].send(c.agents[1].flow(1001))
	c.agents[0].send(c.agents[0].flow(1))
	r.waitSet(append(want, id(1))...)

	// It comes back, and is resumed.
	c.peers.announce(added(nodeName(1), c.agents[1].addr))
	r.waitSet(append(want, id(1), id(1001))...)

	// A node that has moved is resumed at its new address.
	moved := newFake(t, nodeName(0))
	moved.ring, moved.written, moved.began = c.agents[0].ring, c.agents[0].written, c.agents[0].began
	moved.serve("[::1]:0", nil)
	update := added(nodeName(0), moved.addr)
	update.Type = peerpb.ChangeNotificationType_PEER_UPDATED
	c.peers.announce(update)
	wait(t, "the new address to be asked", func() bool { moved.mu.Lock(); defer moved.mu.Unlock(); return len(moved.requests) > 0 })
	moved.send(moved.flow(2))
	r.waitSet(append(want, id(1), id(1001), id(2))...)
	r.noGaps()
}

// After a reconnect nodes that are not announced again are let go, but not at once; the others are followed on.
func TestPeersResync(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	r := c.follow(time.Minute, nil)
	r.waitSet(id(0), id(1000))
	c.peers.cutPeers(added(nodeName(0), c.agents[0].addr))
	c.agents[1].send(c.agents[1].flow(1001))
	r.waitSet(id(0), id(1000), id(1001))
	wait(t, "the other to be let go", func() bool { return r.metric("sextant_hubble_connected_nodes") == 1 })
	c.agents[0].send(c.agents[0].flow(1))
	r.waitSet(id(0), id(1000), id(1001), id(1))
	c.agents[0].mu.Lock()
	if n := len(c.agents[0].requests); n != 1 {
		t.Errorf("the node that stayed was asked %d times", n)
	}
	c.agents[0].mu.Unlock()
	r.noGaps()
}

// While the Peer service is away the nodes are followed on.
func TestPeersAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	r := c.follow(time.Minute, nil)
	r.waitSet(id(0))
	c.peers.stop()
	wait(t, "the loss to be noticed", func() bool { return strings.Contains(r.log.String(), "not following the Peer service") })
	c.agents[0].send(c.agents[0].flow(1))
	r.waitSet(id(0), id(1))
	if err := r.client.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

// A node that could not be followed until it left was missed.
func TestPeerGoneUnreached(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	r := c.follow(slice, nil)
	r.waitSet(id(0), id(1000))
	c.agents[1].stop()
	wait(t, "a slice", func() bool { return len(r.allGaps()) > 0 })
	c.peers.announce(deleted(nodeName(1)))
	wait(t, "the end", func() bool { gaps := r.allGaps(); return gaps[len(gaps)-1].Cause == flow.GapNodeGone })
	gaps := r.allGaps()
	for i, g := range gaps {
		if g.Node.String() != "node-1" || i > 0 && !g.From.Equal(gaps[i-1].To) {
			t.Errorf("gaps %s", gapTexts(gaps))
		}
	}
	r.polls(4)
	r.waitGaps(len(gaps))
	if err := r.client.Ready(); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

// Nodes beyond the most are told as a gap without a node, and taken in when there is room.
func TestPeersTooMany(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	r := c.follow(slice, func(cfg *hubble.Config) { cfg.MaxNodes = 1 })
	r.waitSet(id(0))
	wait(t, "a gap", func() bool { return len(r.allGaps()) > 0 })
	if g := r.allGaps()[0]; g.Cause != flow.GapNodeUnavailable || !g.Node.IsZero() || !strings.Contains(g.Detail.String(), "max_nodes") {
		t.Errorf("gap %s", gapTexts(r.allGaps()[:1]))
	}
	c.peers.announce(deleted(nodeName(0)))
	wait(t, "room to be used", func() bool { return slices.Contains(r.uuids(), id(1000)) })
}

// Nodes that announce TLS are spoken to with TLS, under the name announced or the one that Cilium gives them.
func TestPeersTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	f := write(t, t.TempDir(), ca, ca)
	hour := time.Now().Add(time.Hour)
	for _, tt := range []struct {
		name, node, holds string
		announce          *peerpb.TLS
		tls               bool
	}{
		{"announced", "lab/node-1", "node-1.lab.hubble-grpc.cilium.io", &peerpb.TLS{ServerName: "node-1.lab.hubble-grpc.cilium.io"}, false},
		{"derived", "lab.example/node-1.example", "node-1-example.lab-example.hubble-grpc.cilium.io", nil, true},
		{"derived without cluster", "node-1", "*.default.hubble-grpc.cilium.io", &peerpb.TLS{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			peers := newFake(t, tt.node).serve(socket(t), nil)
			agent := newFake(t, tt.node).serve("[::1]:0", ca.server(hour, ca, tt.holds))
			agent.send(agent.flow(0))
			n := added(tt.node, agent.addr)
			n.Tls = tt.announce
			peers.announce(n)
			r := start(t, "unix://"+peers.addr, func(c *hubble.Config) { f.mutual(c); c.Peers, c.TLS = "true", tt.tls })
			r.waitSet(id(0))
		})
	}
}

// What keeps all nodes from being followed is said with the first of them.
func TestPeersTrouble(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 0)
	r := c.follow(time.Minute, nil)
	wait(t, "the service to be followed", func() bool { err := r.client.Ready(); return err != nil && strings.Contains(err.Error(), "no node") })
	c.peers.announce(added("lab/node-7", ""))
	wait(t, "the missing address", func() bool {
		err := r.client.Ready()
		return err != nil && strings.Contains(err.Error(), "without an address")
	})
}
