// Package spool is a sink around a sink. While the inner one is away, deliveries go to disk instead of waiting in memory;
// when it is back they are sent in their order, in turns with what is new. Its directory survives the process, killed or
// not.
//
// It knows rows of every kind as values to be kept, and refuses to know what they mean or where they go. Nor does it
// batch, or hold anything in memory: queues belong to the collector's pipeline, and so does what the disk does not take.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
)

const (
	// patience is how long a new delivery waits for its turn before it goes to disk, and newPatience how long it is tried:
	// the queue behind it fills. From disk it is tried as long as the inner sink wants to.
	patience    = 5 * time.Second
	newPatience = 15 * time.Second
	// lastPatience is how long a try may take once the end was asked for.
	lastPatience = 3 * time.Second

	retryFirst = 200 * time.Millisecond
	retryMost  = 10 * time.Second
)

var (
	errAway = errors.New("away since an earlier delivery")
	errBusy = errors.New("busy with another delivery")
)

// Sink is a sink for a pipeline. Run sends what waits on disk.
type Sink struct {
	inner    collector.Sink
	logger   *slog.Logger
	metrics  *metrics
	encoder  *encoder  // Write's
	progress *progress // Write's
	decoder  *decoder  // Run's
	unknown  int       // columns that were told as left out; Run's

	turn      chan struct{} // held by whoever writes to inner; those who wait get it in their order
	ending    context.Context
	begin     context.CancelFunc // of the end
	lastToken string             // of the delivery that Write tried last; Write's

	mu      sync.Mutex
	disk    *disk
	away    error         // of the last try, while inner is away
	broken  bool          // the disk took nothing the last time
	changed chan struct{} // closed and replaced when a delivery went to disk
}

// Open returns a sink with the directory's deliveries, which waits for Run. The directory is its own until Close. Names of
// what comes from disk are of the interner.
func Open(cfg Config, inner collector.Sink, names *flow.Interner, logger *slog.Logger, reg prometheus.Registerer) (*Sink, error) {
	s := &Sink{
		inner: inner, logger: logger, encoder: newEncoder(), decoder: newDecoder(names),
		turn: make(chan struct{}, 1), changed: make(chan struct{}),
	}
	s.metrics = newMetrics(reg, s.age)
	s.ending, s.begin = context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	disk, err := openDisk(cfg, names, logger, s.metrics)
	if err != nil {
		return nil, err
	}
	s.disk = disk
	s.takeUp(names)
	if n, rows, oldest := disk.waiting(); n > 0 {
		logger.Info("rows of an earlier run wait on disk", "deliveries", n, "rows", rows, "since", oldest)
	}
	return s, nil
}

// takeUp puts on disk what the process before left under way, to be sent with the rest.
func (s *Sink) takeUp(names *flow.Interner) {
	var was left
	s.progress, was = openProgress(s.disk.dir, names, s.logger)
	if was.flight != nil && !s.takeUpOne(was.token, was.flight) {
		return
	}
	if was.held != nil && was.held.Len() > 0 && s.takeUpOne("held-"+s.disk.run, was.held) {
		s.progress.clear()
	}
}

func (s *Sink) takeUpOne(token string, b *flow.Batch) bool {
	payload, from, to := s.encoder.encode([]*flow.Batch{b})
	if err := s.disk.append(token, payload, b.Len(), from, to); err != nil {
		s.logger.Error("what an earlier run left under way cannot be written again, and waits for the next one", "rows", b.Len(), "err", err)
		return false
	}
	return true
}

// Marks returns how far the flows of each node came in the process before, or since.
func (s *Sink) Marks() []flow.Mark { return s.progress.sorted() }

// Write implements collector.Sink. A delivery that the inner sink does not take now counts as stored once it is on disk.
// Where the disk does not take it either, the error is the inner sink's.
func (s *Sink) Write(ctx context.Context, d collector.Delivery) error {
	if d.Held == nil || d.Counts().Rows() > 0 {
		s.progress.depart(d)
		err := s.write(ctx, d)
		if err == nil || errors.Is(err, collector.ErrRejected) {
			s.progress.land()
		}
		if err != nil {
			return err
		}
	}
	if d.Held != nil {
		s.progress.hold(d.Held)
	}
	return nil
}

func (s *Sink) write(ctx context.Context, d collector.Delivery) error {
	if d.Token == s.lastToken {
		d.Tried = true // the inner sink may have seen others since
	}
	s.lastToken = d.Token
	err := s.try(ctx, d, false)
	if err == nil || errors.Is(err, collector.ErrRejected) {
		return err
	}
	if s.keep(d) {
		return nil
	}
	if errors.Is(err, errAway) || errors.Is(err, errBusy) {
		err = s.try(ctx, d, true)
	}
	return err
}

// try hands a delivery to the inner sink when it is its turn. Without insistence it does not take long, and does not ask
// one that is away.
func (s *Sink) try(ctx context.Context, d collector.Delivery, insist bool) error {
	if !insist && s.Away() != nil {
		return errAway
	}
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ending, func() { time.AfterFunc(lastPatience, cancel) })()
	var late <-chan time.Time
	if !insist {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case s.turn <- struct{}{}:
	case <-late:
		return errBusy
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	if !insist && s.Away() != nil { // since this one began to wait
		return errAway
	}
	if !insist {
		defer time.AfterFunc(newPatience, cancel).Stop()
	}
	err := s.inner.Write(ctx, d)
	switch {
	case err == nil || errors.Is(err, collector.ErrRejected):
		s.note(nil)
	case caller.Err() == nil: // else it says nothing about the inner sink
		s.note(err)
	}
	return err
}

// note remembers whether the inner sink is there.
func (s *Sink) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n, rows, _ := s.disk.waiting(); {
	case err != nil && s.away == nil:
		s.logger.Warn("sink unavailable, rows go to disk", "err", err)
	case err == nil && s.away != nil:
		s.logger.Info("sink available again, rows on disk are sent", "deliveries", n, "rows", rows)
	}
	s.away = err
}

// Away returns why the inner sink took nothing the last time, or nil. Deliveries go to disk meanwhile.
func (s *Sink) Away() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.away
}

// keep reports whether the delivery is on disk.
func (s *Sink) keep(d collector.Delivery) bool {
	payload, from, to := s.encoder.encode(d.Batches)
	rows := 0
	for _, b := range d.Batches {
		rows += b.Len()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.disk.append(d.Token, payload, rows, from, to)
	if err != nil {
		s.metrics.errors.Inc()
		if !s.broken {
			s.logger.Error("the disk takes no rows, they wait in the queue and are lost when that is full", "err", err)
		}
		s.broken = true
		return false
	}
	if s.broken {
		s.logger.Info("the disk takes rows again")
	}
	s.broken = false
	s.metrics.written.Add(float64(rows))
	close(s.changed)
	s.changed = make(chan struct{})
	return true
}

// Run sends what waits on disk, the oldest first, until ctx ends. From then on Write asks little of the inner sink, so that
// a pipeline that drains has its rows on disk in time.
func (s *Sink) Run(ctx context.Context) error {
	defer s.begin()
	wait := retryFirst
	for ctx.Err() == nil {
		s.mu.Lock()
		seg, changed := s.disk.head(), s.changed
		s.mu.Unlock()
		if seg == nil {
			s.decoder.free()
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		if s.replay(ctx, seg) == nil {
			wait = retryFirst
			continue
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, retryMost)
	}
	return nil
}

// replay sends the oldest delivery. The error is the inner sink's.
func (s *Sink) replay(ctx context.Context, seg *segment) error {
	s.mu.Lock()
	if len(seg.waiting) == 0 || s.disk.head() != seg { // it gave way meanwhile
		s.mu.Unlock()
		return nil
	}
	seg.busy = true
	f := seg.waiting[0]
	s.mu.Unlock()

	b, token, err := s.disk.read(seg, f, s.decoder)
	s.toldUnknown()
	switch {
	case errors.Is(err, errForeign):
		s.mu.Lock()
		defer s.mu.Unlock()
		seg.busy, seg.newer = false, true
		s.logger.Error("a file of the spool is left alone: start the sextant that wrote it to have its rows stored", "file", seg.path, "err", err)
		return nil
	case err != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.disk.damaged(seg, f.hole(), err)
		s.finish(seg, false)
		return nil
	}

	d := collector.Delivery{Token: token, Batches: []*flow.Batch{b}, Tried: true} // who knows what an earlier process did
	err = s.try(ctx, d, true)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, collector.ErrRejected):
		s.logger.Error("rows from disk rejected", "rows", f.rows, "err", err)
		s.metrics.dropped.WithLabelValues(reasonRejected).Add(float64(f.rows))
		seg.losses.Rows(flow.GapRejected, b)
		s.finish(seg, false)
		return nil
	case err != nil:
		seg.busy = false
		return err
	}
	s.metrics.replayed.Add(float64(f.rows))
	s.finish(seg, true)
	return nil
}

// finish is done with the first delivery of a segment.
func (s *Sink) finish(seg *segment, stored bool) {
	seg.busy = false
	if err := s.disk.done(seg, stored); err != nil {
		s.logger.Warn("that rows from disk are stored cannot be noted there, they may be sent again after a restart", "err", err)
	}
	if s.disk.head() == nil {
		s.logger.Info("no rows wait on disk any more")
	}
}

// toldUnknown says what the decoder had to leave out.
func (s *Sink) toldUnknown() {
	if len(s.decoder.unknown) > s.unknown {
		s.unknown = len(s.decoder.unknown)
		s.logger.Warn("rows from disk are of another version, columns that this one does not have are left out", "columns", s.decoder.unknown)
	}
}

// Waiting returns how many deliveries and rows are on disk.
func (s *Sink) Waiting() (deliveries, rows int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deliveries, rows, _ = s.disk.waiting()
	return deliveries, rows
}

func (s *Sink) age() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disk == nil {
		return 0
	}
	n, _, oldest := s.disk.waiting()
	if n == 0 {
		return 0
	}
	return time.Since(oldest).Seconds()
}

// Close gives the directory back. Neither Write nor Run may be under way.
func (s *Sink) Close() error {
	s.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, rows, _ := s.disk.waiting(); n > 0 {
		s.logger.Warn("rows wait on disk for the next run", "deliveries", n, "rows", rows)
	}
	if err := s.disk.close(); err != nil {
		return fmt.Errorf("close the spool: %w", err)
	}
	return nil
}
