package collector

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v7"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"sextant/collector/flow"
)

const (
	retryFirst = 200 * time.Millisecond
	retryMost  = 10 * time.Second
)

// queue holds what waits for one sink and delivers it. Its length is in rows, so that many small batches weigh no more
// than a few large ones.
type queue struct {
	out      Output
	lossless bool
	drain    time.Duration
	logger   *slog.Logger
	tracer   trace.Tracer
	tokens   tokens
	ledger   *Ledger // under mu

	stored, retries                 prometheus.Counter
	lostFull, lostRejected, lostEnd prometheus.Counter
	queued                          prometheus.Gauge
	writes                          prometheus.Observer

	mu          sync.Mutex
	items       []item
	rows        int // rows in items and in the delivery under way
	waiting     int // rows in items
	closed      bool
	marks       int           // items that are marks, or were delivered as the last ones
	overflowing bool          // the last batch was lost
	lastErr     error         // of the last try
	changed     chan struct{} // closed and replaced whenever the fields above change
}

type item struct {
	batch *flow.Batch
	span  trace.SpanContext
	at    time.Time   // when it was queued
	held  *flow.Batch // of a mark: what the stages held back at this place
}

var details = map[flow.GapCause]string{
	flow.GapQueueFull: "the sink was away or slow and its queue was full",
	flow.GapRejected:  "the sink refused these rows for good; the log says why",
}

func newQueue(out Output, cfg Config, m *metrics) *queue {
	out.Rows = max(1, min(out.Rows, out.Queue/2)) // a queue too short for a full delivery would only ever wait
	return &queue{
		out: out, lossless: cfg.Lossless, drain: cfg.Drain, logger: cfg.Logger.With("sink", out.Name), tracer: cfg.Tracer,
		tokens:  newTokens(),
		ledger:  NewLedger(cfg.Names, details),
		changed: make(chan struct{}),

		stored: m.stored.WithLabelValues(out.Name), retries: m.retries.WithLabelValues(out.Name),
		lostFull:     m.lost.WithLabelValues(out.Name, "queue_full"),
		lostRejected: m.lost.WithLabelValues(out.Name, "rejected"),
		lostEnd:      m.lost.WithLabelValues(out.Name, "shutdown"),
		queued:       m.queued.WithLabelValues(out.Name),
		writes:       m.writes.WithLabelValues(out.Name),
	}
}

// put takes over one hold on the batch. A batch that does not fit is lost for this sink, or waited for where nothing may
// be lost. A queue that is empty takes any batch, however large.
func (q *queue) put(ctx context.Context, it item) error {
	n := it.batch.Len()
	q.mu.Lock()
	for q.rows > 0 && q.rows+n > q.out.Queue {
		if !q.lossless {
			q.ledger.Batch(flow.GapQueueFull, it.batch)
			if !q.overflowing {
				q.overflowing = true
				q.logger.Warn("queue is full, rows are lost for this sink: see what keeps it, or raise pipeline.queue_rows", "queue_rows", q.out.Queue)
			}
			q.mu.Unlock()
			q.lostFull.Add(float64(n))
			it.batch.Release()
			return nil
		}
		changed := q.changed
		q.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		q.mu.Lock()
	}
	q.overflowing = false
	it.at = time.Now()
	q.items = append(q.items, it)
	q.rows += n
	q.waiting += n
	q.queued.Set(float64(q.rows))
	q.changedLocked()
	q.mu.Unlock()
	return nil
}

// mark queues what the stages hold back at this place. It ends a delivery.
func (q *queue) mark(held *flow.Batch) {
	nothing := &flow.Batch{}
	nothing.Retain(1)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, item{batch: nothing, held: held, at: time.Now()})
	q.marks++
	q.changedLocked()
}

// marked reports whether a mark waits or is being delivered.
func (q *queue) marked() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.marks > 0
}

func (q *queue) changedLocked() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.changedLocked()
	q.mu.Unlock()
}

// left returns how many rows were never delivered.
func (q *queue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rows
}

func (q *queue) trouble() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lastErr
}

// run delivers until the queue is closed and empty, or ctx ends.
func (q *queue) run(ctx context.Context) {
	for ctx.Err() == nil {
		items := q.take(ctx)
		if items == nil {
			break
		}
		q.deliver(ctx, items)
	}
}

// take waits for a full delivery, or for the oldest batch to have waited long enough. Losses are told within the same
// time even if no batch follows. It returns nil at the end.
func (q *queue) take(ctx context.Context) []item {
	var due <-chan time.Time
	for {
		q.mu.Lock()
		full := q.waiting >= q.out.Rows || q.closed
		if len(q.items) > 0 && full || q.closed {
			return q.takeLocked()
		}
		if wait, some := q.waitLocked(); some && due == nil {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			due = timer.C
		}
		changed := q.changed
		q.mu.Unlock()
		select {
		case <-changed:
		case <-due:
			q.mu.Lock()
			return q.takeLocked()
		case <-ctx.Done():
			return nil
		}
	}
}

// waitLocked returns how long what is here may still wait, if anything is.
func (q *queue) waitLocked() (time.Duration, bool) {
	if len(q.items) > 0 {
		return time.Until(q.items[0].at.Add(q.out.Wait)), true
	}
	return q.out.Wait, !q.ledger.Empty()
}

// takeLocked takes batches for one delivery, at most Rows rows unless a single batch is larger, and unlocks.
func (q *queue) takeLocked() []item {
	defer q.mu.Unlock()
	n, rows := 0, 0
	for n < len(q.items) && (n == 0 || rows+q.items[n].batch.Len() <= q.out.Rows) && (n == 0 || q.items[n-1].held == nil) {
		rows += q.items[n].batch.Len()
		n++
	}
	items := q.items[:n:n]
	q.items = q.items[n:]
	q.waiting -= rows
	if gaps := q.ledger.Take(); gaps != nil {
		q.rows += gaps.Len()
		items = append(items, item{batch: gaps})
	}
	if len(items) == 0 {
		return nil
	}
	return items
}

// deliver tries until the sink has taken or rejected the items, or ctx ends.
func (q *queue) deliver(ctx context.Context, items []item) {
	d := Delivery{Token: q.tokens.next()}
	spans := make([]trace.SpanContext, 0, len(items))
	for _, it := range items {
		d.Batches = append(d.Batches, it.batch)
		if it.held != nil {
			d.Held = it.held
		}
		spans = append(spans, it.span)
	}
	counts := d.Counts()
	rows := int(counts.Rows())
	ctx, end := q.traceDelivery(ctx, counts, spans)

	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = retryFirst, retryMost
	for try := 0; ; try++ {
		begin := time.Now()
		err := q.out.Sink.Write(ctx, d)
		switch {
		case err == nil:
			q.writes.Observe(time.Since(begin).Seconds())
			q.stored.Add(float64(rows))
		case errors.Is(err, ErrRejected):
			q.logger.Error("rows rejected", "rows", counts, "err", err)
			q.lostRejected.Add(float64(rows))
		case ctx.Err() != nil:
			q.logger.Error("rows not stored before the end", "rows", counts, "err", err)
			end(err)
			return
		default:
			wait := retry.NextBackOff()
			q.retries.Inc()
			q.setTrouble(err)
			if try == 0 { // once per outage
				q.logger.Warn("sink unavailable, rows wait", "err", err)
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			continue
		}
		if err == nil && try > 0 {
			q.logger.Info("sink available again", "tries", try+1)
		}
		q.setTrouble(err)
		end(err)
		q.done(d, rows, err != nil)
		return
	}
}

func (q *queue) setTrouble(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lastErr = err
}

func (q *queue) done(d Delivery, rows int, rejected bool) {
	q.mu.Lock()
	q.rows -= rows
	q.queued.Set(float64(q.rows))
	if d.Held != nil {
		q.marks--
	}
	if rejected {
		for _, b := range d.Batches {
			q.ledger.Rows(flow.GapRejected, b)
		}
	}
	q.changedLocked()
	q.mu.Unlock()
	for _, b := range d.Batches {
		b.Release()
	}
}

// tokens makes delivery tokens: random per queue and process, then counted.
type tokens struct {
	prefix string
	n      uint64
}

func newTokens() tokens {
	var b [12]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return tokens{prefix: hex.EncodeToString(b[:])}
}

func (t *tokens) next() string {
	t.n++
	return t.prefix + "-" + strconv.FormatUint(t.n, 10)
}
