package main

import (
	"encoding/binary"
	"fmt"
	"time"

	"sextant/collector/flow"
)

// others adds what a collector tells beside flows, up to the time of the last flow: image pulls, gaps and heartbeats.
func (t *traffic) others(b *flow.Batch) {
	if len(b.Records) == 0 {
		return
	}
	now := b.Records[len(b.Records)-1].Time
	for ; t.pull.Before(now); t.pull = t.pull.Add(time.Duration(t.rng.ExpFloat64() * float64(pullsEvery))) {
		b.Pulls = append(b.Pulls, t.pulled(t.pull))
	}
	for ; t.gap.Before(now); t.gap = t.gap.Add(time.Duration(t.rng.ExpFloat64() * float64(gapsEvery))) {
		b.Gaps = append(b.Gaps, t.lost(t.gap))
	}
	for ; !t.beats.Add(beatsEvery).After(now); t.beats = t.beats.Add(beatsEvery) {
		t.beat(b, t.beats)
	}
}

const (
	pullsEvery = 2 * time.Second // pods of a cluster of this size that is worked on
	gapsEvery  = 20 * time.Second
	beatsEvery = 30 * time.Second
)

func (t *traffic) pulled(at time.Time) flow.Pull {
	pod := t.client()
	p := flow.Pull{
		Time: at, Cluster: t.name, Node: pod.node.name, Zone: t.names.Name(pod.node.zone), Namespace: t.names.Name(pod.app.namespace), Pod: t.names.Name(pod.name),
		Workload: t.names.Name(pod.app.workload), WorkloadKind: t.names.Name("Deployment"), Registry: t.names.Name(fmt.Sprintf("registry-%d.example", t.rng.IntN(4))),
		Repository: t.names.Name("library/" + pod.app.workload), Tag: t.names.Name(fmt.Sprintf("1.%d", t.rng.IntN(30))), Policy: t.names.Name("IfNotPresent"), Count: 1,
	}
	binary.BigEndian.PutUint64(p.ID[:8], t.rng.Uint64())
	binary.BigEndian.PutUint64(p.ID[8:], t.rng.Uint64())
	switch n := t.rng.IntN(100); {
	case n < 30:
		p.Result = flow.PullPresent
	case n < 93:
		p.Result = flow.Pulled
		p.DurationMs, p.Bytes = flow.Count{N: uint64(300 + t.rng.IntN(20_000)), Known: true}, flow.Count{N: uint64(t.rng.IntN(900_000_000)), Known: true}
	case n < 97:
		p.Result, p.Detail = flow.PullRateLimited, t.names.Name("toomanyrequests: You have reached your pull rate limit")
	case n < 99:
		p.Result, p.Detail = flow.PullUnreachable, t.names.Name("dial tcp: i/o timeout")
	default:
		p.Result, p.Detail = flow.PullNotFound, t.names.Name("manifest unknown")
	}
	return p
}

// beat tells for every node that it was watched since then.
func (t *traffic) beat(b *flow.Batch, from time.Time) {
	for _, n := range t.nodes {
		b.Beats = append(b.Beats, flow.Beat{
			Node: n.name, Cluster: t.name, From: from, To: from.Add(beatsEvery), Flows: flow.Count{N: uint64(t.rng.IntN(1000)), Known: true},
		})
	}
}

func (t *traffic) lost(at time.Time) flow.Gap {
	g := flow.Gap{Node: pick(t, t.nodes).name, Cluster: t.name, From: at, To: at.Add(time.Duration(t.rng.ExpFloat64() * float64(5*time.Second)))}
	if t.chance(70) {
		g.Cause, g.Count = flow.GapLostRing, flow.Count{N: uint64(1 + t.rng.IntN(500)), Known: true}
	} else {
		g.Cause = flow.GapNodeUnavailable
	}
	return g
}
