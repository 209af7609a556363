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
