// Package flow is Sextant's data model: one Record per observed Hubble flow, Gaps for what was not seen, Batches that
// carry both through the pipeline, and the one table of fields (Fields, GapFields) from which ClickHouse columns, JSON
// keys and the reference page follow.
//
// It holds plain values and refuses everything else: no protobuf, no I/O, no interpretation. Decoding belongs to
// collector/hubble, judgement to collector/verdict. It imports the standard library only.
//
// A zero value always means "unknown" or "absent", never "no".
package flow

import (
	"net/netip"
	"time"
)

// Record is one flow as Hubble told it, with what later stages found out about it. It is copied by value and holds no
// memory of its own: every name, list and endpoint is a handle on an interned value (see Interner).
type Record struct {
	Time    time.Time // the agent's clock when the event was read, UTC; not the kernel's
	UUID    UUID      // zero when the agent sent none
	Node    Name      // without the cluster prefix
	Cluster Name      // "default" where Cilium omits the prefix (pkg/node/types/nodename.go)

	EventType        EventType
	ObservationPoint ObservationPoint
	TraceReason      TraceReason
	Verdict          Verdict
	DropReason       Name   // Hubble's word for DropCode
	DropCode         uint16 // the datapath's number (pkg/monitor/api/drop.go); 0 when nothing was dropped
	TrafficDirection TrafficDirection
	IsReply          Tristate
	Encrypted        Tristate // yes when the datapath said so; its silence proves nothing

	Family   Family
	Protocol Protocol
	TCPFlags TCPFlags
	ICMPType uint8
	ICMPCode uint8

	Source             End
	Destination        End
	Direction          Direction
	SourceTranslatedIP netip.Addr // Hubble's source_xlated; means two things, see the field's doc
	EmbeddedIPv4       netip.Addr // the IPv4 destination inside a NAT64, 6to4, Teredo or ISATAP address

	Class             Class
	ClassEvidence     Evidence
	ClassRule         Name
	SourceNAT         SourceNAT
	SourceNATEvidence Evidence
	SourceNATRule     Name
	ServiceNAT        bool       // a service load-balancer rewrote an address
	EgressIP          netip.Addr // the address the outside sees, best known
	EgressIPEvidence  Evidence
	Noise             Noise

	Replayed  bool // a process before has stored it, and it is told again for the stages' sake; no sink sees such a one
	Counted   bool // on exactly one flow of each connection
	Duplicate Name // why this flow is not the counted one

	Interface           Name
	ProxyPort           uint16
	TunnelProtocol      TunnelProtocol
	TunnelSourceIP      netip.Addr
	TunnelDestinationIP netip.Addr
	SocketPoint         SocketPoint

	L7Type      L7Type
	L7LatencyNs uint64
	DNS         DNS
	HTTP        HTTP

	AllowedBy Names // policies, "Kind/namespace/name"
	DeniedBy  Names
	PolicyLog Names

	AggregatedFlows uint32 // how many flows this record stands for; 1 but for aggregated exporter files
	Bytes           Count
	Packets         Count
}

// End is one end of a flow. Addresses are unmapped and without zone.
type End struct {
	IP       netip.Addr
	Port     uint16
	Kind     AddressKind
	Endpoint Ref[Endpoint]
	Side     Side
	Service  Name  // "namespace/name" of the service whose frontend the address is, or whose endpoint
	Names    Names // DNS names Hubble attached to the address

	ServiceEvidence Evidence   // Observed where the flow was seen at a frontend, Inferred where address and port are an endpoint's
	Resolution      Resolution // who told the endpoint's names

	Name       Name // the DNS name under which the other end knows the address
	NameSource NameSource
	NameAge    uint32 // seconds since the name was answered; 0 where nobody knows
}

// Endpoint is who an end of a flow is, as Cilium knows it. It is immutable and interned: two ends with the same
// content hold the same handle.
type Endpoint struct {
	ID           uint32 // Cilium's endpoint ID, set only where the endpoint lives on the observing node
	Identity     uint32 // Cilium's security identity
	Cluster      Name
	Namespace    Name
	Pod          Name
	Workload     Name
	WorkloadKind Name
	Node         Name  // where it lives
	Zone         Name  // topology zone, known from the flow itself only for endpoints of the observing node
	Region       Name  // topology region of that node
	Labels       Names // as Cilium prints them, source prefix included
	Tags         Names // labels and annotations that the settings ask for, of the pod or else of its namespace: "team=shop"
}

// DNS is the essence of a DNS request or answer seen by Cilium's DNS proxy.
type DNS struct {
	Query   Name  // with the trailing dot, as asked
	Types   Names // question types: "A", "AAAA"
	RCode   uint16
	TTL     uint32 // seconds
	Answers []netip.Addr
	CNAMEs  Names
	Source  Name // who saw it: "proxy"
}

// HTTP is the essence of an HTTP request or answer seen by Envoy. URL has neither query nor credentials.
type HTTP struct {
	Method   Name
	URL      Name
	Protocol Name
	Status   uint16
}

// Count is a number that may be unknown. The zero value is unknown.
type Count struct {
	N     uint64
	Known bool
}

// UUID is a flow's identifier. It is random per monitor event, the same on every delivery of that event while the
// agent lives, and different for the two nodes that see one packet.
type UUID [16]byte
