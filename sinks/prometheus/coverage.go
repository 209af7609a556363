package prometheus

import (
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
)

var observedSeconds = Declaration{
	Name: MetricObservedSecondsTotal, Kind: "counter", Labels: []string{LabelCluster, LabelNode},
	Help: "Time in which a node's flows were seen: its heartbeats less its gaps, overlaps counted once. A node that cannot be followed has a series that stands still.",
}

// coverage counts how long each node was really observed: the union of its heartbeats less the union of its gaps, as the
// view completeness has it. Beside the number of nodes it says what share of the cluster was seen. That a node's settings
// hide its own connections takes nothing from what is seen of its pods.
type coverage struct {
	table

	watches  map[watched]*watch
	everyone map[flow.Name]*spans // gaps that are tied to no node, by cluster; the empty name is every cluster
}

type watched struct{ cluster, node flow.Name }

// watch is what is known of one node.
type watch struct {
	*series

	beats, gaps spans
	owed        int64 // nanoseconds that were counted before their gap was told; a counter cannot take them back

	gone                 time.Time     // the node left, and was not seen after; zero where it did not
	beaten, listed, left time.Duration // when that was last said, since the sink began; 0 never
}

func newCoverage(limit int) coverage {
	d := observedSeconds
	return coverage{
		table:   newTable(d, client.CounterValue, limit),
		watches: map[watched]*watch{}, everyone: map[flow.Name]*spans{},
	}
}

func (c *coverage) gapLocked(g *flow.Gap, now time.Duration) {
	if g.Cause == flow.GapHidden {
		return
	}
	s, timed := spanOf(g.From, g.To), !g.From.IsZero() && g.To.After(g.From)
	if g.Node.IsZero() {
		if timed {
			c.everyoneLocked(g.Cluster, s)
		}
		return
	}
	w := c.watchLocked(watched{g.Cluster, g.Node})
	if w == nil {
		return
	}
	w.moved = now
	if g.Cause == flow.GapNodeGone {
		w.gone, w.left = g.From, now
	}
	if timed {
		w.missLocked(s)
	}
}

// everyoneLocked takes a gap of all nodes of a cluster, or of all clusters.
func (c *coverage) everyoneLocked(cluster flow.Name, s span) {
	missed := c.everyone[cluster]
	if missed == nil {
		if len(c.everyone) >= c.limit {
			c.overflowed++
			return
		}
		missed = &spans{}
		c.everyone[cluster] = missed
	}
	missed.add(s)
	for k, w := range c.watches {
		if cluster.IsZero() || k.cluster == cluster {
			w.missLocked(s)
		}
	}
}

func (w *watch) missLocked(s span) {
	w.gaps.without(s, func(fresh span) { w.owed += w.beats.within(fresh) })
	w.gaps.add(s)
}

func (c *coverage) beatLocked(b *flow.Beat, now time.Duration) {
	if b.Node.IsZero() || b.From.IsZero() || !b.To.After(b.From) {
		return
	}
	w := c.watchLocked(watched{b.Cluster, b.Node})
	if w == nil {
		return
	}
	w.moved, w.beaten = now, now
	if b.To.After(w.gone) {
		w.gone, w.left = time.Time{}, 0
	}
	s := spanOf(b.From, b.To)
	w.beats.without(s, func(fresh span) {
		seen := fresh.to - fresh.from - w.gaps.within(fresh)
		paid := min(seen, w.owed)
		w.owed -= paid
		w.value += float64(seen-paid) / 1e9
	})
	w.beats.add(s)
}

// listLocked takes that an inventory names a node.
func (c *coverage) listLocked(i *flow.Item, now time.Duration) {
	if i.Kind == flow.ItemNode {
		if w := c.watches[watched{i.Cluster, i.Name}]; w != nil {
			w.listed = now
		}
	}
}

// watchLocked returns nil where there is no room for another node: a share of nodes that are not told apart means nothing.
func (c *coverage) watchLocked(k watched) *watch {
	if w := c.watches[k]; w != nil {
		return w
	}
	if len(c.watches) >= c.limit {
		c.overflowed++
		return nil
	}
	w := &watch{series: c.open([]string{labelValue(k.cluster.String()), labelValue(k.node.String())})}
	for _, whose := range []flow.Name{k.cluster, {}} {
		if missed := c.everyone[whose]; missed != nil {
			for _, s := range *missed {
				w.gaps.add(s)
			}
		}
	}
	c.watches[k] = w
	return w
}

// leaving is how long the series of a node that left stay, so that a last scrape may have them.
const leaving = 15 * time.Minute

// leftLocked calls f with the nodes that left the cluster: that was said, or an inventory that began at since does not have
// them any more, and nobody has watched them after.
func (c *coverage) leftLocked(now, since time.Duration, f func(owner)) {
	for _, w := range c.watches {
		said := w.left > 0 && now-w.left > leaving
		unlisted := w.listed > 0 && w.listed < since && w.beaten < since && now-since > leaving
		if said || unlisted {
			f(c.owner(w.series))
		}
	}
}

func (c *coverage) forgetLocked(dead func(*series) bool) {
	for k, w := range c.watches {
		if dead(w.series) {
			delete(c.watches, k)
		}
	}
	c.table.forgetLocked(dead)
}
