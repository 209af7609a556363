package hubble

import (
	"time"

	"sextant/collector/flow"
)

// mark is where another run stopped following a node. The node is followed from a little before it: what comes up to Known
// is let go, and what comes then up to Sent is handed on for the stages alone.
type mark struct {
	since       time.Time // when the node is followed from, while a gate is shut
	known, sent *gate     // nil once they are open
}

func newMark(m flow.Mark) mark {
	if m.Known.Time.IsZero() {
		return mark{}
	}
	at := mark{since: m.Known.Time.Add(-overlap), known: &gate{Point: m.Known}}
	if m.Sent != m.Known {
		at.sent = &gate{Point: m.Sent}
	}
	return at
}

func (m *mark) open() bool { return m.known == nil && m.sent == nil }

// gate opens behind a flow. A ring is not quite in the order of time, so it is that flow itself that counts, and its time
// only where it has none to know it by, or does not come.
type gate struct {
	flow.Point
	reached bool // a flow as old has come
}

// passes says whether a flow lies behind the gate, and whether it is open from then on. It has missed some where the ring
// does not reach back to it.
func (g *gate) passes(rec *flow.Record) (passes, opens, missed bool) {
	anonymous := g.UUID == flow.UUID{}
	switch {
	case !anonymous && rec.UUID == g.UUID:
		return false, true, false
	case !rec.Time.After(g.Time):
		g.reached = true
		return false, false, false
	case g.reached && !anonymous && !rec.Time.After(g.Time.Add(overlap)):
		return false, false, false
	}
	// The first mark of a node lies just before the first flow there was.
	return true, true, (!g.reached || !anonymous) && rec.Time.Sub(g.Time) > 1
}

// resumed returns where a stream begins: at the mark of its node; where it may be any, so early that it does for all.
func (c *common) resumed(node NodeName, begin position) position {
	if at := newMark(c.marks[node]); !at.open() {
		return position{since: at.since}
	}
	if node != (NodeName{}) {
		return begin
	}
	for _, m := range c.marks {
		if at := newMark(m); !at.open() && (begin.since.IsZero() || at.since.Before(begin.since)) {
			begin = position{since: at.since}
		}
	}
	return begin
}

// markedLocked takes a flow of a node whose mark is not behind it, and says whether the run before is done with it. One
// that is only stored is marked so.
func (s *session) markedLocked(a *agent, rec *flow.Record) (known bool, err error) {
	m := &a.mark
	if g := m.known; g != nil {
		passes, opens, missed := g.passes(rec)
		if opens {
			m.known = nil
		}
		if missed {
			if m.sent != nil && rec.Time.After(m.sent.Time) {
				m.sent = nil // it is missed as well
			}
			err = s.missedLocked(a, g, rec)
		}
		if !passes || err != nil {
			return true, err
		}
	}
	if g := m.sent; g != nil {
		passes, opens, missed := g.passes(rec)
		rec.Replayed = !passes
		if opens {
			m.sent = nil
		}
		if missed {
			err = s.missedLocked(a, g, rec)
		}
	}
	return false, err
}

func (s *session) missedLocked(a *agent, g *gate, rec *flow.Record) error {
	return s.gapLocked(flow.Gap{
		Node: a.name.Node, Cluster: a.name.Cluster, From: g.Time, To: rec.Time, Cause: flow.GapRingWrapped,
		Detail: s.names.Name("the ring of the node's agent no longer held the flows at which an earlier run had stopped"),
	})
}
