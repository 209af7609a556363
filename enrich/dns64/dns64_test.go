package dns64_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"sextant/enrich/dns64"
)

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

// listen returns sockets of both transports with the same port, which somebody else may have taken of the second one.
func listen(t *testing.T, host string) (udp net.PacketConn, tcp net.Listener) {
	t.Helper()
	for range 20 {
		udp, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		if tcp, err := net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			return udp, tcp
		}
		udp.Close()
	}
	t.Fatal("no port is free of both transports")
	return nil, nil
}

// serve answers on a loopback address until the test ends, over UDP and TCP.
func (z *zone) serve(t *testing.T, host string) netip.AddrPort {
	t.Helper()
	udp, tcp := listen(t, host)
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
				prefixes, err := dns64.Discover(ctx, dns64.ResolverAt(c.zone.serve(t, host)))
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
	_, err = dns64.Discover(t.Context(), dns64.ResolverAt(nobody))
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
