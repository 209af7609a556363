package hubbletest_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/cilium/cilium/pkg/hubble/container"
	"sextant/collector/flow"
	"sextant/collector/hubble"
	hubbletest "sextant/test/hubble"
)

// Sextant's own client against Hubble's own server: what the fake servers beside the client only claim is true here.

// collector is a running client and what came out of it.
type collector struct {
	t      *testing.T
	client *hubble.Client
	cancel context.CancelFunc
	done   chan error

	mu    sync.Mutex
	log   bytes.Buffer
	flows []flow.Record
	gaps  []flow.Gap
	beats []flow.Beat
}

func collect(t *testing.T, server string, edit func(*hubble.Config)) *collector {
	t.Helper()
	cfg := hubble.Default()
	cfg.Server, cfg.BatchRows, cfg.BatchWait, cfg.StatusWait = server, 64, 10*time.Millisecond, 100*time.Millisecond
	if edit != nil {
		edit(&cfg)
	}
	c := &collector{t: t, done: make(chan error, 1)}
	client, err := hubble.New(cfg, flow.NewInterner(), slog.New(slog.NewTextHandler(c, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	c.client = client
	ctx, cancel := context.WithCancel(t.Context())
	c.cancel = cancel
	go func() { c.done <- client.Run(ctx, c.emit) }()
	t.Cleanup(func() {
		cancel()
		if err := <-c.done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s\ngaps:\n%s", c.log.String(), gapTexts(c.gaps))
		}
	})
	return c
}

func (c *collector) emit(_ context.Context, b *flow.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flows, c.gaps, c.beats = append(c.flows, b.Records...), append(c.gaps, b.Gaps...), append(c.beats, b.Beats...)
	b.Release()
	return nil
}

// Write takes the log.
func (c *collector) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(p)
}

// have returns the uuids that came, in order, and the gaps.
func (c *collector) have() (ids []string, gaps []flow.Gap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.flows {
		ids = append(ids, uuid.UUID(c.flows[i].UUID).String())
	}
	return ids, slices.Clone(c.gaps)
}

func (c *collector) wait(what string, is func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(2 * patience); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// waitLog waits until the log has said something so often.
func (c *collector) waitLog(text string, times int) {
	c.t.Helper()
	c.wait("log: "+text, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return strings.Count(c.log.String(), text) >= times
	})
}

func (c *collector) ready() {
	c.t.Helper()
	c.wait("being ready", func() bool { return c.client.Ready() == nil })
}

// waitFlows waits until so many flows came.
func (c *collector) waitFlows(n int) {
	c.t.Helper()
	c.wait("flows", func() bool { ids, _ := c.have(); return len(ids) >= n })
}

// polls lets the client ask for the agent's numbers so many times.
func (c *collector) polls(n int) { time.Sleep(time.Duration(n) * 120 * time.Millisecond) }

// want compares all that came, whatever the order.
func (c *collector) want(from, to int) {
	c.t.Helper()
	got, _ := c.have()
	var want []string
	for i := from; i < to; i++ {
		want = append(want, hubbletest.ID(i).String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("uuids: -want +got\n%s", diff)
	}
}

// causes returns the gaps' causes.
func (c *collector) causes() []string {
	_, gaps := c.have()
	var list []string
	for _, g := range gaps {
		list = append(list, g.Cause.String())
	}
	return list
}

func (c *collector) wantCauses(want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.causes()); diff != "" {
		c.t.Errorf("gaps: -want +got\n%s", diff)
	}
}

func gapTexts(gaps []flow.Gap) string {
	var text []byte
	for i := range gaps {
		text = append(flow.AppendJSON(text, "gap", flow.GapFields, &gaps[i]), '\n')
	}
	return string(text)
}

// numbered returns Flow(from) to Flow(to-1), with uuids in a row.
func numbered(from, to int) []*hubbletest.Event {
	events := run(from, to)
	for i, e := range events {
		e.UUID = hubbletest.ID(from + i)
	}
	return events
}

// From the datapath's bytes to records, over a socket and over mutual TLS under the name of an agent's certificate.
func TestClientFollows(t *testing.T) {
	ca := hubbletest.NewCA(t)
	server, own := ca.Server("*.lab.hubble-grpc.cilium.io"), ca.Client("*.hubble-relay.cilium.io")
	for _, tt := range []struct {
		name   string
		listen func(*hubbletest.Server) *hubbletest.Listener
		edit   func(*hubble.Config)
	}{
		{"socket", func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeUnix("") }, nil},
		{"ipv6", func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeTCP("[::1]:0") }, nil},
		{"mtls", func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeMTLS("[::1]:0", server) }, func(c *hubble.Config) {
			c.TLS, c.TLSServerName = true, "node-1.lab.hubble-grpc.cilium.io"
			c.TLSCACertFiles, c.TLSClientCertFile, c.TLSClientKeyFile = []string{own.CAFile}, own.CertFile, own.KeyFile
		}},
		{"mask", func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeUnix("") }, func(c *hubble.Config) {
			c.FieldMask = []string{"IP", "l4.TCP.destination_port"}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			agent := hubbletest.New(t, hubbletest.Options{})
			l := tt.listen(agent)
			c := collect(t, l.Target(), tt.edit)
			c.ready()
			agent.Send(numbered(0, 1000)...)
			agent.Flush()
			c.waitFlows(1000)
			c.want(0, 1000)
			r := c.flows[7]
			got := []string{r.Cluster.String(), r.Node.String(), r.Family.String(), r.Protocol.String(), r.TCPFlags.String(), r.Source.IP.String(), r.Destination.IP.String()}
			want := []string{"lab", "node-1", "ipv6", "tcp", "SYN", hubbletest.Source(7).Addr().String(), "2001:db8:ffff::10"}
			if diff := cmp.Diff(want, got); diff != "" || r.Source.Port != hubbletest.Source(7).Port() || r.Destination.Port != 443 || r.Time.IsZero() {
				t.Errorf("record: -want +got\n%s ports %d %d, time %s", diff, r.Source.Port, r.Destination.Port, r.Time)
			}
			c.polls(3)
			c.wantCauses()
		})
	}
}

// Renewed certificates, of a new authority even, work without a restart.
func TestClientRotation(t *testing.T) {
	ca, renewed := hubbletest.NewCA(t), hubbletest.NewCA(t)
	server, own := ca.Server("node-1.lab.hubble-grpc.cilium.io"), ca.Client("*.hubble-relay.cilium.io")
	agent := hubbletest.New(t, hubbletest.Options{})
	l := agent.ServeMTLS("[::1]:0", server)
	c := collect(t, l.Target(), func(c *hubble.Config) {
		c.TLS, c.TLSServerName = true, "node-1.lab.hubble-grpc.cilium.io"
		c.TLSCACertFiles, c.TLSClientCertFile, c.TLSClientKeyFile = []string{own.CAFile}, own.CertFile, own.KeyFile
	})
	c.ready()
	agent.Send(numbered(0, 10)...)
	server.Rotate(renewed)
	own.Rotate(renewed)
	l.Kill()
	l.Start()
	agent.Send(numbered(10, 20)...)
	agent.Flush()
	c.waitFlows(20)
	c.want(0, 20)
	c.wantCauses()
}

// Killed ten times while flows keep coming, the server loses none of what its ring holds, and none comes twice.
func TestClientTenKills(t *testing.T) {
	for _, tt := range []struct {
		name   string
		listen func(*hubbletest.Server) *hubbletest.Listener
		end    func(*hubbletest.Listener)
	}{
		{"socket killed", func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeUnix("") }, (*hubbletest.Listener).Kill},
		{"tcp killed", func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeTCP("[::1]:0") }, (*hubbletest.Listener).Kill},
		{"tcp stopped", func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeTCP("[::1]:0") }, (*hubbletest.Listener).Stop},
	} {
		t.Run(tt.name, func(t *testing.T) {
			agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity16383})
			l := tt.listen(agent)
			agent.Send(numbered(0, 2)...)
			c := collect(t, l.Target(), nil)
			c.waitFlows(1)

			stop, sent := make(chan struct{}), make(chan int)
			go func() {
				next := 2
				for {
					select {
					case <-stop:
						agent.Flush()
						sent <- next
						return
					default:
						agent.Send(numbered(next, next+5)...)
						next += 5
						time.Sleep(5 * time.Millisecond)
					}
				}
			}()
			for range 10 {
				c.ready()
				before, _ := c.have()
				c.wait("more flows", func() bool { ids, _ := c.have(); return len(ids) > len(before)+20 })
				tt.end(l)
				l.Start()
				c.wait("the break to be noticed", func() bool { ids, _ := c.have(); return c.client.Ready() != nil || len(ids) > len(before)+200 })
			}
			c.ready()
			close(stop)
			n := <-sent
			c.waitFlows(n)
			c.polls(2)
			c.want(0, n)
			c.wantCauses()
			t.Logf("%d flows", n)
		})
	}
}

// An agent that restarts has an empty ring and new uuids: one gap, and everything since.
func TestClientAgentRestart(t *testing.T) {
	for _, listen := range map[string]func(*hubbletest.Server) *hubbletest.Listener{
		"socket": func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeUnix("") },
		"tcp":    func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeTCP("[::1]:0") },
	} {
		agent := hubbletest.New(t, hubbletest.Options{})
		l := listen(agent)
		agent.Send(numbered(0, 2)...)
		c := collect(t, l.Target(), nil)
		c.waitFlows(1)
		c.polls(2)
		agent.Send(numbered(2, 50)...)
		agent.Flush()
		c.waitFlows(50)
		agent.Kill()
		agent.Send(numbered(50, 60)...) // seen by nobody
		agent.Start()
		restarted := time.Now()
		c.wait("the restart", func() bool { return len(c.causes()) > 0 })
		agent.Send(numbered(60, 100)...)
		agent.Flush()
		c.waitFlows(90)
		c.polls(4)
		c.wantCauses("agent_restart")
		_, gaps := c.have()
		if g := gaps[0]; !g.From.Equal(c.flows[49].Time) || g.To.Sub(restarted).Abs() > 2*time.Second || g.Node.String() != "node-1" {
			t.Errorf("last flow %s, restart %s, gap %s", c.flows[49].Time, restarted, gapTexts(gaps))
		}
	}
}

// A stream that falls behind is told what it lost; nothing is told twice.
func TestClientOverrun(t *testing.T) {
	agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity255, LostInterval: 10 * time.Millisecond})
	l := agent.ServeUnix("")
	agent.Send(numbered(0, 2)...)
	c := collect(t, l.Target(), nil)
	c.waitFlows(1)
	c.polls(3)

	l.Hang()
	agent.Send(numbered(2, burst)...)
	l.Resume()
	total := func() (n int) {
		ids, gaps := c.have()
		for _, g := range gaps {
			n += int(g.Count.N)
		}
		return n + len(ids)
	}
	next := burst
	for total() < next-1 { // losses are told with a later flow, and the newest flow waits for one
		agent.Send(numbered(next, next+1)...)
		next++
		for began := time.Now(); total() < next-1 && time.Since(began) < time.Second; {
			time.Sleep(5 * time.Millisecond)
		}
	}
	agent.Flush()
	c.wait("the newest", func() bool { return total() >= next })
	c.polls(4)
	ids, gaps := c.have()
	if total() != next || len(gaps) == 0 {
		t.Errorf("%d flows and %d told as lost of %d", len(ids), total()-len(ids), next)
	}
	for _, g := range gaps {
		if g.Cause != flow.GapLostRing && g.Cause != flow.GapRingOverrun || g.Node.String() != "node-1" {
			t.Errorf("gap %s", gapTexts([]flow.Gap{g}))
		}
	}
}

// A ring that overran and fell silent is found by the agent's count.
func TestClientSilentOverrun(t *testing.T) {
	agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity255, LostInterval: time.Hour})
	l := agent.ServeUnix("")
	agent.Send(numbered(0, 2)...)
	c := collect(t, l.Target(), nil)
	c.waitFlows(1)
	c.polls(4)

	l.Hang()
	agent.Send(numbered(2, burst)...)
	l.Resume()
	c.wait("the gap", func() bool { return len(c.causes()) > 0 })
	c.polls(4)
	c.wantCauses("ring_overrun")
	ids, gaps := c.have()
	if n := len(ids) + int(gaps[0].Count.N); n != burst-1 { // the newest is in the ring
		t.Errorf("%d flows and %d told as lost of %d", len(ids), gaps[0].Count.N, burst)
	}
}

// After an outage longer than the ring one gap says so; after a shorter one there is none.
func TestClientRingWrapped(t *testing.T) {
	for _, tt := range []struct {
		name   string
		missed int
		want   []string
	}{
		{"not", 100, nil},
		{"just not", 255, nil},
		{"wrapped", 2000, []string{"ring_wrapped"}},
	} {
		for name, listen := range map[string]func(*hubbletest.Server) *hubbletest.Listener{
			"socket": func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeUnix("") },
			"tcp":    func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeTCP("[::1]:0") },
		} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity255, LostInterval: 10 * time.Millisecond})
				l := listen(agent)
				agent.Send(numbered(0, 2)...)
				c := collect(t, l.Target(), nil)
				c.waitFlows(1)
				agent.Send(numbered(2, 10)...)
				c.waitFlows(9)
				c.polls(3)
				l.Kill()
				c.wait("the break to be noticed", func() bool { return c.client.Ready() != nil })
				time.Sleep(20 * time.Millisecond)
				agent.Send(numbered(10, 10+tt.missed)...)
				l.Start()
				c.ready()
				agent.Send(numbered(10+tt.missed, 20+tt.missed)...)
				c.wait("the newest", func() bool {
					ids, _ := c.have()
					return slices.Contains(ids, hubbletest.ID(18+tt.missed).String())
				})
				c.polls(4)
				agent.Send(numbered(20+tt.missed, 22+tt.missed)...) // what is told late is told now
				c.polls(4)
				c.wantCauses(tt.want...)
			})
		}
	}
}

// A position before everything in a full ring makes the agent count a loss that never was.
func TestClientNoGhost(t *testing.T) {
	for _, edit := range []func(*hubble.Config){
		func(c *hubble.Config) { c.Since = "1h" },
		func(c *hubble.Config) { c.Last = 1000 },
		nil,
	} {
		agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity15, LostInterval: 10 * time.Millisecond})
		agent.Send(numbered(0, 100)...)
		c := collect(t, agent.ServeUnix("").Target(), edit)
		c.ready()
		c.waitFlows(1)
		for i := range 5 {
			time.Sleep(20 * time.Millisecond)
			agent.Send(numbered(100+i, 101+i)...)
		}
		c.polls(4)
		c.wantCauses()
	}
}

// All nodes that the Peer service names are followed, each under the name of its certificate.
func TestClientPeers(t *testing.T) {
	ca := hubbletest.NewCA(t)
	cert, own := ca.Server("*.lab.hubble-grpc.cilium.io"), ca.Client("*.hubble-relay.cilium.io")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	addr := func(ip string) string { return (&net.TCPAddr{IP: net.ParseIP(ip), Port: port}).String() }

	peers := hubbletest.NewPeers(hubbletest.PeerOptions{Port: port, TLS: true})
	agents := map[string]*hubbletest.Server{}
	for name, ip := range map[string]string{"lab/node-1": "127.0.0.1", "lab/node.2": "127.0.0.2"} {
		agents[name] = hubbletest.New(t, hubbletest.Options{Node: name, Peers: peers})
		agents[name].ServeMTLS(addr(ip), cert)
		peers.Set(name, ip)
	}
	service := agents["lab/node-1"].ServeUnix("")
	c := collect(t, service.Target(), func(c *hubble.Config) {
		c.Peers = "true"
		c.TLSCACertFiles, c.TLSClientCertFile, c.TLSClientKeyFile = []string{own.CAFile}, own.CertFile, own.KeyFile
	})
	c.waitLog("following Hubble", 2)
	agents["lab/node-1"].Send(numbered(0, 10)...)
	agents["lab/node.2"].Send(numbered(10, 20)...)
	peers.Cut() // the nodes are followed on
	c.waitLog("level=INFO msg=\"following the Peer service", 2)
	agents["lab/node-1"].Flush()
	agents["lab/node.2"].Flush()
	c.waitFlows(20)
	c.want(0, 20)

	// One joins, one leaves.
	agents["lab/node-3"] = hubbletest.New(t, hubbletest.Options{Node: "lab/node-3", Peers: peers})
	agents["lab/node-3"].ServeMTLS(addr("127.0.0.3"), cert)
	agents["lab/node-3"].Send(numbered(20, 30)...)
	peers.Set("lab/node-3", "127.0.0.3")
	peers.Delete("lab/node.2")
	c.waitLog("node gone", 1)
	c.waitLog("following Hubble", 3)
	agents["lab/node-3"].Send(numbered(30, 40)...)
	agents["lab/node-3"].Flush()
	agents["lab/node.2"].Send(numbered(50, 60)...)
	agents["lab/node.2"].Flush()
	last := hubbletest.ID(39).String()
	c.wait("the joiner's flows", func() bool { ids, _ := c.have(); return slices.Contains(ids, last) })
	c.polls(2)
	c.wantCauses()
}
