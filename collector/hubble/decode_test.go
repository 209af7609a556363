package hubble_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

func decode(t *testing.T, f *flowpb.Flow) (*flow.Record, hubble.Event) {
	t.Helper()
	raw, err := proto.Marshal(&observerpb.GetFlowsResponse{
		ResponseTypes: &observerpb.GetFlowsResponse_Flow{Flow: f}, NodeName: "lab/node-1", Time: timestamppb.New(noon),
	})
	if err != nil {
		t.Fatal(err)
	}
	var r flow.Record
	ev, err := hubble.NewDecoder(flow.NewInterner()).Decode(raw, &r)
	if err != nil {
		t.Fatal(err)
	}
	return &r, ev
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// columns returns the named columns of a record as JSON prints them.
func columns(t *testing.T, r *flow.Record, names ...string) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(flow.AppendJSON(nil, "flow", flow.Fields, r), &all); err != nil {
		t.Fatal(err)
	}
	some := map[string]any{}
	for _, n := range names {
		v, ok := all[n]
		if !ok {
			t.Fatalf("no column %s", n)
		}
		some[n] = v
	}
	return some
}

func TestDecodeFlow(t *testing.T) {
	t.Parallel()
	type cols = map[string]any
	for _, c := range []struct {
		name string
		flow *flowpb.Flow
		want cols
	}{
		{"the node name splits", &flowpb.Flow{NodeName: "lab/node-2"}, cols{"node": "node-2", "cluster": "lab"}},
		{"the cluster is default without prefix", &flowpb.Flow{NodeName: "node-2"}, cols{"node": "node-2", "cluster": "default"}},
		{"the response names the node of a masked flow", &flowpb.Flow{}, cols{"node": "node-1", "time": "2026-11-24T12:00:00.000000000Z"}},
		{"no time is none", &flowpb.Flow{Time: &timestamppb.Timestamp{Seconds: 1 << 60}}, cols{"time": "2026-11-24T12:00:00.000000000Z"}},
		{
			"a zone is stripped", &flowpb.Flow{IP: &flowpb.IP{Source: "fd00::1", Destination: "2001:db8:ffff::53%0", IpVersion: flowpb.IPVersion_IPv6}},
			cols{"source_ip": "fd00::1", "destination_ip": "2001:db8:ffff::53", "family": "ipv6"},
		},
		{
			"a mapped address is unmapped, its packet IPv6", &flowpb.Flow{IP: &flowpb.IP{Source: "::ffff:192.0.2.1", Destination: "198.51.100.1", IpVersion: flowpb.IPVersion_IPv6}},
			cols{"source_ip": "192.0.2.1", "destination_ip": "198.51.100.1", "family": "ipv6"},
		},
		{
			"the addresses tell the family if nothing else does", &flowpb.Flow{IP: &flowpb.IP{Destination: "198.51.100.1"}},
			cols{"source_ip": nil, "family": "ipv4"},
		},
		{"ARP has no addresses", &flowpb.Flow{}, cols{"source_ip": nil, "destination_ip": nil, "family": "none", "protocol": "unknown"}},
		{
			"sub_type 0 is TO_ENDPOINT", &flowpb.Flow{EventType: &flowpb.CiliumEventType{Type: 4}},
			cols{"event_type": "trace", "observation_point": "TO_ENDPOINT"},
		},
		{"sub_type names the point of a masked flow", &flowpb.Flow{EventType: &flowpb.CiliumEventType{Type: 4, SubType: 11}}, cols{"observation_point": "TO_NETWORK"}},
		{
			"sub_type 0 of a policy verdict is no point", &flowpb.Flow{EventType: &flowpb.CiliumEventType{Type: 5}},
			cols{"event_type": "policy_verdict", "observation_point": "UNKNOWN_POINT"},
		},
		{
			"numbers of newer agents stay unknown", &flowpb.Flow{EventType: &flowpb.CiliumEventType{Type: 99}, Verdict: 99, TraceReason: 99, TraceObservationPoint: 99, TrafficDirection: -1},
			cols{"event_type": "other", "verdict": "VERDICT_UNKNOWN", "trace_reason": "TRACE_REASON_UNKNOWN", "observation_point": "UNKNOWN_POINT", "traffic_direction": "TRAFFIC_DIRECTION_UNKNOWN"},
		},
		{"absent is_reply is unknown", &flowpb.Flow{}, cols{"is_reply": "unknown"}},
		{"false is_reply is no", &flowpb.Flow{IsReply: wrapperspb.Bool(false)}, cols{"is_reply": "no"}},
		{"a drop has its word and number", &flowpb.Flow{DropReason: 133, DropReasonDesc: flowpb.DropReason_POLICY_DENIED}, cols{"drop_code": 133.0, "drop_reason": "POLICY_DENIED"}}, //nolint:staticcheck // the deprecated field is what old agents send
		{"161 is not what flow.proto calls it", &flowpb.Flow{DropReasonDesc: flowpb.DropReason_FAILED_TO_INSERT_INTO_PROXYMAP}, cols{"drop_code": 161.0, "drop_reason": "NAT46X64_NOT_ENABLED"}},
		{"a new drop reason keeps its number", &flowpb.Flow{DropReasonDesc: 250}, cols{"drop_code": 250.0, "drop_reason": "DROP_REASON_250"}},
		{
			"flags", &flowpb.Flow{L4: &flowpb.Layer4{Protocol: &flowpb.Layer4_TCP{TCP: &flowpb.TCP{SourcePort: 1, DestinationPort: 65535, Flags: &flowpb.TCPFlags{SYN: true, ACK: true}}}}},
			cols{"protocol": "tcp", "source_port": 1.0, "destination_port": 65535.0, "tcp_flags": "SYN,ACK"},
		},
		{"a port that is none", &flowpb.Flow{L4: &flowpb.Layer4{Protocol: &flowpb.Layer4_UDP{UDP: &flowpb.UDP{SourcePort: 65536}}}}, cols{"protocol": "udp", "source_port": 0.0}},
		{"ICMPv6", &flowpb.Flow{L4: &flowpb.Layer4{Protocol: &flowpb.Layer4_ICMPv6{ICMPv6: &flowpb.ICMPv6{Type: 135, Code: 1}}}}, cols{"protocol": "icmpv6", "icmp_type": 135.0, "icmp_code": 1.0}},
		{
			"the zone is a local endpoint's alone", &flowpb.Flow{NodeLabels: []string{"a=b", "topology.kubernetes.io/zone=eu-1a"}, Source: &flowpb.Endpoint{ID: 7}, Destination: &flowpb.Endpoint{Identity: 2}},
			cols{"source_zone": "eu-1a", "destination_zone": "", "source_endpoint_id": 7.0, "destination_identity": 2.0},
		},
		{"services", &flowpb.Flow{DestinationService: &flowpb.Service{Namespace: "shop", Name: "cart"}}, cols{"source_service": "", "destination_service": "shop/cart"}},
		{
			"a tunnel", &flowpb.Flow{Tunnel: &flowpb.Tunnel{Protocol: flowpb.Tunnel_VXLAN, IP: &flowpb.IP{Source: "192.0.2.1", Destination: "192.0.2.2"}}},
			cols{"tunnel_protocol": "vxlan", "tunnel_source_ip": "192.0.2.1", "tunnel_destination_ip": "192.0.2.2"},
		},
		{"an unknown tunnel is one", &flowpb.Flow{Tunnel: &flowpb.Tunnel{Protocol: 9}}, cols{"tunnel_protocol": "unknown"}},
		{
			"policies", &flowpb.Flow{EgressDeniedBy: []*flowpb.Policy{{Kind: "CiliumNetworkPolicy", Namespace: "shop", Name: "deny"}}, PolicyLog: []string{""}},
			cols{"denied_by": []any{"CiliumNetworkPolicy/shop/deny"}, "policy_log": []any{}},
		},
		{
			"DNS", &flowpb.Flow{L7: &flowpb.Layer7{Type: flowpb.L7FlowType_RESPONSE, LatencyNs: 5, Record: &flowpb.Layer7_Dns{Dns: &flowpb.DNS{
				Query: "example.com.", Ips: []string{"::1%0", "::ffff:192.0.2.9", "nonsense"}, Ttl: 60, Cnames: []string{"c."}, Rcode: 3, Qtypes: []string{"AAAA"},
			}}}},
			cols{"l7_type": "response", "dns_query": "example.com.", "dns_answers": []any{"::1", "192.0.2.9"}, "dns_ttl": 60.0, "dns_cnames": []any{"c."}, "dns_rcode": 3.0, "dns_types": []any{"AAAA"}, "l7_latency_ns": 5.0},
		},
		{
			"secrets of a URL are not kept", &flowpb.Flow{L7: &flowpb.Layer7{Record: &flowpb.Layer7_Http{Http: &flowpb.HTTP{Method: "GET", Url: "http://user:pw@host/path?token=1#x", Code: 200}}}},
			cols{"http_url": "http://host/path", "http_method": "GET", "http_status": 200.0},
		},
		{"an aggregate stands for many", &flowpb.Flow{Aggregate: &flowpb.Aggregate{IngressFlowCount: 2, EgressFlowCount: 3}}, cols{"aggregated_flows": 5.0}},
		{"any other flow for one", &flowpb.Flow{}, cols{"aggregated_flows": 1.0}},
		{"texts are bounded, at a rune", &flowpb.Flow{Interface: &flowpb.NetworkInterface{Name: strings.Repeat("é", 600) + "x"}}, cols{"interface": strings.Repeat("é", 512)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, _ := decode(t, c.flow)
			var names []string
			for n := range c.want {
				names = append(names, n)
			}
			if diff := cmp.Diff(c.want, columns(t, r, names...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeFlaws(t *testing.T) {
	t.Parallel()
	r, ev := decode(t, &flowpb.Flow{Uuid: "not-a-uuid", IP: &flowpb.IP{Source: "10.0.0.256", Destination: "10.0.0.1"}})
	if ev.Flaws != 2 || r.Source.IP.IsValid() || r.UUID != (flow.UUID{}) || r.Destination.IP != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("got %d flaws, source %v, destination %v, uuid %v; want 2, none, 10.0.0.1, none", ev.Flaws, r.Source.IP, r.Destination.IP, r.UUID)
	}
}

func TestDecodeGarbage(t *testing.T) {
	t.Parallel()
	var r flow.Record
	if _, err := hubble.NewDecoder(flow.NewInterner()).Decode([]byte{0x0a, 0xff}, &r); err == nil {
		t.Error("no error")
	}
}

// FuzzDecode: whatever the bytes, no panic, no mapped or zoned address, and nothing that the generated API would not say.
func FuzzDecode(f *testing.F) {
	for _, name := range []string{"06-nat66-pod-to-world-v6-bpf-masq.node-1", "09-dns-l7-a-aaaa-then-connect.node-1", "16-ipv6-fragments-and-errors.node-1", "72b-lost-events-hubble-ring-buffer.node-1", "90-inprocess-handbuilt-events"} {
		file, err := os.Open(recordings + "/" + name + ".jsonl")
		if err != nil {
			f.Fatal(err)
		}
		recording, err := hubble.NewRecording(name, file)
		if err != nil {
			f.Fatal(err)
		}
		for range 40 {
			msg, err := recording.Next()
			if err != nil {
				break
			}
			f.Add(msg.Raw)
		}
		recording.Close()
	}
	names := flow.NewInterner()
	f.Fuzz(func(t *testing.T, raw []byte) {
		var r flow.Record
		ev, err := hubble.NewDecoder(names).Decode(raw, &r)
		var msg observerpb.ExportEvent
		if (proto.Unmarshal(raw, &msg) == nil) != (err == nil) {
			t.Fatalf("error %v, and the generated API differs", err)
		}
		if err != nil {
			return
		}
		for _, a := range append([]netip.Addr{r.Source.IP, r.Destination.IP, r.SourceTranslatedIP, r.TunnelSourceIP, r.TunnelDestinationIP}, r.DNS.Answers...) {
			if a.Is4In6() || a.Zone() != "" {
				t.Errorf("address %v is mapped or has a zone", a)
			}
		}
		if !json.Valid(flow.AppendJSON(nil, "flow", flow.Fields, &r)) {
			t.Error("the record prints as invalid JSON")
		}
		pb := msg.GetFlow()
		if (pb != nil) != (ev.Kind == hubble.KindFlow) {
			t.Fatalf("kind %v, flow %v", ev.Kind, pb)
		}
		if pb == nil {
			return
		}
		same := func(addr netip.Addr, text string) bool {
			want, err := netip.ParseAddr(text)
			return err != nil && !addr.IsValid() || err == nil && addr == want.WithZone("").Unmap()
		}
		if !same(r.Source.IP, pb.GetIP().GetSource()) || !same(r.Destination.IP, pb.GetIP().GetDestination()) {
			t.Errorf("addresses %v, %v from %v", r.Source.IP, r.Destination.IP, pb.GetIP())
		}
		if id := r.Source.Endpoint.Get().Identity; id != pb.GetSource().GetIdentity() {
			t.Errorf("identity %d from %d", id, pb.GetSource().GetIdentity())
		}
		if p := pb.GetL4().GetTCP(); p != nil && p.GetDestinationPort() < 1<<16 && uint32(r.Destination.Port) != p.GetDestinationPort() {
			t.Errorf("port %d from %d", r.Destination.Port, p.GetDestinationPort())
		}
	})
}

// FuzzRecording: whatever the line, the reader goes on to the next.
func FuzzRecording(f *testing.F) {
	f.Add([]byte(line("pod", "03:00")))
	f.Add([]byte(`{"node_status":{"state_change":"NODE_ERROR","node_names":["lab/node-2"]}}`))
	f.Add([]byte(`{"lost_events":{"num_events_lost":"1"}}`))
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) >= 2 && text[0] == 0x1f && text[1] == 0x8b {
			return // gzip ends at its first damage
		}
		text = append(append(text, '\n'), line("last", "03:00")...)
		recording, err := hubble.NewRecording("fuzz", io.NopCloser(bytes.NewReader(text)))
		if err != nil {
			t.Fatal(err)
		}
		var last hubble.Message
		for {
			msg, err := recording.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err == nil {
				last = msg
			}
		}
		var r flow.Record
		if _, err := hubble.NewDecoder(flow.NewInterner()).Decode(last.Raw, &r); err != nil || r.Source.Endpoint.Get().Pod.String() != "last" {
			t.Errorf("last flow is %v, %v", r.Source.Endpoint.Get().Pod, err)
		}
	})
}
