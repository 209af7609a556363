package kube_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
)

// configMap writes a ConfigMap of Cilium's namespace: keys and values by turns.
func configMap(name string, data ...string) string {
	text := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: kube-system}\ndata:\n  some-key: some value\n"
	return text + keys("  ", data)
}

func keys(indent string, data []string) (text string) {
	for i := 0; i < len(data); i += 2 {
		text += fmt.Sprintf("%s%s: %q\n", indent, data[i], data[i+1])
	}
	return text
}

// nodeConfig writes a CiliumNodeConfig of Cilium's namespace.
func nodeConfig(name, selector string, data ...string) string {
	return "---\napiVersion: cilium.io/v2\nkind: CiliumNodeConfig\nmetadata: {name: " + name + ", namespace: kube-system}\nspec:\n  nodeSelector: " +
		selector + "\n  defaults:\n    some-key: some value\n" + keys("    ", data)
}

const oneNode = "---\napiVersion: v1\nkind: Node\nmetadata: {name: a, labels: {zone: z1, gpu: ''}}\n"

func settingsOf(t *testing.T, text string) (verdict.Settings, kube.Report) {
	t.Helper()
	cluster, report := load(t, dump(t, "all.yaml", text))
	return cluster.Nodes[0].Settings, report
}

// agentDefaults is what an agent of Cilium 1.20 runs with when its ConfigMap says nothing of it.
func agentDefaults() verdict.Settings {
	return verdict.Settings{
		MasqueradeIPv4:       flow.Yes,
		MasqueradeIPv6:       flow.Yes,
		BPFMasquerade:        flow.No,
		NativeRoutingIPv4:    verdict.CIDRs{Known: true},
		NativeRoutingIPv6:    verdict.CIDRs{Known: true},
		IPMasqAgent:          flow.No,
		RemoteNodeMasquerade: flow.No,
		EgressGateway:        flow.No,
		KubeProxyReplacement: flow.No,
		HostFirewall:         flow.No,
		WireGuard:            flow.No,
		IPsec:                flow.No,
		L2Announcements:      flow.No,
		TransparentDNSProxy:  flow.No,
		NAT46x64Gateway:      flow.No,
		Tunnel:               flow.Yes,
		Chained:              flow.No,
		Aggregation:          "none",
	}
}

func TestSettings(t *testing.T) {
	type want = func(*verdict.Settings)
	cidrs := func(texts ...string) verdict.CIDRs { return verdict.CIDRs{List: prefixes(texts...), Known: true} }
	for _, row := range []struct {
		data []string
		want want
	}{
		{nil, func(*verdict.Settings) {}},
		{[]string{"enable-ipv4-masquerade", "false"}, func(s *verdict.Settings) { s.MasqueradeIPv4 = flow.No }},
		{[]string{"enable-ipv6-masquerade", "false\n"}, func(s *verdict.Settings) { s.MasqueradeIPv6 = flow.No }},
		{[]string{"enable-ipv4-masquerade", "1", "enable-ipv6-masquerade", "F"}, func(s *verdict.Settings) { s.MasqueradeIPv6 = flow.No }},
		{[]string{"enable-ipv4", "false"}, func(s *verdict.Settings) { s.MasqueradeIPv4 = flow.No }},
		{[]string{"enable-ipv6", "false"}, func(s *verdict.Settings) { s.MasqueradeIPv6 = flow.No }},
		{[]string{"enable-bpf-masquerade", "true"}, func(s *verdict.Settings) { s.BPFMasquerade = flow.Yes }},
		{[]string{"install-iptables-rules", "false"}, func(s *verdict.Settings) { s.MasqueradeIPv4, s.MasqueradeIPv6 = flow.No, flow.No }},
		{[]string{"install-iptables-rules", "false", "enable-bpf-masquerade", "true"}, func(s *verdict.Settings) { s.BPFMasquerade = flow.Yes }},
		{[]string{"install-iptables-rules", "false", "enable-bpf-masquerade", "maybe"}, func(s *verdict.Settings) {
			s.MasqueradeIPv4, s.MasqueradeIPv6, s.BPFMasquerade = flow.Unknown, flow.Unknown, flow.Unknown
		}},
		{[]string{"only-masquerade-default-pool", "true", "enable-ipv6-masquerade", "false"}, func(s *verdict.Settings) {
			s.MasqueradeIPv4, s.MasqueradeIPv6 = flow.Unknown, flow.No
		}},
		{[]string{"egress-masquerade-interfaces", "eth+ ens5"}, func(s *verdict.Settings) { s.MasqueradeInterfaces = []string{"eth+", "ens5"} }},
		{[]string{"egress-masquerade-interfaces", "eth0,eth1"}, func(s *verdict.Settings) { s.MasqueradeInterfaces = []string{"eth0", "eth1"} }},
		{[]string{"enable-remote-node-masquerade", "true"}, func(s *verdict.Settings) { s.RemoteNodeMasquerade = flow.Yes }},
		{[]string{"ipv4-native-routing-cidr", "10.1.2.3/8"}, func(s *verdict.Settings) { s.NativeRoutingIPv4 = cidrs("10.0.0.0/8") }},
		{[]string{"ipv6-native-routing-cidr", "fd00::/100"}, func(s *verdict.Settings) { s.NativeRoutingIPv6 = cidrs("fd00::/100") }},
		{[]string{"ipv4-native-routing-cidr", "", "ipv6-native-routing-cidr", ""}, func(*verdict.Settings) {}},
		{[]string{"ipam", "eni"}, func(s *verdict.Settings) { s.NativeRoutingIPv4 = verdict.CIDRs{} }},
		{[]string{"ipam", "azure", "ipv4-native-routing-cidr", "10.0.0.0/8"}, func(s *verdict.Settings) { s.NativeRoutingIPv4 = cidrs("10.0.0.0/8") }},
		{[]string{"ipam", "multi-pool"}, func(*verdict.Settings) {}},
		{[]string{"enable-egress-gateway", "true"}, func(s *verdict.Settings) { s.EgressGateway = flow.Yes }},
		{[]string{"enable-ipv4-egress-gateway", "true"}, func(s *verdict.Settings) { s.EgressGateway = flow.Yes }},
		{[]string{"enable-ipv4-egress-gateway", "true", "enable-egress-gateway", "false"}, func(*verdict.Settings) {}},
		{[]string{"kube-proxy-replacement", "true"}, func(s *verdict.Settings) { s.KubeProxyReplacement = flow.Yes }},
		{[]string{"kube-proxy-replacement", "strict"}, func(s *verdict.Settings) { s.KubeProxyReplacement = flow.Yes }},
		{[]string{"kube-proxy-replacement", "disabled", "enable-node-port", "true"}, func(*verdict.Settings) {}},
		{[]string{"kube-proxy-replacement", "probe"}, func(s *verdict.Settings) { s.KubeProxyReplacement = flow.Unknown }},
		{[]string{"kube-proxy-replacement", "partial"}, func(*verdict.Settings) {}},
		{[]string{"kube-proxy-replacement", "partial", "enable-node-port", "true"}, func(s *verdict.Settings) { s.KubeProxyReplacement = flow.Yes }},
		{[]string{"kube-proxy-replacement", "false", "enable-node-port", "true"}, func(s *verdict.Settings) { s.KubeProxyReplacement = flow.Unknown }},
		{[]string{"kube-proxy-replacement", "true", "enable-node-port", "false"}, func(s *verdict.Settings) { s.KubeProxyReplacement = flow.Yes }},
		{[]string{"enable-host-firewall", "true"}, func(s *verdict.Settings) { s.HostFirewall = flow.Yes }},
		{[]string{"enable-wireguard", "true"}, func(s *verdict.Settings) { s.WireGuard = flow.Yes }},
		{[]string{"enable-ipsec", "true"}, func(s *verdict.Settings) { s.IPsec = flow.Yes }},
		{[]string{"enable-l2-announcements", "true"}, func(s *verdict.Settings) { s.L2Announcements = flow.Yes }},
		{[]string{"dnsproxy-enable-transparent-mode", "true"}, func(s *verdict.Settings) { s.TransparentDNSProxy = flow.Yes }},
		{[]string{"enable-nat46x64-gateway", "true"}, func(s *verdict.Settings) { s.NAT46x64Gateway = flow.Yes }},
		{[]string{"routing-mode", "native"}, func(s *verdict.Settings) { s.Tunnel = flow.No }},
		{[]string{"routing-mode", "hybrid"}, func(s *verdict.Settings) { s.Tunnel = flow.Unknown }},
		{[]string{"tunnel", "disabled"}, func(s *verdict.Settings) { s.Tunnel = flow.No }},
		{[]string{"tunnel", "geneve"}, func(*verdict.Settings) {}},
		{[]string{"tunnel", "vxlan", "routing-mode", "native"}, func(s *verdict.Settings) { s.Tunnel = flow.No }},
		{[]string{"cni-chaining-mode", "aws-cni"}, func(s *verdict.Settings) { s.Chained = flow.Yes }},
		{[]string{"cni-chaining-mode", "none"}, func(*verdict.Settings) {}},
		{[]string{"cni-chaining-mode", "portmap"}, func(*verdict.Settings) {}},
		{[]string{"monitor-aggregation", "Medium"}, func(s *verdict.Settings) { s.Aggregation = "medium" }},
		{[]string{"monitor-aggregation", "max"}, func(s *verdict.Settings) { s.Aggregation = "maximum" }},
		{[]string{"monitor-aggregation", "1"}, func(s *verdict.Settings) { s.Aggregation = "lowest" }},
		{[]string{"monitor-aggregation", ""}, func(*verdict.Settings) {}},
		{[]string{"monitor-aggregation-level", "low"}, func(s *verdict.Settings) { s.Aggregation = "low" }},
	} {
		got, _ := settingsOf(t, configMap("cilium-config", row.data...)+oneNode)
		want := agentDefaults()
		row.want(&want)
		same(t, fmt.Sprint(row.data), got, want)
	}
}

// What no agent understands is unknown, and doubted once, however many nodes have it.
func TestNotUnderstood(t *testing.T) {
	got, report := settingsOf(t, configMap("cilium-config", "enable-ipv6-masquerade", "enabled", "monitor-aggregation", "5",
		"kube-proxy-replacement", "perhaps", "routing-mode", "by-train", "enable-host-firewall", "")+oneNode+strings.ReplaceAll(oneNode, "name: a", "name: b"))
	want := agentDefaults()
	want.MasqueradeIPv6, want.KubeProxyReplacement, want.HostFirewall, want.Tunnel, want.Aggregation = 0, 0, 0, 0, ""
	same(t, "settings", got, want)
	slices.Sort(report.Doubts)
	for i, end := range []string{
		`enable-host-firewall is "", which is not understood and taken for unknown`,
		`enable-ipv6-masquerade is "enabled", which is not understood and taken for unknown`,
		`kube-proxy-replacement is "perhaps", which is not understood and taken for unknown`,
		`monitor-aggregation is "5", which is not understood and taken for unknown`,
		`routing-mode is "by-train", which is not understood and taken for unknown`,
	} {
		if len(report.Doubts) != 5 || !strings.HasSuffix(report.Doubts[i], "all.yaml: document 1: ConfigMap kube-system/cilium-config: "+end) {
			t.Fatalf("doubts %q", report.Doubts)
		}
	}
}

// Without a cilium-config nothing is known, not even what is laid over it.
func TestNoConfig(t *testing.T) {
	const empty = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: {}\n"
	const agent = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: x, labels: {k8s-app: cilium}}\nspec: {nodeName: a, containers: [{name: cilium-agent, args: [--enable-ipsec]}]}\n"
	for _, text := range []string{"", empty, agent, configMap("cilium-config-2", "enable-ipv4", "true")} {
		cluster, report := load(t, dump(t, "all.yaml", text+nodeConfig("x", "{}", "enable-ipsec", "true")+oneNode))
		same(t, "settings", cluster.Nodes[0].Settings, verdict.Settings{})
		same(t, "settings of others", cluster.Settings, verdict.Settings{})
		same(t, "name", cluster.Name, "")
		if !slices.Contains(report.Doubts, "there is no ConfigMap cilium-config, so that every setting is unknown") {
			t.Errorf("doubts %q", report.Doubts)
		}
	}
}

// The ConfigMap in kube-system goes first, then the namespaces by name. Overrides elsewhere are read by nobody.
func TestNamespaces(t *testing.T) {
	in := func(namespace, text string) string {
		return strings.Replace(text, "namespace: kube-system", "namespace: "+namespace, 1)
	}
	config := func(namespace string) string {
		return in(namespace, configMap("cilium-config", "cluster-name", namespace))
	}
	for _, row := range []struct{ text, want string }{
		{config("kube-system"), "kube-system"},
		{config("cilium"), "cilium"},
		{config("cilium") + config("kube-system"), "kube-system"},
		{config("zilium") + config("kube-system"), "kube-system"},
		{config("zilium") + config("cilium"), "cilium"},
		{in("cilium", configMap("cilium-config")), "default"},
	} {
		cluster, report := load(t, dump(t, "all.yaml", row.text+in("cilium", nodeConfig("x", "{}", "enable-ipsec", "true"))+oneNode))
		same(t, row.text, cluster.Name, row.want)
		same(t, "override", cluster.Nodes[0].Settings.IPsec == flow.Yes, row.want != "kube-system")
		if want := strings.Count(row.text, "ConfigMap") - 1; row.want == "kube-system" {
			same(t, "doubts", len(report.Doubts), want+1)
		} else {
			same(t, "doubts", len(report.Doubts), want)
		}
	}
}

// Overrides go by name; what selects no node, or nothing at all, changes nothing.
func TestOverrides(t *testing.T) {
	yes := func(name, selector, value string) string {
		return nodeConfig(name, selector, "monitor-aggregation", value)
	}
	for _, row := range []struct{ overrides, want string }{
		{"", "medium"},
		{yes("a", "{}", "low"), "low"},
		{yes("a", "{}", "low") + yes("b", "{}", "none"), "none"},
		{yes("b", "{}", "none") + yes("a", "{}", "low"), "none"},
		{yes("b", "{matchLabels: {zone: z2}}", "none") + yes("a", "{matchLabels: {zone: z1}}", "low"), "low"},
		{strings.Replace(yes("a", "{}", "low"), "  nodeSelector: {}\n", "", 1), "medium"},
		{strings.Replace(yes("a", "{}", "low"), "cilium.io/v2", "cilium.io/v2alpha1", 1), "low"},
		{strings.Replace(yes("a", "{}", "low"), "cilium.io/v2", "cilium.io/v3", 1), "medium"},
	} {
		got, _ := settingsOf(t, configMap("cilium-config", "monitor-aggregation", "medium")+row.overrides+oneNode)
		same(t, row.overrides, got.Aggregation, row.want)
	}
}

// The semantics of label selectors, by the Kubernetes API reference (meta/v1 LabelSelector).
func TestSelectors(t *testing.T) {
	for _, row := range []struct {
		selector string
		want     bool
	}{
		{"{}", true},
		{"{matchLabels: {}, matchExpressions: []}", true},
		{"{matchLabels: {zone: z1}}", true},
		{"{matchLabels: {zone: z2}}", false},
		{"{matchLabels: {zone: ''}}", false},
		{"{matchLabels: {gpu: ''}}", true},
		{"{matchLabels: {none: ''}}", false},
		{"{matchLabels: {zone: z1, none: x}}", false},
		{"{matchExpressions: [{key: zone, operator: In, values: [z0, z1]}]}", true},
		{"{matchExpressions: [{key: zone, operator: In, values: [z0]}]}", false},
		{"{matchExpressions: [{key: none, operator: In, values: ['']}]}", false},
		{"{matchExpressions: [{key: zone, operator: NotIn, values: [z0, z1]}]}", false},
		{"{matchExpressions: [{key: zone, operator: NotIn, values: [z0]}]}", true},
		{"{matchExpressions: [{key: none, operator: NotIn, values: [z0]}]}", true},
		{"{matchExpressions: [{key: gpu, operator: Exists}]}", true},
		{"{matchExpressions: [{key: none, operator: Exists}]}", false},
		{"{matchExpressions: [{key: none, operator: DoesNotExist}]}", true},
		{"{matchExpressions: [{key: gpu, operator: DoesNotExist}]}", false},
		{"{matchExpressions: [{key: gpu, operator: Exists}, {key: zone, operator: NotIn, values: [z1]}]}", false},
		{"{matchLabels: {zone: z1}, matchExpressions: [{key: gpu, operator: DoesNotExist}]}", false},
		{"{matchLabels: {zone: z1}, matchExpressions: [{key: none, operator: DoesNotExist}]}", true},
	} {
		got, _ := settingsOf(t, configMap("cilium-config")+nodeConfig("a", row.selector, "enable-ipsec", "true")+oneNode)
		same(t, row.selector, got.IPsec == flow.Yes, row.want)
	}
}

// Of a node that is not listed nobody knows the labels, so what some override may change on it is unknown.
func TestUnlistedNodes(t *testing.T) {
	config := configMap("cilium-config", "enable-ipsec", "true", "enable-wireguard", "false", "ipv6-native-routing-cidr", "fd00::/64")
	cluster, _ := load(t, dump(t, "all.yaml", config+
		nodeConfig("a", "{matchLabels: {zone: z1}}", "enable-ipsec", "true", "enable-wireguard", "true", "enable-l2-announcements", "true",
			"enable-host-firewall", "true", "ipv6-native-routing-cidr", "fd01::/64")+
		nodeConfig("b", "{}", "enable-host-firewall", "true", "monitor-aggregation", "low")))
	want := agentDefaults()
	want.IPsec = flow.Yes // the override says the same
	want.WireGuard, want.L2Announcements, want.NativeRoutingIPv6 = flow.Unknown, flow.Unknown, verdict.CIDRs{}
	want.HostFirewall, want.Aggregation = flow.Yes, "low" // the last override is for all
	same(t, "settings", cluster.Settings, want)

	for key, change := range map[string]func(*verdict.Settings){
		"egress-masquerade-interfaces": func(s *verdict.Settings) { s.MasqueradeIPv4, s.MasqueradeIPv6 = flow.Unknown, flow.Unknown },
		"install-iptables-rules":       func(s *verdict.Settings) { s.MasqueradeIPv4, s.MasqueradeIPv6 = flow.Unknown, flow.Unknown },
		"enable-ipv4":                  func(s *verdict.Settings) { s.MasqueradeIPv4 = flow.Unknown },
		"kube-proxy-replacement":       func(s *verdict.Settings) { s.KubeProxyReplacement = flow.Unknown },
		"ipam":                         func(s *verdict.Settings) { s.NativeRoutingIPv4 = verdict.CIDRs{} },
		"enable-ip-masq-agent":         func(s *verdict.Settings) { s.IPMasqAgent = flow.Unknown },
		"tunnel":                       func(s *verdict.Settings) { s.Tunnel = flow.Unknown },
	} {
		cluster, _ = load(t, dump(t, "all.yaml", configMap("cilium-config")+nodeConfig("a", "{matchLabels: {zone: z1}}", key, "x")))
		want = agentDefaults()
		change(&want)
		same(t, key, cluster.Settings, want)
	}
}

// On AWS an agent that is told none takes the VPC's prefix for the native routing CIDR, but for its ip-masq-agent.
func TestVPC(t *testing.T) {
	const eni = "---\napiVersion: cilium.io/v2\nkind: CiliumNode\nmetadata: {name: a}\nstatus: {eni: {enis: {eni-1: {vpc: {}}, eni-2: {vpc: {primary-cidr: 10.9.1.0/16, cidrs: [10.10.0.0/16]}}, eni-3: {vpc: {primary-cidr: 10.8.0.0/16}}}}}\n"
	for _, row := range []struct {
		data []string
		want verdict.CIDRs
	}{
		{[]string{"ipam", "eni"}, verdict.CIDRs{List: prefixes("10.9.0.0/16"), Known: true}},
		{[]string{"ipam", "kubernetes"}, verdict.CIDRs{Known: true}},
		{[]string{"ipam", "alibabacloud"}, verdict.CIDRs{}},
		{[]string{"ipam", "eni", "ipv4-native-routing-cidr", "10.0.0.0/8"}, verdict.CIDRs{List: prefixes("10.0.0.0/8"), Known: true}},
		{[]string{"ipam", "eni", "enable-ip-masq-agent", "true"}, verdict.CIDRs{Known: true}},
	} {
		got, _ := settingsOf(t, configMap("cilium-config", row.data...)+eni)
		same(t, fmt.Sprint(row.data), got.NativeRoutingIPv4, row.want)
	}
}

func TestNonMasquerade(t *testing.T) {
	const all = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: kube-root-ca.crt, namespace: kube-system}\ndata: {ca.crt: x}\n"
	on := configMap("cilium-config", "enable-bpf-masquerade", "true", "enable-ip-masq-agent", "true")
	agent := func(text string) string { return configMap("ip-masq-agent", "config", text) }
	list := func(texts ...string) verdict.CIDRs { return verdict.CIDRs{List: prefixes(texts...), Known: true} }
	defaults := list("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "169.254.0.0/16", "fe80::/10")
	for _, row := range []struct {
		text string
		want verdict.CIDRs
	}{
		{configMap("cilium-config") + agent("nonMasqueradeCIDRs: [10.0.0.0/8]"), verdict.CIDRs{}}, // it does not run
		{on, verdict.CIDRs{}},
		{on + all, defaults},
		{on + agent(""), defaults},
		{on + configMap("ip-masq-agent", "wrong-key", "nonMasqueradeCIDRs: [10.0.0.0/8]"), defaults},
		{on + agent("{}"), list("169.254.0.0/16", "fe80::/10")},
		{on + agent("nonMasqueradeCIDRs: [10.1.0.0/8, 'fd00::/8']\nmasqLinkLocal: true\nresyncInterval: 60s\n"), list("10.0.0.0/8", "fd00::/8", "fe80::/10")},
		{on + agent(`{"nonMasqueradeCIDRs":["10.0.0.0/8"],"masqLinkLocal":true,"masqLinkLocalIPv6":true}`), list("10.0.0.0/8")},
		{on + strings.Replace(agent("nonMasqueradeCIDRs: [10.0.0.0/8]"), "kube-system", "other", 1), verdict.CIDRs{}},
	} {
		got, _ := settingsOf(t, row.text+oneNode)
		same(t, row.text, got.NonMasquerade, row.want)
	}
}

// The flags of an agent go before every configuration, and its pod may forbid overrides or have other ones.
func TestAgentPods(t *testing.T) {
	pod := func(phase string, build, agent string) string {
		return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: cilium-" + strings.ToLower(phase) + ", namespace: kube-system, labels: {k8s-app: cilium}}\n" +
			"spec: {nodeName: a, initContainers: [{name: config, command: [cilium-dbg, build-config], args: [" + build + "]}], containers: [{name: cilium-agent, args: [" + agent + "]}]}\n" +
			"status: {phase: " + phase + "}\n"
	}
	base := configMap("cilium-config", "monitor-aggregation", "medium") + nodeConfig("x", "{}", "monitor-aggregation", "low", "enable-ipsec", "true")
	for _, row := range []struct {
		pods        string
		aggregation string
		ipsec       flow.Tristate
	}{
		{pod("Running", "", "--config-dir=/tmp/cilium/config-map"), "low", flow.Yes},
		{pod("Running", "", "--monitor-aggregation=none, --enable-ipsec=false"), "none", flow.No},
		{pod("Running", "", "--monitor-aggregation, none, --enable-ipsec"), "none", flow.Yes},
		{pod("Running", "", "--enable-ipsec, --monitor-aggregation=none"), "none", flow.Yes},
		{pod("Failed", "", "--monitor-aggregation=none"), "low", flow.Yes},
		{strings.Replace(pod("Running", "", "--monitor-aggregation=none"), "namespace: kube-system", "namespace: other", 1), "low", flow.Yes},
		{strings.Replace(pod("Running", "", "--monitor-aggregation=none"), "nodeName: a", "nodeName: b", 1), "low", flow.Yes},
		{strings.Replace(pod("Running", "", "--monitor-aggregation=none"), "k8s-app: cilium", "k8s-app: other", 1), "low", flow.Yes},
		{pod("Running", "--allow-config-keys=none", ""), "medium", flow.No},
		{pod("Running", "'--allow-config-keys=enable-ipsec,x', --deny-config-keys=enable-ipsec", ""), "medium", flow.Yes},
		{pod("Running", "--deny-config-keys=enable-ipsec", ""), "low", flow.No},
		{pod("Running", "'--source=config-map:cilium-config,cilium-node-config'", ""), "low", flow.Yes},
		{pod("Running", "'--source=config-map:cilium-config,node:a'", ""), "", flow.Unknown},
	} {
		got, report := settingsOf(t, base+oneNode+row.pods)
		same(t, row.pods, []any{got.Aggregation, got.IPsec}, []any{row.aggregation, row.ipsec})
		same(t, "doubts", len(report.Doubts) > 0, row.aggregation == "")
	}
}
