package kubetest

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
)

// Kubelet tells what the kubelet of a node would, by the recorder that the kubelet uses: what is said again is the same
// event with a higher count.
type Kubelet struct {
	t        testing.TB
	recorder record.EventRecorder
}

// Kubelet returns the voice of a node's kubelet. It ends with the test.
func (c *Client) Kubelet(node string) *Kubelet {
	c.t.Helper()
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: c.CoreV1().Events("")})
	c.t.Cleanup(broadcaster.Shutdown)
	return &Kubelet{c.t, broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: node})}
}

// Says tells an event about the first container of a pod, some time soon.
func (k *Kubelet) Says(pod *corev1.Pod, kind, reason, message string) {
	k.t.Helper()
	k.recorder.Event(&corev1.ObjectReference{
		Kind: "Pod", APIVersion: "v1", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion,
		FieldPath: "spec.containers{" + pod.Spec.Containers[0].Name + "}",
	}, kind, reason, message)
}
