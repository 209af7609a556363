package hubble

import (
	"cmp"
	"slices"
	"time"

	"sextant/collector/flow"
)

// spans are the nodes of one recording, each with the time from its first flow to its last: of that it may be said that it
// was watched. Before and after it the node may have been idle or not recorded, and nobody can tell.
type spans struct {
	of   map[NodeName]*span
	node NodeName // of the newest flow, which is the next one's as a rule
	span *span
}

type span struct {
	from, to time.Time
	flows    uint64
}

// maxSpans bounds the nodes of a recording; further ones are not said to have been watched.
const maxSpans = 50_000

// add notes a flow of a node.
func (s *spans) add(node NodeName, t time.Time) {
	if t.IsZero() || node.Node.IsZero() {
		return
	}
	if s.span == nil || s.node != node {
		if s.of == nil {
			s.of = map[NodeName]*span{}
		}
		found := s.of[node]
		if found == nil {
			if len(s.of) >= maxSpans {
				return
			}
			found = &span{from: t, to: t}
			s.of[node] = found
		}
		s.node, s.span = node, found
	}
	s.span.from, s.span.to = earlier(s.span.from, t), later(s.span.to, t)
	s.span.flows++
}

// beats returns a heartbeat for each node, sorted by their names.
func (s *spans) beats() []flow.Beat {
	var beats []flow.Beat
	for node, span := range s.of {
		beats = append(beats, flow.Beat{
			Node: node.Node, Cluster: node.Cluster, From: span.from, To: span.to, Flows: flow.Count{N: span.flows, Known: true},
		})
	}
	slices.SortFunc(beats, func(a, b flow.Beat) int {
		return cmp.Or(cmp.Compare(a.Cluster.String(), b.Cluster.String()), cmp.Compare(a.Node.String(), b.Node.String()))
	})
	return beats
}
