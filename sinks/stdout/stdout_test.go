package stdout_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/sinktest"
	"sextant/sinks/stdout"
)

func TestSink(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	sinktest.Run(t, func(t *testing.T) collector.Sink {
		out.Reset()
		return open(t, stdout.Config{Out: &out, Live: true, Only: stdout.Kinds})
	}, func(t *testing.T) collector.Counts {
		var c collector.Counts
		counters := map[string]*int64{"flow": &c.Flows, "connection": &c.Connections, "gap": &c.Gaps, "pull": &c.Pulls, "inventory": &c.Items, "heartbeat": &c.Beats, "bucket": &c.Buckets, "charge": &c.Charges}
		for _, kind := range kinds(t, out.String()) {
			*counters[kind]++
		}
		return c
	})
}

func open(t *testing.T, cfg stdout.Config) *stdout.Sink {
	t.Helper()
	sink, err := stdout.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

// kinds returns the kinds of the printed lines, each of which must be one JSON object.
func kinds(t *testing.T, text string) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(text) {
		var object struct{ Record string }
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, object.Record)
	}
	return all
}

func delivery() collector.Delivery {
	batch := func() *flow.Batch {
		return &flow.Batch{
			Charges: make([]flow.Charge, 1), Buckets: make([]flow.Bucket, 1), Beats: make([]flow.Beat, 1), Items: make([]flow.Item, 1), Pulls: make([]flow.Pull, 1), Gaps: make([]flow.Gap, 1),
			Connections: make([]flow.Connection, 1), Records: make([]flow.Record, 2),
		}
	}
	return collector.Delivery{Batches: []*flow.Batch{batch(), batch()}}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cfg  stdout.Config
		want string // before Close | after it
	}{
		{"flows first", stdout.Config{}, "flow flow flow flow | connection connection gap gap pull pull inventory inventory heartbeat heartbeat bucket bucket"},
		{"live", stdout.Config{Live: true}, "flow flow connection gap pull inventory heartbeat bucket flow flow connection gap pull inventory heartbeat bucket |"},
		{"only flows", stdout.Config{Only: []string{"flow"}}, "flow flow flow flow |"},
		{"only pulls", stdout.Config{Only: []string{"pull"}}, "| pull pull"},
		{"only inventory", stdout.Config{Only: []string{"inventory"}, Live: true}, "inventory inventory |"},
		{"only heartbeats", stdout.Config{Only: []string{"heartbeat"}}, "| heartbeat heartbeat"},
		{"only buckets", stdout.Config{Only: []string{"bucket"}}, "| bucket bucket"},
		{"only charges", stdout.Config{Only: []string{"charge"}, Live: true}, "charge charge |"},
		{"only others", stdout.Config{Only: []string{"gap", "connection"}}, "| connection connection gap gap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			c.cfg.Out = &out
			sink := open(t, c.cfg)
			if err := sink.Write(t.Context(), delivery()); err != nil {
				t.Fatal(err)
			}
			got := append(kinds(t, out.String()), "|")
			out.Reset()
			if err := sink.Close(); err != nil {
				t.Fatal(err)
			}
			got = append(got, kinds(t, out.String())...)
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUnknownKind(t *testing.T) {
	t.Parallel()
	_, err := stdout.New(stdout.Config{Out: io.Discard, Only: []string{"flows"}})
	if err == nil || err.Error() != `record kind "flows" does not exist: use one of ["flow" "connection" "gap" "pull" "inventory" "heartbeat" "bucket" "charge"]` {
		t.Errorf("got %v", err)
	}
}

func TestClosedOutput(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	r.Close()
	err := open(t, stdout.Config{Out: w}).Write(t.Context(), delivery())
	if !errors.Is(err, collector.ErrRejected) || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v, want a rejection for a closed pipe", err)
	}
}

// What is held back is bounded: further rows of that kind are printed as they come, and none is lost.
func TestHeldBackIsBounded(t *testing.T) {
	t.Parallel()
	const most = 100_000
	var out bytes.Buffer
	sink := open(t, stdout.Config{Out: &out, Only: []string{"gap", "pull"}})
	lines := func() int { return bytes.Count(out.Bytes(), []byte("\n")) }
	for _, step := range []struct {
		batch *flow.Batch
		want  int // lines
	}{
		{&flow.Batch{Pulls: make([]flow.Pull, most)}, 0},
		{&flow.Batch{Pulls: make([]flow.Pull, 2)}, 2},
		{&flow.Batch{Gaps: make([]flow.Gap, 1)}, 2}, // another kind has room of its own
	} {
		if err := sink.Write(t.Context(), collector.Delivery{Batches: []*flow.Batch{step.batch}}); err != nil {
			t.Fatal(err)
		}
		if got := lines(); got != step.want {
			t.Errorf("%d lines, want %d", got, step.want)
		}
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	if got := lines(); got != most+3 {
		t.Errorf("%d lines in the end, want %d", got, most+3)
	}
}
