package flow

import (
	"net/netip"
	"strings"
)

// An enum is a closed set of words. Its zero value is unknown or none. New words go to the end: ClickHouse stores their
// numbers, and a word that moved would turn stored rows into another one's. Words that are Hubble's own (verdict,
// observation_point, trace_reason, traffic_direction) are spelled as Hubble spells them, our own in lower case.

// Family is the address family of a flow's addresses.
type Family uint8

// Families. FamilyNone is a flow without addresses, ARP for one.
const (
	FamilyNone Family = iota
	FamilyIPv4
	FamilyIPv6
)

var familyNames = []string{"none", "ipv4", "ipv6"}

func (v Family) String() string { return word(familyNames, v) }

// FamilyOf returns the family of the first address that there is. An IPv4-mapped one is IPv6.
func FamilyOf(addrs ...netip.Addr) Family {
	for _, a := range addrs {
		switch {
		case a.Is4():
			return FamilyIPv4
		case a.Is6():
			return FamilyIPv6
		}
	}
	return FamilyNone
}

// Tristate is yes, no, or not said.
type Tristate uint8

// Tristates.
const (
	Unknown Tristate = iota
	No
	Yes
)

var tristateNames = []string{"unknown", "no", "yes"}

func (v Tristate) String() string { return word(tristateNames, v) }

// EventType is the kind of monitor event behind a flow (pkg/monitor/api/types.go).
type EventType uint8

// Event types.
const (
	EventUnknown EventType = iota
	EventTrace
	EventDrop
	EventPolicyVerdict
	EventL7
	EventSock
	EventCapture
	EventDebug
	EventOther
)

var eventTypeNames = []string{"unknown", "trace", "drop", "policy_verdict", "l7", "sock", "capture", "debug", "other"}

func (v EventType) String() string { return word(eventTypeNames, v) }

// ObservationPoint is where in the datapath a trace event was made (flow.proto TraceObservationPoint).
type ObservationPoint uint8

// Observation points.
const (
	PointUnknown ObservationPoint = iota
	ToProxy
	ToHost
	ToStack
	ToOverlay
	ToEndpoint
	FromEndpoint
	FromProxy
	FromHost
	FromStack
	FromOverlay
	FromNetwork
	ToNetwork
	FromCrypto
	ToCrypto
)

var observationPointNames = []string{
	"UNKNOWN_POINT", "TO_PROXY", "TO_HOST", "TO_STACK", "TO_OVERLAY", "TO_ENDPOINT", "FROM_ENDPOINT", "FROM_PROXY",
	"FROM_HOST", "FROM_STACK", "FROM_OVERLAY", "FROM_NETWORK", "TO_NETWORK", "FROM_CRYPTO", "TO_CRYPTO",
}

func (v ObservationPoint) String() string { return word(observationPointNames, v) }

// TraceReason is what connection tracking said of the packet (flow.proto TraceReason).
type TraceReason uint8

// Trace reasons.
const (
	ReasonUnknown TraceReason = iota
	ReasonNew
	ReasonEstablished
	ReasonReply
	ReasonRelated
	ReasonReopened
	ReasonSRv6Encap
	ReasonSRv6Decap
	ReasonEncryptOverlay
)

var traceReasonNames = []string{
	"TRACE_REASON_UNKNOWN", "NEW", "ESTABLISHED", "REPLY", "RELATED", "REOPENED", "SRV6_ENCAP", "SRV6_DECAP",
	"ENCRYPT_OVERLAY",
}

func (v TraceReason) String() string { return word(traceReasonNames, v) }

// Verdict is what became of the packet (flow.proto Verdict).
type Verdict uint8

// Verdicts.
const (
	VerdictUnknown Verdict = iota
	Forwarded
	Dropped
	Errored
	Audit
	Redirected
	Traced
	Translated
)

var verdictNames = []string{
	"VERDICT_UNKNOWN", "FORWARDED", "DROPPED", "ERROR", "AUDIT", "REDIRECTED", "TRACED", "TRANSLATED",
}

func (v Verdict) String() string { return word(verdictNames, v) }

// TrafficDirection is Hubble's own word, which is wrong on TO_ENDPOINT since Cilium 1.16.
type TrafficDirection uint8

// Traffic directions.
const (
	DirectionUnknown TrafficDirection = iota
	Ingress
	Egress
)

var trafficDirectionNames = []string{"TRAFFIC_DIRECTION_UNKNOWN", "INGRESS", "EGRESS"}

func (v TrafficDirection) String() string { return word(trafficDirectionNames, v) }

// Protocol is the transport protocol, or ICMP.
type Protocol uint8

// Protocols. ProtocolUnknown covers fragments and extension headers, in which Hubble finds no ports.
const (
	ProtocolUnknown Protocol = iota
	TCP
	UDP
	ICMP
	ICMPv6
	SCTP
	VRRP
	IGMP
)

var protocolNames = []string{"unknown", "tcp", "udp", "icmp", "icmpv6", "sctp", "vrrp", "igmp"}

func (v Protocol) String() string { return word(protocolNames, v) }

// SocketPoint is where the socket load-balancer acted (flow.proto SocketTranslationPoint).
type SocketPoint uint8

// Socket translation points.
const (
	SocketNone SocketPoint = iota
	SocketPreForward
	SocketPostForward
	SocketPreReverse
	SocketPostReverse
)

var socketPointNames = []string{"none", "pre_fwd", "post_fwd", "pre_rev", "post_rev"}

func (v SocketPoint) String() string { return word(socketPointNames, v) }

// TunnelProtocol is the encapsulation around a flow's packet; the flow's addresses are then the inner ones.
type TunnelProtocol uint8

// Tunnel protocols.
const (
	TunnelNone TunnelProtocol = iota
	TunnelUnknown
	VXLAN
	Geneve
)

var tunnelProtocolNames = []string{"none", "unknown", "vxlan", "geneve"}

func (v TunnelProtocol) String() string { return word(tunnelProtocolNames, v) }

// L7Type says which part of an application exchange an L7 flow is.
type L7Type uint8

// L7 types.
const (
	L7None L7Type = iota
	L7Request
	L7Response
	L7Sample
)

var l7TypeNames = []string{"none", "request", "response", "sample"}

func (v L7Type) String() string { return word(l7TypeNames, v) }

// Class is the headline: which way a flow took, as its initiator's packets leave their pod or node.
type Class uint8

// Classes.
const (
	ClassUnknown Class = iota
	Native6
	NAT66
	NAT64
	Tunnel6
	Native4
	NAT44
	CLAT
	NAT46
)

var classNames = []string{"unknown", "native6", "nat66", "nat64", "tunnel6", "native4", "nat44", "clat", "nat46"}

func (v Class) String() string { return word(classNames, v) }

// Evidence is how a verdict is known, strongest last, so that the larger of two is the better one.
type Evidence uint8

// Evidence levels.
const (
	EvidenceNone Evidence = iota
	Inferred              // from a prefix or the configuration
	Confirmed             // two independent signs agree
	Observed              // the datapath said so
)

var evidenceNames = []string{"none", "inferred", "confirmed", "observed"}

func (v Evidence) String() string { return word(evidenceNames, v) }

// SourceNAT is what happens to the source address alone.
type SourceNAT uint8

// Source translations.
const (
	SourceNATUnknown SourceNAT = iota
	SourceNATNone
	SourceNAT44
	SourceNAT66
)

var sourceNATNames = []string{"unknown", "none", "nat44", "nat66"}

func (v SourceNAT) String() string { return word(sourceNATNames, v) }

// Direction is which way the connection goes that a flow belongs to, seen from the cluster, whichever way this packet goes.
type Direction uint8

// Directions.
const (
	UnknownDirection Direction = iota
	IngressDirection           // from the world into the cluster
	EgressDirection            // from the cluster to the world
	InternalDirection
	ForwardedDirection // between two others
)

var directionNames = []string{"unknown", "ingress", "egress", "internal", "forwarded"}

func (v Direction) String() string { return word(directionNames, v) }

// Side is where an end of a flow lives, as its identity tells.
type Side uint8

// Sides.
const (
	SideUnknown Side = iota
	SidePod
	SideHost // the observing node
	SideRemoteNode
	SideWorld
	SideService // a service's frontend address
	SideKubeAPIServer
	SideHealth
	SideIngress
	SideUnmanaged
	SideInit
	SideLocal // link-local or multicast: this link and no further
)

var sideNames = []string{
	"unknown", "pod", "host", "remote_node", "world", "service", "kube_apiserver", "health", "ingress", "unmanaged",
	"init", "local",
}

func (v Side) String() string { return word(sideNames, v) }

// Resolution is who told which pod, or node, an address is.
type Resolution uint8

// Resolutions.
const (
	ResolutionNone    Resolution = iota // the address is nobody's in the cluster
	ResolvedByFlow                      // Hubble told
	ResolvedByCluster                   // the Kubernetes API did
	Unresolved                          // a pod's, and nobody knows whose
)

var resolutionNames = []string{"none", "flow", "cluster", "unresolved"}

func (v Resolution) String() string { return word(resolutionNames, v) }

// Noise is what the network says for its own upkeep. It is split off so that IPv6 does not look broken.
type Noise uint8

// Noises.
const (
	NoiseNone Noise = iota
	NoiseNDP
	NoiseRSRA
	NoiseMLD
	NoiseDAD
	NoiseLinkLocal
	NoiseARP
	NoiseMulticast
)

var noiseNames = []string{"none", "ndp", "rs_ra", "mld", "dad", "link_local", "arp", "multicast"}

func (v Noise) String() string { return word(noiseNames, v) }

// NameSource is who gave an address its DNS name.
type NameSource uint8

// Name sources.
const (
	NameSourceNone   NameSource = iota
	NameSourceHubble            // Hubble put it into the flow
	NameSourceDNS               // learned from a DNS answer that was seen to reach the other end
)

var nameSourceNames = []string{"none", "hubble", "dns"}

func (v NameSource) String() string { return word(nameSourceNames, v) }

// Outcome is how a connection went.
type Outcome uint8

// Outcomes.
const (
	OutcomeUnknown Outcome = iota
	Answered
	Refused
	Unanswered
	Denied
)

var outcomeNames = []string{"unknown", "answered", "refused", "unanswered", "denied"}

func (v Outcome) String() string { return word(outcomeNames, v) }

// View is which flow of a connection supplied what is said of it, best last.
type View uint8

// Views.
const (
	ViewUnknown View = iota
	ViewLoadBalancer
	ViewSource
	ViewNode
	ViewProxy
	ViewDestination
)

var viewNames = []string{"unknown", "load_balancer", "source", "node", "proxy", "destination"}

func (v View) String() string { return word(viewNames, v) }

// AddressKind is what an address is by the IANA registries alone.
type AddressKind uint8

// Address kinds.
const (
	KindUnknown AddressKind = iota
	KindGUA
	KindULA
	KindLinkLocal
	KindLoopback
	KindUnspecified
	KindMulticast
	KindBroadcast
	KindPublic
	KindPrivate
	KindShared
	KindCLAT
	KindNAT64
	KindNAT64Local
	Kind6to4
	KindTeredo
	KindISATAP
	KindDocumentation
	KindBenchmark
	KindDiscard
	KindORCHID
	KindSRv6
	KindSiteLocal
	KindReserved
)

var addressKindNames = []string{
	"unknown", "gua", "ula", "link_local", "loopback", "unspecified", "multicast", "broadcast", "public", "private",
	"shared", "clat", "nat64", "nat64_local", "6to4", "teredo", "isatap", "documentation", "benchmark", "discard",
	"orchid", "srv6", "site_local", "reserved",
}

func (v AddressKind) String() string { return word(addressKindNames, v) }

// GapCause is why flows were not seen.
type GapCause uint8

// Gap causes.
const (
	GapUnknown         GapCause = iota
	GapLostPerfRing             // Hubble's PERF_EVENT_RING_BUFFER: kernel to agent
	GapLostQueue                // Hubble's OBSERVER_EVENTS_QUEUE: agent to observer
	GapLostRing                 // Hubble's HUBBLE_RING_BUFFER: our stream was too slow, and Hubble said so
	GapRingOverrun              // the ring overran our stream and nobody said so: ServerStatus saw more than arrived
	GapRingWrapped              // after a reconnect the ring no longer held where we had stopped
	GapAgentRestart             // the agent restarted and its ring began empty
	GapNodeUnavailable          // relay or the peer list says the node is there, but it cannot be followed
	GapNodeGone                 // the node left
	GapQueueFull                // a sink's own queue was full
	GapRejected                 // a sink refused the records for good
	GapShutdown                 // still queued when the drain time was over
	GapHidden                   // the node's settings keep its own connections from showing
	GapSpoolFull                // a sink was away for longer than its spool had room
	GapSpoolDamaged             // the disk gave back from a spool what could not be read
	GapRestart                  // the collector ended and started anew, and could not go on where it was
)

var gapCauseNames = []string{
	"unknown", "lost_perf_ring", "lost_observer_queue", "lost_hubble_ring", "ring_overrun", "ring_wrapped",
	"agent_restart", "node_unavailable", "node_gone", "queue_full", "rejected", "shutdown", "hidden_by_settings",
	"spool_full", "spool_damaged", "collector_restart",
}

func (v GapCause) String() string { return word(gapCauseNames, v) }

// TCPFlags is the set of TCP flags of the packet, bit for bit as in the header (RFC 9293 section 3.1), NS as bit 8.
type TCPFlags uint16

// TCP flags.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	NS
)

// tcpFlagsNames[v] is the text of the set v: "SYN,ACK". The order is Hubble's.
var tcpFlagsNames = func() []string {
	order := []struct {
		bit  TCPFlags
		name string
	}{{SYN, "SYN"}, {ACK, "ACK"}, {FIN, "FIN"}, {RST, "RST"}, {PSH, "PSH"}, {URG, "URG"}, {ECE, "ECE"}, {CWR, "CWR"}, {NS, "NS"}}
	names := make([]string, 2*NS)
	for v := range names {
		var set []string
		for _, f := range order {
			if TCPFlags(v)&f.bit != 0 {
				set = append(set, f.name)
			}
		}
		names[v] = strings.Join(set, ",")
	}
	return names
}()

func (v TCPFlags) String() string { return word(tcpFlagsNames, v) }

func word[V ~uint8 | ~uint16](names []string, v V) string {
	if int(v) >= len(names) {
		return names[0]
	}
	return names[v]
}
