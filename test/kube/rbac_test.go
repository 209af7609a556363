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

// A role is a manifest that is shipped: an account, and what it may.
type role struct {
	file    string
	objects []map[string]any
}

func shipped(t *testing.T, file string) role {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(kubetest.Root(t), "deploy", "kubernetes", file))
	if err != nil {
		t.Fatal(err)
	}
	r := role{file: file}
	for doc := range strings.SplitSeq(string(text), "\n---\n") {
		var o map[string]any
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		r.objects = append(r.objects, o)
	}
	return r
}

// A permit is one verb on one resource.
type permit struct {
	group, resource, name string // name is empty for all
	verb                  string
}

func (p permit) String() string {
	text := p.verb + " " + p.resource
	if p.name != "" {
		text += " " + p.name
	}
	return text
}

// permits are all that a role gives.
func (r role) permits(t *testing.T) (all []permit) {
	t.Helper()
	for _, o := range r.objects {
		for _, rule := range rulesOf(t, o) {
			names := rule.ResourceNames
			if len(names) == 0 {
				names = []string{""}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, name := range names {
						for _, verb := range rule.Verbs {
							all = append(all, permit{group, resource, name, verb})
						}
					}
				}
			}
		}
	}
	return all
}

func rulesOf(t *testing.T, o map[string]any) (rules []rbacv1.PolicyRule) {
	t.Helper()
	text, err := yaml.Marshal(o["rules"])
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &rules); err != nil {
		t.Fatal(err)
	}
	return rules
}

// as returns the manifest for an account of another name, with the permits that keep is true for.
func (r role) as(t *testing.T, name string, keep func(permit) bool) string {
	t.Helper()
	var all strings.Builder
	for _, o := range r.objects {
		o = maps.Clone(o)
		if o["rules"] != nil {
			rules := []rbacv1.PolicyRule{} // none are none, and not those of before
			for _, p := range (role{objects: []map[string]any{o}}).permits(t) {
				if keep(p) {
					rule := rbacv1.PolicyRule{APIGroups: []string{p.group}, Resources: []string{p.resource}, Verbs: []string{p.verb}}
					if p.name != "" {
						rule.ResourceNames = []string{p.name}
					}
					rules = append(rules, rule)
				}
			}
			o["rules"] = rules
		}
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString("---\n" + strings.ReplaceAll(string(text), "name: sextant\n", "name: "+name+"\n"))
	}
	return all.String()
}

func everything(permit) bool { return true }

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
