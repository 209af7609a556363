package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// store returns the cluster as its API server would tell it: what a collector knows beside flows.
func (c *cluster) store(names *flow.Interner) (*kube.Store, error) {
	s := kube.NewStore(kube.Config{Labels: []string{"team"}, Cluster: c.name.String()}, names, slog.New(slog.DiscardHandler))
	objects := c.configuration()
	for _, n := range c.nodes {
		objects = append(objects, n.objects()...)
	}
	for _, a := range append(c.apps, c.dns) {
		objects = append(objects, a.objects()...)
	}
	for _, o := range objects {
		if err := s.Put(time.Time{}, o); err != nil {
			return nil, fmt.Errorf("make the cluster: %w", err)
		}
	}
	return s, nil
}

// configuration is Cilium's: the chart's defaults, and what one in five nodes has in their place.
func (c *cluster) configuration() []kube.Object {
	config := &kube.ConfigMap{Data: map[string]string{
		"cluster-name": c.name.String(), "ipam": "kubernetes", "enable-ipv4": "true", "enable-ipv6": "true",
		"enable-ipv4-masquerade": "true", "enable-ipv6-masquerade": "true", "enable-bpf-masquerade": "false", "enable-ip-masq-agent": "false",
		"routing-mode": "tunnel", "kube-proxy-replacement": "false", "monitor-aggregation": "medium", "enable-host-firewall": "false",
		"dnsproxy-enable-transparent-mode": "true", "cni-exclusive": "true",
	}}
	config.Metadata.Namespace, config.Metadata.Name = "kube-system", "cilium-config"
	bpf := new(kube.CiliumNodeConfig)
	bpf.Metadata.Namespace, bpf.Metadata.Name = "kube-system", "bpf-masquerade"
	bpf.Spec.Defaults = map[string]string{
		"bpf-lb-sock": "true", "enable-bpf-masquerade": "true", "kube-proxy-replacement": "true", "monitor-aggregation": "low",
	}
	bpf.Spec.NodeSelector = &kube.Selector{MatchLabels: map[string]string{"datapath": "bpf"}}
	return []kube.Object{config, bpf}
}

func (n *node) objects() []kube.Object {
	core, cilium := new(kube.Node), new(kube.CiliumNode)
	core.Metadata.Name, cilium.Metadata.Name = n.name.String(), n.name.String()
	core.Metadata.Labels = map[string]string{"topology.kubernetes.io/zone": n.zone}
	if n.bpf {
		core.Metadata.Labels["datapath"] = "bpf"
	}
	type address = struct{ Type, Address string }
	core.Status.Addresses = []address{{"InternalIP", n.ip.v4.String()}, {"InternalIP", n.ip.v6.String()}}
	core.Spec.PodCIDRs = []string{netip.PrefixFrom(n.router.v4, 24).Masked().String(), netip.PrefixFrom(n.router.v6, 64).Masked().String()}
	type addressing = struct{ Type, IP string }
	cilium.Spec.Addresses = []addressing{{"CiliumInternalIP", n.router.v4.String()}, {"CiliumInternalIP", n.router.v6.String()}}
	return []kube.Object{core, cilium}
}

func (a *app) objects() []kube.Object {
	set := new(kube.ReplicaSet)
	set.Metadata.Namespace, set.Metadata.Name = a.namespace, a.workload+"-1"
	set.Metadata.Owners = []kube.Owner{{Kind: "Deployment", Name: a.workload, Controller: true}}
	service := new(kube.Service)
	service.Metadata.Namespace, service.Metadata.Name = a.namespace, a.workload
	service.Spec.Selector = map[string]string{"app": a.workload}
	service.Spec.ClusterIP, service.Spec.ClusterIPs = a.service.v6.String(), []string{a.service.v6.String(), a.service.v4.String()}
	service.Spec.IPFamilies, service.Spec.IPFamilyPolicy = []string{"IPv6", "IPv4"}, "PreferDualStack"
	if a.single {
		service.Spec.ClusterIP, service.Spec.ClusterIPs = a.service.v4.String(), []string{a.service.v4.String()}
		service.Spec.IPFamilies, service.Spec.IPFamilyPolicy = []string{"IPv4"}, "SingleStack"
	}
	service.Spec.Type, service.Spec.Ports = "ClusterIP", []kube.ServicePort{{Name: "http", Protocol: "TCP", Port: 80}}
	if a.workload == "coredns" {
		service.Spec.Ports = []kube.ServicePort{{Name: "dns", Protocol: "UDP", Port: 53}}
	}
	all := []kube.Object{set, service}
	all = append(all, a.slice(true))
	if !a.single {
		all = append(all, a.slice(false))
	}
	for _, p := range a.pods {
		all = append(all, p.object())
	}
	return all
}

// slice is the service's endpoints of one family.
func (a *app) slice(v4 bool) *kube.EndpointSlice {
	s := &kube.EndpointSlice{AddressType: "IPv6", Ports: []kube.SlicePort{{Name: "http", Protocol: "TCP", Port: 8080}}}
	if v4 {
		s.AddressType = "IPv4"
	}
	if a.workload == "coredns" {
		s.Ports = []kube.SlicePort{{Name: "dns", Protocol: "UDP", Port: 53}}
	}
	s.Metadata.Namespace, s.Metadata.Name = a.namespace, a.workload+"-"+s.AddressType
	s.Metadata.Labels = map[string]string{"kubernetes.io/service-name": a.workload}
	for _, p := range a.pods {
		s.Endpoints = append(s.Endpoints, kube.SliceEndpoint{Addresses: []string{p.ip.of(v4).String()}, NodeName: p.node.name.String()})
	}
	return s
}

func (p *pod) object() *kube.Pod {
	o := new(kube.Pod)
	o.Metadata.Namespace, o.Metadata.Name = p.app.namespace, p.name
	o.Metadata.Labels = map[string]string{"app": p.app.workload, "team": p.app.namespace}
	o.Metadata.Owners = []kube.Owner{{Kind: "ReplicaSet", Name: p.app.workload + "-1", Controller: true}}
	o.Spec.NodeName = p.node.name.String()
	type address = struct{ IP string }
	o.Status.Phase, o.Status.PodIPs = "Running", []address{{p.ip.v6.String()}, {p.ip.v4.String()}}
	return o
}
