package bucket

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"sextant/collector/flow"
)

// Config is what is limited, how uses leave the network, and how much is remembered.
type Config struct {
	Catalogue string        `yaml:"catalogue" doc:"YAML file of limits beside those that are known: a list under limits, each with name, hosts, unit, limit, window, ipv4_length, ipv6_length …; one with the name of a known limit changes what it says of it"`
	Mirrors   []string      `yaml:"mirrors" doc:"registries whose images the nodes really pull from elsewhere, a mirror or a cache that pulls through, as docker.io=mirror.example.com: node pulls are then not charged to the registry, but to the mirror where that has a limit"`
	Pools     []string      `yaml:"pools" doc:"addresses with which traffic leaves the network behind the nodes, as FROM=ADDRESS: FROM is nat64 for what a NAT64 translates, ipv4 or ipv6 for all else of a family, or a prefix that the nodes' or pods' addresses lie in; the longest prefix goes first. ADDRESS may be a prefix where there are several, which then counts as one"`
	Every     time.Duration `yaml:"every" doc:"how often the buckets are told that have changed; each is told every ten minutes though it has not"`
	MemoryMB  int           `yaml:"memory_mb" doc:"most memory for the buckets, in MiB; beyond it those that were used least lately are let go of, which is counted and told"`
}

// Default returns the configuration for most clusters.
func Default() Config { return Config{Every: 30 * time.Second, MemoryMB: 64} }

// Validate returns all that is wrong, each with the key's path. It does not read the catalogue's file.
func (c Config) Validate() error {
	var errs []error
	if _, err := parseMirrors(c.Mirrors); err != nil {
		errs = append(errs, fmt.Errorf("rate_limits.mirrors: %w", err))
	}
	if _, err := parsePools(c.Pools); err != nil {
		errs = append(errs, fmt.Errorf("rate_limits.pools: %w", err))
	}
	if c.Every < time.Second || c.Every > time.Hour {
		errs = append(errs, fmt.Errorf("rate_limits.every: must be from 1s to 1h, is %s", c.Every))
	}
	if c.MemoryMB < 1 || c.MemoryMB > 1<<16 {
		errs = append(errs, fmt.Errorf("rate_limits.memory_mb: must be from 1 to %d, is %d", 1<<16, c.MemoryMB))
	}
	return errors.Join(errs...)
}

// mostPairs bounds lists of the settings.
const mostPairs = 1024

// parseMirrors returns by registry the host that its images really come from.
func parseMirrors(list []string) (map[string]string, error) {
	mirrors := map[string]string{}
	if len(list) > mostPairs {
		return nil, fmt.Errorf("must be at most %d, are %d", mostPairs, len(list))
	}
	for _, pair := range list {
		registry, host, ok := strings.Cut(pair, "=")
		if !ok || !isHost(registry) || !isHost(host) || strings.HasPrefix(host, "*.") {
			return nil, fmt.Errorf("must be a registry and the host that stands for it, as docker.io=mirror.example.com, is %q", pair)
		}
		if _, twice := mirrors[registry]; !twice { // of several the first is asked first
			mirrors[registry] = host
		}
	}
	return mirrors, nil
}

// pools say with which address traffic leaves the network.
type pools struct {
	nat64    netip.Prefix
	families [3]netip.Prefix // by flow.Family
	prefixes []pool          // the longest first
}

type pool struct{ from, to netip.Prefix }

func parsePools(list []string) (pools, error) {
	var p pools
	if len(list) > mostPairs {
		return p, fmt.Errorf("must be at most %d, are %d", mostPairs, len(list))
	}
	seen := map[string]bool{}
	for _, pair := range list {
		from, to, ok := strings.Cut(pair, "=")
		address, err := parsePrefix(to)
		if !ok || err != nil {
			return p, fmt.Errorf("must be FROM=ADDRESS, as nat64=192.0.2.1, is %q", pair)
		}
		if seen[from] {
			return p, fmt.Errorf("%q stands twice: several addresses are given as a prefix", from)
		}
		seen[from] = true
		switch from {
		case "nat64":
			if !address.Addr().Is4() {
				return p, fmt.Errorf("a NAT64 has IPv4 addresses towards the outside, is %q", pair)
			}
			p.nat64 = address
		case "ipv4", "ipv6":
			if address.Addr().Is4() != (from == "ipv4") {
				return p, fmt.Errorf("must be two of one family, is %q", pair)
			}
			p.families[flow.FamilyOf(address.Addr())] = address
		default:
			prefix, err := parsePrefix(from)
			if err != nil {
				return p, fmt.Errorf("must begin with nat64, ipv4, ipv6, an address or a prefix, is %q", pair)
			}
			if prefix.Addr().Is4() != address.Addr().Is4() {
				return p, fmt.Errorf("must be two of one family, is %q", pair)
			}
			i := 0
			for i < len(p.prefixes) && p.prefixes[i].from.Bits() >= prefix.Bits() {
				i++
			}
			p.prefixes = append(p.prefixes[:i], append([]pool{{prefix, address}}, p.prefixes[i:]...)...)
		}
	}
	return p, nil
}

// parsePrefix reads an address or a prefix.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err == nil && p.Addr().Is4In6() {
		err = errors.New("is an IPv4 address in an IPv6 one")
	}
	return p.Masked(), err
}

// out returns what the outside sees of an address, which may be the zero one.
func (p *pools) out(a netip.Addr, family int, nat64 bool) netip.Prefix {
	if a.IsValid() {
		for _, pool := range p.prefixes {
			if pool.from.Contains(a) {
				return pool.to
			}
		}
	}
	if nat64 {
		return p.nat64
	}
	return p.families[family]
}
