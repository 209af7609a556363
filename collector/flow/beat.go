package flow

import "time"

// Beat is a stretch of time in which a node was watched: its stream was open, and whatever was lost on it stands in gaps.
// An idle node has beats without flows; a node without beats was not watched, whatever its numbers say.
//
// A lasting watch has a beat for each minute of the clock, and one may be longer: what a ring still held after a break is told
// at once, and of a recording there is one for each node. The beats of one collector join each other to the nanosecond and
// never overlap; those of two collectors do, and each of them holds: what was watched of a node is the union of its beats,
// less the union of its gaps.
//
// Their times are by the collector's clock, as those of gaps that say that a node cannot be followed; where a beat begins
// with the oldest flow that came, and in recordings, they are those of flows, by the node's clock.
type Beat struct {
	Node    Name
	Cluster Name
	From    time.Time
	To      time.Time
	Flows   Count // handed on since the beat before; unknown where nobody counted
}

// BeatFields is the one table of a beat's columns.
var BeatFields = []Field[Beat]{
	{Name: "node", Doc: "node that was watched", Label: true, Str: func(b *Beat) Name { return b.Node }},
	{Name: "cluster", Doc: "cluster of that node", Label: true, Str: func(b *Beat) Name { return b.Cluster }},
	{Name: "from", Doc: "since when its stream was open, with nothing lost but what stands in gaps (UTC)", Time: func(b *Beat) time.Time { return b.From }},
	{Name: "to", Doc: "until when; while the node is watched the next heartbeat begins here (UTC)", Time: func(b *Beat) time.Time { return b.To }},
	{Name: "flows", Doc: "flows that came since the heartbeat before: none from an idle node", Count: func(b *Beat) Count { return b.Flows }},
}
