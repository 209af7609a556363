package hubble_test

import (
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

// onSocket returns a server on a socket, where all flows come and so can be counted, with a ring and some flows, and a
// client that has them.
func onSocket(t *testing.T, ring, flows int) (*fake, *run) {
	t.Helper()
	server := newFake(t, "lab/node-1").serve(socket(t), nil)
	server.size = ring
	server.send(server.flows(0, flows)...)
	r := start(t, "unix://"+server.addr, func(c *hubble.Config) { c.Last = uint64(flows) })
	r.waitFlows(ids(0, flows))
	return server, r
}

// What Hubble says it lost is told with its count, cause and times.
func TestLostEvents(t *testing.T) {
	t.Parallel()
	server, r := onSocket(t, 100, 10)
	time.Sleep(10 * time.Millisecond)
	first, last := noon, noon.Add(time.Second)
	server.send(
		lost("lab/node-1", flowpb.LostEventSource_PERF_EVENT_RING_BUFFER, 11, first, last),
		lost("lab/node-1", flowpb.LostEventSource_OBSERVER_EVENTS_QUEUE, 12, first, last),
		lost("lab/node-1", flowpb.LostEventSource_HUBBLE_RING_BUFFER, 13, first, last),
	)
	gaps := r.waitGaps(3)
	for i, cause := range []flow.GapCause{flow.GapLostPerfRing, flow.GapLostQueue, flow.GapLostRing} {
		g := gaps[i]
		if g.Cause != cause || g.Count != (flow.Count{N: uint64(11 + i), Known: true}) || !g.From.Equal(first) || !g.To.Equal(last) || g.Node.String() != "node-1" {
			t.Errorf("gap %s", gapTexts(gaps[i:i+1]))
		}
	}
	r.polls(3)
	r.waitGaps(3)
}

// A stream that begins before everything in a full ring begins one slot too early. The loss that the agent makes of it
// is none.
func TestGhost(t *testing.T) {
	t.Parallel()
	ring := flowpb.LostEventSource_HUBBLE_RING_BUFFER
	for _, tt := range []struct {
		name  string
		ring  int
		count uint64
		began time.Duration // after the stream
		want  uint64
	}{
		{"only it", 10, 1, 0, 0},
		{"it and others", 10, 5, 0, 4},
		{"much later", 10, 5, time.Minute, 5},
		{"ring not full", 11, 5, 0, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
			server.size = tt.ring
			server.send(server.flows(0, 10)...)
			r := start(t, server.addr, func(c *hubble.Config) { c.Since = "1h" })
			r.waitFlows(ids(0, 10))
			began := time.Now().Add(tt.began)
			report := lost("lab/node-1", ring, tt.count, began, began)
			report.Time = timestamppb.Now() // what counts is how long before the report it began
			server.locked(func() { server.size++ })
			server.send(report)
			if tt.want == 0 {
				r.noGaps()
			} else if g := r.waitGaps(1)[0]; g.Count.N != tt.want {
				t.Errorf("lost %d, want %d", g.Count.N, tt.want)
			}
			server.send(lost("lab/node-1", ring, 2, began, began)) // later ones are told in full
			gaps := r.waitGaps(min(int(tt.want), 1) + 1)
			if got := gaps[len(gaps)-1].Count.N; got != 2 {
				t.Errorf("lost %d later, want 2", got)
			}
		})
	}
}

// A ring that overran and said nothing is found by the agent's own count, once it is quiet.
func TestSilentOverrun(t *testing.T) {
	t.Parallel()
	server, r := onSocket(t, 20, 10)
	r.polls(4) // balanced
	r.noGaps()
	server.locked(func() { server.unsaid = 30 }) // 30 flows that were overwritten before they could be sent
	server.send(server.flows(10, 20)...)
	r.waitFlows(ids(0, 20))
	g := r.waitGaps(1)[0]
	if g.Cause != flow.GapRingOverrun || g.Count != (flow.Count{N: 30, Known: true}) || g.Node.String() != "node-1" {
		t.Errorf("gap %s", gapTexts([]flow.Gap{g}))
	}
	if !g.From.Equal(r.flows[9].Time) || !g.To.Equal(r.flows[19].Time) {
		t.Errorf("gap from %s to %s, want from %s to %s", g.From, g.To, r.flows[9].Time, r.flows[19].Time)
	}
	r.polls(4)
	r.waitGaps(1)

	// What the agent says of it later is not told again, and what it says beyond is.
	now := time.Now()
	server.send(lost("lab/node-1", flowpb.LostEventSource_HUBBLE_RING_BUFFER, 30, now, now))
	r.polls(4)
	r.waitGaps(1)
	server.send(lost("lab/node-1", flowpb.LostEventSource_HUBBLE_RING_BUFFER, 7, now, now))
	server.locked(func() { server.unsaid += 7 })
	if g := r.waitGaps(2)[1]; g.Cause != flow.GapLostRing || g.Count.N != 7 {
		t.Errorf("gap %s", gapTexts([]flow.Gap{g}))
	}
	r.polls(4)
	r.waitGaps(2)
}

// Flows on the way, a newest event that is held back, and few missing ones are no overrun.
func TestNoOverrun(t *testing.T) {
	t.Parallel()
	server, r := onSocket(t, 100, 10)
	for i := range 10 {
		server.locked(func() { server.unsaid = i % 2 }) // as if the newest event were a flow that is held back
		server.send(server.flows(10+20*i, 30+20*i)...)
		r.polls(i % 3)
	}
	r.waitFlows(ids(0, 210))
	r.noGaps()
	if got := r.metric("sextant_hubble_accounting"); got != 1 {
		t.Errorf("accounting is %v", got)
	}
	// An agent that counts more than it sends, without a ring's worth of events, does not add up.
	server.locked(func() { server.unsaid = 5 })
	wait(t, "giving up", func() bool { return r.metric("sextant_hubble_accounting") == 0 })
	r.noGaps()
}

// Where filters, Relay or the agent make counting impossible, that is said once, and never a gap made of it.
func TestUnaccountable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		unix bool
		edit func(*fake, *hubble.Config)
	}{
		{"own traffic left out by the agent", false, nil},
		{"filters", true, func(_ *fake, c *hubble.Config) { c.Denylist = []string{`{"verdict":["DROPPED"]}`} }},
		{"no numbers", true, func(f *fake, _ *hubble.Config) { f.mute = true }},
		{"relay", true, func(f *fake, _ *hubble.Config) {
			f.nodes = []*observerpb.Node{relayNode("lab/node-1", time.Hour, 5, 100)}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, target := newFake(t, "lab/node-1"), ""
			if tt.unix {
				target = "unix://" + server.serve(socket(t), nil).addr
			} else {
				target = server.serve("[::1]:0", nil).addr
			}
			server.size = 10
			server.send(server.flows(0, 10)...)
			r := start(t, target, func(c *hubble.Config) {
				c.Last = 10
				if tt.edit != nil {
					tt.edit(server, c)
				}
			})
			r.waitFlows(ids(0, 10))
			r.polls(4)
			server.locked(func() { server.unsaid = 1000 })
			r.polls(4)
			r.noGaps()
			if got := r.metric("sextant_hubble_accounting"); got != 0 {
				t.Errorf("accounting is %v", got)
			}
			if got := countIn(r.log.String(), "cannot be counted"); got != 1 {
				t.Errorf("said %d times", got)
			}
		})
	}
}
