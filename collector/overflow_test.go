package collector_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
)

// away is a sink that takes nothing until it is back.
type away struct{ back chan struct{} }

func (a away) Write(ctx context.Context, _ collector.Delivery) error {
	select {
	case <-a.back:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drip emits batches of one record, one a second.
type drip int

func (n drip) Run(ctx context.Context, emit collector.Emit) error {
	for range n {
		b := &flow.Batch{Records: make([]flow.Record, 1)}
		b.Retain(1)
		if err := emit(ctx, b); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
	return nil
}

// TestOverflowIsSaidOnce: a full queue is one line in the log that names the sink and the way out, however much is lost.
func TestOverflowIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		sink := away{make(chan struct{})}
		p := collector.New(collector.Config{
			Outputs: []collector.Output{{Name: "slow", Sink: sink, Rows: 1, Wait: time.Second, Queue: 2}},
			Drain:   time.Second, Names: flow.NewInterner(), Registry: prometheus.NewRegistry(),
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		time.AfterFunc(time.Minute, func() { close(sink.back) })
		if err := p.Run(t.Context(), drip(30)); err != nil {
			t.Fatal(err)
		}
		if got := p.Counts(); got != (collector.Counts{Flows: 30}) {
			t.Errorf("counts are %+v, want 30 flows", got)
		}
		said := 0
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "queue is full") {
				said++
				for _, part := range []string{"level=WARN", "sink=slow", "pipeline.queue_rows", "queue_rows=2"} {
					if !strings.Contains(line, part) {
						t.Errorf("%q lacks %q", line, part)
					}
				}
			}
		}
		if said != 1 {
			t.Errorf("said %d times, want once:\n%s", said, log.String())
		}
	})
}
