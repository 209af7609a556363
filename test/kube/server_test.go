package kubetest_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	kubetest "sextant/test/kube"
)

// Who lacks the binaries is told what to do.
func TestBinariesAreMissing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Makefile"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	_, err := kubetest.Start(kubetest.Options{})
	if err == nil || !strings.Contains(err.Error(), "run `make kube`") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// A server that does not start says what it logged.
func TestServerThatDoesNotStart(t *testing.T) {
	_, err := kubetest.Start(kubetest.Options{Args: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "unknown flag: --no-such-flag") {
		t.Errorf("got %v", err)
	}
}

// The server gives service addresses of the families that it was started with, and of no other.
func TestFamilies(t *testing.T) {
	addresses := func(c *kubetest.Client, ns, name string, policy corev1.IPFamilyPolicy, families ...corev1.IPFamily) (got []string) {
		for _, ip := range c.Service(ns, name, kubetest.ServiceSpec("web", policy, families...)).Spec.ClusterIPs {
			if netip.MustParseAddr(ip).Is4() {
				got = append(got, "IPv4")
			} else {
				got = append(got, "IPv6")
			}
		}
		return got
	}
	both(t, func(t *testing.T, s *kubetest.Server) {
		c := s.Client(t)
		ns := c.Namespace(nil, nil)
		dualStack := s == dual.server
		want := map[string][]string{"any": {"IPv6"}, "prefer": {"IPv6"}, "six": {"IPv6"}}
		if dualStack {
			want = map[string][]string{"any": {"IPv4"}, "prefer": {"IPv4", "IPv6"}, "six": {"IPv6"}, "four": {"IPv4"}, "require": {"IPv6", "IPv4"}}
		}
		got := map[string][]string{
			"any":    addresses(c, ns, "any", ""),
			"prefer": addresses(c, ns, "prefer", corev1.IPFamilyPolicyPreferDualStack),
			"six":    addresses(c, ns, "six", corev1.IPFamilyPolicySingleStack, corev1.IPv6Protocol),
		}
		if dualStack {
			got["four"] = addresses(c, ns, "four", corev1.IPFamilyPolicySingleStack, corev1.IPv4Protocol)
			got["require"] = addresses(c, ns, "require", corev1.IPFamilyPolicyRequireDualStack, corev1.IPv6Protocol, corev1.IPv4Protocol)
		} else {
			spec := kubetest.ServiceSpec("web", corev1.IPFamilyPolicyRequireDualStack)
			_, err := c.CoreV1().Services(ns).Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "no"}, Spec: spec}, metav1.CreateOptions{})
			if !apierrors.IsInvalid(err) {
				t.Errorf("a dual-stack service in a cluster of one family: %v", err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// Pods have the addresses and owners that they were given, slices those of their family.
func TestObjects(t *testing.T) {
	c := dual.get(t).Client(t)
	const site = kubetest.Site(200)
	ns := c.Namespace(map[string]string{"team": "red"}, nil)
	c.Node(kubetest.Node{Name: "objects", Zone: "z1", Region: "r1", PodCIDRs: []string{"10.244.200.0/24", "fd00:10:0:c8::/64"}, Addresses: []string{site.Node4(1), site.Node6(1)}})
	rs := c.ReplicaSet(ns, "web-1", c.Deployment(ns, "web"))
	pod := c.Pod(kubetest.Pod{Namespace: ns, Name: "web-1-a", Node: "objects", Owner: rs, IPs: []string{site.Pod4(1), site.Pod6(1)}})
	c.Slice(ns, "web", "v6", discoveryv1.AddressTypeIPv6, pod)

	node, err := c.CoreV1().Nodes().Get(t.Context(), "objects", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	slice, err := c.DiscoveryV1().EndpointSlices(ns).Get(t.Context(), "web-v6", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{
		pod.Status.PodIPs, pod.OwnerReferences[0].Kind, pod.Status.Phase,
		node.Status.Addresses[1].Address, node.Labels[corev1.LabelTopologyZone], node.Spec.PodCIDRs[1],
		slice.Endpoints[0].Addresses,
	}
	want := []any{
		[]corev1.PodIP{{IP: site.Pod4(1)}, {IP: site.Pod6(1)}},
		"ReplicaSet", corev1.PodRunning,
		site.Node6(1), "z1", "fd00:10:0:c8::/64",
		[]string{site.Pod6(1)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	for ip, want := range map[string]int{site.Pod4(1): 1, site.Pod6(1): 0} { // by the first address alone
		found, err := c.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{FieldSelector: "status.podIP=" + ip})
		if err != nil || len(found.Items) != want {
			t.Errorf("%d pods are found by %s: %v", len(found.Items), ip, err)
		}
	}

	c.TerminatePod(ns, "web-1-a")
	pod, err = c.CoreV1().Pods(ns).Get(t.Context(), "web-1-a", metav1.GetOptions{})
	if err != nil || pod.DeletionTimestamp == nil {
		t.Errorf("a pod that was asked to end is there until it has: %v, %v", pod.DeletionTimestamp, err)
	}
	c.DeletePod(ns, "web-1-a")
	if _, err := c.CoreV1().Pods(ns).Get(t.Context(), "web-1-a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a pod that its kubelet has ended is gone: %v", err)
	}
}

// RBAC is real: an account may what a role says, and nothing else.
func TestAccount(t *testing.T) {
	s := six.get(t)
	c := s.Client(t)
	ns := c.Namespace(nil, nil)
	c.Apply(strings.ReplaceAll(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: NS}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NS}
rules: [{apiGroups: [""], resources: [pods], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: NS}]
`, "NS", ns))
	reader, err := kubernetes.NewForConfig(s.Account(t, ns, "reader"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { // the authorizer learns of the binding by a watch of its own
		if _, err := reader.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
	if _, err := reader.CoreV1().Secrets(ns).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("secrets: %v", err)
	}
	if _, err := reader.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("pods elsewhere: %v", err)
	}
}

// All of Cilium's definitions are taken by the server, and refuse what they do not define.
func TestDefinitions(t *testing.T) {
	s := kubetest.New(t, kubetest.Options{})
	names := kubetest.Definitions(t)
	if len(names) != 22 {
		t.Errorf("Cilium 1.20 defines 22 resources, found %d: %v", len(names), names)
	}
	s.Define(t, names...)
	c := s.Client(t)
	c.Apply(`
apiVersion: cilium.io/v2
kind: CiliumNode
metadata: {name: n1}
spec: {ipam: {podCIDRs: ["fd00:10:244::/64"]}}
`)
	if got := c.List("cilium.io/v2", "ciliumnodes").Items; len(got) != 1 || got[0].GetName() != "n1" {
		t.Errorf("got %v", got)
	}
	node := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cilium.io/v2", "kind": "CiliumNode", "metadata": map[string]any{"name": "n2"}, "spec": map[string]any{"bogus": true},
	}}
	dyn, err := dynamic.NewForConfig(s.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	nodes := dyn.Resource(schema.GroupVersionResource{Group: "cilium.io", Version: "v2", Resource: "ciliumnodes"})
	if _, err := nodes.Apply(t.Context(), "n2", node, metav1.ApplyOptions{FieldManager: "test"}); err == nil || !strings.Contains(err.Error(), "field not declared in schema") {
		t.Errorf("an unknown field: %v", err)
	}

	s.Undefine(t, "ciliumnodes")
	s.Define(t, "ciliumnodes")
	if got := c.List("cilium.io/v2", "ciliumnodes").Items; len(got) != 0 {
		t.Errorf("objects outlived their definition: %v", got)
	}
}

// After a kill and a restart everything is there, on the same port, for the same clients. A watch from before is told that
// it is too late when others have written meanwhile.
func TestKillAndRestart(t *testing.T) {
	s := kubetest.New(t, kubetest.Options{})
	c := s.Client(t)
	ns := c.Namespace(nil, nil)
	c.Pod(kubetest.Pod{Namespace: ns, Name: "a", IPs: []string{"fd00::1"}})
	list, err := c.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.Pod(kubetest.Pod{Namespace: ns, Name: "b", IPs: []string{"fd00::2"}})

	s.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := c.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{}); err == nil {
		t.Error("a killed server answers")
	}
	s.Restart(t)

	again, err := c.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(again.Items) != 2 {
		t.Fatalf("got %d pods, %v", len(again.Items), err)
	}
	w, err := c.CoreV1().Pods(ns).Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err == nil {
		defer w.Stop()
		select {
		case e := <-w.ResultChan():
			err = apierrors.FromObject(e.Object)
		case <-time.After(patience):
			t.Fatal("the watch says nothing")
		}
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("a watch from before the restart: %v", err)
	}
}

// What a cut gate holds back is not seen; the server does not notice.
func TestGate(t *testing.T) {
	s := six.get(t)
	g := s.Gate(t)
	config := g.Through(s.Config(t))
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	version := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // or the client tries ten times
		defer cancel()
		return client.Discovery().RESTClient().Get().AbsPath("/version").Do(ctx).Error()
	}
	if err := version(); err != nil {
		t.Fatal(err)
	}
	g.Cut()
	if err := version(); err == nil {
		t.Error("a cut gate lets through")
	}
	g.Mend()
	if err := version(); err != nil {
		t.Error(err)
	}
}

// Pods that were put into etcd are the API server's own: it lists, watches, changes and deletes them.
func TestSeed(t *testing.T) {
	s := six.get(t)
	c := s.Client(t)
	ns := c.Namespace(nil, nil)
	w, err := c.CoreV1().Pods(ns).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	var pods []*corev1.Pod
	for i := range 150 {
		pods = append(pods, realistic(ns, i))
	}
	s.SeedPods(t, pods)
	for range pods {
		if e := <-w.ResultChan(); e.Type != "ADDED" {
			t.Fatalf("got %v", e)
		}
	}
	got, err := c.CoreV1().Pods(ns).Get(t.Context(), pods[149].Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pods[149].Status.PodIPs, got.Status.PodIPs); diff != "" {
		t.Error(diff)
	}
	moved := c.PodStatus(kubetest.Pod{Namespace: ns, Name: got.Name, IPs: []string{"fd00::99"}})
	if moved.Status.PodIP != "fd00::99" || moved.UID != got.UID {
		t.Errorf("got %v", moved.Status.PodIPs)
	}
	for _, p := range pods {
		c.DeletePod(ns, p.Name)
	}

	created, err := c.CoreV1().Pods(ns).Create(t.Context(), realistic(ns, 150), metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("what is seeded would not be taken through the API: %v", err)
	}
	if diff := cmp.Diff(realistic(ns, 150).Spec, created.Spec); diff != "" {
		t.Errorf("the API server would add to what is seeded:\n%s", diff)
	}
	c.DeletePod(ns, created.Name)
}
