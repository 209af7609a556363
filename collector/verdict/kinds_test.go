package verdict_test

import (
	"encoding/csv"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

func TestKinds(t *testing.T) {
	kinds := verdict.NewKinds()
	seen := map[flow.AddressKind]bool{}
	for _, row := range []struct {
		addr string
		want flow.AddressKind
	}{
		{"1.1.1.1", flow.KindPublic},
		{"140.82.121.3", flow.KindPublic},
		{"0.0.0.0", flow.KindUnspecified},
		{"0.0.0.1", flow.KindReserved},
		{"10.0.0.1", flow.KindPrivate},
		{"172.31.255.255", flow.KindPrivate},
		{"172.32.0.0", flow.KindPublic},
		{"192.168.0.1", flow.KindPrivate},
		{"100.64.0.1", flow.KindShared},
		{"127.0.0.53", flow.KindLoopback},
		{"169.254.169.254", flow.KindLinkLocal},
		{"192.0.0.0", flow.KindCLAT},
		{"192.0.0.7", flow.KindCLAT},
		{"192.0.0.8", flow.KindReserved},
		{"192.0.0.11", flow.KindReserved},
		{"192.0.0.9", flow.KindPublic},
		{"192.0.0.170", flow.KindReserved},
		{"192.0.2.33", flow.KindDocumentation},
		{"192.88.99.1", flow.KindReserved},
		{"198.51.100.1", flow.KindDocumentation},
		{"203.0.113.1", flow.KindDocumentation},
		{"198.19.255.255", flow.KindBenchmark},
		{"224.0.0.251", flow.KindMulticast},
		{"239.255.255.255", flow.KindMulticast},
		{"240.0.0.1", flow.KindReserved},
		{"255.255.255.254", flow.KindReserved},
		{"255.255.255.255", flow.KindBroadcast},

		{"2001:4860:4860::8888", flow.KindGUA},
		{"2a00:1450:4001:80b::200e", flow.KindGUA},
		{"3ffe::1", flow.KindGUA},
		{"::", flow.KindUnspecified},
		{"::1", flow.KindLoopback},
		{"::2", flow.KindReserved},
		{"::ffff:192.0.2.1", flow.KindReserved},
		{"64:ff9b::1.1.1.1", flow.KindNAT64},
		{"64:ff9b:0:0:0:1::", flow.KindReserved},
		{"64:ff9b:1::1", flow.KindNAT64Local},
		{"64:ff9b:1:ffff::1", flow.KindNAT64Local},
		{"64:ff9b:2::1", flow.KindReserved},
		{"100::1", flow.KindDiscard},
		{"100:0:0:1::1", flow.KindReserved},
		{"2001::1", flow.KindTeredo},
		{"2001:1::1", flow.KindGUA},
		{"2001:1::4", flow.KindReserved},
		{"2001:2::1", flow.KindBenchmark},
		{"2001:3::1", flow.KindGUA},
		{"2001:10::1", flow.KindReserved},
		{"2001:20::1", flow.KindORCHID},
		{"2001:2f:ffff::1", flow.KindORCHID},
		{"2001:30::1", flow.KindORCHID},
		{"2001:40::1", flow.KindReserved},
		{"2001:1ff::1", flow.KindReserved},
		{"2001:200::1", flow.KindGUA},
		{"2001:db8::1", flow.KindDocumentation},
		{"3fff:fff::1", flow.KindDocumentation},
		{"3fff:1000::1", flow.KindGUA},
		{"2002:c000:221::1", flow.Kind6to4},
		{"2003::1", flow.KindGUA},
		{"4000::1", flow.KindReserved},
		{"5f00::1", flow.KindSRv6},
		{"5f01::1", flow.KindReserved},
		{"fc00::1", flow.KindULA},
		{"fd00:10:42::7", flow.KindULA},
		{"fe00::1", flow.KindReserved},
		{"fe80::1", flow.KindLinkLocal},
		{"fe80::1%eth0", flow.KindLinkLocal},
		{"febf::1", flow.KindLinkLocal},
		{"fec0::1", flow.KindSiteLocal},
		{"feff::1", flow.KindSiteLocal},
		{"ff02::1:ff00:1", flow.KindMulticast},
		{"ff0e::1", flow.KindMulticast},

		{"fe80::5efe:c000:221", flow.KindISATAP},
		{"fe80::200:5efe:c000:221", flow.KindISATAP},
		{"2a00:1:2:3:0:5efe:c000:221", flow.KindISATAP},
		{"fd00::200:5efe:a00:1", flow.KindISATAP},
		{"2a00:1:2:3:100:5efe:c000:221", flow.KindGUA},
		{"2a00:1:2:3:0:5eff:c000:221", flow.KindGUA},
		{"2a00:1:2:3:1:5efe:c000:221", flow.KindGUA},
		{"ff02::5efe:c000:221", flow.KindMulticast},
		{"2002:c000:221::5efe:c000:221", flow.Kind6to4},
	} {
		if got := kinds.Of(netip.MustParseAddr(row.addr)); got != row.want {
			t.Errorf("%s is %s, want %s", row.addr, got, row.want)
		}
		seen[row.want] = true
	}
	if got := kinds.Of(netip.Addr{}); got != flow.KindUnknown {
		t.Errorf("the invalid address is %s, want unknown", got)
	}
	for kind := flow.KindGUA; kind <= flow.KindReserved; kind++ {
		if !seen[kind] {
			t.Errorf("no address of kind %s was looked up", kind)
		}
	}
}

// TestKindsAgainstLinearScan compares the table with a walk over the rows of the files, at the edges of every prefix and
// at random.
func TestKindsAgainstLinearScan(t *testing.T) {
	kinds, rows := verdict.NewKinds(), readRows(t)
	check := func(a netip.Addr) {
		t.Helper()
		if got, want := kinds.Of(a).String(), scan(rows, a); got != want {
			t.Fatalf("%s is %s, want %s", a, got, want)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, row := range rows {
		for _, a := range []netip.Addr{row.prefix.Addr(), last(row.prefix)} {
			for _, a := range []netip.Addr{a, a.Prev(), a.Next()} {
				if a.IsValid() {
					check(a)
				}
			}
		}
		for range 1000 {
			check(within(random, row.prefix))
		}
	}
}

type ianaRow struct {
	prefix netip.Prefix
	kind   string
}

func readRows(t *testing.T) []ianaRow {
	t.Helper()
	files, err := filepath.Glob("iana/*.csv")
	if err != nil || len(files) == 0 {
		t.Fatalf("no registries: %v", err)
	}
	var rows []ianaRow
	seen := map[netip.Prefix]bool{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		r := csv.NewReader(f)
		r.Comment = '#'
		records, err := r.ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records[1:] {
			prefix := netip.MustParsePrefix(record[0])
			if prefix != prefix.Masked() || seen[prefix] {
				t.Errorf("%s: %s has bits after the prefix, or stands there twice", file, prefix)
			}
			seen[prefix] = true
			rows = append(rows, ianaRow{prefix, record[3]})
		}
	}
	return rows
}

func scan(rows []ianaRow, a netip.Addr) string {
	bits, kind := -1, ""
	for _, row := range rows {
		if p := row.prefix; p.Bits() > bits && p.Addr().Is4() == a.Is4() && p.Contains(a) {
			bits, kind = p.Bits(), row.kind
		}
	}
	return kind
}

// last returns the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// within returns a random address of a prefix.
func within(random *rand.Rand, p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		if random.IntN(2) == 1 {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func BenchmarkKinds(b *testing.B) {
	kinds := verdict.NewKinds()
	for _, addr := range []string{"140.82.121.3", "10.42.0.7", "2001:4860:4860::8888", "fd00:10:42::7", "64:ff9b::1.1.1.1"} {
		a := netip.MustParseAddr(addr)
		b.Run(kinds.Of(a).String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				kinds.Of(a)
			}
		})
	}
}
