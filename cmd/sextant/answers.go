package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"sextant/sinks/clickhouse"
)

// A question and the SQL that answers it. The demo prints them and runs them.
type question struct {
	Question string `json:"question"`
	SQL      string `json:"sql"`
}

var questions = []question{
	{"How much of what leaves the cluster is IPv6 already?", `
		SELECT family, count() AS flows, round(100 * flows / sum(flows) OVER (), 1) AS percent
		FROM flows WHERE destination_identity IN (2, 9, 10) OR destination_identity >= 16777216
		GROUP BY family ORDER BY flows DESC`},
	{"Who still uses IPv4 to reach the outside, and what for?", `
		SELECT source_namespace, source_workload, arrayStringConcat(destination_names, ' ') AS names, count() AS flows
		FROM flows WHERE family = 'ipv4' AND (destination_identity IN (2, 9, 10) OR destination_identity >= 16777216)
		GROUP BY ALL ORDER BY flows DESC LIMIT 10`},
	{"What goes through NAT64, to which IPv4 address?", `
		SELECT source_namespace, source_workload, embedded_ipv4, class_rule, count() AS flows
		FROM flows WHERE class = 'nat64' AND is_reply != 'yes'
		GROUP BY ALL ORDER BY flows DESC LIMIT 10`},
	{"What was dropped, per family?", `
		SELECT family, drop_reason, protocol, count() AS flows
		FROM flows WHERE event_type = 'drop' GROUP BY ALL ORDER BY flows DESC LIMIT 10`},
	{"What was not seen?", `
		SELECT node, cause, min(from) AS since, max(to) AS until, sum(count) AS events
		FROM gaps GROUP BY ALL ORDER BY since`},
}

// oneLine returns the SQL fit for a command line.
func (q question) oneLine() string { return strings.Join(strings.Fields(q.SQL), " ") }

// onceResult is what `sextant demo --once` found.
type onceResult struct {
	FlowsRead   int64    `json:"flows_read"`
	FlowsStored int64    `json:"flows_stored"`
	Gaps        int64    `json:"gaps"`
	Seconds     float64  `json:"seconds"`
	Answers     []answer `json:"answers"`
}

type answer struct {
	question
	Rows []map[string]any `json:"rows"`
}

// print asks the questions and prints the answers. Flows that were read and are not stored are an error.
func (r *onceResult) print(ctx context.Context, w io.Writer, db *clickhouse.DB, format string, began time.Time) error {
	stored, err := ask(ctx, db, "SELECT count() AS n FROM flows")
	if err != nil {
		return err
	}
	if _, err := fmt.Sscan(fmt.Sprint(stored[0]["n"]), &r.FlowsStored); err != nil {
		return fmt.Errorf("count stored flows: %w", err)
	}
	for _, q := range questions {
		rows, err := ask(ctx, db, q.SQL)
		if err != nil {
			return fmt.Errorf("%s %w", q.Question, err)
		}
		r.Answers = append(r.Answers, answer{question{q.Question, q.oneLine()}, rows})
	}
	r.Seconds = time.Since(began).Round(10 * time.Millisecond).Seconds()
	if format == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(r)
	} else {
		err = r.printText(ctx, w, db)
	}
	if err == nil && r.FlowsStored != r.FlowsRead {
		err = errors.New("not every flow that was read is stored, or some are stored twice")
	}
	return err
}

func (r *onceResult) printText(ctx context.Context, w io.Writer, db *clickhouse.DB) error {
	fmt.Fprintf(w, "%d flows read, %d stored, %d gaps, in %.1f s\n", r.FlowsRead, r.FlowsStored, r.Gaps, r.Seconds)
	for _, q := range questions {
		fmt.Fprintf(w, "\n%s\n", q.Question)
		rows, err := db.Query(ctx, q.SQL)
		if err != nil {
			return err
		}
		if err := rows.Write(w, "table"); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, "\nThese are counts of flows, not of connections: one connection shows as several flows.")
	return err
}

func ask(ctx context.Context, db *clickhouse.DB, sql string) ([]map[string]any, error) {
	rows, err := db.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for row, err := range rows.All() {
		if err != nil {
			return nil, err
		}
		one := map[string]any{}
		for i, column := range rows.Columns {
			one[column.Name] = row[i]
		}
		list = append(list, one)
	}
	return list, nil
}
