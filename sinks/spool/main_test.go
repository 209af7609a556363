package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
	"sextant/sinks/spool"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	embeddedtest.Main(m)
}

var errAway = errors.New("away")

// memory is a sink that holds what it is given, and takes a repetition for one as ClickHouse does.
type memory struct {
	mu     sync.Mutex
	fault  func() (before, after error) // of each try: before it stores, or when it has
	delay  time.Duration
	order  []string // tokens, in the order in which they came first
	rows   map[string]*flow.Batch
	tries  int
	strict []string // tokens that came again without a word
	inside bool
}

func (m *memory) Write(ctx context.Context, d collector.Delivery) error {
	m.mu.Lock()
	if m.inside {
		panic("called concurrently")
	}
	m.inside = true
	m.mu.Unlock()
	defer func() { m.mu.Lock(); m.inside = false; m.mu.Unlock() }()
	m.mu.Lock()
	delay := m.delay
	m.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries++
	var before, after error
	if m.fault != nil {
		before, after = m.fault()
	}
	if before != nil {
		return before
	}
	if m.rows[d.Token] == nil {
		if m.rows == nil {
			m.rows = map[string]*flow.Batch{}
		}
		m.rows[d.Token] = clone(d.Batches)
		m.order = append(m.order, d.Token)
	} else if !d.Tried {
		m.strict = append(m.strict, d.Token)
	}
	return after
}

// away makes the sink go away, or come back.
func (m *memory) away(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = func() (error, error) { return err, nil }
}

// slow makes each try take so long.
func (m *memory) slow(delay time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay = delay
}

func (m *memory) tried() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tries
}

func (m *memory) stored() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.order)
}

func (m *memory) counts() (c collector.Counts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return collector.Delivery{Batches: m.batches()}.Counts()
}

func (m *memory) batches() (all []*flow.Batch) {
	for _, token := range m.order {
		all = append(all, m.rows[token])
	}
	return all
}

func (m *memory) gaps() (all []flow.Gap) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, b := range m.batches() {
		all = append(all, b.Gaps...)
	}
	return all
}

// clone returns the rows of all batches in one, whatever kinds there are.
func clone(batches []*flow.Batch) *flow.Batch {
	all := &flow.Batch{}
	to := reflect.ValueOf(all).Elem()
	for _, b := range batches {
		for i := range to.NumField() {
			if to.Type().Field(i).IsExported() {
				to.Field(i).Set(reflect.AppendSlice(to.Field(i), reflect.ValueOf(b).Elem().Field(i)))
			}
		}
	}
	return all
}

// flaky fails now and then, before it has stored and afterwards.
func flaky() func() (before, after error) {
	n := 0
	return func() (error, error) {
		n++
		switch n % 12 {
		case 1:
			return errAway, nil
		case 2:
			return nil, errAway
		}
		return nil, nil
	}
}

// opened is a spool and what belongs to it.
type opened struct {
	*spool.Sink
	names    *flow.Interner
	registry *prometheus.Registry
	log      *log
	stop     func() // closes; before the test's end where the directory is to be opened again
}

type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), s)
}

func config(t testing.TB) spool.Config {
	t.Helper()
	cfg := spool.Default()
	cfg.Dir = filepath.Join(t.TempDir(), "spool")
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// open returns a spool that does not run yet.
func open(t testing.TB, cfg spool.Config, inner collector.Sink) *opened {
	t.Helper()
	o := &opened{names: flow.NewInterner(), registry: prometheus.NewRegistry(), log: &log{}}
	var err error
	o.Sink, err = spool.Open(cfg, inner, o.names, slog.New(slog.NewTextHandler(o.log, nil)), o.registry)
	if err != nil {
		t.Fatal(err)
	}
	o.stop = sync.OnceFunc(func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(o.stop)
	return o
}

// run runs a spool until the test's end.
func (o *opened) run(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		if err := o.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop := o.stop
	o.stop = sync.OnceFunc(func() { cancel(); <-ran; stop() })
	t.Cleanup(o.stop)
}

// drained waits until nothing is on disk.
func (o *opened) drained(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		n, rows := o.Waiting()
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d deliveries of %d rows are still on disk", n, rows)
		}
	}
}

func (o *opened) write(t testing.TB, token string, batches ...*flow.Batch) {
	t.Helper()
	if err := o.Sink.Write(t.Context(), collector.Delivery{Token: token, Batches: batches}); err != nil {
		t.Fatal(err)
	}
}

// metric returns the sum of a metric of the spool.
func (o *opened) metric(t testing.TB, name string) (sum float64) {
	t.Helper()
	families, err := o.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "sextant_spool_"+name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
			return sum
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// numbered returns so many records of a node that can be told apart by number and place.
func numbered(names *flow.Interner, node string, number, rows int) *flow.Batch {
	b := &flow.Batch{}
	for i := range rows {
		b.Records = append(b.Records, flow.Record{
			Time: noon.Add(time.Duration(number) * time.Second), Node: names.Name(node), Cluster: names.Name("default"),
			AggregatedFlows: uint32(number), Source: flow.End{Port: uint16(i)}, UUID: flow.UUID{byte(number), byte(number >> 8), byte(i), byte(i >> 8), 1},
		})
	}
	return b
}

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func sequence(from, to int) (tokens []string) {
	for i := from; i < to; i++ {
		tokens = append(tokens, fmt.Sprintf("d-%d", i))
	}
	return tokens
}

// segments returns the spool's files.
func segments(t testing.TB, cfg spool.Config) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(cfg.Dir, "*.spool"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}
