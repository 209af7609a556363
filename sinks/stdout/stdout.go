// Package stdout prints records as JSON, one object a line, with the keys of the flow package's field tables and a first
// key "record" that says of which table ("flow", "gap"). It is the contract for tools and tests, and the smallest sink:
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
var Kinds = []string{"flow", "gap"}

// Config is what to print and where.
type Config struct {
	Out  io.Writer
	Only []string // kinds to print; empty prints all
	// Live prints gaps as they come. Without it they come after the flows, when Close is called, so that the first lines
	// answer the lines of the input one to one.
	Live bool
}

// maxHeld bounds the gaps that wait for Close; further ones are printed as they come.
const maxHeld = 100_000

// Sink prints.
type Sink struct {
	out         io.Writer
	flows, gaps bool
	live        bool
	held        []flow.Gap
	buf         []byte
}

// New returns a sink that has printed nothing yet. The error names a kind that does not exist.
func New(cfg Config) (*Sink, error) {
	for _, kind := range cfg.Only {
		if !slices.Contains(Kinds, kind) {
			return nil, fmt.Errorf("record kind %q does not exist: use one of %q", kind, Kinds)
		}
	}
	prints := func(kind string) bool { return len(cfg.Only) == 0 || slices.Contains(cfg.Only, kind) }
	return &Sink{out: cfg.Out, flows: prints("flow"), gaps: prints("gap"), live: cfg.Live}, nil
}

// Write implements collector.Sink. An output that cannot be written to, a closed pipe for one, rejects.
func (s *Sink) Write(_ context.Context, d collector.Delivery) error {
	s.buf = s.buf[:0]
	for _, b := range d.Batches {
		if s.flows {
			for i := range b.Records {
				s.buf = append(flow.AppendJSON(s.buf, "flow", flow.Fields, &b.Records[i]), '\n')
			}
		}
		if s.gaps {
			s.addGaps(b.Gaps)
		}
	}
	return s.print()
}

func (s *Sink) addGaps(gaps []flow.Gap) {
	if !s.live && len(s.held)+len(gaps) <= maxHeld {
		s.held = append(s.held, gaps...)
		return
	}
	for i := range gaps {
		s.buf = append(flow.AppendJSON(s.buf, "gap", flow.GapFields, &gaps[i]), '\n')
	}
}

// Close prints the gaps that were held back.
func (s *Sink) Close() error {
	s.buf = s.buf[:0]
	held := s.held
	s.held, s.live = nil, true
	s.addGaps(held)
	return s.print()
}

func (s *Sink) print() error {
	if _, err := s.out.Write(s.buf); err != nil {
		return fmt.Errorf("print: %w: %w", err, collector.ErrRejected)
	}
	return nil
}
