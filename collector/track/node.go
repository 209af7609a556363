package track

import (
	"sync"
	"sync/atomic"

	"sextant/collector/flow"
)

// node is an observing node. Each has a clock of its own: one whose time is wrong must not age the connections of others.
type node struct {
	newest    atomic.Int64 // time of its newest flow, in nanoseconds …
	heard     atomic.Int64 // … and when that came, in our time
	toNetwork atomic.Bool  // it shows packets that leave through its device, its own connections among them

	mu    sync.Mutex
	ports [256]lastPort
}

// now is the node's clock at a moment of our time: its newest flow's time, and what has passed since. It never goes back:
// should the node's own once have been far ahead, this one goes on from there.
func (n *node) now(wall moment) moment {
	newest := n.newest.Load()
	return moment(newest + max(0, int64(wall)-n.heard.Load()))
}

// see notes a flow of the node.
func (n *node) see(r *flow.Record, wall moment) {
	if at := int64(momentOf(r.Time)); at > n.newest.Load() {
		n.newest.Store(at)
		n.heard.Store(int64(wall))
	}
	if r.ObservationPoint == flow.ToNetwork && r.TunnelProtocol == flow.TunnelNone && !n.toNetwork.Load() {
		n.toNetwork.Store(true)
	}
}

// lastPort is the port of the last connection from one address to another.
type lastPort struct {
	ends uint64
	port uint16
}

// left notes that a packet left its pod. The packet's next flow may be Cilium's word that its source was translated, with
// the pod's address but already with the new port.
func (n *node) left(ends uint64, port uint16) {
	n.mu.Lock()
	n.ports[ends%uint64(len(n.ports))] = lastPort{ends, port}
	n.mu.Unlock()
}

// leftLast returns the port of the packet that last went between these ends.
func (n *node) leftLast(ends uint64) (port uint16, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.ports[ends%uint64(len(n.ports))]
	return p.port, p.ends == ends
}

// nodes are the nodes seen so far.
type nodes struct {
	mu    sync.RWMutex
	known map[nodeName]*node
}

type nodeName struct{ node, cluster flow.Name }

// maxNodes bounds their number; further ones share one clock.
const maxNodes = 1 << 14

func (ns *nodes) of(r *flow.Record) *node {
	name := nodeName{r.Node, r.Cluster}
	ns.mu.RLock()
	n := ns.known[name]
	ns.mu.RUnlock()
	if n != nil {
		return n
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if len(ns.known) >= maxNodes {
		name = nodeName{}
	}
	if n = ns.known[name]; n == nil {
		n = &node{}
		if ns.known == nil {
			ns.known = map[nodeName]*node{}
		}
		ns.known[name] = n
	}
	return n
}
