package collector_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"sextant/collector"
	"sextant/collector/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a pipeline's surroundings. Rows are told apart by their number: row n was seen n seconds after begin.
type rig struct {
	collector.Config
	t     testing.TB
	reg   *prometheus.Registry
	pool  *flow.Pool
	names *flow.Interner
	rows  int                  // rows made so far
	given map[*flow.Batch]bool // batches that the pipeline took over
}

var begin = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

func newRig(t testing.TB, outputs ...collector.Output) *rig {
	r := &rig{t: t, reg: prometheus.NewRegistry(), pool: flow.NewPool(4), names: flow.NewInterner(), given: map[*flow.Batch]bool{}}
	r.Config = collector.Config{
		Outputs: outputs, Drain: time.Minute, Names: r.names, Registry: r.reg,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	return r
}

// output feeds a sink in deliveries of at most 10 rows, at least every second, with room for 20.
func output(s *sink) collector.Output {
	return collector.Output{Name: s.name, Sink: s, Rows: 10, Wait: time.Second, Queue: 20}
}

// batch returns the next rows, one for each of the nodes.
func (r *rig) batch(nodes ...string) *flow.Batch {
	b := r.pool.Get()
	for _, node := range nodes {
		r.rows++
		rec := b.Next()
		rec.Time, rec.Node, rec.L7LatencyNs = at(r.rows), r.names.Name(node), uint64(r.rows)
	}
	r.given[b] = true
	return b
}

func at(row int) time.Time { return begin.Add(time.Duration(row) * time.Second) }

// some returns n nodes called a.
func some(n int) []string { return slices.Repeat([]string{"a"}, n) }

// upTo returns the numbers from first to last.
func upTo(first, last int) []uint64 {
	var n []uint64
	for i := first; i <= last; i++ {
		n = append(n, uint64(i))
	}
	return n
}

// source is a collector.Source that is one function.
type source func(context.Context, collector.Emit) error

func (s source) Run(ctx context.Context, emit collector.Emit) error { return s(ctx, emit) }

// emits returns a source of the batches.
func emits(batches ...*flow.Batch) source {
	return func(ctx context.Context, emit collector.Emit) error {
		for _, b := range batches {
			if err := emit(ctx, b); err != nil {
				return err
			}
		}
		return nil
	}
}

// sink keeps copies of what it stores. A test may put something before it, whose error stands for the sink's.
type sink struct {
	name   string
	before func(context.Context, collector.Delivery) error

	busy   atomic.Bool
	mu     sync.Mutex
	tokens []string // of all tries
	sizes  []int    // rows of each delivery stored
	kinds  []collector.Counts
	rows   []uint64 // numbers of the rows stored
	gaps   []flow.Gap
	fault  string
}

func (s *sink) Write(ctx context.Context, d collector.Delivery) error {
	if !s.busy.CompareAndSwap(false, true) {
		s.fail("Write was called while another one ran")
	}
	defer s.busy.Store(false)
	s.mu.Lock()
	s.tokens = append(s.tokens, d.Token)
	s.mu.Unlock()
	rows, gaps := contents(d)
	if s.before != nil {
		if err := s.before(ctx, d); err != nil {
			return err
		}
	}
	if again, gapsAgain := contents(d); !slices.Equal(again, rows) || !slices.Equal(gapsAgain, gaps) {
		s.fail(fmt.Sprintf("rows %v became %v while they were being stored", rows, again))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows, s.gaps, s.sizes = append(s.rows, rows...), append(s.gaps, gaps...), append(s.sizes, int(d.Counts().Rows()))
	s.kinds = append(s.kinds, d.Counts())
	return nil
}

func (s *sink) fail(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = text
}

func contents(d collector.Delivery) (rows []uint64, gaps []flow.Gap) {
	for _, b := range d.Batches {
		for i := range b.Records {
			rows = append(rows, b.Records[i].L7LatencyNs)
		}
		gaps = append(gaps, b.Gaps...)
	}
	return rows, gaps
}

// holds checks the rows that are stored, in order.
func (s *sink) holds(t testing.TB, rows []uint64) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if diff := cmp.Diff(rows, s.rows); diff != "" {
		t.Errorf("sink %s holds other rows:\n%s", s.name, diff)
	}
	if s.fault != "" {
		t.Errorf("sink %s: %s", s.name, s.fault)
	}
}

// holdsGaps checks the gaps that are stored, by node.
func (s *sink) holdsGaps(t testing.TB, want ...flow.Gap) {
	t.Helper()
	s.mu.Lock()
	got := slices.Clone(s.gaps)
	s.mu.Unlock()
	slices.SortStableFunc(got, cmpText)
	if diff := cmp.Diff(printed(want), printed(got)); diff != "" {
		t.Errorf("sink %s holds other gaps:\n%s", s.name, diff)
	}
}

func cmpText(a, b flow.Gap) int {
	switch x, y := a.Node.String()+" "+a.Cause.String(), b.Node.String()+" "+b.Cause.String(); {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func printed(gaps []flow.Gap) (lines []string) {
	for _, g := range gaps {
		lines = append(lines, string(flow.AppendJSON(nil, "gap", flow.GapFields, &g)))
	}
	return lines
}

// run runs the pipeline to the end of the source. Afterwards nobody may hold a batch any more.
func (r *rig) run(src source) error {
	r.t.Helper()
	err := collector.New(r.Config).Run(r.t.Context(), src)
	r.released()
	return err
}

// released checks that every hold on every batch was given up exactly once: one release more must panic.
func (r *rig) released() {
	r.t.Helper()
	held := 0
	for b := range r.given {
		func() {
			defer func() {
				if recover() == nil {
					held++
				}
			}()
			b.Release()
		}()
	}
	if held > 0 {
		r.t.Errorf("%d batches were not released", held)
	}
}

// value returns the value of a metric; labels are name and value in turn.
func (r *rig) value(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	metrics:
		for _, m := range f.GetMetric() {
			for i := 0; i < len(labels); i += 2 {
				if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == labels[i] && l.GetValue() == labels[i+1] }) {
					continue metrics
				}
			}
			if h := m.GetHistogram(); h != nil {
				return float64(h.GetSampleCount())
			}
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	r.t.Errorf("no metric %s %q", name, labels)
	return -1
}

// account checks what became of the rows of a sink.
func (r *rig) account(s *sink, stored, full, rejected, shutdown int) {
	r.t.Helper()
	type account struct{ Stored, Full, Rejected, Shutdown, Queued float64 }
	got := account{
		r.value("sextant_sink_rows_total", "sink", s.name),
		r.value("sextant_sink_lost_total", "sink", s.name, "reason", "queue_full"),
		r.value("sextant_sink_lost_total", "sink", s.name, "reason", "rejected"),
		r.value("sextant_sink_lost_total", "sink", s.name, "reason", "shutdown"),
		r.value("sextant_sink_queued_rows", "sink", s.name),
	}
	want := account{float64(stored), float64(full), float64(rejected), float64(shutdown), 0}
	if shutdown > 0 {
		want.Queued = got.Queued // the process ends; nobody asks
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("account of sink %s:\n%s", s.name, diff)
	}
}

func TestEverySinkGetsEverythingInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := &sink{name: "one"}, &sink{name: "two"}
		slow := func(context.Context, collector.Delivery) error {
			time.Sleep(300 * time.Millisecond) // long enough for the source to refill a batch that was released too early
			return nil
		}
		two.before = slow
		r := newRig(t, output(one), output(two))
		r.Lossless = true
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			for i := range 200 {
				b := r.batch(some(1 + i%4)...)
				if i%10 == 0 {
					b.Gaps = append(b.Gaps, flow.Gap{Node: r.names.Name("a"), Cause: flow.GapLostRing, From: at(i), To: at(i)})
				}
				if err := emit(ctx, b); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*sink{one, two} {
			s.holds(t, upTo(1, 500))
			if len(s.gaps) != 20 {
				t.Errorf("sink %s holds %d gaps, want 20", s.name, len(s.gaps))
			}
			r.account(s, 520, 0, 0, 0)
		}
		if got := r.value("sextant_collector_flows_total"); got != 500 {
			t.Errorf("%v flows counted", got)
		}
		if got := r.value("sextant_collector_gaps_total"); got != 20 {
			t.Errorf("%v gaps counted", got)
		}
		if got := r.value("sextant_sink_write_seconds", "sink", "two"); got != float64(len(two.sizes)) {
			t.Errorf("%v writes were timed, %d made", got, len(two.sizes))
		}
	})
}

type stage func(*flow.Batch)

func (s stage) Process(b *flow.Batch) { s(b) }

func TestStagesRunInOrderBeforeTheSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		s := &sink{name: "s", before: func(_ context.Context, d collector.Delivery) error {
			order = append(order, "sink")
			if got := d.Batches[0].Records[0].ClassRule.String(); got != "second" {
				t.Errorf("the sink sees the mark %q", got)
			}
			return nil
		}}
		r := newRig(t, output(s))
		for _, name := range []string{"first", "second"} {
			r.Stages = append(r.Stages, stage(func(b *flow.Batch) {
				order = append(order, name)
				for i := range b.Records {
					b.Records[i].ClassRule = r.names.Name(name)
				}
			}))
		}
		if err := r.run(emits(r.batch("a"))); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"first", "second", "sink"}, order); diff != "" {
			t.Error(diff)
		}
	})
}

func TestLagIsTheAgeOfTheNewestFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		b := r.batch("a", "a")
		b.Records[0].Time, b.Records[1].Time = time.Now().Add(-9*time.Second), time.Now().Add(-3*time.Second)
		gap := r.batch()
		gap.Gaps = append(gap.Gaps, flow.Gap{Cause: flow.GapNodeGone}) // tells nothing about lag
		if err := r.run(emits(b, gap)); err != nil {
			t.Fatal(err)
		}
		if got := r.value("sextant_collector_lag_seconds"); got != 3 {
			t.Errorf("lag %vs, want 3", got)
		}
	})
}

func TestSourceErrorIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("line 7 is no JSON")
		s := &sink{name: "s"}
		r := newRig(t, output(s))
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			if err := emit(ctx, r.batch("a")); err != nil {
				return err
			}
			return broken
		})
		if !errors.Is(err, broken) || err.Error() != "source: line 7 is no JSON" {
			t.Errorf("error is %v", err)
		}
		s.holds(t, upTo(1, 1)) // what came before is stored all the same
	})
}
