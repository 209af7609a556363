package verdict_test

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/collector/verdict"
)

const recordings = "../../test/recordings"

// record reads recordings, merged by time.
func record(t testing.TB, names *flow.Interner, paths ...string) *flow.Batch {
	t.Helper()
	all := &flow.Batch{}
	files := hubble.NewFiles(hubble.FilesConfig{
		Paths: paths, Strict: true, Names: names, Pool: flow.NewPool(1024), Logger: slog.New(slog.DiscardHandler),
	})
	err := files.Run(context.Background(), func(_ context.Context, b *flow.Batch) error {
		all.Records = append(all.Records, b.Records...)
		b.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all.Records) == 0 {
		t.Fatalf("nothing in %s", paths)
	}
	return all
}

// recorded returns the recordings of a scenario, by its number; that of the demo is "demo".
func recorded(t testing.TB, scenario string) []string {
	t.Helper()
	pattern := recordings + "/" + scenario + "-*.jsonl"
	if scenario == "demo" {
		pattern = "../../deploy/demo/node-*.jsonl.gz"
	}
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recording is %s: %v", pattern, err)
	}
	return paths
}

// captured counts the packets that a capture outside saw leave node-1 for one of the prefixes.
func captured(t testing.TB, scenario string, prefixes ...string) int {
	t.Helper()
	paths, err := filepath.Glob(recordings + "/" + scenario + "-*.world-tcpdump.txt")
	if err != nil || len(paths) != 1 {
		t.Fatalf("no capture of %s: %v", scenario, err)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line) // 1795488143.988644 IP 172.31.250.1.50828 > 198.51.100.10.8080: Flags [S], …
		if len(words) < 5 || !strings.HasPrefix(words[1], "IP") || words[3] != ">" {
			continue
		}
		from, to := captureAddr(words[2]), captureAddr(strings.TrimSuffix(words[4], ":"))
		if (from == addr("172.31.250.1") || from == addr("2001:db8:a::1")) && inAny(to, cidrs(prefixes...)) {
			n++
		}
	}
	return n
}

// captureAddr reads an address that tcpdump writes with or without a port.
func captureAddr(text string) netip.Addr {
	if i := strings.LastIndexByte(text, '.'); i >= 0 && (strings.Contains(text, ":") || strings.Count(text, ".") == 4) {
		text = text[:i]
	}
	a, _ := netip.ParseAddr(text)
	return a
}

// The settings under which the recordings were made.
var (
	known    = verdict.CIDRs{Known: true}
	defaults = verdict.Settings{ // 61, the demo's node-2: Helm's defaults
		MasqueradeIPv4: flow.Yes, MasqueradeIPv6: flow.Yes, BPFMasquerade: flow.No, NativeRoutingIPv4: known, NativeRoutingIPv6: known,
		IPMasqAgent: flow.No, NonMasquerade: known, RemoteNodeMasquerade: flow.No, EgressGateway: flow.No, KubeProxyReplacement: flow.No,
		HostFirewall: flow.No, WireGuard: flow.No, IPsec: flow.No, L2Announcements: flow.No, TransparentDNSProxy: flow.Yes,
		NAT46x64Gateway: flow.No, Tunnel: flow.Yes, Chained: flow.No, Aggregation: "medium",
	}
	hostFirewall = with(defaults, func(s *verdict.Settings) { s.HostFirewall = flow.Yes }) // 67
	bpf          = with(defaults, func(s *verdict.Settings) {                              // A, C, F, G, 62, the demo's node-1
		s.KubeProxyReplacement, s.BPFMasquerade = flow.Yes, flow.Yes
	})
	bpfHostFirewall = with(bpf, func(s *verdict.Settings) { s.HostFirewall = flow.Yes })  // 65
	iptables        = with(bpf, func(s *verdict.Settings) { s.BPFMasquerade = flow.No })  // B
	only4           = with(bpf, func(s *verdict.Settings) { s.MasqueradeIPv6 = flow.No }) // D
)

func with(s verdict.Settings, change func(*verdict.Settings)) verdict.Settings {
	change(&s)
	return s
}

// lab is the cluster of the recordings 01 to 44; demo that of the demo and of 6x and 7x.
func lab(node1 verdict.Settings) *verdict.Cluster {
	c := cluster(node1, bpf, [4]string{"10.201.1.226", "fd10:201:0:1::655c", "10.201.2.155", "fd10:201:0:2::f6e4"})
	c.Pods = []verdict.Pod{
		pod("shop", "client", "node-1", "10.201.1.137", "fd10:201:0:1::736a"), pod("shop", "cart", "node-1", "10.201.1.1", "fd10:201:0:1::5ab6"),
		pod("shop", "locked", "node-1", "10.201.1.113", "fd10:201:0:1::8b57"), pod("backend", "db", "node-2", "10.201.2.158", "fd10:201:0:2::3f0b"),
		pod("backend", "quiet", "node-2", "10.201.2.5", "fd10:201:0:2::5"),
	}
	c.Services = []verdict.Service{
		{Namespace: "shop", Name: "cart", Addresses: addrs("fd10:96::100", "10.96.0.100"), External: flow.No, Selector: app("cart")},
		{Namespace: "backend", Name: "db-np", Addresses: addrs("fd10:96::200", "10.96.0.200"), External: flow.Yes, Selector: app("db")},
	}
	return c
}

func demo(node1, node2 verdict.Settings) *verdict.Cluster {
	c := cluster(node1, node2, [4]string{"10.201.1.79", "fd10:201:0:1::1ee7", "10.201.2.37", "fd10:201:0:2::acf0"})
	c.Services = []verdict.Service{
		{Namespace: "shop", Name: "web", Addresses: addrs("fd10:96::80", "10.96.0.80"), External: flow.Yes, Selector: app("web")},
		{Namespace: "shop", Name: "cart", Addresses: addrs("fd10:96::100", "10.96.0.100"), External: flow.No, Selector: app("cart")},
	}
	return c
}

func cluster(node1, node2 verdict.Settings, routers [4]string) *verdict.Cluster {
	return &verdict.Cluster{Name: "lab", Nodes: []verdict.Node{
		{
			Name: "node-1", Addresses: addrs("172.31.250.1", "2001:db8:a::1"), Router: addrs(routers[:2]...),
			PodCIDRs: cidrs("10.201.1.0/24", "fd10:201:0:1::/96"), Settings: node1,
		},
		{
			Name: "node-2", Addresses: addrs("172.31.250.2", "2001:db8:a::2"), Router: addrs(routers[2:]...),
			PodCIDRs: cidrs("10.201.2.0/24", "fd10:201:0:2::/96"), Settings: node2,
		},
	}}
}

func pod(namespace, name, node string, ips ...string) verdict.Pod {
	return verdict.Pod{Namespace: namespace, Name: name, Node: node, IPs: addrs(ips...), Labels: app(name)}
}

func app(name string) map[string]string { return map[string]string{"app": name} }

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, addr(text))
	}
	return list
}

func cidrs(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}
