package verdict_test

import (
	"testing"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

func TestNoise(t *testing.T) {
	const icmp6, icmp4, udp, tcp, none = flow.ICMPv6, flow.ICMP, flow.UDP, flow.TCP, flow.ProtocolUnknown
	for _, row := range []struct {
		name     string
		protocol flow.Protocol
		icmp     uint8
		from, to string
		want     flow.Noise
	}{
		{"neighbour solicitation", icmp6, 135, "fe80::1", "ff02::1:ff00:1", flow.NoiseNDP},
		{"neighbour solicitation, unicast", icmp6, 135, "2600::1", "2600::2", flow.NoiseNDP},
		{"duplicate address detection", icmp6, 135, "::", "ff02::1:ff00:1", flow.NoiseDAD},
		{"neighbour advertisement", icmp6, 136, "2600::1", "fe80::1", flow.NoiseNDP},
		{"redirect", icmp6, 137, "fe80::1", "2600::2", flow.NoiseNDP},
		{"router solicitation", icmp6, 133, "fe80::1", "ff02::2", flow.NoiseRSRA},
		{"router advertisement", icmp6, 134, "fe80::1", "ff02::1", flow.NoiseRSRA},
		{"mld query", icmp6, 130, "fe80::1", "ff02::1", flow.NoiseMLD},
		{"mld report", icmp6, 131, "fe80::1", "ff02::1", flow.NoiseMLD},
		{"mld done", icmp6, 132, "fe80::1", "ff02::2", flow.NoiseMLD},
		{"mldv2 report", icmp6, 143, "::", "ff02::16", flow.NoiseMLD},
		{"echo to a link-local address", icmp6, 128, "fe80::1", "fe80::2", flow.NoiseLinkLocal},
		{"echo from a link-local address", icmp6, 129, "fe80::1", "2600::1", flow.NoiseLinkLocal},
		{"bgp over link-local", tcp, 0, "fe80::1", "fe80::2", flow.NoiseLinkLocal},
		{"mdns", udp, 0, "2600::1", "ff02::fb", flow.NoiseMulticast},
		{"mdns v4", udp, 0, "10.0.0.1", "224.0.0.251", flow.NoiseMulticast},
		{"igmp", flow.IGMP, 0, "10.0.0.1", "224.0.0.22", flow.NoiseMulticast},
		{"dhcp", udp, 0, "0.0.0.0", "255.255.255.255", flow.NoiseMulticast},
		{"arp", none, 0, "", "", flow.NoiseARP},

		{"echo request", icmp6, 128, "2600::1", "2600::2", flow.NoiseNone},
		{"packet too big", icmp6, 2, "2600::1", "2600::2", flow.NoiseNone},
		{"echo request v4 with an NDP number", icmp4, 135, "10.0.0.1", "10.0.0.2", flow.NoiseNone},
		{"cloud metadata", tcp, 0, "10.0.0.1", "169.254.169.254", flow.NoiseNone},
		{"node-local dns", udp, 0, "10.0.0.1", "169.254.20.10", flow.NoiseNone},
		{"fragment", none, 0, "2600::1", "2600::2", flow.NoiseNone},
		{"tcp", tcp, 0, "2600::1", "2600::2", flow.NoiseNone},
	} {
		b := &flow.Batch{Records: []flow.Record{{
			EventType: flow.EventTrace, Protocol: row.protocol, ICMPType: row.icmp, Source: flow.End{IP: addr(row.from)}, Destination: flow.End{IP: addr(row.to)},
		}}}
		verdict.New(flow.NewInterner(), verdict.Prefixes{}).Process(b)
		if got := b.Records[0].Noise; got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
	for _, e := range []flow.EventType{flow.EventL7, flow.EventSock} { // these have no addresses for other reasons
		b := &flow.Batch{Records: []flow.Record{{EventType: e}}}
		verdict.New(flow.NewInterner(), verdict.Prefixes{}).Process(b)
		if got := b.Records[0].Noise; got != flow.NoiseNone {
			t.Errorf("%s without addresses: %s, want none", e, got)
		}
	}
}
