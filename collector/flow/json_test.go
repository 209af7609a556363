package flow_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
)

var update = flag.Bool("update", false, "write the golden files")

// fullRecord has a value in every column.
func fullRecord(in *flow.Interner) flow.Record {
	names := func(texts ...string) flow.Names {
		var list []flow.Name
		for _, s := range texts {
			list = append(list, in.Name(s))
		}
		return in.Names(list)
	}
	return flow.Record{
		Time:    time.Date(2026, 11, 24, 6, 7, 8, 9000, time.UTC),
		UUID:    flow.UUID{0x3e, 0x1f, 0x8a, 0x2c, 0x6c, 0x0d, 0x4b, 0x1e, 0x9d, 0x7a, 0x00, 0x01, 0x02, 0x03, 0x04, 0xff},
		Node:    in.Name("kind-worker"),
		Cluster: in.Name("default"),

		EventType: flow.EventTrace, ObservationPoint: flow.ToNetwork, TraceReason: flow.ReasonNew, Verdict: flow.Forwarded,
		DropReason: in.Name("NAT64_DROP"), DropCode: 187, TrafficDirection: flow.Egress, IsReply: flow.No, Encrypted: flow.Yes,

		Family: flow.FamilyIPv6, Protocol: flow.TCP, TCPFlags: flow.SYN | flow.ACK, ICMPType: 1, ICMPCode: 2,

		Source: flow.End{
			IP: netip.MustParseAddr("2001:db8:ffff::53"), Port: 40000, Kind: flow.KindDocumentation,
			Endpoint: in.Endpoint(flow.Endpoint{
				ID: 7, Identity: 4711, Cluster: in.Name("default"), Namespace: in.Name("shop"), Pod: in.Name("cart-0"),
				Workload: in.Name("cart"), WorkloadKind: in.Name("StatefulSet"), Zone: in.Name("zone-a"),
				Labels: names("k8s:app=cart"),
			}),
			Side: flow.SidePod, Service: in.Name("shop/cart"), Names: names("cart.example."),
			Name: in.Name("cart.example."), NameSource: flow.NameSourceHubble, NameAge: 4,
		},
		Destination: flow.End{
			IP: netip.MustParseAddr("64:ff9b::c000:201"), Port: 443, Kind: flow.KindNAT64,
			Endpoint: in.Endpoint(flow.Endpoint{
				ID: 8, Identity: 2, Cluster: in.Name("other"), Namespace: in.Name("bank"), Pod: in.Name("till-1"),
				Workload: in.Name("till"), WorkloadKind: in.Name("Deployment"), Zone: in.Name("zone-b"),
			}),
			Side: flow.SideWorld, Service: in.Name("bank/till"), Names: names("registry.example.", "cdn.example."),
			Name: in.Name("registry.example."), NameSource: flow.NameSourceDNS, NameAge: 5,
		},
		Direction: flow.EgressDirection,

		SourceTranslatedIP: netip.MustParseAddr("192.0.2.7"), EmbeddedIPv4: netip.MustParseAddr("192.0.2.1"),

		Class: flow.NAT64, ClassEvidence: flow.Confirmed, ClassRule: in.Name("nat64_prefix_and_dns64"),
		SourceNAT: flow.SourceNAT66, SourceNATEvidence: flow.Inferred, SourceNATRule: in.Name("masquerade_configured"),
		ServiceNAT: true, EgressIP: netip.MustParseAddr("2001:db8::2"), EgressIPEvidence: flow.Inferred, Noise: flow.NoiseNDP,
		Counted: true, Duplicate: in.Name("not_the_best_view"),

		Interface: in.Name("eth0"), ProxyPort: 10000, TunnelProtocol: flow.VXLAN,
		TunnelSourceIP: netip.MustParseAddr("172.18.0.2"), TunnelDestinationIP: netip.MustParseAddr("172.18.0.3"),
		SocketPoint: flow.SocketPreForward,

		L7Type: flow.L7Response, L7LatencyNs: 1_500_000,
		DNS: flow.DNS{
			Query: in.Name("registry.example."), Types: names("A", "AAAA"), RCode: 3, TTL: 30,
			Answers: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
			CNAMEs:  names("cdn.example."), Source: in.Name("proxy"),
		},
		HTTP: flow.HTTP{Method: in.Name("GET"), URL: in.Name("http://till.bank/pay"), Protocol: in.Name("HTTP/1.1"), Status: 200},

		AllowedBy: names("CiliumNetworkPolicy/shop/allow-out"), DeniedBy: names("NetworkPolicy/bank/deny-in"),
		PolicyLog: names("audit me"), AggregatedFlows: 3,
		Bytes: flow.Count{N: 1500, Known: true}, Packets: flow.Count{Known: true},
	}
}

func TestAppendJSONGolden(t *testing.T) {
	in := flow.NewInterner()
	full := fullRecord(in)
	gap := flow.Gap{
		Node: in.Name("kind-worker"), Cluster: in.Name("default"), Cause: flow.GapLostRing,
		From: full.Time, To: full.Time.Add(1500 * time.Millisecond), Count: flow.Count{N: 12, Known: true},
		Detail: in.Name("the ring was too fast"),
	}
	golden(t, "record", flow.AppendJSON(nil, "flow", flow.Fields, &full))
	golden(t, "record_zero", flow.AppendJSON(nil, "flow", flow.Fields, &flow.Record{}))
	golden(t, "gap", flow.AppendJSON(nil, "gap", flow.GapFields, &gap))
	beat := flow.Beat{
		Node: gap.Node, Cluster: gap.Cluster, From: full.Time, To: full.Time.Add(time.Minute), Flows: flow.Count{Known: true},
	}
	golden(t, "heartbeat", flow.AppendJSON(nil, "heartbeat", flow.BeatFields, &beat))
	golden(t, "gap_zero", flow.AppendJSON(nil, "gap", flow.GapFields, &flow.Gap{}))
}

// golden compares the object, one key a line, with testdata/NAME.golden.
func golden(t *testing.T, name string, object []byte) {
	t.Helper()
	var got bytes.Buffer
	if err := json.Indent(&got, object, "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-update writes it anew):\n%s", file, diff)
	}
}

func TestAppendJSONAppends(t *testing.T) {
	got := flow.AppendJSON([]byte("before "), "gap", flow.GapFields[:1], &flow.Gap{})
	if want := `before {"record":"gap","node":""}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// An enum out of range reads as its first word, here as in String.
func TestAppendJSONEnumOutOfRange(t *testing.T) {
	got := columns(t, flow.Fields, &flow.Record{Verdict: 200, TCPFlags: 0xffff})
	if got["verdict"] != `"VERDICT_UNKNOWN"` || got["tcp_flags"] != `""` {
		t.Errorf("verdict %s, tcp_flags %s", got["verdict"], got["tcp_flags"])
	}
}

func TestUUIDString(t *testing.T) {
	u := fullRecord(flow.NewInterner()).UUID
	if got, want := u.String(), "3e1f8a2c-6c0d-4b1e-9d7a-0001020304ff"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What a stranger puts into a name stays one line of valid JSON and comes back as it was.
func FuzzAppendJSON(f *testing.F) {
	for _, s := range []string{
		"", "kind-worker", `"`, `\`, "\n", "\r\n", "\x00", "\x1b[2J", "\x7f", "\u0085", "\u2028\u2029", "\xff\xfe", "a\xc0\x80b",
		"\xed\xa0\x80", "\ufffd", "日本", "🦭", "</script>", `{"a":1}`, "\u202egnp.exe",
	} {
		f.Add(s)
	}
	in := flow.NewInterner()
	f.Fuzz(func(t *testing.T, s string) {
		name := in.Name(s)
		r := flow.Record{Node: name, AllowedBy: in.Names([]flow.Name{name, in.Name("x"), name})}
		line := flow.AppendJSON(nil, s, flow.Fields, &r)
		for _, c := range string(line) {
			if c < 0x20 || c >= 0x7f && c < 0xa0 || c == '\u2028' || c == '\u2029' {
				t.Fatalf("%U stands bare in %q", c, line)
			}
		}
		var got struct {
			Record    string
			Node      string
			AllowedBy []string `json:"allowed_by"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		want := string([]rune(s)) // each byte that is not UTF-8 becomes U+FFFD
		if got.Record != want || got.Node != want || !cmp.Equal(got.AllowedBy, []string{want, "x", want}) {
			t.Fatalf("%q came back as %+v", s, got)
		}
	})
}

func TestAppendJSONDoesNotAllocate(t *testing.T) {
	r := fullRecord(flow.NewInterner())
	buf := flow.AppendJSON(nil, "flow", flow.Fields, &r)
	if n := testing.AllocsPerRun(100, func() { buf = flow.AppendJSON(buf[:0], "flow", flow.Fields, &r) }); n != 0 {
		t.Errorf("%v allocations for a record into a warm buffer", n)
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	r := fullRecord(flow.NewInterner())
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = flow.AppendJSON(buf[:0], "flow", flow.Fields, &r)
	}
	b.SetBytes(int64(len(buf)))
}
