// Package collector is the pipeline: it takes batches from a source, runs them through the stages where they arrive, and
// hands them to every sink through that sink's own bounded queue.
//
// It owns what no stage or sink should think about: queues, batching by size and time, retries with backoff, the drain
// at the end, and the account of everything that was lost on the way. It refuses to know what a flow means or where it is
// stored.
package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"sextant/collector/flow"
)

// A Source produces batches.
type Source interface {
	// Run blocks until the source is exhausted (nil), broken for good (an error) or ctx ends (nil). It hands over
	// batches, and with each its one hold, by calling emit, possibly from several goroutines at once. An error from emit
	// means that the pipeline takes no more.
	Run(ctx context.Context, emit Emit) error
}

// Emit takes over a batch. It blocks while a queue that must not lose anything is full.
type Emit = func(context.Context, *flow.Batch) error

// A Stage works on a batch in place. Process does no I/O, keeps nothing of the batch, and may be called for several
// batches at once.
type Stage interface{ Process(*flow.Batch) }

// A Flusher is a stage that holds something back, such as connections that may not have ended.
type Flusher interface {
	// Flush moves into b what is due, or all that is held when end is true. It may run beside Process.
	Flush(b *flow.Batch, end bool)
}

// A Holder is a Flusher that can tell what it holds back without letting go of it.
type Holder interface {
	// Held appends to b what Flush would move there at the end. It may run beside Process.
	Held(b *flow.Batch)
}

// A Sink stores batches somewhere.
type Sink interface {
	// Write returns nil once every row of the delivery is stored. An error wrapping ErrRejected means that trying again
	// cannot help; after any other error the same delivery is tried again, with the same token, so that a sink can tell a
	// repetition. Write must not change or keep the batches, and is never called concurrently.
	Write(ctx context.Context, d Delivery) error
}

// ErrRejected marks a delivery that a sink will never take.
var ErrRejected = errors.New("rejected")

// Delivery is a run of batches handed to a sink as one.
type Delivery struct {
	Token   string // the delivery's own, the same on every try and never used twice
	Batches []*flow.Batch
	Tried   bool // another process, or this one before other deliveries, may have sent it under its token already
	// Held is what the stages still held back of all that came until the end of this delivery, and nothing of what came
	// later is in it or before; nil where nobody asked. It is no part of what is to be stored now: it is what would be lost
	// if the process were killed.
	Held *flow.Batch
}

// Counts returns how many rows of each kind it holds.
func (d Delivery) Counts() Counts {
	var c Counts
	for _, b := range d.Batches {
		c.add(b)
	}
	return c
}

// Output is a sink and how it is fed.
type Output struct {
	Name  string // the sink's name in logs and metrics
	Sink  Sink
	Rows  int           // a delivery is made when this many rows wait …
	Wait  time.Duration // … or the oldest has waited this long
	Queue int           // how many rows may wait
	Held  time.Duration // how often the sink is told what the stages hold back, and once at the end; 0 never
}

// Config is how a pipeline runs.
type Config struct {
	Stages  []Stage
	Outputs []Output
	// Lossless makes a full queue hold the source up. Without it a full queue loses the batch for that sink alone, counted
	// and told as a gap: a live source is not held up by one slow sink.
	Lossless bool
	Tick     time.Duration // how often Flushers are asked for what is due; 0 only at the end, as a replay wants it
	Drain    time.Duration // how long queues may empty after the end was asked for
	Names    *flow.Interner
	Logger   *slog.Logger
	Registry prometheus.Registerer
	Tracer   trace.Tracer // nil when tracing is off
}

// Pipeline runs batches from a source to sinks.
type Pipeline struct {
	cfg     Config
	metrics *metrics
	queues  []*queue

	whole sync.RWMutex // held for writing while what is held and what is queued must belong together

	mu     sync.Mutex
	counts Counts
}

// Counts returns how many rows of each kind have been handed to the sinks' queues so far.
func (p *Pipeline) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// New returns a pipeline. Nothing runs yet.
func New(cfg Config) *Pipeline {
	p := &Pipeline{cfg: cfg, metrics: newMetrics(cfg.Registry)}
	for _, out := range cfg.Outputs {
		p.queues = append(p.queues, newQueue(out, cfg, p.metrics))
	}
	return p
}

// Run moves batches from the source to the sinks until the source ends or ctx does, then lets the queues drain: without
// limit while ctx lives, for Config.Drain once it has ended. The error names what was left, and the source's own.
func (p *Pipeline) Run(ctx context.Context, source Source) error {
	// The sinks outlive ctx by the drain time.
	sinkCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(p.cfg.Drain, cancel) })
	defer stop()

	var wg sync.WaitGroup
	for _, q := range p.queues {
		wg.Go(func() { q.run(sinkCtx) })
	}
	ticking, stopTicking := context.WithCancel(ctx)
	var ticks sync.WaitGroup
	if p.cfg.Tick > 0 {
		ticks.Go(func() { p.tick(ticking) })
	}
	for _, q := range p.queues {
		if q.out.Held > 0 {
			p.mark(q)
			ticks.Go(func() { p.hold(ticking, q) })
		}
	}
	err := source.Run(ctx, p.emit)
	if err != nil {
		err = fmt.Errorf("source: %w", err)
	}
	stopTicking()
	ticks.Wait()
	err = errors.Join(err, p.flush(sinkCtx, true))
	for _, q := range p.queues {
		if q.out.Held > 0 {
			p.mark(q)
		}
		q.close()
	}
	wg.Wait()
	for _, q := range p.queues {
		if left := q.left(); left > 0 {
			q.lostEnd.Add(float64(left))
			err = errors.Join(err, fmt.Errorf("sink %s: %d rows were not stored within the drain time of %s", q.out.Name, left, p.cfg.Drain))
		}
	}
	return err
}

func (p *Pipeline) emit(ctx context.Context, b *flow.Batch) error {
	var span trace.SpanContext
	if p.cfg.Tracer != nil {
		var end func()
		span, end = p.trace(ctx, b)
		defer end()
	}
	p.metrics.received.Add(float64(len(b.Records)))
	p.whole.RLock()
	defer p.whole.RUnlock()
	for _, stage := range p.cfg.Stages {
		stage.Process(b)
	}
	if forget(b); b.Len() == 0 {
		b.Release()
		return nil
	}
	if n := len(b.Records); n > 0 {
		p.metrics.lag.Set(time.Since(b.Records[n-1].Time).Seconds())
	}
	return p.hand(ctx, b, span)
}

// forget takes the records out of a batch that only stages had to see.
func forget(b *flow.Batch) {
	kept := 0
	for i := range b.Records {
		switch {
		case b.Records[i].Replayed:
		case i == kept:
			kept++
		default:
			b.Records[kept] = b.Records[i]
			kept++
		}
	}
	b.Records = b.Records[:kept]
}

// tick flushes now and then, so that what is held shows though no flow comes.
func (p *Pipeline) tick(ctx context.Context) {
	ticker := time.NewTicker(p.cfg.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if p.flush(ctx, false) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (p *Pipeline) flush(ctx context.Context, end bool) error {
	b := &flow.Batch{}
	b.Retain(1)
	p.whole.RLock()
	defer p.whole.RUnlock()
	for _, stage := range p.cfg.Stages {
		if f, ok := stage.(Flusher); ok {
			f.Flush(b, end)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	return p.hand(ctx, b, trace.SpanContext{})
}

// hold tells a queue now and then what the stages hold back.
func (p *Pipeline) hold(ctx context.Context, q *queue) {
	ticker := time.NewTicker(q.out.Held)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if !q.marked() { // else the sink is behind, and there would be no end of them
				p.mark(q)
			}
		case <-ctx.Done():
			return
		}
	}
}

// mark queues what the stages hold back behind all of which they know, and before everything else.
func (p *Pipeline) mark(q *queue) {
	p.whole.Lock()
	defer p.whole.Unlock()
	held := &flow.Batch{}
	for _, stage := range p.cfg.Stages {
		if h, ok := stage.(Holder); ok {
			h.Held(held)
		}
	}
	q.mark(held)
}

// hand gives a finished batch to every queue.
func (p *Pipeline) hand(ctx context.Context, b *flow.Batch, span trace.SpanContext) error {
	p.metrics.connections.Add(float64(len(b.Connections)))
	p.metrics.gaps.Add(float64(len(b.Gaps)))
	p.metrics.pulls.Add(float64(len(b.Pulls)))
	p.metrics.items.Add(float64(len(b.Items)))
	p.metrics.beats.Add(float64(len(b.Beats)))
	p.metrics.charges.Add(float64(len(b.Charges)))
	p.metrics.buckets.Add(float64(len(b.Buckets)))
	b.Retain(len(p.queues))
	defer b.Release()
	for i, q := range p.queues {
		if err := q.put(ctx, item{batch: b, span: span}); err != nil {
			for _, q := range p.queues[i:] { // those that never got it
				q.lostEnd.Add(float64(b.Len()))
				b.Release()
			}
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.add(b)
	return nil
}

// Healthy reports, per sink, whether its last delivery was stored; a sink that has had none yet is healthy.
func (p *Pipeline) Healthy() error {
	var errs []error
	for _, q := range p.queues {
		if err := q.trouble(); err != nil {
			errs = append(errs, fmt.Errorf("sink %s: %w", q.out.Name, err))
		}
	}
	return errors.Join(errs...)
}
