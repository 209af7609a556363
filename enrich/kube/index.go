package kube

import (
	"net/netip"
	"time"

	"github.com/gaissmai/bart"

	"sextant/collector/flow"
)

// Index says who has, and had, which address. It never changes, is safe for concurrent use, and its lookups take no lock
// and allocate nothing. A nil *Index knows nothing.
type Index struct {
	cluster    flow.Name
	pods       map[podName]int32 // into whos
	whos       []Who
	more       []more // beside whos
	spots      map[netip.Addr]spot
	holders    holders
	nodes      map[flow.Name]*NodeInfo
	podCIDRs   bart.Lite
	sockets    map[socket]served
	nodePorts  map[socket]flow.Name // of every node, without an address
	namespaces map[uint32]flow.Name // of identities
	objects    map[Kind]int
	former     int
}

// spot is what is known of an address. One lookup tells all that most addresses ask for.
type spot struct {
	run     run
	node    *NodeInfo // whose it is
	service flow.Name // that alone has the address for its frontend
	serves  bool      // something at some of its ports
}

// more is what is known of a pod beside who it is.
type more struct {
	policies  map[string]string // imagePullPolicy by container
	addressed bool              // the address of its own is known
}

// podName is how pods are looked up; its texts are those of names.
type podName struct{ namespace, name string }

// Who is a pod, as far as it is known. What is not known is zero.
type Who struct {
	Endpoint     flow.Ref[flow.Endpoint] // the same, as an end of a flow of which nothing else is known
	Cluster      flow.Name
	Namespace    flow.Name
	Pod          flow.Name
	Node         flow.Name
	Zone         flow.Name
	Workload     flow.Name // its controller, or that one's: the Deployment of its ReplicaSet
	WorkloadKind flow.Name
	Tags         flow.Names
	HostNetwork  bool
}

// NodeInfo is a node.
type NodeInfo struct {
	Name, Zone, Region flow.Name
	Addresses          []netip.Addr // InternalIP, ExternalIP and CiliumInternalIP; not to be changed
}

// Cluster returns the cluster's name.
func (x *Index) Cluster() flow.Name {
	if x == nil {
		return flow.Name{}
	}
	return x.cluster
}

// Pod returns the newest pod of a name, whether it is there or gone, and on the host's network or not.
func (x *Index) Pod(namespace, name string) (Who, bool) {
	if i := x.pod(namespace, name); i >= 0 {
		return x.whos[i], true
	}
	return Who{}, false
}

func (x *Index) pod(namespace, name string) int32 {
	if x != nil {
		if i, ok := x.pods[podName{namespace, name}]; ok {
			return i
		}
	}
	return nobody
}

// PullPolicy returns the imagePullPolicy of a container of the newest pod of a name, "" where it is not known.
func (x *Index) PullPolicy(namespace, pod, container string) string {
	if i := x.pod(namespace, pod); i >= 0 {
		return x.more[i].policies[container]
	}
	return ""
}

// At returns the pod that had an address at a time. The address of a node is nobody's, whatever runs there.
func (x *Index) At(a netip.Addr, t time.Time) (Who, bool) {
	if i := x.at(a, t); i >= 0 {
		return x.whos[i], true
	}
	return Who{}, false
}

func (x *Index) at(a netip.Addr, t time.Time) int32 {
	s := x.spot(a)
	return x.holder(&s, t)
}

func (x *Index) holder(s *spot, t time.Time) int32 {
	if s.run.n == 0 {
		return nobody
	}
	return x.holders.at(s.run, t)
}

func (x *Index) spot(a netip.Addr) spot {
	if x == nil {
		return spot{}
	}
	return x.spots[a]
}

// Node returns a node by its name.
func (x *Index) Node(name flow.Name) (NodeInfo, bool) { return tell(x.node(name)) }

// NodeAt returns the node that has an address.
func (x *Index) NodeAt(a netip.Addr) (NodeInfo, bool) { return tell(x.spot(a).node) }

func (x *Index) node(name flow.Name) *NodeInfo {
	if x == nil {
		return nil
	}
	return x.nodes[name]
}

// IsPodAddress reports whether an address is of a prefix that pods get theirs from.
func (x *Index) IsPodAddress(a netip.Addr) bool {
	return x != nil && a.IsValid() && x.podCIDRs.Contains(a)
}

// Namespace returns the namespace of the pods with an identity, zero where that is not known.
func (x *Index) Namespace(identity uint32) flow.Name {
	if x == nil {
		return flow.Name{}
	}
	return x.namespaces[identity]
}

// Service returns the service, "namespace/name", that an address and port are of: observed where they are its frontend,
// inferred where they are an endpoint of it and of no other.
func (x *Index) Service(a netip.Addr, port uint16, p flow.Protocol) (service flow.Name, evidence flow.Evidence) {
	s := x.spot(a)
	return x.served(&s, socket{a, port, p})
}

// zone returns the zone of a node.
func (x *Index) zone(node flow.Name) flow.Name {
	if n := x.node(node); n != nil {
		return n.Zone
	}
	return flow.Name{}
}

func tell(n *NodeInfo) (NodeInfo, bool) {
	if n == nil {
		return NodeInfo{}, false
	}
	return *n, true
}
