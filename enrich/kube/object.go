package kube

import "time"

// An Object is a Kubernetes object, as far as anything here asks for it. A dump is decoded into these structs, and whoever
// watches an API server fills them from what it gets, leaving out the rest at once. Field names are those of the API.
type Object interface {
	Kind() Kind
	called() name
}

// Kind is what an object is, whatever version of the API told it.
type Kind string

// The kinds that are taken.
const (
	KindPod           Kind = "Pod"
	KindNode          Kind = "Node"
	KindNamespace     Kind = "Namespace"
	KindService       Kind = "Service"
	KindEndpointSlice Kind = "EndpointSlice"
	KindReplicaSet    Kind = "ReplicaSet" // and the other owners between a pod and what people call its workload
	KindJob           Kind = "Job"
	KindEvent         Kind = "Event"
	KindConfigMap     Kind = "ConfigMap"
	KindServiceCIDR   Kind = "ServiceCIDR"
	KindCiliumNode    Kind = "CiliumNode"
	KindNodeConfig    Kind = "CiliumNodeConfig"
	KindEgressPolicy  Kind = "CiliumEgressGatewayPolicy"
	KindPodIPPool     Kind = "CiliumPodIPPool"
	KindEndpoint      Kind = "CiliumEndpoint"
	KindEndpointBatch Kind = "CiliumEndpointSlice"
	KindIdentity      Kind = "CiliumIdentity"
)

// Meta is what is read of an object's metadata.
type Meta struct {
	Metadata Metadata
}

// Metadata is an object's metadata.
type Metadata struct {
	Name, Namespace string
	UID             string `yaml:"uid"`
	Labels          map[string]string
	Annotations     map[string]string // who watches keeps those alone that the settings ask for
	Created         time.Time         `yaml:"creationTimestamp" json:"creationTimestamp"`
	Deleted         time.Time         `yaml:"deletionTimestamp" json:"deletionTimestamp"` // when deletion was asked for, zero when it was not
	Owners          []Owner           `yaml:"ownerReferences" json:"ownerReferences"`
}

// Owner is an owner reference.
type Owner struct {
	Kind, Name string
	UID        string `yaml:"uid"`
	Controller bool
}

// EndpointSlice is a discovery.k8s.io/v1 EndpointSlice.
type EndpointSlice struct {
	Meta        `yaml:",inline"`
	AddressType string          `yaml:"addressType"` // IPv4, IPv6 or FQDN
	Endpoints   []SliceEndpoint `yaml:"endpoints"`
	Ports       []SlicePort     `yaml:"ports"`
}

// SliceEndpoint is one endpoint of a slice, all of its addresses alike. Unknown readiness is to be taken for ready
// (discovery/v1 EndpointConditions).
type SliceEndpoint struct {
	Addresses  []string
	NodeName   string `yaml:"nodeName"`
	Conditions struct{ Ready, Serving, Terminating *bool }
	TargetRef  struct{ Kind, Namespace, Name string } `yaml:"targetRef"`
}

// SlicePort is a port on which all endpoints of a slice serve.
type SlicePort struct {
	Name     string
	Protocol string // TCP, UDP or SCTP; empty is TCP
	Port     uint16 // 0 is every port
}

// ReplicaSet and Job stand between a pod and its workload. Only their metadata is read.
type ReplicaSet struct {
	Meta `yaml:",inline"`
}

// Job is a batch/v1 Job.
type Job struct {
	Meta `yaml:",inline"`
}

// Event is a core v1 Event about a pod.
type Event struct {
	Meta           `yaml:",inline"`
	InvolvedObject ObjectReference `yaml:"involvedObject"`
	Reason         string
	Message        string
	Type           string // Normal or Warning
	Source         EventSource
	FirstTimestamp time.Time `yaml:"firstTimestamp"`
	LastTimestamp  time.Time `yaml:"lastTimestamp"`
	EventTime      time.Time `yaml:"eventTime"`
	Count          uint32
	Series         struct {
		Count            uint32
		LastObservedTime time.Time `yaml:"lastObservedTime"`
	}
}

// ObjectReference names an object, or a part of one.
type ObjectReference struct {
	Kind, Namespace, Name string
	UID                   string `yaml:"uid"`
	FieldPath             string `yaml:"fieldPath"` // "spec.containers{web}"
}

// EventSource is who told an event.
type EventSource struct{ Component, Host string }

// ServiceCIDR is a networking.k8s.io/v1 ServiceCIDR: what cluster IPs are given out of.
type ServiceCIDR struct {
	Meta `yaml:",inline"`
	Spec struct {
		CIDRs []string `yaml:"cidrs"`
	}
}

// CiliumEndpoint is a cilium.io/v2 CiliumEndpoint, named as its pod.
type CiliumEndpoint struct {
	Meta   `yaml:",inline"`
	Status struct {
		Identity   struct{ ID uint32 }
		Networking struct {
			Addressing []AddressPair
			Node       string // the node's address
		}
	}
}

// AddressPair are a pod's addresses, one of each family at most.
type AddressPair struct {
	IPv4 string `yaml:"ipv4"`
	IPv6 string `yaml:"ipv6"`
}

// CiliumEndpointSlice is a cilium.io/v2alpha1 CiliumEndpointSlice: endpoints of one namespace.
type CiliumEndpointSlice struct {
	Meta      `yaml:",inline"`
	Namespace string
	Endpoints []CoreCiliumEndpoint
}

// CoreCiliumEndpoint is one of them.
type CoreCiliumEndpoint struct {
	Name       string
	ID         uint32 // the identity
	Networking struct {
		Addressing []AddressPair
		Node       string
	}
}

// CiliumIdentity is a cilium.io/v2 CiliumIdentity, whose name is its number.
type CiliumIdentity struct {
	Meta   `yaml:",inline"`
	Labels map[string]string `yaml:"security-labels" json:"security-labels"`
}

// Kind implements Object.
func (*Pod) Kind() Kind { return KindPod }

// Kind implements Object.
func (*Node) Kind() Kind { return KindNode }

// Kind implements Object.
func (*Namespace) Kind() Kind { return KindNamespace }

// Kind implements Object.
func (*Service) Kind() Kind { return KindService }

// Kind implements Object.
func (*EndpointSlice) Kind() Kind { return KindEndpointSlice }

// Kind implements Object.
func (*ReplicaSet) Kind() Kind { return KindReplicaSet }

// Kind implements Object.
func (*Job) Kind() Kind { return KindJob }

// Kind implements Object.
func (*Event) Kind() Kind { return KindEvent }

// Kind implements Object.
func (*ConfigMap) Kind() Kind { return KindConfigMap }

// Kind implements Object.
func (*ServiceCIDR) Kind() Kind { return KindServiceCIDR }

// Kind implements Object.
func (*CiliumNode) Kind() Kind { return KindCiliumNode }

// Kind implements Object.
func (*CiliumNodeConfig) Kind() Kind { return KindNodeConfig }

// Kind implements Object.
func (*EgressPolicy) Kind() Kind { return KindEgressPolicy }

// Kind implements Object.
func (*PodIPPool) Kind() Kind { return KindPodIPPool }

// Kind implements Object.
func (*CiliumEndpoint) Kind() Kind { return KindEndpoint }

// Kind implements Object.
func (*CiliumEndpointSlice) Kind() Kind { return KindEndpointBatch }

// Kind implements Object.
func (*CiliumIdentity) Kind() Kind { return KindIdentity }
