package preflight

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// masquerade says, by family, whether pods are translated on their way out, and how Sextant will know: observed where the
// datapath tells it, confirmed where a packet is seen before and after, inferred where only the settings tell.
func (c *Cluster) masquerade() []Line {
	var lines []Line
	for _, family := range []flow.Family{flow.FamilyIPv6, flow.FamilyIPv4} {
		lines = append(lines, c.perNode(TopicMasquerade, familyWords[family], func(n *node) answer { return masquerade(n, family) })...)
	}
	return lines
}

func masquerade(n *node, family flow.Family) answer {
	word, key := familyWords[family], "enable-ipv4"
	if family == flow.FamilyIPv6 {
		key = "enable-ipv6"
	}
	does := n.Settings.MasqueradeIPv4
	if family == flow.FamilyIPv6 {
		does = n.Settings.MasqueradeIPv6
	}
	switch {
	case n.is(key, "true", false) && family == flow.FamilyIPv6:
		return answer{Warn, "IPv6 is off (enable-ipv6)", "Pods have no IPv6 address: whatever they do is IPv4.", "ipv6.enabled=true, on nodes that have IPv6 themselves"}
	case n.is(key, "true", false):
		return answer{verdict: OK, text: word + " is off (" + key + "): nothing to translate"}
	case n.Settings.Chained == flow.Yes:
		return answer{
			Unknown, "another CNI does the network (cni-chaining-mode)", "Whether it masquerades does not show, so the class of what leaves is unknown.",
			"look at the settings of that CNI",
		}
	case does == flow.No:
		return untranslated(n, family)
	case does == flow.Unknown:
		return answer{
			Unknown, "whether " + word + " is masqueraded is not known", "The class of what leaves is unknown.",
			settingsTold,
		}
	}
	switch n.Settings.BPFMasquerade {
	case flow.Yes:
		return byBPF(n, family)
	case flow.No:
		return byIptables(n, family)
	}
	return answer{
		Note, "masqueraded, whether by BPF or iptables is not known", "It is inferred from the settings, and no flow can be relied on to show it.",
		settingsTold,
	}
}

// untranslated: no flow tells that nothing was translated, so this always rests on the settings.
func untranslated(n *node, family flow.Family) answer {
	a := answer{verdict: OK, text: "not masqueraded", means: "Pods leave with their own addresses, as far as the nodes go: " + nativeWord(family) + ", inferred from the settings."}
	private := slices.ContainsFunc(n.PodCIDRs, func(p netip.Prefix) bool {
		return p.Addr().Is4() == (family == flow.FamilyIPv4) && p.Addr().IsPrivate()
	})
	switch {
	case private && family == flow.FamilyIPv6:
		a.verdict, a.text = Warn, "not masqueraded, though the pods have unique local addresses (RFC 4193)"
		a.means = "What goes to global addresses is translated by a router beyond the nodes, or lost. Neither shows: its class is unknown."
		a.remedy = "give the nodes global pod prefixes, or masquerade (enableIPv6Masquerade=true)"
	case private:
		a.verdict, a.text = Note, "not masqueraded, though the pods have private addresses"
		a.means = "Something beyond the nodes translates, a cloud's NAT gateway for one, or the traffic stays inside. It does not show: the class is " + nativeWord(family) + " as far as the nodes go, and the address that the outside sees is not known."
	}
	return a
}

func nativeWord(family flow.Family) string {
	if family == flow.FamilyIPv4 {
		return flow.Native4.String()
	}
	return flow.Native6.String()
}

func natWord(family flow.Family) string {
	if family == flow.FamilyIPv4 {
		return flow.NAT44.String()
	}
	return flow.NAT66.String()
}

// byBPF: the datapath tells a translated source, with a trace that only the lower levels let through
// (bpf/lib/nodeport_egress.h, tail_handle_snat_fwd).
func byBPF(n *node, family flow.Family) answer {
	every, known := packets(n.Settings.Aggregation)
	switch {
	case every:
		return answer{
			OK, "masqueraded by BPF, and every packet is told", natWord(family) + " is observed, with the address that the outside sees.", "",
		}
	case !known:
		return answer{
			Note, "masqueraded by BPF, the aggregation level is not known", natWord(family) + " is observed at the levels low and none, and else inferred.",
			settingsTold,
		}
	}
	return answer{
		Note, "masqueraded by BPF, and aggregation " + n.Settings.Aggregation + " keeps that from the flows",
		natWord(family) + " is inferred from the settings, and so is the address; only an egress gateway's node tells it.",
		"bpf.monitorAggregation=low lets the datapath tell it, at the price of a flow for every packet",
	}
}

// byIptables: no flow tells the translation itself. Where something watches what leaves the device and tells of it, the
// packet is seen once more with the node's address, and the two prove it.
func byIptables(n *node, family flow.Family) answer {
	const observe = "bpf.masquerade=true with bpf.monitorAggregation=low lets the datapath tell it"
	remedy := observe
	if family == flow.FamilyIPv6 {
		remedy += " (for IPv6 Cilium's documentation calls that beta)"
	}
	switch tells(&n.Settings) {
	case flow.Yes:
		return answer{
			OK, "masqueraded by iptables, and packets show before and after it", natWord(family) + " is confirmed where both are seen, and else inferred from the settings. The address is the node's.", "",
		}
	case flow.Unknown:
		return answer{
			Note, "masqueraded by iptables, whether packets show after it is not known", natWord(family) + " is inferred from the settings, or confirmed where a packet shows before and after.", remedy,
		}
	}
	return answer{
		Note, "masqueraded by iptables, which no flow shows",
		natWord(family) + " is inferred from the settings, and so is the address. That no flow shows a translation says nothing.",
		remedy + "; kubeProxyReplacement=true alone lets it be confirmed",
	}
}

// tells says whether what leaves through a device is told of. The program that sees it is attached for several reasons
// (verdict.Settings.ShowsNode), but has a connection tracking result to tell of at aggregation medium only with some
// (bpf/bpf_host.c, cil_to_netdev: handle_to_netdev_ipv6, handle_nat_fwd).
func tells(s *verdict.Settings) flow.Tristate {
	tracks := either(s.KubeProxyReplacement, s.BPFMasquerade, s.HostFirewall)
	if tracks == flow.Yes {
		return flow.Yes
	}
	attached := s.ShowsNode()
	every, known := packets(s.Aggregation)
	switch {
	case attached == flow.No:
		return flow.No
	case attached == flow.Yes && every:
		return flow.Yes
	case tracks == flow.No && known && !every:
		return flow.No
	}
	return flow.Unknown
}

// either is yes when one is, and no when all are.
func either(conditions ...flow.Tristate) flow.Tristate {
	switch {
	case slices.Contains(conditions, flow.Yes):
		return flow.Yes
	case slices.Contains(conditions, flow.Unknown):
		return flow.Unknown
	}
	return flow.No
}

// exceptions says which of a masquerading node's connections are not masqueraded, or not to the node's address.
func (c *Cluster) exceptions() []Line {
	return slices.Concat(
		c.perNode(TopicMasquerade, "native routing", nativeRouting),
		c.perNode(TopicMasquerade, "ip-masq-agent", ipMasqAgent),
		c.perNode(TopicMasquerade, "interfaces", interfaces),
		c.perNode(TopicMasquerade, "egress gateway", c.egressGateway),
	)
}

func nativeRouting(n *node) answer {
	if n.Settings.Chained == flow.Yes {
		return answer{}
	}
	var told, unknown []string
	for _, one := range []struct {
		word  string
		masq  flow.Tristate
		cidrs verdict.CIDRs
	}{
		{"IPv6", n.Settings.MasqueradeIPv6, n.Settings.NativeRoutingIPv6},
		{"IPv4", n.Settings.MasqueradeIPv4, n.Settings.NativeRoutingIPv4},
	} {
		switch {
		case one.masq == flow.No:
		case !one.cidrs.Known:
			unknown = append(unknown, one.word)
		case len(one.cidrs.List) > 0:
			told = append(told, one.word+" to "+prefixes(one.cidrs.List))
		}
	}
	switch {
	case len(unknown) > 0 && n.Settings.MasqueradeIPv4 == flow.Unknown && n.Settings.MasqueradeIPv6 == flow.Unknown:
		return answer{} // said above: nothing is known
	case len(unknown) > 0:
		return answer{
			Unknown, "to which destinations " + strings.Join(unknown, " and ") + " is not masqueraded is not known", "The class of what leaves is unknown: a cloud's own network may be spared.",
			"set ipv4NativeRoutingCIDR or ipv6NativeRoutingCIDR, or give the CiliumNodes with --state",
		}
	case len(told) > 0:
		return answer{verdict: OK, text: "spared: " + strings.Join(told, ", "), means: "What goes there leaves with the pod's own address."}
	}
	return answer{}
}

func prefixes(list []netip.Prefix) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = p.String()
	}
	return some(words)
}

func ipMasqAgent(n *node) answer {
	s := &n.Settings
	switch {
	case s.IPMasqAgent != flow.Yes || s.BPFMasquerade == flow.No: // it is part of BPF masquerade
		return answer{}
	case !s.NonMasquerade.Known:
		return answer{
			Unknown, "the ip-masq-agent is on, which destinations it spares is not known", "The class of what leaves is unknown.",
			"give the ConfigMap ip-masq-agent of Cilium's namespace with --state",
		}
	}
	return answer{verdict: OK, text: "spared: " + prefixes(s.NonMasquerade.List), means: "What goes there leaves with the pod's own address."}
}

func interfaces(n *node) answer {
	s := &n.Settings
	if len(s.MasqueradeInterfaces) == 0 || s.BPFMasquerade == flow.Yes || s.MasqueradeIPv4 == flow.No && s.MasqueradeIPv6 == flow.No {
		return answer{}
	}
	return answer{
		Warn, "masqueraded on " + some(s.MasqueradeInterfaces) + " alone (egress-masquerade-interfaces)",
		"Through which interface a connection leaves no flow tells beforehand, so the class of what leaves is unknown.", "leave egressMasqueradeInterfaces out, or bpf.masquerade=true",
	}
}

func (c *Cluster) egressGateway(n *node) answer {
	if n.Settings.EgressGateway != flow.Yes {
		return answer{}
	}
	if len(c.EgressPolicies) == 0 {
		return answer{
			Note, "egress gateways are on, and no policy was told", "Where policies exist, the pods that they select leave with other addresses than those that are inferred.",
			"give the CiliumEgressGatewayPolicies with --state",
		}
	}
	var untold []string
	for _, p := range c.EgressPolicies {
		if len(p.EgressIPs) == 0 {
			untold = append(untold, p.Name)
		}
	}
	a := answer{verdict: OK, text: fmt.Sprintf("%d policies known", len(c.EgressPolicies)), means: "A gateway tells the translation of other nodes' pods at any aggregation level: it is observed there, and inferred where a pod begins."}
	if len(c.EgressPolicies) == 1 {
		a.text = "1 policy known"
	}
	if len(untold) > 0 {
		a.verdict, a.text = Note, a.text+"; which address it is does not stand in "+some(untold)
		a.remedy = "write egressIP into the policies: an address that is an interface's is known only from flows"
	}
	return a
}
