package hubble

// account compares the flows that one stream delivered with the number the agent saw, and finds what the agent's ring
// lost without a word.
//
// An agent tells of a ring that overran its reader only together with a later event (pkg/hubble/observer
// local_observer.go, GetFlows). So a loss is silent for as long as the node is, and only then need it be looked for:
// when two readings of seen_flows, a poll apart, agree, nothing arrived between them, and the receiver waits with
// nothing in hand, then all that was sent has arrived. At such a quiet moment
//
//	seen − arrived − lost = base
//
// where lost is what the agent told of, and base is the same at each quiet moment, whatever the position of the stream
// was: the flows before that position. What base grows by was lost.
//
// It grows by one without a loss when the newest event of the ring is a flow now and was none before: a ring never
// yields its newest slot. And it shrinks where the agent counted lost events that are no flows. So less than two is
// nothing, and a count may be off by one.
//
// It cannot see: losses before the first quiet moment, unless they exceed all the agent saw until the stream was open;
// losses that the agent had counted and not told when the connection broke; losses before the ring (the kernel's, the
// observer queue's), which seen_flows does not hold either, but the agent tells of them. It cannot be used on a filtered
// stream, nor through Relay, whose numbers are sums over changing sets of nodes.
type account struct {
	arrived int64 // flows on this stream, again-delivered ones included
	lost    int64 // events the agent told its ring lost to this stream
	told    int64 // flows that we found missing and of which the agent may yet tell

	prev     reading
	ceiling  int64 // seen when the stream was known to be open: base cannot be more
	bounded  bool
	base     int64
	at       int64 // seen when base was last true
	balanced bool  // base is known
	off      bool  // the numbers do not add up; give up
}

type reading struct {
	valid               bool
	seen, arrived, lost int64
	idle                bool
}

// poll takes seen_flows and the ring's size, and returns how many flows are found missing. Open says that a message
// had come before the agent was asked; idle that the receiver now waits with nothing in hand.
func (a *account) poll(seenFlows, ring uint64, open, idle bool) (missing uint64) {
	now := reading{true, int64(seenFlows), a.arrived, a.lost, idle}
	quiet := a.prev == now && idle
	backwards := a.prev.valid && now.seen < a.prev.seen
	a.prev = now
	if a.off || backwards {
		a.off = true
		return 0
	}
	if open && !a.bounded {
		a.ceiling, a.bounded, a.at = now.seen, true, now.seen
	}
	if !quiet || !a.bounded {
		return 0
	}
	x := now.seen - now.arrived - now.lost
	if !a.balanced {
		a.base, a.balanced = min(x, a.ceiling), true
	}
	missingNow := x - a.base
	if missingNow < 2 {
		a.base, a.at = min(a.base, x), now.seen
		return 0
	}
	if now.seen-a.at < int64(ring/2) {
		// So few events overrun no ring: this agent does not send all it counts.
		a.off = true
		return 0
	}
	a.base, a.at = x, now.seen
	a.told += missingNow
	return uint64(missingNow)
}

// hubble takes the agent's own word that its ring lost n events to this stream, and returns how many of them we had not
// found already.
func (a *account) hubble(n uint64) (news uint64) {
	a.lost += int64(n)
	known := min(int64(n), a.told)
	a.told -= known
	a.base -= known
	return n - uint64(known)
}
