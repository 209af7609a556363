package collector

import (
	"log/slog"

	"sextant/collector/flow"
)

// Counts is a number of rows of each kind. What a row stands for is another number: an aggregated flow stands for many.
type Counts struct {
	Flows, Connections, Gaps, Pulls, Items, Beats, Charges, Buckets int64
}

// Rows returns the number of rows of all kinds.
func (c Counts) Rows() int64 {
	return c.Flows + c.Connections + c.Gaps + c.Pulls + c.Items + c.Beats + c.Charges + c.Buckets
}

// LogValue implements slog.LogValuer: a group of the kinds.
func (c Counts) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int64("flows", c.Flows), slog.Int64("connections", c.Connections), slog.Int64("gaps", c.Gaps),
		slog.Int64("pulls", c.Pulls), slog.Int64("inventory", c.Items), slog.Int64("heartbeats", c.Beats),
		slog.Int64("charges", c.Charges), slog.Int64("buckets", c.Buckets),
	)
}

func (c *Counts) add(b *flow.Batch) {
	c.Flows += int64(len(b.Records))
	c.Connections += int64(len(b.Connections))
	c.Gaps += int64(len(b.Gaps))
	c.Pulls += int64(len(b.Pulls))
	c.Items += int64(len(b.Items))
	c.Beats += int64(len(b.Beats))
	c.Charges += int64(len(b.Charges))
	c.Buckets += int64(len(b.Buckets))
}
