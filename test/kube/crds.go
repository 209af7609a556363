package kubetest

import (
	"context"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	crdsv2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/client/crds/v2"
	crdsv2alpha1 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/client/crds/v2alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Definitions are the resources of Cilium that Cilium's own files define: "ciliumnodes".
func Definitions(t testing.TB) []string {
	t.Helper()
	var names []string
	for name := range manifests(t) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func manifests(t testing.TB) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, files := range []fs.FS{crdsv2.EmbedFS, crdsv2alpha1.EmbedFS} {
		names, err := fs.Glob(files, "*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(files, name)
			if err != nil {
				t.Fatal(err)
			}
			found[strings.TrimSuffix(name, ".yaml")] = string(text)
		}
	}
	return found
}

// Define installs definitions of Cilium, and returns when the server serves them. They stay.
func (s *Server) Define(t testing.TB, resources ...string) {
	t.Helper()
	client := s.definitions(t)
	texts := manifests(t)
	var wg sync.WaitGroup
	for _, resource := range resources {
		text, known := texts[resource]
		if !known {
			t.Fatalf("Cilium does not define %s", resource)
		}
		wg.Go(func() {
			o := parse(t, text)[0]
			if _, err := client.Apply(context.Background(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "kubetest", Force: true}); err != nil {
				t.Errorf("define %s: %v", resource, err)
				return
			}
			s.waitServed(t, o)
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// waitServed waits for a resource to answer: Established is said a moment earlier.
func (s *Server) waitServed(t testing.TB, definition *unstructured.Unstructured) {
	t.Helper()
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	resource, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "plural")
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	version, _ := versions[0].(map[string]any)["name"].(string)
	client, err := dynamic.NewForConfig(s.Config(t))
	if err != nil {
		t.Error(err)
		return
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		_, err := client.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: resource}).List(context.Background(), metav1.ListOptions{Limit: 1})
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s is not served: %v", resource, err)
			return
		}
	}
}

// Undefine removes definitions of Cilium with all objects of theirs, and returns when they are gone.
func (s *Server) Undefine(t testing.TB, resources ...string) {
	t.Helper()
	client := s.definitions(t)
	for _, resource := range resources {
		name := resource + ".cilium.io"
		if err := client.Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			if _, err := client.Get(context.Background(), name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the definition of %s stays", resource)
			}
		}
	}
}

func (s *Server) definitions(t testing.TB) dynamic.ResourceInterface {
	t.Helper()
	client, err := dynamic.NewForConfig(s.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	return client.Resource(definitions)
}
