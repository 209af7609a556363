package hubble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"sextant/collector/flow"
)

// Files is the source that replays recordings. Several are merged by the time of their lines, each keeping its own
// order, so that the recordings of several nodes become one stream.
type Files struct {
	cfg    FilesConfig
	alone  bool // there is one recording
	report Report
}

// FilesConfig is what to replay and how.
type FilesConfig struct {
	Paths  []string // of recordings, and of sysdumps and directories that hold some; "-" is standard input
	Strict bool     // the first line that cannot be read ends the run with an error
	Names  *flow.Interner
	Pool   *flow.Pool
	Logger *slog.Logger
}

// Report counts the lines of a replay.
type Report struct {
	Flows  int // flows handed on
	Lost   int // lines in which Hubble told of lost events
	Status int // lines about nodes
	Other  int // lines that hold something else, agent events for one
	Broken int // lines that could not be read
	Flaws  int // fields of flows that could not be read and were left unknown
}

// maxComplaints bounds the broken lines that are logged, of one file.
const maxComplaints = 10

// NewFiles returns the source. Nothing is opened yet.
func NewFiles(cfg FilesConfig) *Files { return &Files{cfg: cfg} }

// Report returns the counts so far; it is complete when Run has returned.
func (f *Files) Report() Report { return f.report }

// Run replays all files once.
func (f *Files) Run(ctx context.Context, emit Emit) error {
	var opened open
	defer opened.close()
	for _, path := range f.cfg.Paths { // open all before reading any: a wrong name shows at once
		if err := opened.add(path); err != nil {
			return fmt.Errorf("open recording: %w", err)
		}
	}
	tracks := make([]*track, len(opened.recordings))
	for i, r := range opened.recordings {
		tracks[i] = &track{recording: r}
	}
	f.alone = len(tracks) == 1
	out := newBatcher(ctx, f.cfg.Pool, emit, 0)
	err := f.merge(ctx, tracks, out)
	if err == nil {
		err = out.flush()
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// track is one recording with the line it stands at.
type track struct {
	recording *Recording
	head      Message
	last      time.Time // of the lines so far, for lines without time
	broken    int
	spans     spans
}

func (f *Files) merge(ctx context.Context, tracks []*track, out *batcher) error {
	decoder := NewDecoder(f.cfg.Names)
	nodes := outages{names: f.cfg.Names}
	var latest time.Time
	open := slices.Clone(tracks)
	for i := 0; i < len(open); {
		if ok, err := f.advance(open[i]); err != nil {
			return err
		} else if ok {
			i++
		} else {
			open = slices.Delete(open, i, i+1)
		}
	}
	for len(open) > 0 && ctx.Err() == nil {
		t := slices.MinFunc(open, func(a, b *track) int { return a.last.Compare(b.last) })
		if t.last.After(latest) {
			latest = t.last
		}
		if err := f.hand(t, decoder, &nodes, out); err != nil {
			return err
		}
		ok, err := f.advance(t)
		if err != nil {
			return err
		}
		if !ok {
			open = slices.DeleteFunc(open, func(o *track) bool { return o == t })
		}
	}
	for _, g := range nodes.told(latest, 0) { // nodes that were never seen again
		if err := out.gap(g); err != nil {
			return err
		}
	}
	for _, t := range tracks {
		for _, b := range t.spans.beats() {
			if err := out.beat(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// advance moves a track to its next readable line. It reports false at the end.
func (f *Files) advance(t *track) (bool, error) {
	for {
		msg, err := t.recording.Next()
		var broken *LineError
		switch {
		case err == nil:
			t.head = msg
			if msg.Time.After(t.last) {
				t.last = msg.Time
			}
			return true, nil
		case errors.Is(err, io.EOF):
			if t.broken > maxComplaints {
				f.cfg.Logger.Warn("more lines could not be read", "file", t.recording.name, "count", t.broken-maxComplaints)
			}
			return false, nil
		case errors.As(err, &broken) && !f.cfg.Strict:
			f.complain(t, broken)
		case errors.As(err, &broken):
			return false, err
		default: // a file cut short, a bad gzip block: nothing more comes from it
			if f.cfg.Strict || f.alone && t.head.Line == 0 {
				return false, err
			}
			f.report.Broken++
			f.cfg.Logger.Warn("recording ends early", "err", err)
			return false, nil
		}
	}
}

func (f *Files) complain(t *track, broken *LineError) {
	f.report.Broken++
	if t.broken++; t.broken <= maxComplaints {
		f.cfg.Logger.Warn("line skipped", "file", broken.File, "line", broken.Line, "err", broken.Err)
	}
}

// hand hands on the line a track stands at.
func (f *Files) hand(t *track, decoder Decoder, nodes *outages, out *batcher) error {
	r := out.next()
	ev, err := decoder.Decode(t.head.Raw, r)
	if err == nil && ev.Kind == KindFlow {
		f.report.Flows++
		f.report.Flaws += ev.Flaws
		node := NodeName{r.Node, r.Cluster}
		t.spans.add(node, r.Time)
		if err := out.keep(); err != nil {
			return err
		}
		if g, ok := nodes.end(node, ev.Time); ok {
			return out.gap(g)
		}
		return nil
	}
	out.drop()
	switch {
	case err != nil: // what Recording marshalled is a message; only an undecodable string can fail
		broken := &LineError{t.recording.name, t.head.Line, err}
		if f.cfg.Strict {
			return broken
		}
		f.complain(t, broken)
	case ev.Kind == KindLost:
		f.report.Lost++
		return out.gap(lostGap(f.cfg.Names, &ev))
	case ev.Kind == KindStatus:
		f.report.Status++
		for _, g := range nodes.status(&ev) {
			if err := out.gap(g); err != nil {
				return err
			}
		}
	default:
		f.report.Other++
	}
	return nil
}
