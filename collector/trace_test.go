package collector_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"sextant/collector"
	"sextant/collector/flow"
)

// A delivery's span is linked to the span of each batch in it, and is the sink's own context.
func TestTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewSpanRecorder()
		provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
		var inside []trace.SpanID
		one, two := &sink{name: "one"}, &sink{name: "two"}
		one.before = func(ctx context.Context, _ collector.Delivery) error {
			inside = append(inside, trace.SpanContextFromContext(ctx).SpanID())
			return nil
		}
		rejected := false
		two.before = func(context.Context, collector.Delivery) error {
			if !rejected {
				rejected = true
				return collector.ErrRejected
			}
			return nil
		}
		r := newRig(t, output(one), output(two))
		r.Tracer = provider.Tracer("test")
		ctx, parent := r.Tracer.Start(t.Context(), "receive")
		first, second := r.batch("a"), r.batch("a", "a")
		second.Gaps = append(second.Gaps, flow.Gap{Node: r.names.Name("a"), From: begin, To: begin})
		if err := r.run(func(_ context.Context, emit collector.Emit) error {
			if err := emits(first, second)(ctx, emit); err != nil {
				return err
			}
			time.Sleep(time.Minute)
			return nil
		}); err != nil {
			t.Fatal(err)
		}

		batches := named(spans, "batch")
		if len(batches) != 2 {
			t.Fatalf("%d spans of batches, want 2", len(batches))
		}
		var ids []trace.SpanID
		for _, b := range batches {
			ids = append(ids, b.SpanContext().SpanID())
			if b.Parent().SpanID() != parent.SpanContext().SpanID() {
				t.Error("the batch's span is no child of the source's")
			}
		}
		if diff := cmp.Diff(map[string]int64{"sextant.flows": 2, "sextant.gaps": 1}, numbers(batches[1])); diff != "" {
			t.Error(diff)
		}

		deliveries := named(spans, "deliver one")
		if len(deliveries) != 1 {
			t.Fatalf("%d spans of deliveries to one, want 1", len(deliveries))
		}
		if diff := cmp.Diff(ids, links(deliveries[0])); diff != "" {
			t.Errorf("the delivery is linked to other spans than its batches':\n%s", diff)
		}
		want := map[string]int64{"sextant.flows": 3, "sextant.connections": 0, "sextant.gaps": 1, "sextant.pulls": 0, "sextant.inventory": 0, "sextant.heartbeats": 0, "sextant.charges": 0, "sextant.buckets": 0}
		if diff := cmp.Diff(want, numbers(deliveries[0])); diff != "" {
			t.Error(diff)
		}
		if !slices.Contains(deliveries[0].Attributes(), attribute.String("sextant.sink", "one")) {
			t.Errorf("attributes are %v", deliveries[0].Attributes())
		}
		if diff := cmp.Diff([]trace.SpanID{deliveries[0].SpanContext().SpanID()}, inside); diff != "" {
			t.Errorf("the sink wrote under another span:\n%s", diff)
		}

		// The other sink rejected the delivery, and was told of the loss in one that belongs to no batch.
		deliveries = named(spans, "deliver two")
		if len(deliveries) != 2 || deliveries[0].Status().Code != codes.Error || len(links(deliveries[0])) != 2 ||
			deliveries[1].Status().Code != codes.Unset || len(links(deliveries[1])) != 0 {
			t.Errorf("deliveries to two are %v", deliveries)
		}
	})
}

func named(spans *tracetest.SpanRecorder, name string) (found []sdk.ReadOnlySpan) {
	for _, s := range spans.Ended() {
		if s.Name() == name {
			found = append(found, s)
		}
	}
	return found
}

func links(s sdk.ReadOnlySpan) (ids []trace.SpanID) {
	for _, l := range s.Links() {
		ids = append(ids, l.SpanContext.SpanID())
	}
	return ids
}

func numbers(s sdk.ReadOnlySpan) map[string]int64 {
	numbers := map[string]int64{}
	for _, a := range s.Attributes() {
		if a.Value.Type() == attribute.INT64 {
			numbers[string(a.Key)] = a.Value.AsInt64()
		}
	}
	return numbers
}
