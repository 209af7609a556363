package track

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"time"

	"sextant/collector/flow"
)

// key is what makes flows one connection, seen from who began it. Ports are 0 where there are none.
type key struct {
	cluster          flow.Name
	from, to         netip.Addr
	fromPort, toPort uint16
	family           flow.Family
	protocol         flow.Protocol
}

// role is what a flow says of its connection.
type role uint8

const (
	roleNone      role = iota
	rolePassing        // seen on its way, but connection tracking had no say
	rolePolicy         // allowed or denied, before anything else happens
	roleCandidate      // a packet of who began, as connection tracking saw it: makes a connection
	roleReply          // a packet of who answers
	roleNodeReply      // an answer that enters the node for the node itself
	roleDrop           // a packet that was dropped
	roleEvidence       // a packet whose source was translated, and Cilium says so
	roleShadow         // a packet with a pod's identity and the node's address: translated, or from a proxy
)

// moment is a flow's time in nanoseconds since 1970. 0 is never.
type moment int64

// momentOf returns never for times that a moment cannot hold.
func momentOf(t time.Time) moment {
	if s := t.Unix(); s <= 0 || s >= math.MaxInt64/int64(time.Second) {
		return 0
	}
	return moment(t.UnixNano())
}

// sight is a record as a view of a connection.
type sight struct {
	r        *flow.Record
	at       moment
	key      key
	hash     uint64
	role     role
	view     flow.View // of candidates and drops
	reversed bool      // the record's source is who answers
	guessed  bool      // nobody knows who began: it may as well be the other way round
	anyPort  bool      // toPort is the service's and not the server's
}

// initiator and responder are the ends as this record has them.
func (v *sight) initiator() *flow.End {
	if v.reversed {
		return &v.r.Destination
	}
	return &v.r.Source
}

func (v *sight) responder() *flow.End {
	if v.reversed {
		return &v.r.Source
	}
	return &v.r.Destination
}

// turn takes the other end for who began.
func (v *sight) turn() {
	v.reversed = !v.reversed
	v.key.from, v.key.to = v.key.to, v.key.from
	v.key.fromPort, v.key.toPort = v.key.toPort, v.key.fromPort
}

// start reports whether the packet begins a TCP connection.
func (v *sight) start() bool {
	return v.r.Protocol == flow.TCP && v.r.TCPFlags&(flow.SYN|flow.ACK) == flow.SYN
}

// look says what a record is to its connection, or why it is of none.
func (s *Stage) look(r *flow.Record) (v sight, why word) {
	v.r, v.at = r, momentOf(r.Time)
	if why = unfit(r); why != wordNone {
		return v, why
	}
	from, _, known := r.Ends()
	v.reversed = from == &r.Destination
	v.key = key{
		cluster: r.Cluster, family: r.Family, protocol: r.Protocol,
		from: r.Source.IP, fromPort: r.Source.Port, to: r.Destination.IP, toPort: r.Destination.Port,
	}
	if v.reversed {
		v.reversed = false
		v.turn()
	}
	switch {
	case r.EventType == flow.EventDrop:
		v.role, v.view = roleDrop, dropView(r)
		v.guessed = !known
	case !known:
		return v, wordUntracked
	case r.EventType == flow.EventPolicyVerdict:
		v.role = rolePolicy
	case v.reversed && r.IsReply == flow.Yes:
		v.role = roleReply
		v.anyPort = r.SourceTranslatedIP.IsValid() // bpf_lxc.c: the service's address and port are already back in the header
	case v.reversed && r.ObservationPoint == flow.FromNetwork && r.Destination.Endpoint.Get().Identity == idHost:
		v.role = roleNodeReply
	case v.reversed:
		v.role = rolePassing
	default:
		v.role, v.view = forwardRole(r)
	}
	v.hash = s.hash(&v.key)
	return v, wordNone
}

// unfit says why a record is of no connection.
func unfit(r *flow.Record) word {
	switch {
	case r.TunnelProtocol != flow.TunnelNone: // the packet inside has flows of its own, with the right identities
		return wordTunnelOuter
	case r.Noise != flow.NoiseNone:
		return wordNoise
	}
	switch r.EventType {
	case flow.EventTrace, flow.EventDrop, flow.EventPolicyVerdict:
	case flow.EventL7:
		return wordL7
	case flow.EventSock:
		return wordSock
	default:
		return wordOtherEvent
	}
	from, to := r.Source.IP, r.Destination.IP
	switch {
	case !from.IsValid() || !to.IsValid() || momentOf(r.Time) == 0:
		return wordUnreadable
	case to.IsMulticast() || from.IsUnspecified() || from.Is6() && from.IsLinkLocalUnicast() || to.Is6() && to.IsLinkLocalUnicast():
		return wordNoise
	}
	switch r.Protocol {
	case flow.TCP, flow.UDP, flow.SCTP:
	case flow.ICMP:
		if r.ICMPType != 8 && r.ICMPType != 0 {
			return wordICMPError
		}
	case flow.ICMPv6:
		if r.ICMPType != 128 && r.ICMPType != 129 {
			return wordICMPError
		}
	default: // Hubble reads no ports from fragments and behind extension headers
		if r.EventType != flow.EventDrop {
			return wordFragment
		}
	}
	return wordNone
}

// forwardRole says what a trace event of a packet of the initiator is.
func forwardRole(r *flow.Record) (role, flow.View) {
	point := r.ObservationPoint
	if r.SourceTranslatedIP.IsValid() && (point == flow.ToNetwork || point == flow.ToOverlay || point == flow.ToCrypto) {
		return roleEvidence, flow.ViewUnknown
	}
	if r.IsReply != flow.No {
		return rolePassing, flow.ViewUnknown
	}
	switch r.TraceReason {
	case flow.ReasonNew, flow.ReasonEstablished, flow.ReasonReopened, flow.ReasonUnknown: // agents before 1.16 give none
	default:
		return rolePassing, flow.ViewUnknown
	}
	source := r.Source.Endpoint.Get()
	switch point {
	case flow.ToEndpoint:
		return roleCandidate, flow.ViewDestination
	case flow.ToProxy:
		if isIngressProxy(r) {
			return roleCandidate, flow.ViewDestination
		}
		return roleCandidate, flow.ViewProxy
	case flow.ToNetwork:
		if isEndpoint(source.Identity) && source.ID == 0 && source.Pod.IsZero() {
			return roleShadow, flow.ViewUnknown
		}
	case flow.ToStack, flow.ToHost, flow.ToOverlay:
	default:
		return rolePassing, flow.ViewUnknown
	}
	switch {
	case source.ID != 0:
		return roleCandidate, flow.ViewSource
	case isNode(source.Identity):
		return roleCandidate, flow.ViewNode
	}
	return roleCandidate, flow.ViewLoadBalancer
}

// isIngressProxy reports whether a packet was redirected to the proxy on its way into a pod, not on its way out of one.
// Where both are here, only the way in has an interface (bpf_lxc.c: TRACE_IFINDEX_UNKNOWN on the way out).
func isIngressProxy(r *flow.Record) bool {
	if r.Destination.Endpoint.Get().ID == 0 {
		return false
	}
	return r.Source.Endpoint.Get().ID == 0 || !r.Interface.IsZero()
}

// dropView says who dropped a packet. The traffic direction of drops is right.
func dropView(r *flow.Record) flow.View {
	source, destination := r.Source.Endpoint.Get(), r.Destination.Endpoint.Get()
	switch {
	case destination.ID != 0 && (source.ID == 0 || r.TrafficDirection == flow.Ingress):
		return flow.ViewDestination
	case source.ID != 0:
		return flow.ViewSource
	case isNode(source.Identity):
		return flow.ViewNode
	}
	return flow.ViewLoadBalancer
}

// counts reports whether the first such flow of a connection is the one that counts it. Whoever sees only one node has to
// come to the same answer, so it depends on nothing but the record: what goes to a pod counts where it arrives, all else
// where it leaves.
//
// A proxy on the way out stands between. What it does for DNS keeps the addresses and ports, so that the arrival counts;
// Envoy connects anew.
func counts(r *flow.Record, view flow.View) bool {
	switch view {
	case flow.ViewDestination:
		return true
	case flow.ViewProxy:
		return !isEndpoint(r.Destination.Endpoint.Get().Identity) || viaEnvoy(r)
	case flow.ViewSource, flow.ViewNode:
		return !isEndpoint(r.Destination.Endpoint.Get().Identity)
	}
	return false
}

// viaEnvoy reports whether a packet that went to the proxy went to Envoy, whose own connection has another port.
func viaEnvoy(r *flow.Record) bool {
	return r.ObservationPoint == flow.ToProxy && r.Protocol == flow.TCP && r.Destination.Port != 53
}

// Reserved identities (pkg/identity/numericidentity.go).
const (
	idHost          = 1
	idHealth        = 4
	idInit          = 5
	idRemoteNode    = 6
	idKubeAPIServer = 7
	idFirst         = 100     // of those that Cilium allocates, or knows well
	idNodeLocal     = 1 << 24 // from here on CIDRs, names and remote nodes
)

// isEndpoint reports whether an identity is one of endpoints, into which Cilium delivers with TO_ENDPOINT.
func isEndpoint(id uint32) bool {
	return id >= idFirst && id < idNodeLocal || id == idHealth || id == idInit
}

func isNode(id uint32) bool { return id == idHost || id == idRemoteNode || id == idKubeAPIServer }

// hash mixes what every flow of a connection agrees on, whatever was translated: the protocol, the initiator's port, the
// responder's address. So all that may have to be matched stands in one chain: the pod's own address and the node's that
// it is masqueraded with, the server's port and the service's.
func (s *Stage) hash(k *key) uint64 {
	a := k.to.As16()
	lo, hi := binary.LittleEndian.Uint64(a[:8]), binary.LittleEndian.Uint64(a[8:])
	return mix(mix(lo^s.seed, hi^0x9e3779b97f4a7c15)^uint64(k.fromPort)<<8^uint64(k.protocol), s.seed^0xd1b54a32d192ed03)
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}
