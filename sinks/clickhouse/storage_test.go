package clickhouse_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/cookbook"
)

// What is stored, what a day takes, and what there will be when the oldest rows leave: for as many flows a second as there
// were, and for others.
func TestStorage(t *testing.T) {
	c := config(t)
	c.TTLFlows, c.TTLConnections = 7*day, 36*time.Hour
	check(t, c)
	query(t, c, "ALTER TABLE flows MODIFY SETTING min_bytes_for_wide_part = 0") // or a small part does not tell its columns apart
	const hours = 2
	query(t, c, fmt.Sprintf("INSERT INTO flows (time, node) SELECT now64(9) - number, 'worker-1' FROM numbers(%d)", hours*3600+1))
	query(t, c, fmt.Sprintf("INSERT INTO connections (first, id) SELECT now64(9) - 10 * number, generateUUIDv4() FROM numbers(%d)", hours*360+1))
	query(t, c, "INSERT INTO gaps (`from`, `to`, cause) VALUES (now(), now(), 'queue_full')")

	now := storage(t, c, "")
	for table, want := range map[string]string{"all": "1 ", "flows": "1 7", "connections": "1 1.5", "gaps": "1 ", "flows time": "1 7"} {
		if r := now[table]; r["flows_per_second"]+" "+r["ttl_days"] != want {
			t.Errorf("%s: %s flows a second, for %s days, want %s", table, r["flows_per_second"], r["ttl_days"], want)
		}
	}
	ten := storage(t, c, "10")
	for table, rows := range map[string]float64{"flows": 86400, "connections": 8640, "gaps": 12} {
		near(t, table+": rows a day", number(t, now[table]["rows_per_day"]), rows)
		near(t, table+": rows a day at 10 flows a second", number(t, ten[table]["rows_per_day"]), 10*rows)
		near(t, table+": bytes a day", number(t, now[table]["bytes_per_day"]), number(t, now[table]["bytes"])*24/hours)
	}
	near(t, "flows: bytes a flow", number(t, now["flows"]["bytes_per_flow"]), number(t, now["flows"]["bytes_per_row"]))
	near(t, "flows: bytes kept", number(t, now["flows"]["bytes_kept"]), 7*number(t, now["flows"]["bytes_per_day"]))
	near(t, "connections: bytes kept at 10", number(t, ten["connections"]["bytes_kept"]), 15*number(t, now["connections"]["bytes_per_day"]))
	if kept := now["all"]["bytes_kept"]; kept != "" {
		t.Errorf("%s bytes are kept, though gaps are for ever", kept)
	}

	c.TTLGaps, c.TTLPulls, c.TTLInventory = 90*day, 90*day, 90*day
	check(t, c)
	now = storage(t, c, "")
	sum := number(t, now["flows"]["bytes_kept"]) + number(t, now["connections"]["bytes_kept"]) + number(t, now["gaps"]["bytes_kept"])
	near(t, "all: bytes kept", number(t, now["all"]["bytes_kept"]), sum)
}

// storage returns the answer by table and column.
func storage(t *testing.T, c clickhouse.Config, rate string) map[string]map[string]string {
	t.Helper()
	q, ok := cookbook.Find("storage")
	if !ok {
		t.Fatal("no query storage")
	}
	answer, err := open(t, c).Query(clickhouse.WithParameters(t.Context(), map[string]string{"rate": rate, "limit": "500"}), q.SQL)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]string{}
	for row, err := range answer.All() {
		if err != nil {
			t.Fatal(err)
		}
		r := map[string]string{}
		for i, col := range answer.Columns {
			if row[i] != nil {
				r[col.Name] = clickhouse.Text(row[i])
			}
		}
		all[strings.TrimSpace(r["table"]+" "+r["column"])] = r
	}
	return all
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Error(err)
	}
	return n
}

// near allows for times being whole seconds, and for a row more than there are spaces between them.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if got < 0.99*want || got > 1.01*want {
		t.Errorf("%s: %g, want %g", what, got, want)
	}
}
