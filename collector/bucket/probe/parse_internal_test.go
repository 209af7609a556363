package probe

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzHeader: whatever a registry writes, what is believed can be.
func FuzzHeader(f *testing.F) {
	for _, seed := range [][3]string{
		{"100;w=21600", "76;w=21600", "192.0.2.1"},
		{"100;w=21600", "0;w=21600", "2001:41d0:801:2000::"},
		{"200;w=21600", "200;w=21600", "186e63fa-abf0-4deb-a711-0dbd34c4a821"},
		{"100", "1;w=1", "::ffff:192.0.2.0/120"},
		{"-1;w=0", "18446744073709551616", "fe80::1%0"},
		{";;w=;w==", "", "/"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, limit, remaining, source string) {
		h := http.Header{limitField: {limit}, remainingField: {remaining}, sourceField: {source}}
		if r, err := parseRate(h); err == nil {
			if r.limit == 0 || r.limit > mostLimit || r.remaining > r.limit || r.window < time.Second || r.window > mostWindow {
				t.Errorf("%q, %q gives %+v", limit, remaining, r)
			}
		} else if r != (rate{}) {
			t.Errorf("%q, %q gives %+v and %v", limit, remaining, r, err)
		}
		a, bits, err := parseSource(h)
		if err != nil && (a.IsValid() || bits != 0) {
			t.Errorf("%q gives %s/%d and %v", source, a, bits, err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("an error of %d characters", len(err.Error()))
		}
		if !a.IsValid() {
			return
		}
		if a.Is4In6() || a.Zone() != "" || bits < 0 || bits > a.BitLen() || bits != 0 && netip.PrefixFrom(a, bits).Masked().Addr() != a {
			t.Errorf("%q gives %s/%d", source, a, bits)
		}
		for _, remote := range []string{"192.0.2.1", "2001:db8::1"} {
			w := way{remote: netip.MustParseAddr(remote)}
			if err := w.checkSource(a, w.remote.Is6()); err == nil && (placeOf(a) != public || a.Is6() && w.remote.Is4()) {
				t.Errorf("%s is believed of %s", a, remote)
			}
		}
	})
}

// FuzzBounds: the true length of a prefix is within the bounds that follow from its first address and from one in it.
func FuzzBounds(f *testing.F) {
	f.Add([]byte{0x20, 1, 0xd, 0xb8, 0, 0xa, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5}, uint8(64))
	f.Add([]byte{198, 51, 100, 7}, uint8(24))
	f.Fuzz(func(t *testing.T, local []byte, length uint8) {
		a, ok := netip.AddrFromSlice(local)
		if !ok || int(length) > a.BitLen() {
			return
		}
		p, err := a.Prefix(int(length))
		if err != nil {
			t.Fatal(err)
		}
		least, most := bounds(p.Addr(), a)
		if least > int(length) || most < int(length) || least < 0 || most > a.BitLen() {
			t.Errorf("%s of %s: bounds %d to %d", p, a, least, most)
		}
		for _, l := range []int{least, most} {
			if got, _ := a.Prefix(l); got.Addr() != p.Addr() {
				t.Errorf("%s of %s: a bound is %d, but that prefix is %s", p, a, l, got)
			}
		}
	})
}

// FuzzChallenge: whatever a registry writes, nothing is made up, and a well-formed challenge is found among others.
func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull"`)
	f.Add(`Basic realm="a, \"b\" c", BEARER realm = https://x/ , x=`)
	f.Add(`Negotiate abc==, Bearer`)
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := parseChallenge([]string{text}); err == nil {
			plain := strings.ReplaceAll(text, `\`, "")
			for _, part := range []string{c.realm, c.service, c.scope} {
				if !strings.Contains(plain, strings.ReplaceAll(part, `\`, "")) {
					t.Errorf("%q gives %q", text, part)
				}
			}
		}
		want := challenge{"https://auth.example/token", "a \"b\", c", "s"}
		got, err := parseChallenge([]string{`Basic realm="no"`, `Basic realm="no", Bearer service="a \"b\", c" ,REALM=https://auth.example/token,scope="s", Basic realm="no"`, text})
		if err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// TestBounds are sources that Docker Hub has told, with an address that may have been the client's.
func TestBounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		source, local string
		likely        []int
		want          string
	}{
		{"2001:41d0:801:2000::", "2001:41d0:801:2000::1234", []int{64, 128, 32}, "2001:41d0:801:2000::/64"},
		{"2604:a880:400:d0::", "2604:a880:400:d0::a:1", []int{64, 128, 32}, "2604:a880:400:d0::/64"},
		{"2a01:7e00::", "2a01:7e00::f03c:91ff:fe00:1", []int{64, 128, 32}, "2a01:7e00::/64"}, // its own first /64
		{"2a01:7e00::", "2a01:7e00:1:2::1", []int{64, 128, 32}, "2a01:7e00::/32"},            // not in that /64
		{"2a01:7e00::", "2a01:7e00:1:2::1", []int{64, 128}, "2a01:7e00::/44"},                // the longest it can be, in fours
		{"2a01:7e00::", "10.0.0.7", []int{64, 128, 32}, "2a01:7e00::/64"},                    // translated
		{"2a01:7e00::", "2001:db8::1", []int{64, 128, 32}, "2a01:7e00::/64"},                 // translated, too
		{"2001:db8::5", "2001:db8::5", []int{64, 128, 32}, "2001:db8::5/128"},
		{"2001:db8::5", "2001:db8::5", nil, "2001:db8::5/128"},
		{"2001:db8:0:8000::", "2001:db8:0:8000::1", []int{48}, "2001:db8:0:8000::/124"},
		{"198.51.100.8", "10.0.0.7", []int{32}, "198.51.100.8/32"},
		{"198.51.100.7", "10.0.0.7", []int{24}, "198.51.100.7/32"},
		{"198.51.100.0", "198.51.100.7", []int{32, 24}, "198.51.100.0/24"},
	} {
		a := Answer{Source: netip.MustParseAddr(tt.source)}
		a.SourceLeast, a.SourceMost = bounds(a.Source, netip.MustParseAddr(tt.local))
		if got, ok := a.Prefix(tt.likely...); !ok || got.String() != tt.want {
			t.Errorf("%s of %s, likely %v: %s, want %s", tt.source, tt.local, tt.likely, got, tt.want)
		}
	}
	if p, ok := (Answer{}).Prefix(64); ok {
		t.Errorf("an answer without a source has the prefix %s", p)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "4000000000": 24 * time.Hour, "-5": 0, "soon": 0, "99999999999999999999": 0,
		"Tue, 24 Nov 2026 12:05:00 GMT": 5 * time.Minute, "Mon, 23 Nov 2026 12:05:00 GMT": 0, "Tue, 24 Nov 2099 12:05:00 GMT": 24 * time.Hour,
	} {
		if diff := cmp.Diff(want, retryAfter(http.Header{"Retry-After": {text}}, now)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}
