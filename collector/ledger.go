package collector

import (
	"time"

	"sextant/collector/flow"
)

// maxLedgerNodes bounds the ledger; the losses of further nodes go on one line without a node.
const maxLedgerNodes = 1024

// ledger remembers what a queue has lost, per node and cause, until it can be told to the sink as gaps.
type ledger struct {
	names *flow.Interner
	open  map[ledgerKey]*flow.Gap
}

type ledgerKey struct {
	node, cluster flow.Name
	cause         flow.GapCause
}

// addLocked notes that the rows of a batch are lost, and takes over the gaps in it.
func (l *ledger) addLocked(cause flow.GapCause, b *flow.Batch) {
	l.addRowsLocked(cause, b)
	for i := range b.Gaps {
		g := &b.Gaps[i]
		l.gapLocked(ledgerKey{g.Node, g.Cluster, g.Cause}, g.From, g.To, g.Count, g.Detail)
	}
}

// addRowsLocked notes that the rows of a batch are lost, other than gaps and heartbeats. Those are let go: a sink that
// refuses for good would be offered the same gaps for ever, and without a heartbeat its time counts as not watched already.
func (l *ledger) addRowsLocked(cause flow.GapCause, b *flow.Batch) {
	detail, one := l.names.Name(details[cause]), flow.Count{N: 1, Known: true}
	for i := range b.Records {
		r := &b.Records[i]
		l.gapLocked(ledgerKey{r.Node, r.Cluster, cause}, r.Time, r.Time, one, detail)
	}
	for i := range b.Connections {
		c := &b.Connections[i]
		l.gapLocked(ledgerKey{c.Node, c.Cluster, cause}, c.First, c.Last, one, detail)
	}
	for i := range b.Pulls {
		p := &b.Pulls[i]
		l.gapLocked(ledgerKey{p.Node, p.Cluster, cause}, p.Time, p.Time, one, detail)
	}
	for i := range b.Items {
		it := &b.Items[i] // its node is whom it is about, not who saw it
		l.gapLocked(ledgerKey{cluster: it.Cluster, cause: cause}, it.Time, it.Time, one, detail)
	}
}

func (l *ledger) gapLocked(key ledgerKey, from, to time.Time, count flow.Count, detail flow.Name) {
	if l.open == nil {
		l.open = map[ledgerKey]*flow.Gap{}
	}
	if l.open[key] == nil && len(l.open) >= maxLedgerNodes {
		key.node, key.cluster = flow.Name{}, flow.Name{}
	}
	g := l.open[key]
	if g == nil {
		g = &flow.Gap{Node: key.node, Cluster: key.cluster, Cause: key.cause, From: from, To: to, Count: flow.Count{Known: true}, Detail: detail}
		l.open[key] = g
	}
	if from.Before(g.From) {
		g.From = from
	}
	if to.After(g.To) {
		g.To = to
	}
	if g.Count.Known && count.Known {
		g.Count.N += count.N
	} else {
		g.Count = flow.Count{} // a sum that lacks a part would look like the whole
	}
}

var details = map[flow.GapCause]string{
	flow.GapQueueFull: "the sink was away or slow and its queue was full",
	flow.GapRejected:  "the sink refused these rows for good; the log says why",
}

// takeLocked returns what was noted as a batch of gaps, or nil.
func (l *ledger) takeLocked() *flow.Batch {
	if len(l.open) == 0 {
		return nil
	}
	b := &flow.Batch{}
	for _, g := range l.open {
		b.Gaps = append(b.Gaps, *g)
	}
	b.Retain(1)
	clear(l.open)
	return b
}
