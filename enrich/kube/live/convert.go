package live

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sextant/enrich/kube"
)

// metaOf leaves annotations out: they can be as large as the object itself, and most are nobody's business here.
func metaOf(m *metav1.ObjectMeta) kube.Meta {
	told := kube.Metadata{
		Name: m.Name, Namespace: m.Namespace, UID: string(m.UID), Labels: m.Labels, Created: m.CreationTimestamp.Time,
	}
	if m.DeletionTimestamp != nil {
		told.Deleted = m.DeletionTimestamp.Time
	}
	for _, o := range m.OwnerReferences {
		told.Owners = append(told.Owners, kube.Owner{Kind: o.Kind, Name: o.Name, UID: string(o.UID), Controller: o.Controller != nil && *o.Controller})
	}
	return kube.Meta{Metadata: told}
}

// annotated is metadata with the annotations that the configuration asks for.
func (c Config) annotated(m *metav1.ObjectMeta) kube.Meta {
	meta := metaOf(m)
	for _, key := range c.Annotations {
		if value, ok := m.Annotations[key]; ok {
			if meta.Metadata.Annotations == nil {
				meta.Metadata.Annotations = map[string]string{}
			}
			meta.Metadata.Annotations[key] = value
		}
	}
	return meta
}

func nodeOf(n *corev1.Node) (kube.Object, error) {
	o := &kube.Node{Meta: metaOf(&n.ObjectMeta)}
	o.Spec.PodCIDR, o.Spec.PodCIDRs = n.Spec.PodCIDR, n.Spec.PodCIDRs
	for _, a := range n.Status.Addresses {
		o.Status.Addresses = append(o.Status.Addresses, struct{ Type, Address string }{string(a.Type), a.Address})
	}
	return o, nil
}

func namespaceOf(cfg Config) func(*corev1.Namespace) (kube.Object, error) {
	return func(n *corev1.Namespace) (kube.Object, error) {
		return &kube.Namespace{Meta: cfg.annotated(&n.ObjectMeta)}, nil
	}
}

func serviceOf(s *corev1.Service) (kube.Object, error) {
	o := &kube.Service{Meta: metaOf(&s.ObjectMeta)}
	o.Spec.Type, o.Spec.Selector = string(s.Spec.Type), s.Spec.Selector
	o.Spec.ClusterIP, o.Spec.ClusterIPs, o.Spec.ExternalIPs = s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.ExternalIPs
	for _, f := range s.Spec.IPFamilies {
		o.Spec.IPFamilies = append(o.Spec.IPFamilies, string(f))
	}
	if s.Spec.IPFamilyPolicy != nil {
		o.Spec.IPFamilyPolicy = string(*s.Spec.IPFamilyPolicy)
	}
	for _, p := range s.Spec.Ports {
		o.Spec.Ports = append(o.Spec.Ports, kube.ServicePort{Name: p.Name, Protocol: string(p.Protocol), Port: uint16(p.Port), NodePort: uint16(p.NodePort)})
	}
	for _, i := range s.Status.LoadBalancer.Ingress {
		o.Status.LoadBalancer.Ingress = append(o.Status.LoadBalancer.Ingress, struct{ IP string }{i.IP})
	}
	return o, nil
}

func endpointSliceOf(s *discoveryv1.EndpointSlice) (kube.Object, error) {
	o := &kube.EndpointSlice{Meta: metaOf(&s.ObjectMeta), AddressType: string(s.AddressType)}
	for _, e := range s.Endpoints {
		to := kube.SliceEndpoint{Addresses: e.Addresses}
		if e.NodeName != nil {
			to.NodeName = *e.NodeName
		}
		to.Conditions.Ready, to.Conditions.Serving, to.Conditions.Terminating = e.Conditions.Ready, e.Conditions.Serving, e.Conditions.Terminating
		if t := e.TargetRef; t != nil {
			to.TargetRef.Kind, to.TargetRef.Namespace, to.TargetRef.Name = t.Kind, t.Namespace, t.Name
		}
		o.Endpoints = append(o.Endpoints, to)
	}
	for _, p := range s.Ports {
		o.Ports = append(o.Ports, slicePort(p))
	}
	return o, nil
}

func slicePort(p discoveryv1.EndpointPort) (o kube.SlicePort) {
	if p.Name != nil {
		o.Name = *p.Name
	}
	if p.Protocol != nil {
		o.Protocol = string(*p.Protocol)
	}
	if p.Port != nil {
		o.Port = uint16(*p.Port)
	}
	return o
}

func replicaSetOf(m *metav1.PartialObjectMetadata) (kube.Object, error) {
	return &kube.ReplicaSet{Meta: metaOf(&m.ObjectMeta)}, nil
}

func jobOf(m *metav1.PartialObjectMetadata) (kube.Object, error) {
	return &kube.Job{Meta: metaOf(&m.ObjectMeta)}, nil
}

func serviceCIDROf(c *networkingv1.ServiceCIDR) (kube.Object, error) {
	o := &kube.ServiceCIDR{Meta: metaOf(&c.ObjectMeta)}
	o.Spec.CIDRs = slices.Clone(c.Spec.CIDRs)
	return o, nil
}

func configMapOf(m *corev1.ConfigMap) (kube.Object, error) {
	return &kube.ConfigMap{Meta: metaOf(&m.ObjectMeta), Data: m.Data}, nil
}

func customOf(c *custom) (kube.Object, error) {
	o, err := kube.Decode(c.version, c.kind, c.raw)
	if err == nil && o == nil {
		err = fmt.Errorf("nothing reads a %s of %s", c.kind, c.version)
	}
	return o, err
}
