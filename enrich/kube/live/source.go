package live

import (
	"context"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// A source lists and watches one resource of an API server.
type source interface {
	list(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// source returns the source of a row.
func (c *client) source(r row) source {
	var all versions
	for _, version := range r.versions {
		gv := schema.GroupVersion{Group: r.group, Version: version}
		if r.metadata {
			all.sources = append(all.sources, metadataSource{c.metadata.Resource(gv.WithResource(r.resource)).Namespace(r.namespace)})
		} else {
			all.sources = append(all.sources, typedSource{c.groups[gv], r.namespace, r.resource})
		}
	}
	return &all
}

// parameters encodes options for a URL.
var parameters = func() runtime.ParameterCodec {
	s := runtime.NewScheme()
	metav1.AddToGroupVersion(s, versionless)
	return runtime.NewParameterCodec(s)
}()

var versionless = schema.GroupVersion{Version: "v1"}

// typedSource gives objects whole.
type typedSource struct {
	client              rest.Interface
	namespace, resource string
}

func (s typedSource) request(o *metav1.ListOptions) *rest.Request {
	return s.client.Get().NamespaceIfScoped(s.namespace, s.namespace != "").Resource(s.resource).
		SpecificallyVersionedParams(o, parameters, versionless)
}

func (s typedSource) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	return s.request(&o).Do(ctx).Get()
}

func (s typedSource) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.Watch = true
	return s.request(&o).Timeout(lifetime(o)).Watch(ctx)
}

// lifetime is how long the server is asked to keep a stream open.
func lifetime(o metav1.ListOptions) time.Duration {
	if o.TimeoutSeconds == nil {
		return 0
	}
	return time.Duration(*o.TimeoutSeconds) * time.Second
}

// metadataSource gives of objects their metadata alone.
type metadataSource struct{ client metadata.ResourceInterface }

func (s metadataSource) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	return s.client.List(ctx, o)
}

func (s metadataSource) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return s.client.Watch(ctx, o)
}

// versions is one resource in several versions of its group, of which a server may have any. The one that worked is asked
// first.
type versions struct {
	sources []source
	current atomic.Int32
}

func (v *versions) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	return firstThere(v, func(s source) (runtime.Object, error) { return s.list(ctx, o) })
}

func (v *versions) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return firstThere(v, func(s source) (watch.Interface, error) { return s.watch(ctx, o) })
}

func firstThere[T any](v *versions, ask func(source) (T, error)) (answer T, err error) {
	first := int(v.current.Load())
	for i := range v.sources {
		at := (first + i) % len(v.sources)
		if answer, err = ask(v.sources[at]); !apierrors.IsNotFound(err) {
			v.current.Store(int32(at))
			return answer, err
		}
	}
	return answer, err
}
