package collector_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sextant/collector"
)

// untilEnd returns a source that emits the batches and then waits for the end of its context.
func untilEnd(r *rig, batches int, nodes ...string) source {
	return func(ctx context.Context, emit collector.Emit) error {
		for range batches {
			if err := emit(ctx, r.batch(nodes...)); err != nil {
				return err
			}
		}
		<-ctx.Done()
		return nil
	}
}

// endAfter runs the pipeline, ends its context after d, and returns how long it then took.
func (r *rig) endAfter(d time.Duration, src source) (time.Duration, error) {
	ctx, cancel := context.WithCancel(r.t.Context())
	defer cancel()
	ended := make(chan time.Time, 1)
	time.AfterFunc(d, func() {
		ended <- time.Now()
		cancel()
	})
	err := collector.New(r.Config).Run(ctx, src)
	return time.Since(<-ended), err
}

// What waits when the end is asked for is stored if the sink manages it in time.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{name: "s", before: func(ctx context.Context, _ collector.Delivery) error {
			select {
			case <-time.After(20 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		r := newRig(t, output(s))
		took, err := r.endAfter(5*time.Second, untilEnd(r, 2, some(10)...))
		if err != nil {
			t.Fatal(err)
		}
		if took != 35*time.Second {
			t.Errorf("the drain took %s, want what two deliveries of 20s still needed after 5s", took)
		}
		s.holds(t, upTo(1, 20))
		r.account(s, 20, 0, 0, 0)
		r.released()
	})
}

// A sink that stays away holds the end up for the drain time and no longer, and the error says what was left.
func TestDrainIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, before := range map[string]func(context.Context, collector.Delivery) error{
			"hangs": make(gate).before,
			"away":  func(context.Context, collector.Delivery) error { return errAway },
		} {
			good, bad := &sink{name: "good"}, &sink{name: "bad", before: before}
			r := newRig(t, output(good), output(bad))
			took, err := r.endAfter(5*time.Second, untilEnd(r, 5, "a", "a", "a"))
			if want := "sink bad: 15 rows were not stored within the drain time of 1m0s"; err == nil || err.Error() != want {
				t.Errorf("%s: error is %v, want %s", name, err, want)
			}
			if took != time.Minute {
				t.Errorf("%s: the end took %s", name, took)
			}
			good.holds(t, upTo(1, 15))
			bad.holds(t, nil)
			r.account(good, 15, 0, 0, 0)
			r.account(bad, 0, 0, 0, 15)
		}
	})
}

// Rows lost before the end are no part of what was left at the end: each is counted once.
func TestDrainAfterLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{name: "s", before: make(gate).before}
		r := newRig(t, output(s))
		_, err := r.endAfter(5*time.Second, source(func(ctx context.Context, emit collector.Emit) error {
			if err := emit(ctx, r.batch(some(20)...)); err != nil {
				return err
			}
			time.Sleep(time.Second) // until it is under way
			return untilEnd(r, 3, some(10)...)(ctx, emit)
		}))
		if want := "sink s: 20 rows were not stored within the drain time of 1m0s"; err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
		r.account(s, 0, 30, 0, 20)
	})
}

// While the context lives, a source that ended waits for its sinks however long they need.
func TestEndOfSourceWaitsForTheSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := &sink{name: "s", before: func(context.Context, collector.Delivery) error {
			if time.Since(start) < 10*time.Minute {
				return errAway
			}
			return nil
		}}
		r := newRig(t, output(s))
		if err := r.run(emits(r.batch("a", "a"))); err != nil {
			t.Fatal(err)
		}
		s.holds(t, upTo(1, 2))
	})
}

// A source that is held up by a full queue is let go at the end, and the batch in its hand is counted for every sink
// that did not get it.
func TestEndWhileTheSourceIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck, after := &sink{name: "stuck", before: make(gate).before}, &sink{name: "after"}
		r := newRig(t, output(stuck), output(after))
		r.Lossless = true
		took, err := r.endAfter(5*time.Second, untilEnd(r, 3, some(10)...))
		if want := "source: context canceled\nsink stuck: 20 rows were not stored within the drain time of 1m0s"; err == nil || err.Error() != want {
			t.Errorf("error is %v, want %s", err, want)
		}
		if took != time.Minute {
			t.Errorf("the end took %s", took)
		}
		after.holds(t, upTo(1, 20))
		r.account(stuck, 0, 0, 0, 20+10)
		r.account(after, 20, 0, 0, 10)
	})
}
