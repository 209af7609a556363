// Package clickhouse stores flows, connections, gaps, image pulls and the inventory in ClickHouse: one table each, made from
// the field tables of collector/flow, and filled in large native blocks of columns. It also answers SQL by hand (DB).
//
// A delivery is stored once, however often it is tried: its token travels with the insert, so that the server can tell a
// repetition, and what a repetition should have found is looked for, because a server that was killed may remember the
// token alone. What this package refuses to do is wait: queues, batching and retries belong to the collector's pipeline.
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
	pulls       *block[flow.Pull]
	items       *block[flow.Item]
	writers     []writer // all of these
}

// writer is a block of whatever rows.
type writer interface {
	write(ctx context.Context, s *Sink, token string) error
	reset()
}

// New returns a sink. Nothing is dialled yet.
func New(cfg Config, logger *slog.Logger, reg prometheus.Registerer) *Sink {
	fields := make([]flow.Field[flow.Record], 0, len(flow.Fields))
	for _, f := range flow.Fields {
		if f.UUID == nil || cfg.StoreUUID { // a column that is not sent is zero
			fields = append(fields, f)
		}
	}
	d := newDictionary()
	s := &Sink{
		cfg: cfg, logger: logger, metrics: newMetrics(reg),
		flows:       newBlock(cfg.Database, "flows", fields, d),
		connections: newBlock(cfg.Database, "connections", flow.ConnectionFields, d),
		gaps:        newBlock(cfg.Database, "gaps", flow.GapFields, d),
		pulls:       newBlock(cfg.Database, "pulls", flow.PullFields, d),
		items:       newBlock(cfg.Database, "inventory", flow.ItemFields, d),
	}
	s.flows.day = func(r *flow.Record) time.Time { return r.Time }
	s.connections.day = func(c *flow.Connection) time.Time { return c.First }
	s.pulls.keyed = true
	s.items.day = func(i *flow.Item) time.Time { return i.Time }
	s.writers = []writer{s.flows, s.connections, s.gaps, s.pulls, s.items}
	return s
}

// Check tells whether rows could be stored now: it connects, makes what is missing of the tables, and disconnects. It may
// run beside Write.
func (s *Sink) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout)
	defer cancel()
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	c.close()
	return nil
}

// Write stores a delivery, see collector.Sink. It is one insert for each table: when one fails, the next try repeats those
// before it, which the server then ignores.
func (s *Sink) Write(ctx context.Context, d collector.Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout)
	defer cancel()
	if s.conn == nil {
		c, err := s.open(ctx)
		if err != nil {
			return err
		}
		s.conn = c
	}
	for _, b := range d.Batches {
		s.flows.add(b.Records)
		s.connections.add(b.Connections)
		s.gaps.add(b.Gaps)
		s.pulls.add(b.Pulls)
		s.items.add(b.Items)
	}
	defer s.reset()
	for _, w := range s.writers {
		if err := w.write(ctx, s, d.Token); err != nil {
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
	c, err := connect(ctx, &s.cfg, s.metrics.sent)
	if err != nil {
		return nil, err
	}
	changed, err := c.migrate(ctx)
	if err != nil {
		c.close()
		return nil, err
	}
	for _, statement := range changed {
		first, _, _ := strings.Cut(statement, "\n")
		s.logger.Info("schema changed", "statement", first)
	}
	s.metrics.connections.Inc()
	return c, nil
}
