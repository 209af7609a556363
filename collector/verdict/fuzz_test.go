package verdict_test

import (
	"net/netip"
	"testing"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// FuzzAddress: whatever bytes an address has, the verdict comes without a panic, every address has a kind, and what is
// embedded is plain IPv4.
func FuzzAddress(f *testing.F) {
	for _, a := range []string{
		"", "1.2.3.4", "::", "::ffff:1.2.3.4", "64:ff9b::1.2.3.4", "2001:db8:122:300::221:0:0", "2002:102:304::1",
		"2001:0:4136:e378:8000:63bf:3fff:fdd2", "fe80::5efe:1.2.3.4",
	} {
		f.Add(addr(a).AsSlice(), uint8(0))
		f.Add(addr(a).AsSlice(), uint8(96))
	}
	kinds := verdict.NewKinds()
	f.Fuzz(func(t *testing.T, raw []byte, bits uint8) {
		a, _ := netip.AddrFromSlice(raw)
		own, err := verdict.NewPrefixes(netip.PrefixFrom(a, int(bits)).Masked())
		if err != nil {
			own = verdict.Prefixes{}
		}
		kind := kinds.Of(a)
		if (kind == flow.KindUnknown) == a.IsValid() {
			t.Fatalf("%s is %s", a, kind)
		}
		if v4, prefix, ok := own.Embedded(a); ok != v4.Is4() || ok != prefix.Contains(a) {
			t.Fatalf("Embedded(%s) = %s, %s, %v", a, v4, prefix, ok)
		}
		if v4 := verdict.TunnelIPv4(kind, a); v4.IsValid() && !v4.Is4() {
			t.Fatalf("TunnelIPv4(%s, %s) = %s", kind, a, v4)
		}

		b := &flow.Batch{Records: []flow.Record{{Source: flow.End{IP: a}, Destination: flow.End{IP: a}}}}
		verdict.New(flow.NewInterner(), own).Process(b)
		if v4 := b.Records[0].EmbeddedIPv4; v4.IsValid() && !v4.Is4() {
			t.Fatalf("embedded_ipv4 of %s is %s", a, v4)
		}
	})
}

// FuzzRecord: no record makes the stage panic, and every one is judged by a rule of the table, with evidence where it
// says something and none where it does not.
func FuzzRecord(f *testing.F) {
	for i := range 64 {
		f.Add(uint64(i)*0x9e3779b97f4a7c15, uint64(i), addr("fd10:201:0:1::5ab6").AsSlice(), addr("198.51.100.10").AsSlice())
	}
	names := flow.NewInterner()
	rules := map[string]bool{}
	for _, rule := range verdict.Rules() {
		rules[rule.Name] = true
	}
	stages := []*verdict.Stage{verdict.New(names, verdict.Prefixes{})}
	for _, c := range []*verdict.Cluster{{}, lab(bpf), withPolicy(lab(with(iptables, gateways))), demo(defaults, with(defaults, nativeMode))} {
		stage := verdict.New(names, verdict.Prefixes{})
		stage.SetFacts(verdict.NewFacts(names, c))
		stages = append(stages, stage)
	}
	pool := append(addrs("10.201.1.1", "fd10:201:0:2::3f0b", "172.31.250.1", "2001:db8:a::2", "10.201.1.226", "10.96.0.100",
		"64:ff9b::1.2.3.4", "fe80::1", "ff02::1", "2002::1", "192.0.0.4", "169.254.172.1", client.v6), netip.Addr{})
	ids := []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 255, 256, 71196, 1 << 24, 2 << 24, 3 << 24, 1<<32 - 1}
	f.Fuzz(func(t *testing.T, seed, more uint64, source, destination []byte) {
		take := func(n uint64) uint64 {
			v := seed % n
			seed = seed/n ^ more
			more = more>>7 | more<<57
			return v
		}
		end := func(raw []byte) flow.End {
			a, _ := netip.AddrFromSlice(raw)
			if take(2) == 0 {
				a = pool[take(uint64(len(pool)))]
			}
			pod := []string{"", "pod"}[take(2)]
			return flow.End{IP: a, Port: uint16(take(100)), NameSource: flow.NameSource(take(4)), Endpoint: names.Endpoint(flow.Endpoint{
				Identity: ids[take(uint64(len(ids)))], ID: uint32(take(2)), Pod: names.Name(pod),
			})}
		}
		r := flow.Record{
			Node: names.Name([]string{"node-1", "node-2", ""}[take(3)]), Cluster: names.Name("lab"), Source: end(source), Destination: end(destination),
			EventType: flow.EventType(take(10)), ObservationPoint: flow.ObservationPoint(take(16)), TraceReason: flow.TraceReason(take(10)),
			Verdict: flow.Verdict(take(9)), DropCode: uint16(take(256)), IsReply: flow.Tristate(take(4)), Family: flow.Family(take(5)),
			Protocol: flow.Protocol(take(9)), TCPFlags: flow.TCPFlags(take(512)), ICMPType: uint8(take(256)),
			SocketPoint: flow.SocketPoint(take(6)), TunnelProtocol: flow.TunnelProtocol(take(5)),
		}
		if take(3) == 0 {
			r.SourceTranslatedIP = pool[take(uint64(len(pool)))]
		}
		for _, stage := range stages {
			b := &flow.Batch{Records: []flow.Record{r}}
			stage.Process(b)
			got := &b.Records[0]
			if !rules[got.ClassRule.String()] || !rules[got.SourceNATRule.String()] ||
				(got.Class == flow.ClassUnknown) != (got.ClassEvidence == flow.EvidenceNone) ||
				(got.SourceNAT == flow.SourceNATUnknown) != (got.SourceNATEvidence == flow.EvidenceNone) ||
				got.EgressIP.IsValid() != (got.EgressIPEvidence != flow.EvidenceNone) {
				t.Fatalf("%s", flow.AppendJSON(nil, "flow", flow.Fields, got))
			}
			told := got.SourceTranslatedIP.IsValid() && got.ObservationPoint != flow.ToEndpoint && got.ObservationPoint != flow.ToProxy
			if !told && got.SourceNATEvidence == flow.Observed || !told && got.DropCode == 0 && got.ClassEvidence == flow.Observed {
				t.Fatalf("observed, but nobody told: %s", flow.AppendJSON(nil, "flow", flow.Fields, got))
			}
		}
	})
}
