package kube

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// A setting is a key of cilium-config, and what it decides. Helm's chart writes many keys only where they are set; an agent
// that does not find one runs with its own default, which need not be the chart's. So what is absent from a ConfigMap
// that is there is known, too.
//
// The defaults are those of Cilium 1.20.2, from the places named (paths without more are daemon/cmd/daemon_main.go), and
// as far back as 1.12 the same where the key existed. Chart: whether Helm's chart writes the key always, as its default.
type setting struct {
	key    string
	old    string // what the key was called before
	absent string // what the agent takes when the key is absent
	chart  string // what the chart writes when nothing is set; "" when it writes nothing
	source string
	set    func(*agent, string) bool // false: the value has no meaning here
}

// settings is the one table of them.
var settings = []setting{
	{"enable-ipv4", "", "true", "true", ":205, pkg/defaults/defaults.go:190", yesNo(func(a *agent) *flow.Tristate { return &a.ipv4 })},
	{"enable-ipv6", "", "true", "false", ":208, pkg/defaults/defaults.go:193", yesNo(func(a *agent) *flow.Tristate { return &a.ipv6 })},
	{"enable-ipv4-masquerade", "", "true", "true", ":484", yesNo(func(a *agent) *flow.Tristate { return &a.MasqueradeIPv4 })},
	{"enable-ipv6-masquerade", "", "true", "true", ":490", yesNo(func(a *agent) *flow.Tristate { return &a.MasqueradeIPv6 })},
	{"enable-bpf-masquerade", "", "false", "", ":493", yesNo(func(a *agent) *flow.Tristate { return &a.BPFMasquerade })},
	{"install-iptables-rules", "", "true", "", ":505", yesNo(func(a *agent) *flow.Tristate { return &a.iptables })},
	{"only-masquerade-default-pool", "", "false", "", "pkg/ipam/cell/cell.go:57", yesNo(func(a *agent) *flow.Tristate { return &a.onlyDefaultPool })},
	{"egress-masquerade-interfaces", "", "", "", ":266", func(a *agent, v string) bool {
		a.MasqueradeInterfaces = append(a.MasqueradeInterfaces, words(v)...)
		return true
	}},
	{"enable-remote-node-masquerade", "", "false", "", ":487", yesNo(func(a *agent) *flow.Tristate { return &a.RemoteNodeMasquerade })},
	// Absent, the native routing CIDR is the node's own pod CIDR, which is in the cluster anyway, or the cloud's (see route).
	{"ipv4-native-routing-cidr", "", "", "", ":458, pkg/node/local_node.go:11", later},
	{"ipv6-native-routing-cidr", "", "", "", ":464, pkg/node/local_node.go:23", later},
	{"ipam", "", "cluster-pool", "cluster-pool", ":358", func(a *agent, v string) bool { a.ipam = v; return true }},
	{"enable-ip-masq-agent", "", "false", "", "pkg/ipmasq/cell/config.go:18", yesNo(func(a *agent) *flow.Tristate { return &a.IPMasqAgent })},
	{"enable-egress-gateway", "enable-ipv4-egress-gateway", "false", "", ":499", yesNo(func(a *agent) *flow.Tristate { return &a.EgressGateway })},
	// Up to 1.13 the default was "partial"; both leave it to enable-node-port, which nobody had to write either.
	{"kube-proxy-replacement", "", "false", "false", "pkg/kpr/kpr.go:25", setReplacement},
	{"enable-node-port", "", "false", "", "gone since 1.18; pkg/option of 1.12 to 1.17", yesNo(func(a *agent) *flow.Tristate { return &a.nodePort })},
	{"enable-host-firewall", "", "false", "false", ":455", yesNo(func(a *agent) *flow.Tristate { return &a.HostFirewall })},
	{"enable-wireguard", "", "false", "", "pkg/wireguard/agent/cell.go:102", yesNo(func(a *agent) *flow.Tristate { return &a.WireGuard })},
	{"enable-ipsec", "", "false", "", "pkg/datapath/linux/ipsec/cell.go:132", yesNo(func(a *agent) *flow.Tristate { return &a.IPsec })},
	{"enable-l2-announcements", "", "false", "", ":318", yesNo(func(a *agent) *flow.Tristate { return &a.L2Announcements })},
	{"dnsproxy-enable-transparent-mode", "", "false", "true", ":667, pkg/defaults/defaults.go:149", yesNo(func(a *agent) *flow.Tristate { return &a.TransparentDNSProxy })},
	{"enable-nat46x64-gateway", "", "false", "", ":214", yesNo(func(a *agent) *flow.Tristate { return &a.NAT46x64Gateway })},
	{"routing-mode", "tunnel", "tunnel", "tunnel", ":539, pkg/defaults/defaults.go:438", setRouting},
	// With portmap there is no other CNI, only a plugin for host ports.
	{"cni-chaining-mode", "", "none", "", "daemon/cmd/cni/config/config.go:24", func(a *agent, v string) bool {
		a.Chained = tristate(v != "none" && v != "portmap" && v != "")
		return true
	}},
	{"monitor-aggregation", "monitor-aggregation-level", "none", "medium", ":513", setAggregation},
}

// agent is what an agent was told: its settings, and what decides about them without being asked for.
type agent struct {
	verdict.Settings

	ipv4, ipv6      flow.Tristate
	iptables        flow.Tristate // rules are installed at all
	onlyDefaultPool flow.Tristate // pods of other pools are not masqueraded
	nodePort        flow.Tristate
	replacement     string
	ipam            string
}

// later leaves a value to route, which can say what is wrong with it.
func later(*agent, string) bool { return true }

func tristate(yes bool) flow.Tristate {
	if yes {
		return flow.Yes
	}
	return flow.No
}

func yesNo(of func(*agent) *flow.Tristate) func(*agent, string) bool {
	return func(a *agent, text string) bool {
		yes, err := strconv.ParseBool(text) // as viper does
		if err != nil {
			return false
		}
		*of(a) = tristate(yes)
		return true
	}
}

func setReplacement(a *agent, text string) bool {
	switch a.replacement = text; text {
	case "true", "strict":
		a.KubeProxyReplacement = flow.Yes
	case "false", "disabled":
		a.KubeProxyReplacement = flow.No
	case "partial", "probe": // of old: the first leaves it to other keys, the second to the kernel
	default:
		return false
	}
	return true
}

// setRouting knows the words of tunnel, too, which routing-mode took the place of in 1.14.
func setRouting(a *agent, text string) bool {
	switch text {
	case "tunnel", "vxlan", "geneve":
		a.Tunnel = flow.Yes
	case "native", "disabled":
		a.Tunnel = flow.No
	case "hybrid": // by subnet
	default:
		return false
	}
	return true
}

// setAggregation knows the levels of pkg/option/monitor.go.
func setAggregation(a *agent, text string) bool {
	switch strings.ToLower(text) {
	case "", "none", "disabled", "0":
		a.Aggregation = "none"
	case "lowest", "1":
		a.Aggregation = "lowest"
	case "low", "2":
		a.Aggregation = "low"
	case "medium", "3":
		a.Aggregation = "medium"
	case "max", "maximum", "4":
		a.Aggregation = "maximum"
	default:
		return false
	}
	return true
}

// settle reads the values of one configuration. What has no meaning stays unknown, and is doubted: an agent of 1.20 would
// not have started with it. The VPC is the node's, where a cloud told it.
func (s *state) settle(values values, vpc netip.Prefix) (agent, error) {
	var a agent
	for _, setting := range settings {
		value, told := values[setting.key]
		key := setting.key
		if !told && setting.old != "" {
			key = setting.old
			value, told = values[key]
		}
		switch {
		case value.unsure:
		case !told:
			setting.set(&a, setting.absent)
		case !setting.set(&a, value.text):
			s.doubt("%s: %s is %q, which is not understood and taken for unknown", value.from, key, value.text)
		}
	}
	a.judge(values)
	return a, a.route(values, vpc)
}

// judge says what one setting makes of another.
func (a *agent) judge(values values) {
	// pkg/option/config.go:2532; and without any rules there is no masquerade by iptables (pkg/datapath/iptables/iptables.go:522).
	how := either(a.BPFMasquerade, a.iptables)
	a.MasqueradeIPv4 = all(a.MasqueradeIPv4, a.ipv4, how)
	a.MasqueradeIPv6 = all(a.MasqueradeIPv6, a.ipv6, how)
	if a.onlyDefaultPool != flow.No || values["egress-masquerade-interfaces"].unsure { // it depends on the pod, or the way out
		a.MasqueradeIPv4 = all(a.MasqueradeIPv4, flow.Unknown)
		a.MasqueradeIPv6 = all(a.MasqueradeIPv6, flow.Unknown)
	}
	switch a.replacement {
	case "partial":
		a.KubeProxyReplacement = a.nodePort
	case "false": // where 1.14 to 1.17 looked at enable-node-port, and later ones do not
		if a.nodePort != flow.No {
			a.KubeProxyReplacement = flow.Unknown
		}
	}
}

// all is no when one is, and yes when all are.
func all(conditions ...flow.Tristate) flow.Tristate {
	switch {
	case slices.Contains(conditions, flow.No):
		return flow.No
	case slices.Contains(conditions, flow.Unknown):
		return flow.Unknown
	}
	return flow.Yes
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

// clouds are the IPAM modes in which an agent that is not told its IPv4 native routing CIDR takes the VPC's instead
// (pkg/ipam/eni.go:168, pkg/ipam/crd.go:277).
var clouds = []string{"eni", "azure", "alibabacloud"}

// route fills in which destinations are not masqueraded.
func (a *agent) route(values values, vpc netip.Prefix) error {
	var err error
	if a.NativeRoutingIPv4, err = values.prefixes("ipv4-native-routing-cidr"); err != nil {
		return err
	}
	if a.NativeRoutingIPv6, err = values.prefixes("ipv6-native-routing-cidr"); err != nil {
		return err
	}
	switch {
	case len(a.NativeRoutingIPv4.List) > 0:
	case a.IPMasqAgent == flow.Yes: // goes by what is configured alone (pkg/datapath/linux/config/config.go:405)
	case a.ipam != "" && !slices.Contains(clouds, a.ipam):
	case a.ipam == "eni" && a.IPMasqAgent == flow.No && vpc.IsValid():
		a.NativeRoutingIPv4.List = []netip.Prefix{vpc}
	default:
		a.NativeRoutingIPv4 = verdict.CIDRs{}
	}
	return nil
}
