// Package sinktest holds the tests that every sink must pass: what collector.Sink promises, and nothing about where or
// how a sink stores.
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sextant/collector"
	"sextant/collector/flow"
)

// patience is how long a canceled Write may take before it counts as hanging.
const patience = 30 * time.Second

// Run tests a sink. open returns a new, empty one; count returns how many records and gaps the one that was opened last
// has stored, where an aggregated record counts for the flows it stands for if the sink counts flows (all of these
// stand for one).
func Run(t *testing.T, open func(*testing.T) collector.Sink, count func(*testing.T) (records, gaps int)) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *subject)
	}{
		{"whole delivery", testWhole},
		{"empty delivery", testEmpty},
		{"many deliveries", testMany},
		{"batches unchanged", testUnchanged},
		{"batches reused", testReused},
		{"hostile names", testHostile},
		{"canceled", testCanceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, &subject{sink: open(t), count: count, names: flow.NewInterner()})
		})
	}
}

type subject struct {
	sink            collector.Sink
	count           func(*testing.T) (records, gaps int)
	names           *flow.Interner
	deliveries, row int
}

func testWhole(t *testing.T, s *subject) {
	s.write(t, s.batch(3, 1), s.batch(1, 0), s.batch(0, 2))
	s.holds(t, 4, 3)
}

func testEmpty(t *testing.T, s *subject) {
	s.write(t)
	s.write(t, s.batch(0, 0), s.batch(0, 0))
	s.holds(t, 0, 0)
	s.write(t, s.batch(0, 0), s.batch(1, 1), s.batch(0, 0))
	s.holds(t, 1, 1)
}

func testMany(t *testing.T, s *subject) {
	records, gaps := 0, 0
	for i := range 50 {
		s.write(t, s.batch(i, i%3), s.batch(50-i, 0))
		records += 50
		gaps += i % 3
	}
	s.holds(t, records, gaps)
}

func testUnchanged(t *testing.T, s *subject) {
	b := s.batch(100, 10)
	records, gaps := slices.Clone(b.Records), slices.Clone(b.Gaps)
	s.write(t, b, b) // a sink must not tell batches by their addresses
	if !reflect.DeepEqual(b.Records, records) || !reflect.DeepEqual(b.Gaps, gaps) {
		t.Error("Write changed the batch, which other sinks are reading")
	}
	s.holds(t, 200, 20)
}

// A sink that still reads a batch after Write returned stores the wrong rows, and the race detector sees it.
func testReused(t *testing.T, s *subject) {
	b := s.batch(0, 0)
	for range 20 {
		b.Records, b.Gaps = b.Records[:0], b.Gaps[:0]
		next := s.batch(20, 2)
		b.Records, b.Gaps = append(b.Records, next.Records...), append(b.Gaps, next.Gaps...)
		s.write(t, b)
		clear(b.Records)
		clear(b.Gaps)
	}
	s.holds(t, 400, 40)
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
		b := s.batch(1, 1)
		r, g := &b.Records[0], &b.Gaps[0]
		r.Node, r.Cluster, r.DropReason, r.ClassRule, r.Interface, r.HTTP.URL = name, name, name, name, name, name
		r.Source.Names = s.names.Names([]flow.Name{name, name})
		r.Source.Endpoint = s.names.Endpoint(flow.Endpoint{Namespace: name, Pod: name, Workload: name})
		r.DNS = flow.DNS{Query: name, CNAMEs: r.Source.Names}
		g.Node, g.Cluster, g.Detail = name, name, name
		batches = append(batches, b)
	}
	// A row of which nothing but the time is known is a row too.
	now := time.Now().UTC()
	batches = append(batches, &flow.Batch{Records: []flow.Record{{Time: now}}, Gaps: []flow.Gap{{From: now, To: now}}})
	s.write(t, batches...)
	s.holds(t, len(batches), len(batches))
}

func testCanceled(t *testing.T, s *subject) {
	s.write(t, s.batch(1, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := s.delivery(s.batch(10, 1))
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
	s.holds(t, 11, 2)
}

func (s *subject) delivery(batches ...*flow.Batch) collector.Delivery {
	s.deliveries++
	return collector.Delivery{Token: fmt.Sprintf("sinktest-%d-%d", time.Now().UnixNano(), s.deliveries), Batches: batches}
}

func (s *subject) write(t *testing.T, batches ...*flow.Batch) {
	t.Helper()
	if err := s.sink.Write(t.Context(), s.delivery(batches...)); err != nil {
		t.Fatalf("write: %v", err)
	}
}

func (s *subject) holds(t *testing.T, records, gaps int) {
	t.Helper()
	if r, g := s.count(t); r != records || g != gaps {
		t.Errorf("%d records and %d gaps are stored, want %d and %d", r, g, records, gaps)
	}
}

// batch returns a batch whose rows all differ.
func (s *subject) batch(records, gaps int) *flow.Batch {
	b := &flow.Batch{}
	begin := time.Now().UTC().Add(-time.Hour) // a store may forget what is old
	for range records {
		s.row++
		r := b.Next()
		*r = flow.Record{
			Time: begin.Add(time.Duration(s.row) * time.Millisecond), UUID: flow.UUID{byte(s.row >> 16), byte(s.row >> 8), byte(s.row), 15: 1},
			Node: s.names.Name(fmt.Sprintf("node-%d", s.row%3)), Cluster: s.names.Name("default"),
			EventType: flow.EventTrace, ObservationPoint: flow.ToNetwork, Verdict: flow.Forwarded, AggregatedFlows: 1,
			Family: flow.FamilyIPv4, Protocol: flow.TCP, TCPFlags: flow.SYN,
			Source:      flow.End{IP: netip.AddrFrom4([4]byte{10, 0, byte(s.row >> 8), byte(s.row)}), Port: uint16(s.row)},
			Destination: flow.End{IP: netip.MustParseAddr("192.0.2.1"), Port: 443},
		}
		if s.row%2 == 0 {
			r.Family, r.Source.IP, r.Destination.IP = flow.FamilyIPv6, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("64:ff9b::c000:201")
			r.EmbeddedIPv4, r.Class, r.ClassEvidence = netip.MustParseAddr("192.0.2.1"), flow.NAT64, flow.Inferred
			r.DNS.Answers = []netip.Addr{r.Destination.IP, r.EmbeddedIPv4}
		}
	}
	for range gaps {
		s.row++
		from := begin.Add(time.Duration(s.row) * time.Second)
		b.Gaps = append(b.Gaps, flow.Gap{
			Node: s.names.Name("node-0"), Cluster: s.names.Name("default"), Cause: flow.GapLostRing, From: from, To: from.Add(time.Second),
			Count: flow.Count{N: uint64(s.row), Known: s.row%2 == 0}, Detail: s.names.Name("a test lost them"),
		})
	}
	return b
}
