package hubble_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

// However often and wherever the stream ends, every flow comes once.
func TestResume(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
	}{
		{"eof", nil}, {"unavailable", status.Error(codes.Unavailable, "gone")}, {"internal", status.Error(codes.Internal, "bug")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
			server.send(server.flow(0))
			r := start(t, server.addr, nil)
			r.waitFlows(ids(0, 1))
			for i := range 10 {
				server.send(server.flows(1+20*i, 11+20*i)...)
				server.cut(tt.err)
				server.send(server.flows(11+20*i, 21+20*i)...)
			}
			r.waitFlows(ids(0, 201))
			r.noGaps()
			if r.metric("sextant_hubble_duplicates_total") == 0 {
				t.Error("nothing came twice, so nothing was tested")
			}
		})
	}
}

// A stream that breaks after each few flows still gets on.
func TestResumeEverywhere(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	began := time.Now().Add(-time.Hour)
	for i := range 60 { // far enough apart for an overlap of few flows
		server.send(at(server.flow(i), began.Add(time.Duration(i)*2*time.Second)))
	}
	server.locked(func() { server.failAt = 7 })
	r := start(t, server.addr, func(c *hubble.Config) { c.Last = 60 })
	r.waitFlows(ids(0, 60))
	r.noGaps()
}

// A stream is resumed from some time before the newest flow, and where a flow with a strange time came last from before
// the one before.
func TestResumePosition(t *testing.T) {
	t.Parallel()
	noon := time.Now().Add(-time.Minute).Truncate(time.Second)
	for _, tt := range []struct {
		name  string
		times []time.Duration
		want  time.Duration
	}{
		{"one", []time.Duration{0}, -5 * time.Second},
		{"two", []time.Duration{0, 1 * time.Second}, -5 * time.Second},
		{"from the future", []time.Duration{0, time.Hour}, -5 * time.Second},
		{"clock went back", []time.Duration{0, -time.Hour, -time.Hour + time.Second}, -time.Hour - 5*time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
			for i, d := range tt.times {
				server.send(at(server.flow(i), noon.Add(d)))
			}
			r := start(t, server.addr, func(c *hubble.Config) { c.Last = 10 })
			r.waitFlows(ids(0, len(tt.times)))
			server.cut(nil)
			if got := server.request(1).GetSince().AsTime().Sub(noon); got != tt.want {
				t.Errorf("resumed from %s, want %s", got, tt.want)
			}
		})
	}
}

// Where nothing came before the break, the whole ring is new.
func TestResumeFromNothing(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.send(lost("lab/node-1", 2, 1, time.Now(), time.Now())) // no flow, but an event to wait for
	r := start(t, server.addr, nil)
	r.waitReady()
	server.cut(nil)
	server.send(server.flows(0, 3)...)
	r.waitFlows(ids(0, 3))
	if req := server.request(1); req.GetSince() != nil || req.GetNumber() < 4095 {
		t.Errorf("asked for %v", req)
	}
}

// An agent whose ring is empty is not asked for flows: it would send none until its ring is full. All that comes is new.
func TestEmptyRing(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	r := start(t, server.addr, nil)
	r.waitReady()
	r.polls(1)
	server.mu.Lock()
	if n := len(server.requests); n > 0 {
		t.Errorf("asked %d times for the flows of an empty ring", n)
	}
	server.mu.Unlock()
	server.send(server.flows(0, 5)...)
	r.waitFlows(ids(0, 5))
	r.noGaps()
}

// A clock that went back would hide all that comes until it catches up; then the whole ring is asked for.
func TestClockWentBack(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.send(at(server.flow(0), time.Now().Add(time.Hour)), at(server.flow(1), time.Now().Add(time.Hour)))
	r := start(t, server.addr, func(c *hubble.Config) { c.Last = 2 })
	r.waitFlows(ids(0, 2))
	server.locked(func() { server.refuse = status.Error(codes.Unavailable, "gone") })
	server.cut(nil)
	_ = r.waitTrouble()
	server.locked(func() { // the agent looks for the beginning from the newest end, and finds none before the newest
		server.ring = server.flows(2, 3)
		server.written++
		server.refuse = nil
	})
	wait(t, "being asked by time", func() bool { return r.client.Ready() == nil })
	server.locked(func() { server.unsaid = 10 })
	r.waitFlows(ids(0, 3))
	if got := r.metric("sextant_hubble_reconnects_total", "reason", "mute"); got != 1 {
		t.Errorf("begun anew %v times", got)
	}
}

// Flows without uuid are told apart by all they hold.
func TestNoUUID(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	anonymous := server.flows(0, 10)
	for _, m := range anonymous {
		m.GetFlow().Uuid = ""
	}
	server.send(anonymous...)
	r := start(t, server.addr, func(c *hubble.Config) { c.Last = 10 })
	wait(t, "flows", func() bool { return len(r.uuids()) == 10 })
	server.cut(nil)
	last := server.flow(10)
	server.send(last)
	wait(t, "one more flow", func() bool { return len(r.uuids()) == 11 && r.uuids()[10] == id(10) })
	r.polls(1)
	if n := len(r.uuids()); n != 11 {
		t.Errorf("%d flows came, want 11", n)
	}
}

func TestAgentRestart(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.send(server.flows(0, 100)...)
	r := start(t, server.addr, func(c *hubble.Config) { c.Last = 100 })
	r.waitFlows(ids(0, 100))
	r.polls(2) // the agent's numbers are known
	last := r.flows[99].Time
	server.stop()
	restarted := time.Now()
	server.locked(func() { server.ring, server.written, server.began = nil, 0, restarted })
	server.again()
	server.send(server.flows(100, 105)...)
	r.waitFlows(ids(0, 105))
	g := r.waitGaps(1)[0]
	if g.Cause != flow.GapAgentRestart || g.Node.String() != "node-1" || g.Cluster.String() != "lab" {
		t.Errorf("gap %s", gapTexts([]flow.Gap{g}))
	}
	if !g.From.Equal(last) || g.To.Before(restarted.Add(-time.Second)) || g.To.After(time.Now()) {
		t.Errorf("gap from %s to %s, want from %s to %s", g.From, g.To, last, restarted)
	}
	server.cut(nil) // a break after it is none
	server.send(server.flows(105, 110)...)
	r.waitFlows(ids(0, 110))
	r.polls(3)
	r.waitGaps(1)
}

func TestRingWrapped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		ring        int
		missed      int
		wantFlows   int // of those missed
		wantWrapped bool
	}{
		{"the ring held all", 1000, 500, 500, false},
		{"the ring held just all", 100, 100, 100, false},
		{"the ring wrapped", 100, 500, 100, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
			server.size = tt.ring
			server.send(server.flows(0, 50)...)
			r := start(t, server.addr, func(c *hubble.Config) { c.Last = 50 })
			r.waitFlows(ids(0, 50))
			r.polls(2)
			server.stop()
			_ = r.waitTrouble()
			time.Sleep(5 * time.Millisecond)
			stopped := time.Now()
			server.send(server.flows(50, 50+tt.missed)...)
			server.again()
			want := append(ids(0, 50), ids(50+tt.missed-tt.wantFlows, 50+tt.missed)...)
			r.waitFlows(want)
			if !tt.wantWrapped {
				r.noGaps()
				return
			}
			g := r.waitGaps(1)[0]
			if g.Cause != flow.GapRingWrapped || g.Node.String() != "node-1" {
				t.Errorf("gap %s", gapTexts([]flow.Gap{g}))
			}
			if g.From.After(stopped) || !g.To.Equal(r.flows[50].Time) {
				t.Errorf("gap from %s to %s, want from %s to %s", g.From, g.To, stopped, r.flows[50].Time)
			}
			r.polls(2)
			r.waitGaps(1)
		})
	}
}

// Where a filter lets little through, the newest flow that came is soon gone from the ring. That proves nothing while
// the ring reaches back to where the stream ended.
func TestFilteredRingHeld(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.size = 100
	server.hidden = func(uuid string) bool { return uuid >= id(1000) }
	server.send(server.flow(0))
	r := start(t, server.addr, nil)
	r.waitFlows(ids(0, 1))
	server.send(server.flows(1000, 1200)...) // flow 0 is overwritten
	r.polls(2)
	server.stop()
	_ = r.waitTrouble()
	server.locked(func() { server.unsaid = 1000 }) // as if many more had come since the last poll
	server.send(server.flows(1, 3)...)
	server.again()
	r.waitFlows(ids(0, 3))
	r.noGaps()
}

// A flow that came before proves that the ring held all, whatever numbers and clocks say.
func TestRepetitionProves(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.size = 10
	server.send(server.flows(0, 10)...)
	r := start(t, server.addr, func(c *hubble.Config) { c.Last = 10 })
	r.waitFlows(ids(0, 10))
	r.polls(2)
	server.stop()
	_ = r.waitTrouble()
	time.Sleep(5 * time.Millisecond)
	server.locked(func() { server.unsaid = 1000 })
	server.send(server.flow(9)) // the same, with another time
	server.send(server.flows(10, 19)...)
	server.again()
	r.waitFlows(ids(0, 19))
	r.noGaps()
}

// While a server cannot be reached, that is told in slices; when its ring held everything, the rest is no gap.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.send(server.flows(0, 10)...)
	r := startSlicing(t, server.addr, slice, func(c *hubble.Config) { c.Last = 10 })
	r.waitFlows(ids(0, 10))
	r.waitReady()
	r.polls(2)
	stopped := time.Now()
	server.stop()
	wait(t, "two slices", func() bool { return len(r.allGaps()) >= 2 })
	server.send(server.flows(10, 20)...)
	server.again()
	r.waitFlows(ids(0, 20))
	r.polls(2)
	gaps := r.allGaps()
	if gaps[0].From.Before(stopped.Add(-slice)) || gaps[0].From.After(stopped.Add(slice)) { // the last sign of life was a poll
		t.Errorf("missed from %s on, though followed until %s", gaps[0].From, stopped)
	}
	for i, g := range gaps {
		if g.Cause != flow.GapNodeUnavailable || g.Node.String() != "node-1" || g.Count.Known {
			t.Errorf("gap %s", gapTexts(gaps[i:i+1]))
		}
		if i > 0 && !g.From.Equal(gaps[i-1].To) {
			t.Errorf("slice %d begins at %s, the one before ended at %s", i, g.From, gaps[i-1].To)
		}
	}
	r.polls(5)
	r.waitGaps(len(gaps)) // none after it is back
}

// A server that was never reached is missed from the start until it is, or until we end.
func TestNeverReached(t *testing.T) {
	t.Parallel()
	began := time.Now()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.send(server.flow(0))
	server.stop()
	r := start(t, server.addr, nil)
	_ = r.waitTrouble()
	r.polls(1)
	server.again()
	r.waitFlows(ids(0, 1))
	gaps := r.allGaps()
	if len(gaps) == 0 {
		t.Fatal("no gap")
	}
	for i := range gaps {
		if gaps[i].Cause != flow.GapNodeUnavailable || gaps[i].From.Before(began) {
			t.Errorf("gap %s", gapTexts(gaps[i:i+1]))
		}
	}

	server.stop()
	_ = r.waitTrouble()
	if err := r.end(); err != nil {
		t.Errorf("Run: %v", err)
	}
	last := r.allGaps()[len(r.allGaps())-1]
	if last.Cause != flow.GapNodeUnavailable || time.Since(last.To) > 5*time.Second {
		t.Errorf("the end of it: %s", gapTexts([]flow.Gap{last}))
	}
}

// A refused request is no outage that ends with each attempt.
func TestRefused(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.send(server.flow(0))
	server.locked(func() { server.refuse = status.Error(codes.InvalidArgument, "no such filter") })
	r := start(t, server.addr, nil)
	wait(t, "attempts", func() bool { return r.metric("sextant_hubble_reconnects_total", "reason", "invalid_argument") > 5 })
	for i, g := range r.allGaps() {
		if i > 0 && g.From.Before(r.allGaps()[i-1].To) {
			t.Errorf("told twice: %s", gapTexts(r.allGaps()))
			break
		}
	}
	server.locked(func() { server.refuse = nil })
	r.waitFlows(ids(0, 1))
}

func TestOrderIsKept(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.size = 5000
	server.send(server.flow(0))
	r := start(t, server.addr, nil)
	r.waitFlows(ids(0, 1))
	for i := 1; i < 2000; i += 100 {
		server.send(server.flows(i, i+100)...)
	}
	wait(t, "flows", func() bool { return len(r.uuids()) == 2001 })
	if got := r.uuids(); !slices.IsSorted(got) {
		t.Errorf("out of order: %s", cmp.Diff(ids(0, 2001), got))
	}
}
