package inventory

import (
	"math"
	"net/netip"

	"sextant/collector/flow"
)

func familyOf(a netip.Addr) flow.Family {
	switch {
	case !a.IsValid():
		return flow.FamilyNone
	case a.Unmap().Is4():
		return flow.FamilyIPv4
	}
	return flow.FamilyIPv6
}

func otherThan(f flow.Family) flow.Family {
	if f == flow.FamilyIPv4 {
		return flow.FamilyIPv6
	}
	return flow.FamilyIPv4
}

// of returns the addresses of a family, in their order.
func of(f flow.Family, addrs []netip.Addr) (some []netip.Addr) {
	for _, a := range addrs {
		if familyOf(a) == f {
			some = append(some, a.Unmap())
		}
	}
	return some
}

func yesNo(yes bool) flow.Tristate {
	if yes {
		return flow.Yes
	}
	return flow.No
}

// shared is the address space between customers and carrier-grade NAT (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// isGlobal reports whether an address can stand outside as it is: whether no translation is sure for it. Prefixes for
// documentation (RFC 3849, RFC 5737) stand for such ones.
func isGlobal(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a.Unmap())
}

// isUniqueLocal reports whether a prefix is out of fc00::/7 (RFC 4193).
func isUniqueLocal(p netip.Prefix) bool {
	return p.Addr().Is6() && p.Addr().IsPrivate()
}

// block64 is the /64 in which an IPv6 prefix or address lies.
func block64(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, 64).Masked() }

// pow2 returns how many things n bits tell apart, or as many as a column can hold.
func pow2(n int) uint64 {
	switch {
	case n < 0:
		return 0
	case n >= 64:
		return math.MaxUint64
	}
	return 1 << n
}

func hostBits(p netip.Prefix) int { return p.Addr().BitLen() - p.Bits() }

// podAddresses returns how many addresses Cilium gives out of a node's prefix: where there are more than two neither the
// first nor the last, and of an IPv6 prefix it looks at the first 65,536 only, however long it is
// (pkg/ipam/service/ipallocator/allocator.go:108, :310).
func podAddresses(p netip.Prefix) uint64 {
	n := pow2(hostBits(p))
	if p.Addr().Is6() {
		n = min(n, 1<<16)
	}
	if n > 2 {
		n -= 2
	}
	return n
}

// clusterIPs returns how many addresses Kubernetes gives out of a range for services: not the first, and of IPv4 not the
// last (pkg/registry/core/service/ipallocator/ipallocator.go:566). That of an IPv6 /64 is as many as a column can hold.
func clusterIPs(p netip.Prefix) uint64 {
	bits := hostBits(p)
	if bits >= 64 {
		return math.MaxUint64
	}
	n := pow2(bits) - 1
	if p.Addr().Is4() && n > 0 {
		n--
	}
	return n
}

// mostBits is how much longer a node's prefix may be than the IPv6 prefix it is cut from. Cilium's operator refuses more,
// and so does kube-controller-manager (pkg/ipam/cidrset/cidr_set.go:42 of the one, :82 of the other's
// pkg/controller/nodeipam/ipam/cidrset/cidr_set.go).
const mostBits = 16

// nodeParts returns how many prefixes of a length can be cut from another; where none can, why not.
func nodeParts(p netip.Prefix, length int) (n uint64, why string) {
	switch {
	case length < p.Bits():
		return 0, "that is wider than the prefix itself"
	case length > p.Addr().BitLen():
		return 0, "no address is so long"
	case p.Addr().Is6() && length-p.Bits() > mostBits:
		return 0, clause("%d bits are more than the %d that Cilium can count", length-p.Bits(), mostBits)
	}
	return pow2(length - p.Bits()), ""
}
