package verdict

import (
	"net/netip"

	"sextant/collector/flow"
)

// Cluster is what the rules may know of a cluster, as plain values that a dump, a file or the live API fills in. What is
// not told stays zero and is taken for unknown, never for a default; what an agent takes for a key that its configuration
// leaves out is a fact, which whoever reads that configuration fills in. NewFacts makes it fit for lookups.
type Cluster struct {
	Name           string
	Nodes          []Node
	PodCIDRs       []netip.Prefix // of the whole cluster, where the IPAM has such (cluster-pool); the nodes' own are theirs
	Pods           []Pod
	Services       []Service
	EgressPolicies []EgressPolicy
	Settings       Settings // of nodes that are not in Nodes: what cilium-config alone decides
}

// Node is one node. Its settings are cilium-config with the CiliumNodeConfigs that select it laid over it.
type Node struct {
	Name      string
	Labels    map[string]string
	Addresses []netip.Addr // InternalIP and ExternalIP, in the order told
	Router    []netip.Addr // CiliumInternalIP, the address of cilium_host
	PodCIDRs  []netip.Prefix
	Settings  Settings
}

// Settings are a node's Cilium settings, as far as the rules ask for them. Unknown is unknown, not off.
type Settings struct {
	MasqueradeIPv4       flow.Tristate // enable-ipv4-masquerade, where IPv4 is enabled and rules are installed at all
	MasqueradeIPv6       flow.Tristate // enable-ipv6-masquerade
	BPFMasquerade        flow.Tristate // enable-bpf-masquerade: in place of iptables; Cilium 1.20 does it without kube-proxy replacement, too
	NativeRoutingIPv4    CIDRs         // ipv4-native-routing-cidr: destinations that are not masqueraded
	NativeRoutingIPv6    CIDRs         // ipv6-native-routing-cidr
	IPMasqAgent          flow.Tristate // enable-ip-masq-agent
	NonMasquerade        CIDRs         // the nonMasqueradeCIDRs of the ip-masq-agent ConfigMap
	MasqueradeInterfaces []string      // egress-masquerade-interfaces; empty is all
	RemoteNodeMasquerade flow.Tristate // enable-remote-node-masquerade
	EgressGateway        flow.Tristate // enable-egress-gateway, or enable-ipv4-egress-gateway of old
	KubeProxyReplacement flow.Tristate // kube-proxy-replacement
	HostFirewall         flow.Tristate // enable-host-firewall
	WireGuard            flow.Tristate // enable-wireguard
	IPsec                flow.Tristate // enable-ipsec
	L2Announcements      flow.Tristate // enable-l2-announcements
	TransparentDNSProxy  flow.Tristate // dnsproxy-enable-transparent-mode
	NAT46x64Gateway      flow.Tristate // enable-nat46x64-gateway
	Tunnel               flow.Tristate // routing-mode is tunnel; unknown where it is hybrid
	Chained              flow.Tristate // cni-chaining-mode is not none: another CNI may masquerade, whatever stands above
	Aggregation          string        // monitor-aggregation: none, lowest, low, medium or maximum; empty is unknown
}

// CIDRs is a list that may be known to be empty.
type CIDRs struct {
	List  []netip.Prefix
	Known bool
}

// Pod is one pod. Pods on the host's network have its addresses and are never told from one another by address.
type Pod struct {
	Namespace, Name string
	Node            string
	IPs             []netip.Addr
	HostNetwork     bool
	Labels          map[string]string
	NamespaceLabels map[string]string
}

// Service is one service with all frontend addresses it has.
type Service struct {
	Namespace, Name string
	Addresses       []netip.Addr // cluster IPs, external IPs, load-balancer addresses
	// External: of type NodePort or LoadBalancer, or with external IPs. A node may then hide who comes in through it.
	External flow.Tristate
	Selector map[string]string // of pods in its namespace; empty selects none
}

// EgressPolicy is a CiliumEgressGatewayPolicy, its selectors already applied to the pods.
type EgressPolicy struct {
	Name         string
	Sources      []netip.Addr   // addresses of the pods it selects
	Destinations []netip.Prefix // destinationCIDRs
	Excluded     []netip.Prefix // excludedCIDRs
	EgressIPs    []netip.Addr   // the addresses its traffic leaves with, where the policy tells; may be empty
	Gateways     []string       // the nodes its traffic leaves from; none where no listed node is one
}
