package verdict

import (
	"sync"
	"time"

	"sextant/collector/flow"
)

// Hidden is a stage that tells, as gaps, what a node's settings keep from ever showing: the node's own connections, image
// pulls among them, where nothing watches what leaves through its device. They are unknown then, and not zero. Of a node
// whose settings are not known it says nothing.
//
// It is safe for concurrent use.
type Hidden struct {
	judge  *Stage
	detail flow.Name

	mu    sync.Mutex
	nodes map[hiddenNode]*hiddenSpan
}

type hiddenNode struct{ node, cluster flow.Name }

// hiddenSpan is the time of a node's flows that was not told of yet.
type hiddenSpan struct{ from, to time.Time }

// hiddenSlice is the longest time that goes untold.
const hiddenSlice = time.Minute

// NewHidden returns a stage that knows what judge knows of the cluster.
func NewHidden(names *flow.Interner, judge *Stage) *Hidden {
	return &Hidden{
		judge: judge, nodes: map[hiddenNode]*hiddenSpan{},
		detail: names.Name("the node's own connections, image pulls among them, do not show with these settings: " +
			"no kube-proxy replacement, BPF masquerade, host firewall, encryption or L2 announcements, and monitor aggregation is on"),
	}
}

// Process notes which nodes are heard of. It allocates nothing for a node that is known already.
func (h *Hidden) Process(b *flow.Batch) {
	facts := h.judge.facts.Load()
	if facts == nil || len(b.Records) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var last hiddenNode
	var span *hiddenSpan
	for i := range b.Records {
		r := &b.Records[i]
		if at := (hiddenNode{r.Node, r.Cluster}); i == 0 || at != last {
			last, span = at, h.spanLocked(at, facts.Settings(r), r.Time)
		}
		if span != nil && r.Time.After(span.to) {
			span.to = r.Time
		}
	}
}

// spanLocked returns the span of a node that hides its own connections, or nil.
func (h *Hidden) spanLocked(node hiddenNode, settings *Settings, at time.Time) *hiddenSpan {
	if settings.ShowsNode() != flow.No || settings.Aggregation == "none" || settings.Aggregation == "" {
		return nil
	}
	span := h.nodes[node]
	if span == nil {
		span = &hiddenSpan{at, at}
		h.nodes[node] = span
	}
	return span
}

// Flush implements collector.Flusher.
func (h *Hidden) Flush(b *flow.Batch, end bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for node, span := range h.nodes {
		if d := span.to.Sub(span.from); d < hiddenSlice && !(end && d > 0) {
			continue
		}
		b.Gaps = append(b.Gaps, flow.Gap{
			Node: node.node, Cluster: node.cluster, From: span.from, To: span.to, Cause: flow.GapHidden, Detail: h.detail,
		})
		span.from = span.to
	}
}
