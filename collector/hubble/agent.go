package hubble

import (
	"math"
	"time"

	"sextant/collector/flow"
)

// agent is what is remembered of one node while its streams come and go: how far its flows were followed, which of them
// came, and what its agent last said of itself.
type agent struct {
	name     NodeName
	seen     seen
	last     time.Time // of the newest flow that was new to us, by the node's clock
	previous time.Time // of the one before
	heard    time.Time // when the newest message of the node came, by our clock
	numbers  numbers

	// The node's clock less ours, in the best case less the way of a flow: the largest in this polling interval and in
	// the one before. Flows stamped later than our time plus this cannot have come yet.
	offset, offsetBefore time.Duration

	// When the stream was found broken and the ring no longer reaches back to there: where by the node's clock. The
	// next flow decides: one that came before proves that the ring did hold all. Zero otherwise.
	suspect time.Time
	// Until when (our clock) a ring loss may be the one that never was, see ghost.
	ghostUntil time.Time

	watch watch
	mark  mark
}

const unknownOffset = time.Duration(math.MinInt64)

func newAgent(name NodeName) *agent {
	a := &agent{name: name, offset: unknownOffset, offsetBefore: unknownOffset}
	a.seen.setRing(0)
	return a
}

// numbers is what an agent says of itself.
type numbers struct {
	valid     bool
	uptime    time.Duration
	seenFlows uint64
	maxFlows  uint64
	numFlows  uint64
	at        time.Time // by our clock
	last      time.Time // of the newest flow that had come by then, by the node's clock
}

// restarted says whether the agent that gave n began after the one that gave before had done so. All three signs hold
// without comparing clocks.
func (n numbers) restarted(before numbers) bool {
	if !n.valid || !before.valid {
		return false
	}
	return n.uptime < before.uptime || n.seenFlows < before.seenFlows || n.uptime+time.Second < n.at.Sub(before.at)
}

// came notes a flow that is new to us.
func (a *agent) came(stamp time.Time) { a.previous, a.last = a.last, stamp }

// hear notes that a message stamped so has come, and keeps the offset of clocks.
func (a *agent) hear(stamp, now time.Time) {
	a.heard = now
	if !stamp.IsZero() {
		a.offset = max(a.offset, stamp.Sub(now))
	}
}

// age begins a new interval of offsets. One in which nothing came leaves them as they are.
func (a *agent) age() {
	if a.offset != unknownOffset {
		a.offset, a.offsetBefore = unknownOffset, a.offset
	}
}

// clock returns what the node's clock showed at our time t, less the way of a flow.
func (a *agent) clock(t time.Time) (time.Time, bool) {
	offset := max(a.offset, a.offsetBefore)
	return t.Add(offset), offset != unknownOffset
}

// overlap is how far before the newest flow a stream is resumed. A ring is not quite in the order of time, and the agent
// looks for the beginning from the newest end, so that a flow stamped early would hide those behind it.
const overlap = 5 * time.Second

// resume returns from which time on flows are wanted after a break, if any came before, in this run or another. The older
// of the last two keeps one flow with a strange time from moving the position.
func (a *agent) resume() (time.Time, bool) {
	if a.last.IsZero() {
		return a.mark.since, !a.mark.open()
	}
	t := a.last
	if !a.previous.IsZero() && a.previous.Before(t) {
		t = a.previous
	}
	return t.Add(-overlap), true
}

// broke is called when the node is reached again after a stream ended at cut (our clock), with the time of the oldest
// event of its ring (zero: unknown). It suspects the ring of having wrapped when it begins after everything that can
// have come, and the agent has seen more than it holds since.
func (a *agent) broke(cut, oldest time.Time, now numbers) {
	if a.last.IsZero() || !a.suspect.IsZero() || oldest.IsZero() {
		return
	}
	reached, ok := a.clock(cut)
	if !ok || !oldest.After(reached) {
		return
	}
	if now.valid && a.numbers.valid && now.seenFlows-a.numbers.seenFlows <= now.maxFlows+1 {
		return // the ring holds all that was seen since
	}
	a.suspect = reached
}

// decide is called with the first flow after a break.
func (a *agent) decide(again bool, stamp time.Time) (flow.Gap, bool) {
	if a.suspect.IsZero() {
		return flow.Gap{}, false
	}
	from := a.suspect
	a.suspect = time.Time{}
	if again || !stamp.After(from) {
		return flow.Gap{}, false
	}
	return flow.Gap{Node: a.name.Node, Cluster: a.name.Cluster, From: from, To: stamp, Cause: flow.GapRingWrapped}, true
}

// restart is the gap between the newest flow and the agent's new start. Where the restart was found only some time after
// it, the newest flow is of the new agent, and the one known at the last poll must do.
func (a *agent) restart(now numbers) flow.Gap {
	start, ok := a.clock(now.at.Add(-now.uptime))
	if !ok {
		start = now.at.Add(-now.uptime)
	}
	from := a.last
	if from.After(start) && !a.numbers.last.IsZero() {
		from = a.numbers.last
	}
	if from.IsZero() {
		from = a.numbers.at
	}
	if start.Before(from) {
		start = from
	}
	return flow.Gap{Node: a.name.Node, Cluster: a.name.Cluster, From: from.UTC(), To: start.UTC(), Cause: flow.GapAgentRestart}
}

// ghost returns how many of the n events that a ring is said to have lost were never there.
//
// A stream with a position that lies before everything in a full ring starts one slot too early, on the event that was
// overwritten last (newRingReader rewinds once more than there are events), and the agent counts that as lost. The event
// is older than the position or has come before. Such a loss begins with the stream.
func (a *agent) ghost(n uint64, began time.Time) uint64 {
	if n == 0 || a.ghostUntil.IsZero() {
		return 0
	}
	mayBe := !began.After(a.ghostUntil)
	a.ghostUntil = time.Time{} // it is in the first report or in none
	if mayBe {
		return 1
	}
	return 0
}
