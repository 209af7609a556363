package dns64_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"sextant/enrich/dns64"
)

// TestDiscoverer follows a resolver through a day: it fails at first, is a DNS64, is down for a while, has another prefix,
// and is none any more.
func TestDiscoverer(t *testing.T) {
	// The first lookup of a process makes what all resolvers share, which must not belong to the bubble.
	if _, err := dns64.Discover(t.Context(), dns64.ResolverAt((&zone{}).serve(t, "127.0.0.1"))); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		z := &zone{rcode: dnsmessage.RCodeServerFailure}
		pipe := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go z.stream(theirs)
			return ours, nil
		}}
		var log bytes.Buffer
		var told []string
		cfg := dns64.DefaultDiscoverer()
		cfg.Resolver = pipe
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg.OnChange = func(prefixes []netip.Prefix) { told = append(told, strings.Join(texts(prefixes), " ")) }
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- dns64.NewDiscoverer(cfg).Run(ctx) }()
		step := func(d time.Duration, change func(*zone), want ...string) {
			t.Helper()
			z.set(change)
			time.Sleep(d)
			synctest.Wait()
			if diff := cmp.Diff(want, told); diff != "" {
				t.Fatalf("told (-want +got):\n%s", diff)
			}
		}
		none := func(*zone) {}

		step(time.Minute, none)
		z.set(func(z *zone) {
			if z.asked < 5 || z.asked > 40 { // 0, 1, 3, 7, 15, 31 seconds, each with the resolver's own tries
				t.Errorf("asked %d times in the first minute of failure", z.asked)
			}
		})
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, log.String())
		}
		step(time.Minute, func(z *zone) { z.rcode, z.aaaa = 0, []string{"64:ff9b::c000:aa"} }, "64:ff9b::/96")
		step(time.Hour, none, "64:ff9b::/96")
		step(time.Hour, func(z *zone) { z.silent = true }, "64:ff9b::/96")
		step(time.Hour, func(z *zone) { z.silent = false }, "64:ff9b::/96")
		step(11*time.Minute, func(z *zone) { z.aaaa = append(z.aaaa, "2001:db8:64::c000:aa") }, "64:ff9b::/96", "64:ff9b::/96 2001:db8:64::/96")
		step(11*time.Minute, func(z *zone) { z.aaaa[0], z.aaaa[1] = z.aaaa[1], z.aaaa[0] }, "64:ff9b::/96", "64:ff9b::/96 2001:db8:64::/96")
		step(11*time.Minute, func(z *zone) { z.aaaa = nil }, "64:ff9b::/96", "64:ff9b::/96 2001:db8:64::/96", "")
		z.set(func(z *zone) { z.asked = 0 })
		step(24*time.Hour, none, "64:ff9b::/96", "64:ff9b::/96 2001:db8:64::/96", "")
		z.set(func(z *zone) {
			if z.asked != 24*6 || z.problem != "" {
				t.Errorf("asked %d times in a day, want every ten minutes; problem %s", z.asked, z.problem)
			}
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestDiscovererFirstAnswer: that there is no DNS64 is told too, once.
func TestDiscovererFirstAnswer(t *testing.T) {
	t.Parallel()
	told := make(chan []netip.Prefix, 1)
	cfg := dns64.DefaultDiscoverer()
	cfg.Resolver = dns64.ResolverAt((&zone{}).serve(t, "127.0.0.1"))
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.OnChange = func(prefixes []netip.Prefix) { told <- prefixes }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- dns64.NewDiscoverer(cfg).Run(ctx) }()
	if got := <-told; len(got) != 0 {
		t.Errorf("got %v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDiscovererConfig(t *testing.T) {
	t.Parallel()
	for interval, want := range map[time.Duration]string{
		time.Minute: "", 24 * time.Hour: "",
		0: "interval: must be from 1m0s to 24h0m0s, is 0s", 25 * time.Hour: "interval: must be from 1m0s to 24h0m0s, is 25h0m0s",
	} {
		got := ""
		if err := (dns64.DiscovererConfig{Interval: interval}).Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", interval, got, want)
		}
	}
}
