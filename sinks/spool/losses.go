package spool

import (
	"cmp"
	"slices"
	"time"

	"sextant/collector/flow"
)

// maxNodes bounds what is kept apart; the losses of further nodes go on one line without a node.
const maxNodes = 1024

// losses remembers rows that will never be delivered, per node and cause, until a gap tells of them.
type losses struct {
	names *flow.Interner
	open  map[lossKey]*flow.Gap
}

type lossKey struct {
	node, cluster flow.Name
	cause         flow.GapCause
}

var details = map[flow.GapCause]string{
	flow.GapSpoolFull:    "the sink was away for longer than its spool had room: see spool.max_bytes",
	flow.GapSpoolDamaged: "the disk gave back from the spool what cannot be read",
	flow.GapRejected:     "the sink refused these rows for good; the log says why",
}

// batch notes the rows of a batch, and keeps the gaps in it.
func (l *losses) batch(cause flow.GapCause, b *flow.Batch) {
	l.rows(cause, b)
	for i := range b.Gaps {
		l.gap(b.Gaps[i])
	}
}

// rows notes the rows of a batch, other than gaps and heartbeats: without a heartbeat its time counts as not watched
// already.
func (l *losses) rows(cause flow.GapCause, b *flow.Batch) {
	note := func(node, cluster flow.Name, from, to time.Time) {
		l.gap(flow.Gap{
			Node: node, Cluster: cluster, From: from, To: to, Cause: cause, Count: flow.Count{N: 1, Known: true},
			Detail: l.names.Name(details[cause]),
		})
	}
	for i := range b.Records {
		r := &b.Records[i]
		note(r.Node, r.Cluster, r.Time, r.Time)
	}
	for i := range b.Connections {
		c := &b.Connections[i]
		note(c.Node, c.Cluster, c.First, c.Last)
	}
	for i := range b.Pulls {
		p := &b.Pulls[i]
		note(p.Node, p.Cluster, p.Time, p.Time)
	}
	for i := range b.Items {
		it := &b.Items[i] // its node is whom it is about, not who saw it
		note(flow.Name{}, it.Cluster, it.Time, it.Time)
	}
}

// hole notes rows of which little is known.
func (l *losses) hole(cause flow.GapCause, h hole) {
	l.gap(flow.Gap{
		From: time.Unix(0, h.from).UTC(), To: time.Unix(0, h.to).UTC(), Cause: cause,
		Count: flow.Count{N: uint64(h.rows), Known: h.rows > 0}, Detail: l.names.Name(details[cause]),
	})
}

func (l *losses) gap(gap flow.Gap) {
	if l.open == nil {
		l.open = map[lossKey]*flow.Gap{}
	}
	key := lossKey{gap.Node, gap.Cluster, gap.Cause}
	if l.open[key] == nil && len(l.open) >= maxNodes {
		key.node, key.cluster = flow.Name{}, flow.Name{}
		gap.Node, gap.Cluster = key.node, key.cluster
	}
	g := l.open[key]
	if g == nil {
		l.open[key] = &gap
		return
	}
	if gap.From.Before(g.From) {
		g.From = gap.From
	}
	if gap.To.After(g.To) {
		g.To = gap.To
	}
	if g.Count.Known && gap.Count.Known {
		g.Count.N += gap.Count.N
	} else {
		g.Count = flow.Count{} // a sum that lacks a part would look like the whole
	}
}

// take returns what was noted as a batch, or nil, and forgets it. What was noted alike is returned alike.
func (l *losses) take() *flow.Batch {
	if len(l.open) == 0 {
		return nil
	}
	b := &flow.Batch{}
	for _, g := range l.open {
		b.Gaps = append(b.Gaps, *g)
	}
	l.open = nil
	slices.SortFunc(b.Gaps, func(x, y flow.Gap) int {
		return cmp.Or(cmp.Compare(x.Node.Get(), y.Node.Get()), cmp.Compare(x.Cluster.Get(), y.Cluster.Get()), cmp.Compare(x.Cause, y.Cause))
	})
	return b
}
