package kubetest

import (
	"context"
	"encoding/json"
	"maps"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Namespace makes a namespace that no other test has, and returns its name.
func (c *Client) Namespace(labels, annotations map[string]string) string {
	c.t.Helper()
	ns, err := c.CoreV1().Namespaces().Create(context.Background(), &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels, Annotations: annotations},
	}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return ns.Name
}

// Node is a node, as a cloud's controller and a kubelet write it.
type Node struct {
	Name, Zone, Region string
	Labels             map[string]string // beside those of zone and region
	PodCIDRs           []string          // one of each family at most, as the API server demands
	Addresses          []string          // InternalIPs
}

// Node writes a node.
func (c *Client) Node(n Node) {
	c.t.Helper()
	labels := map[string]string{corev1.LabelHostname: n.Name}
	maps.Copy(labels, n.Labels)
	for key, value := range map[string]string{corev1.LabelTopologyZone: n.Zone, corev1.LabelTopologyRegion: n.Region} {
		if value != "" {
			labels[key] = value
		}
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: labels}}
	node.Spec.PodCIDRs = n.PodCIDRs
	if len(n.PodCIDRs) > 0 {
		node.Spec.PodCIDR = n.PodCIDRs[0]
	}
	nodes := c.CoreV1().Nodes()
	if _, err := nodes.Create(context.Background(), node, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = nodes.Delete(context.Background(), n.Name, now) })

	var status corev1.NodeStatus
	for _, a := range n.Addresses {
		status.Addresses = append(status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
	}
	status.Addresses = append(status.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: n.Name})
	patch := patchOf(c, "status", status)
	if _, err := nodes.Patch(context.Background(), n.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		c.t.Fatal(err)
	}
}

// Pod is a pod, as a controller, the scheduler and a kubelet write it.
type Pod struct {
	Namespace, Name, Node string
	Labels, Annotations   map[string]string
	Owner                 *Owner
	IPs                   []string // first the primary one; none yet when empty
	HostNetwork           bool
	Phase                 corev1.PodPhase // Running unless set
	Image                 string          // of its one container, which is called as the pod's workload would: "web"
	PullPolicy            corev1.PullPolicy
}

// Pod writes a pod, first without addresses, as the API server sees every pod.
func (c *Client) Pod(p Pod) *corev1.Pod {
	c.t.Helper()
	image := p.Image
	if image == "" {
		image = "registry.example/web:1"
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, Annotations: p.Annotations},
		Spec: corev1.PodSpec{
			NodeName:    p.Node,
			HostNetwork: p.HostNetwork,
			Containers:  []corev1.Container{{Name: "web", Image: image, ImagePullPolicy: p.PullPolicy}},
		},
	}
	if p.Owner != nil {
		pod.OwnerReferences = []metav1.OwnerReference{p.Owner.OwnerReference}
	}
	created, err := c.CoreV1().Pods(p.Namespace).Create(context.Background(), pod, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = c.CoreV1().Pods(p.Namespace).Delete(context.Background(), p.Name, now) })
	if len(p.IPs) > 0 || p.Phase != "" {
		return c.PodStatus(p)
	}
	return created
}

// PodStatus writes the status of a pod that exists.
func (c *Client) PodStatus(p Pod) *corev1.Pod {
	c.t.Helper()
	status := corev1.PodStatus{Phase: p.Phase, StartTime: &metav1.Time{Time: time.Now()}}
	if status.Phase == "" {
		status.Phase = corev1.PodRunning
	}
	for _, ip := range p.IPs {
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: ip})
	}
	if len(p.IPs) > 0 { // both, or the API server takes podIP's word alone
		status.PodIP = p.IPs[0]
	}
	pod, err := c.CoreV1().Pods(p.Namespace).Patch(context.Background(), p.Name, types.MergePatchType, patchOf(c, "status", status), metav1.PatchOptions{}, "status")
	if err != nil {
		c.t.Fatal(err)
	}
	return pod
}

// DeletePod deletes a pod as its kubelet does in the end: it is gone at once.
func (c *Client) DeletePod(namespace, name string) {
	c.t.Helper()
	if err := c.CoreV1().Pods(namespace).Delete(context.Background(), name, now); err != nil {
		c.t.Fatal(err)
	}
}

// TerminatePod asks for the deletion of a pod, which stays for want of a kubelet that would do it.
func (c *Client) TerminatePod(namespace, name string) {
	c.t.Helper()
	grace := int64(30)
	if err := c.CoreV1().Pods(namespace).Delete(context.Background(), name, metav1.DeleteOptions{GracePeriodSeconds: &grace}); err != nil {
		c.t.Fatal(err)
	}
}

func patchOf(c *Client, field string, value any) []byte {
	c.t.Helper()
	text, err := json.Marshal(map[string]any{field: value})
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// A Site is a part of the address space that one test has for itself, on a server that it shares.
type Site byte

// Pod6 is the nth IPv6 address of a pod.
func (s Site) Pod6(n byte) string { return addr6(0xfd00, 0x0010, byte(s), n) }

// Pod4 is the nth IPv4 address of a pod.
func (s Site) Pod4(n byte) string { return netip.AddrFrom4([4]byte{10, 244, byte(s), n}).String() }

// Node6 is the nth IPv6 address of a node.
func (s Site) Node6(n byte) string { return addr6(0x2001, 0x0db8, byte(s), n) }

// Node4 is the nth IPv4 address of a node.
func (s Site) Node4(n byte) string { return netip.AddrFrom4([4]byte{192, 168, byte(s), n}).String() }

func addr6(first, second uint16, site, n byte) string {
	return netip.AddrFrom16([16]byte{byte(first >> 8), byte(first), byte(second >> 8), byte(second), 7: site, 15: n}).String()
}
