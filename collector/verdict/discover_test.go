package verdict_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
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

// zone is what a DNS server of these tests knows of ipv4only.arpa.
type zone struct {
	mu      sync.Mutex
	rcode   dnsmessage.RCode
	aaaa    []string
	silent  bool
	cut     bool // UDP answers say that they are too long
	asked   int
	problem string
}

func (z *zone) set(change func(*zone)) {
	z.mu.Lock()
	defer z.mu.Unlock()
	change(z)
}

// answer returns the answer to a query, nil for none.
func (z *zone) answer(query []byte, udp bool) []byte {
	z.mu.Lock()
	defer z.mu.Unlock()
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return nil
	}
	question, err := p.Question()
	if err != nil {
		return nil
	}
	z.asked++
	if question.Type != dnsmessage.TypeAAAA || question.Name.String() != "ipv4only.arpa." || header.CheckingDisabled {
		z.problem = "asked " + question.Name.String() + " " + question.Type.String() + " or with CD set"
	}
	if z.silent {
		return nil
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{
		ID: header.ID, Response: true, RecursionDesired: true, RecursionAvailable: true, RCode: z.rcode, Truncated: udp && z.cut,
	})
	must := func(err error) {
		if err != nil {
			z.problem = err.Error()
		}
	}
	must(b.StartQuestions())
	must(b.Question(question))
	must(b.StartAnswers())
	if !udp || !z.cut {
		for _, a := range z.aaaa {
			must(b.AAAAResource(dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class, TTL: 60},
				dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(a).As16()}))
		}
	}
	message, err := b.Finish()
	must(err)
	return message
}

// serve answers on a loopback address until the test ends, over UDP and TCP.
func (z *zone) serve(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	udp, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { udp.Close(); tcp.Close(); running.Wait() })
	running.Go(func() {
		for buf := make([]byte, 1500); ; {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := z.answer(buf[:n], true); answer != nil {
				if _, err := udp.WriteTo(answer, from); err != nil {
					return
				}
			}
		}
	})
	running.Go(func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			z.stream(conn)
		}
	})
	return netip.MustParseAddrPort(udp.LocalAddr().String())
}

// stream answers one query on a stream, where a length goes before each message (RFC 1035 section 4.2.2).
func (z *zone) stream(conn net.Conn) {
	defer conn.Close()
	var length uint16
	if binary.Read(conn, binary.BigEndian, &length) != nil {
		return
	}
	query := make([]byte, length)
	if _, err := io.ReadFull(conn, query); err != nil {
		return
	}
	if answer := z.answer(query, false); answer != nil {
		_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)) // the other side knows
		return
	}
	io.Copy(io.Discard, conn) // say nothing until the other side gives up
}

func TestDiscover(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what string
		zone *zone
		want []string
		err  string // in the error; empty is none
	}{
		{"one prefix", &zone{aaaa: []string{"2001:db8:64::c000:aa", "2001:db8:64::c000:ab"}}, []string{"2001:db8:64::/96"}, ""},
		{"one address is enough", &zone{aaaa: []string{"2001:db8:64::c000:ab"}}, []string{"2001:db8:64::/96"}, ""},
		{"several prefixes, sorted", &zone{aaaa: []string{
			"2001:db8:122:c000:0:aa00::", "64:ff9b::c000:aa", "2001:db8:122:c000:0:ab00::", "64:ff9b::c000:ab",
		}}, []string{"64:ff9b::/96", "2001:db8:122::/48"}, ""},
		{"too long for UDP", &zone{cut: true, aaaa: []string{"64:ff9b::c000:aa"}}, []string{"64:ff9b::/96"}, ""},
		{"one of them is something else", &zone{aaaa: []string{"2001:db8::1", "64:ff9b::c000:aa"}}, []string{"64:ff9b::/96"}, ""},
		{"no DNS64", &zone{}, nil, ""},
		{"no such name", &zone{rcode: dnsmessage.RCodeNameError}, nil, ""},
		{"no prefix in it", &zone{aaaa: []string{"2001:db8::1"}}, nil, "holds neither 192.0.0.170 nor 192.0.0.171 (2001:db8::1)"},
		{"server failure", &zone{rcode: dnsmessage.RCodeServerFailure}, nil, "discover NAT64 prefixes: lookup ipv4only.arpa.: server misbehaving"},
		{"refused", &zone{rcode: dnsmessage.RCodeRefused}, nil, "discover NAT64 prefixes: lookup ipv4only.arpa.: server misbehaving"},
		{"silence", &zone{silent: true}, nil, "discover NAT64 prefixes: lookup ipv4only.arpa.: i/o timeout"},
	} {
		for _, host := range []string{"127.0.0.1", "::1"} { // an IPv6-only resolver is one that only the latter reaches
			t.Run(c.what+" at "+host, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				if c.zone.silent {
					ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
					defer cancel()
				}
				prefixes, err := verdict.Discover(ctx, verdict.ResolverAt(c.zone.serve(t, host)))
				if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				if diff := cmp.Diff(c.want, texts(prefixes)); diff != "" {
					t.Errorf("prefixes (-want +got):\n%s", diff)
				}
				c.zone.set(func(z *zone) {
					if z.asked == 0 || z.problem != "" {
						t.Errorf("asked %d times, problem: %s", z.asked, z.problem)
					}
				})
			})
		}
	}
}

func TestDiscoverNobodyThere(t *testing.T) {
	t.Parallel()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := netip.MustParseAddrPort(udp.LocalAddr().String())
	udp.Close()
	_, err = verdict.Discover(t.Context(), verdict.ResolverAt(nobody))
	if _, ok := errors.AsType[*net.DNSError](err); !ok || !strings.HasPrefix(err.Error(), "discover NAT64 prefixes: lookup ipv4only.arpa.: ") ||
		!strings.Contains(err.Error(), nobody.String()) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func texts(prefixes []netip.Prefix) []string {
	var list []string
	for _, p := range prefixes {
		list = append(list, p.String())
	}
	return list
}
