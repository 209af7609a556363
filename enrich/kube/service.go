package kube

import (
	"fmt"
	"net/netip"
	"strings"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// Service is a core v1 Service.
type Service struct {
	Meta `yaml:",inline"`
	Spec struct {
		Type           string
		Selector       map[string]string
		ClusterIP      string   `yaml:"clusterIP"`
		ClusterIPs     []string `yaml:"clusterIPs"`
		ExternalIPs    []string `yaml:"externalIPs"`
		IPFamilies     []string `yaml:"ipFamilies"`
		IPFamilyPolicy string   `yaml:"ipFamilyPolicy"`
		Ports          []ServicePort
	}
	Status struct {
		LoadBalancer struct {
			Ingress []struct{ IP string }
		} `yaml:"loadBalancer"`
	}
}

// ServicePort is a port of a service.
type ServicePort struct {
	Name     string
	Protocol string // TCP, UDP or SCTP; empty is TCP
	Port     uint16
	NodePort uint16 `yaml:"nodePort"` // 0 is none
}

// service is a service with its addresses by what they are.
type service struct {
	kind      string
	policy    string
	families  []flow.Family
	headless  bool
	cluster   []netip.Addr
	external  []netip.Addr
	balancers []netip.Addr
	ports     []servicePort
	selector  map[string]string
}

type servicePort struct {
	protocol       flow.Protocol
	port, nodePort uint16
}

func (s *state) takeService(o *Service) error {
	v := service{
		kind:     s.shared.text(o.Spec.Type),
		policy:   s.shared.text(o.Spec.IPFamilyPolicy),
		selector: s.shared.set(o.Spec.Selector),
		headless: o.Spec.ClusterIP == "None",
	}
	var err error
	add := func(into *[]netip.Addr, field, text string) {
		if text == "" || text == "None" || err != nil {
			return
		}
		var addr netip.Addr
		addr, err = parseAddr(field, text)
		*into = appendNew(*into, addr)
	}
	for i, ip := range o.Spec.ClusterIPs {
		add(&v.cluster, fmt.Sprintf("spec.clusterIPs[%d]", i), ip)
	}
	add(&v.cluster, "spec.clusterIP", o.Spec.ClusterIP)
	for i, ip := range o.Spec.ExternalIPs {
		add(&v.external, fmt.Sprintf("spec.externalIPs[%d]", i), ip)
	}
	for i, ingress := range o.Status.LoadBalancer.Ingress {
		add(&v.balancers, fmt.Sprintf("status.loadBalancer.ingress[%d].ip", i), ingress.IP)
	}
	if err != nil {
		return err
	}
	for _, family := range o.Spec.IPFamilies {
		switch family {
		case "IPv4":
			v.families = append(v.families, flow.FamilyIPv4)
		case "IPv6":
			v.families = append(v.families, flow.FamilyIPv6)
		}
	}
	for _, p := range o.Spec.Ports {
		v.ports = append(v.ports, servicePort{protocolOf(p.Protocol), p.Port, p.NodePort})
	}
	put(s, &s.services, o.called(), v)
	return nil
}

// protocolOf reads the protocol of a port, which is TCP where it is not told.
func protocolOf(text string) flow.Protocol {
	switch strings.ToUpper(text) {
	case "", "TCP":
		return flow.TCP
	case "UDP":
		return flow.UDP
	case "SCTP":
		return flow.SCTP
	}
	return flow.ProtocolUnknown
}

// joinServices returns all services with all their frontend addresses.
func (s *state) joinServices() []verdict.Service {
	var services []verdict.Service
	for _, n := range s.services.names() {
		v := &s.services[n].object
		external := flow.No
		if v.kind == "NodePort" || v.kind == "LoadBalancer" || len(v.external) > 0 {
			external = flow.Yes
		}
		var all []netip.Addr
		services = append(services, verdict.Service{
			Namespace: n.namespace, Name: n.name,
			Addresses: appendNew(appendNew(appendNew(all, v.cluster...), v.external...), v.balancers...),
			External:  external, Selector: v.selector,
		})
	}
	return services
}

// slice are the addresses and ports on which pods, or others, serve for a service.
type slice struct {
	service   string
	endpoints []sliceEndpoint
	ports     []servicePort // without node ports
}

type sliceEndpoint struct {
	addr  netip.Addr
	ready bool
}

// serviceLabel names the service of an EndpointSlice (k8s.io/api/discovery/v1, well_known_labels.go).
const serviceLabel = "kubernetes.io/service-name"

func (s *state) takeSlice(o *EndpointSlice) error {
	v := slice{service: s.shared.text(o.Metadata.Labels[serviceLabel])}
	for i, e := range o.Endpoints {
		if o.AddressType == "FQDN" {
			break
		}
		ready := e.Conditions.Ready == nil || *e.Conditions.Ready
		for j, text := range e.Addresses {
			addr, err := parseAddr(fmt.Sprintf("endpoints[%d].addresses[%d]", i, j), text)
			if err != nil {
				return err
			}
			v.endpoints = append(v.endpoints, sliceEndpoint{addr, ready})
		}
	}
	for _, p := range o.Ports {
		v.ports = append(v.ports, servicePort{protocol: protocolOf(p.Protocol), port: p.Port})
	}
	put(s, &s.slices, o.called(), v)
	return nil
}
