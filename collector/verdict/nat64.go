package verdict

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// wellKnown is the prefix that means NAT64 everywhere (RFC 6052 section 2.1).
var wellKnown = netip.MustParsePrefix("64:ff9b::/96")

// Prefixes are the NAT64 prefixes of a network: the well-known one, which no configuration can give another meaning, and
// the configured ones. The zero value is the well-known prefix alone.
type Prefixes struct{ own []netip.Prefix } // longest first; none is longer than the well-known one

// NewPrefixes returns the well-known prefix and the given ones. The error names all that RFC 6052 does not allow. The
// prefixes may overlap: the longest around an address decides.
func NewPrefixes(prefixes ...netip.Prefix) (Prefixes, error) {
	var p Prefixes
	var errs []error
	for _, prefix := range prefixes {
		if err := checkPrefix(prefix); err != nil {
			errs = append(errs, err)
		} else if prefix != wellKnown && !slices.Contains(p.own, prefix) {
			p.own = append(p.own, prefix)
		}
	}
	if len(errs) > 0 {
		return Prefixes{}, errors.Join(errs...)
	}
	slices.SortStableFunc(p.own, func(a, b netip.Prefix) int { return cmp.Compare(b.Bits(), a.Bits()) })
	return p, nil
}

func checkPrefix(prefix netip.Prefix) error {
	a := prefix.Addr()
	switch {
	case !prefix.IsValid():
		return errors.New("nat64 prefix: an empty or invalid prefix, give one like 64:ff9b::/96")
	case !a.Is6() || a.Is4In6():
		return fmt.Errorf("nat64 prefix %s: must be an IPv6 prefix", prefix)
	case !slices.Contains([]int{32, 40, 48, 56, 64, 96}, prefix.Bits()):
		return fmt.Errorf("nat64 prefix %s: the length must be 32, 40, 48, 56, 64 or 96 (RFC 6052 section 2.2)", prefix)
	case prefix != prefix.Masked():
		return fmt.Errorf("nat64 prefix %s: bits are set after the prefix, did you mean %s?", prefix, prefix.Masked())
	case a.As16()[8] != 0:
		return fmt.Errorf("nat64 prefix %s: bits 64 to 71 must be zero (RFC 6052 section 2.2)", prefix)
	}
	return nil
}

// List returns the prefixes in the order in which they are tried.
func (p Prefixes) List() []netip.Prefix { return append([]netip.Prefix{wellKnown}, p.own...) }

// Embedded returns the IPv4 address inside a, and the prefix it stands behind (RFC 6052 section 2.3). It is not ok when
// no prefix is around a, or when bits 64 to 71 are set, which no translator does. Bits after the IPv4 address are
// ignored, as section 2.2 keeps them for the future.
func (p Prefixes) Embedded(a netip.Addr) (v4 netip.Addr, prefix netip.Prefix, ok bool) {
	if !a.Is6() || a.As16()[8] != 0 {
		return netip.Addr{}, netip.Prefix{}, false
	}
	if wellKnown.Contains(a) {
		return decode(a, wellKnown), wellKnown, true
	}
	for _, prefix := range p.own {
		if prefix.Contains(a) {
			return decode(a, prefix), prefix, true
		}
	}
	return netip.Addr{}, netip.Prefix{}, false
}

// decode takes the 32 bits after the prefix, leaving out bits 64 to 71.
func decode(a netip.Addr, prefix netip.Prefix) netip.Addr {
	b := a.As16()
	var v4 [4]byte
	at := prefix.Bits() / 8
	for i := range v4 {
		if at == 8 {
			at++
		}
		v4[i] = b[at]
		at++
	}
	return netip.AddrFrom4(v4)
}

// Encode returns the IPv6 address that stands for v4 behind prefix (RFC 6052 section 2.3).
func Encode(prefix netip.Prefix, v4 netip.Addr) (netip.Addr, error) {
	if err := checkPrefix(prefix); err != nil {
		return netip.Addr{}, err
	}
	if !v4.Is4() {
		return netip.Addr{}, fmt.Errorf("nat64 prefix %s: %s is not an IPv4 address", prefix, v4)
	}
	b := prefix.Addr().As16()
	at := prefix.Bits() / 8
	for _, octet := range v4.As4() {
		if at == 8 {
			at++
		}
		b[at] = octet
		at++
	}
	return netip.AddrFrom16(b), nil
}
