package hubbletest_test

import (
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/wrapperspb"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/cilium/cilium/pkg/hubble/testutils"
	"github.com/cilium/cilium/pkg/monitor"
	"github.com/cilium/cilium/pkg/monitor/api"
	hubbletest "sextant/test/hubble"
)

const (
	pod6, world6 = "[fd10:201:0:1::5ab6]:40000", "[2001:db8:ffff::10]:443"
	node6        = "[2001:db8:a::1]:40000"
	pod4, world4 = "10.201.1.1:40000", "198.51.100.10:443"
	node4        = "172.31.250.1:40000"
)

func toNetwork(reason uint8) monitor.TraceNotify {
	return monitor.TraceNotify{ObsPoint: api.TraceToNetwork, Reason: reason}
}

func TestFlows(t *testing.T) {
	const policyDenied = 133
	agent := hubbletest.New(t, hubbletest.Options{
		Names: map[string][]string{"2001:db8:ffff::10": {"www.example.com"}},
		Pods: []*testutils.FakeEndpointInfo{{
			ID: 7, Identity: 128908, IPv6: net.ParseIP("fd10:201:0:1::5ab6"),
			PodNamespace: "shop", PodName: "cart-0", Labels: []string{"k8s:app=cart"},
		}},
	})
	conn := dial(t, agent.ServeUnix(""), plain)
	cart := &flowpb.Endpoint{ID: 7, Identity: 128908, Namespace: "shop", PodName: "cart-0", Labels: []string{"k8s:app=cart"}}
	bare := &flowpb.Endpoint{}
	no, yes := wrapperspb.Bool(false), wrapperspb.Bool(true)
	example := []string{"www.example.com"}

	for _, tt := range []struct {
		name  string
		event *hubbletest.Event
		want  *flowpb.Flow
	}{
		{"tcp6", hubbletest.Trace(toNetwork(monitor.TraceReasonPolicy), hubbletest.TCP(pod6, world6, "S")), &flowpb.Flow{
			Verdict: flowpb.Verdict_FORWARDED, IP: ip6("fd10:201:0:1::5ab6", "2001:db8:ffff::10", ""), L4: tcp(40000, 443, &flowpb.TCPFlags{SYN: true}),
			Source: cart, Destination: bare, DestinationNames: example, IsReply: no, TraceReason: flowpb.TraceReason_NEW,
			TraceObservationPoint: flowpb.TraceObservationPoint_TO_NETWORK, EventType: event(4, 11)}},
		{"nat66", hubbletest.Trace(toNetwork(monitor.TraceReasonPolicy), hubbletest.TCP(node6, world6, "SA").From("fd10:201:0:1::5ab6")), &flowpb.Flow{
			Verdict: flowpb.Verdict_FORWARDED, IP: ip6("fd10:201:0:1::5ab6", "2001:db8:ffff::10", "2001:db8:a::1"), L4: tcp(40000, 443, &flowpb.TCPFlags{SYN: true, ACK: true}),
			Source: cart, Destination: bare, DestinationNames: example, IsReply: no, TraceReason: flowpb.TraceReason_NEW,
			TraceObservationPoint: flowpb.TraceObservationPoint_TO_NETWORK, EventType: event(4, 11)}},
		{"nat44", hubbletest.Trace(toNetwork(monitor.TraceReasonCtEstablished), hubbletest.TCP(node4, world4, "FA").From("10.201.1.1")), &flowpb.Flow{
			Verdict: flowpb.Verdict_FORWARDED, IP: ip4("10.201.1.1", "198.51.100.10", "172.31.250.1"), L4: tcp(40000, 443, &flowpb.TCPFlags{FIN: true, ACK: true}),
			Source: bare, Destination: bare, IsReply: no, TraceReason: flowpb.TraceReason_ESTABLISHED,
			TraceObservationPoint: flowpb.TraceObservationPoint_TO_NETWORK, EventType: event(4, 11)}},
		{"udp4 reply to endpoint", hubbletest.Trace(monitor.TraceNotify{ObsPoint: api.TraceToLxc, Reason: monitor.TraceReasonCtReply, SrcLabel: 10}, hubbletest.UDP(world4, pod4)), &flowpb.Flow{
			Verdict: flowpb.Verdict_FORWARDED, IP: ip4("198.51.100.10", "10.201.1.1", ""), L4: udp(443, 40000),
			Source: &flowpb.Endpoint{Identity: 10}, Destination: bare, IsReply: yes, Reply: true, TraceReason: flowpb.TraceReason_REPLY,
			TraceObservationPoint: flowpb.TraceObservationPoint_TO_ENDPOINT, EventType: event(4, 0)}},
		{"icmpv6 reason unknown", hubbletest.Trace(monitor.TraceNotify{ObsPoint: api.TraceFromNetwork, Reason: monitor.TraceReasonUnknown}, hubbletest.ICMP("2001:db8::1", "2001:db8:a::1", 2, 0)), &flowpb.Flow{
			Verdict: flowpb.Verdict_FORWARDED, IP: ip6("2001:db8::1", "2001:db8:a::1", ""), L4: &flowpb.Layer4{Protocol: &flowpb.Layer4_ICMPv6{ICMPv6: &flowpb.ICMPv6{Type: 2}}},
			Source: bare, Destination: bare, TraceObservationPoint: flowpb.TraceObservationPoint_FROM_NETWORK, EventType: event(4, 10)}},
		{"icmpv4", hubbletest.Trace(toNetwork(monitor.TraceReasonPolicy), hubbletest.ICMP("10.201.1.1", "198.51.100.10", 8, 0)), &flowpb.Flow{
			Verdict: flowpb.Verdict_FORWARDED, IP: ip4("10.201.1.1", "198.51.100.10", ""), L4: &flowpb.Layer4{Protocol: &flowpb.Layer4_ICMPv4{ICMPv4: &flowpb.ICMPv4{Type: 8}}},
			Source: bare, Destination: bare, IsReply: no, TraceReason: flowpb.TraceReason_NEW,
			TraceObservationPoint: flowpb.TraceObservationPoint_TO_NETWORK, EventType: event(4, 11)}},
		{"drop", hubbletest.Drop(monitor.DropNotify{SubType: policyDenied, Source: 7, SrcLabel: 128908, DstLabel: 9, Line: 12}, hubbletest.TCP(pod6, world6, "S")), &flowpb.Flow{
			Verdict: flowpb.Verdict_DROPPED, DropReason: policyDenied, DropReasonDesc: flowpb.DropReason_POLICY_DENIED, File: &flowpb.FileInfo{Name: "unknown(0)", Line: 12},
			IP: ip6("fd10:201:0:1::5ab6", "2001:db8:ffff::10", ""), L4: tcp(40000, 443, &flowpb.TCPFlags{SYN: true}),
			Source: cart, Destination: &flowpb.Endpoint{Identity: 9}, DestinationNames: example,
			TrafficDirection: flowpb.TrafficDirection_EGRESS, EventType: event(1, policyDenied)}},
		{"router solicitation", hubbletest.Drop(monitor.DropNotify{SubType: 132}, hubbletest.ICMP("fe80::1", "ff02::2", 133, 0)), &flowpb.Flow{
			Verdict: flowpb.Verdict_DROPPED, DropReason: 132, DropReasonDesc: flowpb.DropReason_INVALID_SOURCE_IP, File: &flowpb.FileInfo{Name: "unknown(0)"},
			IP: ip6("fe80::1", "ff02::2", ""), L4: &flowpb.Layer4{Protocol: &flowpb.Layer4_ICMPv6{ICMPv6: &flowpb.ICMPv6{Type: 133}}},
			Source: bare, Destination: bare, EventType: event(1, 132)}},
		{"verdict allowed", hubbletest.PolicyVerdict(monitor.PolicyVerdictNotify{Flags: api.PolicyEgress, RemoteLabel: 9}, hubbletest.UDP(pod6, "[2001:db8:ffff::53]:53")), &flowpb.Flow{
			Verdict: flowpb.Verdict_FORWARDED, IP: ip6("fd10:201:0:1::5ab6", "2001:db8:ffff::53", ""), L4: udp(40000, 53),
			Source: cart, Destination: &flowpb.Endpoint{Identity: 9}, IsReply: no, TrafficDirection: flowpb.TrafficDirection_EGRESS, EventType: event(5, 0)}},
		{"verdict denied", hubbletest.PolicyVerdict(monitor.PolicyVerdictNotify{Flags: api.PolicyIngress, RemoteLabel: 10, Verdict: -policyDenied}, hubbletest.TCP(world4, pod4, "S")), &flowpb.Flow{
			Verdict: flowpb.Verdict_DROPPED, DropReason: policyDenied, DropReasonDesc: flowpb.DropReason_POLICY_DENIED,
			IP: ip4("198.51.100.10", "10.201.1.1", ""), L4: tcp(443, 40000, &flowpb.TCPFlags{SYN: true}),
			Source: &flowpb.Endpoint{Identity: 10}, Destination: bare, TrafficDirection: flowpb.TrafficDirection_INGRESS, EventType: event(5, 0)}},
		{"dns query", hubbletest.DNSQuery(pod6, "[2001:db8:ffff::53%0]:53", "www.example.com.", layers.DNSTypeAAAA), &flowpb.Flow{
			Type: flowpb.FlowType_L7, Verdict: flowpb.Verdict_FORWARDED, IP: ip6("fd10:201:0:1::5ab6", "2001:db8:ffff::53%0", ""), L4: udp(40000, 53),
			Source: &flowpb.Endpoint{Namespace: "shop", PodName: "cart-0"}, Destination: bare, IsReply: no, TrafficDirection: flowpb.TrafficDirection_EGRESS, EventType: event(129, 0),
			L7: &flowpb.Layer7{Type: flowpb.L7FlowType_REQUEST, Record: &flowpb.Layer7_Dns{Dns: &flowpb.DNS{Query: "www.example.com.", Qtypes: []string{"AAAA"}, ObservationSource: "proxy"}}}}},
		{"dns answer", hubbletest.DNSAnswer(pod6, "[2001:db8:ffff::53%0]:53", "www.example.com.", layers.DNSTypeAAAA, 60, 0, "2001:db8:ffff::10"), &flowpb.Flow{
			Type: flowpb.FlowType_L7, Verdict: flowpb.Verdict_FORWARDED, IP: ip6("2001:db8:ffff::53%0", "fd10:201:0:1::5ab6", ""), L4: udp(53, 40000),
			Source: bare, Destination: &flowpb.Endpoint{Namespace: "shop", PodName: "cart-0"}, IsReply: yes, Reply: true, TrafficDirection: flowpb.TrafficDirection_EGRESS, EventType: event(129, 0),
			L7: &flowpb.Layer7{Type: flowpb.L7FlowType_RESPONSE, Record: &flowpb.Layer7_Dns{Dns: &flowpb.DNS{Query: "www.example.com.", Ips: []string{"2001:db8:ffff::10"}, Ttl: 60, Qtypes: []string{"AAAA"}, Rrtypes: []string{"AAAA"}, ObservationSource: "proxy"}}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.event.UUID, tt.event.Timestamp = hubbletest.ID(5), time.Unix(1700000000, 5)
			agent.Send(tt.event)
			agent.Flush()
			last := all(t, conn, &observerpb.GetFlowsRequest{Number: 1})
			if len(last) != 1 {
				t.Fatalf("got %d responses, want 1", len(last))
			}
			got := last[0].GetFlow()
			if got.GetUuid() != "00000000-0000-4000-8000-000000000005" || !got.GetTime().AsTime().Equal(tt.event.Timestamp) || got.GetNodeName() != "lab/node-1" {
				t.Errorf("got uuid %s, time %s, node %s", got.GetUuid(), got.GetTime().AsTime(), got.GetNodeName())
			}
			if tt.want.Type == flowpb.FlowType_UNKNOWN_TYPE {
				tt.want.Type = flowpb.FlowType_L3_L4
			}
			ignored := protocmp.IgnoreFields(&flowpb.Flow{}, "uuid", "time", "node_name", "emitter", "ethernet", "Summary")
			if diff := cmp.Diff(tt.want, got, protocmp.Transform(), ignored); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func ip6(source, destination, xlated string) *flowpb.IP {
	return &flowpb.IP{Source: source, Destination: destination, SourceXlated: xlated, IpVersion: flowpb.IPVersion_IPv6}
}

func ip4(source, destination, xlated string) *flowpb.IP {
	return &flowpb.IP{Source: source, Destination: destination, SourceXlated: xlated, IpVersion: flowpb.IPVersion_IPv4}
}

func tcp(source, destination uint32, flags *flowpb.TCPFlags) *flowpb.Layer4 {
	return &flowpb.Layer4{Protocol: &flowpb.Layer4_TCP{TCP: &flowpb.TCP{SourcePort: source, DestinationPort: destination, Flags: flags}}}
}

func udp(source, destination uint32) *flowpb.Layer4 {
	return &flowpb.Layer4{Protocol: &flowpb.Layer4_UDP{UDP: &flowpb.UDP{SourcePort: source, DestinationPort: destination}}}
}

func event(typ, sub int32) *flowpb.CiliumEventType {
	return &flowpb.CiliumEventType{Type: typ, SubType: sub}
}
