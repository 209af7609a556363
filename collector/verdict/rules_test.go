package verdict_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// who is an end of a flow, in both families.
type who struct {
	v4, v6 string
	id     uint32
	ep     uint32 // endpoint ID, where it lives on node-1, which observes
	pod    string
}

var (
	cart       = who{"10.201.1.1", "fd10:201:0:1::5ab6", 71196, 3810, "cart"}
	client     = who{"10.201.1.137", "fd10:201:0:1::736a", 128908, 1311, "client"}
	db         = who{"10.201.2.158", "fd10:201:0:2::3f0b", 119525, 0, "db"}
	stranger   = who{"10.9.9.9", "fd09::9", 119525, 0, "stranger"} // a pod of another cluster, say
	unexposed  = who{"10.201.2.5", "fd10:201:0:2::5", 119525, 0, "quiet"}
	localOnly  = who{"10.9.9.8", "fd09::8", 119525, 77, "new"} // on node-1, but the facts have not heard
	gua        = who{"203.0.113.7", "2600::7", 71196, 3810, "cart"}
	world      = who{"198.51.100.10", "2001:db8:ffff::10", 10, 0, ""}
	world2     = who{"198.51.100.10", "2001:db8:ffff::10", 2, 0, ""}
	cidrWorld  = who{"198.51.100.20", "2001:db8:ffff:20::20", 1<<24 + 7, 0, ""}
	node1      = who{"172.31.250.1", "2001:db8:a::1", 1, 0, ""}
	node2      = who{"172.31.250.2", "2001:db8:a::2", 6, 0, ""}
	apiserver  = who{"172.31.250.2", "2001:db8:a::2", 7, 0, ""}
	scoped2    = who{"172.31.250.2", "2001:db8:a::2", 2<<24 + 1, 0, ""}
	router2    = who{"10.201.2.155", "fd10:201:0:2::f6e4", 6, 0, ""}
	cartAtNode = who{"172.31.250.1", "2001:db8:a::1", 71196, 0, ""}
	hidden     = who{"10.201.1.226", "fd10:201:0:1::655c", 10, 0, ""} // a client, behind node-1's router address
	lagging    = who{"10.201.2.77", "fd10:201:0:2::77", 10, 0, ""}    // of the world, but in a pod CIDR
	vip        = who{"10.96.0.100", "fd10:96::100", 10, 0, ""}
	nobody     = who{"203.0.113.99", "2600::99", 0, 0, ""}
	ingress    = who{"10.201.1.8", "fd10:201:0:1::8", 8, 5, ""}
	spareWorld = who{"192.0.2.1", "2001:db8:1::1", 10, 0, ""} // in what is spared below
)

const gateway4, gateway6 = "172.31.250.9", "2001:db8:a::9"

// Changes of the settings of node-1, which start from those of BPF masquerade.
var (
	byIptables  = func(s *verdict.Settings) { s.BPFMasquerade = flow.No }
	byEither    = func(s *verdict.Settings) { s.BPFMasquerade = flow.Unknown }
	off         = func(s *verdict.Settings) { s.MasqueradeIPv4, s.MasqueradeIPv6 = flow.No, flow.No }
	masqUnknown = func(s *verdict.Settings) { s.MasqueradeIPv4, s.MasqueradeIPv6 = flow.Unknown, flow.Unknown }
	spare       = func(s *verdict.Settings) {
		s.NativeRoutingIPv4.List, s.NativeRoutingIPv6.List = cidrs("192.0.2.0/24"), cidrs("2001:db8:1::/48")
	}
	spareUnknown = func(s *verdict.Settings) { s.NativeRoutingIPv4, s.NativeRoutingIPv6 = verdict.CIDRs{}, verdict.CIDRs{} }
	agent        = func(s *verdict.Settings) {
		s.IPMasqAgent, s.NonMasquerade.List = flow.Yes, cidrs("192.0.2.0/24", "2001:db8:1::/48")
	}
	agentSilent  = func(s *verdict.Settings) { s.IPMasqAgent, s.NonMasquerade = flow.Yes, verdict.CIDRs{} }
	agentUnknown = func(s *verdict.Settings) { s.IPMasqAgent = flow.Unknown }
	someDevices  = func(s *verdict.Settings) { s.MasqueradeInterfaces = []string{"eth1"} }
	gateways     = func(s *verdict.Settings) { s.EgressGateway = flow.Yes }
	gatewaysOdd  = func(s *verdict.Settings) { s.EgressGateway = flow.Unknown }
	nativeMode   = func(s *verdict.Settings) { s.Tunnel = flow.No }
	hybrid       = func(s *verdict.Settings) { s.Tunnel = flow.Unknown }
	toNodes      = func(s *verdict.Settings) { s.RemoteNodeMasquerade = flow.Yes }
	toNodesOdd   = func(s *verdict.Settings) { s.RemoteNodeMasquerade = flow.Unknown }
	chained      = func(s *verdict.Settings) { s.Chained = flow.Yes }
	kubeProxy    = func(s *verdict.Settings) { s.KubeProxyReplacement = flow.No }
)

type settings = func(*verdict.Settings)

// Changes of the record, which starts as a forward TCP packet on TO_STACK.
type change = func(r *flow.Record, v6 bool)

func at(point flow.ObservationPoint) change {
	return func(r *flow.Record, _ bool) { r.ObservationPoint = point }
}

// back is the answer: the ends of the row are those of the connection.
func back(point flow.ObservationPoint) change {
	return func(r *flow.Record, _ bool) {
		r.ObservationPoint, r.IsReply = point, flow.Yes
		r.Source, r.Destination = r.Destination, r.Source
	}
}

func silent(point flow.ObservationPoint) change {
	return func(r *flow.Record, _ bool) { r.ObservationPoint, r.IsReply = point, flow.Unknown }
}

func told(v4, v6 string) change {
	return func(r *flow.Record, six bool) {
		r.SourceTranslatedIP = addr(v4)
		if six {
			r.SourceTranslatedIP = addr(v6)
		}
	}
}

func dropped(code uint16) change {
	return func(r *flow.Record, _ bool) {
		r.EventType, r.ObservationPoint, r.Verdict, r.IsReply, r.DropCode = flow.EventDrop, flow.PointUnknown, flow.Dropped, flow.Unknown, code
		r.TCPFlags = 0
	}
}

func port(n uint16) change { return func(r *flow.Record, _ bool) { r.Destination.Port = n } }

func from(v4, v6 string) change {
	return func(r *flow.Record, six bool) { r.Source.IP = pick(six, v4, v6) }
}

func to(v4, v6 string) change {
	return func(r *flow.Record, six bool) { r.Destination.IP = pick(six, v4, v6) }
}

func named(source flow.NameSource) change {
	return func(r *flow.Record, _ bool) { r.Destination.NameSource = source }
}

func event(e flow.EventType) change {
	return func(r *flow.Record, _ bool) { r.EventType, r.ObservationPoint = e, flow.PointUnknown }
}

func sock(point flow.SocketPoint, v flow.Verdict) change {
	return func(r *flow.Record, _ bool) {
		r.EventType, r.ObservationPoint, r.IsReply, r.SocketPoint, r.Verdict = flow.EventSock, flow.PointUnknown, flow.Unknown, point, v
	}
}

func vxlan(r *flow.Record, _ bool) {
	r.TunnelProtocol, r.IsReply, r.TCPFlags = flow.VXLAN, flow.Unknown, flow.SYN
}

func icmp(type4, type6 uint8) change {
	return func(r *flow.Record, six bool) {
		r.Protocol, r.ICMPType, r.Source.Port, r.Destination.Port = flow.ICMP, type4, 0, 0
		if six {
			r.Protocol, r.ICMPType = flow.ICMPv6, type6
		}
	}
}

func fragment(r *flow.Record, _ bool) {
	r.Protocol, r.Source.Port, r.Destination.Port = flow.ProtocolUnknown, 0, 0
}

func pick(six bool, v4, v6 string) netip.Addr {
	if six {
		return addr(v6)
	}
	return addr(v4)
}

// A want is the verdict in words without the family: nat is nat44 or nat66, native is native4 or native6.
type want struct {
	Class, Evidence, Rule  string
	Source, SourceEvidence string
	SourceRule             string
	Direction              string
	Egress                 string // node, other node, gateway, source, told
}

func same(class, evidence, rule, direction, egress string) want {
	source := map[string]string{"nat": "nat", "native": "none", "unknown": "unknown"}[class]
	return want{class, evidence, rule, source, evidence, rule, direction, egress}
}

// split is a verdict of which class and source come from two rules.
func split(class, evidence, rule, source, sourceEvidence, sourceRule, direction, egress string) want {
	return want{class, evidence, rule, source, sourceEvidence, sourceRule, direction, egress}
}

func nat(rule, egress string) want      { return same("nat", "inferred", rule, "egress", egress) }
func plain(rule, egress string) want    { return same("native", "inferred", rule, "egress", egress) }
func inside(rule string) want           { return same("native", "inferred", rule, "internal", "") }
func dunno(rule, direction string) want { return same("unknown", "none", rule, direction, "") }

// TestRules has one row a case, and runs it in both families.
func TestRules(t *testing.T) {
	const both, only4, only6 = 0, 4, 6
	covered := map[string]bool{verdict.RuleMasqueradePair: true, verdict.RuleOfConnection: true}
	for _, row := range []struct {
		name     string
		family   int
		from, to who
		settings []settings
		changes  []change
		want     want
	}{
		// Pods to the world, by the settings of node-1.
		{"bpf", both, cart, world, nil, nil, nat("masquerade_bpf", "node")},
		{"bpf, single-stack world", both, cart, world2, nil, nil, nat("masquerade_bpf", "node")},
		{"bpf, world by cidr identity", both, cart, cidrWorld, nil, nil, nat("masquerade_bpf", "node")},
		{"bpf, answer", both, cart, world, nil, []change{back(flow.ToEndpoint)}, nat("masquerade_bpf", "node")},
		{"bpf, before translation", both, cart, world, nil, []change{at(flow.ToNetwork)}, nat("masquerade_bpf", "node")},
		{"bpf, to the proxy", both, cart, world, nil, []change{at(flow.ToProxy)}, nat("masquerade_bpf", "node")},
		{"bpf, policy verdict", both, cart, world, nil, []change{event(flow.EventPolicyVerdict)}, nat("masquerade_bpf", "node")},
		{"bpf, dns as the proxy tells it", both, cart, world, nil, []change{event(flow.EventL7), port(53)}, nat("masquerade_bpf", "node")},
		{"bpf, fragment", both, cart, world, nil, []change{fragment}, nat("masquerade_bpf", "node")},
		{"bpf, denied", both, cart, world, nil, []change{dropped(133)}, nat("masquerade_bpf", "")},
		{"bpf, interfaces are iptables'", both, cart, world, []settings{someDevices}, nil, nat("masquerade_bpf", "node")},
		{"iptables", both, cart, world, []settings{byIptables}, nil, nat("masquerade_iptables", "node")},
		{"iptables, no agent there", both, cart, spareWorld, []settings{byIptables, agent}, nil, nat("masquerade_iptables", "node")},
		{"bpf or iptables", both, cart, world, []settings{byEither}, nil, nat("masquerade", "node")},
		{"interfaces", both, cart, world, []settings{byIptables, someDevices}, nil, dunno("masquerade_interfaces", "egress")},
		{"interfaces, maybe bpf", both, cart, world, []settings{byEither, someDevices}, nil, dunno("masquerade_interfaces", "egress")},
		{"not known", both, cart, world, []settings{masqUnknown}, nil, dunno("masquerade_unknown", "egress")},
		{"off", only4, cart, world, []settings{off}, nil, plain("masquerade_off", "source")},
		{"off, from a global address", both, gua, world, []settings{off}, nil, plain("masquerade_off", "source")},
		{"off, through the proxy", both, gua, world, []settings{off}, []change{at(flow.ToProxy)}, plain("masquerade_off", "")},
		{"off, answer", both, gua, world, []settings{off}, []change{back(flow.ToEndpoint)}, plain("masquerade_off", "source")},
		{"off, ula to global", only6, cart, world, []settings{off}, nil, split("unknown", "none", "ula_untranslated", "none", "inferred", "ula_untranslated", "egress", "")},
		{"off, ula to ula", only6, cart, world, []settings{off}, []change{to("", "fd99::1")}, plain("masquerade_off", "source")},
		{"spared", both, cart, spareWorld, []settings{spare}, nil, plain("native_routing", "source")},
		{"spared, by iptables", both, cart, spareWorld, []settings{byIptables, spare}, nil, plain("native_routing", "source")},
		{"not spared", both, cart, world, []settings{spare}, nil, nat("masquerade_bpf", "node")},
		{"spared not known", both, cart, world, []settings{spareUnknown}, nil, dunno("native_routing_unknown", "egress")},
		{"agent spares", both, cart, spareWorld, []settings{agent}, nil, plain("ip_masq_agent", "source")},
		{"agent spares not", both, cart, world, []settings{agent}, nil, nat("masquerade_bpf", "node")},
		{"agent's list not known", both, cart, world, []settings{agentSilent}, nil, dunno("ip_masq_agent_unknown", "egress")},
		{"agent not known", both, cart, world, []settings{agentUnknown}, nil, dunno("ip_masq_agent_unknown", "egress")},
		{"another cni", both, cart, world, []settings{chained}, nil, dunno("chained_cni", "egress")},
		{"another cni, off", both, gua, world, []settings{chained, off}, nil, dunno("chained_cni", "egress")},
		{"of a pod nobody knows", both, stranger, world, nil, nil, dunno("node_unknown", "egress")},
		{"of a pod on node-2", both, db, world, nil, []change{at(flow.ToOverlay)}, nat("masquerade_bpf", "other node")},

		// Egress gateway: client is selected, for all but 192.0.2.0/24 and 2001:db8:1::/48.
		{"gateway", both, client, world, []settings{gateways}, nil, nat("egress_gateway", "gateway")},
		{"gateway before exclusion", both, client, cidrWorld, []settings{gateways, func(s *verdict.Settings) {
			s.NativeRoutingIPv4.List, s.NativeRoutingIPv6.List = cidrs("0.0.0.0/0"), cidrs("::/0")
		}}, nil, nat("egress_gateway", "gateway")},
		{"gateway, excluded", both, client, spareWorld, []settings{gateways}, nil, nat("masquerade_bpf", "node")},
		{"gateway, other pod", both, cart, world, []settings{gateways}, nil, nat("masquerade_bpf", "node")},
		{"gateway off", both, client, world, nil, nil, nat("masquerade_bpf", "node")},
		{"gateway not known", both, client, world, []settings{gatewaysOdd}, nil, dunno("egress_gateway_unknown", "egress")},
		{"gateway does not masquerade", both, client, world, []settings{gateways, masqUnknown}, nil, dunno("masquerade_unknown", "egress")},
		{"gateway observed", both, client, world, []settings{gateways}, []change{at(flow.ToNetwork), told(gateway4, gateway6)}, same("nat", "observed", "egress_gateway_observed", "egress", "told")},
		{"gateway, told an address of the node", both, client, world, []settings{gateways}, []change{at(flow.ToNetwork), told("172.31.250.1", "2001:db8:a::1")}, same("nat", "observed", "masquerade_observed", "egress", "told")},

		// Told by the datapath.
		{"observed", both, cart, world, nil, []change{silent(flow.ToNetwork), told("172.31.250.1", "2001:db8:a::1")}, same("nat", "observed", "masquerade_observed", "egress", "told")},
		{"observed, overlay", both, cart, world, nil, []change{silent(flow.ToOverlay), told("172.31.250.1", "2001:db8:a::1")}, same("nat", "observed", "masquerade_observed", "egress", "told")},
		{"observed, encrypted", both, cart, world, nil, []change{silent(flow.ToCrypto), told("172.31.250.1", "2001:db8:a::1")}, same("nat", "observed", "masquerade_observed", "egress", "told")},
		{"observed, to a node", both, cart, node2, nil, []change{silent(flow.ToNetwork), told("172.31.250.1", "2001:db8:a::1")}, same("nat", "observed", "masquerade_observed", "internal", "told")},
		{"observed against the settings", both, cart, world, []settings{off}, []change{at(flow.ToNetwork), told("172.31.250.1", "2001:db8:a::1")}, same("nat", "observed", "masquerade_observed", "egress", "told")},
		{"observed, of the node", both, node1, world, nil, []change{at(flow.ToNetwork), told("172.31.250.7", "2001:db8:a::7")}, same("nat", "observed", "node_snat_observed", "egress", "told")},
		{"observed, of a client", both, world, db, nil, []change{silent(flow.ToOverlay), told("10.201.1.226", "fd10:201:0:1::655c")}, same("nat", "observed", "nodeport_snat_observed", "ingress", "")},
		{"observed, other family", both, cart, world, nil, []change{at(flow.ToNetwork), told("2001:db8:a::1", "172.31.250.1")}, split("cross", "observed", "family_translated", "unknown", "none", "family_translated", "egress", "told")},
		{"a service's answer is no nat", both, client, cart, nil, []change{back(flow.ToEndpoint), told("10.96.0.100", "fd10:96::100")}, inside("service_reply")},
		{"a service's answer at the proxy", both, client, cart, nil, []change{back(flow.ToProxy), told("10.96.0.100", "fd10:96::100")}, inside("service_reply")},
		{"a service's answer from outside", both, cart, world, nil, []change{back(flow.ToEndpoint), told("10.96.0.100", "fd10:96::100")}, nat("masquerade_bpf", "node")},
		{"told on a forward TO_ENDPOINT", both, cart, cart, nil, []change{at(flow.ToEndpoint), told("10.96.0.100", "fd10:96::100")}, dunno("translation_unexpected", "internal")},
		{"told on an answer outside", both, cart, world, nil, []change{back(flow.ToNetwork), told("10.96.0.100", "fd10:96::100")}, dunno("translation_unexpected", "egress")},
		{"failed 4 to 6", both, cart, world, nil, []change{dropped(187)}, split("nat46", "observed", "nat46_failed", "unknown", "none", "nat46_failed", "unknown", "")},
		{"failed 6 to 4", both, cart, world, nil, []change{dropped(188)}, split("nat64", "observed", "nat64_failed", "unknown", "none", "nat64_failed", "unknown", "")},
		{"not enabled", both, cart, world, nil, []change{dropped(161)}, split("cross", "observed", "nat46x64_disabled", "unknown", "none", "nat46x64_disabled", "unknown", "")},

		// By prefix, with the source decided by other rules.
		{"nat64", only6, cart, world, nil, []change{to("", "64:ff9b::140.82.121.3")}, split("nat64", "inferred", "nat64_prefix", "nat", "inferred", "masquerade_bpf", "egress", "")},
		{"nat64 answered", only6, cart, world, nil, []change{to("", "64:ff9b::140.82.121.3"), named(flow.NameSourceDNS)}, split("nat64", "confirmed", "nat64_confirmed", "nat", "inferred", "masquerade_bpf", "egress", "")},
		{"nat64 answered, says hubble", only6, cart, world, nil, []change{to("", "64:ff9b::140.82.121.3"), named(flow.NameSourceHubble)}, split("nat64", "confirmed", "nat64_confirmed", "nat", "inferred", "masquerade_bpf", "egress", "")},
		{"nat64 answered, answer", only6, cart, world, nil, []change{to("", "64:ff9b::140.82.121.3"), named(flow.NameSourceDNS), back(flow.ToEndpoint)}, split("nat64", "confirmed", "nat64_confirmed", "nat", "inferred", "masquerade_bpf", "egress", "")},
		{"nat64 observed", only6, cart, world, nil, []change{to("", "64:ff9b::140.82.121.3"), at(flow.ToNetwork), told("", "2001:db8:a::1")}, split("nat64", "inferred", "nat64_prefix", "nat", "observed", "masquerade_observed", "egress", "")},
		{"nat64, own /96", only6, cart, world, nil, []change{to("", "2001:db8:64::140.82.121.3")}, split("nat64", "inferred", "nat64_prefix", "nat", "inferred", "masquerade_bpf", "egress", "")},
		{"nat64, no masquerade", only6, gua, world, []settings{off}, []change{to("", "64:ff9b::140.82.121.3")}, split("nat64", "inferred", "nat64_prefix", "none", "inferred", "masquerade_off", "egress", "")},
		{"nat64 of the node", only6, node1, world, nil, []change{to("", "64:ff9b::140.82.121.3"), at(flow.ToNetwork)}, split("nat64", "inferred", "nat64_prefix", "none", "inferred", "node_own", "egress", "")},
		{"nat64 around private", only6, cart, world, nil, []change{to("", "64:ff9b::10.0.0.1")}, split("nat64", "inferred", "nat64_wellknown_nonglobal", "nat", "inferred", "masquerade_bpf", "egress", "")},
		{"nat64 around private, answered", only6, cart, world, nil, []change{to("", "64:ff9b::10.0.0.1"), named(flow.NameSourceDNS)}, split("nat64", "confirmed", "nat64_wellknown_nonglobal_confirmed", "nat", "inferred", "masquerade_bpf", "egress", "")},
		{"nat46", only6, world, cart, nil, []change{from("", "64:ff9b::140.82.121.3")}, split("nat46", "inferred", "nat46_prefix", "none", "inferred", "world_to_pod", "ingress", "")},
		{"6to4", only6, cart, world, nil, []change{to("", "2002:8c52:7903::1")}, split("tunnel6", "inferred", "6to4_prefix", "nat", "inferred", "masquerade_bpf", "egress", "node")},
		{"teredo", only6, cart, world, nil, []change{to("", "2001:0:4136:e378:8000:63bf:3fff:fdd2")}, split("tunnel6", "inferred", "teredo_prefix", "nat", "inferred", "masquerade_bpf", "egress", "node")},
		{"isatap", only6, cart, world, nil, []change{to("", "2600::5efe:140.82.121.3")}, split("tunnel6", "inferred", "isatap_interface_id", "nat", "inferred", "masquerade_bpf", "egress", "node")},
		{"clat", only4, cart, world, nil, []change{from("192.0.0.4", "")}, split("clat", "inferred", "clat_prefix", "nat", "inferred", "masquerade_bpf", "egress", "")},
		{"aws host-local", only4, cart, world, nil, []change{from("169.254.172.2", "")}, split("clat", "inferred", "clat_host_local", "unknown", "none", "link_local_ipv4", "egress", "")},

		// What a node sends for a pod.
		{"after iptables", both, cartAtNode, world, []settings{byIptables}, []change{at(flow.ToNetwork)}, nat("post_masquerade", "source")},
		{"after iptables, to a node", both, cartAtNode, node2, []settings{byIptables}, []change{at(flow.ToNetwork)}, same("nat", "inferred", "post_masquerade", "internal", "")},
		{"after iptables or the dns proxy", both, cartAtNode, world, []settings{byIptables}, []change{at(flow.ToNetwork), port(53)}, same("unknown", "none", "dns_proxy_upstream", "egress", "source")},
		{"the dns proxy", both, cartAtNode, world, nil, []change{at(flow.ToNetwork), port(53)}, same("unknown", "none", "dns_proxy_upstream", "egress", "source")},
		{"a proxy, as masquerade is in bpf", both, cartAtNode, world, nil, []change{at(flow.ToNetwork)}, same("unknown", "none", "proxy_upstream", "egress", "source")},
		{"a proxy, as nothing is masqueraded", both, cartAtNode, world, []settings{byIptables, off}, []change{at(flow.ToNetwork)}, same("unknown", "none", "proxy_upstream", "egress", "source")},
		{"a proxy or another cni", both, cartAtNode, world, []settings{byIptables, chained}, []change{at(flow.ToNetwork)}, same("unknown", "none", "proxy_upstream", "egress", "source")},
		{"a proxy, elsewhere", both, cartAtNode, world, []settings{byIptables}, []change{at(flow.ToOverlay)}, dunno("proxy_upstream", "egress")},
		{"a proxy to a pod", both, cartAtNode, db, nil, []change{at(flow.ToOverlay)}, inside("proxy_leg")},
		{"imds", only4, cart, world, nil, []change{to("169.254.169.254", "")}, dunno("link_local_ipv4", "internal")},
		{"a nodeport answers", both, world, cartAtNode, nil, []change{back(flow.ToNetwork)}, dunno("service_answer", "ingress")},

		// Within the cluster.
		{"pod to pod, same node", both, client, cart, nil, []change{at(flow.ToEndpoint)}, inside("in_cluster")},
		{"pod to pod, source view", both, cart, db, nil, []change{at(flow.ToOverlay)}, inside("in_cluster")},
		{"pod to pod, destination view", both, db, cart, nil, []change{at(flow.ToEndpoint)}, inside("in_cluster")},
		{"pod to pod, nobody knows who began", both, cart, db, nil, []change{silent(flow.ToOverlay)}, inside("in_cluster")},
		{"pod to pod, around the tunnel", both, who{cart.v4, cart.v6, 1, 0, ""}, who{db.v4, db.v6, 6, 0, ""}, nil, []change{at(flow.ToNetwork), vxlan}, inside("in_cluster")},
		{"pod to pod, native, arriving", both, db, cart, []settings{nativeMode}, []change{at(flow.ToEndpoint)}, inside("in_cluster")},
		{"pod to pod, native, spared", both, cart, db, []settings{nativeMode, func(s *verdict.Settings) {
			s.NativeRoutingIPv4.List, s.NativeRoutingIPv6.List = cidrs("10.201.0.0/16"), cidrs("fd10:201::/32")
		}}, nil, inside("in_cluster")},
		{"pod to pod, native, off", both, cart, db, []settings{nativeMode, off}, nil, inside("in_cluster")},
		{"pod to pod, native, spared not known", both, cart, db, []settings{nativeMode, spareUnknown}, nil, dunno("native_routing_unknown", "internal")},
		{"pod to pod, native, nobody knows who began", both, cart, db, []settings{nativeMode}, []change{silent(flow.FromEndpoint)}, dunno("who_began_unknown", "internal")},
		{"pod to pod, native, same node, says the endpoint", both, cart, localOnly, []settings{nativeMode}, nil, inside("in_cluster")},
		{"pod to pod, native, same node, say the facts", both, cart, who{client.v4, client.v6, client.id, 0, "client"}, []settings{nativeMode}, nil, inside("in_cluster")},
		{"pod to pod, native, not spared", both, cart, db, []settings{nativeMode}, nil, same("nat", "inferred", "masquerade_bpf", "internal", "")},
		{"pod to pod, native, same node", both, cart, client, []settings{nativeMode}, nil, inside("in_cluster")},
		{"pod to pod, hybrid", both, cart, db, []settings{hybrid}, nil, inside("in_cluster")},
		{"a pod's socket to a pod", both, cart, db, nil, []change{sock(flow.SocketPostForward, flow.Translated)}, inside("in_cluster")},
		{"a pod's socket to the world", both, cart, world, nil, []change{sock(flow.SocketPreForward, flow.Traced)}, dunno("socket_event", "egress")},
		{"a datagram from the world", both, world, cart, nil, []change{sock(flow.SocketPreReverse, flow.Traced)}, dunno("socket_event", "unknown")},
		{"to a service", both, cart, vip, nil, nil, dunno("service_frontend", "internal")},
		{"to a service, socket", both, cart, vip, nil, []change{sock(flow.SocketPreForward, flow.Traced)}, dunno("service_frontend", "internal")},
		{"pod to its node", both, cart, node1, nil, nil, inside("pod_to_node")},
		{"pod to its node, answer", both, cart, node1, nil, []change{back(flow.ToEndpoint)}, inside("pod_to_node")},
		{"pod to node, tunnel", both, cart, node2, nil, nil, same("nat", "inferred", "remote_node_tunnel", "internal", "")},
		{"pod to node, tunnel, iptables", both, cart, node2, []settings{byIptables}, nil, same("nat", "inferred", "remote_node_tunnel", "internal", "")},
		{"pod to api server on a node", both, cart, apiserver, nil, nil, same("nat", "inferred", "remote_node_tunnel", "internal", "")},
		{"pod to node with a local identity", both, cart, scoped2, nil, nil, same("nat", "inferred", "remote_node_tunnel", "internal", "")},
		{"pod to router, tunnel", both, cart, router2, nil, nil, inside("tunnel_to_router")},
		{"pod to node, native", both, cart, node2, []settings{nativeMode}, nil, inside("remote_node_native")},
		{"pod to node, native, told to", both, cart, node2, []settings{nativeMode, toNodes}, nil, same("nat", "inferred", "remote_node_masquerade", "internal", "")},
		{"pod to node, native, not known", both, cart, node2, []settings{nativeMode, toNodesOdd}, nil, dunno("remote_node_unknown", "internal")},
		{"pod to node, hybrid", both, cart, node2, []settings{hybrid}, nil, dunno("remote_node_unknown", "internal")},
		{"pod to node, spared", both, cart, node2, []settings{func(s *verdict.Settings) {
			s.NativeRoutingIPv4.List, s.NativeRoutingIPv6.List = cidrs("172.31.0.0/16"), cidrs("2001:db8:a::/48")
		}}, nil, inside("native_routing")},
		{"pod to node, off", both, cart, node2, []settings{off}, nil, inside("masquerade_off")},
		{"pod to node, gateways are for the world", both, client, node2, []settings{gateways}, nil, same("nat", "inferred", "remote_node_tunnel", "internal", "")},
		{"node to its pod", both, node1, cart, nil, []change{at(flow.ToEndpoint)}, inside("node_to_pod")},
		{"node to its pod, answer", both, node1, cart, []settings{nativeMode}, []change{back(flow.ToStack)}, inside("node_to_pod")},
		{"node to its pod, answer, behind a nodeport", both, node1, localOnly, nil, []change{back(flow.ToStack)}, inside("node_to_pod")},
		{"node to a pod elsewhere, answer, native", both, node1, who{db.v4, db.v6, db.id, 0, "db"}, []settings{nativeMode}, []change{back(flow.FromOverlay)}, dunno("node_or_hidden_client", "unknown")},
		{"other node to a pod behind no nodeport", both, router2, cart, []settings{nativeMode}, []change{at(flow.ToEndpoint)}, inside("node_to_pod")},
		{"node to a pod it may masquerade to, answer", both, node1, unexposed, []settings{nativeMode}, []change{back(flow.FromOverlay)}, dunno("node_or_hidden_client", "unknown")},
		{"node to a pod it masquerades nothing to, answer", both, node1, unexposed, []settings{nativeMode, off}, []change{back(flow.FromOverlay)}, inside("node_to_pod")},
		{"node to its pod, kube-proxy, no service lets in", both, node1, cart, []settings{kubeProxy}, []change{at(flow.ToEndpoint)}, inside("node_to_pod")},
		{"node to a pod behind a nodeport", both, node1, db, nil, []change{at(flow.ToOverlay)}, inside("node_to_pod")},
		{"node to a pod behind a nodeport, kube-proxy", both, node1, db, []settings{kubeProxy}, []change{at(flow.ToOverlay)}, dunno("node_or_hidden_client", "unknown")},
		{"other node to a pod behind a nodeport", both, router2, db, nil, []change{at(flow.ToEndpoint)}, inside("node_to_pod")},
		{"other node is answered by a pod behind a nodeport", both, router2, db, nil, []change{back(flow.ToOverlay)}, dunno("node_or_hidden_client", "unknown")},
		{"other node to a pod behind a nodeport, around the tunnel", both, router2, db, nil, []change{at(flow.FromNetwork), vxlan}, dunno("node_or_hidden_client", "unknown")},
		{"node to node", both, node1, node2, nil, []change{at(flow.ToNetwork)}, inside("node_to_node")},
		{"node from node", both, node2, node1, nil, []change{at(flow.FromNetwork)}, dunno("node_or_masqueraded_pod", "internal")},
		{"node answers node", both, node2, node1, nil, []change{back(flow.ToNetwork)}, dunno("node_or_masqueraded_pod", "internal")},
		{"node is answered by node", both, node1, node2, nil, []change{back(flow.FromNetwork)}, dunno("node_or_masqueraded_pod", "internal")},
		{"node is answered by node, masquerade is off", both, node1, node2, []settings{off}, []change{back(flow.FromNetwork)}, inside("node_to_node")},
		{"node is answered by node, native", both, node1, node2, []settings{nativeMode}, []change{back(flow.FromNetwork)}, inside("node_to_node")},
		{"node is answered by node, native, masquerades to nodes", both, node1, node2, []settings{nativeMode, toNodes}, []change{back(flow.FromNetwork)}, dunno("node_or_masqueraded_pod", "internal")},
		{"node and node, nobody knows who began, one masquerades", both, node1, node2, []settings{off}, []change{silent(flow.ToNetwork)}, dunno("who_began_unknown", "internal")},
		{"node and node, nobody knows who began", both, node1, node2, nil, []change{silent(flow.ToNetwork)}, dunno("who_began_unknown", "internal")},

		// The world.
		{"world to pod", both, world, cart, nil, []change{at(flow.ToEndpoint)}, same("native", "inferred", "world_to_pod", "ingress", "")},
		{"world to pod, answer", both, world, cart, nil, []change{back(flow.ToNetwork)}, same("native", "inferred", "world_to_pod", "ingress", "")},
		{"world to pod, denied", both, world, cart, nil, []change{dropped(181)}, same("native", "inferred", "world_to_pod", "ingress", "")},
		{"hidden client", both, hidden, db, nil, []change{at(flow.ToOverlay)}, same("nat", "inferred", "client_hidden", "ingress", "")},
		{"in a pod cidr, but of the world", both, lagging, cart, nil, nil, dunno("facts_contradict", "ingress")},
		{"to a node, but of the world", both, cart, who{node2.v4, node2.v6, 10, 0, ""}, nil, nil, dunno("facts_contradict", "egress")},
		{"node to world", both, node1, world, nil, []change{at(flow.ToNetwork)}, plain("node_own", "source")},
		{"node to world, by cidr identity", both, node1, cidrWorld, []settings{byIptables}, []change{at(flow.ToNetwork)}, plain("node_own", "source")},
		{"node to world, nobody knows who began", both, node1, world, nil, []change{silent(flow.ToNetwork)}, dunno("who_began_unknown", "unknown")},
		{"world to node", both, world, node1, nil, []change{silent(flow.FromNetwork)}, dunno("to_node_address", "unknown")},
		{"world to node, known", both, world, node1, nil, []change{at(flow.FromNetwork)}, dunno("to_node_address", "ingress")},
		{"world to world", both, world, cidrWorld, nil, []change{at(flow.FromNetwork)}, dunno("forwarded", "forwarded")},
		{"pod and world, nobody knows who began", both, cart, world, nil, []change{silent(flow.FromEndpoint)}, dunno("who_began_unknown", "unknown")},
		{"icmp error to a pod", both, world, cart, nil, []change{icmp(3, 1)}, dunno("who_began_unknown", "unknown")},
		{"echo request", both, cart, world, nil, []change{silent(flow.FromEndpoint), icmp(8, 128)}, nat("masquerade_bpf", "node")},
		{"the ingress proxy to the world", both, ingress, world, nil, nil, dunno("ends_unknown", "egress")},
		{"nobody", both, nobody, world, nil, nil, dunno("ends_unknown", "unknown")},

		// Noise.
		{"arp", both, who{}, who{}, nil, []change{fragment}, dunno("no_addresses", "unknown")},
		{"neighbour solicitation", only6, who{v6: "fe80::1"}, who{v6: "ff02::1:ff00:1"}, nil, []change{icmp(0, 135)}, inside("on_link")},
		{"neighbour solicitation of a global address", only6, node1, world, nil, []change{icmp(0, 135)}, same("native", "inferred", "on_link", "egress", "")},
		{"mdns", both, cart, who{v4: "224.0.0.251", v6: "ff02::fb"}, nil, nil, inside("on_link")},
		{"multicast further away", both, cart, who{v4: "239.1.1.1", v6: "ff0e::1"}, nil, nil, dunno("multicast", "internal")},
	} {
		for _, six := range []bool{false, true} {
			if row.family == only4 && six || row.family == only6 && !six {
				continue
			}
			family := map[bool]string{false: "4", true: "6"}[six]
			t.Run(row.name+"/ipv"+family, func(t *testing.T) {
				names := flow.NewInterner()
				r := record1(names, row.from, row.to, six)
				for _, change := range row.changes {
					change(&r, six)
				}
				set := bpf
				for _, change := range row.settings {
					change(&set)
				}
				stage := verdict.New(names, prefixes(t, "2001:db8:64::/96"))
				stage.SetFacts(verdict.NewFacts(names, withPolicy(lab(set))))
				b := &flow.Batch{Records: []flow.Record{r}}
				stage.Process(b)

				got := &b.Records[0]
				if row.name == "arp" { // its family is none
					family = ""
				}
				if diff := cmp.Diff(row.want, inWords(got, family)); diff != "" {
					t.Errorf("%s → %s (-want +got):\n%s", got.Source.IP, got.Destination.IP, diff)
				}
				covered[got.ClassRule.String()], covered[got.SourceNATRule.String()] = true, true
			})
		}
	}
	without := []string{"needs_cluster_facts", "nodes_unknown"} // see TestWithoutFacts
	for _, rule := range verdict.Rules() {
		if !covered[rule.Name] && !slices.Contains(without, rule.Name) {
			t.Errorf("no row is decided by %s", rule.Name)
		}
	}
}

// record1 is a forward packet on TO_STACK, as node-1 sees it.
func record1(names *flow.Interner, from, to who, six bool) flow.Record {
	r := flow.Record{
		Node: names.Name("node-1"), Cluster: names.Name("lab"), EventType: flow.EventTrace, ObservationPoint: flow.ToStack,
		Verdict: flow.Forwarded, IsReply: flow.No, Protocol: flow.TCP, Family: flow.FamilyIPv4,
		Source: from.end(names, six, 40000), Destination: to.end(names, six, 443),
	}
	if six {
		r.Family = flow.FamilyIPv6
	}
	if !r.Source.IP.IsValid() {
		r.Family = flow.FamilyNone
	}
	return r
}

func (w who) end(names *flow.Interner, six bool, port uint16) flow.End {
	e := flow.End{IP: pick(six, w.v4, w.v6), Port: port}
	if w.id != 0 {
		e.Endpoint = names.Endpoint(flow.Endpoint{Identity: w.id, ID: w.ep, Pod: names.Name(w.pod)})
	}
	return e
}

func withPolicy(c *verdict.Cluster) *verdict.Cluster {
	c.EgressPolicies = []verdict.EgressPolicy{{
		Name: "out", Sources: addrs(client.v4, client.v6), Destinations: cidrs("0.0.0.0/0", "::/0"),
		Excluded: cidrs("192.0.2.0/24", "2001:db8:1::/48"), EgressIPs: addrs(gateway4, gateway6),
	}}
	return c
}

func inWords(r *flow.Record, family string) want {
	class := map[string]string{
		"nat44": "nat", "nat66": "nat", "native4": "native", "native6": "native",
	}
	word := func(w string) string {
		if other := map[string]string{"4": "6", "6": "4"}[family]; w == "nat"+other+other || w == "native"+other {
			return "of the other family: " + w
		}
		if short, ok := class[w]; ok {
			return short
		}
		return w
	}
	got := want{
		word(r.Class.String()), r.ClassEvidence.String(), r.ClassRule.String(),
		word(r.SourceNAT.String()), r.SourceNATEvidence.String(), r.SourceNATRule.String(),
		r.Direction.String(), "",
	}
	if (r.Class == flow.NAT64 && family == "6" || r.Class == flow.NAT46 && family == "4") &&
		(got.Rule == "family_translated" || got.Rule == "nat46x64_disabled") {
		got.Class = "cross"
	}
	initiator, _, _ := r.Ends()
	switch evidence := r.EgressIPEvidence.String(); {
	case !r.EgressIP.IsValid() && evidence == "none":
	case r.EgressIP == r.SourceTranslatedIP && evidence == "observed":
		got.Egress = "told"
	case evidence != "inferred":
		got.Egress = "wrong evidence: " + evidence
	case r.EgressIP == initiator.IP:
		got.Egress = "source"
	case r.EgressIP == addr(node1.v4) || r.EgressIP == addr(node1.v6):
		got.Egress = "node"
	case r.EgressIP == addr(node2.v4) || r.EgressIP == addr(node2.v6):
		got.Egress = "other node"
	case r.EgressIP == addr(gateway4) || r.EgressIP == addr(gateway6):
		got.Egress = "gateway"
	default:
		got.Egress = r.EgressIP.String()
	}
	return got
}
