package verdict_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"testing"

	"pgregory.net/rapid"

	"sextant/collector/verdict"
)

// TestPref64 holds Pref64 against the examples of RFC 7050 and what may go wrong.
func TestPref64(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ address, want string }{
		{"64:ff9b::c000:aa", "64:ff9b::/96"},
		{"64:ff9b::c000:ab", "64:ff9b::/96"},
		{"64:ff9b:1:abcd::c000:aa", "64:ff9b:1:abcd::/96"},
		{"fd00:64::c000:aa", "fd00:64::/96"},
		{"2001:db8:c000:aa::", "2001:db8::/32"},
		{"2001:db8:1c0:0:aa::", "2001:db8:100::/40"},
		{"2001:db8:122:c000:0:aa00::", "2001:db8:122::/48"},
		{"2001:db8:122:3c0:0:ab::", "2001:db8:122:300::/56"},
		{"2001:db8:122:344:c0:0:aa00::", "2001:db8:122:344::/64"},
		{"2001:db8:122:344::c000:aa", "2001:db8:122:344::/96"},
		{"2001:db8:c000:aa::c000:aa", "2001:db8:c000:aa::/96"}, // the prefix has such bits itself
		{"2001:db8:c000:aa::c000:ab", "2001:db8:c000:aa::/96"}, // even the other address's
		{"2001:db8:c000:ab:0:1::", "2001:db8::/32"},            // a suffix, but one place
		{"2001:db8:c000:aa:c0:0:aa00:1", ""},                   // two places and a suffix
		{"2001:db8::1", ""},                                    // its own
		{"2001:db8::c000:ac", ""},                              // 192.0.0.172
		{"2001:db8:0:c000:aa00::", ""},                         // bits 64 to 71 are set
		{"2001:db8:122:344:100:0:c000:aa", ""},                 // here too
		{"::c000:aa", ""},                                      // IPv4 in other clothes
		{"::ffff:192.0.0.170", ""},
		{"192.0.0.170", ""},
		{"fe80::c000:aa", ""}, // not routed
		{"ff0e::c000:aa", ""},
		{"::", ""},
	} {
		got := ""
		if prefix, ok := verdict.Pref64(netip.MustParseAddr(c.address)); ok {
			got = prefix.String()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.address, got, c.want)
		}
	}
	if _, ok := verdict.Pref64(netip.Addr{}); ok {
		t.Error("no address has a prefix")
	}
}

// TestPref64FindsEncoded: whatever prefix a DNS64 has, its answers give it away.
func TestPref64FindsEncoded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		bytes := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		bytes[0], bytes[8] = 0x20|bytes[0]&0x1f, 0
		bits := rapid.SampledFrom([]int{32, 40, 48, 56, 64, 96}).Draw(t, "bits")
		want := netip.PrefixFrom(netip.AddrFrom16(bytes), bits).Masked()
		a, err := verdict.Encode(want, netip.AddrFrom4([4]byte{192, 0, 0, rapid.SampledFrom([]byte{170, 171}).Draw(t, "last")}))
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := verdict.Pref64(a); !ok || got != want {
			t.Fatalf("%s: got %s, %v, want %s", a, got, ok, want)
		}
	})
}

// TestPref64Vectors are RFC 7050's own examples.
func TestPref64Vectors(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/nat64.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		RFC7050 struct {
			Examples []struct {
				AAAA   []netip.Addr
				Pref64 netip.Prefix
			}
		}
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors.RFC7050.Examples) == 0 {
		t.Fatal(err, "or no examples")
	}
	for _, e := range vectors.RFC7050.Examples {
		for _, a := range e.AAAA {
			if got, ok := verdict.Pref64(a); !ok || got != e.Pref64 {
				t.Errorf("%s: got %s, %v, want %s", a, got, ok, e.Pref64)
			}
		}
	}
}
