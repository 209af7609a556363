package hubbletest

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/cilium/cilium/pkg/types"
)

// A Packet is what the datapath captured, from the Ethernet header on.
type Packet struct {
	layers   []gopacket.SerializableLayer
	ipv6     bool
	original netip.Addr
}

// TCP returns a segment between two addresses with ports ("[2001:db8::1]:443").
// Flags are tcpdump's letters: S F R P A U E C. Bad addresses panic.
func TCP(source, destination, flags string) Packet {
	src, dst := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	has := func(flag string) bool { return strings.Contains(flags, flag) }
	return packet(src.Addr(), dst.Addr(), layers.IPProtocolTCP, &layers.TCP{
		SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()),
		SYN: has("S"), FIN: has("F"), RST: has("R"), PSH: has("P"), ACK: has("A"), URG: has("U"), ECE: has("E"), CWR: has("C"),
	})
}

// UDP returns a datagram between two addresses with ports.
func UDP(source, destination string) Packet {
	src, dst := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	return packet(src.Addr(), dst.Addr(), layers.IPProtocolUDP, &layers.UDP{
		SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port()),
	})
}

// ICMP returns a message between two addresses: ICMPv6 if they are IPv6.
func ICMP(source, destination string, typ, code uint8) Packet {
	src, dst := netip.MustParseAddr(source), netip.MustParseAddr(destination)
	if src.Is4() {
		return packet(src, dst, layers.IPProtocolICMPv4, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, code)})
	}
	return packet(src, dst, layers.IPProtocolICMPv6, &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, code)})
}

// From returns the same packet with the address its sender had before the
// datapath translated it. Only Trace events can tell of that.
func (p Packet) From(original string) Packet {
	p.original = netip.MustParseAddr(original)
	return p
}

// origIP returns the sender's own address as the datapath writes it: IPv4 comes
// first in the field and is not mapped (monitor.TraceNotify.OriginalIP).
func (p Packet) origIP() (ip types.IPv6) {
	copy(ip[:], p.original.AsSlice())
	return ip
}

func packet(src, dst netip.Addr, protocol layers.IPProtocol, l4 gopacket.SerializableLayer) Packet {
	if src.Is4() != dst.Is4() {
		panic(fmt.Sprintf("packet from %s to %s: two address families", src, dst))
	}
	eth := &layers.Ethernet{SrcMAC: make(net.HardwareAddr, 6), DstMAC: make(net.HardwareAddr, 6), EthernetType: layers.EthernetTypeIPv6}
	if src.Is4() {
		eth.EthernetType = layers.EthernetTypeIPv4
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		return Packet{layers: []gopacket.SerializableLayer{eth, ip, l4}}
	}
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	return Packet{layers: []gopacket.SerializableLayer{eth, ip, l4}, ipv6: true}
}
