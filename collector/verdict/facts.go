package verdict

import (
	"net/netip"

	"github.com/gaissmai/bart"

	"sextant/collector/flow"
)

// Facts is a Cluster made fit for lookups. It never changes, and is safe for concurrent use. A nil *Facts knows nothing.
type Facts struct {
	cluster  flow.Name
	nodes    map[flow.Name]*node
	others   *node // stands for every node that was not told
	table    bart.Table[*spot]
	policies map[netip.Addr][]*EgressPolicy // by source
	hasNodes bool                           // the addresses of nodes are known
}

type node struct {
	name     flow.Name
	settings Settings
	egress   [3]netip.Addr // by family: the address it is masqueraded to
}

// spot is what stands behind an address or a prefix.
type spot struct {
	kind    PlaceKind
	node    *node
	service flow.Name
	exposed flow.Tristate // a pod that clients outside reach through a service
}

var nothing spot

// PlaceKind is what an address is in a cluster.
type PlaceKind uint8

// Place kinds.
const (
	PlaceUnknown PlaceKind = iota
	PlacePodCIDR           // of a node or of the cluster, and no pod's that is known
	PlacePod
	PlaceEgressGateway // the egress IP of a policy
	PlaceService       // a service's frontend
	PlaceRouter        // a node's cilium_host
	PlaceNode
)

var placeKindNames = []string{"unknown", "pod_cidr", "pod", "egress_gateway", "service", "router", "node"}

func (k PlaceKind) String() string {
	if int(k) >= len(placeKindNames) {
		return placeKindNames[0]
	}
	return placeKindNames[k]
}

// Place is what the facts say of an address.
type Place struct {
	Kind    PlaceKind
	Node    flow.Name // whose it is
	Service flow.Name // "namespace/name"
}

// NewFacts reads a cluster once. A nil cluster gives nil facts. It keeps the cluster's slices, which must not change
// afterwards.
func NewFacts(names *flow.Interner, c *Cluster) *Facts {
	if c == nil {
		return nil
	}
	f := &Facts{
		cluster:  names.Name(c.Name),
		nodes:    make(map[flow.Name]*node, len(c.Nodes)),
		others:   &node{settings: c.Settings},
		policies: map[netip.Addr][]*EgressPolicy{},
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		f.nodes[names.Name(n.Name)] = &node{
			name: names.Name(n.Name), settings: n.Settings,
			egress: [3]netip.Addr{flow.FamilyIPv4: n.Egress(flow.FamilyIPv4), flow.FamilyIPv6: n.Egress(flow.FamilyIPv6)},
		}
		f.hasNodes = f.hasNodes || len(n.Addresses) > 0
	}

	// Of an address that is several things the last one stands: a host's address is the host's, whatever listens on it.
	for _, prefix := range c.PodCIDRs {
		f.table.Insert(prefix.Masked(), &spot{kind: PlacePodCIDR})
	}
	for i := range c.Nodes {
		for _, prefix := range c.Nodes[i].PodCIDRs {
			f.table.Insert(prefix.Masked(), &spot{kind: PlacePodCIDR, node: f.nodes[names.Name(c.Nodes[i].Name)]})
		}
	}
	f.addPods(names, c)
	for i := range c.EgressPolicies {
		policy := &c.EgressPolicies[i]
		for _, a := range policy.Sources {
			f.policies[plain(a)] = append(f.policies[plain(a)], policy)
		}
		f.add(policy.EgressIPs, spot{kind: PlaceEgressGateway})
	}
	for _, s := range c.Services {
		f.add(s.Addresses, spot{kind: PlaceService, service: names.Name(s.Namespace + "/" + s.Name)})
	}
	for i := range c.Nodes {
		f.add(c.Nodes[i].Router, spot{kind: PlaceRouter, node: f.nodes[names.Name(c.Nodes[i].Name)]})
	}
	for i := range c.Nodes {
		f.add(c.Nodes[i].Addresses, spot{kind: PlaceNode, node: f.nodes[names.Name(c.Nodes[i].Name)]})
	}
	return f
}

func (f *Facts) addPods(names *flow.Interner, c *Cluster) {
	exposure := newExposure(c.Services)
	for i := range c.Pods {
		p := &c.Pods[i]
		if p.HostNetwork {
			continue
		}
		where := &spot{kind: PlacePod, node: f.others, exposed: exposure.of(p)}
		if n := f.nodes[names.Name(p.Node)]; n != nil {
			where.node = n
		}
		for _, a := range p.IPs {
			f.insert(a, where)
		}
	}
}

func (f *Facts) add(addrs []netip.Addr, where spot) {
	for _, a := range addrs {
		f.insert(a, &where)
	}
}

func (f *Facts) insert(a netip.Addr, where *spot) {
	if a = plain(a); a.IsValid() {
		f.table.Insert(netip.PrefixFrom(a, a.BitLen()), where)
	}
}

func plain(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }

// Egress returns the address of a family that a node masquerades to, and has itself towards the world; zero where it has
// none.
func (n *Node) Egress(family flow.Family) netip.Addr { return egressOf(n.Addresses, family) }

// egressOf returns the address of a family that a node masquerades to: the first public one, else the first
// (pkg/datapath/loader/netdev.go, pkg/datapath/tables/node_address.go).
func egressOf(addrs []netip.Addr, family flow.Family) netip.Addr {
	var first netip.Addr
	for _, a := range addrs {
		switch a = plain(a); {
		case !a.IsValid() || a.Is4() != (family == flow.FamilyIPv4) || a.IsLinkLocalUnicast():
		case !a.IsPrivate() && !shared.Contains(a):
			return a
		case !first.IsValid():
			first = a
		}
	}
	return first
}

var shared = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// exposure tells which pods clients outside reach through a service.
type exposure struct {
	known     bool
	selectors map[string][]map[string]string // of the services that let them in, by namespace
}

// newExposure knows nothing where no service was told, as every cluster has one, or where one was not told whole.
func newExposure(services []Service) exposure {
	e := exposure{known: len(services) > 0, selectors: map[string][]map[string]string{}}
	for i := range services {
		s := &services[i]
		switch {
		case s.External == flow.Unknown:
			e.known = false
		case s.External == flow.Yes && len(s.Selector) > 0:
			e.selectors[s.Namespace] = append(e.selectors[s.Namespace], s.Selector)
		}
	}
	return e
}

func (e *exposure) of(p *Pod) flow.Tristate {
	for _, selector := range e.selectors[p.Namespace] {
		if selects(selector, p.Labels) {
			return flow.Yes
		}
	}
	if e.known {
		return flow.No
	}
	return flow.Unknown
}

func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// at returns what stands behind an address, never nil.
func (f *Facts) at(a netip.Addr) *spot {
	if f == nil || !a.IsValid() {
		return &nothing
	}
	if where, ok := f.table.Lookup(a); ok {
		return where
	}
	return &nothing
}

// node returns the node that observed a record, or the one that stands for those which were not told. It is nil without
// facts, and for a node of another cluster.
func (f *Facts) node(r *flow.Record) *node {
	switch {
	case f == nil, !f.cluster.IsZero() && !r.Cluster.IsZero() && r.Cluster != f.cluster:
		return nil
	}
	if n := f.nodes[r.Node]; n != nil {
		return n
	}
	return f.others
}

// Of says what an address is in the cluster.
func (f *Facts) Of(a netip.Addr) Place {
	where := f.at(a)
	place := Place{Kind: where.kind, Service: where.service}
	if where.node != nil {
		place.Node = where.node.name
	}
	return place
}

// Settings returns the settings of the node that observed a record, for reading; all are unknown where nothing is known.
func (f *Facts) Settings(r *flow.Record) *Settings {
	if n := f.node(r); n != nil {
		return &n.settings
	}
	return &unknownSettings
}

var unknownSettings Settings

// ShowsNode reports whether a node's own connections to the world show in its flows: whether the program that sees what
// leaves through a device is attached (pkg/option/config.go, AreDevicesRequired). Where it is not, that none shows says
// nothing.
func (s *Settings) ShowsNode() flow.Tristate {
	shows := flow.No
	for _, v := range []flow.Tristate{s.KubeProxyReplacement, s.BPFMasquerade, s.HostFirewall, s.WireGuard, s.IPsec, s.L2Announcements} {
		switch {
		case v == flow.Yes:
			return flow.Yes
		case v == flow.Unknown:
			shows = flow.Unknown
		}
	}
	return shows
}

// PostMasquerade reports whether a record looks like a packet of a pod after iptables masqueraded it: on its way out of
// the node, forward, with the identity of a pod, but the address of a node and no pod's name. Upstream queries of Cilium's
// DNS proxy look the same, so it is no proof by itself. Together with a TO_STACK record of the same identity, destination
// and ports that has the pod's address, it is one.
func (f *Facts) PostMasquerade(r *flow.Record) bool {
	if f == nil || r.ObservationPoint != flow.ToNetwork || r.IsReply == flow.Yes || r.SourceTranslatedIP.IsValid() ||
		r.TunnelProtocol != flow.TunnelNone || r.TCPFlags&(flow.SYN|flow.ACK) == flow.SYN|flow.ACK {
		return false
	}
	source := r.Source.Endpoint.Get()
	return isPod(source.Identity) && source.ID == 0 && source.Pod.IsZero() && f.at(r.Source.IP).ofNode()
}

// ofHost reports whether the address is a node's own.
func (w *spot) ofHost() bool { return w.kind == PlaceNode || w.kind == PlaceRouter }

// ofNode reports whether packets of others may leave a node with the address.
func (w *spot) ofNode() bool { return w.ofHost() || w.kind == PlaceEgressGateway }

// policy returns the egress gateway policy for a connection, or nil.
func (f *Facts) policy(source, destination netip.Addr) *EgressPolicy {
	if f == nil || len(f.policies) == 0 {
		return nil
	}
	for _, policy := range f.policies[source] {
		if contains(policy.Destinations, destination) && !contains(policy.Excluded, destination) {
			return policy
		}
	}
	return nil
}

func contains(prefixes []netip.Prefix, a netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}
