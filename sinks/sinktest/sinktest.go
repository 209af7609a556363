// Package sinktest holds the tests that every sink must pass: what collector.Sink promises, and nothing about where or
// how a sink stores.
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sextant/collector"
	"sextant/collector/flow"
)

// patience is how long a canceled Write may take before it counts as hanging.
const patience = 30 * time.Second

// Run tests a sink. open returns a new, empty one; count returns how many rows the one that was opened last has stored,
// where a row counts for what it stands for if the sink counts that (all of these stand for one).
//
// The suite keeps to what sinks may build on: all items are of one snapshot, and no two pulls have the same ID. Of kinds
// that are not rows to a sink, but charges or buckets that it has another use for, ignored says that none is stored.
func Run(t *testing.T, open func(*testing.T) collector.Sink, count func(*testing.T) collector.Counts, ignored ...Ignored) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *subject)
	}{
		{"whole delivery", testWhole},
		{"one kind alone", testAlone},
		{"empty delivery", testEmpty},
		{"many deliveries", testMany},
		{"batches unchanged", testUnchanged},
		{"batches reused", testReused},
		{"hostile names", testHostile},
		{"canceled", testCanceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, &subject{sink: open(t), count: count, ignored: ignored, names: flow.NewInterner(), begin: time.Now().UTC().Add(-time.Hour)})
		})
	}
}

// Ignored takes a kind of rows out of what is to be stored.
type Ignored func(*collector.Counts)

// Charges takes out charges.
func Charges(c *collector.Counts) { c.Charges = 0 }

// Buckets does so with buckets.
func Buckets(c *collector.Counts) { c.Buckets = 0 }

type subject struct {
	sink            collector.Sink
	count           func(*testing.T) collector.Counts
	ignored         []Ignored
	names           *flow.Interner
	begin           time.Time // of the rows; a store may forget what is old
	deliveries, row int
	written         collector.Counts
}

func testWhole(t *testing.T, s *subject) {
	s.write(t, s.batch(3, 2, 1, 5, 4, 2, 6, 3), s.batch(1, 1), s.batch(0, 0, 2, 1, 3, 1, 0, 2))
	s.holds(t)
}

func testAlone(t *testing.T, s *subject) {
	for kind := range 8 {
		numbers := make([]int, 8)
		numbers[kind] = kind + 1
		s.write(t, s.batch(numbers...))
	}
	s.holds(t)
}

func testEmpty(t *testing.T, s *subject) {
	s.write(t)
	s.write(t, &flow.Batch{}, &flow.Batch{})
	s.holds(t)
	s.write(t, &flow.Batch{}, s.batch(1, 1, 1, 1, 1, 1, 1, 1), &flow.Batch{})
	s.holds(t)
}

func testMany(t *testing.T, s *subject) {
	for i := range 50 {
		s.write(t, s.batch(i, i%2, i%3, i%4, i%5, i%6, i%7, i%8), s.batch(50-i, 1))
	}
	s.holds(t)
}

func testUnchanged(t *testing.T, s *subject) {
	b, once := s.batch(100, 0, 10, 0, 30, 15, 0, 20), s.batch(0, 20, 0, 40, 0, 0, 50) // whose rows have identifiers, and are one each
	before, onceBefore := clone(b), clone(once)
	s.write(t, b, once, b) // a sink must not tell batches by their addresses
	if !same(b, before) || !same(once, onceBefore) {
		t.Error("Write changed the batch, which other sinks are reading")
	}
	s.holds(t)
}

// A sink that still reads a batch after Write returned stores the wrong rows, and the race detector sees it.
func testReused(t *testing.T, s *subject) {
	b := &flow.Batch{}
	for range 20 {
		next := s.batch(20, 5, 2, 3, 4, 6, 7, 3)
		b.Records, b.Connections, b.Gaps = append(b.Records[:0], next.Records...), append(b.Connections[:0], next.Connections...), append(b.Gaps[:0], next.Gaps...)
		b.Pulls, b.Items, b.Beats = append(b.Pulls[:0], next.Pulls...), append(b.Items[:0], next.Items...), append(b.Beats[:0], next.Beats...)
		b.Charges, b.Buckets = append(b.Charges[:0], next.Charges...), append(b.Buckets[:0], next.Buckets...)
		s.write(t, b)
		clear(b.Records)
		clear(b.Connections)
		clear(b.Gaps)
		clear(b.Pulls)
		clear(b.Items)
		clear(b.Beats)
		clear(b.Charges)
		clear(b.Buckets)
	}
	s.holds(t)
}

// Names come from outside; none of them may make a sink refuse a delivery or store more or fewer rows.
func testHostile(t *testing.T, s *subject) {
	hostile := []string{
		"", " ", "\x00", "\n", "\r\n", "\t", `"`, `\`, `\N`, "'; DROP TABLE flows; --", "{}", "\x1b[2J", "\xff\xfe", "a\xc0b",
		"~other", "\u2028", "日本", "🦭", strings.Repeat("x", 70_000), strings.Repeat("é", 300),
	}
	var batches []*flow.Batch
	for _, text := range hostile {
		name := s.names.Name(text)
		names := s.names.Names([]flow.Name{name, name})
		b := s.batch(1, 1, 1, 1, 1, 1, 1, 1)
		r, c, g, p, i := &b.Records[0], &b.Connections[0], &b.Gaps[0], &b.Pulls[0], &b.Items[0]
		r.Node, r.Cluster, r.DropReason, r.ClassRule, r.Interface, r.HTTP.URL = name, name, name, name, name, name
		r.Source.Names = names
		r.Source.Endpoint = s.names.Endpoint(flow.Endpoint{Namespace: name, Pod: name, Workload: name})
		r.DNS = flow.DNS{Query: name, CNAMEs: names}
		c.Node, c.Cluster, c.ClassRule, c.Source = name, name, name, r.Source
		g.Node, g.Cluster, g.Detail = name, name, name
		p.Cluster, p.Node, p.Registry, p.Repository, p.Tag, p.Pod, p.Detail, p.Tags = name, name, name, name, name, name, name, names
		b.Beats[0].Node, b.Beats[0].Cluster = name, name
		i.Namespace, i.Name, i.Node, i.Prefix, i.Policy, i.Detail, i.Findings = name, name, name, name, name, name, names
		charge, bucket := &b.Charges[0], &b.Buckets[0]
		charge.Cluster, charge.Node, charge.Service, charge.Bucket, charge.Workload, charge.Image, charge.Name = name, name, name, name, name, name, name
		bucket.Cluster, bucket.Service, bucket.Bucket, bucket.Unit, bucket.TopWorkloads, bucket.TopNodes = name, name, name, name, names, names
		batches = append(batches, b)
	}
	// A row of which nothing but the time is known is a row too.
	batches = append(batches, &flow.Batch{
		Records: []flow.Record{{Time: s.begin}}, Connections: []flow.Connection{{First: s.begin, Last: s.begin}},
		Gaps: []flow.Gap{{From: s.begin, To: s.begin}}, Pulls: []flow.Pull{{Time: s.begin}}, Items: []flow.Item{{Time: s.begin}},
		Beats: []flow.Beat{{From: s.begin, To: s.begin}}, Charges: []flow.Charge{{Time: s.begin}}, Buckets: []flow.Bucket{{Time: s.begin}},
	})
	s.write(t, batches...)
	s.holds(t)
}

func testCanceled(t *testing.T, s *subject) {
	s.write(t, s.batch(1, 1, 1, 1, 1, 1, 1, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := s.delivery(s.batch(10, 2, 1, 3, 4, 5, 7, 6))
	done := make(chan error, 1)
	go func() { done <- s.sink.Write(ctx, d) }()
	select {
	case err := <-done:
		if errors.Is(err, collector.ErrRejected) {
			t.Fatalf("a canceled delivery counts as rejected: %v", err)
		}
		if err != nil { // the pipeline would try the same delivery again
			if err := s.sink.Write(t.Context(), d); err != nil {
				t.Fatalf("second try: %v", err)
			}
		}
	case <-time.After(patience):
		t.Fatalf("Write did not return within %s of its context's end", patience)
	}
	s.holds(t)
}

// delivery returns a delivery that will be written.
func (s *subject) delivery(batches ...*flow.Batch) collector.Delivery {
	s.deliveries++
	d := collector.Delivery{Token: fmt.Sprintf("sinktest-%d-%d", time.Now().UnixNano(), s.deliveries), Batches: batches}
	c, w := d.Counts(), &s.written
	w.Flows, w.Connections, w.Gaps = w.Flows+c.Flows, w.Connections+c.Connections, w.Gaps+c.Gaps
	w.Pulls, w.Items, w.Beats = w.Pulls+c.Pulls, w.Items+c.Items, w.Beats+c.Beats
	w.Charges, w.Buckets = w.Charges+c.Charges, w.Buckets+c.Buckets
	for _, ignore := range s.ignored {
		ignore(w)
	}
	return d
}

func (s *subject) write(t *testing.T, batches ...*flow.Batch) {
	t.Helper()
	if err := s.sink.Write(t.Context(), s.delivery(batches...)); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// holds checks that all that was written is stored, once.
func (s *subject) holds(t *testing.T) {
	t.Helper()
	if got := s.count(t); got != s.written {
		t.Errorf("stored are %+v, want %+v", got, s.written)
	}
}
