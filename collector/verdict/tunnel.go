package verdict

import (
	"net/netip"

	"sextant/collector/flow"
)

// TunnelIPv4 returns the IPv4 address inside an address of a transition mechanism, given its kind: where the
// encapsulated packet goes. It returns the invalid address for every other kind.
func TunnelIPv4(kind flow.AddressKind, a netip.Addr) netip.Addr {
	b := a.As16()
	switch kind {
	case flow.Kind6to4: // RFC 3056 section 2: 2002:V4ADDR::/48
		return netip.AddrFrom4([4]byte(b[2:6]))
	case flow.KindTeredo:
		// RFC 4380 section 4: prefix, server, flags, port, client. The server, in clear at bits 32 to 63, only helps the
		// two ends to find each other. What packets go to is the client's address outside its NAT, every bit inverted so
		// that NATs do not rewrite it.
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
	case flow.KindISATAP:
		return netip.AddrFrom4([4]byte(b[12:16]))
	}
	return netip.Addr{}
}

// isISATAP reports whether a's interface identifier is one of RFC 5214 section 6.1: 0:5efe and an IPv4 address, with the
// universal bit set when that address is unique worldwide. Any /64 may hold such addresses.
func isISATAP(a netip.Addr) bool {
	b := a.As16()
	return (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
