package kubetest_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	kubetest "sextant/test/kube"
)

// While the API server is away the store answers as before, and says that it may be out of date. What happened meanwhile is
// known soon after: what came, what went, and what went and came again by the same name.
func TestOutage(t *testing.T) {
	s := kubetest.New(t, kubetest.Options{})
	s.Define(t, watched...)
	c := s.Client(t)
	ns := c.Namespace(nil, nil)
	config := `{apiVersion: v1, kind: ConfigMap, metadata: {name: cilium-config, namespace: kube-system}, data: {cluster-name: east}}`
	c.Apply(config)
	c.Node(kubetest.Node{Name: "stays", Zone: "z1"})
	c.Node(kubetest.Node{Name: "goes"})
	pod := func(name string, ip string) kubetest.Pod {
		return kubetest.Pod{Namespace: ns, Name: name, Node: "stays", IPs: []string{ip}}
	}
	c.Pod(pod("stays", "fd00::1"))
	c.Pod(pod("goes", "fd00::2"))
	c.Pod(pod("db-0", "fd00::3"))
	old := c.Service(ns, "old", kubetest.ServiceSpec("web", ""))

	g := s.Gate(t)
	before := goleak.IgnoreCurrent()
	w := watch(t, g.Through(s.Config(t)))
	seen := time.Now()

	g.Cut()
	s.Kill()
	eventually(t, func() string {
		if w.Ready() == nil {
			return "the watcher does not notice that the API server is away"
		}
		return ""
	})
	for ip, want := range map[string]string{"fd00::1": "stays", "fd00::2": "goes", "fd00::3": "db-0"} {
		if got := w.at(ip); got.Pod != want || got.Zone != "z1" {
			t.Errorf("while the API server is away %s is %v", ip, got)
		}
	}
	if got := w.Index().Cluster().String(); got != "east" {
		t.Errorf("while the API server is away the cluster is called %q", got)
	}

	s.Restart(t) // and is there for others first
	c.DeletePod(ns, "goes")
	c.DeletePod(ns, "db-0")
	c.Pod(pod("db-0", "fd00::4"))
	c.Pod(pod("new", "fd00::3"))
	c.Delete(`{apiVersion: v1, kind: Node, metadata: {name: goes}}`)
	c.Delete(`{apiVersion: v1, kind: Service, metadata: {name: old, namespace: ` + ns + `}}`)
	c.Delete(config)
	g.Mend()

	w.synced()
	later := time.Now().Add(time.Hour)
	for ip, want := range map[string]string{"fd00::1": "stays", "fd00::2": "", "fd00::3": "new", "fd00::4": "db-0"} {
		wants(t, want, func() string { return w.then(ip, later).Pod })
	}
	for ip, want := range map[string]string{"fd00::2": "goes", "fd00::3": "db-0"} {
		if got := w.then(ip, seen); got.Pod != want {
			t.Errorf("before the outage %s was %s: got %v", ip, want, got)
		}
	}
	wants(t, " none", func() string { return w.service(old.Spec.ClusterIP, 80) })
	wants(t, "", func() string { return w.node("goes").Name })
	wants(t, "", func() string { return w.Index().Cluster().String() })

	// What changes from now on is seen as ever.
	c.Pod(pod("newest", "fd00::5"))
	wants(t, "newest", func() string { return w.at("fd00::5").Pod })

	w.stop()
	wants(t, 0, g.Connections)
	g.Cut()
	s.Kill() // with it go the connections of this test's own clients
	goleak.VerifyNone(t, before)
}

// A watcher that starts before there is an API server begins to work when there is one.
func TestServerComesLater(t *testing.T) {
	s := kubetest.New(t, kubetest.Options{})
	s.Define(t, watched...)
	c := s.Client(t)
	ns := c.Namespace(nil, nil)
	c.Pod(kubetest.Pod{Namespace: ns, Name: "a", IPs: []string{"fd00::1"}})
	s.Kill()
	w := begin(t, s.Config(t))
	time.Sleep(quiet)
	if w.Synced() {
		t.Error("the watcher takes silence for an empty cluster")
	}
	s.Restart(t)
	w.synced()
	if got := w.at("fd00::1"); got.Pod != "a" {
		t.Errorf("got %v", got)
	}
}
