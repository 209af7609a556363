package hubble_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

// allBeats returns the heartbeats of a node, or of all where none is named.
func (r *run) allBeats(node string) []flow.Beat {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.beats), func(b flow.Beat) bool { return node != "" && b.Node.String() != node })
}

// waitBeats waits until the node was watched for a moment.
func (r *run) waitBeats(node string) {
	r.t.Helper()
	now := time.Now()
	wait(r.t, "heartbeats of "+node, func() bool {
		beats := r.allBeats(node)
		return len(beats) > 0 && beats[len(beats)-1].To.After(now)
	})
}

func beatTexts(beats []flow.Beat) []string {
	var list []string
	for i := range beats {
		list = append(list, string(flow.AppendJSON(nil, "heartbeat", flow.BeatFields, &beats[i])))
	}
	return list
}

// stretch is a time of which something was told.
type stretch struct {
	from, to time.Time
	what     string
}

// whole checks that a node's heartbeats and gaps tell of all the time from the first to the last, and that no two
// heartbeats overlap, nor one and a gap that says that nothing could come. Two restarts may: such a gap begins at the last
// flow, by the agent's clock, and the one before it ends by ours. It returns where that time begins and ends.
func whole(t testing.TB, beats []flow.Beat, gaps []flow.Gap) (from, to time.Time) {
	t.Helper()
	var all []stretch
	for _, b := range beats {
		all = append(all, stretch{b.From, b.To, "watched"})
	}
	for _, g := range gaps {
		if g.To.After(g.From) {
			all = append(all, stretch{g.From, g.To, g.Cause.String()})
		}
	}
	slices.SortStableFunc(all, func(a, b stretch) int { return a.from.Compare(b.from) })
	for i, s := range all {
		if i == 0 {
			from, to = s.from, s.to
			continue
		}
		if s.from.After(to) {
			t.Errorf("nothing is told of the %s from %s on, until %s", s.from.Sub(to), to, s.what)
		}
		for _, before := range all[:i] {
			down := before.what == "node_unavailable" || s.what == "node_unavailable"
			twice := before.what == s.what && s.what != "agent_restart"
			if before.to.After(s.from) && (twice || down && (s.what == "watched" || before.what == "watched")) {
				t.Errorf("%s from %s to %s and %s from %s to %s overlap", before.what, before.from, before.to, s.what, s.from, s.to)
			}
		}
		if s.to.After(to) {
			to = s.to
		}
	}
	return from, to
}

func flowsOf(beats []flow.Beat) (n uint64) {
	for _, b := range beats {
		n += b.Flows.N
	}
	return n
}

// A node that is followed is watched, whether flows come or not, from the time on at which they were asked for until the
// last sign of life.
func TestWatched(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve(socket(t), nil)
	server.began = time.Now().Add(-time.Hour)
	server.send(server.flows(0, 10)...)
	began := time.Now()
	r := startSlicing(t, "unix://"+server.addr, slice, func(c *hubble.Config) { c.Last = 5 })
	r.waitFlows(ids(5, 10))
	r.waitBeats("node-1") // though nothing comes
	server.send(server.flows(10, 30)...)
	r.waitFlows(ids(5, 30))
	r.polls(2)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	ended, beats := time.Now(), r.allBeats("")
	from, to := whole(t, beats, nil)
	if len(beats) < 3 || !from.Before(began) || to.Before(ended.Add(-slice)) || to.After(ended) {
		t.Errorf("watched from %s to %s, began at %s, ended at %s", from, to, began, ended)
	}
	if want := r.flows[0].Time; !from.Equal(want) { // the oldest of those that came
		t.Errorf("watched from %s on, want from %s", from, want)
	}
	for i, b := range beats {
		if b.Node.String() != "node-1" || b.Cluster.String() != "lab" || i < len(beats)-1 && !b.To.Equal(b.To.Truncate(slice)) {
			t.Errorf("heartbeat %s", beatTexts(beats[i:i+1]))
		}
	}
	if flowsOf(beats) != 25 {
		t.Errorf("%d flows in %s", flowsOf(beats), beatTexts(beats))
	}
	if got, want := r.metric("sextant_hubble_last_heartbeat_timestamp_seconds", "node", "node-1"), float64(to.UnixMilli())/1e3; got != want {
		t.Errorf("the metric says %v, want %v", got, want)
	}
}

// What the ring still held when it was asked was watched, but no time before the agent began.
func TestWatchedBefore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		stamp, want time.Duration // of the first flow, and since when it is said to be watched
		edit        func(*hubble.Config)
	}{
		{"since", -10 * time.Minute, -10 * time.Minute, func(c *hubble.Config) { c.Since = "30m" }},
		{"last", -10 * time.Minute, -10 * time.Minute, func(c *hubble.Config) { c.Last = 10 }},
		{"before the agent", -100 * time.Hour, -time.Hour, func(c *hubble.Config) { c.Last = 10 }},
		{"from the future", time.Hour, 0, func(c *hubble.Config) { c.Last = 10 }},
		{"now", -10 * time.Minute, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			server := newFake(t, "lab/node-1").serve(socket(t), nil)
			server.began = now.Add(-time.Hour)
			server.send(at(server.flow(0), now.Add(tt.stamp)))
			r := startSlicing(t, "unix://"+server.addr, slice, tt.edit)
			r.waitFlows(ids(0, 1))
			r.waitBeats("node-1")
			if from := r.allBeats("")[0].From.Sub(now); from < tt.want-time.Second || from > tt.want+time.Second {
				t.Errorf("watched from %s on, want %s", from, tt.want)
			}
		})
	}
}

// An agent whose ring is empty is watched: what comes into it will come.
func TestWatchedWhileEmpty(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve(socket(t), nil)
	r := startSlicing(t, "unix://"+server.addr, slice, nil)
	r.waitReady()
	time.Sleep(2 * slice)
	if beats := r.allBeats(""); len(beats) > 0 {
		t.Errorf("a node without a name has heartbeats %s", beatTexts(beats))
	}
	since := time.Now() // before anything came
	server.send(server.flows(0, 3)...)
	r.waitFlows(ids(0, 3))
	r.waitBeats("node-1")
	beats := r.allBeats("")
	if from, _ := whole(t, beats, nil); from.After(since) {
		t.Errorf("watched from %s on: %s", from, beatTexts(beats))
	}
}

// An outage is no gap where the ring has kept all, and then the node was watched all the time. Where the ring has wrapped,
// and where nobody can know, it was not.
func TestWatchedThroughABreak(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*fake) // while the server is away
		mute   bool
		gaps   []string
		whole  bool
	}{
		{"kept", func(f *fake) { f.send(f.flows(10, 20)...) }, false, nil, true},
		{"idle", func(*fake) {}, false, nil, true},
		{"wrapped", func(f *fake) { f.send(f.flows(10, 60)...) }, false, []string{"ring_wrapped"}, true},
		{"restarted", func(f *fake) {
			time.Sleep(20 * time.Millisecond)
			f.locked(func() { f.ring, f.written, f.began = nil, 0, time.Now() })
			f.send(f.flows(10, 20)...)
		}, false, []string{"agent_restart"}, true},
		{"not known", func(f *fake) { f.send(f.flows(10, 20)...) }, true, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newFake(t, "lab/node-1").serve(socket(t), nil)
			server.size, server.mute = 20, tt.mute
			server.send(server.flows(0, 10)...)
			r := startSlicing(t, "unix://"+server.addr, time.Minute, func(c *hubble.Config) { c.Last = 10 })
			r.waitFlows(ids(0, 10))
			r.polls(3)
			server.stop()
			_ = r.waitTrouble()
			time.Sleep(5 * time.Millisecond)
			tt.change(server)
			server.again()
			r.waitReady()
			r.polls(4)
			if err := r.end(); err != nil {
				t.Fatal(err)
			}
			var causes []string
			for _, g := range r.allGaps() {
				causes = append(causes, g.Cause.String())
			}
			if diff := cmp.Diff(tt.gaps, causes); diff != "" {
				t.Error(diff)
			}
			beats := r.allBeats("")
			if tt.whole {
				whole(t, beats, r.allGaps())
				return
			}
			holes := 0 // a full minute may divide a heartbeat, and leaves none
			for i := range beats {
				if i > 0 && beats[i].From.After(beats[i-1].To) {
					holes++
				}
			}
			if holes != 1 {
				t.Errorf("%d holes in the heartbeats %s", holes, beatTexts(beats))
			}
		})
	}
}

// Whatever happens to a server and its ring, each moment is in a heartbeat or in a gap.
func TestNoMomentIsUntold(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		seed := time.Now().UnixNano() + int64(i)
		t.Run("", func(t *testing.T) {
			t.Parallel()
			t.Logf("seed %d", seed)
			dice := rand.New(rand.NewPCG(uint64(seed), 0))
			server, target := newFake(t, "lab/node-1"), ""
			if dice.IntN(2) == 0 { // where every event comes
				target = "unix://" + server.serve(socket(t), nil).addr
			} else {
				target = server.serve("[::1]:0", nil).addr
			}
			server.size = 30
			server.send(server.flows(0, 5)...)
			r := startSlicing(t, target, slice, func(c *hubble.Config) { c.Last = 5 })
			r.waitFlows(ids(0, 5))
			r.polls(2)
			n := 5
			send := func(most int) {
				m := n + 1 + dice.IntN(most)
				server.send(server.flows(n, m)...)
				n = m
			}
			for range 12 {
				switch dice.IntN(6) {
				case 0:
					server.cut(nil)
				case 1: // a while without it, in which the ring may wrap
					server.stop()
					r.polls(dice.IntN(5))
					send(60)
					server.again()
					r.polls(1)
				case 2: // the agent begins anew
					server.stop()
					r.polls(dice.IntN(5))
					server.locked(func() { server.ring, server.written, server.began = nil, 0, time.Now() })
					send(60)
					server.again()
					r.polls(1)
				case 3:
					send(10)
				case 4:
					time.Sleep(time.Duration(dice.IntN(50)) * time.Millisecond)
				case 5:
					r.polls(3)
				}
			}
			r.polls(4)
			ended := time.Now()
			if err := r.end(); err != nil {
				t.Fatal(err)
			}
			_, to := whole(t, r.allBeats(""), r.allGaps())
			if to.Before(ended.Add(-2 * slice)) {
				t.Errorf("told until %s, ended at %s", to, ended)
			}
			if t.Failed() {
				t.Logf("heartbeats %s\ngaps %s", beatTexts(r.allBeats("")), gapTexts(r.allGaps()))
			}
		})
	}
}

// Through Relay a node is watched while Relay says that it is connected, and only when it would be heard.
func TestWatchedThroughRelay(t *testing.T) {
	t.Parallel()
	server := newFake(t, "relay").serve("[::1]:0", nil)
	node := func(name string, held uint64) *observerpb.Node {
		n := relayNode(name, time.Hour, 100+held, 1000)
		n.NumFlows = held
		return n
	}
	server.relays(node("lab/node-1", 5), node("lab/node-2", 5), node("lab/empty", 0))
	r := startSlicing(t, server.addr, slice, nil)
	r.waitReady()
	r.waitBeats("node-1")
	r.waitBeats("node-2")
	if beats := r.allBeats("empty"); len(beats) > 0 {
		t.Errorf("a node that may be mute has heartbeats %s", beatTexts(beats))
	}

	// One speaks, another cannot be reached, and a third has come of which nobody knows when it was asked.
	gone := node("lab/node-2", 0)
	gone.State = relaypb.NodeState_NODE_UNAVAILABLE
	server.relays(node("lab/node-1", 5), gone, node("lab/empty", 1), node("lab/new", 5))
	server.send(nodeStatus(relaypb.NodeState_NODE_UNAVAILABLE, "it burns", "lab/node-2"), message("lab/empty", time.Now(), lost("lab/empty", flowpb.LostEventSource_PERF_EVENT_RING_BUFFER, 2, noon, noon).ResponseTypes))
	left := time.Now()
	r.waitBeats("empty")
	r.waitBeats("node-1")
	r.waitBeats("node-1")
	if beats := r.allBeats("node-2"); beats[len(beats)-1].To.After(left.Add(slice)) {
		t.Errorf("watched until %s, though unavailable since %s", beats[len(beats)-1].To, left)
	}
	if beats := r.allBeats("new"); len(beats) > 0 {
		t.Errorf("a node that may be mute has heartbeats %s", beatTexts(beats))
	}

	// It comes back, and its ring has kept all: it was watched, but for what was told as a gap.
	server.relays(node("lab/node-1", 5), node("lab/node-2", 9), node("lab/empty", 1))
	r.waitBeats("node-2")
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node-1", "node-2"} {
		gaps := slices.DeleteFunc(r.allGaps(), func(g flow.Gap) bool { return g.Node.String() != name })
		whole(t, r.allBeats(name), gaps)
	}
}
