package hubble

import (
	"time"

	"sextant/collector/flow"
)

// outages keeps, per node, since when it cannot be followed, and turns that into gaps. An outage that lasts is told in
// slices, so that the ledger shows it while it lasts. It is not safe for concurrent use.
type outages struct {
	names *flow.Interner
	open  map[NodeName]outage
}

type outage struct {
	from   time.Time
	cause  flow.GapCause
	detail flow.Name
}

// slice is the longest stretch of a lasting outage that goes untold.
const slice = time.Minute

// begin notes that a node cannot be followed from t on. A node that is out already stays so.
func (o *outages) begin(node NodeName, t time.Time, cause flow.GapCause, detail string) {
	if _, out := o.open[node]; out {
		return
	}
	if o.open == nil {
		o.open = map[NodeName]outage{}
	}
	o.open[node] = outage{t, cause, o.names.Name(clip(detail))}
}

// end notes that a node is followed again from t on, and returns the gap, if there is one.
func (o *outages) end(node NodeName, t time.Time) (flow.Gap, bool) {
	if len(o.open) == 0 {
		return flow.Gap{}, false
	}
	out, ok := o.open[node]
	delete(o.open, node)
	return out.gap(node, t), ok
}

// told returns the gaps of all outages that have lasted at least min, up to t, and goes on from there.
func (o *outages) told(t time.Time, min time.Duration) []flow.Gap {
	var gaps []flow.Gap
	for node, out := range o.open {
		if t.Sub(out.from) >= min {
			gaps = append(gaps, out.gap(node, t))
			out.from = t
			o.open[node] = out
		}
	}
	return gaps
}

func (out outage) gap(node NodeName, to time.Time) flow.Gap {
	if to.Before(out.from) { // clocks differ
		to = out.from
	}
	return flow.Gap{Node: node.Node, Cluster: node.Cluster, From: out.from, To: to, Cause: out.cause, Detail: out.detail}
}

// status applies Relay's word about nodes and returns the gaps that ended with it.
func (o *outages) status(ev *Event) []flow.Gap {
	var gaps []flow.Gap
	for _, node := range ev.Status.Nodes {
		switch ev.Status.State {
		case NodeConnected:
			if g, ok := o.end(node, ev.Time); ok {
				gaps = append(gaps, g)
			}
		case NodeUnavailable, NodeError:
			o.begin(node, ev.Time, flow.GapNodeUnavailable, ev.Status.Message)
		case NodeGone:
			if g, ok := o.end(node, ev.Time); ok {
				gaps = append(gaps, g)
			}
			gaps = append(gaps, flow.Gap{Node: node.Node, Cluster: node.Cluster, From: ev.Time, To: ev.Time, Cause: flow.GapNodeGone, Detail: o.names.Name(clip(ev.Status.Message))})
		}
	}
	return gaps
}

// lostGap is the gap that Hubble itself told of.
func lostGap(names *flow.Interner, ev *Event) flow.Gap {
	g := flow.Gap{
		Node: ev.Node, Cluster: ev.Cluster, From: ev.Lost.First, To: ev.Lost.Last, Cause: ev.Lost.Cause,
		Count: flow.Count{N: ev.Lost.Count, Known: true}, Detail: names.Name("told by Hubble in a LostEvent"),
	}
	if g.From.IsZero() {
		g.From, g.To = ev.Time, ev.Time
	}
	return g
}
