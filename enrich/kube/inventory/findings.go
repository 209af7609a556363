package inventory

import "sextant/collector/flow"

// The words of findings. They do not change, for queries and alerts go by them; the family is the row's.
const (
	NoAddress               = "no_address"
	NoPodPrefix             = "no_pod_prefix"
	NodesShare64            = "nodes_share_64"
	NoGlobalAddress         = "no_global_address"
	ClusterPrefixUnknown    = "cluster_prefix_unknown"
	MaskDoesNotFit          = "mask_does_not_fit"
	UniqueLocal             = "unique_local"
	SmallerThan64           = "smaller_than_64"
	Shares64                = "shares_64"
	NotCutFromPool          = "not_cut_from_pool"
	LengthNotOfPool         = "length_not_of_pool"
	Overlaps                = "overlaps"
	NearlyUsedUp            = "nearly_used_up"
	UsedUp                  = "used_up"
	ServiceRangeUnknown     = "service_range_unknown"
	NoServiceRange          = "no_service_range"
	SingleStackIPv4         = "single_stack_ipv4"
	PreferDualStackGotOne   = "prefer_dual_stack_got_one"
	DeclaredWithoutEndpoint = "declared_without_endpoints"
	FewerEndpoints          = "fewer_endpoints"
	NoEndpoints             = "no_endpoints"
	LoadBalancerLacksFamily = "load_balancer_lacks_family"
	Headless                = "headless"
	PodsLackFamily          = "pods_lack_family"
	RowsLeftOut             = "rows_left_out"
)

// Level says how much a finding matters.
type Level uint8

// Levels, the gravest last.
const (
	LevelUnknown Level = iota
	Note               // good to know, or not known
	Warning            // it may hurt: where limits, growth or a client of the other family come in
	Problem            // something that was asked for does not work, or is about to stop
)

func (l Level) String() string {
	return [...]string{"unknown", "note", "warning", "problem"}[min(l, Problem)]
}

// A Finding is what deserves attention about a thing.
type Finding struct {
	Word   string
	Level  Level
	Kinds  []flow.ItemKind // what it is said of
	Doc    string
	Remedy string // empty for what nothing has to be done about
}

// Findings is the one table of findings.
var Findings = []Finding{
	{
		NoAddress, Warning,
		[]flow.ItemKind{flow.ItemNode},
		"The node has no address of a family that pods or other nodes have: its image pulls and its hostNetwork pods cannot use the family.",
		"Give the node's interface an address of the family and name it in the kubelet's --node-ip.",
	},
	{
		NoPodPrefix, Problem,
		[]flow.ItemKind{flow.ItemNode},
		"The node has no prefix for its pods of a family in which others have one: its pods get no address of the family, or do not start.",
		"See whether the cluster prefix is used up; a node that joined before the family was enabled may have to join anew.",
	},
	{
		NodesShare64, Warning,
		[]flow.ItemKind{flow.ItemNode},
		"The node's global address is in one /64 with other nodes' addresses: who limits by /64, as Docker Hub does, counts the image pulls of these nodes, and the pods masqueraded behind them, as one.",
		"Log in to registries or pull through a cache; where the network allows it, give each node a /64 of its own.",
	},
	{
		NoGlobalAddress, Note,
		[]flow.ItemKind{flow.ItemNode},
		"None of the node's addresses of the family is global: the outside sees the address of a gateway, which is not known here and may be one for all nodes.",
		"",
	},
	{
		ClusterPrefixUnknown, Note,
		[]flow.ItemKind{flow.ItemClusterPrefix},
		"The prefix that the nodes' prefixes are cut from is not told (with the IPAM mode kubernetes it is a flag of kube-controller-manager), so how many nodes still fit is unknown.",
		"Compare the nodes' prefixes with kube-controller-manager's --cluster-cidr and --node-cidr-mask-size-ipv6.",
	},
	{
		MaskDoesNotFit, Problem,
		[]flow.ItemKind{flow.ItemClusterPrefix},
		"No node prefix of the set length can be cut from the cluster prefix: that length is shorter than the prefix's own, longer than an address, or in IPv6 more than 16 bits longer than the prefix, which Cilium's operator refuses.",
		"Set a mask size between the prefix's own length and, in IPv6, 16 more.",
	},
	{
		UniqueLocal, Note,
		[]flow.ItemKind{flow.ItemClusterPrefix},
		"The prefix is a unique local one (fc00::/7): pods reach the outside translated (NAT66) or through a proxy only.",
		"",
	},
	{
		SmallerThan64, Note,
		[]flow.ItemKind{flow.ItemClusterPrefix, flow.ItemNodePrefix},
		"Nodes get less than a /64 for their pods, as with Cilium's default of /120, so that several can lie in one.",
		"For new nodes, set cluster-pool-ipv6-mask-size or --node-cidr-mask-size-ipv6 to 64 and provide a prefix that is wide enough.",
	},
	{
		Shares64, Warning,
		[]flow.ItemKind{flow.ItemNodePrefix},
		"Pods of other nodes have addresses in the same /64: to who limits by /64, untranslated pods of all these nodes are one.",
		"Give each node a /64: a /60 is enough for 16 nodes, a /56 for 256.",
	},
	{
		NotCutFromPool, Warning,
		[]flow.ItemKind{flow.ItemNodePrefix},
		"The node's prefix is in none of the cluster's prefixes: it was given out of one that is gone, or by somebody else.",
		"Let the node join anew, or put the prefix that it came from back.",
	},
	{
		LengthNotOfPool, Note,
		[]flow.ItemKind{flow.ItemNodePrefix},
		"The node's prefix is of another length than nodes get now: the mask size was changed after it had been given out.",
		"",
	},
	{
		Overlaps, Problem,
		[]flow.ItemKind{flow.ItemClusterPrefix, flow.ItemNodePrefix},
		"The prefix has addresses in common with another cluster prefix or node's prefix, with a range for services, or with a node itself: packets to one of these reach the other.",
		"Give one of the two another prefix.",
	},
	{
		NearlyUsedUp, Warning,
		[]flow.ItemKind{flow.ItemClusterPrefix, flow.ItemServicePrefix, flow.ItemNodePrefix},
		"At least 80 % of what fits is given out, or all but one: of node prefixes in all of the pool's cluster prefixes, of cluster IPs in all ranges together, of pods' addresses in the node's prefix.",
		"Provide another prefix before the last one is given out.",
	},
	{
		UsedUp, Problem,
		[]flow.ItemKind{flow.ItemClusterPrefix, flow.ItemServicePrefix, flow.ItemNodePrefix},
		"Nothing is left: no further node, service or pod gets an address of the family.",
		"Provide another prefix.",
	},
	{
		ServiceRangeUnknown, Note,
		[]flow.ItemKind{flow.ItemServicePrefix},
		"The range that cluster IPs are given out of is not told (ServiceCIDR objects exist since Kubernetes 1.33), so what is left is unknown.",
		"",
	},
	{
		NoServiceRange, Warning,
		[]flow.ItemKind{flow.ItemServicePrefix},
		"There is no range for services of a family that pods have: no service can have a cluster IP of it.",
		"Add one to the API server's --service-cluster-ip-range, or make a ServiceCIDR.",
	},
	{
		SingleStackIPv4, Note,
		[]flow.ItemKind{flow.ItemService},
		"The service is IPv4 only and does not ask for more, in a cluster that has IPv6: clients without IPv4 cannot use it.",
		"Set ipFamilyPolicy to PreferDualStack.",
	},
	{
		PreferDualStackGotOne, Warning,
		[]flow.ItemKind{flow.ItemService},
		"The service asks for both families and has one, in a cluster that has both.",
		"See whether there is a range of the family for services; a service from before it gets its second address when it is updated.",
	},
	{
		DeclaredWithoutEndpoint, Problem,
		[]flow.ItemKind{flow.ItemService},
		"The service declares the family and has endpoints ready in the other one alone: connections of this family fail.",
		"See whether its pods have addresses of the family, and were started after it was enabled.",
	},
	{
		FewerEndpoints, Warning,
		[]flow.ItemKind{flow.ItemService},
		"Fewer endpoints are ready in this family than in the other: fewer pods carry its traffic.",
		"Restart the pods that have no address of the family.",
	},
	{
		NoEndpoints, Note,
		[]flow.ItemKind{flow.ItemService},
		"No endpoint is ready, in no family.",
		"",
	},
	{
		LoadBalancerLacksFamily, Warning,
		[]flow.ItemKind{flow.ItemService},
		"The service declares the family, and its load-balancer has addresses of the other one alone: the outside cannot use this family.",
		"Ask for both at the load-balancer: an IP pool, or an annotation of the cloud's.",
	},
	{
		Headless, Note,
		[]flow.ItemKind{flow.ItemService},
		"The service has no cluster IP: clients get the addresses of its pods, and with them the pods' families.",
		"",
	},
	{
		PodsLackFamily, Warning,
		[]flow.ItemKind{flow.ItemWorkload},
		"Pods of the workload have no address of a family that the cluster's pods can have.",
		"Restart the pods; if that changes nothing, see whether their nodes have a prefix of the family.",
	},
	{
		RowsLeftOut, Warning,
		[]flow.ItemKind{flow.ItemUnknown},
		"The inventory has more rows than are told.",
		"Raise inventory.max_rows.",
	},
}
