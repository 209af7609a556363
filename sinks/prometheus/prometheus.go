// Package prometheus counts flows, connections, gaps, heartbeats and image pulls, and what the newest snapshot of the inventory holds,
// one family of series for each row of its tables, and shows the counts to a scrape.
//
// It is built to cost nothing per flow that was seen before, and to stay bounded whatever arrives: a family has a limit
// of series, beyond which everything is counted on one series whose labels are all "~other", and the series of a node
// that has not been heard of for long are forgotten together. It refuses labels that a stranger can choose freely
// (flow.Field.Label), and it counts rows as they come: which flows are one connection is not its business.
package prometheus

import (
	"context"
	"slices"
	"sync"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
)

// Sink counts what it is given. It is a collector.Sink for the pipeline and a Collector for the registry.
type Sink struct {
	ttl   time.Duration
	begin time.Time

	mu          sync.Mutex
	flows       []*family[flow.Record]
	connections []*family[flow.Connection]
	gaps        []*family[flow.Gap]
	beats       []*family[flow.Beat]
	pulls       []*family[flow.Pull]
	items       []*family[flow.Item]
	tables      []*table // of the families above, flows first
	snapshot    snapshot
}

// New returns a sink whose metrics are on reg.
func New(cfg Config, reg client.Registerer) *Sink {
	s := &Sink{ttl: cfg.NodeTTL, begin: time.Now(), snapshot: newSnapshot(cfg.MaxSeries)}
	s.flows = families(s, Flows, flow.Fields, cfg.MaxSeries)
	s.connections = families(s, Connections, flow.ConnectionFields, cfg.MaxSeries)
	s.gaps = families(s, Gaps, flow.GapFields, cfg.MaxSeries)
	s.beats = families(s, Beats, flow.BeatFields, cfg.MaxSeries)
	s.pulls = families(s, Pulls, flow.PullFields, cfg.MaxSeries)
	s.items = families(s, Items, flow.ItemFields, cfg.MaxSeries)
	reg.MustRegister(s)
	return s
}

func families[R any](s *Sink, metrics []Metric[R], fields []flow.Field[R], limit int) []*family[R] {
	var all []*family[R]
	for i := range metrics {
		f := newFamily(&metrics[i], fields, limit)
		all, s.tables = append(all, f), append(s.tables, &f.table)
	}
	return all
}

// Write implements collector.Sink. It does no I/O, never fails and heeds no context, so that a delivery is never tried
// twice and there is no need to look at its token.
func (s *Sink) Write(_ context.Context, d collector.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.begin)
	for _, b := range d.Batches {
		for _, f := range s.flows {
			f.countLocked(b.Records, now)
		}
		for _, f := range s.connections {
			f.countLocked(b.Connections, now)
		}
		for _, f := range s.gaps {
			f.countLocked(b.Gaps, now)
		}
		for _, f := range s.beats {
			f.countLocked(b.Beats, now)
		}
		for _, f := range s.pulls {
			f.countLocked(b.Pulls, now)
		}
		for _, f := range s.items {
			f.countLocked(b.Items, now)
		}
		s.snapshot.takeLocked(b.Items)
	}
	return nil
}

// Describe implements prometheus.Collector.
func (s *Sink) Describe(ch chan<- *client.Desc) {
	for _, t := range s.all() {
		ch <- t.desc
	}
	ch <- overflow
}

// Collect implements prometheus.Collector. Flows wait only while the numbers are copied.
func (s *Sink) Collect(ch chan<- client.Metric) {
	for _, sm := range s.samples() {
		ch <- client.MustNewConstMetric(sm.desc, sm.kind, sm.value, sm.labels...)
	}
}

// sample is the value of a series at one moment.
type sample struct {
	desc   *client.Desc
	kind   client.ValueType
	value  float64
	labels []string // immutable
}

// all returns the tables of all families.
func (s *Sink) all() []*table { return slices.Concat(s.tables, s.snapshot.tables()) }

func (s *Sink) samples() []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(time.Since(s.begin))
	var all []sample
	for _, t := range s.all() {
		for _, series := range t.series {
			all = append(all, sample{t.desc, t.kind, series.value, series.labels})
		}
	}
	for _, t := range s.all() {
		all = append(all, sample{overflow, client.CounterValue, float64(t.overflowed), []string{t.name}})
	}
	return all
}

// forgetLocked removes all series of the nodes of which no family has heard for the TTL. A series of a living node is
// never removed, however rarely it moves: a counter that vanished and came back would look like a restart. What is made
// from a snapshot goes with the snapshot.
func (s *Sink) forgetLocked(now time.Duration) {
	if s.ttl == 0 {
		return
	}
	heard := map[node]time.Duration{}
	for _, t := range s.tables {
		for _, series := range t.series {
			n := t.node(series)
			heard[n] = max(heard[n], series.moved)
		}
	}
	for _, t := range s.tables {
		t.forgetLocked(func(series *series) bool {
			n := t.node(series)
			return n.name != "" && series != t.other && now-heard[n] > s.ttl
		})
	}
}
