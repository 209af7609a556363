package kubetest_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sextant/collector/flow"
	"sextant/enrich/kube/live"
	kubetest "sextant/test/kube"
)

// onNode watches the pods of a node, and asks for others.
func onNode(node string) func(*settings) {
	return func(s *settings) {
		s.live.Scope, s.live.NodeName = live.ScopeNode, node
		s.live.LookupRate = 1000
	}
}

// With scope node the pods of one node are known; of others, those that flows name or whose address they show.
func TestNodeScope(t *testing.T) {
	both(t, func(t *testing.T, s *kubetest.Server) {
		const site = kubetest.Site(30)
		prefix, ip := "fd00:10:0:1e::/64", site.Pod6
		if s == dual.server {
			prefix, ip = "10.244.30.0/24", site.Pod4
		}
		c := s.Client(t)
		ns := c.Namespace(map[string]string{"team": "red"}, nil)
		c.Node(kubetest.Node{Name: "here", Zone: "z1", PodCIDRs: []string{prefix}})
		c.Node(kubetest.Node{Name: "there", Zone: "z2"})
		ips := func(n byte) []string {
			if s == dual.server {
				return []string{site.Pod4(n), site.Pod6(n)}
			}
			return []string{site.Pod6(n)}
		}
		pod := func(name, node string, n byte, owner *kubetest.Owner) {
			c.Pod(kubetest.Pod{Namespace: ns, Name: name, Node: node, Owner: owner, IPs: ips(n)})
		}
		pod("local", "here", 1, c.ReplicaSet(ns, "web-1", c.Deployment(ns, "web")))
		pod("by-name", "there", 2, c.ReplicaSet(ns, "api-1", c.Deployment(ns, "api")))
		pod("by-address", "there", 3, c.Job(ns, "nightly-1", c.CronJob(ns, "nightly")))
		pod("unasked", "there", 4, nil)

		w := watch(t, s.Config(t), onNode("here"))
		local := who{Namespace: ns, Pod: "local", Node: "here", Zone: "z1", Workload: "web", Kind: "Deployment", Tags: "team=red"}
		wants(t, local, func() who { return w.at(ip(1)) })
		if got := len(w.View().Pods); got != 1 {
			t.Errorf("%d pods are held, one is of this node", got)
		}

		w.Unresolved(netip.Addr{}, w.names.Name(ns), w.names.Name("by-name"))
		byName := who{Namespace: ns, Pod: "by-name", Node: "there", Zone: "z2", Workload: "api", Kind: "Deployment", Tags: "team=red"}
		w.Unresolved(netip.MustParseAddr(ip(3)), flow.Name{}, flow.Name{})
		byAddress := who{Namespace: ns, Pod: "by-address", Node: "there", Zone: "z2", Workload: "nightly", Kind: "CronJob", Tags: "team=red"}
		for i := range ips(2) {
			wants(t, byName, func() who { return w.at(ips(2)[i]) })
			wants(t, byAddress, func() who { return w.at(ips(3)[i]) })
		}
		if got := w.at(ip(4)); got != (who{}) {
			t.Errorf("nobody asked for %v", got)
		}

		// A pod of this node that goes, comes, or moves here is seen.
		c.DeletePod(ns, "local")
		pod("local-2", "here", 5, nil)
		wants(t, "local-2", func() string { return w.at(ip(5)).Pod })
	})
}

// However many pods other nodes have, and however many of them flows show, what is held is bounded.
func TestNodeScopeIsBounded(t *testing.T) {
	s := six.get(t)
	c := s.Client(t)
	ns := c.Namespace(nil, nil)
	c.Node(kubetest.Node{Name: "bounded", PodCIDRs: []string{"fd00:77::/64"}})
	c.Pod(kubetest.Pod{Namespace: ns, Name: "local", Node: "bounded", IPs: []string{"fd00:77::aaaa"}})
	w := watch(t, s.Config(t), onNode("bounded"), func(s *settings) { s.live.LookupPods = 20 })
	held := w.count("watched_objects", "Pod")

	const remote = 500
	var pods []*corev1.Pod
	for i := range remote {
		pods = append(pods, realistic(ns, i))
	}
	s.SeedPods(t, pods)
	t.Cleanup(func() {
		_ = c.CoreV1().Pods(ns).DeleteCollection(context.Background(), metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{})
	})
	for _, p := range pods {
		w.Unresolved(netip.Addr{}, w.names.Name(ns), w.names.Name(p.Name))
	}
	wants(t, fmt.Sprint(remote), func() string { return fmt.Sprint(w.count("lookups_total", "found")) })
	if got := len(w.View().Pods); got > 1+20 {
		t.Errorf("%d pods are held, want this node's one and 20 others at most", got)
	}
	if got := w.count("watched_objects", "Pod"); got != held {
		t.Errorf("%v pods are watched, want %v", got, held)
	}
}
