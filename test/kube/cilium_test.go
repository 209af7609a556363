package kubetest_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
	"sextant/enrich/kube/live"
	kubetest "sextant/test/kube"
)

// The settings of Cilium are those of its ConfigMap, of what lies over it on a node, and of the agent's masquerading: as they
// are now.
func TestCiliumSettings(t *testing.T) {
	both(t, func(t *testing.T, s *kubetest.Server) {
		const site = kubetest.Site(10)
		c := s.Client(t)
		w := watch(t, s.Config(t))
		c.Node(kubetest.Node{Name: "plain", Addresses: []string{site.Node6(1)}})
		c.Node(kubetest.Node{Name: "special", Labels: map[string]string{"role": "edge"}, Addresses: []string{site.Node6(2)}})
		wants(t, verdict.Settings{}, func() verdict.Settings { return w.node("special").Settings })

		config := func(masquerade string) {
			c.Apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data:
  cluster-name: east
  enable-ipv4: "true"
  enable-ipv6: "true"
  enable-ipv6-masquerade: "` + masquerade + `"
  enable-bpf-masquerade: "true"
  enable-ip-masq-agent: "true"
  ipam: cluster-pool
  cluster-pool-ipv6-cidr: fd00:10::/60
  cluster-pool-ipv6-mask-size: "64"
`)
		}
		six := func(node string) func() flow.Tristate {
			return func() flow.Tristate { return w.node(node).Settings.MasqueradeIPv6 }
		}
		config("true")
		wants(t, flow.Yes, six("plain"))
		wants(t, flow.Yes, six("special"))
		wants(t, "east", func() string { return w.Index().Cluster().String() })
		wants(t, []kube.Pool{{Prefix: netip.MustParsePrefix("fd00:10::/60"), NodeLength: 64}}, func() []kube.Pool { return w.View().Pools })

		override := `
apiVersion: cilium.io/v2
kind: CiliumNodeConfig
metadata: {name: edge, namespace: kube-system}
spec:
  nodeSelector: {matchLabels: {role: edge}}
  defaults: {enable-ipv6-masquerade: "false"}
`
		c.Apply(override)
		wants(t, flow.No, six("special"))
		wants(t, flow.Yes, six("plain"))
		c.Delete(override)
		wants(t, flow.Yes, six("special"))

		c.Apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: ip-masq-agent, namespace: kube-system}
data: {config: "nonMasqueradeCIDRs: ['fd00:99::/64']"}
`)
		wants(t, true, func() bool {
			return slices.Contains(w.node("plain").Settings.NonMasquerade.List, netip.MustParsePrefix("fd00:99::/64"))
		})

		config("false")
		wants(t, flow.No, six("plain"))
		c.Delete(`{apiVersion: v1, kind: ConfigMap, metadata: {name: cilium-config, namespace: kube-system}}`)
		wants(t, verdict.Settings{}, func() verdict.Settings { return w.node("plain").Settings })
	})
}

// Objects of Cilium, in the form that its own definitions take.
func TestCiliumObjects(t *testing.T) {
	both(t, func(t *testing.T, s *kubetest.Server) {
		const site = kubetest.Site(11)
		c := s.Client(t)
		ns := c.Namespace(map[string]string{"tier": "front"}, nil)
		w := watch(t, s.Config(t))
		c.Apply(`{apiVersion: v1, kind: ConfigMap, metadata: {name: cilium-config, namespace: kube-system}, data: {enable-ipv6: "true", enable-egress-gateway: "true", ipam: multi-pool}}`)

		node := fmt.Sprintf(`
apiVersion: cilium.io/v2
kind: CiliumNode
metadata: {name: cilium-1, labels: {role: gateway, topology.kubernetes.io/zone: z3}}
spec:
  addresses:
    - {type: InternalIP, ip: %q}
    - {type: InternalIP, ip: %q}
    - {type: CiliumInternalIP, ip: %q}
  ipam:
    pools:
      allocated: [{pool: default, cidrs: ["fd00:10:b::/64"]}]
`, site.Node6(1), site.Node4(1), site.Pod6(254)) // without an IPv4 address it is no gateway to Cilium
		c.Apply(node)
		want := verdict.Node{Addresses: addrs(site.Node6(1), site.Node4(1)), Router: addrs(site.Pod6(254)), PodCIDRs: prefixes("fd00:10:b::/64")}
		wants(t, want, func() verdict.Node {
			n := w.node("cilium-1")
			return verdict.Node{Addresses: n.Addresses, Router: n.Router, PodCIDRs: n.PodCIDRs}
		})

		c.Apply(`
apiVersion: cilium.io/v2alpha1
kind: CiliumPodIPPool
metadata: {name: blue}
spec: {ipv6: {cidrs: ["fd00:b1::/60"], maskSize: 64}}
`)
		wants(t, []kube.Pool{{Name: "blue", Prefix: netip.MustParsePrefix("fd00:b1::/60"), NodeLength: 64}}, func() []kube.Pool { return w.View().Pools })

		policy := `
apiVersion: cilium.io/v2
kind: CiliumEgressGatewayPolicy
metadata: {name: out}
spec:
  selectors: [{podSelector: {matchLabels: {app: web}, matchExpressions: [{key: io.kubernetes.pod.namespace, operator: In, values: [` + ns + `]}]}}]
  destinationCIDRs: ["2001:db8:99::/48"]
  egressGateway: {nodeSelector: {matchLabels: {role: gateway}}, egressIP: "2001:db8:e9::1"}
`
		c.Apply(policy)
		c.Pod(kubetest.Pod{Namespace: ns, Name: "web", Labels: map[string]string{"app": "web"}, IPs: []string{site.Pod6(1)}})
		c.Pod(kubetest.Pod{Namespace: ns, Name: "db", Labels: map[string]string{"app": "db"}, IPs: []string{site.Pod6(2)}})
		wants(t, []verdict.EgressPolicy{{
			Name: "out", Sources: addrs(site.Pod6(1)), Destinations: prefixes("2001:db8:99::/48"), EgressIPs: addrs("2001:db8:e9::1"), Gateways: []string{"cilium-1"},
		}}, func() []verdict.EgressPolicy { return w.facts().EgressPolicies })
		c.Delete(policy)
		wants(t, nil, func() []verdict.EgressPolicy { return w.facts().EgressPolicies })
		c.Delete(node)
		wants(t, verdict.Node{}, func() verdict.Node { return w.node("cilium-1") })
	})
}

// Where pods are not watched, Cilium's endpoints and identities say who has an address: one by one, or in slices.
func TestCiliumEndpoints(t *testing.T) {
	both(t, func(t *testing.T, s *kubetest.Server) {
		const site = kubetest.Site(12)
		c := s.Client(t)
		ns := c.Namespace(nil, nil)
		c.Node(kubetest.Node{Name: "endpoints-1", Zone: "z4", Addresses: []string{site.Node6(1), site.Node4(1)}})
		w := watch(t, s.Config(t), func(s *settings) {
			s.live.Scope, s.live.NodeName, s.live.Remote = live.ScopeNode, "elsewhere", live.RemoteCilium
		})
		ips := []string{site.Pod6(1), site.Pod4(1)}
		if s == six.server {
			ips = ips[:1]
		}
		pair := fmt.Sprintf(`[{ipv6: %q}]`, ips[0])
		if len(ips) == 2 {
			pair = fmt.Sprintf(`[{ipv6: %q, ipv4: %q}]`, ips[0], ips[1])
		}
		known := func() []string {
			var found []string
			for _, ip := range ips {
				got := w.at(ip)
				found = append(found, got.Pod+" "+got.Node+" "+got.Zone)
			}
			return found
		}
		all := func(text string) (want []string) {
			for range ips {
				want = append(want, text)
			}
			return want
		}

		single := `
apiVersion: cilium.io/v2
kind: CiliumEndpoint
metadata: {name: web-a, namespace: ` + ns + `}
status:
  identity: {id: 4711, labels: ["k8s:app=web"]}
  networking: {addressing: ` + pair + `, node: "` + site.Node6(1) + `"}
`
		c.Apply(single)
		wants(t, all("web-a endpoints-1 z4"), known)
		c.Apply(`
apiVersion: cilium.io/v2
kind: CiliumIdentity
metadata: {name: "4711"}
security-labels: {"k8s:io.kubernetes.pod.namespace": ` + ns + `, "k8s:app": web}
`)
		wants(t, ns, func() string { return w.Index().Namespace(4711).String() })
		c.Delete(single)
		for _, ip := range ips {
			wants(t, "", func() string { return w.then(ip, time.Now().Add(time.Hour)).Pod })
		}

		batch := `
apiVersion: cilium.io/v2alpha1
kind: CiliumEndpointSlice
metadata: {name: ces-1}
namespace: ` + ns + `
endpoints: [{name: web-b, id: 4711, networking: {addressing: ` + pair + `, node: "` + site.Node6(1) + `"}}]
`
		c.Apply(batch)
		wants(t, all("web-b endpoints-1 z4"), known)
		wants(t, "on", func() string { return w.states()["CiliumEndpointSlice"] })
		wants(t, "idle", func() string { return w.states()["CiliumEndpoint"] })
	})
}
