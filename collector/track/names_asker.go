package track

import (
	"net/netip"

	"sextant/collector/flow"
)

// asker is who asked: a pod, by namespace and name, so that it is one pod on every node and with any labels, or, where
// Cilium does not know the pod, its address. The cluster is compared beside it, because not every flow tells it.
type asker struct {
	namespace, pod flow.Name
	address        netip.Addr
}

func askerPod(ep flow.Endpoint) (who asker, cluster flow.Name) {
	if ep.Pod.IsZero() {
		return asker{}, ep.Cluster
	}
	return asker{namespace: ep.Namespace, pod: ep.Pod}, ep.Cluster
}

// askerOf returns who may know names at that end, or the zero asker where nobody does.
func (n *Names) askerOf(end *flow.End) (who asker, cluster flow.Name) {
	who, cluster = askerPod(end.Endpoint.Get())
	if who == (asker{}) && n.strangers.Load() {
		who.address = end.IP
	}
	return who, cluster
}

func (w asker) shard() int {
	if w.pod.IsZero() {
		b := w.address.As16()
		return int(b[15]^b[14]^b[7]) % nameShards
	}
	return int(w.pod.Number()) % nameShards
}

// sameCluster compares clusters of which either may be unknown.
func sameCluster(a, b flow.Name) bool { return a == b || a.IsZero() || b.IsZero() }
