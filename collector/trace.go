package collector

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"sextant/collector/flow"
)

// trace opens the span of a batch's way through the stages.
func (p *Pipeline) trace(ctx context.Context, b *flow.Batch) (trace.SpanContext, func()) {
	_, span := p.cfg.Tracer.Start(ctx, "batch", trace.WithAttributes(
		attribute.Int("sextant.flows", len(b.Records)), attribute.Int("sextant.gaps", len(b.Gaps))))
	return span.SpanContext(), func() { span.End() }
}

// traceDelivery opens the span of a delivery, which is linked to the spans of the batches in it: many batches share one
// delivery, and every sink makes its own.
func (q *queue) traceDelivery(ctx context.Context, rows Counts, batches []trace.SpanContext) (context.Context, func(error)) {
	if q.tracer == nil {
		return ctx, func(error) {}
	}
	links := make([]trace.Link, 0, len(batches))
	for _, sc := range batches {
		if sc.IsValid() {
			links = append(links, trace.Link{SpanContext: sc})
		}
	}
	ctx, span := q.tracer.Start(ctx, "deliver "+q.out.Name, trace.WithLinks(links...), trace.WithAttributes(
		attribute.String("sextant.sink", q.out.Name), attribute.Int64("sextant.flows", rows.Flows),
		attribute.Int64("sextant.connections", rows.Connections), attribute.Int64("sextant.gaps", rows.Gaps),
		attribute.Int64("sextant.pulls", rows.Pulls), attribute.Int64("sextant.inventory", rows.Items),
		attribute.Int64("sextant.heartbeats", rows.Beats), attribute.Int64("sextant.charges", rows.Charges),
		attribute.Int64("sextant.buckets", rows.Buckets)))
	return ctx, func(err error) {
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}
