package kube

import (
	"net/netip"
	"time"

	"sextant/collector/flow"
)

// View is a cluster at one time as plain values, for whoever looks at it as a whole: the inventory, and checks. What is
// not told stays zero.
type View struct {
	Time         time.Time
	Cluster      string
	IPAM         string // Cilium's mode: "cluster-pool", "kubernetes", "multi-pool" …; empty is unknown
	Pools        []Pool
	ServiceCIDRs []netip.Prefix // of ServiceCIDR objects; empty is unknown
	Nodes        []ViewNode
	Pods         []ViewPod
	Services     []ViewService
	// Knows says which kinds were told at all: of a kind that was not, nothing follows from its absence.
	Knows map[Kind]bool
}

// Pool is a prefix from which nodes get theirs.
type Pool struct {
	Name       string // of a CiliumPodIPPool; empty for cluster-pool
	Prefix     netip.Prefix
	NodeLength int // length of a node's part; 0 is unknown
}

// ViewNode is a node.
type ViewNode struct {
	Name, Zone, Region string
	Addresses          []netip.Addr
	PodCIDRs           []netip.Prefix
}

// ViewPod is a pod with its workload: the Deployment of its ReplicaSet, the CronJob of its Job.
type ViewPod struct {
	Namespace, Name, Node  string
	Workload, WorkloadKind string
	IPs                    []netip.Addr
	HostNetwork, Ended     bool
}

// ViewService is a service.
type ViewService struct {
	Namespace, Name string
	Type            string // ClusterIP, NodePort, LoadBalancer or ExternalName
	Policy          string // ipFamilyPolicy
	Families        []flow.Family
	ClusterIPs      []netip.Addr // none of a headless one
	ExternalIPs     []netip.Addr
	LoadBalancers   []netip.Addr
	Headless        bool
	Selects         bool // has a selector: without one its endpoints are somebody else's work
	// Endpoints by flow.Family, each distinct address once.
	Endpoints, Ready [3]int
}
