package verdict

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// wellKnownName has A records, 192.0.0.170 and 192.0.0.171, and never a AAAA of its own: whoever gets one got it from a
// DNS64, which put its NAT64 prefix around them (RFC 7050 section 2.2, RFC 8880).
const wellKnownName = "ipv4only.arpa."

// Discover asks a resolver which NAT64 prefixes it puts into its answers (RFC 7050 section 3), sorted. No prefix and no
// error means that it has answered and is no DNS64. Ask the resolver that the pods use: another one may know of another
// NAT64. A nil resolver is this machine's.
func Discover(ctx context.Context, resolver *net.Resolver) ([]netip.Prefix, error) {
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	answers, err := resolver.LookupNetIP(ctx, "ip6", wellKnownName) // clears the CD bit, as section 3 asks for
	if err != nil {
		return nil, lookupError(err, resolver)
	}
	var prefixes []netip.Prefix
	for _, a := range answers {
		if prefix, ok := Pref64(a.WithZone("")); ok && !slices.Contains(prefixes, prefix) {
			prefixes = append(prefixes, prefix)
		}
	}
	if len(prefixes) == 0 {
		return nil, fmt.Errorf("discover NAT64 prefixes: the resolver gave %s a AAAA that holds neither 192.0.0.170 nor 192.0.0.171 "+
			"(%s), so it makes its answers up without a NAT64; configure the prefixes instead", wellKnownName, answers[0])
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	return prefixes, nil
}

// lookupError returns nil where the resolver said that there is no AAAA.
func lookupError(err error, resolver *net.Resolver) error {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return nil
		}
		if resolver.Dial != nil { // it asks whom Dial reaches; the error names what /etc/resolv.conf says
			plain := *dns
			plain.Server = ""
			err = &plain
		}
	}
	return fmt.Errorf("discover NAT64 prefixes: %w", err)
}

// ResolverAt returns a resolver that asks one DNS server, over UDP, and over TCP where the answer is too long for it.
func ResolverAt(server netip.AddrPort) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, server.String())
	}}
}

// Pref64 returns the NAT64 prefix of an IPv6 address that a DNS64 gave for ipv4only.arpa: what stands before 192.0.0.170 or
// 192.0.0.171 at one of the six places of RFC 6052 section 2.2. An address can hold them at two places, when the prefix
// itself has such bits; then the place with nothing but zeros behind it is the right one, as a DNS64 sets no suffix. It is
// not ok where neither decides, and for prefixes that cannot be routed.
func Pref64(a netip.Addr) (prefix netip.Prefix, ok bool) {
	if !a.Is6() || a.Is4In6() || !a.IsGlobalUnicast() {
		return netip.Prefix{}, false
	}
	places := 0
	for _, bits := range []int{96, 64, 56, 48, 40, 32} {
		candidate := netip.PrefixFrom(a, bits).Masked()
		v4 := decode(a, candidate)
		if v4 != pref64First && v4 != pref64Second || checkPrefix(candidate) != nil || ipv4Compatible.Contains(candidate.Addr()) {
			continue
		}
		if whole, err := Encode(candidate, v4); err == nil && whole == a {
			return candidate, true
		}
		prefix = candidate
		places++
	}
	if places != 1 {
		return netip.Prefix{}, false
	}
	return prefix, true
}

var (
	pref64First  = netip.AddrFrom4([4]byte{192, 0, 0, 170})
	pref64Second = netip.AddrFrom4([4]byte{192, 0, 0, 171})

	ipv4Compatible = netip.MustParsePrefix("::/16") // IPv4-compatible, IPv4-mapped, IPv4-translated: no NAT64 has such
)
