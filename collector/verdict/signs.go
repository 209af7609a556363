package verdict

import (
	"net/netip"

	"sextant/collector/flow"
)

// signs are what a record and the facts show. Each rule asks for some and refuses others.
type signs uint64

// Where something may be yes, no or unknown there are two signs, of which unknown has neither.
const (
	noAddresses signs = 1 << iota // neither end has one
	dropped46                     // dropped while IPv4 was translated to IPv6
	dropped64                     // dropped while IPv6 was translated to IPv4
	droppedXlat                   // dropped because neither is enabled
	linkBound                     // no router forwards it
	toMany                        // multicast or broadcast
	linkLocal4                    // an IPv4 link-local address is involved
	socket                        // told by the socket load-balancer, not seen as a packet

	nat64Prefix  // the responder's address is in a NAT64 prefix
	nat64Private // the prefix is the well-known one, around an address that is not global
	nat64Named   // and a DNS name was answered with it
	nat46Prefix  // the initiator's address is in a NAT64 prefix
	in6to4
	inTeredo
	inISATAP
	inCLAT
	inHostLocal // the initiator has an address that AWS's CNI gives a pod for IPv4

	masqueraded   // the datapath told the address it translated the source to
	familyChanged // which is of the other family
	toEgressIP    // which is an egress policy's
	serviceReply  // the datapath put a service's address back in place of the backend's
	oddXlat       // the datapath told a translated source where none is expected

	whoKnown // it is known who began
	fromPod
	fromHost
	fromOutside
	intoNode // the packet goes from outside to a node
	toPod
	toHost
	toService
	toOutside
	placeless // it is not known where one of the ends lives

	haveFacts
	haveNodes    // the addresses of nodes are known
	contradicted // facts and identity of an end do not agree
	fromNodeIP   // the initiator is outside, but its address is a node's
	toRouter     // the responder's address is that of a node's cilium_host
	podAtNodeIP  // the initiator has the identity of a pod and the address of a node
	replyFromVIP // the responder has the identity of a pod and the address of a node
	mayHide      // a node that began may stand for a client outside
	mayHidePod   // a node that began may stand for one of its pods
	leftNode     // seen where iptables has masqueraded
	toDNS

	leaves    // a pod's connection out of the node, to what may need masquerade
	nodeKnown // it is known which node's settings decide
	chained   // another CNI decides
	masqYes   // masquerade of the family
	masqNo
	byBPF        // it is done by BPF
	byIptables   // it is done by iptables
	gateway      // an egress policy fits
	gatewayYes   // egress gateway
	gatewayBlind // which is on, but of its policies nothing is known
	excludeKnown // the native-routing prefixes are known
	excluded     // the responder is in one
	spared       // the ip-masq-agent spares the responder
	agentUnknown // whether there is an ip-masq-agent, or what it spares
	remoteYes    // remote nodes are masqueraded to in any case
	remoteNo
	tunnelYes
	tunnelNo
	somePorts // only some interfaces are masqueraded on
	ulaOut    // a unique local address goes to a global one

	never // set on no record: the rule is given by a later stage
)

// end is an end of the connection with what else is known of it.
type end struct {
	*flow.End
	identity uint32
	local    bool // its endpoint lives on the observing node
	named    bool // it has a pod's name
	labels   flow.Names
	facts    *Facts
	spot     *spot // nil until somebody asks
}

func (e *end) read(of *flow.End, f *Facts) {
	ep := of.Endpoint.Get()
	e.End, e.identity, e.local, e.named, e.labels = of, ep.Identity, ep.ID != 0, !ep.Pod.IsZero(), ep.Labels
	e.facts, e.spot = f, nil
}

// at returns what stands behind the address, never nil. Most ends are pods with a name, of which nobody asks.
func (e *end) at() *spot {
	if e.spot == nil {
		e.spot = e.facts.at(e.IP)
	}
	return e.spot
}

// sight is a record as the rules see it.
type sight struct {
	*flow.Record
	signs
	family flow.Family
	from   end // who began, or the source where nobody knows
	to     end
	nat64  netip.Addr    // the IPv4 address inside a NAT64 address
	node   *node         // whose settings decide, when it leaves
	policy *EgressPolicy // that sends it through a gateway
}

func (s *sight) put(sign signs, shows bool) {
	if shows {
		s.signs |= sign
	}
}

// ask puts one sign for yes, another for no, and none for unknown.
func (s *sight) ask(yes, no signs, v flow.Tristate) {
	s.put(yes, v == flow.Yes)
	s.put(no, v == flow.No)
}

// look finds the signs of a record, and fills in what they need on the way: kinds, noise, sides, direction.
func (s *Stage) look(seen *sight, r *flow.Record, f *Facts, prefixes *Prefixes) {
	r.Source.Kind = s.kinds.Of(r.Source.IP)
	r.Destination.Kind = s.kinds.Of(r.Destination.IP)
	r.Noise = noiseOf(r)

	from, to, known := r.Ends()
	*seen = sight{Record: r, family: r.Family}
	seen.from.read(from, f)
	seen.to.read(to, f)
	if seen.family != flow.FamilyIPv4 && seen.family != flow.FamilyIPv6 {
		seen.family = flow.FamilyOf(from.IP, to.IP)
	}
	seen.put(whoKnown, known)
	from.Side = s.side(r, &seen.from)
	to.Side = s.side(r, &seen.to)

	seen.packet()
	s.prefix(seen, prefixes)
	seen.translation(f)
	seen.places(f)
	if seen.signs&leaves != 0 {
		seen.masquerade(f)
	}
}

// packet finds what the packet alone shows.
func (s *sight) packet() {
	s.put(noAddresses, !s.Source.IP.IsValid() && !s.Destination.IP.IsValid())
	switch s.DropCode { // pkg/monitor/api/drop.go
	case 187:
		s.signs |= dropped46
	case 188:
		s.signs |= dropped64
	case 161:
		s.signs |= droppedXlat
	}
	s.put(linkBound, staysOnLink(s.Record))
	s.put(toMany, s.Noise == flow.NoiseMulticast)
	s.put(linkLocal4, linkLocalIPv4(s.Source.IP) || linkLocalIPv4(s.Destination.IP))
	s.put(socket, s.EventType == flow.EventSock)
}

func linkLocalIPv4(a netip.Addr) bool { return a.Is4() && a.IsLinkLocalUnicast() }

// hostLocal is what AWS's VPC CNI gives the pods of an IPv6 cluster as their IPv4 address, the same on every node, and
// translates twice on the way out (amazon-vpc-cni-k8s, cmd/egress-cni-plugin).
var hostLocal = netip.MustParsePrefix("169.254.172.0/22")

// prefix finds what the addresses mean by their prefixes. Where it is not known who began, a NAT64 address is taken for
// the responder's, the destination first: through a NAT64 it is IPv6 that begins (RFC 6146 section 1.1).
func (s *Stage) prefix(seen *sight, prefixes *Prefixes) {
	known := seen.signs&whoKnown != 0
	from, to := seen.from.Kind, seen.to.Kind
	if !seen.to.IP.Is4() {
		v4, prefix, ok := prefixes.Embedded(seen.to.IP)
		name := seen.to.NameSource
		if !ok && seen.from.area() != pods { // nobody gives pods such addresses
			v4, prefix, ok = prefixes.Embedded(seen.from.IP)
			name = seen.from.NameSource
			seen.put(nat46Prefix, ok && known)
			ok = ok && !known
		}
		if ok {
			seen.nat64 = v4
			seen.signs |= nat64Prefix
			seen.put(nat64Private, prefix == wellKnown && s.kinds.Of(v4) != flow.KindPublic)
			seen.put(nat64Named, name != flow.NameSourceNone)
		}
	}
	seen.put(in6to4, from == flow.Kind6to4 || to == flow.Kind6to4) // whichever end lives behind it
	seen.put(inTeredo, from == flow.KindTeredo || to == flow.KindTeredo)
	seen.put(inISATAP, from == flow.KindISATAP || to == flow.KindISATAP)
	seen.put(inCLAT, from == flow.KindCLAT || !known && to == flow.KindCLAT)
	seen.put(inHostLocal, from == flow.KindLinkLocal && hostLocal.Contains(seen.from.IP) ||
		!known && to == flow.KindLinkLocal && hostLocal.Contains(seen.to.IP))
}

// translation finds what source_translated_ip means. On its way out a forward packet has its source before, and told
// beside it its source after translation; on its way back to a pod an answer has the backend's address, and told beside
// it the service's, which the pod takes for the source (bpf/lib/nodeport_egress.h:151, bpf/bpf_lxc.c:1991).
func (s *sight) translation(f *Facts) {
	told := s.SourceTranslatedIP
	if !told.IsValid() {
		return
	}
	reply := s.IsReply == flow.Yes
	switch s.ObservationPoint {
	case flow.ToNetwork, flow.ToOverlay, flow.ToCrypto:
		if !reply {
			s.signs |= masqueraded
			s.put(familyChanged, told.Is4() && s.Source.IP.Is6() || told.Is6() && s.Source.IP.Is4())
			s.put(toEgressIP, f.at(told).kind == PlaceEgressGateway || f.isEgressIP(s.Source.IP, told))
			return
		}
	case flow.ToEndpoint, flow.ToProxy:
		if reply {
			s.signs |= serviceReply
			return
		}
	}
	s.signs |= oddXlat
}

// places finds what the sides mean together.
func (s *sight) places(f *Facts) {
	from, to := s.from.area(), s.to.area()
	s.put(fromPod, from == pods)
	s.put(fromHost, from == hosts)
	s.put(fromOutside, from == outside)
	s.put(intoNode, from == outside && to == hosts || s.answers() && from == hosts && to == outside)
	s.put(toPod, to == pods)
	s.put(toHost, to == hosts)
	s.put(toService, to == services)
	s.put(toOutside, to == outside)
	s.put(placeless, from == nowhere || to == nowhere)

	s.put(haveFacts, f != nil)
	s.put(haveNodes, f != nil && f.hasNodes)
	s.put(fromNodeIP, from == outside && s.from.at().ofNode())
	s.put(toRouter, to == hosts && s.to.at().kind == PlaceRouter)
	s.put(podAtNodeIP, s.from.atNodeIP())
	s.put(replyFromVIP, s.to.atNodeIP())
	s.put(contradicted, s.from.contradicted() || s.to.contradicted() || to == outside && s.to.at().ofHost())
	s.put(leftNode, f.PostMasquerade(s.Record))
	s.put(toDNS, s.to.Port == 53)

	known := s.signs&whoKnown != 0
	hides := from == hosts && to == pods && s.mayHide(f)
	s.put(mayHide, hides)
	s.put(mayHidePod, from == hosts && to == hosts && s.mayHidePod(f))
	if from == pods && s.from.masqueradable() {
		s.put(leaves, known && (to == outside || to == hosts && s.to.Side != flow.SideHost) || to == pods && s.leavesNative(f))
	}
	s.Direction = direction(known, from, to)
	if hides || !known && from == pods && to == hosts {
		s.Direction = flow.UnknownDirection
	}
}

// atNodeIP reports whether an end has the identity of a pod, but the address of a node: what the node sends for it.
func (e *end) atNodeIP() bool { return isPod(e.identity) && !e.named && e.at().ofNode() }

// contradicted reports whether an end is of the world to the datapath, but a pod to the facts. An initiator at the address
// of a node is none: the datapath gives the packets of hidden clients the identity of the world.
func (e *end) contradicted() bool {
	return e.Side == flow.SideWorld && (e.at().kind == PlacePod || e.at().kind == PlacePodCIDR)
}

// masqueradable reports whether an end is what the settings mean by a pod. What Cilium does not manage, and the proxy of an
// ingress, are not.
func (e *end) masqueradable() bool {
	return e.Side == flow.SidePod || e.Side == flow.SideInit || e.Side == flow.SideHealth
}

// mayHide reports whether a node that begins a connection with a pod may stand for a client outside, whose connection to a
// NodePort it forwards with its own address, or for a pod that it masquerades. The load-balancer in BPF leaves the packets
// of clients the identity of the world, but only in a tunnel does the identity travel with the packet, and hides nobody
// from pods on its own node; kube-proxy gives clients the node's identity. Of an answer, and of what is seen around the
// tunnel, the identity is merely that of the address.
func (s *sight) mayHide(f *Facts) bool {
	n := s.from.owner(s.Record, f)
	plain := s.signs&whoKnown != 0 && s.TunnelProtocol == flow.TunnelNone
	told := plain && !s.answers()
	own := plain && s.from.Side == flow.SideHost && (told || s.to.local)
	switch {
	case n == nil, !own && n.settings.Tunnel != flow.Yes && n.settings.masquerades(s.family, s.to.IP):
		return true
	case s.to.at().exposed == flow.No:
		return false
	case n.settings.KubeProxyReplacement != flow.Yes:
		return true
	}
	return !own && !(told && n.settings.Tunnel == flow.Yes)
}

// mayHidePod reports whether a node that begins a connection with a node may stand for one of its pods. Only what leaves
// the observing node with the identity of the host is surely its own.
func (s *sight) mayHidePod(f *Facts) bool {
	known := s.signs&whoKnown != 0
	if known && !s.answers() && s.from.Side == flow.SideHost && s.TunnelProtocol == flow.TunnelNone {
		return false
	}
	return s.from.hidesPods(s, f) || !known && s.to.hidesPods(s, f)
}

func (e *end) hidesPods(s *sight, f *Facts) bool {
	n := e.owner(s.Record, f)
	return n == nil || n.settings.masquerades(s.family, netip.Addr{}) &&
		!(n.settings.Tunnel == flow.No && n.settings.RemoteNodeMasquerade == flow.No)
}

// owner returns the node whose address an end has, or the one that observed it.
func (e *end) owner(r *flow.Record, f *Facts) *node {
	if n := e.at().node; n != nil {
		return n
	}
	return f.node(r)
}

// answers reports whether the packet goes back to who began.
func (s *sight) answers() bool { return s.from.End == &s.Destination }
