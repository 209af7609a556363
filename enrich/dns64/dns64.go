// Package dns64 asks resolvers which NAT64 prefixes they put into their answers (RFC 7050), once or again and again.
//
// It is the only part of the collector that speaks DNS itself. It refuses to judge what it is told: prefixes are judged by
// collector/verdict, whose Pref64 finds them in an address.
package dns64

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"sextant/collector/verdict"
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
		if prefix, ok := verdict.Pref64(a.WithZone("")); ok && !slices.Contains(prefixes, prefix) {
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
