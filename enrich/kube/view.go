package kube

import (
	"maps"
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

// view puts the cluster together as plain values, each list in the order of names.
func (s *state) view() View {
	config := s.ciliumConfig()
	v := View{Time: time.Now(), Cluster: s.clusterName(config), IPAM: config.ipam(), Knows: maps.Clone(s.known)}
	v.Pools = s.poolsOf(config, v.IPAM)
	for _, n := range s.cidrs.names() {
		v.ServiceCIDRs = appendNew(v.ServiceCIDRs, s.cidrs.get(n)...)
	}
	for _, n := range s.nodeNames() {
		core, cilium := s.nodes.get(n), s.ciliumNodes.get(n)
		node := ViewNode{Name: n.name}
		node.Zone, node.Region = s.topology(n.name)
		node.Addresses = appendNew(appendNew(node.Addresses, core.addresses...), cilium.addresses...)
		node.PodCIDRs = podCIDRs(core.podCIDRs, cilium.podCIDRs, config.values["ipam"].text, config.found)
		v.Nodes = append(v.Nodes, node)
	}
	for _, n := range s.pods.names() {
		p := &s.pods[n].object
		workload := s.workload(n.namespace, p)
		v.Pods = append(v.Pods, ViewPod{
			Namespace: p.Namespace, Name: p.Name, Node: p.Node, Workload: workload.name, WorkloadKind: workload.kind,
			IPs: p.IPs, HostNetwork: p.HostNetwork, Ended: p.ended,
		})
	}
	v.Services = s.viewServices()
	return v
}

func (s *state) viewServices() []ViewService {
	type at struct {
		service name
		addr    netip.Addr
	}
	endpoints := map[at]bool{} // ready on some port
	for n, told := range s.slices {
		for _, e := range told.object.endpoints {
			key := at{name{n.namespace, told.object.service}, e.addr}
			endpoints[key] = endpoints[key] || e.ready
		}
	}
	type numbers struct{ all, ready [3]int }
	counts := map[name]numbers{}
	for at, ready := range endpoints {
		n := counts[at.service]
		n.all[familyOf(at.addr)]++
		if ready {
			n.ready[familyOf(at.addr)]++
		}
		counts[at.service] = n
	}
	var services []ViewService
	for _, n := range s.services.names() {
		of := &s.services[n].object
		services = append(services, ViewService{
			Namespace: n.namespace, Name: n.name, Type: of.kind, Policy: of.policy, Families: of.families,
			ClusterIPs: of.cluster, ExternalIPs: of.external, LoadBalancers: of.balancers,
			Headless: of.headless, Selects: len(of.selector) > 0,
			Endpoints: counts[n].all, Ready: counts[n].ready,
		})
	}
	return services
}

func familyOf(a netip.Addr) flow.Family {
	if a.Is4() {
		return flow.FamilyIPv4
	}
	return flow.FamilyIPv6
}
