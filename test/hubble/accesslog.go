package hubbletest

import (
	"net/netip"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/cilium/cilium/pkg/hubble/observer/types"
	"github.com/cilium/cilium/pkg/monitor/api"
	"github.com/cilium/cilium/pkg/proxy/accesslog"
)

// AccessLog returns the event of a request or answer that went through a proxy.
// The record's timestamp must be RFC 3339; an empty one means now.
func AccessLog(r accesslog.LogRecord) *Event {
	if r.Timestamp == "" {
		r.Timestamp = time.Now().UTC().Format(time.RFC3339Nano)
	}
	return &Event{Payload: &types.AgentEvent{Type: api.MessageTypeAccessLog, Message: r}}
}

// DNSQuery returns the event of a pod's question to a DNS server, over UDP. The
// agent writes IPv6 servers with a zone: "[2001:db8:ffff::53%0]:53".
func DNSQuery(client, server, name string, typ layers.DNSType) *Event {
	return AccessLog(dnsRecord(accesslog.TypeRequest, client, server, accesslog.LogRecordDNS{
		Query: name, QTypes: []uint16{uint16(typ)},
	}))
}

// DNSAnswer returns the event of the server's answer, its ends swapped as the agent
// does. No addresses and rcode 0 is NODATA.
func DNSAnswer(client, server, name string, typ layers.DNSType, ttl uint32, rcode layers.DNSResponseCode, addrs ...string) *Event {
	r := accesslog.LogRecordDNS{Query: name, QTypes: []uint16{uint16(typ)}, TTL: ttl, RCode: int(rcode)}
	for _, a := range addrs {
		r.IPs = append(r.IPs, netip.MustParseAddr(a))
		r.AnswerTypes = append(r.AnswerTypes, uint16(typ))
	}
	return AccessLog(dnsRecord(accesslog.TypeResponse, server, client, r))
}

func dnsRecord(typ accesslog.FlowType, source, destination string, dns accesslog.LogRecordDNS) accesslog.LogRecord {
	dns.ObservationSource = accesslog.DNSSourceProxy
	src, dst := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	r := accesslog.LogRecord{
		Type:                typ,
		ObservationPoint:    accesslog.Egress,
		Verdict:             accesslog.VerdictForwarded,
		TransportProtocol:   accesslog.TransportProtocol(layers.IPProtocolUDP),
		SourceEndpoint:      endpoint(src),
		DestinationEndpoint: endpoint(dst),
		DNS:                 &dns,
	}
	if src.Addr().Is6() {
		r.IPVersion = accesslog.VersionIPV6
	}
	return r
}

func endpoint(a netip.AddrPort) accesslog.EndpointInfo {
	if a.Addr().Is4() {
		return accesslog.EndpointInfo{IPv4: a.Addr().String(), Port: a.Port()}
	}
	return accesslog.EndpointInfo{IPv6: a.Addr().String(), Port: a.Port()}
}
