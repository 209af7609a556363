package kube

import (
	"fmt"
	"net/netip"

	"go.yaml.in/yaml/v3"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// ipMasqAgent is the ConfigMap that the chart mounts for Cilium's ip-masq-agent, with the one key it mounts.
const (
	ipMasqAgent    = "ip-masq-agent"
	ipMasqAgentKey = "config"
)

// What the ip-masq-agent leaves alone when it has no configuration, and the link-local addresses that it leaves alone
// unless told otherwise (pkg/ipmasq/ipmasq.go:25).
var (
	nonMasquerade = []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"),
		netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"),
		netip.MustParsePrefix("100.64.0.0/10"),
		netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("192.88.99.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"),
		netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("240.0.0.0/4"),
	}
	linkLocal4 = netip.MustParsePrefix("169.254.0.0/16")
	linkLocal6 = netip.MustParsePrefix("fe80::/10")
)

// nonMasquerade returns what the ip-masq-agent leaves alone, where it runs. The chart writes its ConfigMap only when it is
// configured; whether a missing one is missing in the cluster or in the dump, a ConfigMap tells that is in every namespace
// and that nobody dumps for its own sake.
func (s *state) nonMasquerade(c config, runs flow.Tristate) (verdict.CIDRs, error) {
	if runs != flow.Yes {
		return verdict.CIDRs{}, nil
	}
	n := name{c.namespace, ipMasqAgent}
	all := s.whole[KindConfigMap] || s.configMaps.has(name{c.namespace, "kube-root-ca.crt"})
	if !all && !s.configMaps.has(n) {
		s.doubt("the ip-masq-agent runs, but its ConfigMap %s is not there: what it leaves alone is unknown", n)
		return verdict.CIDRs{}, nil
	}
	var where string
	if told := s.configMaps[n]; told != nil {
		where = told.where
	}
	var config struct {
		CIDRs         []string `yaml:"nonMasqueradeCIDRs"`
		MasqLinkLocal bool     `yaml:"masqLinkLocal"`
		MasqLinkIPv6  bool     `yaml:"masqLinkLocalIPv6"`
	}
	text := s.configMaps.get(n)[ipMasqAgentKey]
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return verdict.CIDRs{}, fmt.Errorf("%s: data.%s: %w", where, ipMasqAgentKey, err)
	}
	prefixes, err := parsePrefixes("nonMasqueradeCIDRs", config.CIDRs)
	if err != nil {
		return verdict.CIDRs{}, fmt.Errorf("%s: data.%s: %w", where, ipMasqAgentKey, err)
	}
	if text == "" {
		prefixes = appendNew(prefixes, nonMasquerade...)
	}
	if !config.MasqLinkLocal {
		prefixes = appendNew(prefixes, linkLocal4)
	}
	if !config.MasqLinkIPv6 {
		prefixes = appendNew(prefixes, linkLocal6)
	}
	return verdict.CIDRs{List: prefixes, Known: true}, nil
}
