package flow

import (
	"net/netip"
	"time"
)

// Field is one column of a table of R: its name everywhere (ClickHouse column, JSON key, Prometheus label, reference
// page), what it means, and how to read it. Exactly one getter is set; it allocates nothing.
type Field[R any] struct {
	Name  string
	Doc   string
	Label bool // few values, none chosen by a stranger: may be a Prometheus label

	Time  func(*R) time.Time
	UUID  func(*R) UUID
	Addr  func(*R) netip.Addr
	Addrs func(*R) []netip.Addr
	U8    func(*R) uint8
	U16   func(*R) uint16
	U32   func(*R) uint32
	U64   func(*R) uint64
	Count func(*R) Count
	Enum  func(*R) uint16 // an index into Words
	Str   func(*R) Name
	Strs  func(*R) Names

	Words []string // the words of an enum; the first is the unknown one
}

// Fields is the one table of a record's columns, in the order in which they are stored and printed.
var Fields = []Field[Record]{
	{Name: "time", Doc: "when the agent read the event (its clock, UTC)", Time: func(r *Record) time.Time { return r.Time }},
	{Name: "node", Doc: "node that observed the flow, without the cluster prefix", Label: true, Str: func(r *Record) Name { return r.Node }},
	{Name: "cluster", Doc: "cluster of that node", Label: true, Str: func(r *Record) Name { return r.Cluster }},
	{Name: "uuid", Doc: "Hubble's identifier of the event; new for every node's view and after an agent restart", UUID: func(r *Record) UUID { return r.UUID }},

	{Name: "event_type", Doc: "kind of monitor event", Label: true, Words: eventTypeNames, Enum: func(r *Record) uint16 { return uint16(r.EventType) }},
	{Name: "observation_point", Doc: "where in the datapath a trace event was made", Label: true, Words: observationPointNames, Enum: func(r *Record) uint16 { return uint16(r.ObservationPoint) }},
	{Name: "trace_reason", Doc: "what connection tracking said of the packet", Label: true, Words: traceReasonNames, Enum: func(r *Record) uint16 { return uint16(r.TraceReason) }},
	{Name: "verdict", Doc: "what became of the packet", Label: true, Words: verdictNames, Enum: func(r *Record) uint16 { return uint16(r.Verdict) }},
	{Name: "drop_reason", Doc: "why it was dropped, in Hubble's word for drop_code", Label: true, Str: func(r *Record) Name { return r.DropReason }},
	{Name: "drop_code", Doc: "the datapath's number of the drop reason; 0 when nothing was dropped", U16: func(r *Record) uint16 { return r.DropCode }},
	{Name: "traffic_direction", Doc: "Hubble's own word; wrong on TO_ENDPOINT since Cilium 1.16", Words: trafficDirectionNames, Enum: func(r *Record) uint16 { return uint16(r.TrafficDirection) }},
	{Name: "direction", Doc: "which way the connection goes, seen from the cluster", Label: true, Words: directionNames, Enum: func(r *Record) uint16 { return uint16(r.Direction) }},
	{Name: "is_reply", Doc: "whether the packet answers; often not said", Label: true, Words: tristateNames, Enum: func(r *Record) uint16 { return uint16(r.IsReply) }},
	{Name: "encrypted", Doc: "yes where the datapath said so; unknown is not cleartext", Words: tristateNames, Enum: func(r *Record) uint16 { return uint16(r.Encrypted) }},

	{Name: "family", Doc: "address family of the packet", Label: true, Words: familyNames, Enum: func(r *Record) uint16 { return uint16(r.Family) }},
	{Name: "protocol", Doc: "transport protocol or ICMP; unknown for fragments and extension headers", Label: true, Words: protocolNames, Enum: func(r *Record) uint16 { return uint16(r.Protocol) }},
	{Name: "tcp_flags", Doc: "TCP flags of the packet, as in SYN,ACK", Words: tcpFlagsNames, Enum: func(r *Record) uint16 { return uint16(r.TCPFlags) }},
	{Name: "icmp_type", Doc: "ICMP type, where protocol is icmp or icmpv6", U8: func(r *Record) uint8 { return r.ICMPType }},
	{Name: "icmp_code", Doc: "ICMP code, where protocol is icmp or icmpv6", U8: func(r *Record) uint8 { return r.ICMPCode }},

	{Name: "source_ip", Doc: "source address before any translation", Addr: func(r *Record) netip.Addr { return r.Source.IP }},
	{Name: "source_port", Doc: "source port; after translation where source_translated_ip is set", U16: func(r *Record) uint16 { return r.Source.Port }},
	{Name: "destination_ip", Doc: "destination address", Addr: func(r *Record) netip.Addr { return r.Destination.IP }},
	{Name: "destination_port", Doc: "destination port", U16: func(r *Record) uint16 { return r.Destination.Port }},
	{Name: "source_translated_ip", Doc: "the other source address the datapath knew: after masquerade on TO_NETWORK, the service's on a TO_ENDPOINT reply", Addr: func(r *Record) netip.Addr { return r.SourceTranslatedIP }},
	{Name: "embedded_ipv4", Doc: "the IPv4 destination inside a NAT64, 6to4, Teredo or ISATAP address", Addr: func(r *Record) netip.Addr { return r.EmbeddedIPv4 }},
	{Name: "source_kind", Doc: "kind of the source address", Label: true, Words: addressKindNames, Enum: func(r *Record) uint16 { return uint16(r.Source.Kind) }},
	{Name: "destination_kind", Doc: "kind of the destination address", Label: true, Words: addressKindNames, Enum: func(r *Record) uint16 { return uint16(r.Destination.Kind) }},

	{Name: "source_side", Doc: "where the source lives", Label: true, Words: sideNames, Enum: func(r *Record) uint16 { return uint16(r.Source.Side) }},
	{Name: "destination_side", Doc: "where the destination lives", Label: true, Words: sideNames, Enum: func(r *Record) uint16 { return uint16(r.Destination.Side) }},

	{Name: "class", Doc: "which way the flow took", Label: true, Words: classNames, Enum: func(r *Record) uint16 { return uint16(r.Class) }},
	{Name: "class_evidence", Doc: "how the class is known", Label: true, Words: evidenceNames, Enum: func(r *Record) uint16 { return uint16(r.ClassEvidence) }},
	{Name: "class_rule", Doc: "the rule that decided the class, or why it is unknown", Label: true, Str: func(r *Record) Name { return r.ClassRule }},
	{Name: "source_nat", Doc: "what happens to the source address", Label: true, Words: sourceNATNames, Enum: func(r *Record) uint16 { return uint16(r.SourceNAT) }},
	{Name: "source_nat_evidence", Doc: "how the source translation is known", Label: true, Words: evidenceNames, Enum: func(r *Record) uint16 { return uint16(r.SourceNATEvidence) }},
	{Name: "source_nat_rule", Doc: "the rule that decided the source translation, or why it is unknown", Label: true, Str: func(r *Record) Name { return r.SourceNATRule }},

	{Name: "service_nat", Doc: "1 where a service load-balancer rewrote an address", U8: func(r *Record) uint8 { return bit(r.ServiceNAT) }},
	{Name: "egress_ip", Doc: "the address the outside sees, best known", Addr: func(r *Record) netip.Addr { return r.EgressIP }},
	{Name: "egress_ip_evidence", Doc: "how that address is known", Label: true, Words: evidenceNames, Enum: func(r *Record) uint16 { return uint16(r.EgressIPEvidence) }},
	{Name: "noise", Doc: "what the network says for its own upkeep", Label: true, Words: noiseNames, Enum: func(r *Record) uint16 { return uint16(r.Noise) }},
	{Name: "counted", Doc: "1 on exactly one flow of each connection", U8: func(r *Record) uint8 { return bit(r.Counted) }},
	{Name: "duplicate", Doc: "why this flow is not the counted one", Label: true, Str: func(r *Record) Name { return r.Duplicate }},

	{Name: "source_identity", Doc: "Cilium's security identity of the source", U32: func(r *Record) uint32 { return r.Source.who().Identity }},
	{Name: "source_endpoint_id", Doc: "Cilium's endpoint ID of the source, where it lives on this node", U32: func(r *Record) uint32 { return r.Source.who().ID }},
	{Name: "source_cluster", Doc: "cluster of the source endpoint", Label: true, Str: func(r *Record) Name { return r.Source.who().Cluster }},
	{Name: "source_namespace", Doc: "namespace of the source pod", Label: true, Str: func(r *Record) Name { return r.Source.who().Namespace }},
	{Name: "source_pod", Doc: "source pod", Str: func(r *Record) Name { return r.Source.who().Pod }},
	{Name: "source_workload", Doc: "workload of the source pod", Label: true, Str: func(r *Record) Name { return r.Source.who().Workload }},
	{Name: "source_workload_kind", Doc: "kind of that workload", Label: true, Str: func(r *Record) Name { return r.Source.who().WorkloadKind }},
	{Name: "source_zone", Doc: "topology zone of the source", Label: true, Str: func(r *Record) Name { return r.Source.who().Zone }},
	{Name: "source_region", Doc: "topology region of the source", Label: true, Str: func(r *Record) Name { return r.Source.who().Region }},
	{Name: "source_node", Doc: "node where the source lives", Label: true, Str: func(r *Record) Name { return r.Source.who().Node }},
	{Name: "source_tags", Doc: "labels and annotations of the pod or its namespace that the settings ask for, as key=value", Strs: func(r *Record) Names { return r.Source.who().Tags }},
	{Name: "source_labels", Doc: "security-relevant labels of the source, as Cilium tells them", Strs: func(r *Record) Names { return r.Source.who().Labels }},
	{Name: "source_resolution", Doc: "who told which pod or node the source is", Label: true, Words: resolutionNames, Enum: func(r *Record) uint16 { return uint16(r.Source.Resolution) }},
	{Name: "source_service", Doc: "namespace/name of the service whose frontend or endpoint the source is", Label: true, Str: func(r *Record) Name { return r.Source.Service }},
	{Name: "source_service_evidence", Doc: "observed where it was seen at a frontend; inferred where it is an endpoint of that service and may have been spoken to directly", Label: true, Words: evidenceNames, Enum: func(r *Record) uint16 { return uint16(r.Source.ServiceEvidence) }},
	{Name: "source_names", Doc: "DNS names Hubble attached to the source address", Strs: func(r *Record) Names { return r.Source.Names }},
	{Name: "source_name", Doc: "DNS name under which the other end knows the source address", Str: func(r *Record) Name { return r.Source.Name }},
	{Name: "source_name_source", Doc: "who gave it that name", Label: true, Words: nameSourceNames, Enum: func(r *Record) uint16 { return uint16(r.Source.NameSource) }},
	{Name: "source_name_age", Doc: "seconds since the name was answered", U32: func(r *Record) uint32 { return r.Source.NameAge }},

	{Name: "destination_identity", Doc: "Cilium's security identity of the destination", U32: func(r *Record) uint32 { return r.Destination.who().Identity }},
	{Name: "destination_endpoint_id", Doc: "Cilium's endpoint ID of the destination, where it lives on this node", U32: func(r *Record) uint32 { return r.Destination.who().ID }},
	{Name: "destination_cluster", Doc: "cluster of the destination endpoint", Label: true, Str: func(r *Record) Name { return r.Destination.who().Cluster }},
	{Name: "destination_namespace", Doc: "namespace of the destination pod", Label: true, Str: func(r *Record) Name { return r.Destination.who().Namespace }},
	{Name: "destination_pod", Doc: "destination pod", Str: func(r *Record) Name { return r.Destination.who().Pod }},
	{Name: "destination_workload", Doc: "workload of the destination pod", Label: true, Str: func(r *Record) Name { return r.Destination.who().Workload }},
	{Name: "destination_workload_kind", Doc: "kind of that workload", Label: true, Str: func(r *Record) Name { return r.Destination.who().WorkloadKind }},
	{Name: "destination_zone", Doc: "topology zone of the destination", Label: true, Str: func(r *Record) Name { return r.Destination.who().Zone }},
	{Name: "destination_region", Doc: "topology region of the destination", Label: true, Str: func(r *Record) Name { return r.Destination.who().Region }},
	{Name: "destination_node", Doc: "node where the destination lives", Label: true, Str: func(r *Record) Name { return r.Destination.who().Node }},
	{Name: "destination_tags", Doc: "labels and annotations of the pod or its namespace that the settings ask for, as key=value", Strs: func(r *Record) Names { return r.Destination.who().Tags }},
	{Name: "destination_labels", Doc: "security-relevant labels of the destination, as Cilium tells them", Strs: func(r *Record) Names { return r.Destination.who().Labels }},
	{Name: "destination_resolution", Doc: "who told which pod or node the destination is", Label: true, Words: resolutionNames, Enum: func(r *Record) uint16 { return uint16(r.Destination.Resolution) }},
	{Name: "destination_service", Doc: "namespace/name of the service whose frontend or endpoint the destination is", Label: true, Str: func(r *Record) Name { return r.Destination.Service }},
	{Name: "destination_service_evidence", Doc: "observed where it was seen at a frontend; inferred where it is an endpoint of that service and may have been spoken to directly", Label: true, Words: evidenceNames, Enum: func(r *Record) uint16 { return uint16(r.Destination.ServiceEvidence) }},
	{Name: "destination_names", Doc: "DNS names Hubble attached to the destination address", Strs: func(r *Record) Names { return r.Destination.Names }},
	{Name: "destination_name", Doc: "DNS name under which the other end knows the destination address", Str: func(r *Record) Name { return r.Destination.Name }},
	{Name: "destination_name_source", Doc: "who gave it that name", Label: true, Words: nameSourceNames, Enum: func(r *Record) uint16 { return uint16(r.Destination.NameSource) }},
	{Name: "destination_name_age", Doc: "seconds since the name was answered", U32: func(r *Record) uint32 { return r.Destination.NameAge }},

	{Name: "interface", Doc: "network interface of the trace point", Str: func(r *Record) Name { return r.Interface }},
	{Name: "proxy_port", Doc: "port of the L7 proxy the packet was redirected to", U16: func(r *Record) uint16 { return r.ProxyPort }},
	{Name: "tunnel_protocol", Doc: "encapsulation around the packet; the addresses above are the inner ones", Label: true, Words: tunnelProtocolNames, Enum: func(r *Record) uint16 { return uint16(r.TunnelProtocol) }},
	{Name: "tunnel_source_ip", Doc: "outer source address", Addr: func(r *Record) netip.Addr { return r.TunnelSourceIP }},
	{Name: "tunnel_destination_ip", Doc: "outer destination address", Addr: func(r *Record) netip.Addr { return r.TunnelDestinationIP }},
	{Name: "socket_point", Doc: "where the socket load-balancer acted", Words: socketPointNames, Enum: func(r *Record) uint16 { return uint16(r.SocketPoint) }},

	{Name: "l7_type", Doc: "part of an application exchange", Label: true, Words: l7TypeNames, Enum: func(r *Record) uint16 { return uint16(r.L7Type) }},
	{Name: "l7_latency_ns", Doc: "time from request to response, on responses", U64: func(r *Record) uint64 { return r.L7LatencyNs }},
	{Name: "dns_query", Doc: "name asked for", Str: func(r *Record) Name { return r.DNS.Query }},
	{Name: "dns_types", Doc: "question types", Strs: func(r *Record) Names { return r.DNS.Types }},
	{Name: "dns_rcode", Doc: "DNS response code (0 is no error)", U16: func(r *Record) uint16 { return r.DNS.RCode }},
	{Name: "dns_answers", Doc: "addresses answered", Addrs: func(r *Record) []netip.Addr { return r.DNS.Answers }},
	{Name: "dns_cnames", Doc: "canonical names answered", Strs: func(r *Record) Names { return r.DNS.CNAMEs }},
	{Name: "dns_ttl", Doc: "time to live of the answer in seconds", U32: func(r *Record) uint32 { return r.DNS.TTL }},
	{Name: "http_method", Doc: "HTTP method", Str: func(r *Record) Name { return r.HTTP.Method }},
	{Name: "http_url", Doc: "HTTP URL without query and credentials", Str: func(r *Record) Name { return r.HTTP.URL }},
	{Name: "http_status", Doc: "HTTP status code, on responses", U16: func(r *Record) uint16 { return r.HTTP.Status }},

	{Name: "allowed_by", Doc: "policies that allowed it, as Kind/namespace/name", Strs: func(r *Record) Names { return r.AllowedBy }},
	{Name: "denied_by", Doc: "policies that denied it, as Kind/namespace/name", Strs: func(r *Record) Names { return r.DeniedBy }},
	{Name: "policy_log", Doc: "log values of the policies that matched", Strs: func(r *Record) Names { return r.PolicyLog }},

	{Name: "aggregated_flows", Doc: "how many flows this row stands for: 1, but more in aggregated exporter files", U32: func(r *Record) uint32 { return r.AggregatedFlows }},
	{Name: "bytes", Doc: "bytes of the flow; unknown, as Hubble does not tell", Count: func(r *Record) Count { return r.Bytes }},
	{Name: "packets", Doc: "packets of the flow; unknown, as Hubble does not tell", Count: func(r *Record) Count { return r.Packets }},
}

// GapFields is the one table of a gap's columns.
var GapFields = []Field[Gap]{
	{Name: "node", Doc: "node whose flows were not seen; empty when the cause is not tied to one", Label: true, Str: func(g *Gap) Name { return g.Node }},
	{Name: "cluster", Doc: "cluster of that node", Label: true, Str: func(g *Gap) Name { return g.Cluster }},
	{Name: "from", Doc: "begin of the gap (UTC)", Time: func(g *Gap) time.Time { return g.From }},
	{Name: "to", Doc: "end of the gap (UTC)", Time: func(g *Gap) time.Time { return g.To }},
	{Name: "cause", Doc: "why flows were not seen", Label: true, Words: gapCauseNames, Enum: func(g *Gap) uint16 { return uint16(g.Cause) }},
	{Name: "count", Doc: "events lost; unknown where nobody counted", Count: func(g *Gap) Count { return g.Count }},
	{Name: "detail", Doc: "what was noticed, in a sentence", Str: func(g *Gap) Name { return g.Detail }},
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// who returns the endpoint for reading. The zero handle reads as an empty endpoint.
func (e *End) who() *Endpoint {
	if e.Endpoint.e == nil {
		return &nobody
	}
	return &e.Endpoint.e.value
}

var nobody Endpoint
