package verdict

import "sextant/collector/flow"

// Reserved identities (pkg/identity/numericidentity.go).
const (
	idHost          = 1
	idWorld         = 2
	idUnmanaged     = 3
	idHealth        = 4
	idInit          = 5
	idRemoteNode    = 6
	idKubeAPIServer = 7 // remote nodes that have a backend of it
	idIngress       = 8
	idWorldIPv4     = 9
	idWorldIPv6     = 10

	idFirst      = 256 // of those that are allocated
	scopeCIDR    = 1   // in the high 8 bits: CIDR and FQDN identities, local to a node
	scopeRemote  = 2   // remote nodes, local to a node
	scopeOfShift = 24
)

// isPod reports whether an identity is one that Cilium allocates for the pods with the same labels.
func isPod(identity uint32) bool { return identity >= idFirst && identity>>scopeOfShift == 0 }

func isWorld(identity uint32) bool {
	return identity == idWorld || identity == idWorldIPv4 || identity == idWorldIPv6 || identity>>scopeOfShift == scopeCIDR
}

// reserved are the labels that name a side where the identity's number does not.
type reserved struct {
	names []flow.Name
	sides []flow.Side
}

// newReserved lists them with the one that says more first: an API server outside is of the world, too.
func newReserved(names *flow.Interner) reserved {
	var l reserved
	for _, row := range []struct {
		label string
		side  flow.Side
	}{
		{"reserved:kube-apiserver", flow.SideKubeAPIServer},
		{"reserved:host", flow.SideHost},
		{"reserved:remote-node", flow.SideRemoteNode},
		{"reserved:health", flow.SideHealth},
		{"reserved:ingress", flow.SideIngress},
		{"reserved:init", flow.SideInit},
		{"reserved:unmanaged", flow.SideUnmanaged},
		{"reserved:world", flow.SideWorld},
		{"reserved:world-ipv4", flow.SideWorld},
		{"reserved:world-ipv6", flow.SideWorld},
	} {
		l.names = append(l.names, names.Name(row.label))
		l.sides = append(l.sides, row.side)
	}
	return l
}

func (l *reserved) side(labels flow.Names) flow.Side {
	found := len(l.names)
	for _, label := range labels.Get() {
		for i := range l.names[:found] {
			if l.names[i] == label {
				found = i
				break
			}
		}
	}
	if found == len(l.names) {
		return flow.SideUnknown
	}
	return l.sides[found]
}

// side says where an end lives: by its address where that stays on the link, else by its identity, else by the facts.
// Around the outer packet of a tunnel the datapath knows the identities of the nodes alone, not of the addresses inside.
func (s *Stage) side(r *flow.Record, e *end) flow.Side {
	switch e.Kind {
	case flow.KindMulticast, flow.KindBroadcast, flow.KindUnspecified:
		return flow.SideLocal
	}
	id := e.identity
	if e.IP.IsLinkLocalUnicast() && (e.IP.Is6() || !isPod(id)) {
		return flow.SideLocal
	}
	if r.TunnelProtocol != flow.TunnelNone && (id == idHost || id == idRemoteNode) {
		if e.named {
			return flow.SidePod
		}
		id = 0
	}
	switch id {
	case idHost:
		return flow.SideHost
	case idUnmanaged:
		return flow.SideUnmanaged
	case idHealth:
		return flow.SideHealth
	case idInit:
		return flow.SideInit
	case idRemoteNode:
		return flow.SideRemoteNode
	case idKubeAPIServer:
		return flow.SideKubeAPIServer
	case idIngress:
		return flow.SideIngress
	}
	switch {
	case isPod(id):
		return flow.SidePod
	case isWorld(id) && (!e.Service.IsZero() || e.at().kind == PlaceService):
		return flow.SideService // to the datapath a frontend is an address like any other
	case id>>scopeOfShift == scopeCIDR && s.labels.side(e.labels) == flow.SideKubeAPIServer:
		return flow.SideKubeAPIServer
	case isWorld(id):
		return flow.SideWorld
	case id>>scopeOfShift == scopeRemote:
		return flow.SideRemoteNode
	}
	if r.TunnelProtocol == flow.TunnelNone {
		if side := s.labels.side(e.labels); side != flow.SideUnknown {
			return side
		}
	}
	return byPlace(r, e.at())
}

func byPlace(r *flow.Record, where *spot) flow.Side {
	switch where.kind {
	case PlacePod, PlacePodCIDR:
		return flow.SidePod
	case PlaceService:
		return flow.SideService
	case PlaceNode, PlaceRouter:
		if where.node.name == r.Node {
			return flow.SideHost
		}
		return flow.SideRemoteNode
	}
	return flow.SideUnknown
}

// area is how the rules see sides.
type area uint8

const (
	nowhere area = iota
	pods         // and what Cilium runs like one
	hosts
	services
	outside
	onLink
)

// area sees an API server that runs on nodes as nodes, and one that a CIDR identity names as outside.
func (e *end) area() area {
	switch e.Side {
	case flow.SidePod, flow.SideHealth, flow.SideIngress, flow.SideUnmanaged, flow.SideInit:
		return pods
	case flow.SideHost, flow.SideRemoteNode:
		return hosts
	case flow.SideKubeAPIServer:
		if e.identity == idKubeAPIServer {
			return hosts
		}
		return outside
	case flow.SideService:
		return services
	case flow.SideWorld:
		return outside
	case flow.SideLocal:
		return onLink
	}
	return nowhere
}

// direction says which way a connection goes, given who began it where that is known.
func direction(known bool, from, to area) flow.Direction {
	switch {
	case from == nowhere || to == nowhere:
	case from == outside && to == outside:
		return flow.ForwardedDirection
	case from != outside && to != outside:
		return flow.InternalDirection
	case !known, from == onLink, to == onLink: // of the link's other hosts nothing is known
	case from == outside:
		return flow.IngressDirection
	default:
		return flow.EgressDirection
	}
	return flow.UnknownDirection
}
