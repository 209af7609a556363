package probe_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/bucket/probe"
	"sextant/collector/bucket/probe/probetest"
	"sextant/collector/flow"
)

// pipes is a network in memory, in which a bubble's clock runs. It has IPv4 only, and no addresses.
type pipes struct{ conns chan net.Conn }

func (p pipes) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	if network != "tcp4" {
		return nil, errors.New("no route to host")
	}
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// rig runs a probe against a registry in a bubble.
type rig struct {
	*probetest.Registry
	mu    sync.Mutex
	log   bytes.Buffer
	told  []probe.Answer
	asked int // requests looked at
}

func newRig(t *testing.T, r *probetest.Registry, change func(*probe.Config)) *rig {
	t.Helper()
	g := &rig{Registry: r, asked: len(r.Requests())}
	network := pipes{make(chan net.Conn)}
	srv := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(network) }() // ends with Close
	cfg := probe.Default()
	cfg.Enabled, cfg.NodeName, cfg.Loopback, cfg.Dial = true, "node-1", true, network.dial
	cfg.Targets = []probe.Target{{Service: "hub", Manifest: "http://127.0.0.1" + probetest.Manifest}}
	change(&cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	p := probe.New(cfg, g.tell, slog.New(slog.NewTextHandler(&g.log, nil)), prometheus.NewRegistry())
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		close(network.conns)
		srv.Close()
	})
	return g
}

func (g *rig) tell(a probe.Answer) {
	if !g.mu.TryLock() {
		panic("two at once")
	}
	defer g.mu.Unlock()
	g.told = append(g.told, a)
}

// step lets time pass, and returns how often which result was told for a family, and the requests of that time.
func (g *rig) step(d time.Duration, f flow.Family) (results map[string]int, requests int) {
	time.Sleep(d)
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	results = map[string]int{}
	var others []probe.Answer
	for _, a := range g.told {
		if a.Family != f {
			others = append(others, a)
			continue
		}
		results[a.Result.String()]++
	}
	g.told = others
	all := len(g.Requests())
	requests, g.asked = all-g.asked, all
	return results, requests
}

// plainHub is a registry that is asked in a bubble: it knows its clients without their addresses.
func plainHub(t *testing.T) *probetest.Registry {
	t.Helper()
	r, err := probetest.Start(probetest.Config{Plain: true, Seen: func(netip.Addr, *http.Request) netip.Addr {
		return netip.MustParseAddr("198.51.100.7")
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// TestRun follows a registry through two days: it answers, is used up, is out of order, asks to be left alone, and is well
// again. Over IPv6 there is no way to it.
func TestRun(t *testing.T) {
	t.Parallel()
	r := plainHub(t)
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, r, func(*probe.Config) {})
		step := func(d time.Duration, lies probetest.Lies, result string, least, most int) {
			t.Helper()
			g.Lie(lies)
			got, requests := g.step(d, v4)
			if n := got[result]; n < least || n > most || len(got) != 1 || requests > 3*n {
				t.Errorf("told %v with %d requests, want %d to %d times %s", got, requests, least, most, result)
			}
		}
		step(time.Hour, probetest.Lies{}, "ok", 5, 6) // at once, and then every 10 to 11 minutes
		g.Pull(netip.MustParseAddr("198.51.100.7"), 100)
		step(2*time.Hour, probetest.Lies{}, "ok", 10, 12)
		step(4*time.Hour, probetest.Lies{RefuseHEAD: true}, "limited", 5, 7) // until the window is over
		step(2*time.Hour, probetest.Lies{RefuseHEAD: true}, "ok", 5, 12)
		step(10*time.Hour, probetest.Lies{Status: 503}, "status", 10, 13)
		step(2*time.Hour, probetest.Lies{}, "ok", 5, 12)
		step(24*time.Hour, probetest.Lies{Answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "36000")
			w.WriteHeader(http.StatusTooManyRequests)
		}}, "limited", 3, 3)

		got, _ := g.step(0, v6)
		if n := got["unreachable"]; n < 42 || n > 52 || len(got) != 1 {
			t.Errorf("IPv6: told %v, want about once an hour", got)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		warned := strings.Count(g.log.String(), "level=WARN")
		if warned != 4 { // used up, out of order, used up, no IPv6
			t.Errorf("%d warnings:\n%s", warned, g.log.String())
		}
		for _, req := range g.Requests() {
			if req.Token != "" && strings.Contains(g.log.String(), req.Token) {
				t.Error("a token is in the log")
			}
		}
	})
}

// TestRunBounds: no setting makes a probe ask more than once a minute, nor more than sixteen registries.
func TestRunBounds(t *testing.T) {
	t.Parallel()
	r := plainHub(t)
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, r, func(cfg *probe.Config) {
			cfg.Every = time.Nanosecond
			target := cfg.Targets[0]
			for i := range 20 {
				target.Service = fmt.Sprintf("hub-%d", i)
				cfg.Targets = append(cfg.Targets, target)
			}
		})
		got, requests := g.step(10*time.Minute+time.Second, v4)
		if n := got["ok"]; n < 16*9 || n > 16*11 || requests > 16*11*3 {
			t.Errorf("told %v with %d requests", got, requests)
		}
	})
}

// TestRunDisabled: a probe asks nobody unless it is told to.
func TestRunDisabled(t *testing.T) {
	t.Parallel()
	r := plainHub(t)
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, r, func(cfg *probe.Config) { cfg.Enabled = false })
		if got, requests := g.step(24*time.Hour, v4); len(got) != 0 || requests != 0 {
			t.Errorf("told %v with %d requests", got, requests)
		}
	})
}

// TestRunEnds: a question that is under way when all ends is not told.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		told := 0
		started := make(chan bool, 2)
		cfg := probe.Default()
		cfg.Enabled, cfg.Loopback = true, true
		cfg.Targets = []probe.Target{{Service: "hub", Manifest: "http://127.0.0.1" + probetest.Manifest}}
		cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			started <- true
			<-ctx.Done()
			return nil, ctx.Err()
		}
		reg := prometheus.NewRegistry()
		p := probe.New(cfg, func(probe.Answer) { told++ }, slog.New(slog.DiscardHandler), reg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		<-started
		cancel()
		if err := <-done; err != nil || told != 0 {
			t.Errorf("told %d, error %v", told, err)
		}
		if diff := cmp.Diff(map[string]float64{}, counted(t, reg)); diff != "" {
			t.Errorf("counted (-want +got):\n%s", diff)
		}
	})
}
