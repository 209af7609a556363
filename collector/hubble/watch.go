package hubble

import (
	"time"

	"sextant/collector/flow"
)

// watch is the stretch of time in which a node was watched and of which no heartbeat has told yet. All its times are by our
// clock, as those of outages are, so that one ends where the other begins.
//
// A watch goes no further than the last sign of life: what the stream would have brought after it may never come. After a
// break it goes on where it was, if the ring has kept all that the agent saw meanwhile; else it begins anew, with the oldest
// flow that comes. Where neither can be known, nothing is claimed, and nobody has heartbeats and gaps for that time.
//
// What it cannot see: an agent behind Relay whose ring was empty when Relay asked it stays silent until its ring has filled
// once. So behind Relay a node is watched only when its ring was known to hold something, or once a message of it came.
type watch struct {
	from, to time.Time // from is zero until it is watched for the first time
	open     bool      // to moves on
	first    time.Time // of the first flow after a break, by the node's clock
	flows    uint64    // handed on since from
	numbers  numbers   // what the agent said of itself when it was followed last
	asked    bool      // behind Relay: its ring held something when Relay asked, or a message came since
}

// heard notes a message: a flow, or with no time that flows were lost.
func (w *watch) heard(stamp time.Time) {
	w.asked = true
	if !w.open && w.first.IsZero() {
		w.first = stamp
	}
}

// restart ends a watch because the agent has begun anew, and returns the gap that says so, which begins no later. A node is
// taken to have been watched until the gap where that was not known before, but not beyond the last sign of life.
func (w *watch) restart(g flow.Gap, sign time.Time) flow.Gap {
	w.reach(earlier(g.From, sign))
	if !w.open && !w.from.IsZero() {
		g.From = earlier(g.From, w.to)
	}
	w.stop(w.to)
	w.numbers, w.asked = numbers{valid: true}, false // its ring begins empty; the flows in it are counted from zero
	return g
}

// reach notes that the node was watched until t.
func (w *watch) reach(t time.Time) {
	if t = wall(t); w.open && t.After(w.to) {
		w.to = t
	}
}

// stop notes that the node is not watched from t on, even if it was taken to be.
func (w *watch) stop(t time.Time) {
	if t = wall(t); w.open && t.Before(w.to) {
		w.to = later(t, w.from)
	}
	w.open, w.first = false, time.Time{}
}

// holds says whether the ring of an agent that now says n still has all that was seen since the watch stopped.
func (w *watch) holds(n numbers) bool {
	return w.numbers.valid && n.valid && n.seenFlows >= w.numbers.seenFlows && n.seenFlows-w.numbers.seenFlows <= n.maxFlows+1
}

// wall strips the monotonic clock, which beats do not have: a clock that is set must not make them overlap.
func wall(t time.Time) time.Time { return t.Round(0).UTC() }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// beatLocked tells that a node was watched until t, if that has not been told.
func (s *stream) beatLocked(a *agent, t time.Time) error {
	w := &a.watch
	if w.from.IsZero() || !t.After(w.from) || a.name.Node.IsZero() {
		return nil
	}
	b := flow.Beat{Node: a.name.Node, Cluster: a.name.Cluster, From: w.from, To: t, Flows: flow.Count{N: w.flows, Known: true}}
	w.from, w.flows = t, 0
	s.metrics.lastBeat.WithLabelValues(a.name.Cluster.String(), a.name.Node.String()).Set(float64(t.UnixMilli()) / 1e3)
	if err := s.batch.beat(b); err != nil {
		return &stopError{err}
	}
	return nil
}

// moveLocked tells what was watched, and lets the watch go on at t.
func (s *stream) moveLocked(a *agent, t time.Time) error {
	err := s.beatLocked(a, a.watch.to)
	a.watch.from, a.watch.to = t, t
	return err
}

// gapLocked tells a gap. One that says of a time that nothing came in it is cut out of the watch of its node, or of all
// nodes where it names none.
func (s *stream) gapLocked(g flow.Gap) error {
	switch g.Cause {
	case flow.GapNodeUnavailable, flow.GapNodeGone, flow.GapAgentRestart, flow.GapRingWrapped:
		for name, a := range s.agents {
			if whose := (NodeName{g.Node, g.Cluster}); whose != name && whose != (NodeName{}) {
				continue
			}
			if err := s.cutLocked(a, wall(g.From), earlier(wall(g.To), wall(time.Now()))); err != nil {
				return err
			}
		}
	}
	if err := s.batch.gap(g); err != nil {
		return &stopError{err}
	}
	return nil
}

// cutLocked takes a time out of a watch, as far as it has not been told.
func (s *stream) cutLocked(a *agent, from, to time.Time) error {
	w := &a.watch
	if !to.After(w.from) {
		return nil
	}
	if from.Before(w.to) {
		w.to = later(from, w.from)
	}
	return s.moveLocked(a, to)
}

// beatsLocked tells what was watched up to the last whole minute, or all of it.
func (s *stream) beatsLocked(all bool) error {
	for _, a := range s.agents {
		until := a.watch.to
		if !all {
			until = until.Truncate(s.times.slice)
		}
		if err := s.beatLocked(a, until); err != nil {
			return err
		}
	}
	return nil
}

// askedLocked notes which nodes' rings hold something when Relay asks them.
func (s *session) askedLocked() {
	for name, n := range s.greeted.nodes {
		if a := s.agents[name]; a != nil && n.connected {
			a.watch.asked = n.valid && n.numFlows > 0
		}
	}
}

// watchLocked takes from an answer of the server which nodes are watched.
func (s *session) watchLocked(st serverStatus) error {
	lone := s.loneLocked()
	for name, a := range s.agents {
		n, here, can := st.lone, a == lone, true
		if st.relay {
			node, known := st.nodes[name]
			_, out := s.outages.open[name]
			n, here, can = node.numbers, node.connected || !known && !st.listed, a.watch.asked && !out
		}
		if !here {
			a.watch.stop(a.watch.to)
			continue
		}
		if !can {
			continue
		}
		if err := s.openLocked(a, n); err != nil {
			return err
		}
		if n.valid && a.watch.open {
			a.watch.numbers = n
		}
	}
	s.watched = true
	s.reachLocked()
	return s.beatsLocked(false)
}

// reachLocked notes that what is watched was so until the last sign of life.
func (s *session) reachLocked() {
	for _, a := range s.agents {
		a.watch.reach(s.sign)
	}
}

// openLocked begins or resumes the watch of an agent that says n now. A suspicion keeps it closed: the next flow decides.
func (s *session) openLocked(a *agent, n numbers) error {
	w := &a.watch
	if w.open || !a.suspect.IsZero() {
		return nil
	}
	since, back := wall(s.sign), false
	if !s.watched { // then the break was that before this session, and n counts flows that have come in it already
		since, back, n = wall(s.started), s.reachesBack(a), s.greeted.of(a.name)
	}
	w.open = true
	if !w.from.IsZero() && (back || w.holds(n)) {
		return nil
	}
	if !w.first.IsZero() && n.valid && s.from != newest {
		// What its ring still held; but no time is believed to be before the agent began.
		since = earlier(since, later(wall(w.first), wall(n.at.Add(-n.uptime))))
	}
	return s.moveLocked(a, later(since, w.to))
}

// of returns what the server said of a node.
func (st serverStatus) of(name NodeName) numbers {
	if st.relay {
		return st.nodes[name].numbers
	}
	return st.lone
}

// reachesBack says whether the ring was seen to begin before the break.
func (s *session) reachesBack(a *agent) bool {
	oldest := s.oldests[a.name]
	reached, ok := a.clock(s.cut)
	return !oldest.IsZero() && (ok && !oldest.After(reached) || !oldest.After(a.watch.to))
}

// decideLocked takes the first flow after a break at which the ring was suspected of having wrapped.
func (s *session) decideLocked(a *agent, again bool, stamp time.Time) error {
	w := &a.watch
	g, wrapped := a.decide(again, stamp)
	w.open = !w.from.IsZero()
	if !wrapped {
		return nil
	}
	if w.open {
		g.From = earlier(g.From, w.to)
	}
	g.Detail = s.names.Name("the ring of the node's agent no longer held the flows at which the stream had stopped")
	return s.gapLocked(g)
}
