package preflight

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

// Names says whether DNS names are visible. They are where Cilium's DNS proxy sees the questions, which it does where a
// policy has a rule for DNS; policies themselves are not looked at.
func Names(c *Cluster, sight *hubble.Sight) []Line {
	var lines []Line
	if c != nil {
		lines = c.perNode(TopicDNS, "proxy", func(n *node) answer {
			if n.is("enable-l7-proxy", "true", false) {
				return answer{Warn, "off (enable-l7-proxy)", "No DNS name is ever learned: destinations are addresses.", "l7Proxy=true"}
			}
			return answer{}
		})
	}
	lines = append(lines, namesSeen(sight, len(lines) > 0 && lines[0].Nodes == nil))
	if c != nil {
		lines = append(lines, c.perNode(TopicDNS, "transparent mode", func(n *node) answer {
			if n.Settings.TransparentDNSProxy != flow.No || n.is("enable-l7-proxy", "true", false) {
				return answer{}
			}
			return answer{
				Note, "off (dnsproxy-enable-transparent-mode)", "The proxy's own questions leave with the node's address and the pod's identity, as if the pod were masqueraded; Sextant does not take them for that.",
				"dnsProxy.enableTransparentMode=true",
			}
		})...)
	}
	return lines
}

func namesSeen(sight *hubble.Sight, off bool) Line {
	const rule = "a CiliumNetworkPolicy whose egress rule to port 53 has rules.dns (matchPattern: \"*\" lets every name through) sends a pod's questions through the proxy"
	var looked, questions, named int
	var nodes []string
	if sight != nil {
		for _, n := range sight.Nodes {
			looked += n.Sample.Flows
			questions += n.Sample.DNS
			named += n.Sample.Named
			if n.Sample.DNS+n.Sample.Named > 0 && n.Node != "" {
				nodes = append(nodes, n.Node)
			}
		}
	}
	a := answer{Unknown, "not known: no flow was looked at", "Destinations have names only where a policy sends the pod's DNS questions through Cilium's proxy.", rule}
	switch {
	case questions+named > 0:
		a = answer{OK, fmt.Sprintf("visible: %d DNS questions and answers, and names on %d of %d flows", questions, named, looked), "Destinations have names where a policy sends the pod's questions through the proxy, and nowhere else.", ""}
		if len(nodes) > 0 {
			a.text += ", on " + some(nodes)
		}
	case off:
		a = answer{Warn, "not visible: the proxy is off", "Destinations stay addresses.", "l7Proxy=true"}
	case looked > 0:
		a = answer{Unknown, fmt.Sprintf("none among %s", number(looked, "flow")), "Either nobody asked just now, or no policy sends DNS questions through the proxy: then destinations stay addresses.", rule}
	}
	return a.line(TopicDNS, "names")
}

// Pref64 is what is known of NAT64 prefixes.
type Pref64 struct {
	Configured []netip.Prefix
	Asked      string // which resolver was asked (RFC 7050): "system", an address; empty: none
	Discovered []netip.Prefix
	Err        error // why the resolver did not answer
}

// NAT64 says which NAT64 prefixes are known, and whether Cilium itself is a gateway.
func NAT64(p Pref64, c *Cluster) []Line {
	var lines []Line
	if len(p.Configured) > 0 {
		lines = append(lines, answer{
			OK, "configured: " + prefixes(p.Configured) + ", beside 64:ff9b::/96", "Destinations in them are nat64, inferred from the prefix, and confirmed where DNS answered with the address.", "",
		}.line(TopicNAT64, "prefixes"))
	}
	lines = append(lines, discovery(p))
	if c != nil && !c.blank() {
		lines = append(lines, c.perNode(TopicNAT64, "gateway", func(n *node) answer {
			switch n.Settings.NAT46x64Gateway {
			case flow.Yes:
				return answer{
					Note, "Cilium's own is on (enable-nat46x64-gateway), for 64:ff9b::/96", "It translates what enters a node from outside, and sends it on without a trace: which way it went is inferred from the prefix. What pods send is not translated by it.",
					"",
				}
			case flow.Unknown:
				return answer{Unknown, "whether Cilium's own is on is not known", "", settingsTold}
			}
			return answer{verdict: OK, text: "Cilium's own is off: who translates is beyond the nodes, and no flow shows it"}
		})...)
	}
	return lines
}

func discovery(p Pref64) Line {
	const wellKnown = "64:ff9b::/96 is known in any case; a prefix of the network's own looks like any other address."
	who := p.Asked
	if who == "system" {
		who = "this machine's resolver"
	}
	a := answer{
		Unknown, "no resolver was asked (RFC 7050)", wellKnown,
		"--nat64-discovery system where Sextant asks the resolver that the pods ask, or the address of that one; or --nat64-prefix",
	}
	switch {
	case p.Asked == "":
	case p.Err != nil:
		text, _ := cause(p.Err)
		a.text = who + " does not say: " + strings.TrimPrefix(text, "discover NAT64 prefixes: ")
		a.remedy = "--nat64-discovery with the address of the resolver that the pods ask, or --nat64-prefix"
	case len(p.Discovered) == 0:
		a = answer{Note, who + " is no DNS64", wellKnown + " Pods may have another resolver.", "if the pods ask another: --nat64-discovery with its address; or --nat64-prefix"}
	default:
		a = answer{OK, who + " is a DNS64 for " + prefixes(p.Discovered), "Destinations in them are nat64, inferred from the prefix, and confirmed where DNS answered with the address.", ""}
		var other []netip.Prefix
		for _, prefix := range p.Configured {
			if !slices.Contains(p.Discovered, prefix) {
				other = append(other, prefix)
			}
		}
		if len(other) > 0 {
			a.verdict, a.means = Note, a.means+" It does not name "+prefixes(other)+", which is configured."
		}
	}
	return a.line(TopicNAT64, "discovery")
}
