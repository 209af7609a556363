package kubetest_test

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"sextant/collector/flow"
	"sextant/enrich/kube"
	kubetest "sextant/test/kube"
)

// A service is known by every address and port it has, in each family, and by its endpoints.
func TestServices(t *testing.T) {
	both(t, func(t *testing.T, s *kubetest.Server) {
		const site = kubetest.Site(5)
		dualStack := s == dual.server
		c := s.Client(t)
		ns := c.Namespace(nil, nil)
		c.Node(kubetest.Node{Name: "services-1", Addresses: []string{site.Node6(1)}})
		w := watch(t, s.Config(t))
		name := func(of string) string { return ns + "/" + of }

		spec := kubetest.ServiceSpec("web", corev1.IPFamilyPolicyPreferDualStack)
		spec.Type = corev1.ServiceTypeLoadBalancer
		balancers, external := []string{"2001:db8:1b::1"}, []string{"2001:db8:e::1"}
		families, ips := []flow.Family{flow.FamilyIPv6}, []string{site.Pod6(1)}
		if dualStack {
			balancers, external = []string{"198.51.100.1", "2001:db8:1b::1"}, []string{"203.0.113.1", "2001:db8:e::1"}
			families, ips = []flow.Family{flow.FamilyIPv4, flow.FamilyIPv6}, []string{site.Pod4(1), site.Pod6(1)}
		}
		spec.ExternalIPs = external
		web := c.Service(ns, "web", spec, balancers...)
		pod := c.Pod(kubetest.Pod{Namespace: ns, Name: "web-a", Node: "services-1", IPs: ips})
		c.Slice(ns, "web", "v6", discoveryv1.AddressTypeIPv6, pod)
		if dualStack {
			c.Slice(ns, "web", "v4", discoveryv1.AddressTypeIPv4, pod)
		}

		observed, inferred := name("web")+" observed", name("web")+" inferred"
		for _, of := range [][]string{web.Spec.ClusterIPs, balancers, external} {
			for _, ip := range of {
				wants(t, observed, func() string { return w.service(ip, 80) })
				wants(t, observed, func() string { return w.service(ip, 0) }) // as of a ping
			}
		}
		wants(t, observed, func() string { return w.service(site.Node6(1), uint16(web.Spec.Ports[0].NodePort)) })
		wants(t, " none", func() string { return w.service(site.Node6(1), 80) })
		for _, ip := range ips {
			wants(t, inferred, func() string { return w.service(ip, 8080) })
			wants(t, " none", func() string { return w.service(ip, 8081) })
		}
		want := kube.ViewService{
			Namespace: ns, Name: "web", Type: "LoadBalancer", Policy: "PreferDualStack", Families: families, Selects: true,
			ClusterIPs: addrs(web.Spec.ClusterIPs...), ExternalIPs: addrs(external...), LoadBalancers: addrs(balancers...),
		}
		want.Endpoints[flow.FamilyIPv6], want.Ready[flow.FamilyIPv6] = 1, 1
		if dualStack {
			want.Endpoints[flow.FamilyIPv4], want.Ready[flow.FamilyIPv4] = 1, 1
		}
		wants(t, want, func() kube.ViewService { return w.viewed(ns, "web") })

		// A second service with the same endpoint: from then on it is not known which one was meant.
		c.Service(ns, "other", kubetest.ServiceSpec("web", ""))
		c.Slice(ns, "other", "v6", discoveryv1.AddressTypeIPv6, pod)
		wants(t, " none", func() string { return w.service(site.Pod6(1), 8080) })
		c.Delete("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: " + ns + ", name: other-v6}}")
		wants(t, inferred, func() string { return w.service(site.Pod6(1), 8080) })

		headless := kubetest.ServiceSpec("web", "")
		headless.ClusterIP = corev1.ClusterIPNone
		c.Service(ns, "headless", headless)
		wants(t, true, func() bool { return w.viewed(ns, "headless").Headless })

		// A service that is gone gives its addresses back.
		c.Delete("{apiVersion: v1, kind: Service, metadata: {namespace: " + ns + ", name: web}}")
		for _, ip := range web.Spec.ClusterIPs {
			wants(t, " none", func() string { return w.service(ip, 80) })
		}
	})
}

// The families that a service asks for, and the policy that gave it fewer or more.
func TestServiceFamilies(t *testing.T) {
	s := dual.get(t)
	c := s.Client(t)
	ns := c.Namespace(nil, nil)
	w := watch(t, s.Config(t))
	v4, v6 := flow.FamilyIPv4, flow.FamilyIPv6
	for _, row := range []struct {
		name   string
		policy corev1.IPFamilyPolicy
		asked  []corev1.IPFamily
		want   []flow.Family
	}{
		{"four", corev1.IPFamilyPolicySingleStack, []corev1.IPFamily{corev1.IPv4Protocol}, []flow.Family{v4}},
		{"six", corev1.IPFamilyPolicySingleStack, []corev1.IPFamily{corev1.IPv6Protocol}, []flow.Family{v6}},
		{"prefer", corev1.IPFamilyPolicyPreferDualStack, nil, []flow.Family{v4, v6}},
		{"require", corev1.IPFamilyPolicyRequireDualStack, []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}, []flow.Family{v6, v4}},
	} {
		made := c.Service(ns, row.name, kubetest.ServiceSpec("web", row.policy, row.asked...))
		want := kube.ViewService{
			Namespace: ns, Name: row.name, Type: "ClusterIP", Policy: string(row.policy), Families: row.want,
			ClusterIPs: addrs(made.Spec.ClusterIPs...), Selects: true,
		}
		wants(t, want, func() kube.ViewService { return w.viewed(ns, row.name) })
	}
}

// The ranges of services are those that the API server was started with.
func TestServiceRanges(t *testing.T) {
	both(t, func(t *testing.T, s *kubetest.Server) {
		want := prefixes("fd00:10:96::/112")
		if s == dual.server {
			want = prefixes("10.96.0.0/16", "fd00:10:96::/112")
		}
		w := watch(t, s.Config(t))
		wants(t, want, func() []netip.Prefix { return w.View().ServiceCIDRs })
	})
}
