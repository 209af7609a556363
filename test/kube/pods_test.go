package kubetest_test

import (
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	kubetest "sextant/test/kube"
)

// Whoever has an address is found by any of its addresses, with its node, its workload and its tags, from when it has the
// address until it is gone.
func TestPods(t *testing.T) {
	both(t, func(t *testing.T, s *kubetest.Server) {
		const site = kubetest.Site(1)
		ips := func(n byte) []string {
			if s == dual.server {
				return []string{site.Pod4(n), site.Pod6(n)}
			}
			return []string{site.Pod6(n)}
		}
		c := s.Client(t)
		before := c.Namespace(map[string]string{"team": "red"}, map[string]string{"cost-centre": "42"})
		c.Node(kubetest.Node{Name: "pods-1", Zone: "z1", Region: "r1", Addresses: []string{site.Node6(1)}})
		w := watch(t, s.Config(t))
		after := c.Namespace(map[string]string{"team": "blue"}, nil)
		c.Node(kubetest.Node{Name: "pods-2", Zone: "z2", Region: "r1", Addresses: []string{site.Node6(2)}})

		type row struct {
			pod  kubetest.Pod
			want who
		}
		var n byte
		for _, namespace := range []string{before, after} {
			node, zone, tags := "pods-1", "z1", "team=red cost-centre=42"
			if namespace == after {
				node, zone, tags = "pods-2", "z2", "team=blue"
			}
			hash := map[string]string{"pod-template-hash": "5d9c"}
			rows := []row{
				{kubetest.Pod{Name: "web-5d9c-a", Owner: c.ReplicaSet(namespace, "web-5d9c", c.Deployment(namespace, "web")), Labels: hash}, who{Workload: "web", Kind: "Deployment"}},
				{kubetest.Pod{Name: "old-1-a", Owner: c.ReplicaSet(namespace, "old-1", c.Deployment(namespace, "old"))}, who{Workload: "old", Kind: "Deployment"}},
				{kubetest.Pod{Name: "alone-a", Owner: c.ReplicaSet(namespace, "alone", nil)}, who{Workload: "alone", Kind: "ReplicaSet"}},
				{kubetest.Pod{Name: "nightly-29-a", Owner: c.Job(namespace, "nightly-29", c.CronJob(namespace, "nightly"))}, who{Workload: "nightly", Kind: "CronJob"}},
				{kubetest.Pod{Name: "once-a", Owner: c.Job(namespace, "once", nil)}, who{Workload: "once", Kind: "Job"}},
				{kubetest.Pod{Name: "db-0", Owner: c.StatefulSet(namespace, "db")}, who{Workload: "db", Kind: "StatefulSet"}},
				{kubetest.Pod{Name: "agent-a", Owner: c.DaemonSet(namespace, "agent")}, who{Workload: "agent", Kind: "DaemonSet"}},
				{kubetest.Pod{Name: "tagged", Labels: map[string]string{"team": "own"}, Annotations: map[string]string{"cost-centre": "7", "other": "x"}}, who{Tags: "team=own cost-centre=7"}},
				{kubetest.Pod{Name: "bare"}, who{}},
			}
			for _, r := range rows {
				n++
				r.pod.Namespace, r.pod.Node, r.pod.IPs = namespace, node, ips(n)
				r.want.Namespace, r.want.Pod, r.want.Node, r.want.Zone = namespace, r.pod.Name, node, zone
				if r.want.Tags == "" {
					r.want.Tags = tags
				}
				c.Pod(r.pod)
				for _, ip := range r.pod.IPs {
					wants(t, r.want, func() who { return w.at(ip) })
				}
				wants(t, r.want, func() who { return w.pod(namespace, r.pod.Name) })
				if got := w.then(r.pod.IPs[0], time.Now().Add(-time.Hour)); got != (who{}) {
					t.Errorf("%s had its address before there was a pod: %v", r.pod.Name, got)
				}
			}
		}

		c.Apply("{apiVersion: v1, kind: Namespace, metadata: {name: " + after + ", labels: {team: green}}}")
		wants(t, "team=green", func() string { return w.at(ips(n)[0]).Tags })
		wants(t, "team=red cost-centre=42", func() string { return w.at(ips(1)[0]).Tags })

		gone, stays := ips(1), ips(2)
		c.DeletePod(before, "web-5d9c-a")
		wants(t, who{}, func() who { return w.then(gone[0], time.Now().Add(time.Hour)) })
		if got := w.then(stays[0], time.Now().Add(time.Hour)); got.Pod != "old-1-a" {
			t.Errorf("the other pod is %v", got)
		}
		if got := w.pod(before, "web-5d9c-a"); got.Workload != "web" {
			t.Errorf("a pod that is gone is remembered for flows that come late: %v", got)
		}
	})
}

// Of pods on the host's network nobody guesses which one a node's address stands for.
func TestHostNetwork(t *testing.T) {
	const site = kubetest.Site(2)
	s := dual.get(t)
	c := s.Client(t)
	ns := c.Namespace(nil, nil)
	w := watch(t, s.Config(t))
	c.Node(kubetest.Node{Name: "host-1", Zone: "z1", Addresses: []string{site.Node4(1), site.Node6(1)}})
	c.Pod(kubetest.Pod{Namespace: ns, Name: "proxy", Node: "host-1", HostNetwork: true, IPs: []string{site.Node4(1), site.Node6(1)}})

	c.Pod(kubetest.Pod{Namespace: ns, Name: "proxy-2", Node: "not-yet-known", HostNetwork: true, IPs: []string{site.Node6(2)}})

	wants(t, who{Namespace: ns, Pod: "proxy", Node: "host-1", Zone: "z1"}, func() who { return w.pod(ns, "proxy") })
	wants(t, addrs(site.Node6(2)), func() []netip.Addr {
		for _, p := range w.View().Pods {
			if p.Name == "proxy-2" {
				return p.IPs
			}
		}
		return nil
	})
	x := w.Index()
	if got := w.at(site.Node6(2)); got != (who{}) {
		t.Errorf("the address of a node that is not known is said to be %v", got)
	}
	for _, ip := range addrs(site.Node4(1), site.Node6(1)) {
		if got := whoOf(x.At(ip, time.Now())); got != (who{}) {
			t.Errorf("%s is said to be %v", ip, got)
		}
		if got, ok := x.NodeAt(ip); !ok || got.Name.String() != "host-1" || got.Zone.String() != "z1" {
			t.Errorf("%s is an address of node %v", ip, got)
		}
	}
}

// A pod that gets its address only later, ends, or stays while it is being deleted.
func TestPodChanges(t *testing.T) {
	const site = kubetest.Site(3)
	s := six.get(t)
	c := s.Client(t)
	ns := c.Namespace(nil, nil)
	w := watch(t, s.Config(t))

	c.Pod(kubetest.Pod{Namespace: ns, Name: "late", Node: "somewhere"})
	wants(t, "late", func() string { return w.pod(ns, "late").Pod })
	c.PodStatus(kubetest.Pod{Namespace: ns, Name: "late", IPs: []string{site.Pod6(1)}})
	wants(t, "late", func() string { return w.at(site.Pod6(1)).Pod })

	c.TerminatePod(ns, "late")
	time.Sleep(quiet)
	if got := w.then(site.Pod6(1), time.Now().Add(time.Hour)); got.Pod != "late" {
		t.Errorf("a pod that is told to end has its address until it is gone: %v", got)
	}
	c.DeletePod(ns, "late")
	wants(t, who{}, func() who { return w.then(site.Pod6(1), time.Now().Add(time.Hour)) })

	// One that has ended keeps its address in the API though another may have it.
	c.Pod(kubetest.Pod{Namespace: ns, Name: "ended", IPs: []string{site.Pod6(2)}})
	wants(t, "ended", func() string { return w.at(site.Pod6(2)).Pod })
	c.PodStatus(kubetest.Pod{Namespace: ns, Name: "ended", IPs: []string{site.Pod6(2)}, Phase: corev1.PodSucceeded})
	wants(t, "", func() string { return w.then(site.Pod6(2), time.Now().Add(time.Hour)).Pod })
	c.Pod(kubetest.Pod{Namespace: ns, Name: "next", IPs: []string{site.Pod6(2)}})
	wants(t, "next", func() string { return w.then(site.Pod6(2), time.Now().Add(time.Hour)).Pod })
}

// Flows from before and after an address moved to another pod are told apart by their time.
func TestAddressMoves(t *testing.T) {
	both(t, func(t *testing.T, s *kubetest.Server) {
		const site = kubetest.Site(4)
		ips := []string{site.Pod6(1)}
		if s == dual.server {
			ips = []string{site.Pod4(1), site.Pod6(1)}
		}
		c := s.Client(t)
		ns := c.Namespace(nil, nil)
		w := watch(t, s.Config(t))
		stage := newStage(w)

		c.Pod(kubetest.Pod{Namespace: ns, Name: "first", IPs: ips})
		wants(t, "first", func() string { return w.at(ips[0]).Pod })
		early := time.Now()
		time.Sleep(time.Second) // the API tells times in whole seconds
		c.DeletePod(ns, "first")
		c.Pod(kubetest.Pod{Namespace: ns, Name: "second", IPs: ips})
		wants(t, "second", func() string { return w.at(ips[0]).Pod })
		late := time.Now()
		time.Sleep(time.Second)
		c.DeletePod(ns, "second")
		wants(t, who{}, func() who { return w.then(ips[0], time.Now().Add(time.Hour)) })

		for _, ip := range ips {
			want := []string{"first", "second", "first", "second", ""}
			times := []time.Time{early, late, early, late, late.Add(time.Hour)}
			if diff := diffOf(want, stage.pods(ip, times...)); diff != "" {
				t.Errorf("%s: %s", ip, diff)
			}
		}
	})
}
