package bucket

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sextant/collector/flow"
)

// Words of warnings. Those of /64 are the inventory's, which says the same without limits.
const (
	NodesShare64   = "nodes_share_64"
	PodsShare64    = "shares_64"
	OneAddress     = "one_address"
	OutsideUnknown = "outside_unknown"
)

// Warning is what will make several nodes share a bucket, before it is full.
type Warning struct {
	Word     string
	Prefix   string   // what they share, "" where that is not known
	Nodes    []string // who shares it
	Services []string // limits that count them as one
	Text     string   // a sentence for a person
}

// Warn returns what about a cluster makes nodes share buckets: nodes in one /64, pods of several nodes in one /64 that are
// not translated, one address for several nodes behind them, and private addresses behind which nobody knows what is.
func Warn(f *Facts, c *Catalogue, cfg Config) []Warning {
	if f == nil {
		return nil
	}
	p, _ := parsePools(cfg.Pools)
	var all []Warning
	add := func(word, prefix string, nodes, services []string, format string, args ...any) {
		all = append(all, Warning{word, prefix, nodes, services, fmt.Sprintf(format, args...)})
	}
	by64, pods64, out := map[netip.Prefix][]string{}, map[netip.Prefix][]string{}, map[netip.Prefix][]string{}
	var private []string
	for name, n := range f.Nodes {
		node := name.String()
		if n.IPv6.IsValid() {
			if to := p.out(n.IPv6, int(flow.FamilyIPv6), false); to.IsValid() {
				out[to] = append(out[to], node)
			} else if block, err := n.IPv6.Prefix(64); err == nil {
				by64[block] = append(by64[block], node)
			}
			if p.nat64.IsValid() {
				out[p.nat64] = append(out[p.nat64], node)
			}
		}
		if n.IPv4.IsValid() {
			if to := p.out(n.IPv4, int(flow.FamilyIPv4), false); to.IsValid() {
				out[to] = append(out[to], node)
			} else if isPrivate(n.IPv4) {
				private = append(private, node)
			}
		}
		for _, cidr := range n.PodCIDRs {
			if cidr.Addr().Is6() && cidr.Bits() >= 64 && n.Masquerade == flow.No {
				if block, err := cidr.Addr().Prefix(64); err == nil {
					pods64[block] = append(pods64[block], node)
				}
			}
		}
	}
	shared := func(of map[netip.Prefix][]string, say func(prefix netip.Prefix, nodes []string)) {
		prefixes := make([]netip.Prefix, 0, len(of))
		for prefix := range of {
			prefixes = append(prefixes, prefix)
		}
		slices.SortFunc(prefixes, func(a, b netip.Prefix) int {
			return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
		})
		for _, prefix := range prefixes {
			nodes := of[prefix]
			slices.Sort(nodes)
			if nodes = slices.Compact(nodes); len(nodes) > 1 {
				say(prefix, nodes)
			}
		}
	}
	shared(by64, func(prefix netip.Prefix, nodes []string) {
		services := c.countBy(false, 64)
		add(NodesShare64, prefix.String(), nodes, services, "%s have addresses in %s: %s", people(nodes), prefix, c.together(services, len(nodes)))
	})
	shared(pods64, func(prefix netip.Prefix, nodes []string) {
		services := c.countBy(false, 64)
		add(PodsShare64, prefix.String(), nodes, services, "pods of %s have addresses in %s and are not translated: %s", people(nodes), prefix, c.together(services, len(nodes)))
	})
	shared(out, func(prefix netip.Prefix, nodes []string) {
		services := c.countBy(prefix.Addr().Is4(), prefix.Addr().BitLen())
		add(OneAddress, text(prefix), nodes, services, "%s leave the network with %s: %s", people(nodes), text(prefix), c.together(services, len(nodes)))
	})
	if len(private) > 1 {
		slices.Sort(private)
		add(OutsideUnknown, "", private, c.countBy(true, 32), "%s have private IPv4 addresses, and which one the outside sees behind them is not set in rate_limits.pools: their buckets may really be one", people(private))
	}
	return all
}

func isPrivate(a netip.Addr) bool { return a.IsPrivate() || sharedSpace.Contains(a) }

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// countBy returns the limits with a number that count a family by prefixes of a length at most.
func (c *Catalogue) countBy(ipv4 bool, length int) []string {
	var names []string
	for _, l := range c.limits {
		by := l.IPv6Length
		if ipv4 {
			by = l.IPv4Length
		}
		if by > 0 && by <= length && l.Allowed > 0 && !l.Indirect {
			names = append(names, l.Name)
		}
	}
	return names
}

// together says what the limits allow all of them.
func (c *Catalogue) together(services []string, nodes int) string {
	if len(services) == 0 {
		return "whoever counts by it takes them for one"
	}
	first := c.byName[services[0]] // Docker Hub, as long as nobody turns it off
	text := fmt.Sprintf("%s allows them %d %s in %s together, %d each", first.Name, first.Allowed, first.Unit, Span(first.Window), int(first.Allowed)/nodes)
	if more := len(services) - 1; more > 0 {
		text += fmt.Sprintf(", and %d other limits count them as one, too", more)
	}
	return text
}

// Span writes a window without what is zero: 6h.
func Span(window time.Duration) string {
	text := window.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// people names some of them.
func people(nodes []string) string {
	const most = 4
	text := strings.Join(nodes[:min(len(nodes), most)], ", ")
	if more := len(nodes) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%d nodes (%s)", len(nodes), text)
}
