package collector_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sextant/collector"
	"sextant/collector/flow"
)

var errAway = errors.New("connection refused")

// The same delivery is tried for as long as it takes, under the same token, and not in a hurry.
func TestAnHoursOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &sink{name: "s", before: func(context.Context, collector.Delivery) error {
			if time.Since(start) < time.Hour {
				return errAway
			}
			return nil
		}}
		r := newRig(t, output(s))
		r.Lossless = true
		if err := r.run(func(ctx context.Context, emit collector.Emit) error {
			for range 50 {
				if err := emit(ctx, r.batch("a", "a")); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		s.holds(t, upTo(1, 100))
		s.holdsGaps(t)
		r.account(s, 100, 0, 0, 0)
		if d := time.Since(start); d > time.Hour+30*time.Second {
			t.Errorf("the sink was back after an hour, all was stored after %s", d)
		}

		retries := int(r.value("sextant_sink_retries_total", "sink", "s"))
		if retries < 300 || retries > 1000 {
			t.Errorf("%d retries in an hour", retries)
		}
		for _, token := range s.tokens[:retries+1] {
			if token != s.tokens[0] {
				t.Fatalf("a delivery was tried as %s and as %s", s.tokens[0], token)
			}
		}
		if slices.Contains(s.tokens[retries+1:], s.tokens[0]) || len(s.tokens) != retries+len(s.sizes) {
			t.Errorf("%d tries for %d deliveries and %d retries", len(s.tokens), len(s.sizes), retries)
		}
	})
}

func TestHealthy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer atomic.Pointer[error]
		s := &sink{name: "s", before: func(context.Context, collector.Delivery) error { return *answer.Load() }}
		r := newRig(t, output(&sink{name: "other"}), output(s))
		p := collector.New(r.Config)
		expect := func(when, want string) {
			t.Helper()
			got := "healthy"
			if err := p.Healthy(); err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%s: %s, want %s", when, got, want)
			}
		}
		expect("before the start", "healthy")
		err := p.Run(t.Context(), source(func(ctx context.Context, emit collector.Emit) error {
			step := func(next error) {
				answer.Store(&next)
				if err := emit(ctx, r.batch("a")); err != nil {
					t.Error(err)
				}
				time.Sleep(30 * time.Second)
			}
			step(nil)
			expect("stored", "healthy")
			step(errAway)
			expect("away", "sink s: connection refused")
			step(nil)
			expect("back", "healthy")
			step(fmt.Errorf("%w: no such column", collector.ErrRejected))
			expect("rejecting", "sink s: rejected: no such column")
			step(nil)
			expect("accepting", "healthy")
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		r.released()
	})
}

func TestRejectedRowsAreCountedAndTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{name: "s"}
		s.before = func(_ context.Context, d collector.Delivery) error {
			if rows, _ := contents(d); slices.Contains(rows, 15) {
				return fmt.Errorf("row 15: %w", collector.ErrRejected)
			}
			return nil
		}
		r := newRig(t, output(s))
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			for range 3 {
				if err := emit(ctx, r.batch(append(some(5), "b", "b", "b", "b", "b")...)); err != nil {
					return err
				}
				time.Sleep(5 * time.Second)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		gap := func(node string, first, last, n int) flow.Gap {
			return flow.Gap{
				Node: r.names.Name(node), Cause: flow.GapRejected, From: at(first), To: at(last), Count: flow.Count{N: uint64(n), Known: true},
				Detail: r.names.Name("the sink refused these rows for good; the log says why"),
			}
		}
		s.holds(t, append(upTo(1, 10), upTo(21, 30)...))
		s.holdsGaps(t, gap("a", 11, 15, 5), gap("b", 16, 20, 5))
		r.account(s, 20+2, 0, 10, 0)
		if got := r.value("sextant_sink_retries_total", "sink", "s"); got != 0 {
			t.Errorf("%v retries of what cannot succeed", got)
		}
	})
}

// A sink that rejects everything, the gaps that tell of it included, still comes to an end.
func TestRejectingEverythingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &sink{name: "s", before: func(context.Context, collector.Delivery) error { return collector.ErrRejected }}
		r := newRig(t, output(s))
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			if err := emit(ctx, r.batch(some(10)...)); err != nil {
				return err
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := len(s.tokens); n != 2 {
				t.Errorf("%d tries in an hour, want one for the rows and one for the gap", n)
			}
			return emit(ctx, r.batch(some(10)...))
		})
		if err != nil {
			t.Fatal(err)
		}
		s.holds(t, nil)
		if n := len(s.tokens); n != 4 {
			t.Errorf("%d tries, want 4", n)
		}
		r.account(s, 0, 0, 20+2, 0)
		if d := time.Since(start); d > time.Hour+time.Minute {
			t.Errorf("the end took %s", d-time.Hour)
		}
	})
}
