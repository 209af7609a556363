// Package clickhouse stores flows, connections, gaps, image pulls, the inventory and the use of rate limits in ClickHouse: one table each, made from
// the field tables of collector/flow, and filled in large native blocks of columns. It also answers SQL by hand (DB).
//
// What is sent again is stored once: connections, pulls and charges by their identifiers, in tables that keep one row of each, the
// rest by a token that is made of the rows and travels with the insert, so that the server can tell a repetition. What a
// repetition should have found is looked for, because a server that was killed may remember the token alone. What this
// package refuses to do is wait: queues, batching and retries belong to the collector's pipeline.
package clickhouse

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
)

// Sink is the sink for a pipeline. It connects when it has to, and anew after any error.
type Sink struct {
	cfg     Config
	logger  *slog.Logger
	metrics *metrics

	conn        *conn // nil when there is none
	flows       *block[flow.Record]
	connections *block[flow.Connection]
	gaps        *block[flow.Gap]
	beats       *block[flow.Beat]
	pulls       *block[flow.Pull]
	items       *block[flow.Item]
	charges     *block[flow.Charge]
	buckets     *block[flow.Bucket]
	writers     []writer // all of these
}

// writer is a block of whatever rows.
type writer interface {
	write(ctx context.Context, s *Sink, tried bool) error
	reset()
}

// New returns a sink. Nothing is dialled yet.
func New(cfg Config, logger *slog.Logger, reg prometheus.Registerer) *Sink {
	fields := make([]flow.Field[flow.Record], 0, len(flow.Fields))
	for _, f := range flow.Fields {
		if cfg.stores(f) {
			fields = append(fields, f)
		}
	}
	d := newDictionary()
	s := &Sink{
		cfg: cfg, logger: logger, metrics: newMetrics(reg),
		flows:       newBlock(cfg.Database, cfg.flows(), fields, d),
		connections: newBlock(cfg.Database, cfg.connections(), flow.ConnectionFields, d),
		gaps:        newBlock(cfg.Database, cfg.gaps(), flow.GapFields, d),
		beats:       newBlock(cfg.Database, cfg.heartbeats(), flow.BeatFields, d),
		pulls:       newBlock(cfg.Database, cfg.pulls(), flow.PullFields, d),
		items:       newBlock(cfg.Database, cfg.inventory(), flow.ItemFields, d),
		charges:     newBlock(cfg.Database, cfg.charges(), flow.ChargeFields, d),
		buckets:     newBlock(cfg.Database, cfg.buckets(), flow.BucketFields, d),
	}
	s.flows.day = func(r *flow.Record) time.Time { return r.Time }
	s.beats.day = func(b *flow.Beat) time.Time { return b.From }
	s.items.day = func(i *flow.Item) time.Time { return i.Time }
	s.buckets.day = func(b *flow.Bucket) time.Time { return b.Time }
	s.writers = []writer{s.flows, s.connections, s.gaps, s.beats, s.pulls, s.items, s.charges, s.buckets}
	return s
}

// stores reports whether a field of flows is stored. A column that is not sent is zero, and takes next to no room.
func (c *Config) stores(f flow.Field[flow.Record]) bool {
	switch {
	case f.UUID != nil:
		return c.StoreUUID
	case strings.HasSuffix(f.Name, "_labels"):
		return c.StoreLabels
	}
	return true
}

// Check tells whether rows could be stored now: it connects, makes what is missing of the tables, and disconnects. It may
// run beside Write.
func (s *Sink) Check(ctx context.Context) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	c.close()
	return nil
}

// Write stores a delivery, see collector.Sink. It is one insert for each table: when one fails, the next try repeats those
// before it, which does not store them twice. Connecting may move rows of older tables first (see planner.rebuild), which
// takes as long as it takes.
func (s *Sink) Write(ctx context.Context, d collector.Delivery) error {
	if s.conn == nil {
		c, err := s.open(ctx)
		if err != nil {
			return err
		}
		s.conn = c
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout)
	defer cancel()
	for _, b := range d.Batches {
		s.flows.add(b.Records)
		s.connections.add(b.Connections)
		s.gaps.add(b.Gaps)
		s.beats.add(b.Beats)
		s.pulls.add(b.Pulls)
		s.items.add(b.Items)
		s.charges.add(b.Charges)
		s.buckets.add(b.Buckets)
	}
	defer s.reset()
	for _, w := range s.writers {
		if err := w.write(ctx, s, d.Tried); err != nil {
			s.Close()
			return err
		}
	}
	return nil
}

func (s *Sink) reset() {
	for _, w := range s.writers {
		w.reset()
	}
}

// Close lets go of the connection. The next Write connects anew.
func (s *Sink) Close() {
	if s.conn != nil {
		s.conn.close()
		s.conn = nil
	}
}

// open connects and makes what is missing of the tables.
func (s *Sink) open(ctx context.Context) (*conn, error) {
	connecting, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout)
	defer cancel()
	c, err := connect(connecting, &s.cfg, s.metrics.sent)
	if err != nil {
		return nil, err
	}
	changed, err := c.migrate(ctx)
	for _, statement := range changed {
		s.logger.Info("schema changed", "statement", firstLine(statement))
	}
	if err != nil {
		c.close()
		return nil, err
	}
	s.metrics.connections.Inc()
	return c, nil
}
