package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/collector/track"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
	"sextant/enrich/kube/inventory"
)

// stages are those of the command, in its order, with what they would know of the cluster.
type stages struct {
	list  []collector.Stage
	view  kube.View
	names *flow.Interner
	told  time.Time // of the newest inventory
}

func newStages(names *flow.Interner, c *cluster) (*stages, error) {
	store, err := c.store(names)
	if err != nil {
		return nil, err
	}
	facts, err := store.Cluster()
	if err != nil {
		return nil, err
	}
	who := kube.NewStage(names, prometheus.NewRegistry())
	who.SetIndex(store.Index())
	asked := track.NewNames(names, track.DefaultNames())
	judge := verdict.New(names, verdict.Prefixes{})
	judge.SetFacts(verdict.NewFacts(names, facts))
	connections := track.New(track.Default(), names)
	connections.AAAA = asked
	return &stages{
		list: []collector.Stage{who, asked, judge, verdict.NewHidden(names, judge), connections},
		view: store.View(), names: names,
	}, nil
}

// process runs a batch through all of them. The inventory is told by the time of the flows.
func (s *stages) process(b *flow.Batch, end bool) {
	for _, stage := range s.list {
		stage.Process(b)
	}
	for _, stage := range s.list {
		if f, ok := stage.(collector.Flusher); ok {
			f.Flush(b, end)
		}
	}
	if len(b.Records) == 0 {
		return
	}
	if now := b.Records[len(b.Records)-1].Time; now.Sub(s.told) >= inventory.Default().Every {
		s.told, s.view.Time = now, now
		b.Items = inventory.Default().Of(s.names, s.view)
	}
}
