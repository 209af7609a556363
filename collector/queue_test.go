package collector_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector"
	"sextant/collector/flow"
)

// gate lets a sink's deliveries through once it is open.
type gate chan struct{}

func (g gate) before(ctx context.Context, _ collector.Delivery) error {
	select {
	case <-g:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestFullQueueLosesForItsOwnSinkOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(gate)
		fast, slow := &sink{name: "fast"}, &sink{name: "slow", before: closed.before}
		r := newRig(t, output(fast), output(slow))
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			for range 30 { // rows 1–90; the slow sink has room for 1–18, and 19–90 are lost to it
				if err := emit(ctx, r.batch("a", "b", "c")); err != nil {
					return err
				}
				time.Sleep(time.Second)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			r.account(fast, 90, 0, 0, 0)
			if got := r.value("sextant_sink_lost_total", "sink", "slow", "reason", "queue_full"); got != 72 {
				t.Errorf("%v rows counted as lost, want 72", got)
			}
			if got := r.value("sextant_sink_queued_rows", "sink", "slow"); got != 18 {
				t.Errorf("%v rows counted as waiting, want 18", got)
			}
			close(closed)
			time.Sleep(10 * time.Second)
			slow.holds(t, upTo(1, 18)) // the gaps are told at once, not when the source ends
			slow.holdsGaps(t, r.lost("a", 19, 88, 24), r.lost("b", 20, 89, 24), r.lost("c", 21, 90, 24))
			return emit(ctx, r.batch("a"))
		})
		if err != nil {
			t.Fatal(err)
		}
		fast.holds(t, upTo(1, 91))
		fast.holdsGaps(t)
		slow.holds(t, append(upTo(1, 18), 91))
		slow.holdsGaps(t, r.lost("a", 19, 88, 24), r.lost("b", 20, 89, 24), r.lost("c", 21, 90, 24)) // and not again
		r.account(fast, 91, 0, 0, 0)
		r.account(slow, 19+3, 72, 0, 0)
	})
}

// lost returns the gap that tells of rows lost by a full queue.
func (r *rig) lost(node string, first, last, n int) flow.Gap {
	return flow.Gap{
		Node: r.names.Name(node), Cause: flow.GapQueueFull, From: at(first), To: at(last),
		Count: flow.Count{N: uint64(n), Known: true}, Detail: r.names.Name("the sink was away or slow and its queue was full"),
	}
}

// A loss is told although no flow follows it and nothing waits: silence after a loss would look like a quiet network.
func TestLossIsToldWithoutFurtherFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(gate)
		s := &sink{name: "s", before: closed.before}
		r := newRig(t, output(s))
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			for range 2 {
				if err := emit(ctx, r.batch(some(20)...)); err != nil { // the first fills the queue, and is soon under way
					return err
				}
				time.Sleep(time.Second)
			}
			close(closed)
			time.Sleep(5 * time.Second)
			s.holds(t, upTo(1, 20))
			s.holdsGaps(t, r.lost("a", 21, 40, 20))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// Gaps inside a lost batch are told later, with their own cause; where several become one, its count is known only if
// all of theirs are.
func TestGapsOfLostBatchesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(gate)
		s := &sink{name: "s", before: closed.before}
		r := newRig(t, output(s))
		gap := func(node string, cause flow.GapCause, from, to int, count flow.Count) flow.Gap {
			return flow.Gap{Node: r.names.Name(node), Cause: cause, From: at(from), To: at(to), Count: count, Detail: r.names.Name("noticed by the source")}
		}
		five := flow.Count{N: 5, Known: true}
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			if err := emit(ctx, r.batch(some(20)...)); err != nil {
				return err
			}
			time.Sleep(time.Second)
			one, two := r.batch("a"), r.batch()
			one.Gaps = append(one.Gaps,
				gap("a", flow.GapLostRing, 50, 60, five), gap("b", flow.GapLostRing, 50, 60, five), gap("a", flow.GapNodeGone, 1, 2, flow.Count{}))
			two.Gaps = append(two.Gaps,
				gap("a", flow.GapLostRing, 40, 55, five), gap("b", flow.GapLostRing, 70, 80, flow.Count{}))
			if err := emits(one, two)(ctx, emit); err != nil {
				return err
			}
			close(closed)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s.holds(t, upTo(1, 20))
		s.holdsGaps(t,
			gap("a", flow.GapLostRing, 40, 60, flow.Count{N: 10, Known: true}), gap("a", flow.GapNodeGone, 1, 2, flow.Count{}),
			r.lost("a", 21, 21, 1), gap("b", flow.GapLostRing, 50, 80, flow.Count{}))
		r.account(s, 20+4, 6, 0, 0)
	})
}

// Losses of very many nodes stay a bounded number of gaps, and none is forgotten in the sum.
func TestLossesOfManyNodesStayBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(gate)
		s := &sink{name: "s", before: closed.before}
		r := newRig(t, output(s))
		const nodes = 5000
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			if err := emit(ctx, r.batch(some(20)...)); err != nil {
				return err
			}
			time.Sleep(time.Second)
			for i := range nodes {
				if err := emit(ctx, r.batch(fmt.Sprintf("node-%d", i))); err != nil {
					return err
				}
			}
			close(closed)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		sum, nameless := uint64(0), uint64(0)
		for _, g := range s.gaps {
			sum += g.Count.N
			if g.Node.IsZero() {
				nameless += g.Count.N
			}
		}
		if len(s.gaps) > 1100 || sum != nodes || nameless < nodes-1100 {
			t.Errorf("%d gaps tell of %d rows lost, %d of them without a node; %d were lost", len(s.gaps), sum, nameless, nodes)
		}
		r.account(s, 20+len(s.gaps), nodes, 0, 0)
	})
}

func TestLosslessHoldsTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		most := 0.0
		fast, slow := &sink{name: "fast"}, &sink{name: "slow"}
		r := newRig(t, output(fast), output(slow))
		r.Lossless = true
		slow.before = func(context.Context, collector.Delivery) error {
			time.Sleep(time.Second)
			most = max(most, r.value("sextant_sink_queued_rows", "sink", "slow"))
			return nil
		}
		start := time.Now()
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			for range 100 {
				if err := emit(ctx, r.batch(some(5)...)); err != nil {
					return err
				}
			}
			if d := time.Since(start); d < 45*time.Second {
				t.Errorf("500 rows at 10 a second were handed over in %s", d)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		fast.holds(t, upTo(1, 500))
		slow.holds(t, upTo(1, 500))
		slow.holdsGaps(t)
		r.account(slow, 500, 0, 0, 0)
		if most > 20 {
			t.Errorf("%v rows waited, the queue has room for 20", most)
		}
	})
}

// Several streams emit at once; each one's own order is kept.
func TestConcurrentEmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{name: "s", before: func(context.Context, collector.Delivery) error {
			time.Sleep(time.Millisecond)
			return nil
		}}
		r := newRig(t, output(s))
		r.Lossless = true
		const streams, batches = 8, 50
		made := make([][]*flow.Batch, streams)
		for i := range streams {
			for range batches {
				made[i] = append(made[i], r.batch("a", "a", "a"))
			}
		}
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			done := make(chan error)
			for _, stream := range made {
				go func() { done <- emits(stream...)(ctx, emit) }()
			}
			for range streams {
				if err := <-done; err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		last := make([]uint64, streams)
		for _, row := range s.rows {
			stream := (row - 1) / (batches * 3)
			if row <= last[stream] {
				t.Fatalf("row %d came after row %d", row, last[stream])
			}
			last[stream] = row
		}
		slices.Sort(s.rows)
		s.holds(t, upTo(1, streams*batches*3))
	})
}

func TestSmallBatchesAreDeliveredTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{name: "s"}
		r := newRig(t, output(s))
		r.Lossless = true
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			for range 40 {
				if err := emit(ctx, r.batch("a", "a", "a")); err != nil {
					return err
				}
			}
			return emits(r.batch(some(13)...), r.batch("a"))(ctx, emit) // a batch larger than a delivery goes alone
		})
		if err != nil {
			t.Fatal(err)
		}
		s.holds(t, upTo(1, 134))
		for _, size := range s.sizes {
			if size > 10 && size != 13 {
				t.Errorf("a delivery has %d rows, at most 10 were asked for", size)
			}
		}
		if n := len(s.sizes); n > 17 {
			t.Errorf("42 batches were delivered %d times: %v", n, s.sizes)
		}
	})
}

// No row waits longer than Wait for a delivery to fill, wherever it was in the meantime.
func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var came []time.Duration
		start := time.Now()
		s := &sink{name: "s", before: func(context.Context, collector.Delivery) error {
			came = append(came, time.Since(start))
			if len(came) == 3 {
				time.Sleep(5 * time.Second)
			}
			return nil
		}}
		r := newRig(t, output(s))
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			step := func(sleep time.Duration, rows int) {
				time.Sleep(sleep)
				if err := emit(ctx, r.batch(some(rows)...)); err != nil {
					t.Error(err)
				}
			}
			step(0, 1)
			step(900*time.Millisecond, 1)  // 0.9 s: goes with the first, at 1 s
			step(1100*time.Millisecond, 6) // 2 s: the delivery is full with the next …
			step(500*time.Millisecond, 6)  // 2.5 s: … which does not fit and waits until 3.5 s
			step(1500*time.Millisecond, 1) // 4 s: the sink is busy until 8.5 s, and this has waited enough by then
			step(6*time.Second, 10)        // 10 s: a full delivery does not wait
			time.Sleep(time.Minute)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{time.Second, 2500 * time.Millisecond, 3500 * time.Millisecond, 8500 * time.Millisecond, 10 * time.Second}
		if diff := cmp.Diff(want, came); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]int{2, 6, 6, 1, 10}, s.sizes); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTokensAreNeverUsedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]bool{}
		for range 3 { // a process that starts again
			one, two := &sink{name: "one"}, &sink{name: "two"}
			r := newRig(t, output(one), output(two))
			if err := r.run(emits(r.batch(some(10)...), r.batch(some(10)...))); err != nil {
				t.Fatal(err)
			}
			for _, token := range append(one.tokens, two.tokens...) {
				if seen[token] || len(token) < 20 {
					t.Errorf("the token %q is used twice or easily guessed", token)
				}
				seen[token] = true
			}
		}
		if len(seen) != 12 {
			t.Errorf("%d tokens for 12 deliveries", len(seen))
		}
	})
}
