package live

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"sextant/enrich/kube"
)

// named implements asker.
func (c *client) named(ctx context.Context, kind kube.Kind, namespace, name string) (kube.Object, error) {
	switch kind {
	case kube.KindPod:
		pod := &corev1.Pod{}
		if err := c.groups[corev1.SchemeGroupVersion].Get().Namespace(namespace).Resource("pods").Name(name).Do(ctx).Into(pod); err != nil {
			return nil, err
		}
		return c.pod(pod)
	case kube.KindReplicaSet:
		m, err := c.metadataOf(ctx, "apps", "replicasets", namespace, name)
		if err != nil {
			return nil, err
		}
		return replicaSetOf(m)
	case kube.KindJob:
		m, err := c.metadataOf(ctx, "batch", "jobs", namespace, name)
		if err != nil {
			return nil, err
		}
		return jobOf(m)
	}
	return nil, fmt.Errorf("nobody asks for a %s by its name", kind)
}

func (c *client) metadataOf(ctx context.Context, group, resource, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	of := schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}
	return c.metadata.Resource(of).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
}

// podsAt implements asker. The API server selects by the first of a pod's addresses alone, and compares texts, which it
// keeps as RFC 5952 wants them (pkg/registry/core/pod/strategy.go). It looks at every pod there is. What has ended, or has
// its node's address, is nobody's to be found here.
func (c *client) podsAt(ctx context.Context, addr netip.Addr) ([]kube.Object, error) {
	list := &corev1.PodList{}
	o := metav1.ListOptions{FieldSelector: "status.podIP=" + addr.String(), ResourceVersion: "0"}
	err := typedSource{c.groups[corev1.SchemeGroupVersion], "", "pods"}.request(&o).Do(ctx).Into(list)
	if err != nil {
		return nil, err
	}
	var found []kube.Object
	for i := range list.Items {
		p := &list.Items[i]
		if p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		pod, err := c.pod(p)
		if err != nil {
			return nil, err
		}
		found = append(found, pod)
	}
	return found, nil
}
