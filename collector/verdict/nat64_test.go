package verdict_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sextant/collector/verdict"
)

// TestRFC6052Vectors runs the addresses of RFC 6052 section 2.4 and RFC 7050 both ways.
func TestRFC6052Vectors(t *testing.T) {
	text, err := os.ReadFile("testdata/nat64.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		RFC6052 struct {
			IPv4    netip.Addr
			Vectors []struct {
				Prefix netip.Prefix
				IPv6   netip.Addr
			}
		} `json:"rfc6052_section_2_4"`
		RFC7050 struct {
			A       []netip.Addr
			WKPAAAA []netip.Addr `json:"wkp_aaaa"`
		} `json:"rfc7050"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	both := func(prefix netip.Prefix, v4, v6 netip.Addr) {
		t.Helper()
		if got, err := verdict.Encode(prefix, v4); err != nil || got != v6 {
			t.Errorf("Encode(%s, %s) = %s, %v, want %s", prefix, v4, got, err, v6)
		}
		got, in, ok := prefixes(t, prefix.String()).Embedded(v6)
		if got != v4 || in != prefix || !ok {
			t.Errorf("Embedded(%s) = %s, %s, %v, want %s, %s", v6, got, in, ok, v4, prefix)
		}
	}
	if len(file.RFC6052.Vectors) != 7 || len(file.RFC7050.A) != 2 {
		t.Fatalf("vectors are missing: %+v", file)
	}
	for _, v := range file.RFC6052.Vectors {
		both(v.Prefix, file.RFC6052.IPv4, v.IPv6)
	}
	for i, a := range file.RFC7050.A {
		both(netip.MustParsePrefix("64:ff9b::/96"), a, file.RFC7050.WKPAAAA[i])
	}
}

func TestEmbedded(t *testing.T) {
	many := []string{"2001:db8::/32", "2001:db8:64::/48", "2001:db8:64:64::/96", "64:ff9b:1::/48", "64:ff9b:1:fffe::/96"}
	for _, row := range []struct {
		name, addr string
		prefixes   []string
		v4, prefix string // empty where nothing is embedded
	}{
		{"well-known, not configured", "64:ff9b::102:304", nil, "1.2.3.4", "64:ff9b::/96"},
		{"well-known beside others", "64:ff9b::102:304", many, "1.2.3.4", "64:ff9b::/96"},
		{"just outside", "64:ff9b:0:0:0:1:102:304", nil, "", ""},
		{"local use, not configured", "64:ff9b:1::102:304", nil, "", ""},
		{"local use", "64:ff9b:1:102:3:400::", many, "1.2.3.4", "64:ff9b:1::/48"},
		{"longest of two, local use", "64:ff9b:1:fffe::102:304", many, "1.2.3.4", "64:ff9b:1:fffe::/96"},
		{"longest of three", "2001:db8:64:64::102:304", many, "1.2.3.4", "2001:db8:64:64::/96"},
		{"second of three", "2001:db8:64:102:3:400::", many, "1.2.3.4", "2001:db8:64::/48"},
		{"shortest of three", "2001:db8:102:304::", many, "1.2.3.4", "2001:db8::/32"},
		{"bits 64 to 71 set", "2001:db8:102:304:100::", many, "", ""},
		{"a suffix is ignored", "2001:db8:102:304::dead:beef", many, "1.2.3.4", "2001:db8::/32"},
		{"a native address", "2a00:1450:4001:80b::200e", many, "", ""},
		{"an IPv4 address", "1.2.3.4", many, "", ""},
	} {
		v4, prefix, ok := prefixes(t, row.prefixes...).Embedded(netip.MustParseAddr(row.addr))
		want, _ := netip.ParseAddr(row.v4)
		wantPrefix, _ := netip.ParsePrefix(row.prefix)
		if v4 != want || prefix != wantPrefix || ok != want.IsValid() {
			t.Errorf("%s: Embedded(%s) = %s, %s, %v, want %q, %q", row.name, row.addr, v4, prefix, ok, row.v4, row.prefix)
		}
	}
}

func TestPrefixes(t *testing.T) {
	got := prefixes(t, "2001:db8::/32", "2001:db8:1::/96", "64:ff9b::/96", "2001:db8:2::/48", "2001:db8:1::/96").List()
	var want []netip.Prefix
	for _, p := range []string{"64:ff9b::/96", "2001:db8:1::/96", "2001:db8:2::/48", "2001:db8::/32"} {
		want = append(want, netip.MustParsePrefix(p))
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("prefixes, longest first and each once (-want +got):\n%s", diff)
	}
}

func TestPrefixErrors(t *testing.T) {
	long := netip.MustParsePrefix("2001:db8::/96")
	for _, row := range []struct {
		prefix netip.Prefix
		want   string
	}{
		{netip.MustParsePrefix("2001:db8::/47"), "2001:db8::/47: the length must be 32, 40, 48, 56, 64 or 96"},
		{netip.MustParsePrefix("::/0"), "the length must be"},
		{netip.MustParsePrefix("2001:db8::1/128"), "the length must be"},
		{netip.MustParsePrefix("10.0.0.0/8"), "must be an IPv6 prefix"},
		{netip.MustParsePrefix("::ffff:0:0/96"), "must be an IPv6 prefix"},
		{netip.MustParsePrefix("2001:db8::1/96"), "did you mean 2001:db8::/96?"},
		{netip.MustParsePrefix("2001:db8:0:0:100::/96"), "bits 64 to 71 must be zero"},
		{netip.Prefix{}, "invalid prefix"},
		{netip.PrefixFrom(long.Addr(), 129), "invalid prefix"},
	} {
		_, err := verdict.NewPrefixes(row.prefix)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("NewPrefixes(%s): %v, want %q", row.prefix, err, row.want)
		}
		if _, err := verdict.Encode(row.prefix, netip.MustParseAddr("1.2.3.4")); err == nil {
			t.Errorf("Encode(%s, …) gave no error", row.prefix)
		}
	}
	_, err := verdict.NewPrefixes(netip.MustParsePrefix("2001:db8::/33"), long, netip.MustParsePrefix("2001:db8::/34"))
	if err == nil || !strings.Contains(err.Error(), "/33") || !strings.Contains(err.Error(), "/34") {
		t.Errorf("two wrong prefixes: %v, want both named", err)
	}
	if _, err := verdict.Encode(long, netip.MustParseAddr("::1")); err == nil {
		t.Error("Encode took an IPv6 address for IPv4")
	}
}

func TestEncodeThenEmbedded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		prefix, v4 := drawPrefix(t), drawIPv4(t)
		v6, err := verdict.Encode(prefix, v4)
		if err != nil {
			t.Fatal(err)
		}
		if !prefix.Contains(v6) {
			t.Fatalf("%s is not in %s", v6, prefix)
		}
		p, err := verdict.NewPrefixes(prefix)
		if err != nil {
			t.Fatal(err)
		}
		if got, in, ok := p.Embedded(v6); got != v4 || in != prefix || !ok {
			t.Fatalf("Embedded(Encode(%s, %s) = %s) = %s, %s, %v", prefix, v4, v6, got, in, ok)
		}
	})
}

// TestEmbeddedThenEncode: what Embedded finds in any address leads back to that address, but for the bits behind the
// IPv4 address.
func TestEmbeddedThenEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(drawPrefix), 1, 6).Draw(t, "prefixes")
		p, err := verdict.NewPrefixes(list...)
		if err != nil {
			t.Fatal(err)
		}
		b := rapid.SampledFrom(p.List()).Draw(t, "prefix").Addr().As16()
		copy(b[12:], rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "tail"))
		b[8] = rapid.SampledFrom([]byte{0, 0, 1, 0x80}).Draw(t, "u")
		b[9] = rapid.Byte().Draw(t, "ninth")
		a := netip.AddrFrom16(b)

		v4, prefix, ok := p.Embedded(a)
		if b[8] != 0 && ok {
			t.Fatalf("Embedded(%s) = %s though bits 64 to 71 are set", a, v4)
		}
		for _, longer := range p.List() {
			if ok && longer.Bits() > prefix.Bits() && longer.Contains(a) {
				t.Fatalf("Embedded(%s) took %s, not %s", a, prefix, longer)
			}
		}
		if !ok {
			return
		}
		back, err := verdict.Encode(prefix, v4)
		if err != nil {
			t.Fatal(err)
		}
		bits := prefix.Bits() + 32
		if prefix.Bits() <= 64 && bits > 64 {
			bits += 8
		}
		if want := netip.PrefixFrom(a, bits).Masked().Addr(); back != want {
			t.Fatalf("Embedded(%s) = %s in %s, which encodes to %s, want %s", a, v4, prefix, back, want)
		}
	})
}

func prefixes(t testing.TB, list ...string) verdict.Prefixes {
	t.Helper()
	var parsed []netip.Prefix
	for _, p := range list {
		parsed = append(parsed, netip.MustParsePrefix(p))
	}
	p, err := verdict.NewPrefixes(parsed...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func drawPrefix(t *rapid.T) netip.Prefix {
	b := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "prefix bytes"))
	b[0], b[8] = 0x20, 0
	return netip.PrefixFrom(netip.AddrFrom16(b), rapid.SampledFrom([]int{32, 40, 48, 56, 64, 96}).Draw(t, "bits")).Masked()
}

func drawIPv4(t *rapid.T) netip.Addr {
	return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ipv4")))
}
