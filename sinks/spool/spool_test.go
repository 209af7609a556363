package spool_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/sinktest"
	"sextant/sinks/spool"
)

func TestSink(t *testing.T) {
	for name, fault := range map[string]func() (error, error){"working": nil, "flaky": flaky()} {
		t.Run(name, func(t *testing.T) {
			var inner *memory
			var o *opened
			sinktest.Run(t, func(t *testing.T) collector.Sink {
				inner = &memory{fault: fault}
				o = open(t, config(t), inner)
				o.run(t)
				return o
			}, func(t *testing.T) collector.Counts {
				o.drained(t)
				if len(inner.strict) > 0 {
					t.Errorf("%q came again without a word", inner.strict)
				}
				return inner.counts()
			})
		})
	}
}

// An outage of an hour: nothing waits in memory, the order is kept, and what is new need not wait for what is old.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &memory{}
		inner.away(errAway)
		o := open(t, config(t), inner)
		o.run(t)
		for i := range 3600 {
			o.write(t, fmt.Sprintf("d-%d", i), numbered(o.names, "worker", i, 2))
			time.Sleep(time.Second)
		}
		if n, rows := o.Waiting(); n != 3600 || rows != 7200 || len(inner.stored()) > 0 {
			t.Fatalf("%d deliveries of %d rows wait, %d are stored", n, rows, len(inner.stored()))
		}
		if inner.tried() > 500 || inner.tried() < 300 {
			t.Errorf("it was tried %d times in an hour", inner.tried())
		}
		if !errors.Is(o.Away(), errAway) || o.log.count("sink unavailable") != 1 {
			t.Errorf("away: %v, told %d times", o.Away(), o.log.count("sink unavailable"))
		}
		if age := o.metric(t, "oldest_seconds"); age != 3600 {
			t.Errorf("the oldest is %v seconds old", age)
		}

		inner.away(nil)
		inner.slow(100 * time.Millisecond)
		time.Sleep(11 * time.Second) // the next probe
		begun := len(inner.stored())
		for i := range 100 {
			begin := time.Now()
			o.write(t, fmt.Sprintf("new-%d", i), numbered(o.names, "worker", i, 2))
			if waited := time.Since(begin); waited > 250*time.Millisecond {
				t.Fatalf("a new delivery waited for %s", waited)
			}
		}
		old := 0
		for _, token := range inner.stored()[begun:] {
			if strings.HasPrefix(token, "d-") {
				old++
			}
		}
		if old < 90 || old > 110 {
			t.Errorf("beside 100 new deliveries %d old ones were stored", old)
		}
		time.Sleep(time.Hour)
		got := inner.stored()
		got = slices.DeleteFunc(got, func(token string) bool { return strings.HasPrefix(token, "new") })
		if diff := cmp.Diff(sequence(0, 3600), got); diff != "" {
			t.Errorf("order (-want +got)\n%s", diff)
		}
		if n, _ := o.Waiting(); n != 0 || o.metric(t, "bytes") != 0 || o.metric(t, "replayed_rows_total") != 7200 || o.metric(t, "written_rows_total") != 7200 {
			t.Errorf("%d deliveries and %v bytes are left", n, o.metric(t, "bytes"))
		}
		o.stop()
	})
}

// A sink that hangs is asked for a while, and then no more until an old delivery has come through, however long that takes.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &memory{delay: time.Minute}
		o := open(t, config(t), inner)
		o.run(t)
		begin := time.Now()
		for i := range 10 {
			o.write(t, fmt.Sprintf("d-%d", i), numbered(o.names, "worker", i, 1))
		}
		if waited := time.Since(begin); waited > 16*time.Second {
			t.Errorf("waited for %s", waited)
		}
		time.Sleep(11 * time.Minute)
		if diff := cmp.Diff(sequence(0, 10), inner.stored()); diff != "" {
			t.Errorf("order (-want +got)\n%s", diff)
		}
		o.stop()
	})
}

// What was sent from disk is not sent again by the next process.
func TestMarks(t *testing.T) {
	cfg, inner := config(t), &memory{}
	inner.away(errAway)
	o := open(t, cfg, inner)
	for i := range 10 {
		o.write(t, fmt.Sprintf("d-%d", i), numbered(o.names, "worker", i, 1))
	}
	n := 0
	inner.fault = func() (error, error) {
		if n++; n > 3 {
			return errAway, nil
		}
		return nil, nil
	}
	o.run(t)
	for o.Away() == nil || len(inner.stored()) < 3 {
		time.Sleep(time.Millisecond)
	}
	o.stop()
	next := &memory{}
	o = open(t, cfg, next)
	o.run(t)
	o.drained(t)
	if diff := cmp.Diff(sequence(0, 3), inner.stored()); diff != "" {
		t.Errorf("first process (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(sequence(3, 10), next.stored()); diff != "" {
		t.Errorf("second process (-want +got)\n%s", diff)
	}
}

// A sink that hangs with an old delivery does not hold the new ones up for long.
func TestNewDoesNotWaitForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &memory{}
		inner.away(errAway)
		o := open(t, config(t), inner)
		o.write(t, "d-0", numbered(o.names, "worker", 0, 1))
		inner.away(nil)
		o.run(t)
		o.drained(t)

		inner.away(errAway)
		o.write(t, "d-1", numbered(o.names, "worker", 1, 1))
		synctest.Wait()
		inner.away(nil)
		inner.slow(time.Hour)
		time.Sleep(time.Minute) // d-1 is being sent
		begin := time.Now()
		o.write(t, "d-2", numbered(o.names, "worker", 2, 1))
		if waited := time.Since(begin); waited > 6*time.Second {
			t.Errorf("waited for %s", waited)
		}
		if n, _ := o.Waiting(); n != 2 {
			t.Errorf("%d wait on disk", n)
		}
		o.stop()
	})
}

// At the end a sink that hangs is given little time, and what it did not take is there at the next start.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, inner := config(t), &memory{delay: time.Hour}
		o := open(t, cfg, inner)
		ctx, cancel := context.WithCancel(t.Context())
		go o.Run(ctx) //nolint:errcheck // it has none
		cancel()
		synctest.Wait()
		begin := time.Now()
		for i := range 100 {
			o.write(t, fmt.Sprintf("d-%d", i), numbered(o.names, "worker", i, 1))
		}
		if waited := time.Since(begin); waited > 5*time.Second {
			t.Errorf("it took %s", waited)
		}
		o.stop()
		if o.log.count("rows wait on disk for the next run") != 1 {
			t.Error("nobody told that rows wait")
		}

		inner.slow(0)
		o = open(t, cfg, inner)
		o.run(t)
		time.Sleep(time.Second)
		if diff := cmp.Diff(sequence(0, 100), inner.stored()); diff != "" {
			t.Errorf("order (-want +got)\n%s", diff)
		}
		o.stop()
		if files := segments(t, cfg); len(files) > 0 {
			t.Errorf("left are %q", files)
		}
	})
}

// Asked to end while the inner sink hangs, a pipeline leaves nothing behind: what it had queued is on disk within its drain time.
func TestPipelineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, inner := config(t), &memory{delay: time.Hour}
		o := open(t, cfg, inner)
		p := collector.New(collector.Config{
			Outputs: []collector.Output{{Name: "test", Sink: o, Rows: 10, Wait: time.Second, Queue: 10_000}},
			Drain:   15 * time.Second, Names: o.names, Logger: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- o.Run(ctx) }()
		time.AfterFunc(time.Minute, cancel)
		if err := p.Run(ctx, source(func(emit collector.Emit) error {
			for i := range 100 {
				b := numbered(o.names, "worker", i, 10)
				b.Retain(1)
				if err := emit(ctx, b); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return nil
		})); err != nil {
			t.Error(err)
		}
		if err := <-ran; err != nil {
			t.Error(err)
		}
		if n, rows := o.Waiting(); n != 100 || rows != 1000 {
			t.Errorf("%d deliveries of %d rows are on disk", n, rows)
		}
		o.stop()
	})
}

type source func(collector.Emit) error

func (s source) Run(_ context.Context, emit collector.Emit) error { return s(emit) }

func TestRejected(t *testing.T) {
	inner := &memory{}
	inner.away(errAway)
	o := open(t, config(t), inner)
	for i := range 3 {
		b := numbered(o.names, "worker", i, 5)
		b.Gaps = []flow.Gap{{Cause: flow.GapHidden}}
		o.write(t, fmt.Sprintf("d-%d", i), b)
	}
	n := 0
	inner.fault = func() (error, error) {
		if n++; n == 2 {
			return fmt.Errorf("no: %w", collector.ErrRejected), nil
		}
		return nil, nil
	}
	o.run(t)
	o.drained(t)
	tokens := inner.stored()
	if len(tokens) != 3 || !slices.Equal(tokens[:2], []string{"d-0", "d-2"}) {
		t.Errorf("stored are %q, want the others and what tells of the loss", tokens)
	}
	want := []flow.Gap{{
		Node: o.names.Name("worker"), Cluster: o.names.Name("default"), Cause: flow.GapRejected, Count: flow.Count{N: 5, Known: true},
		From: noon.Add(time.Second), To: noon.Add(time.Second), Detail: o.names.Name("the sink refused these rows for good; the log says why"),
	}}
	if got := inner.gaps()[2:]; !slices.Equal(got, want) {
		t.Errorf("gaps %+v, want %+v", got, want)
	}
	inner.fault = func() (error, error) { return collector.ErrRejected, nil }
	if err := o.Sink.Write(t.Context(), collector.Delivery{Token: "x"}); !errors.Is(err, collector.ErrRejected) {
		t.Errorf("error %v, want the inner sink's", err)
	}
}

// What is too much is the oldest; it is counted, told, and told again when that gives way too.
func TestFull(t *testing.T) {
	cfg, inner := config(t), &memory{}
	cfg.MaxBytes = 40_000
	inner.away(errAway)
	o := open(t, cfg, inner)
	const deliveries, rows = 400, 100
	for i := range deliveries {
		b := numbered(o.names, fmt.Sprint("worker-", i%2), i, rows)
		b.Gaps = []flow.Gap{{From: noon, To: noon, Cause: flow.GapLostRing, Count: flow.Count{N: 1, Known: true}}}
		o.write(t, fmt.Sprintf("d-%d", i), b)
		if size := o.metric(t, "bytes"); size > float64(cfg.MaxBytes)+2000 {
			t.Fatalf("the spool holds %v bytes", size)
		}
	}
	dropped := o.metric(t, "dropped_rows_total")
	waiting := o.metric(t, "deliveries")
	if waiting < 20 || waiting > 350 {
		t.Fatalf("%v deliveries wait", waiting)
	}
	o.stop()
	o = open(t, cfg, inner)
	inner.away(nil)
	o.run(t)
	o.drained(t)

	first := -1
	for _, token := range inner.stored() {
		var i int
		if _, err := fmt.Sscanf(token, "d-%d", &i); err == nil {
			if first < 0 {
				first = i
			}
		}
	}
	if first < 50 || dropped != float64(first*rows) {
		t.Fatalf("the oldest that is left is %d, and %v rows were counted as dropped", first, dropped)
	}
	lost := map[string]uint64{}
	rings := uint64(0)
	for _, g := range inner.gaps() {
		switch g.Cause {
		case flow.GapSpoolFull:
			lost[g.Node.String()] += g.Count.N
			if g.From.Before(noon) || g.To.After(noon.Add(time.Duration(first)*time.Second)) {
				t.Errorf("a gap from %s to %s", g.From, g.To)
			}
		case flow.GapLostRing:
			rings += g.Count.N
		default:
			t.Errorf("a gap of cause %s", g.Cause)
		}
	}
	want := map[string]uint64{"worker-0": uint64(first+1) / 2 * rows, "worker-1": uint64(first) / 2 * rows}
	if diff := cmp.Diff(want, lost); diff != "" {
		t.Errorf("lost are (-want +got)\n%s", diff)
	}
	if rings != deliveries {
		t.Errorf("%d earlier gaps came through, want %d", rings, deliveries)
	}
	if got, want := inner.counts().Flows, int64(deliveries-first)*rows; got != want {
		t.Errorf("%d flows are stored, want %d", got, want)
	}
}

// What is being sent does not give way: it would be told as lost, and stored.
func TestFullWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, inner := config(t), &memory{}
		cfg.MaxBytes = 20_000
		inner.away(errAway)
		o := open(t, cfg, inner)
		o.write(t, "d-0", numbered(o.names, "worker", 0, 100))
		inner.away(nil)
		inner.slow(time.Hour)
		o.run(t)
		synctest.Wait()
		for i := 1; i < 100; i++ {
			o.write(t, fmt.Sprintf("d-%d", i), numbered(o.names, "worker", i, 100))
		}
		inner.slow(0) // from the next one on
		time.Sleep(2 * time.Hour)
		lost := uint64(0)
		for _, g := range inner.gaps() {
			lost += g.Count.N
		}
		if flows := inner.counts().Flows; inner.stored()[0] != "d-0" || uint64(flows)+lost != 100*100 || lost < 1000 {
			t.Errorf("%d flows are stored and %d lost, of 10000; the first delivery is %s", flows, lost, inner.stored()[0])
		}
		o.stop()
	})
}

// Damage costs the delivery it is in, which is counted and told once; the others come through.
func TestDamage(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(raw []byte) []byte
		known  bool
	}{
		{"a byte of the payload", func(raw []byte) []byte { raw[100]++; return raw }, true},
		{"a byte of the header", func(raw []byte) []byte { raw[10]++; return raw }, false},
		{"the end of a file", func(raw []byte) []byte { return raw[:len(raw)-1] }, true},
		{"foreign bytes behind", func(raw []byte) []byte { return append(raw, "abc"...) }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, inner := config(t), &memory{}
			inner.away(errAway)
			o := open(t, cfg, inner)
			for i := range 5 {
				o.write(t, fmt.Sprintf("d-%d", i), numbered(o.names, "worker", i, 10))
			}
			o.stop()
			file := segments(t, cfg)[0]
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, test.damage(raw), 0o600); err != nil {
				t.Fatal(err)
			}

			o = open(t, cfg, inner)
			o.stop() // one that has no time to do anything
			o = open(t, cfg, inner)
			inner.away(nil)
			o.run(t)
			o.drained(t)
			o.stop()
			o = open(t, cfg, inner)
			o.run(t)
			o.drained(t)
			if got := inner.counts().Flows; got != 40 && test.name != "foreign bytes behind" || got > 50 {
				t.Errorf("%d flows came through", got)
			}
			gaps := inner.gaps()
			want := flow.Count{N: 10, Known: true}
			if !test.known {
				want = flow.Count{}
			}
			if len(gaps) != 1 || gaps[0].Cause != flow.GapSpoolDamaged || gaps[0].Count != want || gaps[0].From.IsZero() || gaps[0].From.Year() < 2026 {
				t.Errorf("gaps %+v, want one of %+v", gaps, want)
			}
			if files := segments(t, cfg); len(files) > 0 {
				t.Errorf("left are %q", files)
			}
		})
	}
}

func TestLocked(t *testing.T) {
	cfg := config(t)
	o := open(t, cfg, &memory{})
	if _, err := spool.Open(cfg, &memory{}, o.names, nil, prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "in use by another collector") {
		t.Errorf("error %v, want one that says who has it", err)
	}
}

func TestPermissions(t *testing.T) {
	cfg, inner := config(t), &memory{}
	inner.away(errAway)
	o := open(t, cfg, inner)
	o.write(t, "d-0", numbered(o.names, "worker", 0, 1))
	err := filepath.WalkDir(cfg.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is not ours is left alone.
func TestForeignFiles(t *testing.T) {
	cfg, inner := config(t), &memory{}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"note.txt", "1-a.spool", "x.spool", "lost+found"} {
		if err := os.WriteFile(filepath.Join(cfg.Dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := open(t, cfg, inner)
	o.stop()
	if files, err := os.ReadDir(cfg.Dir); err != nil || len(files) != 5 {
		t.Errorf("%v, %v", files, err)
	}
}

// Without a disk all is as without a spool: the pipeline hears of the inner sink's error, and tries again.
func TestDiskGone(t *testing.T) {
	cfg, inner := config(t), &memory{}
	o := open(t, cfg, inner)
	if err := os.RemoveAll(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	inner.away(errAway)
	for i := range 3 {
		d := collector.Delivery{Token: fmt.Sprintf("d-%d", i), Batches: []*flow.Batch{numbered(o.names, "worker", i, 1)}}
		for range 3 {
			if err := o.Sink.Write(t.Context(), d); !errors.Is(err, errAway) {
				t.Errorf("error %v, want the inner sink's", err)
			}
		}
	}
	if n := o.log.count("the disk takes no rows"); n != 1 || o.metric(t, "errors_total") != 9 {
		t.Errorf("told %d times, counted %v", n, o.metric(t, "errors_total"))
	}
	inner.fault = func() (error, error) { return nil, errAway } // the answer is lost
	for range 2 {
		d := collector.Delivery{Token: "d-8", Batches: []*flow.Batch{numbered(o.names, "worker", 8, 1)}}
		if err := o.Sink.Write(t.Context(), d); !errors.Is(err, errAway) {
			t.Errorf("error %v, want the inner sink's", err)
		}
	}
	if len(inner.strict) > 0 {
		t.Errorf("%q came again without a word", inner.strict)
	}
	inner.away(nil)
	o.write(t, "d-9", numbered(o.names, "worker", 9, 1))
	inner.away(errAway)
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	o.write(t, "d-10", numbered(o.names, "worker", 10, 1))
	if o.log.count("the disk takes rows again") != 1 {
		t.Error("nobody told that the disk is back")
	}
}

func TestConfig(t *testing.T) {
	if err := spool.Default().Validate(); err != nil || spool.Default().Enabled() {
		t.Errorf("the default is enabled, or %v", err)
	}
	err := spool.Config{Dir: "spool", MaxBytes: 1}.Validate()
	for _, key := range []string{"dir", "max_bytes", "held"} {
		if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.Contains(err.Error(), "spool."+key+": ") {
			t.Errorf("error %v, want one for each key", err)
		}
	}
}
