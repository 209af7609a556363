package hubble

import (
	"context"
	"slices"
	"sync"
	"time"

	"sextant/collector/flow"
)

// batcher gathers one stream's records into batches and emits a batch when it is full or its first record has waited
// long enough. A stream blocks in receive, so the timer runs beside it, and the mutex keeps the two apart; it is held
// while a batch is emitted, which keeps the stream's order.
type batcher struct {
	ctx  context.Context
	pool *flow.Pool
	emit Emit
	wait time.Duration // 0: only full batches are emitted, and the rest by flush

	mu    sync.Mutex
	batch *flow.Batch
	timer *time.Timer
	err   error
}

func newBatcher(ctx context.Context, pool *flow.Pool, emit Emit, wait time.Duration) *batcher {
	return &batcher{ctx: ctx, pool: pool, emit: emit, wait: wait}
}

// next locks the batcher and returns an empty record. The caller fills it and calls keep or drop.
func (b *batcher) next() *flow.Record {
	b.mu.Lock()
	return b.currentLocked().Next()
}

// keep takes the record that next returned, and unlocks. The error is emit's; the stream should end.
func (b *batcher) keep() error {
	defer b.mu.Unlock()
	b.startTimerLocked()
	if len(b.batch.Records) == b.pool.Size() {
		b.flushLocked()
	}
	return b.err
}

// drop forgets the record that next returned, and unlocks.
func (b *batcher) drop() {
	b.batch.Drop()
	b.mu.Unlock()
}

// gap adds a gap.
func (b *batcher) gap(g flow.Gap) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := b.currentLocked()
	batch.Gaps = append(batch.Gaps, g)
	b.startTimerLocked()
	if len(batch.Gaps) == b.pool.Size() {
		b.flushLocked()
	}
	return b.err
}

// beat adds a heartbeat.
func (b *batcher) beat(beat flow.Beat) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := b.currentLocked()
	batch.Beats = append(batch.Beats, beat)
	b.startTimerLocked()
	if len(batch.Beats) == b.pool.Size() {
		b.flushLocked()
	}
	return b.err
}

// flush emits what there is.
func (b *batcher) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushLocked()
	return b.err
}

func (b *batcher) currentLocked() *flow.Batch {
	if b.batch == nil {
		b.batch = b.pool.Get()
	}
	return b.batch
}

func (b *batcher) startTimerLocked() {
	if b.wait == 0 || b.batch.Len() != 1 {
		return
	}
	if b.timer == nil {
		b.timer = time.AfterFunc(b.wait, func() { _ = b.flush() }) // the stream meets the error at its next record
		return
	}
	b.timer.Reset(b.wait)
}

func (b *batcher) flushLocked() {
	if b.timer != nil {
		b.timer.Stop()
	}
	if b.batch == nil || b.batch.Len() == 0 || b.err != nil {
		return
	}
	out := b.batch
	if len(out.Records) < b.pool.Size()/2 {
		// A mostly empty batch would hold the memory of a full one for as long as a sink is away.
		out = &flow.Batch{Records: slices.Clone(out.Records), Gaps: slices.Clone(out.Gaps), Beats: slices.Clone(out.Beats)}
		out.Retain(1)
		b.batch.Records, b.batch.Gaps, b.batch.Beats = b.batch.Records[:0], b.batch.Gaps[:0], b.batch.Beats[:0]
	} else {
		b.batch = nil
	}
	b.err = b.emit(b.ctx, out)
}
