package kube_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	demo       = "../../deploy/demo/state"
	recordings = "../../test/recordings/state"
)

func TestDemo(t *testing.T) {
	cluster, report := load(t, demo)
	golden(t, "demo.golden", text(cluster, report))
}

// The golden file says everything; this says what matters, by deploy/demo's own description of its two nodes.
func TestDemoNodes(t *testing.T) {
	cluster, _ := load(t, demo)
	if cluster.Name != "lab" || len(cluster.Nodes) != 2 {
		t.Fatalf("cluster %q with %d nodes", cluster.Name, len(cluster.Nodes))
	}
	one, two := cluster.Nodes[0], cluster.Nodes[1]
	same(t, "addresses of node-1", one.Addresses, addrs("172.31.250.1", "2001:db8:a::1"))
	same(t, "addresses of node-2", two.Addresses, addrs("172.31.250.2", "2001:db8:a::2"))
	same(t, "router of node-1", one.Router, addrs("10.201.1.79", "fd10:201:0:1::1ee7"))
	same(t, "router of node-2", two.Router, addrs("10.201.2.37", "fd10:201:0:2::acf0"))
	same(t, "pod CIDRs of node-1", one.PodCIDRs, prefixes("fd10:201:0:1::/96", "10.201.1.0/24"))
	same(t, "pod CIDRs of node-2", two.PodCIDRs, prefixes("fd10:201:0:2::/96", "10.201.2.0/24"))

	helm := agentDefaults() // and what the chart writes otherwise
	helm.TransparentDNSProxy, helm.Aggregation = flow.Yes, "medium"
	overridden := helm
	overridden.KubeProxyReplacement, overridden.BPFMasquerade, overridden.Aggregation = flow.Yes, flow.Yes, "low"
	same(t, "settings of node-1", one.Settings, overridden)
	same(t, "settings of node-2", two.Settings, helm)

	unlisted := helm
	unlisted.KubeProxyReplacement, unlisted.BPFMasquerade, unlisted.Aggregation = flow.Unknown, flow.Unknown, ""
	same(t, "settings of other nodes", cluster.Settings, unlisted)
}

// The agents themselves said what they ran with. Of most keys nothing stands in their configuration.
func TestDemoAgents(t *testing.T) {
	cluster, _ := load(t, demo)
	for _, n := range cluster.Nodes {
		raw, err := os.ReadFile(filepath.Join(demo, "agent-config."+n.Name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var agent struct {
			Status struct {
				DaemonConfigurationMap struct {
					EnableIPv4Masquerade, EnableIPv6Masquerade, EnableBPFMasquerade, EnableRemoteNodeMasquerade, EnableIPMasqAgent bool
					EnableEgressGateway, EnableHostFirewall, EnableL2Announcements, DNSProxyEnableTransparentMode                  bool
					EnableNat46X64Gateway                                                                                          bool
					IPv4NativeRoutingCIDR, IPv6NativeRoutingCIDR                                                                   any
					MasqueradeInterfaces                                                                                           []string
					MonitorAggregation, RoutingMode                                                                                string
				}
			}
		}
		if err := json.Unmarshal(raw, &agent); err != nil {
			t.Fatal(err)
		}
		said := agent.Status.DaemonConfigurationMap
		is := map[bool]flow.Tristate{false: flow.No, true: flow.Yes}
		want := n.Settings // of kube-proxy replacement, encryption and chaining it says nothing
		want.MasqueradeIPv4, want.MasqueradeIPv6 = is[said.EnableIPv4Masquerade], is[said.EnableIPv6Masquerade]
		want.BPFMasquerade, want.RemoteNodeMasquerade = is[said.EnableBPFMasquerade], is[said.EnableRemoteNodeMasquerade]
		want.IPMasqAgent, want.EgressGateway = is[said.EnableIPMasqAgent], is[said.EnableEgressGateway]
		want.HostFirewall, want.L2Announcements = is[said.EnableHostFirewall], is[said.EnableL2Announcements]
		want.TransparentDNSProxy, want.NAT46x64Gateway = is[said.DNSProxyEnableTransparentMode], is[said.EnableNat46X64Gateway]
		want.Tunnel, want.Aggregation = is[said.RoutingMode == "tunnel"], said.MonitorAggregation
		if said.IPv4NativeRoutingCIDR == nil && said.IPv6NativeRoutingCIDR == nil {
			want.NativeRoutingIPv4, want.NativeRoutingIPv6 = verdict.CIDRs{Known: true}, verdict.CIDRs{Known: true}
		}
		same(t, n.Name, n.Settings, want)
	}
}

func TestDemoPodsAndServices(t *testing.T) {
	cluster, _ := load(t, demo)
	for _, p := range cluster.Pods {
		if len(p.IPs) != 2 || p.IPs[0].Is4() == p.IPs[1].Is4() {
			t.Errorf("%s/%s has %v, want an address of each family", p.Namespace, p.Name, p.IPs)
		}
		at := slices.IndexFunc(cluster.Nodes, func(n verdict.Node) bool { return n.Name == p.Node })
		for _, ip := range p.IPs {
			if at < 0 || !slices.ContainsFunc(cluster.Nodes[at].PodCIDRs, func(c netip.Prefix) bool { return c.Contains(ip) }) {
				t.Errorf("%s/%s has %s, which is not of %s", p.Namespace, p.Name, ip, p.Node)
			}
		}
		if p.Namespace != "kube-system" && p.NamespaceLabels["env"] == "" {
			t.Errorf("%s/%s: labels of its namespace are %v", p.Namespace, p.Name, p.NamespaceLabels)
		}
	}
	got := map[string][]netip.Addr{}
	for _, s := range cluster.Services {
		got[s.Namespace+"/"+s.Name] = s.Addresses
	}
	same(t, "services", got, map[string][]netip.Addr{
		"backend/db":            addrs("fd10:96::200", "10.96.0.200"),
		"default/kubernetes":    addrs("fd10:96::1"),
		"kube-system/kube-dns":  addrs("fd10:96::a", "10.96.0.10"),
		"monitoring/prometheus": addrs("fd10:96::90", "10.96.0.90"),
		"shop/cart":             addrs("fd10:96::100", "10.96.0.100"),
		"shop/web":              addrs("fd10:96::80", "10.96.0.80"),
	})
}

// Each letter, or scenario, of the recordings has a cilium-config of its own beside the same objects.
func TestRecordings(t *testing.T) {
	base := agentDefaults() // A: kube-proxy replacement, BPF masquerade, no aggregation
	base.KubeProxyReplacement, base.BPFMasquerade = flow.Yes, flow.Yes
	with := func(change func(*verdict.Settings)) verdict.Settings {
		s := base
		change(&s)
		return s
	}
	rendered := func(change func(*verdict.Settings)) verdict.Settings {
		return with(func(s *verdict.Settings) {
			s.KubeProxyReplacement, s.BPFMasquerade, s.TransparentDNSProxy, s.Aggregation = flow.No, flow.No, flow.Yes, "medium"
			change(s)
		})
	}
	for config, want := range map[string]verdict.Settings{
		"A":  base,
		"B":  with(func(s *verdict.Settings) { s.BPFMasquerade = flow.No }),
		"C":  with(func(s *verdict.Settings) { s.Aggregation = "medium" }),
		"F":  with(func(s *verdict.Settings) { s.Aggregation = "medium" }),
		"G":  with(func(s *verdict.Settings) { s.Aggregation = "low" }),
		"61": rendered(func(*verdict.Settings) {}),
		"62": rendered(func(s *verdict.Settings) { s.KubeProxyReplacement, s.BPFMasquerade = flow.Yes, flow.Yes }),
		"65": rendered(func(s *verdict.Settings) {
			s.KubeProxyReplacement, s.BPFMasquerade, s.HostFirewall = flow.Yes, flow.Yes, flow.Yes
		}),
		"67": rendered(func(s *verdict.Settings) { s.HostFirewall = flow.Yes }),
		"71": rendered(func(s *verdict.Settings) {
			s.KubeProxyReplacement, s.BPFMasquerade, s.Aggregation = flow.Yes, flow.Yes, "none"
		}),
		"72": rendered(func(s *verdict.Settings) {
			s.KubeProxyReplacement, s.BPFMasquerade, s.Aggregation = flow.Yes, flow.Yes, "none"
		}),
	} {
		cluster, report := load(t, filepath.Join(recordings, "objects.yaml"), filepath.Join(recordings, "cilium-config-"+config+".yaml"))
		if len(cluster.Nodes) != 2 || len(report.Doubts) != 0 {
			t.Fatalf("%d nodes, doubts %q", len(cluster.Nodes), report.Doubts)
		}
		for _, n := range cluster.Nodes {
			same(t, config+" on "+n.Name, n.Settings, want)
		}
		same(t, config+" elsewhere", cluster.Settings, want)
	}
	cluster, report := load(t, recordings)
	golden(t, "recordings.golden", text(cluster, report))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-update writes it anew):\n%s", file, diff)
	}
}

// text prints everything that was loaded, for people to read.
func text(c *verdict.Cluster, r kube.Report) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("cluster %s", c.Name)
	line("pod CIDRs %v", c.PodCIDRs)
	line("\nsettings of nodes that are not listed")
	printSettings(&b, c.Settings)
	for _, n := range c.Nodes {
		line("\nnode %s", n.Name)
		line("  labels    %s", labels(n.Labels))
		line("  addresses %v", n.Addresses)
		line("  router    %v", n.Router)
		line("  pod CIDRs %v", n.PodCIDRs)
		printSettings(&b, n.Settings)
	}
	for _, p := range c.Pods {
		line("\npod %s/%s on %s %v host network %t", p.Namespace, p.Name, p.Node, p.IPs, p.HostNetwork)
		line("  labels    %s", labels(p.Labels))
		line("  namespace %s", labels(p.NamespaceLabels))
	}
	line("")
	for _, s := range c.Services {
		line("service %s/%s %v external %s selects %s", s.Namespace, s.Name, s.Addresses, s.External, labels(s.Selector))
	}
	for _, p := range c.EgressPolicies {
		line("egress policy %+v", p)
	}
	line("\n%d files", r.Files)
	for _, kind := range slices.Sorted(maps.Keys(r.Objects)) {
		line("  taken   %3d %s", r.Objects[kind], kind)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Ignored)) {
		line("  ignored %3d %s", r.Ignored[kind], kind)
	}
	for _, text := range r.Skipped {
		line("  skipped %s", text)
	}
	for _, text := range r.Doubts {
		line("  doubt   %s", text)
	}
	return b.String()
}

func printSettings(b *strings.Builder, s verdict.Settings) {
	row := func(name string, value any) { fmt.Fprintf(b, "    %-22s %v\n", name, value) }
	cidrs := func(c verdict.CIDRs) string {
		if !c.Known {
			return "unknown"
		}
		return fmt.Sprint(c.List)
	}
	row("masquerade IPv4", s.MasqueradeIPv4)
	row("masquerade IPv6", s.MasqueradeIPv6)
	row("BPF masquerade", s.BPFMasquerade)
	row("native routing IPv4", cidrs(s.NativeRoutingIPv4))
	row("native routing IPv6", cidrs(s.NativeRoutingIPv6))
	row("ip-masq-agent", s.IPMasqAgent)
	row("non-masquerade", cidrs(s.NonMasquerade))
	row("masquerade interfaces", s.MasqueradeInterfaces)
	row("remote node masquerade", s.RemoteNodeMasquerade)
	row("egress gateway", s.EgressGateway)
	row("kube-proxy replacement", s.KubeProxyReplacement)
	row("host firewall", s.HostFirewall)
	row("WireGuard", s.WireGuard)
	row("IPsec", s.IPsec)
	row("L2 announcements", s.L2Announcements)
	row("transparent DNS proxy", s.TransparentDNSProxy)
	row("NAT46x64 gateway", s.NAT46x64Gateway)
	row("tunnel", s.Tunnel)
	row("chained", s.Chained)
	row("aggregation", s.Aggregation)
}

func labels(set map[string]string) string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(set)) {
		list = append(list, key+"="+set[key])
	}
	return strings.Join(list, " ")
}
