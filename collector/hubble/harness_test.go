package hubble_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

// run is a client that runs, and what it emitted.
type run struct {
	t      testing.TB
	client *hubble.Client
	reg    *prometheus.Registry
	log    syncBuffer
	cancel context.CancelFunc
	done   chan error

	mu    sync.Mutex
	flows []flow.Record
	gaps  []flow.Gap
	beats []flow.Beat
	stop  error // what emit returns
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// slice is for tests of lasting outages.
const slice = 200 * time.Millisecond

// start runs a client with impatient times until the test ends. Edit changes the configuration for the server.
func start(t testing.TB, server string, edit func(*hubble.Config)) *run {
	t.Helper()
	return startSlicing(t, server, time.Minute, edit)
}

// startSlicing is start where an outage that lasts is told after each slice. An earlier run may have left marks.
func startSlicing(t testing.TB, server string, slice time.Duration, edit func(*hubble.Config), marks ...flow.Mark) *run {
	t.Helper()
	cfg := hubble.Default()
	cfg.Server, cfg.BatchWait, cfg.BatchRows = server, 10*time.Millisecond, 64
	if edit != nil {
		edit(&cfg)
	}
	r := &run{t: t, reg: prometheus.NewRegistry(), done: make(chan error, 1)}
	client, err := hubble.New(cfg, flow.NewInterner(), slog.New(slog.NewTextHandler(&r.log, nil)), r.reg)
	if err != nil {
		t.Fatal(err)
	}
	hubble.Hasten(client, slice)
	client.Resume(marks)
	r.client = client
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.done <- client.Run(ctx, r.emit) }()
	t.Cleanup(func() {
		_ = r.end() // whoever wants to know has asked before
		if t.Failed() {
			t.Logf("log:\n%s", r.log.String())
		}
	})
	return r
}

func (r *run) emit(_ context.Context, b *flow.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		return r.stop
	}
	r.flows = append(r.flows, b.Records...)
	r.gaps = append(r.gaps, b.Gaps...)
	r.beats = append(r.beats, b.Beats...)
	b.Release()
	return nil
}

// end stops the client and returns what Run did.
func (r *run) end() error {
	r.cancel()
	select {
	case err := <-r.done:
		r.done <- err
		return err
	case <-time.After(20 * time.Second):
		r.t.Error("Run does not return")
		return nil
	}
}

func (r *run) uuids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for i := range r.flows {
		list = append(list, uuid.UUID(r.flows[i].UUID).String())
	}
	return list
}

func (r *run) allGaps() []flow.Gap {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]flow.Gap(nil), r.gaps...)
}

// waitFlows waits for as many flows as there are uuids, and compares them.
func (r *run) waitFlows(want []string) {
	r.t.Helper()
	wait(r.t, "flows", func() bool { return len(r.uuids()) >= len(want) })
	if diff := cmp.Diff(want, r.uuids()); diff != "" {
		r.t.Fatalf("flows: -want +got\n%s", diff)
	}
}

// waitGaps waits for n gaps and returns them.
func (r *run) waitGaps(n int) []flow.Gap {
	r.t.Helper()
	wait(r.t, "gaps", func() bool { return len(r.allGaps()) >= n })
	gaps := r.allGaps()
	if len(gaps) != n {
		r.t.Fatalf("got %d gaps, want %d: %s", len(gaps), n, gapTexts(gaps))
	}
	return gaps
}

// noGaps fails if there is a gap after the polls of a while.
func (r *run) noGaps() {
	r.t.Helper()
	r.polls(3)
	if gaps := r.allGaps(); len(gaps) > 0 {
		r.t.Fatalf("gaps that there should not be: %s", gapTexts(gaps))
	}
}

// polls waits for so many polling intervals.
func (r *run) polls(n int) { time.Sleep(time.Duration(n) * 120 * time.Millisecond) }

func gapTexts(gaps []flow.Gap) []string {
	var list []string
	for i := range gaps {
		list = append(list, string(flow.AppendJSON(nil, "gap", flow.GapFields, &gaps[i])))
	}
	return list
}

func (r *run) waitReady() {
	r.t.Helper()
	wait(r.t, "being ready", func() bool { return r.client.Ready() == nil })
}

func (r *run) waitTrouble() error {
	r.t.Helper()
	wait(r.t, "trouble", func() bool { return r.client.Ready() != nil })
	return r.client.Ready()
}

// metric returns the sum of a metric's series whose labels include these.
func (r *run) metric(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			match := true
			for i := 0; i+1 < len(labels); i += 2 {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
				}
				match = match && found
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func countIn(text, part string) int { return strings.Count(text, part) }
