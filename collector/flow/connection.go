package flow

import (
	"net/netip"
	"time"
)

// Connection is one connection, made of all its flows that were seen, on both nodes. The source is who began it.
// Addresses are the initiator's own and those of the server that answered, behind any service.
type Connection struct {
	ID      UUID // of the connection's key and begin: the same whoever counts it
	First   time.Time
	Last    time.Time
	Node    Name // the node whose view is used
	Cluster Name
	View    View
	Flows   uint32 // flows that were seen of it, of both directions and nodes
	Late    bool   // its begin was not seen

	Family      Family
	Protocol    Protocol
	ICMPType    uint8
	Source      End
	Destination End
	Direction   Direction

	EmbeddedIPv4      netip.Addr
	EgressIP          netip.Addr
	EgressIPEvidence  Evidence
	Class             Class
	ClassEvidence     Evidence
	ClassRule         Name
	SourceNAT         SourceNAT
	SourceNATEvidence Evidence
	SourceNATRule     Name
	ServiceNAT        bool

	Outcome       Outcome
	DropReason    Name // where the outcome is denied, or packets were dropped
	FallbackOf    UUID // the IPv6 attempt of which this is the IPv4 retry
	FallenBack    bool // this is an IPv6 attempt that was retried over IPv4
	FallbackMs    uint32
	AvoidableIPv4 bool // IPv4 was used though a usable AAAA had been answered
}

// ConnectionFields is the one table of a connection's columns.
var ConnectionFields = []Field[Connection]{
	{Name: "first", Doc: "when its first flow was seen (UTC)", Time: func(c *Connection) time.Time { return c.First }},
	{Name: "last", Doc: "when its last flow was seen (UTC)", Time: func(c *Connection) time.Time { return c.Last }},
	{Name: "id", Doc: "identifier made of the connection's key and begin", UUID: func(c *Connection) UUID { return c.ID }},
	{Name: "node", Doc: "node whose view is used", Label: true, Str: func(c *Connection) Name { return c.Node }},
	{Name: "cluster", Doc: "cluster of that node", Label: true, Str: func(c *Connection) Name { return c.Cluster }},
	{Name: "view", Doc: "which flow supplied what is said", Label: true, Words: viewNames, Enum: func(c *Connection) uint16 { return uint16(c.View) }},
	{Name: "flows", Doc: "flows seen of it, of both directions and nodes", U32: func(c *Connection) uint32 { return c.Flows }},
	{Name: "late", Doc: "1 where its begin was not seen", U8: func(c *Connection) uint8 { return bit(c.Late) }},

	{Name: "family", Doc: "address family of its packets", Label: true, Words: familyNames, Enum: func(c *Connection) uint16 { return uint16(c.Family) }},
	{Name: "protocol", Doc: "transport protocol or ICMP", Label: true, Words: protocolNames, Enum: func(c *Connection) uint16 { return uint16(c.Protocol) }},
	{Name: "icmp_type", Doc: "ICMP type of the request, where protocol is icmp or icmpv6", U8: func(c *Connection) uint8 { return c.ICMPType }},
	{Name: "source_ip", Doc: "address of who began it, before any translation", Addr: func(c *Connection) netip.Addr { return c.Source.IP }},
	{Name: "source_port", Doc: "its port", U16: func(c *Connection) uint16 { return c.Source.Port }},
	{Name: "destination_ip", Doc: "address of who answers, behind any service", Addr: func(c *Connection) netip.Addr { return c.Destination.IP }},
	{Name: "destination_port", Doc: "its port", U16: func(c *Connection) uint16 { return c.Destination.Port }},
	{Name: "direction", Doc: "which way it goes, seen from the cluster", Label: true, Words: directionNames, Enum: func(c *Connection) uint16 { return uint16(c.Direction) }},
	{Name: "embedded_ipv4", Doc: "the IPv4 destination inside a NAT64, 6to4, Teredo or ISATAP address", Addr: func(c *Connection) netip.Addr { return c.EmbeddedIPv4 }},
	{Name: "egress_ip", Doc: "the address the outside sees, best known", Addr: func(c *Connection) netip.Addr { return c.EgressIP }},
	{Name: "egress_ip_evidence", Doc: "how that address is known", Label: true, Words: evidenceNames, Enum: func(c *Connection) uint16 { return uint16(c.EgressIPEvidence) }},

	{Name: "class", Doc: "which way it took", Label: true, Words: classNames, Enum: func(c *Connection) uint16 { return uint16(c.Class) }},
	{Name: "class_evidence", Doc: "how the class is known, the best of its flows", Label: true, Words: evidenceNames, Enum: func(c *Connection) uint16 { return uint16(c.ClassEvidence) }},
	{Name: "class_rule", Doc: "the rule that decided the class, or why it is unknown", Label: true, Str: func(c *Connection) Name { return c.ClassRule }},
	{Name: "source_nat", Doc: "what happens to the source address", Label: true, Words: sourceNATNames, Enum: func(c *Connection) uint16 { return uint16(c.SourceNAT) }},
	{Name: "source_nat_evidence", Doc: "how that is known", Label: true, Words: evidenceNames, Enum: func(c *Connection) uint16 { return uint16(c.SourceNATEvidence) }},
	{Name: "source_nat_rule", Doc: "the rule that decided it, or why it is unknown", Label: true, Str: func(c *Connection) Name { return c.SourceNATRule }},
	{Name: "service_nat", Doc: "1 where a service load-balancer rewrote an address", U8: func(c *Connection) uint8 { return bit(c.ServiceNAT) }},

	{Name: "outcome", Doc: "how it went", Label: true, Words: outcomeNames, Enum: func(c *Connection) uint16 { return uint16(c.Outcome) }},
	{Name: "drop_reason", Doc: "why packets of it were dropped", Label: true, Str: func(c *Connection) Name { return c.DropReason }},
	{Name: "fallback_of", Doc: "the IPv6 attempt of which it is the IPv4 retry", UUID: func(c *Connection) UUID { return c.FallbackOf }},
	{Name: "fallen_back", Doc: "1 where it is an IPv6 attempt that was retried over IPv4", U8: func(c *Connection) uint8 { return bit(c.FallenBack) }},
	{Name: "fallback_ms", Doc: "milliseconds that the failed IPv6 attempt cost, on both", U32: func(c *Connection) uint32 { return c.FallbackMs }},
	{Name: "avoidable_ipv4", Doc: "1 where IPv4 was used though a usable AAAA had been answered", U8: func(c *Connection) uint8 { return bit(c.AvoidableIPv4) }},

	{Name: "source_side", Doc: "where the source lives", Label: true, Words: sideNames, Enum: func(c *Connection) uint16 { return uint16(c.Source.Side) }},
	{Name: "source_kind", Doc: "kind of the source address", Label: true, Words: addressKindNames, Enum: func(c *Connection) uint16 { return uint16(c.Source.Kind) }},
	{Name: "source_identity", Doc: "Cilium's security identity of the source", U32: func(c *Connection) uint32 { return c.Source.who().Identity }},
	{Name: "source_namespace", Doc: "namespace of the source pod", Label: true, Str: func(c *Connection) Name { return c.Source.who().Namespace }},
	{Name: "source_pod", Doc: "source pod", Str: func(c *Connection) Name { return c.Source.who().Pod }},
	{Name: "source_workload", Doc: "workload of the source pod", Label: true, Str: func(c *Connection) Name { return c.Source.who().Workload }},
	{Name: "source_workload_kind", Doc: "kind of that workload", Label: true, Str: func(c *Connection) Name { return c.Source.who().WorkloadKind }},
	{Name: "source_node", Doc: "node where the source lives", Label: true, Str: func(c *Connection) Name { return c.Source.who().Node }},
	{Name: "source_zone", Doc: "topology zone of the source", Label: true, Str: func(c *Connection) Name { return c.Source.who().Zone }},
	{Name: "source_region", Doc: "topology region of the source", Label: true, Str: func(c *Connection) Name { return c.Source.who().Region }},
	{Name: "source_tags", Doc: "labels and annotations of the pod or its namespace that the settings ask for, as key=value", Strs: func(c *Connection) Names { return c.Source.who().Tags }},
	{Name: "source_resolution", Doc: "who told which pod or node the source is", Label: true, Words: resolutionNames, Enum: func(c *Connection) uint16 { return uint16(c.Source.Resolution) }},
	{Name: "destination_side", Doc: "where the destination lives", Label: true, Words: sideNames, Enum: func(c *Connection) uint16 { return uint16(c.Destination.Side) }},
	{Name: "destination_kind", Doc: "kind of the destination address", Label: true, Words: addressKindNames, Enum: func(c *Connection) uint16 { return uint16(c.Destination.Kind) }},
	{Name: "destination_identity", Doc: "Cilium's security identity of the destination", U32: func(c *Connection) uint32 { return c.Destination.who().Identity }},
	{Name: "destination_namespace", Doc: "namespace of the destination pod", Label: true, Str: func(c *Connection) Name { return c.Destination.who().Namespace }},
	{Name: "destination_pod", Doc: "destination pod", Str: func(c *Connection) Name { return c.Destination.who().Pod }},
	{Name: "destination_workload", Doc: "workload of the destination pod", Label: true, Str: func(c *Connection) Name { return c.Destination.who().Workload }},
	{Name: "destination_workload_kind", Doc: "kind of that workload", Label: true, Str: func(c *Connection) Name { return c.Destination.who().WorkloadKind }},
	{Name: "destination_node", Doc: "node where the destination lives", Label: true, Str: func(c *Connection) Name { return c.Destination.who().Node }},
	{Name: "destination_zone", Doc: "topology zone of the destination", Label: true, Str: func(c *Connection) Name { return c.Destination.who().Zone }},
	{Name: "destination_region", Doc: "topology region of the destination", Label: true, Str: func(c *Connection) Name { return c.Destination.who().Region }},
	{Name: "destination_tags", Doc: "labels and annotations of the pod or its namespace that the settings ask for, as key=value", Strs: func(c *Connection) Names { return c.Destination.who().Tags }},
	{Name: "destination_resolution", Doc: "who told which pod or node the destination is", Label: true, Words: resolutionNames, Enum: func(c *Connection) uint16 { return uint16(c.Destination.Resolution) }},
	{Name: "destination_service", Doc: "namespace/name of the service it was made to", Label: true, Str: func(c *Connection) Name { return c.Destination.Service }},
	{Name: "destination_service_evidence", Doc: "observed where it was seen at a frontend; inferred where the destination is an endpoint of that service and may have been spoken to directly", Label: true, Words: evidenceNames, Enum: func(c *Connection) uint16 { return uint16(c.Destination.ServiceEvidence) }},
	{Name: "destination_name", Doc: "DNS name under which the source knows the destination", Str: func(c *Connection) Name { return c.Destination.Name }},
	{Name: "destination_name_source", Doc: "who gave it that name", Label: true, Words: nameSourceNames, Enum: func(c *Connection) uint16 { return uint16(c.Destination.NameSource) }},
	{Name: "destination_name_age", Doc: "seconds since the name was answered, when the connection began", U32: func(c *Connection) uint32 { return c.Destination.NameAge }},
}
