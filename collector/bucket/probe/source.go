package probe

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
)

// way is the two ends of the connection over which a registry answered, as we see them. Through a proxy both are zero.
type way struct{ local, remote netip.Addr }

// place is from where an address can be seen.
type place uint8

const (
	nowhere place = iota // it is nobody's, as multicast, or nobody's outside one link
	inside               // in a private network or on one machine
	public
)

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

func placeOf(a netip.Addr) place {
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast():
		return nowhere
	case a.IsPrivate() || a.IsLoopback() || sharedSpace.Contains(a):
		return inside
	case a.Is4() && a.As4()[0] > 0 && a.As4()[0] < 240, a.Is6() && a.As16()[0]>>5 == 1: // 2000::/3
		return public
	default:
		return nowhere
	}
}

// checkSource returns why a source cannot be the one by which a registry knows us. An IPv4 source is fine for a connection
// over IPv6, which a NAT64 may have translated. The other way round there is no such service between us and a registry. A
// proxy comes over whichever family it has.
func (w way) checkSource(source netip.Addr, v6 bool) error {
	if source.Is6() && !v6 && w.remote.IsValid() {
		return fmt.Errorf("source %s is an IPv6 address, and we came over IPv4", source)
	}
	if w.remote.IsLoopback() && source == netip.IPv6Unspecified() {
		return nil // ::1 in its prefix
	}
	switch placeOf(source) {
	case public:
		return nil
	case inside:
		// Only who is inside sees such an address.
		if placeOf(w.remote) != inside {
			return fmt.Errorf("source %s is a private address, which %s cannot have seen", source, host(w.remote))
		}
		return nil
	default:
		return fmt.Errorf("source %s is nobody's address", source)
	}
}

func host(a netip.Addr) string {
	if !a.IsValid() {
		return "a registry behind a proxy"
	}
	return a.String()
}

// bounds returns the lengths that the prefix of a source can have, given the address that it may hold.
func bounds(source, local netip.Addr) (least, most int) {
	least, most = source.BitLen()-trailingZeros(source), source.BitLen()
	if source.BitLen() != local.BitLen() {
		return least, most
	}
	// Where the two part before the source's last one bit, the source holds not us but who translates us.
	if shared := commonBits(source, local); shared >= least {
		most = shared
	}
	return least, most
}

func trailingZeros(a netip.Addr) int {
	n := 0
	for _, b := range slices.Backward(a.AsSlice()) {
		z := bits.TrailingZeros8(b)
		n += z
		if z < 8 {
			break
		}
	}
	return n
}

func commonBits(a, b netip.Addr) int {
	x, y, n := a.AsSlice(), b.AsSlice(), 0
	for i := range x {
		z := bits.LeadingZeros8(x[i] ^ y[i])
		n += z
		if z < 8 {
			break
		}
	}
	return n
}
