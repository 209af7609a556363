package kube_test

import (
	"net/netip"
	"strings"
	"testing"

	"sextant/collector/verdict"
)

// Three pods on two nodes, one of them on its node's network, and a namespace with a label.
const shop = `
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {cluster-name: lab, enable-egress-gateway: "true"}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: web}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: ci, labels: {team: devex}}}
- {apiVersion: v1, kind: Node, metadata: {name: n1, labels: {role: gateway, zone: z1}}, status: {addresses: [{type: InternalIP, address: 192.0.2.1}]}}
- {apiVersion: v1, kind: Node, metadata: {name: n2, labels: {zone: z2}}, status: {addresses: [{type: InternalIP, address: 192.0.2.2}]}}
- {apiVersion: v1, kind: Node, metadata: {name: a6, labels: {role: gateway}}, status: {addresses: [{type: InternalIP, address: "2001:db8::1"}]}}
- {apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {nodeName: n1, serviceAccountName: robot}, status: {podIPs: [{ip: 10.0.1.1}, {ip: "fd00::1:1"}]}}
- {apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db, io.cilium.k8s.namespace.labels.fake: x}}, spec: {nodeName: n2}, status: {podIPs: [{ip: 10.0.2.1}]}}
- {apiVersion: v1, kind: Pod, metadata: {name: run, namespace: ci, labels: {app: web}}, spec: {nodeName: n2}, status: {podIPs: [{ip: 10.0.2.2}]}}
- {apiVersion: v1, kind: Pod, metadata: {name: host, namespace: shop, labels: {app: web}}, spec: {nodeName: n2, hostNetwork: true}, status: {podIPs: [{ip: 192.0.2.2}]}}
---
`

func policy(spec string) string {
	return "apiVersion: cilium.io/v2\nkind: CiliumEgressGatewayPolicy\nmetadata: {name: p}\nspec: {" + spec + "}\n"
}

func TestEgressPolicySources(t *testing.T) {
	web, db, run := addrs("10.0.1.1", "fd00::1:1"), addrs("10.0.2.1"), addrs("10.0.2.2")
	join := func(lists ...[]netip.Addr) (all []netip.Addr) {
		for _, list := range lists {
			all = append(all, list...)
		}
		// As addresses sort: IPv4 first.
		if len(all) > 2 && all[1].Is6() {
			all = append(append(all[:1:1], all[2:]...), all[1])
		}
		return all
	}
	for _, row := range []struct {
		selectors string
		want      []netip.Addr
	}{
		{"", nil},
		{"{podSelector: {}}", join(web, db, run)},
		{"{namespaceSelector: {}}", join(web, db, run)},
		{"{podSelector: {matchLabels: {app: web}}}", join(web, run)},
		{"{podSelector: {matchLabels: {'k8s:app': web}}}", join(web, run)},
		{"{podSelector: {matchLabels: {'any:app': db}}}", db},
		{"{podSelector: {matchLabels: {'reserved:app': db}}}", nil},
		{"{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}}", db},
		{"{podSelector: {matchLabels: {app: web, io.kubernetes.pod.namespace: shop}}}", web},
		{"{podSelector: {matchLabels: {io.cilium.k8s.policy.serviceaccount: robot}}}", web},
		{"{podSelector: {matchLabels: {io.cilium.k8s.policy.cluster: lab}}}", join(web, db, run)},
		{"{podSelector: {matchLabels: {io.cilium.k8s.namespace.labels.team: devex}}}", run},
		{"{podSelector: {matchLabels: {io.cilium.k8s.namespace.labels.fake: x}}}", nil},
		{"{namespaceSelector: {matchLabels: {team: web}}}", join(web, db)},
		{"{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ci}}}", run},
		{"{namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [web]}]}, podSelector: {matchLabels: {app: web}}}", web},
		{"{namespaceSelector: {matchLabels: {team: web}}, podSelector: {matchLabels: {app: db}}}, {podSelector: {matchLabels: {app: web}}}", join(web, db, run)},
		{"{podSelector: {}, nodeSelector: {matchLabels: {zone: z2}}}", join(db, run)},
		{"{podSelector: {matchLabels: {app: db}}, nodeSelector: {matchLabels: {zone: z1}}}", nil},
		// An agent does not keep the selectors of one rule together: one of the pods' and one of the nodes' must hold.
		{"{podSelector: {matchLabels: {app: db}}, nodeSelector: {matchLabels: {zone: z1}}}, {podSelector: {matchLabels: {app: none}}, nodeSelector: {matchLabels: {zone: z2}}}", db},
		{"{podSelector: {matchLabels: {app: db}}}, {podSelector: {matchLabels: {app: none}}, nodeSelector: {matchLabels: {zone: z1}}}", nil},
	} {
		cluster, _ := load(t, dump(t, "all.yaml", shop+policy("selectors: ["+row.selectors+"], destinationCIDRs: [0.0.0.0/0], egressGateway: {nodeSelector: {}}")))
		same(t, row.selectors, cluster.EgressPolicies[0].Sources, row.want)
	}
}

func TestEgressPolicyGateways(t *testing.T) {
	for _, row := range []struct {
		spec     string
		gateways []string
		ips      []netip.Addr
		doubts   int
	}{
		{"egressGateway: {nodeSelector: {matchLabels: {role: gateway}}, egressIP: 198.51.100.1}", []string{"n1"}, addrs("198.51.100.1"), 0},
		{"egressGateway: {nodeSelector: {}, interface: eth1}", []string{"n1"}, nil, 0},
		{"egressGateway: {egressIP: '2001:db8::1'}", []string{"n1"}, addrs("2001:db8::1"), 0},
		{"egressGateway: {nodeSelector: {matchLabels: {role: none}}, egressIP: 198.51.100.1}", nil, nil, 1},
		{"egressGateway: {egressIP: 198.51.100.1}, egressGateways: []", []string{"n1"}, addrs("198.51.100.1"), 0},
		{"egressGateway: {egressIP: 198.51.100.1}, egressGateways: [{nodeSelector: {matchLabels: {zone: z2}}}]", []string{"n2"}, nil, 0},
		{
			"egressGateways: [{nodeSelector: {matchLabels: {zone: z2}}, egressIP: 198.51.100.2}, {nodeSelector: {matchLabels: {zone: z1}}, egressIP: 198.51.100.1}, " +
				"{nodeSelector: {matchLabels: {zone: z3}}, egressIP: 198.51.100.3}]",
			[]string{"n2", "n1"},
			addrs("198.51.100.2", "198.51.100.1"), 0,
		},
	} {
		cluster, report := load(t, dump(t, "all.yaml", shop+policy("selectors: [{podSelector: {matchLabels: {app: db}}}], destinationCIDRs: [0.0.0.0/0, '::/0'], excludedCIDRs: [10.0.0.1/8], "+row.spec)))
		same(t, row.spec, cluster.EgressPolicies, []verdict.EgressPolicy{{
			Name: "p", Sources: addrs("10.0.2.1"), Destinations: prefixes("0.0.0.0/0", "::/0"), Excluded: prefixes("10.0.0.0/8"),
			Gateways: row.gateways, EgressIPs: row.ips,
		}})
		same(t, "doubts", len(report.Doubts), row.doubts)
	}
}

// What an agent does not accept does nothing, and takes the place of what it accepted before.
func TestEgressPolicyRejected(t *testing.T) {
	good := policy("selectors: [{podSelector: {}}], destinationCIDRs: [0.0.0.0/0], egressGateway: {}")
	for _, row := range []struct{ spec, want string }{
		{"selectors: [{podSelector: {}}], egressGateway: {}", "it has no destinationCIDRs"},
		{"selectors: [{podSelector: {}}], destinationCIDRs: [0.0.0.0/0]", "it has no egressGateway"},
		{"selectors: [{podSelector: {}}], destinationCIDRs: [0.0.0.0/0], egressGateway: {interface: eth0, egressIP: 192.0.2.1}", "a gateway has an interface and an egressIP"},
		{"selectors: [{podSelector: {}}, {nodeSelector: {}}], destinationCIDRs: [0.0.0.0/0], egressGateway: {}", "a selector has neither a namespaceSelector nor a podSelector"},
	} {
		cluster, report := load(t, dump(t, "a.yaml", shop+good), dump(t, "b.yaml", policy(row.spec)))
		if len(cluster.EgressPolicies) != 0 || len(report.Doubts) != 1 || !strings.HasSuffix(report.Doubts[0], "no agent accepts it: "+row.want) {
			t.Errorf("%s: %d policies, doubts %q", row.spec, len(cluster.EgressPolicies), report.Doubts)
		}
	}
}

// Which pods a namespace's labels select cannot be said when the namespace is not there.
func TestEgressPolicyNamespaceMissing(t *testing.T) {
	text := strings.Replace(shop, "{apiVersion: v1, kind: Namespace, metadata: {name: ci, labels: {team: devex}}}", "{apiVersion: v1, kind: Secret}", 1) +
		policy("selectors: [{namespaceSelector: {matchLabels: {team: devex}}}], destinationCIDRs: [0.0.0.0/0], egressGateway: {}")
	_, report := load(t, dump(t, "all.yaml", text))
	if len(report.Doubts) != 1 || !strings.HasSuffix(report.Doubts[0], "all.yaml: document 3: CiliumEgressGatewayPolicy p: selects by labels of namespaces, and ci is not there") {
		t.Errorf("doubts %q", report.Doubts)
	}
}
