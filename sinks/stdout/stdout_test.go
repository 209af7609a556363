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
		return open(t, stdout.Config{Out: &out, Live: true})
	}, func(t *testing.T) (records, gaps int) {
		for _, kind := range kinds(t, out.String()) {
			if kind == "flow" {
				records++
			} else {
				gaps++
			}
		}
		return records, gaps
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
		return &flow.Batch{Records: make([]flow.Record, 2), Connections: make([]flow.Connection, 1), Gaps: make([]flow.Gap, 1)}
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
		{"flows first", stdout.Config{}, "flow flow flow flow | connection connection gap gap"},
		{"live", stdout.Config{Live: true}, "flow flow connection gap flow flow connection gap |"},
		{"only flows", stdout.Config{Only: []string{"flow"}}, "flow flow flow flow |"},
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
	if err == nil || err.Error() != `record kind "flows" does not exist: use one of ["flow" "connection" "gap"]` {
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
