package live

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sextant/enrich/kube"
)

// convert makes the store's object of an API object, which is garbage afterwards: nothing of it is kept but strings and
// maps of them. It returns nil for what is not wanted.
type convert func(runtime.Object) (kube.Object, error)

// typed is the conversion of one Go type.
func typed[T any, P interface {
	*T
	runtime.Object
}](one func(P) (kube.Object, error)) convert {
	return func(o runtime.Object) (kube.Object, error) {
		t, ok := o.(P)
		if !ok {
			return nil, fmt.Errorf("the API server sent a %T in place of a %T", o, t)
		}
		return one(t)
	}
}

// item is an object on its way through a reflector, which asks for its name and version. The name of an object that could
// not be converted must get through, too: it may be in the store from before.
type item struct {
	object                   kube.Object // nil when it could not be converted, or is not wanted
	namespace, name, version string
}

func newItem(o runtime.Object, convert convert) (*item, error) {
	m, err := meta.Accessor(o)
	if err != nil {
		return nil, err
	}
	i := &item{namespace: m.GetNamespace(), name: m.GetName(), version: m.GetResourceVersion()}
	i.object, err = convert(o)
	return i, err
}

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (i *item) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: i.namespace, Name: i.name, ResourceVersion: i.version}
}

// GetObjectKind implements runtime.Object.
func (i *item) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements runtime.Object. Nobody changes one.
func (i *item) DeepCopyObject() runtime.Object { return i }
