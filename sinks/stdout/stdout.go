// Package stdout prints rows as JSON, one object a line, with the keys of the flow package's field tables and a first
// key "record" that says of which table (one of Kinds). It is the contract for tools and tests, and the
// smallest sink: read it first.
//
// A charge is printed only where it is asked for: it repeats a connection or a pull that is printed already, once for each
// limit that it counts towards.
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
var Kinds = []string{"flow", "connection", "gap", "pull", "inventory", "heartbeat", "bucket", "charge"}

// Config is what to print and where.
type Config struct {
	Out  io.Writer
	Only []string // kinds to print; empty prints all but charges
	// Live prints all as it comes. Without it all other kinds come after the flows, when Close is called, so that the
	// first lines answer the lines of the input one to one.
	Live bool
}

// Sink prints.
type Sink struct {
	out         io.Writer
	buf         []byte
	flows       printer[flow.Record]
	connections printer[flow.Connection]
	gaps        printer[flow.Gap]
	pulls       printer[flow.Pull]
	items       printer[flow.Item]
	beats       printer[flow.Beat]
	buckets     printer[flow.Bucket]
	charges     printer[flow.Charge]
}

// New returns a sink that has printed nothing yet. The error names a kind that does not exist.
func New(cfg Config) (*Sink, error) {
	for _, kind := range cfg.Only {
		if !slices.Contains(Kinds, kind) {
			return nil, fmt.Errorf("record kind %q does not exist: use one of %q", kind, Kinds)
		}
	}
	return &Sink{
		out:         cfg.Out,
		flows:       newPrinter(cfg, "flow", flow.Fields, false),
		connections: newPrinter(cfg, "connection", flow.ConnectionFields, !cfg.Live),
		gaps:        newPrinter(cfg, "gap", flow.GapFields, !cfg.Live),
		pulls:       newPrinter(cfg, "pull", flow.PullFields, !cfg.Live),
		items:       newPrinter(cfg, "inventory", flow.ItemFields, !cfg.Live),
		beats:       newPrinter(cfg, "heartbeat", flow.BeatFields, !cfg.Live),
		buckets:     newPrinter(cfg, "bucket", flow.BucketFields, !cfg.Live),
		charges:     newPrinter(cfg, "charge", flow.ChargeFields, !cfg.Live),
	}, nil
}

// Write implements collector.Sink. An output that cannot be written to, a closed pipe for one, rejects.
func (s *Sink) Write(_ context.Context, d collector.Delivery) error {
	s.buf = s.buf[:0]
	for _, b := range d.Batches {
		s.buf = s.flows.take(s.buf, b.Records)
		s.buf = s.connections.take(s.buf, b.Connections)
		s.buf = s.gaps.take(s.buf, b.Gaps)
		s.buf = s.pulls.take(s.buf, b.Pulls)
		s.buf = s.items.take(s.buf, b.Items)
		s.buf = s.beats.take(s.buf, b.Beats)
		s.buf = s.buckets.take(s.buf, b.Buckets)
		s.buf = s.charges.take(s.buf, b.Charges)
	}
	return s.print()
}

// Close prints what was held back.
func (s *Sink) Close() error {
	s.buf = s.connections.release(s.buf[:0])
	s.buf = s.gaps.release(s.buf)
	s.buf = s.pulls.release(s.buf)
	s.buf = s.items.release(s.buf)
	s.buf = s.beats.release(s.buf)
	s.buf = s.buckets.release(s.buf)
	s.buf = s.charges.release(s.buf)
	return s.print()
}

func (s *Sink) print() error {
	if _, err := s.out.Write(s.buf); err != nil {
		return fmt.Errorf("print: %w: %w", err, collector.ErrRejected)
	}
	return nil
}

// maxHeld bounds the rows of a kind that wait for Close; further ones are printed as they come.
const maxHeld = 100_000

// printer prints the rows of one kind.
type printer[R any] struct {
	kind   string
	fields []flow.Field[R]
	on     bool
	hold   bool // rows wait for the release
	held   []R
}

func newPrinter[R any](cfg Config, kind string, fields []flow.Field[R], hold bool) printer[R] {
	on := len(cfg.Only) == 0 && kind != "charge" || slices.Contains(cfg.Only, kind)
	return printer[R]{kind: kind, fields: fields, on: on, hold: hold}
}

// take appends the rows' lines, or holds the rows back.
func (p *printer[R]) take(dst []byte, rows []R) []byte {
	switch {
	case !p.on:
		return dst
	case p.hold && len(p.held)+len(rows) <= maxHeld:
		p.held = append(p.held, rows...)
		return dst
	}
	return p.lines(dst, rows)
}

// release appends the lines of what was held back, and holds nothing back any more.
func (p *printer[R]) release(dst []byte) []byte {
	dst = p.lines(dst, p.held)
	p.held, p.hold = nil, false
	return dst
}

func (p *printer[R]) lines(dst []byte, rows []R) []byte {
	for i := range rows {
		dst = append(flow.AppendJSON(dst, p.kind, p.fields, &rows[i]), '\n')
	}
	return dst
}
