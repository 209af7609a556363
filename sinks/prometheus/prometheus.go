// Package prometheus counts flows, connections, gaps, heartbeats, image pulls and uses of rate-limited services, and what the
// newest snapshots of the inventory and of rate-limit buckets hold, one family of series for each row of its tables, and shows
// the counts to a scrape.
//
// It is built to cost nothing per flow that was seen before, and to stay bounded whatever arrives: a family has a limit
// of series, beyond which everything is counted on one series whose labels are all "~other", and the series of a node,
// workload or namespace that has not been heard of for long are forgotten together. It refuses labels that a stranger can
// choose freely (flow.Field.Label), and it counts rows as they come: which flows are one connection is not its business.
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
	cfg   Config
	begin time.Time

	mu          sync.Mutex
	flows       []*family[flow.Record]
	connections []*family[Judged]
	gaps        []*family[flow.Gap]
	beats       []*family[flow.Beat]
	pulls       []*family[flow.Pull]
	items       []*family[flow.Item]
	charges     []*family[flow.Charge]
	tables      []*table // of the families above, flows first
	coverage    coverage
	snapshot    snapshot
	limits      limits
	memory      memory
	row         Judged // the one at hand, kept here so that none is allocated
}

// New returns a sink whose metrics are on reg.
func New(cfg Config, reg client.Registerer) *Sink {
	s := &Sink{
		cfg: cfg, begin: time.Now(),
		coverage: newCoverage(cfg.MaxSeries), snapshot: newSnapshot(cfg.MaxSeries), limits: newLimits(cfg.FullestBuckets, cfg.MaxSeries),
		memory: newMemory(),
	}
	s.flows = families(s, Flows, flow.Fields)
	s.connections = families(s, Connections, JudgedFields)
	s.gaps = families(s, Gaps, flow.GapFields)
	s.beats = families(s, Beats, flow.BeatFields)
	s.pulls = families(s, Pulls, flow.PullFields)
	s.items = families(s, Items, flow.ItemFields)
	s.charges = families(s, Charges, flow.ChargeFields)
	reg.MustRegister(s)
	return s
}

func families[R any](s *Sink, metrics []Metric[R], fields []flow.Field[R]) []*family[R] {
	var all []*family[R]
	for i := range metrics {
		f := newFamily(&metrics[i], fields, s.cfg.MaxSeries)
		all, s.tables = append(all, f), append(s.tables, &f.table)
	}
	return all
}

// now is the time since the sink began; it is never 0, which is never.
func (s *Sink) now() time.Duration { return time.Since(s.begin) + 1 }

// Write implements collector.Sink. It does no I/O, never fails and heeds no context, so that a delivery is never tried
// twice and there is no need to look at its token.
func (s *Sink) Write(_ context.Context, d collector.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.memory.ageLocked(now)
	for _, b := range d.Batches { // all that is said before anything is judged by it
		for i := range b.Records {
			s.memory.learnLocked(&b.Records[i], now)
		}
		for i := range b.Connections {
			s.memory.noticeLocked(&b.Connections[i], now)
		}
		for i := range b.Gaps {
			s.coverage.gapLocked(&b.Gaps[i], now)
		}
	}
	for _, b := range d.Batches {
		s.countLocked(b, now)
	}
	return nil
}

func (s *Sink) countLocked(b *flow.Batch, now time.Duration) {
	for _, f := range s.flows {
		f.countLocked(b.Records, now)
	}
	for i := range b.Connections {
		s.row = Judged{Connection: &b.Connections[i]}
		s.row.Cause = s.memory.causeLocked(&s.row)
		for _, f := range s.connections {
			f.takeLocked(&s.row, now)
		}
	}
	s.row = Judged{}
	for _, f := range s.gaps {
		f.countLocked(b.Gaps, now)
	}
	for _, f := range s.beats {
		f.countLocked(b.Beats, now)
	}
	for i := range b.Beats {
		s.coverage.beatLocked(&b.Beats[i], now)
	}
	for _, f := range s.pulls {
		f.countLocked(b.Pulls, now)
	}
	for _, f := range s.charges {
		f.countLocked(b.Charges, now)
	}
	for i := range b.Buckets {
		s.limits.takeLocked(&b.Buckets[i], now)
	}
	for _, f := range s.items {
		f.countLocked(b.Items, now)
	}
	s.snapshot.takeLocked(b.Items, now)
	for i := range b.Items {
		s.coverage.listLocked(&b.Items[i], now)
	}
}

// Describe implements prometheus.Collector.
func (s *Sink) Describe(ch chan<- *client.Desc) {
	for _, t := range s.all() {
		if t.histogram != nil {
			t.histogram.Describe(ch)
			continue
		}
		ch <- t.desc
	}
	for _, d := range slices.Concat(s.limits.fullest, s.limits.totals) {
		ch <- d
	}
	ch <- overflowDesc
	ch <- forgottenDesc
}

var (
	overflowDesc  = client.NewDesc(overflows.Name, overflows.Help, overflows.Labels, nil)
	forgottenDesc = client.NewDesc(forgottenFacts.Name, forgottenFacts.Help, forgottenFacts.Labels, nil)
)

// Collect implements prometheus.Collector. Flows wait only while the numbers are copied.
func (s *Sink) Collect(ch chan<- client.Metric) {
	for _, sm := range s.samples() {
		ch <- client.MustNewConstMetric(sm.desc, sm.kind, sm.value, sm.labels...)
	}
	for _, t := range s.all() {
		if t.histogram != nil {
			t.histogram.Collect(ch)
		}
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
func (s *Sink) all() []*table {
	return slices.Concat(s.tables, []*table{&s.coverage.table}, s.snapshot.tables())
}

func (s *Sink) samples() []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetLocked(s.now())
	var all []sample
	for _, t := range s.all() {
		if t.histogram != nil {
			continue
		}
		for _, series := range t.series {
			all = append(all, sample{t.desc, t.kind, series.value, series.labels})
		}
	}
	all = s.limits.samplesLocked(all)
	for _, t := range s.all() {
		all = append(all, sample{overflowDesc, client.CounterValue, float64(t.overflowed), []string{t.name}})
	}
	return append(all,
		sample{overflowDesc, client.CounterValue, float64(s.limits.overflowed), []string{MetricRateLimitBuckets}},
		sample{forgottenDesc, client.CounterValue, float64(s.memory.forgotten), nil})
}

// forgetLocked removes all series of the nodes, workloads and namespaces of which no family has heard for the TTL, and of
// nodes that left. A single series of a living owner is never removed, however rarely it moves: a counter that vanished and
// came back would look like a restart. What is made from a snapshot goes with the snapshot.
func (s *Sink) forgetLocked(now time.Duration) {
	s.limits.forgetLocked(now)
	counted := append(slices.Clone(s.tables), &s.coverage.table)
	heard := map[owner]time.Duration{}
	for _, t := range counted {
		for _, series := range t.series {
			o := t.owner(series)
			heard[o] = max(heard[o], series.moved)
			if o.kind == aWorkload { // what is said of a workload is said of its namespace
				n := owner{kind: aNamespace, cluster: o.cluster, name: o.name}
				heard[n] = max(heard[n], series.moved)
			}
		}
	}
	gone := map[owner]bool{}
	for o, last := range heard {
		ttl := s.cfg.WorkloadTTL
		if o.kind == aNode {
			ttl = s.cfg.NodeTTL
		}
		if o.kind != nobody && ttl != 0 && now-last > ttl {
			gone[o] = true
		}
	}
	s.coverage.leftLocked(now, s.snapshot.since, func(o owner) { gone[o] = true })
	if len(gone) == 0 {
		return
	}
	for _, t := range s.tables {
		t.forgetLocked(func(series *series) bool { return gone[t.owner(series)] })
	}
	s.coverage.forgetLocked(func(series *series) bool { return gone[s.coverage.owner(series)] })
}
