package kubetest_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

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
