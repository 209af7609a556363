package kubetest

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// Client writes what the components of a cluster and its users write. What the server refuses ends the test. What was
// written is deleted when the test ends, but for namespaces, which nobody here could empty.
type Client struct {
	// Clientset is for what has no method here.
	kubernetes.Interface

	t       testing.TB
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
}

// Client acts as an administrator.
func (s *Server) Client(t testing.TB) *Client {
	t.Helper()
	return NewClient(t, s.Config(t))
}

// NewClient acts as whoever the config names.
func NewClient(t testing.TB, config *rest.Config) *Client {
	t.Helper()
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(clientset.Discovery()))
	return &Client{Interface: clientset, t: t, dynamic: dyn, mapper: mapper}
}

// Apply creates or changes the objects of a manifest by server-side apply, which refuses unknown fields; their status, too,
// where it is told. What a field of an earlier Apply says and this one does not is gone.
func (c *Client) Apply(manifest string) {
	c.t.Helper()
	for _, o := range parse(c.t, manifest) {
		c.apply(o)
	}
}

func (c *Client) apply(o *unstructured.Unstructured) {
	c.t.Helper()
	ctx, options := context.Background(), metav1.ApplyOptions{FieldManager: "kubetest", Force: true}
	resource := c.resource(o)
	whole := o.DeepCopy()
	if _, err := resource.Apply(ctx, o.GetName(), whole, options); err != nil {
		c.t.Fatalf("apply %s %s: %v", o.GetKind(), o.GetName(), err)
	}
	if o.GetKind() != "Namespace" {
		c.deleteLater(resource, o.GetName())
	}
	if o.Object["status"] == nil {
		return
	}
	// Its resource may have no status of its own; then the status was taken above.
	if _, err := resource.ApplyStatus(ctx, o.GetName(), o, options); err != nil && !apierrors.IsNotFound(err) {
		c.t.Fatalf("apply the status of %s %s: %v", o.GetKind(), o.GetName(), err)
	}
}

// Delete deletes objects at once, by kind, namespace and name, whoever wrote them.
func (c *Client) Delete(manifest string) {
	c.t.Helper()
	for _, o := range parse(c.t, manifest) {
		if err := c.resource(o).Delete(context.Background(), o.GetName(), now); err != nil {
			c.t.Fatalf("delete %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
}

// now deletes without the time that a kubelet would have.
var now = metav1.DeleteOptions{GracePeriodSeconds: new(int64)}

type deleter interface {
	Delete(ctx context.Context, name string, options metav1.DeleteOptions, subresources ...string) error
}

func (c *Client) deleteLater(from deleter, name string) {
	c.t.Cleanup(func() {
		// It may be gone, and so may the server.
		_ = from.Delete(context.Background(), name, now)
	})
}

// List returns all objects of a resource as the server tells them, in all namespaces: "v1", "pods".
func (c *Client) List(apiVersion, resource string) *unstructured.UnstructuredList {
	c.t.Helper()
	group, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		c.t.Fatal(err)
	}
	list, err := c.dynamic.Resource(group.WithResource(resource)).List(context.Background(), metav1.ListOptions{})
	if err != nil {
		c.t.Fatalf("list %s: %v", resource, err)
	}
	return list
}

// resource returns where an object is written.
func (c *Client) resource(o *unstructured.Unstructured) dynamic.ResourceInterface {
	c.t.Helper()
	gvk := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) { // its definition may be new
		c.mapper.Reset()
		mapping, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return c.dynamic.Resource(mapping.Resource)
	}
	return c.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace())
}

// parse returns the objects of a manifest of one or several documents.
func parse(t testing.TB, manifest string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		o := &unstructured.Unstructured{}
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("parse a manifest: %v\n%s", err, manifest)
		}
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
}
