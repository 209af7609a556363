package verdict

import "sextant/collector/flow"

// Rules that collector/track relies on.
const (
	// RulePostMasquerade is given to what left a node where iptables masquerades: one half of a proof.
	RulePostMasquerade = "post_masquerade"
	// RuleMasqueradePair is for a connection of which both halves were seen, with evidence confirmed.
	RuleMasqueradePair = "masquerade_pair"
	// RuleOfConnection is for a record that does not tell who began, where its connection has a verdict, with evidence
	// inferred.
	RuleOfConnection = "of_its_connection"
	// RuleWhoBeganUnknown is given to what any other record of the same connection explains.
	RuleWhoBeganUnknown = "who_began_unknown"
)

// A rule gives its verdict on every record that shows the signs and that no earlier rule decided.
type rule struct {
	name     string
	when     signs // all of them
	unless   signs // none of them
	says     saying
	evidence flow.Evidence // of what it says, as far as that is not unknown
	egress   egress        // the address that the outside sees
	source   string        // where it is written that this is so
	means    string        // a sentence
	certain  string        // what would make it certain, or known at all
}

// saying is what a rule says by the family of the packet. Of a nil column it says nothing.
type saying struct {
	class  *[3]flow.Class
	source *[3]flow.SourceNAT
}

var (
	nativeClass = &[3]flow.Class{flow.FamilyIPv4: flow.Native4, flow.FamilyIPv6: flow.Native6}
	natClass    = &[3]flow.Class{flow.FamilyIPv4: flow.NAT44, flow.FamilyIPv6: flow.NAT66}
	crossClass  = &[3]flow.Class{flow.FamilyIPv4: flow.NAT46, flow.FamilyIPv6: flow.NAT64}
	noClass     = &[3]flow.Class{}

	noNAT     = &[3]flow.SourceNAT{flow.FamilyIPv4: flow.SourceNATNone, flow.FamilyIPv6: flow.SourceNATNone}
	someNAT   = &[3]flow.SourceNAT{flow.FamilyIPv4: flow.SourceNAT44, flow.FamilyIPv6: flow.SourceNAT66}
	noSaidNAT = &[3]flow.SourceNAT{}

	native     = saying{nativeClass, noNAT}
	translated = saying{natClass, someNAT}
	unknown    = saying{noClass, noSaidNAT}
	cross      = saying{crossClass, noSaidNAT}
)

// only says the class, whatever the family, and nothing of the source.
func only(c flow.Class) saying { return saying{class: &[3]flow.Class{c, c, c}} }

// egress is where the address that the outside sees comes from.
type egress uint8

const (
	egressUnknown egress = iota
	egressTold           // the datapath told it
	egressSource         // nobody translates the source
	egressNode           // the node's
	egressPolicy         // the egress policy's
)

// rules, first match wins, for the class and for the source each. The last one matches everything.
//
// What the datapath told goes first, then what addresses mean by their prefix, then what needs facts. A NAT64 prefix goes
// before the tunnels, since a configured prefix may hold any bits, those of ISATAP among them. The rules on what leaves a
// node stand in the order in which the datapath decides.
var rules = []rule{
	{
		name: "no_addresses", when: noAddresses, says: unknown,
		source:  "threefour/parser.go: Hubble gives addresses to IP packets alone",
		means:   "The frame has no IP addresses, ARP for one.",
		certain: "Nothing: there is no way to tell.",
	},

	// Told by the datapath, of the destination.
	{
		name: "nat46_failed", when: dropped46, says: saying{class: &[3]flow.Class{flow.NAT46, flow.NAT46, flow.NAT46}, source: noSaidNAT}, evidence: flow.Observed,
		source:  "pkg/monitor/api/drop.go 187",
		means:   "Cilium dropped the packet because it could not translate it from IPv4 to IPv6.",
		certain: "It is certain: the datapath said so.",
	},
	{
		name: "nat64_failed", when: dropped64, says: saying{class: &[3]flow.Class{flow.NAT64, flow.NAT64, flow.NAT64}, source: noSaidNAT}, evidence: flow.Observed,
		source:  "pkg/monitor/api/drop.go 188",
		means:   "Cilium dropped the packet because it could not translate it from IPv6 to IPv4.",
		certain: "It is certain: the datapath said so.",
	},
	{
		name: "nat46x64_disabled", when: droppedXlat, says: cross, evidence: flow.Observed,
		source:  "pkg/monitor/api/drop.go 161",
		means:   "Cilium dropped the packet because it would have to change its family, which is not enabled (enable-nat46x64-gateway).",
		certain: "It is certain: the datapath said so.",
	},
	{
		name: "family_translated", when: masqueraded | familyChanged, says: cross, evidence: flow.Observed, egress: egressTold,
		source:  "bpf/lib/nodeport_egress.h, tail_handle_snat_fwd",
		means:   "The datapath translated the source to an address of the other family.",
		certain: "It is certain: the datapath said so.",
	},

	// By prefix, of the destination.
	{
		name: "nat64_wellknown_nonglobal_confirmed", when: nat64Private | nat64Named, says: only(flow.NAT64), evidence: flow.Confirmed,
		source:  "RFC 6052 section 3.1, RFC 6147 section 5",
		means:   "The address is in the well-known NAT64 prefix and was the answer to a DNS question, but the IPv4 address inside is not global: translators must drop such packets.",
		certain: "Use a prefix of your own for private IPv4 addresses.",
	},
	{
		name: "nat64_wellknown_nonglobal", when: nat64Private, says: only(flow.NAT64), evidence: flow.Inferred,
		source:  "RFC 6052 section 3.1",
		means:   "The address is in the well-known NAT64 prefix, but the IPv4 address inside is not global: translators must drop such packets.",
		certain: "Use a prefix of your own for private IPv4 addresses.",
	},
	{
		name: "nat64_confirmed", when: nat64Prefix | nat64Named, says: only(flow.NAT64), evidence: flow.Confirmed,
		source:  "RFC 6147 section 5",
		means:   "The address is in a NAT64 prefix, and was the answer to a DNS question: a DNS64 made it up from the IPv4 address inside.",
		certain: "Two independent signs agree; only the translator's own records would say more.",
	},
	{
		name: "nat64_prefix", when: nat64Prefix, says: only(flow.NAT64), evidence: flow.Inferred,
		source:  "RFC 6052 section 2",
		means:   "The address is in a NAT64 prefix: the connection ends at the IPv4 address inside.",
		certain: "A DNS answer that holds the address, seen by Cilium's DNS proxy.",
	},
	{
		name: "nat46_prefix", when: nat46Prefix, says: only(flow.NAT46), evidence: flow.Inferred,
		source:  "RFC 7755 section 3",
		means:   "The one who began has an address in a NAT64 prefix: an IPv4 host whose packets a translator carries on over IPv6.",
		certain: "The translator's own records.",
	},
	{
		name: "6to4_prefix", when: in6to4, says: only(flow.Tunnel6), evidence: flow.Inferred,
		source:  "RFC 3056 section 2",
		means:   "One end has a 6to4 address: its IPv6 packets travel inside IPv4.",
		certain: "The IPv4 packets outside, of protocol 41.",
	},
	{
		name: "teredo_prefix", when: inTeredo, says: only(flow.Tunnel6), evidence: flow.Inferred,
		source:  "RFC 4380 section 4",
		means:   "One end has a Teredo address: its IPv6 packets travel inside IPv4 UDP.",
		certain: "The IPv4 packets outside, to or from UDP port 3544.",
	},
	{
		name: "isatap_interface_id", when: inISATAP, says: only(flow.Tunnel6), evidence: flow.Inferred,
		source:  "RFC 5214 section 6.1",
		means:   "One end has an ISATAP interface identifier: its IPv6 packets travel inside IPv4.",
		certain: "The IPv4 packets outside, of protocol 41.",
	},
	{
		name: "clat_prefix", when: inCLAT, says: only(flow.CLAT), evidence: flow.Inferred,
		source:  "RFC 6877, RFC 7335",
		means:   "The one who began has an address that a CLAT gives to the programs behind it: its IPv4 travels over IPv6.",
		certain: "The IPv6 packets outside, towards the NAT64 prefix.",
	},
	{
		name: "clat_host_local", when: inHostLocal, says: only(flow.CLAT), evidence: flow.Inferred,
		source:  "amazon-vpc-cni-k8s, cmd/egress-cni-plugin",
		means:   "The one who began has the IPv4 address that AWS's CNI gives every pod of an IPv6 cluster, and translates to the node's.",
		certain: "The packets outside, which have the node's IPv4 address.",
	},

	// Noise.
	{
		name: "on_link", when: linkBound, says: native, evidence: flow.Inferred,
		source:  "RFC 4291 section 2.5.6, RFC 4861 section 3.1, RFC 3810 section 5",
		means:   "No router forwards the packet, so nobody translates it.",
		certain: "It needs nothing more.",
	},
	{
		name: "multicast", when: toMany, says: unknown,
		source:  "RFC 4291 section 2.7",
		means:   "The packet goes to many, and may be routed.",
		certain: "Nothing in a flow.",
	},

	// Told by the datapath, of the source.
	{
		name: "translation_unexpected", when: oddXlat, says: unknown,
		source:  "bpf/bpf_lxc.c:1991, bpf/lib/nodeport_egress.h:151: the only places that tell a translated source",
		means:   "The datapath told a translated source where none is expected, as for a pod that reaches itself through a service.",
		certain: "Nothing in a flow.",
	},
	{
		name: "egress_gateway_observed", when: masqueraded | toEgressIP, says: translated, evidence: flow.Observed, egress: egressTold,
		source:  "bpf/lib/nat.h, egress_gw_snat_needed_hook",
		means:   "The datapath translated the source to the egress IP of a policy that selects it.",
		certain: "It is certain: the datapath said so.",
	},
	{
		name: "nodeport_snat_observed", when: masqueraded | fromOutside, says: translated, evidence: flow.Observed,
		source:  "bpf/lib/nodeport_egress.h:151",
		means:   "The load-balancer translated a client's address to the node's, on the way to a pod on another node.",
		certain: "It is certain: the datapath said so.",
	},
	{
		name: "node_snat_observed", when: masqueraded | fromHost, says: translated, evidence: flow.Observed, egress: egressTold,
		source:  "bpf/lib/nodeport_egress.h, nodeport_has_nat_conflict",
		means:   "The datapath translated the source of a connection that the node itself made.",
		certain: "It is certain: the datapath said so.",
	},
	{
		name: "masquerade_observed", when: masqueraded, says: translated, evidence: flow.Observed, egress: egressTold,
		source:  "bpf/lib/nodeport_egress.h:151",
		means:   "The datapath translated the source on the way out of the node.",
		certain: "It is certain: the datapath said so.",
	},

	// What a node sends for a pod.
	{
		name: "link_local_ipv4", when: linkLocal4, says: unknown,
		source:  "RFC 3927 section 2.6.2",
		means:   "An IPv4 link-local address: a service on the node itself, or cloud metadata, which the node may masquerade to.",
		certain: "Nothing in a flow.",
	},
	{
		name: "dns_proxy_upstream", when: leftNode | toDNS, says: unknown, egress: egressSource,
		source:  "recorded: queries of the DNS proxy leave with the node's address and the pod's identity",
		means:   "A DNS query left with a node's address and a pod's identity: Cilium's DNS proxy asks on behalf of the pod, or iptables masquerades the pod.",
		certain: "The pod's own packet before it, of the same ports (TO_STACK); the proxy's has others.",
	},
	{
		name: RulePostMasquerade, when: leftNode | masqYes | byIptables, unless: chained, says: translated, evidence: flow.Inferred, egress: egressSource,
		source:  "recorded: TO_NETWORK with the pod's identity and the node's address",
		means:   "The packet left with a node's address and a pod's identity, and the node masquerades by iptables.",
		certain: "The pod's own packet before it, of the same ports (TO_STACK).",
	},
	{
		name: RuleMasqueradePair, when: never, says: translated, evidence: flow.Confirmed,
		source:  "recorded: TO_STACK and TO_NETWORK of the same ports, destination and identity",
		means:   "The packet was seen with the pod's address before iptables, and with the node's after it.",
		certain: "Two independent signs agree.",
	},
	{
		name: RuleOfConnection, when: never, says: unknown,
		means:   "The packet does not tell who began, but it has the addresses and ports of a connection that is under way: what holds for that holds for it.",
		certain: "The evidence of the connection's other flows.",
	},
	{
		name: "proxy_upstream", when: podAtNodeIP, unless: toPod, says: unknown, egress: egressSource,
		source:  "recorded: TO_NETWORK with the pod's identity and the node's address",
		means:   "The packet has a node's address and a pod's identity: a proxy on the node connects on behalf of the pod, or somebody masquerades it.",
		certain: "The node's masquerade settings, and the pod's own packet before it.",
	},
	{
		name: "proxy_leg", when: podAtNodeIP | toPod, says: native, evidence: flow.Inferred,
		source:  "bpf/lib/proxy.h; recorded with Cilium 1.10",
		means:   "A proxy on the node connects to the pod on behalf of another.",
		certain: "The connection of the client to the proxy, seen on TO_PROXY.",
	},

	// Services.
	{
		name: "service_answer", when: replyFromVIP, says: unknown,
		source:  "bpf/lib/nodeport_egress.h:283",
		means:   "A service's address on the node answers; whether the node hid the client from the pod behind it does not show here.",
		certain: "The flows of the node on which that pod runs.",
	},
	{
		name: "service_frontend", when: toService, says: unknown,
		source:  "bpf/lib/lb.h, bpf/bpf_sock.c",
		means:   "The packet goes to a service's address; which backend it will reach, in the cluster or outside, does not show here.",
		certain: "The same connection after load-balancing, which every other observation point shows.",
	},

	// Where both ends live.
	{
		name: "facts_contradict", when: contradicted, says: unknown,
		source:  "cilium/cilium issue 22899",
		means:   "The datapath takes an end for the world, and the cluster's objects take it for one of their own.",
		certain: "Later flows: one of the two has not heard yet.",
	},
	{
		name: "client_hidden", when: whoKnown | fromOutside | toPod | fromNodeIP, says: translated, evidence: flow.Inferred,
		source:  "bpf/lib/nodeport.h:1125",
		means:   "The client is of the world but has a node's address: the node forwards a connection to a NodePort or load-balancer, and hides who made it.",
		certain: "The flows of the node that forwards, at monitor aggregation low or none.",
	},
	{
		name: "node_or_hidden_client", when: whoKnown | mayHide, says: unknown,
		source:  "bpf/lib/nodeport.h:1125, pkg/datapath/iptables/iptables.go: cilium host->cluster masquerade",
		means:   "The node itself, its kubelet for one, or a client outside that it forwards to a NodePort with its own address: both look the same.",
		certain: "Kube-proxy replacement with tunnel routing keeps the two apart; so does a pod that no NodePort or LoadBalancer service selects, where the services are known.",
	},
	{
		name: "node_or_masqueraded_pod", when: whoKnown | mayHidePod, says: unknown,
		source:  "bpf/lib/nat.h, TUNNEL_MODE; recorded",
		means:   "A node connects to a node: itself, or for one of its pods, which it masquerades to nodes.",
		certain: "The flows of the node that began.",
	},
	{
		name: "service_reply", when: serviceReply | fromPod | toPod, says: native, evidence: flow.Inferred,
		source:  "bpf/bpf_lxc.c:1866, 1991",
		means:   "The answer of a service's backend, to which the datapath gives the service's address back. This is no masquerade.",
		certain: "It needs nothing more: both ends are pods.",
	},
	{
		name: "in_cluster", when: fromPod | toPod, unless: leaves, says: native, evidence: flow.Inferred,
		source:  "bpf/lib/nat.h, pkg/datapath/iptables/iptables.go: what leaves through a tunnel, or not at all, is not masqueraded",
		means:   "Both ends are pods of the cluster.",
		certain: "It needs nothing more.",
	},
	{
		name: "node_to_node", when: fromHost | toHost, unless: mayHidePod, says: native, evidence: flow.Inferred,
		source:  "bpf/lib/nat.h: what is no endpoint's is not masqueraded",
		means:   "Both ends are nodes of the cluster.",
		certain: "It needs nothing more.",
	},
	{
		name: "node_to_pod", when: whoKnown | fromHost | toPod, says: native, evidence: flow.Inferred,
		source:  "bpf/lib/nat.h: what is no endpoint's is not masqueraded",
		means:   "A node connects to a pod.",
		certain: "It needs nothing more.",
	},
	{
		name: "pod_to_node", when: whoKnown | fromPod | toHost, unless: leaves, says: native, evidence: flow.Inferred,
		source:  "bpf/bpf_lxc.c: what goes to the host leaves through no device",
		means:   "A pod connects to the node it runs on.",
		certain: "It needs nothing more.",
	},
	{
		name: "socket_event", when: socket, says: unknown,
		source:  "bpf/lib/trace_sock.h",
		means:   "The socket load-balancer looked at a socket: this is no packet.",
		certain: "The packets of the same connection.",
	},
	{
		name: "to_node_address", when: intoNode, says: unknown,
		source:  "recorded: FROM_NETWORK to the node's address is also how answers to masqueraded pods come back",
		means:   "The world sends to a node's address: to the node, to a NodePort, or in answer to a pod that was masqueraded.",
		certain: "The same packet on TO_ENDPOINT, or the connection of the node itself.",
	},
	{
		name: "node_own", when: whoKnown | fromHost | toOutside, says: native, evidence: flow.Inferred, egress: egressSource,
		source:  "bpf/lib/nat.h: the host's own connections keep their address",
		means:   "The node itself connects to the world, to pull an image for one.",
		certain: "It needs nothing more, as long as nobody beyond the node translates.",
	},
	{
		name: "forwarded", when: fromOutside | toOutside, says: unknown,
		source:  "",
		means:   "Both ends are outside: the node only forwards.",
		certain: "Nothing in a flow.",
	},
	{
		name: RuleWhoBeganUnknown, unless: whoKnown | placeless, says: unknown,
		source:  "threefour/parser.go, decodeIsReply: no reply bit on FROM_* points, drops, and what has no connection tracking result",
		means:   "The flow does not tell who began: a pod's connection may be masqueraded, the answer to one from outside is not.",
		certain: "Any flow of the same connection with a reply bit, or its first packet.",
	},
	{
		name: "nodes_unknown", when: fromOutside | toPod | haveFacts, unless: haveNodes, says: unknown,
		source:  "bpf/lib/nodeport.h:1125",
		means:   "The world connects to a pod; whether the address is a client's or that of a node that hides it cannot be told without the nodes' addresses.",
		certain: "The Node and CiliumNode objects.",
	},
	{
		name: "world_to_pod", when: whoKnown | fromOutside | toPod | haveNodes, says: native, evidence: flow.Inferred,
		source:  "bpf/bpf_lxc.c:1991",
		means:   "The world connects to a pod, which sees the client's own address.",
		certain: "It needs nothing more, as long as nobody before the cluster translates.",
	},

	// What a pod sends out of its node, in the order in which the datapath decides.
	{
		name: "node_unknown", when: leaves | haveFacts, unless: nodeKnown, says: unknown,
		source:  "pkg/option/config.go: settings are a node's own",
		means:   "A pod connects to the outside, but it is not known on which node it runs, whose settings decide.",
		certain: "The pod's and its node's objects.",
	},
	{
		name: "chained_cni", when: leaves | chained, says: unknown,
		source:  "cni-chaining-mode",
		means:   "A pod connects to the outside, and another CNI does the network: whether it masquerades does not show.",
		certain: "The settings of that CNI.",
	},
	{
		name: "masquerade_unknown", when: leaves | nodeKnown, unless: masqYes | masqNo, says: unknown,
		source:  "enable-ipv4-masquerade, enable-ipv6-masquerade",
		means:   "A pod connects to the outside, but it is not known whether its node masquerades this family.",
		certain: "The ConfigMap cilium-config, and the CiliumNodeConfigs.",
	},
	{
		name: "ula_untranslated", when: leaves | masqNo | ulaOut | toOutside, says: saying{noClass, noNAT}, evidence: flow.Inferred,
		source:  "RFC 4193 section 4.3",
		means:   "A unique local address goes to a global one untranslated: a router beyond the cluster translates it, or it is lost.",
		certain: "A capture beyond that router.",
	},
	{
		name: "masquerade_off", when: leaves | masqNo, says: native, evidence: flow.Inferred, egress: egressSource,
		source:  "pkg/datapath/linux/config/config.go:399, pkg/option/config.go:2043",
		means:   "A pod connects to the outside, and its node does not masquerade this family.",
		certain: "A capture outside: no flow tells that nothing was translated.",
	},
	{
		name: "egress_gateway", when: leaves | gateway | gatewayYes, says: translated, evidence: flow.Inferred, egress: egressPolicy,
		source:  "bpf/lib/nat.h, egress_gw_snat_needed_hook",
		means:   "An egress gateway policy selects the pod and the destination: its gateway translates to the policy's egress IP.",
		certain: "The flows of the gateway node.",
	},
	{
		name: "egress_gateway_unknown", when: leaves | gateway, says: unknown,
		source:  "enable-egress-gateway",
		means:   "An egress gateway policy selects the pod and the destination, but it is not known whether egress gateways are on.",
		certain: "The ConfigMap cilium-config, and the CiliumNodeConfigs.",
	},
	{
		name: "native_routing_unknown", when: leaves | nodeKnown, unless: excludeKnown, says: unknown,
		source:  "ipv4-native-routing-cidr, ipv6-native-routing-cidr; pkg/ipam/eni.go, autoDetectENINativeRoutingCIDR",
		means:   "The node masquerades, but it is not known which destinations it spares.",
		certain: "The ConfigMap cilium-config; in clouds, the network's own prefixes.",
	},
	{
		name: "native_routing", when: leaves | excluded, says: native, evidence: flow.Inferred, egress: egressSource,
		source:  "bpf/lib/nat.h, IPV6_SNAT_EXCLUSION_DST_CIDR",
		means:   "The destination is in the native-routing prefix, to which the node does not masquerade.",
		certain: "A capture outside: no flow tells that nothing was translated.",
	},
	{
		name: "ip_masq_agent_unknown", when: leaves | agentUnknown, says: unknown,
		source:  "enable-ip-masq-agent, the ConfigMap ip-masq-agent",
		means:   "The node masquerades, but it is not known which destinations its ip-masq-agent spares.",
		certain: "The ConfigMaps cilium-config and ip-masq-agent.",
	},
	{
		name: "ip_masq_agent", when: leaves | spared, says: native, evidence: flow.Inferred, egress: egressSource,
		source:  "bpf/lib/nat.h, ENABLE_IP_MASQ_AGENT_IPV6",
		means:   "The destination is one that the ip-masq-agent spares.",
		certain: "A capture outside: no flow tells that nothing was translated.",
	},
	{
		name: "tunnel_to_router", when: leaves | toHost | toRouter | tunnelYes, says: native, evidence: flow.Inferred,
		source:  "bpf/bpf_lxc.c, encap_and_redirect; recorded",
		means:   "A pod connects to the address of another node inside the tunnel, where nothing is masqueraded.",
		certain: "It needs nothing more.",
	},
	{
		name: "remote_node_masquerade", when: leaves | toHost | remoteYes, says: translated, evidence: flow.Inferred,
		source:  "bpf/lib/nat.h, enable_remote_node_masquerade",
		means:   "A pod connects to another node, and its own is told to masquerade to nodes.",
		certain: "BPF masquerade with monitor aggregation low or none tells the translated address.",
	},
	{
		name: "remote_node_tunnel", when: leaves | toHost | tunnelYes, says: translated, evidence: flow.Inferred,
		source:  "bpf/lib/nat.h, TUNNEL_MODE; pkg/datapath/iptables/iptables.go, NodeIpsetNeeded; recorded",
		means:   "A pod connects to another node; with tunnel routing that goes around the tunnel and is masqueraded.",
		certain: "BPF masquerade with monitor aggregation low or none tells the translated address.",
	},
	{
		name: "remote_node_native", when: leaves | toHost | tunnelNo | remoteNo, says: native, evidence: flow.Inferred,
		source:  "bpf/lib/nat.h; pkg/datapath/iptables/iptables.go, nodeIpsetNATCmds",
		means:   "A pod connects to another node; with native routing nodes are not masqueraded to.",
		certain: "A capture between the nodes: no flow tells that nothing was translated.",
	},
	{
		name: "remote_node_unknown", when: leaves | nodeKnown | toHost, says: unknown,
		source:  "routing-mode, enable-remote-node-masquerade",
		means:   "A pod connects to another node, but it is not known whether its own masquerades to nodes.",
		certain: "The ConfigMap cilium-config, and the CiliumNodeConfigs.",
	},
	{
		name: "masquerade_interfaces", when: leaves | somePorts, says: unknown,
		source:  "egress-masquerade-interfaces; pkg/datapath/iptables/iptables.go, allEgressMasqueradeCmds",
		means:   "The node masquerades on some interfaces alone, and through which one the packet leaves is not known.",
		certain: "The node's routes, or BPF masquerade.",
	},
	{
		name: "masquerade_bpf", when: leaves | masqYes | byBPF, says: translated, evidence: flow.Inferred, egress: egressNode,
		source:  "bpf/lib/nat.h, __snat_v6_needs_masquerade",
		means:   "A pod connects to the outside, and its node masquerades in BPF.",
		certain: "Monitor aggregation low or none: then the datapath tells the translated address.",
	},
	{
		name: "masquerade_iptables", when: leaves | masqYes | byIptables, says: translated, evidence: flow.Inferred, egress: egressNode,
		source:  "pkg/datapath/iptables/iptables.go, allEgressMasqueradeCmds",
		means:   "A pod connects to the outside, and its node masquerades by iptables, which no flow shows.",
		certain: "BPF masquerade with monitor aggregation low or none, or a capture outside.",
	},
	{
		name: "masquerade", when: leaves | masqYes, says: translated, evidence: flow.Inferred, egress: egressNode,
		source:  "pkg/option/config.go:2043",
		means:   "A pod connects to the outside, and its node masquerades, by BPF or by iptables.",
		certain: "BPF masquerade with monitor aggregation low or none, or a capture outside.",
	},

	{
		name: "needs_cluster_facts", unless: haveFacts, says: unknown,
		source:  "",
		means:   "Only the cluster's settings and objects could tell, and they are not known.",
		certain: "Give the state of the cluster: --state, or access to its API.",
	},
	{
		name: "ends_unknown", says: unknown,
		source:  "",
		means:   "It is not known where one of the ends lives, or what it is.",
		certain: "The objects of the cluster that it may belong to.",
	},
}
