// Package stdout prints records as JSON, one object a line, with the keys of the flow package's field tables and a first
// key "record" that says of which table ("flow", "connection", "gap"). It is the contract for tools and tests, and the smallest sink:
// read it first.
//
// It refuses to format for people and to filter by content; jq does both better.
package stdout

import (
	"context"
	"fmt"
	"io"
	"slices"

	"sextant/collector"
	"sextant/collector/flow"
)

// Kinds are the words of the key "record", in the order in which they are printed.
var Kinds = []string{"flow", "connection", "gap"}

// Config is what to print and where.
type Config struct {
	Out  io.Writer
	Only []string // kinds to print; empty prints all
	// Live prints all as it comes. Without it connections and gaps come after the flows, when Close is called, so that the
	// first lines answer the lines of the input one to one.
	Live bool
}

// maxHeld bounds the connections and the gaps that wait for Close; further ones are printed as they come.
const maxHeld = 100_000

// Sink prints.
type Sink struct {
	out                      io.Writer
	flows, connections, gaps bool
	live                     bool
	heldConnections          []flow.Connection
	heldGaps                 []flow.Gap
	buf                      []byte
}

// New returns a sink that has printed nothing yet. The error names a kind that does not exist.
func New(cfg Config) (*Sink, error) {
	for _, kind := range cfg.Only {
		if !slices.Contains(Kinds, kind) {
			return nil, fmt.Errorf("record kind %q does not exist: use one of %q", kind, Kinds)
		}
	}
	prints := func(kind string) bool { return len(cfg.Only) == 0 || slices.Contains(cfg.Only, kind) }
	return &Sink{out: cfg.Out, flows: prints("flow"), connections: prints("connection"), gaps: prints("gap"), live: cfg.Live}, nil
}

// Write implements collector.Sink. An output that cannot be written to, a closed pipe for one, rejects.
func (s *Sink) Write(_ context.Context, d collector.Delivery) error {
	s.buf = s.buf[:0]
	for _, b := range d.Batches {
		if s.flows {
			s.buf = appendAll(s.buf, "flow", flow.Fields, b.Records)
		}
		if s.connections {
			s.heldConnections = later(s, "connection", flow.ConnectionFields, s.heldConnections, b.Connections)
		}
		if s.gaps {
			s.heldGaps = later(s, "gap", flow.GapFields, s.heldGaps, b.Gaps)
		}
	}
	return s.print()
}

// later adds rows to those held back, or prints them where nothing is held back or no more.
func later[R any](s *Sink, kind string, fields []flow.Field[R], held, rows []R) []R {
	if !s.live && len(held)+len(rows) <= maxHeld {
		return append(held, rows...)
	}
	s.buf = appendAll(s.buf, kind, fields, rows)
	return held
}

func appendAll[R any](dst []byte, kind string, fields []flow.Field[R], rows []R) []byte {
	for i := range rows {
		dst = append(flow.AppendJSON(dst, kind, fields, &rows[i]), '\n')
	}
	return dst
}

// Close prints what was held back.
func (s *Sink) Close() error {
	s.buf = s.buf[:0]
	s.buf = appendAll(s.buf, "connection", flow.ConnectionFields, s.heldConnections)
	s.buf = appendAll(s.buf, "gap", flow.GapFields, s.heldGaps)
	s.heldConnections, s.heldGaps, s.live = nil, nil, true
	return s.print()
}

func (s *Sink) print() error {
	if _, err := s.out.Write(s.buf); err != nil {
		return fmt.Errorf("print: %w: %w", err, collector.ErrRejected)
	}
	return nil
}
