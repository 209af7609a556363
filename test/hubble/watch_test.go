package hubbletest_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cilium/cilium/pkg/hubble/container"
	"sextant/collector/flow"
	hubbletest "sextant/test/hubble"
)

// end stops the client and returns what it told.
func (c *collector) end() ([]flow.Beat, []flow.Gap) {
	c.t.Helper()
	c.cancel()
	err := <-c.done
	c.done <- err
	return c.beats, c.gaps
}

// told is a time of which a heartbeat or a gap tells.
type told struct {
	from, to time.Time
	beat     bool
}

// wantWhole checks that heartbeats and gaps leave no time out between the first and the last, that heartbeats join each
// other without overlapping, and returns when the first begins and the last ends.
func (c *collector) wantWhole(beats []flow.Beat, gaps []flow.Gap) (from, to time.Time) {
	c.t.Helper()
	var all []told
	for _, b := range beats {
		all = append(all, told{b.From, b.To, true})
	}
	for _, g := range gaps {
		all = append(all, told{g.From, g.To, false})
	}
	slices.SortFunc(all, func(a, b told) int { return a.from.Compare(b.from) })
	var beaten time.Time
	for i, s := range all {
		if i == 0 {
			from, to = s.from, s.to
		}
		if s.from.After(to) {
			c.t.Errorf("nothing is told of the %s after %s", s.from.Sub(to), to)
		}
		if s.beat && s.from.Before(beaten) {
			c.t.Errorf("heartbeats overlap by %s at %s", beaten.Sub(s.from), s.from)
		}
		if s.beat {
			beaten = s.to
		}
		if s.to.After(to) {
			to = s.to
		}
	}
	return from, to
}

// Whatever happens to the real server while flows come and do not come, each moment of the time from the first request
// until the last sign of life is in a heartbeat or in a gap, and breaks that its ring outlived leave no trace.
func TestClientWatches(t *testing.T) {
	for _, listen := range map[string]func(*hubbletest.Server) *hubbletest.Listener{
		"socket": func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeUnix("") },
		"tcp":    func(a *hubbletest.Server) *hubbletest.Listener { return a.ServeTCP("[::1]:0") },
	} {
		for _, kills := range []bool{false, true} {
			seed := time.Now().UnixNano()
			t.Logf("seed %d", seed)
			dice := rand.New(rand.NewPCG(uint64(seed), 0))
			agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity255})
			l := listen(agent)
			n := 2
			agent.Send(numbered(0, n)...)
			c := collect(t, l.Target(), nil)
			c.waitFlows(1)
			asked := time.Now()
			send := func(most int) {
				m := n + 1 + dice.IntN(most)
				agent.Send(numbered(n, m)...)
				agent.Flush()
				n = m
			}
			for range 10 {
				c.ready()
				c.polls(1 + dice.IntN(2))
				switch dice.IntN(5) {
				case 0, 1:
					l.Kill()
					time.Sleep(time.Duration(dice.IntN(100)) * time.Millisecond)
					send(100)
					l.Start()
				case 2:
					send(20)
				case 3:
					if kills {
						l.Kill()
						send(600) // more than the ring holds
						l.Start()
					}
				case 4:
					if kills {
						agent.Kill()
						time.Sleep(time.Duration(dice.IntN(100)) * time.Millisecond)
						agent.Start()
						send(600)
					}
				}
			}
			c.ready()
			c.polls(4)
			stopped := time.Now()
			beats, gaps := c.end()
			from, to := c.wantWhole(beats, gaps)
			if from.After(asked) || to.After(stopped) || to.Before(stopped.Add(-time.Second)) {
				t.Errorf("told from %s to %s, asked at %s and stopped at %s", from, to, asked, stopped)
			}
			if !kills && (len(gaps) > 0 || len(beats) > 2) { // but for a whole minute nothing divides them
				t.Errorf("%d heartbeats and the gaps\n%s", len(beats), gapTexts(gaps))
			}
			var flows uint64
			for _, b := range beats {
				flows += b.Flows.N
			}
			if ids, _ := c.have(); flows != uint64(len(ids)) {
				t.Errorf("%d flows in heartbeats, %d came", flows, len(ids))
			}
			if t.Failed() {
				for i := range beats {
					t.Logf("%s", flow.AppendJSON(nil, "heartbeat", flow.BeatFields, &beats[i]))
				}
				t.FailNow()
			}
		}
	}
}
