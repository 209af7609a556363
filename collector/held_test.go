package collector_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sextant/collector"
	"sextant/collector/flow"
)

// holding is a stage that holds back a connection for each record, and tells half of them when it is asked.
type holding struct {
	mu   sync.Mutex
	held int
}

func (h *holding) Process(b *flow.Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held += len(b.Records)
}

func (h *holding) Flush(b *flow.Batch, end bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.held / 2
	if end {
		n = h.held
	}
	h.held -= n
	b.Connections = append(b.Connections, make([]flow.Connection, n)...)
}

func (h *holding) Held(b *flow.Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b.Connections = append(b.Connections, make([]flow.Connection, h.held)...)
}

// Wherever a sink is told what the stages hold back, that and what it was given is all there is, once.
func TestHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flows, connections, asked, last := 0, 0, 0, -1
		s := &sink{name: "s", before: func(_ context.Context, d collector.Delivery) error {
			c := d.Counts()
			flows, connections = flows+int(c.Flows), connections+int(c.Connections)
			if d.Held == nil {
				return nil
			}
			asked++
			last = len(d.Held.Connections)
			if flows != connections+last {
				t.Errorf("%d flows were stored, of their connections %d, and %d are held", flows, connections, last)
			}
			return nil
		}}
		out := output(s)
		out.Held, out.Queue = 30*time.Millisecond, 1000
		r := newRig(t, out)
		r.Stages, r.Tick, r.Lossless = []collector.Stage{&holding{}}, 20*time.Millisecond, true
		var made sync.Mutex
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range 200 {
						made.Lock()
						b := r.batch("a", "a", "a")
						made.Unlock()
						if err := emit(ctx, b); err != nil {
							t.Error(err)
						}
						time.Sleep(7 * time.Millisecond)
					}
				})
			}
			wg.Wait()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if asked < 2 || last != 0 || flows != 2400 {
			t.Errorf("asked %d times, %d held at the end, of %d flows", asked, last, flows)
		}
	})
}

// A sink that is behind is not given more and more of what is held.
func TestHeldOfASinkThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var back atomic.Bool
		asked := 0
		s := &sink{name: "s", before: func(_ context.Context, d collector.Delivery) error {
			if !back.Load() {
				return errAway
			}
			if d.Held != nil {
				asked++
			}
			return nil
		}}
		out := output(s)
		out.Held = time.Second
		r := newRig(t, out)
		err := r.run(func(context.Context, collector.Emit) error {
			time.Sleep(time.Hour)
			back.Store(true)
			time.Sleep(15 * time.Second)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if asked > 20 {
			t.Errorf("%d times was told what is held", asked)
		}
	})
}

// What only stages have to see comes to no sink.
func TestReplayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := &sink{name: "s"}, &holding{}
		r := newRig(t, output(s))
		r.Stages = []collector.Stage{h}
		some, all := r.batch("a", "a", "a", "a"), r.batch("a", "a")
		for i, b := range map[int]*flow.Batch{0: some, 2: some, 4: all, 5: all} {
			b.Records[i%4].Replayed = true
		}
		if err := r.run(emits(some, all)); err != nil {
			t.Fatal(err)
		}
		s.holds(t, []uint64{2, 4})
		if s.kinds[0].Connections+s.kinds[len(s.kinds)-1].Connections < 6 {
			t.Errorf("%+v, want a connection of each record", s.kinds)
		}
	})
}
