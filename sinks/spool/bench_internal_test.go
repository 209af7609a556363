package spool

import (
	"context"
	"log/slog"
	"testing"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

// recorded returns the flows of the recorded cluster, n of them, in batches.
func recorded(b *testing.B, names *flow.Interner, n int) []*flow.Batch {
	b.Helper()
	files := hubble.NewFiles(hubble.FilesConfig{
		Paths: []string{"../../deploy/demo/node-1.jsonl.gz", "../../deploy/demo/node-2.jsonl.gz"}, Strict: true,
		Names: names, Pool: flow.NewPool(1024), Logger: slog.New(slog.DiscardHandler),
	})
	all := &flow.Batch{}
	err := files.Run(b.Context(), func(_ context.Context, batch *flow.Batch) error {
		all.Records = append(all.Records, batch.Records...)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for len(all.Records) < n {
		all.Records = append(all.Records, all.Records...)
	}
	var batches []*flow.Batch
	for all.Records = all.Records[:n]; len(all.Records) > 0; {
		run := min(len(all.Records), 1024)
		batches = append(batches, &flow.Batch{Records: all.Records[:run:run]})
		all.Records = all.Records[run:]
	}
	return batches
}

func BenchmarkPayload(b *testing.B) {
	const rows = 20_000
	names := flow.NewInterner()
	batches := recorded(b, names, rows)
	e, d := newEncoder(), newDecoder(names)
	payload, _, _ := e.encode(batches)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			payload, _, _ = e.encode(batches)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		b.ReportMetric(float64(len(payload))/rows, "B/row")
		b.ReportMetric(float64(len(e.head)+len(e.body)+len(e.tail))/rows, "raw-B/row")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.decode(payload, rows); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
	})
}
