package hubbletest

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	"github.com/cilium/cilium/pkg/hubble/peer"
	"github.com/cilium/cilium/pkg/hubble/peer/serviceoption"
	"github.com/cilium/cilium/pkg/node"
	"github.com/cilium/cilium/pkg/node/addressing"
	"github.com/cilium/cilium/pkg/node/types"
)

// PeerOptions describe what an agent says of the nodes of its cluster.
type PeerOptions struct {
	// Port is the port all nodes listen on; without it addresses have none.
	// Nodes of one test are told apart by address: 127.0.0.1, 127.0.0.2, ….
	Port int
	// TLS adds the name that a node's certificate must have.
	TLS bool
	// PreferIPv6 announces a node's IPv6 address if it has both.
	PreferIPv6 bool
}

// Peers is the peer service of an agent, and the cluster that it tells of. Each
// stream is served by Cilium's own service, which names nodes, picks addresses and
// keeps quiet about changes that are none to a client.
type Peers struct {
	options []serviceoption.Option

	mu    sync.Mutex
	nodes []types.Node
	subs  map[node.Handler]bool
	epoch context.Context // ends at the next Cut
	cut   context.CancelFunc
}

// NewPeers returns the service of a cluster without nodes.
func NewPeers(opts PeerOptions) *Peers {
	p := &Peers{subs: map[node.Handler]bool{}}
	p.epoch, p.cut = context.WithCancel(context.Background())
	p.options = append(p.options, serviceoption.WithHubblePort(opts.Port))
	if !opts.TLS {
		p.options = append(p.options, serviceoption.WithoutTLSInfo())
	}
	if opts.PreferIPv6 {
		p.options = append(p.options, serviceoption.WithAddressFamilyPreference(serviceoption.AddressPreferIPv6))
	}
	return p
}

// Set adds a node ("lab/node-1") or changes its addresses: PEER_ADDED, or
// PEER_UPDATED if the address that clients see has changed.
func (p *Peers) Set(name string, addrs ...string) {
	n := newNode(name, addrs)
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.indexLocked(n); i >= 0 {
		old := p.nodes[i]
		p.nodes[i] = n
		p.tellLocked(func(h node.Handler) error { return h.NodeUpdate(old, n) })
		return
	}
	p.nodes = append(p.nodes, n)
	p.tellLocked(func(h node.Handler) error { return h.NodeAdd(n) })
}

// Delete removes a node: PEER_DELETED.
func (p *Peers) Delete(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.indexLocked(newNode(name, nil)); i >= 0 {
		gone := p.nodes[i]
		p.nodes = slices.Delete(p.nodes, i, i+1)
		p.tellLocked(func(h node.Handler) error { return h.NodeDelete(gone) })
	}
}

// Cut ends every stream that is open now, without an error. A new one begins with
// all nodes, as always.
func (p *Peers) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
	p.epoch, p.cut = context.WithCancel(context.Background())
}

// Notify implements peerpb.PeerServer. Cilium's service does not notice that its
// client has gone, and closes for good, so each stream has one of its own.
func (p *Peers) Notify(req *peerpb.NotifyRequest, stream peerpb.Peer_NotifyServer) error {
	p.mu.Lock()
	epoch := p.epoch
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(epoch, cancel)()

	s := peer.NewService(p, p.options...)
	context.AfterFunc(ctx, func() { s.Close() })
	return s.Notify(req, stream)
}

// Subscribe implements manager.Notifier for Cilium's service.
func (p *Peers) Subscribe(h node.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subs[h] = true
	for _, n := range p.nodes {
		h.NodeAdd(n)
	}
}

// Unsubscribe implements manager.Notifier.
func (p *Peers) Unsubscribe(h node.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.subs, h)
}

// tellLocked tells all subscribers while the lock keeps changes in order. None can
// hold it up: Cilium's handlers return at once when their stream ends.
func (p *Peers) tellLocked(tell func(node.Handler) error) {
	for h := range p.subs {
		tell(h)
	}
}

func (p *Peers) indexLocked(n types.Node) int {
	return slices.IndexFunc(p.nodes, func(m types.Node) bool { return m.Cluster == n.Cluster && m.Name == n.Name })
}

func newNode(name string, addrs []string) types.Node {
	n := types.Node{Name: name}
	if cluster, rest, ok := strings.Cut(name, "/"); ok {
		n.Cluster, n.Name = cluster, rest
	}
	for _, a := range addrs {
		n.IPAddresses = append(n.IPAddresses, types.Address{Type: addressing.NodeInternalIP, IP: net.ParseIP(a)})
	}
	return n
}
