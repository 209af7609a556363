package kube_test

import (
	"testing"
	"time"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

func TestView(t *testing.T) {
	r := newRig(t, kube.Config{})
	r.load(twoNodes, shopPods, `{apiVersion: v1, kind: ConfigMap, metadata: {namespace: kube-system, name: cilium-config}, data: {cluster-name: lab, ipam: cluster-pool, cluster-pool-ipv4-cidr: 10.0.0.0/8, cluster-pool-ipv4-mask-size: '24', cluster-pool-ipv6-cidr: "fd00::/104 fd01::/104", cluster-pool-ipv6-mask-size: '120'}}
---
{apiVersion: cilium.io/v2, kind: CiliumNode, metadata: {name: n1}, spec: {addresses: [{type: CiliumInternalIP, ip: 10.0.1.1}], ipam: {podCIDRs: [10.0.1.0/24, "fd00::100/120"]}}}
---
{apiVersion: cilium.io/v2alpha1, kind: CiliumPodIPPool, metadata: {name: blue}, spec: {ipv4: {cidrs: [10.8.0.0/16], maskSize: 27}, ipv6: {cidrs: ["fd08::/48"], maskSize: 40}}}
---
{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: kubernetes}, spec: {cidrs: [10.96.0.0/12, "fd00:96::/108"]}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: done}, spec: {nodeName: n1}, status: {phase: Failed, podIPs: [{ip: 10.0.1.9}]}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: host}, spec: {nodeName: n1, hostNetwork: true}, status: {podIPs: [{ip: 192.0.2.1}]}}
---
{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: both}, spec: {type: LoadBalancer, ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6, IPv4], clusterIPs: ["fd00:96::2", 10.96.0.2], externalIPs: [198.51.100.9], selector: {app: x}}, status: {loadBalancer: {ingress: [{ip: 203.0.113.7}]}}}
---
{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: headless}, spec: {type: ClusterIP, clusterIP: None, clusterIPs: [None]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: shop, name: both-a, labels: {kubernetes.io/service-name: both}}, addressType: IPv6, endpoints: [{addresses: ["fd00::101"], conditions: {ready: true}}, {addresses: ["fd00::102"], conditions: {ready: false}}, {addresses: ["fd00::103"]}], ports: [{port: 80}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: shop, name: both-b, labels: {kubernetes.io/service-name: both}}, addressType: IPv6, endpoints: [{addresses: ["fd00::102"], conditions: {ready: true}}], ports: [{port: 81}]}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: other, name: both-a, labels: {kubernetes.io/service-name: both}}, addressType: IPv4, endpoints: [{addresses: [10.0.1.5]}], ports: [{port: 80}]}`)
	got := r.View()
	if got.Time.IsZero() {
		t.Error("it has no time")
	}
	got.Time = time.Time{}
	of := func(v4, v6 int) [3]int { return [3]int{flow.FamilyIPv4: v4, flow.FamilyIPv6: v6} }
	same(t, "view", got, kube.View{
		Cluster: "lab", IPAM: "cluster-pool",
		Pools: []kube.Pool{
			{Prefix: prefixes("10.0.0.0/8")[0], NodeLength: 24},
			{Prefix: prefixes("fd00::/104")[0], NodeLength: 120},
			{Prefix: prefixes("fd01::/104")[0], NodeLength: 120},
			{Name: "blue", Prefix: prefixes("10.8.0.0/16")[0], NodeLength: 27},
			{Name: "blue", Prefix: prefixes("fd08::/48")[0]}, // the mask makes no sense
		},
		ServiceCIDRs: prefixes("10.96.0.0/12", "fd00:96::/108"),
		Nodes: []kube.ViewNode{
			{Name: "n1", Zone: "z1", Region: "r1", Addresses: addrs("192.0.2.1", "2001:db8::1"), PodCIDRs: prefixes("10.0.1.0/24", "fd00::100/120")},
			{Name: "n2", Zone: "z2", Addresses: addrs("192.0.2.2", "198.51.100.2")}, // of whose prefixes Cilium tells nothing
		},
		Pods: []kube.ViewPod{
			{Namespace: "shop", Name: "cart-1", Node: "n2", Workload: "cart", WorkloadKind: "StatefulSet", IPs: addrs("10.0.2.5", "fd00:2::5")},
			{Namespace: "shop", Name: "done", Node: "n1", IPs: addrs("10.0.1.9"), Ended: true},
			{Namespace: "shop", Name: "host", Node: "n1", IPs: addrs("192.0.2.1"), HostNetwork: true},
			{Namespace: "shop", Name: "web-1", Node: "n1", Workload: "web", WorkloadKind: "StatefulSet", IPs: addrs("10.0.1.5")},
			{Namespace: "shop", Name: "young", Node: "n2", Workload: "young", WorkloadKind: "StatefulSet"},
		},
		Services: []kube.ViewService{
			{
				Namespace: "shop", Name: "both", Type: "LoadBalancer", Policy: "PreferDualStack", Families: []flow.Family{flow.FamilyIPv6, flow.FamilyIPv4},
				ClusterIPs: addrs("fd00:96::2", "10.96.0.2"), ExternalIPs: addrs("198.51.100.9"), LoadBalancers: addrs("203.0.113.7"), Selects: true,
				Endpoints: of(0, 3), Ready: of(0, 3),
			},
			{Namespace: "shop", Name: "cart", ClusterIPs: addrs("10.96.0.1", "fd00:96::1"), Endpoints: of(2, 0), Ready: of(2, 0)},
			{Namespace: "shop", Name: "headless", Type: "ClusterIP", Headless: true},
		},
		Knows: map[kube.Kind]bool{
			kube.KindNode: true, kube.KindNamespace: true, kube.KindPod: true, kube.KindService: true, kube.KindEndpointSlice: true, kube.KindIdentity: true,
			kube.KindConfigMap: true, kube.KindCiliumNode: true, kube.KindPodIPPool: true, kube.KindServiceCIDR: true,
		},
	})
}

// Of an empty store nothing is known.
func TestEmptyView(t *testing.T) {
	v := newRig(t, kube.Config{Cluster: "lab"}).View()
	v.Time = time.Time{}
	same(t, "view", v, kube.View{Cluster: "lab", Knows: map[kube.Kind]bool{}})
}
