package preflight_test

import (
	"net/netip"
	"testing"

	"sextant/cmd/sextant/preflight"
	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// helm is a node with the chart's defaults, and IPv6.
func helm(name string) verdict.Node {
	return verdict.Node{Name: name, PodCIDRs: parsed("2001:db8:1::/64", "10.1.0.0/24"), Settings: verdict.Settings{
		MasqueradeIPv4: flow.Yes, MasqueradeIPv6: flow.Yes, BPFMasquerade: flow.No,
		NativeRoutingIPv4: verdict.CIDRs{Known: true}, NativeRoutingIPv6: verdict.CIDRs{Known: true},
		IPMasqAgent: flow.No, RemoteNodeMasquerade: flow.No, EgressGateway: flow.No, KubeProxyReplacement: flow.No,
		HostFirewall: flow.No, WireGuard: flow.No, IPsec: flow.No, L2Announcements: flow.No, TransparentDNSProxy: flow.Yes,
		NAT46x64Gateway: flow.No, Tunnel: flow.Yes, Chained: flow.No, Aggregation: "medium",
	}}
}

func parsed(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// with is a cluster of one node, changed, and of what its cilium-config says beside that Hubble is on: keys and values by turns.
func with(change func(*preflight.Cluster, *verdict.Settings), config ...string) *preflight.Cluster {
	c := &preflight.Cluster{Cluster: verdict.Cluster{Nodes: []verdict.Node{helm("a")}}, Values: map[string]preflight.Values{"a": {"enable-hubble": "true"}}}
	for i := 0; i < len(config); i += 2 {
		c.Values["a"][config[i]] = config[i+1]
	}
	if change != nil {
		change(c, &c.Nodes[0].Settings)
	}
	return c
}

// Each row changes the chart's defaults, and names the lines of some subjects that follow.
func TestSettings(t *testing.T) {
	type settings = verdict.Settings
	type cluster = preflight.Cluster
	for _, row := range []struct {
		name     string
		subjects []string
		c        *preflight.Cluster
		want     []string
	}{
		// What becomes a flow.
		{"hubble off", []string{"hubble"}, with(nil, "enable-hubble", "false"), []string{"hubble | fail | Hubble is off (enable-hubble)"}},
		{"hubble not said", []string{"hubble"}, &cluster{Cluster: verdict.Cluster{Nodes: []verdict.Node{helm("a")}}, Values: map[string]preflight.Values{"a": {}}}, []string{"hubble | fail | Hubble is off (enable-hubble)"}},
		{"traces off", []string{"events"}, with(nil, "bpf-events-trace-enabled", "false"), []string{"events | fail | trace events are off: bpf-events-trace-enabled is false"}},
		{"traces not listened to", []string{"events"}, with(nil, "hubble-monitor-events", "drop l7"), []string{"events | fail | trace events are off: hubble-monitor-events leaves out trace"}},
		{"drops off", []string{"events"}, with(nil, "bpf-events-drop-enabled", "false", "hubble-monitor-events", "trace,policy-verdict,drop"), []string{
			"events | warn | trace events are on, others are not: bpf-events-drop-enabled is false, hubble-monitor-events leaves out l7",
		}},
		{"limited", []string{"event limit"}, with(nil, "bpf-events-default-rate-limit", "1000"), []string{"event limit | warn | the kernel tells at most 1000 events a second (bpf-events-default-rate-limit)"}},
		{"limit of none", []string{"event limit"}, with(nil, "bpf-events-default-rate-limit", "0"), nil},
		{"values unknown", []string{"hubble", "events", "aggregation", "buffers"}, &cluster{Cluster: verdict.Cluster{Nodes: []verdict.Node{helm("a")}}}, []string{
			"events | unknown | whether trace, drop and policy verdict events are on is not known", "aggregation | ok | medium: a flow when a connection begins",
		}},
		{"level unknown", []string{"aggregation"}, with(func(_ *cluster, s *settings) { s.Aggregation = "" }), []string{"aggregation | unknown | the monitor aggregation level is not known"}},
		{"maximum", []string{"aggregation"}, with(func(_ *cluster, s *settings) { s.Aggregation = "maximum" }, "monitor-aggregation-interval", "30s"), []string{
			"aggregation | ok | maximum: a flow when a connection begins, every 30s while it lasts, and at each new TCP flag (syn,fin,rst)",
		}},

		// Masquerade.
		{"another CNI", []string{"IPv6", "native routing"}, with(func(_ *cluster, s *settings) { s.Chained = flow.Yes }), []string{"IPv6 | unknown | another CNI does the network (cni-chaining-mode)"}},
		{"IPv6 off", []string{"IPv6", "IPv4"}, with(func(_ *cluster, s *settings) { s.MasqueradeIPv6 = flow.No }, "enable-ipv6", "false"), []string{
			"IPv6 | warn | IPv6 is off (enable-ipv6)", "IPv4 | note | masqueraded by iptables, which no flow shows",
		}},
		{"IPv4 off", []string{"IPv4"}, with(func(_ *cluster, s *settings) { s.MasqueradeIPv4 = flow.No }, "enable-ipv4", "false"), []string{"IPv4 | ok | IPv4 is off (enable-ipv4): nothing to translate"}},
		{"native IPv6", []string{"IPv6"}, with(func(_ *cluster, s *settings) { s.MasqueradeIPv6 = flow.No }), []string{"IPv6 | ok | not masqueraded"}},
		{"unique local and alone", []string{"IPv6"}, with(func(c *cluster, s *settings) {
			c.Nodes[0].PodCIDRs, s.MasqueradeIPv6 = parsed("fd00::/64"), flow.No
		}), []string{"IPv6 | warn | not masqueraded, though the pods have unique local addresses (RFC 4193)"}},
		{"private and alone", []string{"IPv4"}, with(func(_ *cluster, s *settings) { s.MasqueradeIPv4 = flow.No }), []string{"IPv4 | note | not masqueraded, though the pods have private addresses"}},
		{"unknown", []string{"IPv6"}, with(func(_ *cluster, s *settings) { s.MasqueradeIPv6 = flow.Unknown }), []string{"IPv6 | unknown | whether IPv6 is masqueraded is not known"}},
		{"how is unknown", []string{"IPv6"}, with(func(_ *cluster, s *settings) { s.BPFMasquerade = flow.Unknown }), []string{"IPv6 | note | masqueraded, whether by BPF or iptables is not known"}},
		{"BPF, level unknown", []string{"IPv6"}, with(func(_ *cluster, s *settings) { s.BPFMasquerade, s.Aggregation = flow.Yes, "" }), []string{"IPv6 | note | masqueraded by BPF, the aggregation level is not known"}},
		{"BPF, lowest", []string{"IPv6"}, with(func(_ *cluster, s *settings) { s.BPFMasquerade, s.Aggregation = flow.Yes, "lowest" }), []string{"IPv6 | ok | masqueraded by BPF, and every packet is told"}},
		{"iptables, all told", []string{"IPv6"}, with(func(_ *cluster, s *settings) { s.Aggregation = "none" }), []string{"IPv6 | note | masqueraded by iptables, which no flow shows"}},
		{"iptables and kube-proxy replacement", []string{"IPv6"}, with(func(_ *cluster, s *settings) { s.KubeProxyReplacement = flow.Yes }), []string{"IPv6 | ok | masqueraded by iptables, and packets show before and after it"}},
		{"iptables, unknown beside", []string{"IPv6"}, with(func(_ *cluster, s *settings) { s.KubeProxyReplacement = flow.Unknown }), []string{"IPv6 | note | masqueraded by iptables, whether packets show after it is not known"}},
		// The program is attached, and at medium has nothing to say (bpf/bpf_host.c, cil_to_netdev).
		{"WireGuard at medium", []string{"IPv6", "own connections"}, with(func(_ *cluster, s *settings) { s.WireGuard = flow.Yes }), []string{
			"IPv6 | note | masqueraded by iptables, which no flow shows", "own connections | warn | do not show at aggregation medium, though what leaves the device is watched",
		}},
		{"WireGuard at low", []string{"IPv6", "own connections"}, with(func(_ *cluster, s *settings) { s.WireGuard, s.Aggregation = flow.Yes, "low" }), []string{
			"IPv6 | ok | masqueraded by iptables, and packets show before and after it", "own connections | ok | show",
		}},

		// Exceptions.
		{"spared", []string{"native routing"}, with(func(_ *cluster, s *settings) {
			s.NativeRoutingIPv6.List, s.NativeRoutingIPv4.List = parsed("2001:db8::/32"), parsed("10.0.0.0/8", "172.16.0.0/12")
		}), []string{"native routing | ok | spared: IPv6 to 2001:db8::/32, IPv4 to 10.0.0.0/8, 172.16.0.0/12"}},
		{"spared, unknown", []string{"native routing"}, with(func(_ *cluster, s *settings) { s.NativeRoutingIPv4.Known = false }), []string{"native routing | unknown | to which destinations IPv4 is not masqueraded is not known"}},
		{"spared, of no matter", []string{"native routing"}, with(func(_ *cluster, s *settings) {
			s.MasqueradeIPv4, s.NativeRoutingIPv4 = flow.No, verdict.CIDRs{List: parsed("10.0.0.0/8")}
		}), nil},
		{"agent", []string{"ip-masq-agent"}, with(func(_ *cluster, s *settings) {
			s.BPFMasquerade, s.IPMasqAgent, s.NonMasquerade = flow.Yes, flow.Yes, verdict.CIDRs{List: parsed("10.0.0.0/8"), Known: true}
		}), []string{"ip-masq-agent | ok | spared: 10.0.0.0/8"}},
		{"agent, unknown", []string{"ip-masq-agent"}, with(func(_ *cluster, s *settings) { s.BPFMasquerade, s.IPMasqAgent = flow.Yes, flow.Yes }), []string{
			"ip-masq-agent | unknown | the ip-masq-agent is on, which destinations it spares is not known",
		}},
		{"agent without BPF", []string{"ip-masq-agent"}, with(func(_ *cluster, s *settings) { s.IPMasqAgent = flow.Yes }), nil},
		{"interfaces", []string{"interfaces"}, with(func(_ *cluster, s *settings) { s.MasqueradeInterfaces = []string{"eth+"} }), []string{"interfaces | warn | masqueraded on eth+ alone (egress-masquerade-interfaces)"}},
		{"interfaces and BPF", []string{"interfaces"}, with(func(_ *cluster, s *settings) {
			s.MasqueradeInterfaces, s.BPFMasquerade = []string{"eth+"}, flow.Yes
		}), nil},
		{"egress gateway, blind", []string{"egress gateway"}, with(func(_ *cluster, s *settings) { s.EgressGateway = flow.Yes }), []string{"egress gateway | note | egress gateways are on, and no policy was told"}},
		{"egress gateway", []string{"egress gateway"}, with(func(c *cluster, s *settings) {
			s.EgressGateway, c.EgressPolicies = flow.Yes, []verdict.EgressPolicy{{Name: "one", EgressIPs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}}}
		}), []string{"egress gateway | ok | 1 policy known"}},
		{"egress gateway, no address", []string{"egress gateway"}, with(func(c *cluster, s *settings) {
			s.EgressGateway, c.EgressPolicies = flow.Yes, []verdict.EgressPolicy{{Name: "one"}, {Name: "two"}}
		}), []string{"egress gateway | note | 2 policies known; which address it is does not stand in one, two"}},

		// Services, and the node's own connections.
		{"socket for pods alone", []string{"load-balancing"}, with(nil, "bpf-lb-sock", "true"), []string{"load-balancing | note | at the socket for pods (bpf-lb-sock), kube-proxy's for who comes from outside"}},
		{"kube-proxy unknown", []string{"load-balancing", "own connections"}, with(func(_ *cluster, s *settings) { s.KubeProxyReplacement = flow.Unknown }), []string{
			"load-balancing | unknown | whether Cilium replaces kube-proxy is not known", "own connections | unknown | whether they show is not known",
		}},
		{"answers alone", []string{"own connections"}, with(func(_ *cluster, s *settings) { s.Aggregation = "none" }), []string{"own connections | note | show by their answers alone"}},
		{"answers perhaps", []string{"own connections"}, with(func(_ *cluster, s *settings) { s.Aggregation = "" }), []string{"own connections | warn | do not show, or by their answers alone"}},
		{"host firewall, all told", []string{"own connections"}, with(func(_ *cluster, s *settings) { s.HostFirewall, s.Aggregation = flow.Yes, "low" }), []string{"own connections | ok | show"}},
	} {
		var got []preflight.Line
		for _, l := range preflight.Settings(row.c) {
			for _, subject := range row.subjects {
				if l.Subject == subject {
					got = append(got, l)
				}
			}
		}
		lines(t, row.name, got, row.want...)
	}
}

// Nodes of equal settings are told together, the worst first.
func TestNodesThatDiffer(t *testing.T) {
	c := with(nil)
	for _, name := range []string{"b", "c", "d", "e", "f"} {
		c.Nodes = append(c.Nodes, helm(name))
		c.Values[name] = preflight.Values{"enable-hubble": "true"}
	}
	c.Nodes[2].Settings.Aggregation = "low"
	c.Nodes[4].Settings.Aggregation = ""
	var got []preflight.Line
	for _, l := range preflight.Settings(c) {
		if l.Subject == "aggregation" {
			got = append(got, l)
		}
	}
	lines(t, "aggregation", got,
		"aggregation | note | low: a flow for every packet at every point that it leaves by | c",
		"aggregation | ok | medium: a flow when a connection begins, every 5s while it lasts, and at each new TCP flag (syn,fin,rst) | a b d f",
		"aggregation | unknown | the monitor aggregation level is not known | e")
}
