package verdict

import "net/netip"

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
