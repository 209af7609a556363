package kubetest_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"sextant/enrich/kube/live"
	kubetest "sextant/test/kube"
)

// offWithout says what is off for want of a permission to watch a resource, and nothing else.
var offWithout = map[string][]string{
	// Cilium's endpoints would do, if they were permitted in the place of pods.
	"pods":                        {"Pod", "CiliumEndpointSlice", "CiliumEndpoint", "CiliumIdentity"},
	"nodes":                       {"Node"},
	"namespaces":                  {"Namespace"},
	"services":                    {"Service"},
	"endpointslices":              {"EndpointSlice"},
	"replicasets":                 {"ReplicaSet"},
	"jobs":                        {"Job"},
	"events":                      {"Event Pulling", "Event Pulled", "Event Failed"},
	"servicecidrs":                {"ServiceCIDR"},
	"configmaps cilium-config":    {"ConfigMap cilium-config"},
	"configmaps ip-masq-agent":    {"ConfigMap ip-masq-agent"},
	"ciliumnodes":                 {"CiliumNode"},
	"ciliumegressgatewaypolicies": {"CiliumEgressGatewayPolicy"},
	"ciliumnodeconfigs":           {"CiliumNodeConfig"},
	"ciliumpodippools":            {"CiliumPodIPPool"},
}

// offOnNodeWithout is the same for scope node, where some is asked for one by one.
var offOnNodeWithout = map[string][]string{
	"watch pods":      {"Pod"},
	"list pods":       {"Pod", "Pod by address"},
	"get pods":        {"Pod by name"},
	"get replicasets": {"ReplicaSet by name"},
	"get jobs":        {"Job by name"},
}

// With the roles that are shipped all is on; without any one permission of theirs just what needs it is off, says so, and
// comes back when the permission does. The API server streams no lists, as older ones do not: else nobody would miss list.
func TestPermissions(t *testing.T) {
	s := kubetest.New(t, kubetest.Options{Args: []string{"--feature-gates=WatchList=false"}})
	s.Define(t, watched...)
	c := s.Client(t)
	c.Apply(`{apiVersion: v1, kind: Namespace, metadata: {name: sextant}}`)
	for _, scope := range []struct {
		file   string
		change func(*settings)
		off    func(permit) []string
	}{
		{
			file:   "rbac.yaml",
			change: func(*settings) {},
			off:    func(p permit) []string { return offWithout[strings.TrimSpace(p.resource+" "+p.name)] },
		},
		{
			file:   "rbac-node.yaml",
			change: func(s *settings) { s.live.Scope, s.live.NodeName = live.ScopeNode, "node-1" },
			off: func(p permit) []string {
				if off := offOnNodeWithout[p.String()]; off != nil {
					return off
				}
				return offWithout[strings.TrimSpace(p.resource+" "+p.name)]
			},
		},
	} {
		r := shipped(t, scope.file)
		t.Run(scope.file, func(t *testing.T) {
			c.Apply(r.as(t, "sextant", everything))
			all := watch(t, s.Account(t, "sextant", "sextant"), scope.change).states()
			for name, state := range all {
				if state != "on" && state != "idle" {
					t.Errorf("with all that is permitted %s is %s", name, state)
				}
			}
			for i, p := range r.permits(t) {
				t.Run(p.String(), func(t *testing.T) {
					t.Parallel()
					off := scope.off(p)
					if len(off) == 0 {
						t.Fatalf("nobody says what %s is good for: is the rule needed?", p)
					}
					name := fmt.Sprintf("%s-%d", strings.TrimSuffix(scope.file, ".yaml"), i)
					checkWithout(t, s, r, name, p, off, all, scope.change)
				})
			}
		})
	}
}

// checkWithout takes a permit from an account, and gives it back.
func checkWithout(t *testing.T, s *kubetest.Server, r role, name string, p permit, off []string, all map[string]string, change func(*settings)) {
	t.Helper()
	c := s.Client(t)
	c.Apply(r.as(t, name, func(other permit) bool { return other != p }))
	w := watch(t, s.Account(t, "sextant", name), change)
	want := maps.Clone(all)
	for _, feature := range off {
		want[feature] = "forbidden"
	}
	wants(t, want, w.states)
	for _, f := range w.Features() {
		up := w.count("watch_up", f.Name)
		if on := want[f.Name] == "on"; (up == 1) != on {
			t.Errorf("%s is %s and sextant_kubernetes_watch_up is %v", f.Name, f.State, up)
		}
		if !slices.Contains(off, f.Name) {
			continue
		}
		if !apierrors.IsForbidden(f.Err) || f.Serves == "" {
			t.Errorf("%s serves %q and is off: %v", f.Name, f.Serves, f.Err)
		}
		if !strings.HasPrefix(f.Name, "Cilium") || p.group == "cilium.io" {
			checkRemedy(t, f.Remedy, p)
		}
	}
	c.Apply(r.as(t, name, everything))
	wants(t, all, w.states)
}

// checkRemedy reports whether a remedy names a rule that gives the permit.
func checkRemedy(t *testing.T, remedy string, p permit) {
	t.Helper()
	var rule rbacv1.PolicyRule
	if err := yaml.UnmarshalStrict([]byte(regexp.MustCompile(`\{.*\}`).FindString(remedy)), &rule); err != nil {
		t.Errorf("remedy %q: %v", remedy, err)
	}
	want := rbacv1.PolicyRule{APIGroups: []string{p.group}, Resources: []string{p.resource}, Verbs: rule.Verbs}
	if p.name != "" {
		want.ResourceNames = []string{p.name}
	}
	if diff := cmp.Diff(want, rule); diff != "" || !slices.Contains(rule.Verbs, p.verb) {
		t.Errorf("remedy %q does not give %s: %s", remedy, p, diff)
	}
}

// The roles that are shipped give nothing else: what is not named is refused, and nothing is named that is not read.
func TestPermissionsEnd(t *testing.T) {
	s := six.get(t)
	c := s.Client(t)
	c.Apply(`{apiVersion: v1, kind: Namespace, metadata: {name: sextant}}`)
	ns := c.Namespace(nil, nil)
	for _, file := range []string{"rbac.yaml", "rbac-node.yaml"} {
		t.Run(file, func(t *testing.T) {
			r := shipped(t, file)
			for _, p := range r.permits(t) {
				if !slices.Contains([]string{"get", "list", "watch"}, p.verb) || strings.Contains(p.group+p.resource, "*") || p.resource == "secrets" {
					t.Errorf("it gives %s", p)
				}
			}
			c.Apply(r.as(t, "sextant", everything))
			config := s.Account(t, "sextant", "sextant")
			wantsAllowed(t, config)
			mine := kubetest.NewClient(t, config)
			ctx := t.Context()
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}}
			for what, ask := range map[string]func() error{
				"secrets": func() error { _, err := mine.CoreV1().Secrets("").List(ctx, metav1.ListOptions{}); return err },
				"secrets of Cilium": func() error {
					_, err := mine.CoreV1().Secrets("kube-system").List(ctx, metav1.ListOptions{})
					return err
				},
				"all ConfigMaps": func() error {
					_, err := mine.CoreV1().ConfigMaps("kube-system").List(ctx, metav1.ListOptions{})
					return err
				},
				"other ConfigMaps": func() error {
					_, err := mine.CoreV1().ConfigMaps("kube-system").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=kubeadm-config"})
					return err
				},
				"ConfigMaps elsewhere": func() error {
					_, err := mine.CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=cilium-config"})
					return err
				},
				"tokens":       func() error { _, err := mine.CoreV1().ServiceAccounts("").List(ctx, metav1.ListOptions{}); return err },
				"a new pod":    func() error { _, err := mine.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{}); return err },
				"another role": func() error { _, err := mine.RbacV1().ClusterRoles().List(ctx, metav1.ListOptions{}); return err },
				"deletion":     func() error { return mine.CoreV1().Nodes().Delete(ctx, "n", metav1.DeleteOptions{}) },
			} {
				if err := ask(); !apierrors.IsForbidden(err) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// A permission that is taken from a watcher at work is missed when the API server ends its streams, as it does after some
// minutes. From then on nobody says whether what it told is still true.
func TestPermissionIsRevoked(t *testing.T) {
	const site = kubetest.Site(31)
	s := six.get(t)
	c := s.Client(t)
	c.Apply(`{apiVersion: v1, kind: Namespace, metadata: {name: sextant}}`)
	ns := c.Namespace(nil, nil)
	c.Pod(kubetest.Pod{Namespace: ns, Name: "a", IPs: []string{site.Pod6(1)}})
	c.Node(kubetest.Node{Name: "revoked"})
	r := shipped(t, "rbac.yaml")
	c.Apply(r.as(t, "revoked", everything))
	g := s.Gate(t)
	w := watch(t, g.Through(s.Account(t, "sextant", "revoked")))
	wants(t, "a", func() string { return w.at(site.Pod6(1)).Pod })

	c.Apply(r.as(t, "revoked", func(p permit) bool { return p.resource != "pods" }))
	g.Cut()
	g.Mend()
	wants(t, "forbidden", func() string { return w.states()["Pod"] })
	wants(t, 0, func() int { return len(w.View().Pods) })
	if got := w.node("revoked").Name; got != "revoked" {
		t.Errorf("nodes are still permitted, and known: got %q", got)
	}

	c.Apply(r.as(t, "revoked", everything))
	wants(t, "on", func() string { return w.states()["Pod"] })
	wants(t, "a", func() string { return w.at(site.Pod6(1)).Pod })
}

// A resource that the API server does not have is none that is broken. When it is defined later it is watched, and when
// its definition goes, so do its objects.
func TestDefinitionsComeAndGo(t *testing.T) {
	s := kubetest.New(t, kubetest.Options{})
	c := s.Client(t)
	w := watch(t, s.Config(t))
	off := func(state string) map[string]string {
		return map[string]string{"CiliumNode": state, "CiliumEgressGatewayPolicy": state, "CiliumNodeConfig": state, "CiliumPodIPPool": state}
	}
	cilium := func() map[string]string {
		states := w.states()
		maps.DeleteFunc(states, func(name, state string) bool { return !strings.HasPrefix(name, "Cilium") || state == "idle" })
		return states
	}
	wants(t, off("absent"), cilium)
	for name, state := range w.states() {
		if !strings.HasPrefix(name, "Cilium") && state != "on" {
			t.Errorf("%s is %s", name, state)
		}
	}

	s.Define(t, watched...)
	wants(t, off("on"), cilium)
	c.Apply(`{apiVersion: cilium.io/v2, kind: CiliumNode, metadata: {name: n1}, spec: {addresses: [{type: InternalIP, ip: "2001:db8::1"}]}}`)
	wants(t, "n1", func() string { return w.node("n1").Name })

	s.Undefine(t, "ciliumnodes")
	want := off("on")
	want["CiliumNode"] = "absent"
	wants(t, want, cilium)
	wants(t, "", func() string { return w.node("n1").Name })
}

// insteadOfPods is the rule that a role proposes in a comment.
var insteadOfPods = regexp.MustCompile(`(?m)^  # - (apiGroups: .*)\n  #   (resources: .*)\n  #   (verbs: .*)$`)

// With the rule that the roles propose in a comment, pods are known by Cilium's endpoints. When pods may be read after all,
// these are told by them alone.
func TestCiliumInPlaceOfPods(t *testing.T) {
	const site = kubetest.Site(32)
	s := six.get(t)
	c := s.Client(t)
	c.Apply(`{apiVersion: v1, kind: Namespace, metadata: {name: sextant}}`)
	ns := c.Namespace(nil, nil)
	c.Pod(kubetest.Pod{Namespace: ns, Name: "a", IPs: []string{site.Pod6(1)}})
	for i, name := range []string{"a", "only-cilium-knows"} {
		c.Apply(fmt.Sprintf(`{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {name: %s, namespace: %s}, status: {networking: {addressing: [{ipv6: %q}], node: "2001:db8::1"}}}`,
			name, ns, site.Pod6(byte(i+1))))
	}
	for file, change := range map[string]func(*settings){
		"rbac.yaml": func(*settings) {},
		"rbac-node.yaml": func(s *settings) {
			s.live.Scope, s.live.NodeName, s.live.Remote = live.ScopeNode, "node-1", live.RemoteCilium
		},
	} {
		t.Run(file, func(t *testing.T) {
			c := s.Client(t)
			r := shipped(t, file)
			name := "cilium-" + strings.TrimSuffix(file, ".yaml")
			without := func(p permit) bool { return p.resource != "pods" }
			if file == "rbac-node.yaml" {
				without = func(p permit) bool { return p != permit{resource: "pods", verb: "get"} }
			}
			c.Apply(r.as(t, name, without))
			text, err := os.ReadFile(filepath.Join(kubetest.Root(t), "deploy", "kubernetes", file))
			if err != nil {
				t.Fatal(err)
			}
			rule := insteadOfPods.FindStringSubmatch(string(text))
			if rule == nil {
				t.Fatal("no rule is proposed")
			}
			c.Apply(strings.ReplaceAll(`
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: NAME-more}
rules: [{`+strings.Join(rule[1:], ", ")+`}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAME-more}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: NAME-more}
subjects: [{kind: ServiceAccount, name: NAME, namespace: sextant}]
`, "NAME", name))
			w := watch(t, s.Account(t, "sextant", name), change)
			wants(t, "a", func() string { return w.at(site.Pod6(1)).Pod })
			wants(t, "only-cilium-knows", func() string { return w.at(site.Pod6(2)).Pod })
			if file != "rbac.yaml" {
				for name, state := range w.states() {
					if state != "on" && state != "idle" {
						t.Errorf("%s is %s", name, state)
					}
				}
				return
			}
			wants(t, "forbidden", func() string { return w.states()["Pod"] })
			c.Apply(r.as(t, name, everything))
			wants(t, "on", func() string { return w.states()["Pod"] })
			wants(t, "", func() string { return w.then(site.Pod6(2), time.Now().Add(time.Hour)).Pod })
			wants(t, "a", func() string { return w.at(site.Pod6(1)).Pod })
		})
	}
}

// wantsAllowed waits until the API server has heard of an account's role.
func wantsAllowed(t *testing.T, config *rest.Config) {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		if _, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{}); err != nil {
			return err.Error()
		}
		return ""
	})
}
