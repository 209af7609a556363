package live

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// The manifests grant what the watches need, and nothing else. What nobody needs who has all the rest (Cilium's endpoints,
// where pods are watched) stands there as a comment.
func TestManifests(t *testing.T) {
	for file, cfg := range map[string]Config{
		"rbac.yaml":      Default(),
		"rbac-node.yaml": func() Config { c := Default(); c.Scope, c.NodeName = ScopeNode, "n1"; return c }(),
	} {
		w := newRig(func(c *Config) { *c = cfg })
		var need []string
		add := func(r rule) {
			for _, verb := range r.verbs {
				need = append(need, fmt.Sprintf("%s %s %s in %q", verb, r.full(), r.name, r.namespace))
			}
		}
		for _, each := range w.watches {
			if each.row.needed == nil {
				add(each.status.rule)
			}
		}
		if w.lookup != nil {
			for _, s := range w.lookup.ways {
				add(s.rule)
			}
		}
		slices.Sort(need)
		if diff := cmp.Diff(slices.Compact(need), granted(t, file)); diff != "" {
			t.Errorf("%s (-need +granted)\n%s", file, diff)
		}
	}
}

func granted(t *testing.T, file string) (all []string) {
	t.Helper()
	f, err := os.Open("../../../deploy/kubernetes/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	documents := yaml.NewDecoder(f)
	for {
		var doc struct {
			Kind     string
			Metadata struct{ Namespace string }
			Rules    []struct {
				APIGroups     []string `yaml:"apiGroups"`
				Resources     []string
				ResourceNames []string `yaml:"resourceNames"`
				Verbs         []string
			}
		}
		if err := documents.Decode(&doc); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, r := range doc.Rules {
			if len(r.APIGroups) != 1 || len(r.Resources) != 1 {
				t.Errorf("%s: a rule is for one resource: %v", file, r)
				continue
			}
			for _, verb := range r.Verbs {
				full := rule{group: r.APIGroups[0], resource: r.Resources[0]}.full()
				all = append(all, fmt.Sprintf("%s %s %s in %q", verb, full, strings.Join(r.ResourceNames, " "), doc.Metadata.Namespace))
			}
		}
	}
	slices.Sort(all)
	return all
}
