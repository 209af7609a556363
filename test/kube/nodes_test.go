package kubetest_test

import (
	"net/netip"
	"testing"

	"sextant/enrich/kube"
	kubetest "sextant/test/kube"
)

// A node has its zone, its addresses and its pod prefixes of each family, and what changes is seen.
func TestNodes(t *testing.T) {
	both(t, func(t *testing.T, s *kubetest.Server) {
		const site = kubetest.Site(6)
		podCIDRs, addresses := []string{"fd00:10:6::/64"}, []string{site.Node6(1)}
		if s == dual.server {
			podCIDRs, addresses = []string{"10.244.6.0/24", "fd00:10:6::/64"}, []string{site.Node4(1), site.Node6(1)}
		}
		c := s.Client(t)
		ns := c.Namespace(nil, nil)
		w := watch(t, s.Config(t))
		viewed := func() kube.ViewNode {
			for _, n := range w.View().Nodes {
				if n.Name == "nodes-1" {
					return n
				}
			}
			return kube.ViewNode{}
		}
		c.Node(kubetest.Node{Name: "nodes-1", Zone: "z1", Region: "r1", PodCIDRs: podCIDRs, Addresses: addresses})
		want := kube.ViewNode{Name: "nodes-1", Zone: "z1", Region: "r1", Addresses: addrs(addresses...), PodCIDRs: prefixes(podCIDRs...)}
		wants(t, want, viewed)
		wants(t, prefixes(podCIDRs...), func() []netip.Prefix { return w.node("nodes-1").PodCIDRs })

		x := w.Index()
		for _, ip := range addrs(addresses...) {
			if got, ok := x.NodeAt(ip); !ok || got.Name != w.names.Name("nodes-1") || got.Region.String() != "r1" {
				t.Errorf("%s is an address of %v", ip, got)
			}
		}
		if !x.IsPodAddress(addrs("fd00:10:6::77")[0]) || x.IsPodAddress(addrs("fd00:11:6::77")[0]) {
			t.Error("pods have addresses of the node's prefixes")
		}

		// The zone of a pod is that of its node, also when that is told later.
		c.Pod(kubetest.Pod{Namespace: ns, Name: "a", Node: "nodes-1", IPs: []string{site.Pod6(1)}})
		wants(t, "z1", func() string { return w.at(site.Pod6(1)).Zone })
		c.Apply(`{apiVersion: v1, kind: Node, metadata: {name: nodes-1, labels: {topology.kubernetes.io/zone: z9}}}`)
		wants(t, "z9", func() string { return w.at(site.Pod6(1)).Zone })
		c.Delete(`{apiVersion: v1, kind: Node, metadata: {name: nodes-1}}`)
		wants(t, "", func() string { return w.at(site.Pod6(1)).Zone })
		wants(t, kube.ViewNode{}, viewed)
	})
}
