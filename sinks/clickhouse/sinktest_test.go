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
	}, func(t *testing.T) (records, gaps int) {
		check(t, c) // nothing may have been written yet
		counted := query(t, c, "SELECT (SELECT count() FROM flows), (SELECT count() FROM gaps)")
		if _, err := fmt.Sscan(counted, &records, &gaps); err != nil {
			t.Fatal(err)
		}
		return records, gaps
	})
}
