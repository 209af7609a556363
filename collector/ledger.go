package collector

import (
	"cmp"
	"slices"
	"time"

	"sextant/collector/flow"
)

// maxLedgerNodes bounds the ledger; the losses of further nodes go on one line without a node.
const maxLedgerNodes = 1024

// Ledger remembers rows that will never be stored, per node and cause, until gaps tell of them. It is not safe for
// concurrent use.
type Ledger struct {
	names   *flow.Interner
	details map[flow.GapCause]string
	open    map[ledgerKey]*flow.Gap
}

type ledgerKey struct {
	node, cluster flow.Name
	cause         flow.GapCause
}

// NewLedger returns an empty ledger. The details say of each cause what happened, for a person.
func NewLedger(names *flow.Interner, details map[flow.GapCause]string) *Ledger {
	return &Ledger{names: names, details: details}
}

// Batch notes that the rows of a batch are lost, and takes over the gaps in it.
func (l *Ledger) Batch(cause flow.GapCause, b *flow.Batch) {
	l.Rows(cause, b)
	for i := range b.Gaps {
		l.Gap(b.Gaps[i])
	}
}

// Rows notes that the rows of a batch are lost, other than gaps and heartbeats. Those are let go: a sink that refuses for
// good would be offered the same gaps for ever, and without a heartbeat its time counts as not watched already.
func (l *Ledger) Rows(cause flow.GapCause, b *flow.Batch) {
	detail := l.Detail(cause)
	note := func(node, cluster flow.Name, from, to time.Time) {
		l.Gap(flow.Gap{Node: node, Cluster: cluster, From: from, To: to, Cause: cause, Count: flow.Count{N: 1, Known: true}, Detail: detail})
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
	for i := range b.Charges {
		c := &b.Charges[i]
		note(c.Node, c.Cluster, c.Time, c.Time)
	}
	for i := range b.Buckets {
		bucket := &b.Buckets[i]
		note(flow.Name{}, bucket.Cluster, bucket.Time, bucket.Time)
	}
}

// Gap notes a gap, which becomes one with those of the same node and cause.
func (l *Ledger) Gap(gap flow.Gap) {
	if l.open == nil {
		l.open = map[ledgerKey]*flow.Gap{}
	}
	key := ledgerKey{gap.Node, gap.Cluster, gap.Cause}
	if l.open[key] == nil && len(l.open) >= maxLedgerNodes {
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

// Detail returns what is said of a cause.
func (l *Ledger) Detail(cause flow.GapCause) flow.Name { return l.names.Name(l.details[cause]) }

// Empty reports whether nothing is noted.
func (l *Ledger) Empty() bool { return len(l.open) == 0 }

// Take returns what was noted as a batch, or nil, and forgets it. What was noted alike is returned alike.
func (l *Ledger) Take() *flow.Batch {
	if l.Empty() {
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
	b.Retain(1)
	return b
}
