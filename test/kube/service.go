package kubetest

import (
	"context"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Service writes a service; LoadBalancers are written to its status, as the controller of a cloud would. It returns what
// the API server made of it: addresses, families and node ports.
func (c *Client) Service(namespace, name string, spec corev1.ServiceSpec, loadBalancers ...string) *corev1.Service {
	c.t.Helper()
	services := c.CoreV1().Services(namespace)
	s, err := services.Create(context.Background(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = services.Delete(context.Background(), name, now) })
	if len(loadBalancers) == 0 {
		return s
	}
	var status corev1.ServiceStatus
	for _, ip := range loadBalancers {
		status.LoadBalancer.Ingress = append(status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	s, err = services.Patch(context.Background(), name, types.MergePatchType, patchOf(c, "status", status), metav1.PatchOptions{}, "status")
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// ServiceSpec is that of a service for pods with the label app=name, on port 80 → 8080.
func ServiceSpec(name string, policy corev1.IPFamilyPolicy, families ...corev1.IPFamily) corev1.ServiceSpec {
	spec := corev1.ServiceSpec{
		Selector:   map[string]string{"app": name},
		IPFamilies: families,
		Ports:      []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}
	if policy != "" {
		spec.IPFamilyPolicy = &policy
	}
	return spec
}

// Slice writes an EndpointSlice of a service: pods that are ready, on port 8080.
func (c *Client) Slice(namespace, service, suffix string, family discoveryv1.AddressType, pods ...*corev1.Pod) {
	c.t.Helper()
	port, protocol, portName, ready := int32(8080), corev1.ProtocolTCP, "http", true
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: service + "-" + suffix, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: family,
		Ports:       []discoveryv1.EndpointPort{{Name: &portName, Port: &port, Protocol: &protocol}},
	}
	for _, p := range pods {
		e := discoveryv1.Endpoint{
			Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		}
		if p.Spec.NodeName != "" {
			e.NodeName = &p.Spec.NodeName
		}
		for _, ip := range p.Status.PodIPs {
			if familyOf(ip.IP) == family {
				e.Addresses = append(e.Addresses, ip.IP)
			}
		}
		slice.Endpoints = append(slice.Endpoints, e)
	}
	slices := c.DiscoveryV1().EndpointSlices(namespace)
	if _, err := slices.Create(context.Background(), slice, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = slices.Delete(context.Background(), slice.Name, now) })
}

func familyOf(ip string) discoveryv1.AddressType {
	if addr, err := netip.ParseAddr(ip); err == nil && addr.Is4() {
		return discoveryv1.AddressTypeIPv4
	}
	return discoveryv1.AddressTypeIPv6
}
