package clickhouse_test

import (
	"fmt"
	"testing"

	"sextant/collector"
	"sextant/sinks/clickhouse"
	"sextant/sinks/sinktest"
)

func TestSink(t *testing.T) {
	var c clickhouse.Config
	sinktest.Run(t, func(t *testing.T) collector.Sink {
		c = config(t)
		return sink(t, c)
	}, func(t *testing.T) collector.Counts {
		check(t, c) // nothing may have been written yet
		var n collector.Counts
		counted := query(t, c, `SELECT (SELECT count() FROM flows), (SELECT count() FROM connections FINAL), (SELECT count() FROM gaps),
			(SELECT count() FROM pulls FINAL), (SELECT count() FROM inventory), (SELECT count() FROM heartbeats),
			(SELECT count() FROM charges FINAL), (SELECT count() FROM buckets)`)
		if _, err := fmt.Sscan(counted, &n.Flows, &n.Connections, &n.Gaps, &n.Pulls, &n.Items, &n.Beats, &n.Charges, &n.Buckets); err != nil {
			t.Fatal(err)
		}
		return n
	})
}
