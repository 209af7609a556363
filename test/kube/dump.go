package kubetest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// A Layout is one of the ways in which people dump a cluster.
type Layout int

// Layouts, by what writes them.
const (
	OneFile   Layout = iota // kubectl get nodes,pods,… -A -o yaml > cluster.yaml
	ByKind                  // for each kind: kubectl get pods -A -o json > pods.json
	ByObject                // for each object: kubectl get pod a -n b -o yaml > b/pod-a.yaml
	Documents               // the same, all into one file, with --- between
	Raw                     // for each kind: kubectl get --raw /api/v1/pods > pods.json; the items of such a list have no kind
)

// Layouts are all of them.
var Layouts = map[string]Layout{"OneFile": OneFile, "ByKind": ByKind, "ByObject": ByObject, "Documents": Documents, "Raw": Raw}

// Dump writes all objects of resources, each an apiVersion and a plural name, as kubectl prints them, below a directory.
func (c *Client) Dump(dir string, layout Layout, resources ...[2]string) {
	c.t.Helper()
	var all []any
	for _, r := range resources {
		list := c.List(r[0], r[1])
		for i := range list.Items {
			all = append(all, printed(&list.Items[i]))
		}
		switch layout {
		case ByKind:
			c.write(filepath.Join(dir, r[1]+".json"), listOf(all))
			all = nil
		case ByObject:
			for i, o := range list.Items {
				c.write(filepath.Join(dir, o.GetNamespace(), fmt.Sprintf("%s-%s.yaml", r[1], o.GetName())), all[i])
			}
			all = nil
		case Raw:
			raw, err := c.Discovery().RESTClient().Get().AbsPath(path(r)).DoRaw(c.t.Context())
			if err != nil {
				c.t.Fatal(err)
			}
			c.save(filepath.Join(dir, r[1]+".json"), raw)
			all = nil
		}
	}
	switch layout {
	case OneFile:
		c.write(filepath.Join(dir, "cluster.yaml"), listOf(all))
	case Documents:
		var text []byte
		for _, o := range all {
			text = append(append(text, "---\n"...), c.marshal("x.yaml", o)...)
		}
		c.save(filepath.Join(dir, "cluster.yaml"), text)
	}
}

// printed is an object as kubectl prints it, without its managed fields.
func printed(o *unstructured.Unstructured) any {
	o = o.DeepCopy()
	o.SetManagedFields(nil)
	return o.Object
}

// listOf is what kubectl makes of several objects, also of one kind.
func listOf(all []any) any {
	if all == nil {
		all = []any{}
	}
	return map[string]any{"apiVersion": "v1", "items": all, "kind": "List", "metadata": map[string]any{"resourceVersion": ""}}
}

func path(r [2]string) string {
	if r[0] == "v1" {
		return "/api/v1/" + r[1]
	}
	return "/apis/" + r[0] + "/" + r[1]
}

func (c *Client) write(file string, value any) {
	c.t.Helper()
	c.save(file, c.marshal(file, value))
}

func (c *Client) marshal(file string, value any) []byte {
	c.t.Helper()
	marshal := yaml.Marshal
	if filepath.Ext(file) == ".json" {
		marshal = func(v any) ([]byte, error) { return json.MarshalIndent(v, "", "    ") }
	}
	text, err := marshal(value)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

func (c *Client) save(file string, text []byte) {
	c.t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
}
