package live

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sextant/enrich/kube"
)

// A row is one watch: what is asked for, what of it is kept, and what that is good for.
type row struct {
	name      string
	kind      kube.Kind
	serves    string
	group     string
	versions  []string // the newest first
	resource  string
	namespace string // empty is all
	fields    string // field selector
	metadata  bool   // of these objects nothing else is asked for
	convert   convert
	keep      keeping
	needed    func(*Watcher) (bool, string) // nil is always; otherwise also why not
}

// keeping is how the objects of a row get into the store.
type keeping uint8

const (
	keepAll     keeping = iota // the row tells all there is of its kind, or, of pods, of this node's
	keepMap                    // a ConfigMap: two rows tell all there is of the kind
	keepNothing                // events: each is handed on
)

// table returns the watches that a configuration asks for.
func table(cfg Config) []row {
	var t []row
	add := func(r row) { t = append(t, r) }
	node := cfg.Scope == ScopeNode

	pods := row{
		name: "Pod", kind: kube.KindPod, serves: "who is behind a pod's address",
		versions: v1, resource: "pods", convert: typed(podOf(cfg)),
	}
	if node {
		pods.fields = "spec.nodeName=" + cfg.NodeName
	}
	add(pods)
	add(row{
		name: "Node", kind: kube.KindNode, serves: "zone, addresses and pod prefixes of nodes",
		versions: v1, resource: "nodes", convert: typed(nodeOf),
	})
	add(row{
		name: "Namespace", kind: kube.KindNamespace, serves: "tags of namespaces, and egress policies that select by their labels",
		versions: v1, resource: "namespaces", convert: typed(namespaceOf(cfg)),
	})
	add(row{
		name: "Service", kind: kube.KindService, serves: "which service has an address, and in which families",
		versions: v1, resource: "services", convert: typed(serviceOf),
	})
	if !node {
		add(row{
			name: "EndpointSlice", kind: kube.KindEndpointSlice, serves: "which endpoints a service has, and how many are ready in each family",
			group: discoveryv1.GroupName, versions: v1, resource: "endpointslices", convert: typed(endpointSliceOf),
		})
		add(row{
			name: "ReplicaSet", kind: kube.KindReplicaSet, serves: "the Deployment of a pod that has no label pod-template-hash",
			group: "apps", versions: v1, resource: "replicasets", metadata: true, convert: typed(replicaSetOf),
		})
		add(row{
			name: "Job", kind: kube.KindJob, serves: "the CronJob of a pod",
			group: "batch", versions: v1, resource: "jobs", metadata: true, convert: typed(jobOf),
		})
	}
	for _, reason := range []string{"Pulling", "Pulled", "Failed"} {
		add(row{
			name: "Event " + reason, kind: kube.KindEvent, serves: "image pulls",
			versions: v1, resource: "events", fields: "involvedObject.kind=Pod,reason=" + reason,
			convert: typed(eventOf(cfg)), keep: keepNothing,
		})
	}
	add(row{
		name: "ServiceCIDR", kind: kube.KindServiceCIDR, serves: "how much of the service ranges is used",
		group: networkingv1.GroupName, versions: v1, resource: "servicecidrs", convert: typed(serviceCIDROf),
	})
	for _, m := range []struct{ name, serves string }{
		{"cilium-config", "masquerading and every other setting of Cilium, hence whether traffic is translated"},
		{"ip-masq-agent", "destinations that the ip-masq-agent does not masquerade"},
	} {
		add(row{
			name: "ConfigMap " + m.name, kind: kube.KindConfigMap, serves: m.serves,
			versions: v1, resource: "configmaps", namespace: cfg.CiliumNamespace, fields: "metadata.name=" + m.name,
			convert: typed(configMapOf), keep: keepMap,
		})
	}
	cilium := func(kind kube.Kind, resource, serves string, versions ...string) row {
		return row{
			name: string(kind), kind: kind, serves: serves,
			group: ciliumGroup, versions: versions, resource: resource, convert: typed(customOf),
		}
	}
	add(cilium(kube.KindCiliumNode, "ciliumnodes", "addresses and pod prefixes that Cilium gave the nodes", "v2"))
	add(cilium(kube.KindEgressPolicy, "ciliumegressgatewaypolicies", "which pods leave through an egress gateway", "v2"))
	configs := cilium(kube.KindNodeConfig, "ciliumnodeconfigs", "settings of Cilium that differ between nodes", "v2", "v2alpha1")
	configs.namespace = cfg.CiliumNamespace // agents look nowhere else
	add(configs)
	add(cilium(kube.KindPodIPPool, "ciliumpodippools", "the prefixes of IPAM mode multi-pool", "v2", "v2alpha1"))

	slices := cilium(kube.KindEndpointBatch, "ciliumendpointslices", "who is behind a pod's address where pods are not watched", "v2alpha1")
	slices.needed = (*Watcher).needsEndpoints
	add(slices)
	endpoints := cilium(kube.KindEndpoint, "ciliumendpoints", slices.serves+", and where Cilium makes no CiliumEndpointSlices", "v2")
	endpoints.needed = (*Watcher).needsSingleEndpoints
	add(endpoints)
	identities := cilium(kube.KindIdentity, "ciliumidentities", "labels of pods where pods are not watched", "v2")
	identities.needed = (*Watcher).needsEndpoints
	add(identities)
	return t
}

var v1 = []string{metav1.SchemeGroupVersion.Version}

const ciliumGroup = "cilium.io"

// follower returns the watch of a name.
func (w *Watcher) follower(name string) *follower {
	for _, each := range w.watches {
		if each.row.name == name {
			return each
		}
	}
	return nil
}

// needsEndpoints reports whether Cilium's endpoints must tell of pods.
func (w *Watcher) needsEndpoints() (bool, string) {
	switch {
	case w.cfg.Scope == ScopeNode && w.cfg.Remote == RemoteCilium:
		return true, ""
	case w.cfg.Scope == ScopeNode:
		return false, "kubernetes.remote is " + w.cfg.Remote
	default:
		return w.follower("Pod").status.feature().State.off(), "pods are watched"
	}
}

// needsSingleEndpoints reports whether that is for CiliumEndpoints to do. Where Cilium puts them into slices the single
// ones tell nothing more, and may not be there at all.
func (w *Watcher) needsSingleEndpoints() (bool, string) {
	if needed, why := w.needsEndpoints(); !needed {
		return false, why
	}
	batch := w.follower(string(kube.KindEndpointBatch)).status.feature()
	return batch.State.off() || batch.State == StateOn && batch.Objects == 0, "CiliumEndpointSlices are watched"
}
