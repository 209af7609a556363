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
	{"Which way do connections leave the cluster, and how do we know?", `
		SELECT class, class_evidence AS evidence, count() AS connections, round(100 * connections / sum(connections) OVER (), 1) AS percent
		FROM connections WHERE direction = 'egress' GROUP BY ALL ORDER BY connections DESC`},
	{"Who still needs IPv4 to reach the outside, and what for?", `
		SELECT source_namespace AS namespace, source_workload AS workload, if(destination_name = '', replaceOne(toString(destination_ip), '::ffff:', ''), destination_name) AS destination,
			class, count() AS connections, countIf(avoidable_ipv4) AS avoidable
		FROM connections WHERE direction = 'egress' AND (family = 'ipv4' OR class = 'nat64') AND outcome != 'denied'
		GROUP BY ALL ORDER BY connections DESC LIMIT 12`},
	{"Where is IPv6 tried first and fails, so that IPv4 has to help out?", `
		SELECT source_namespace AS namespace, source_workload AS workload, destination_name AS destination, outcome, count() AS connections,
			round(avg(fallback_ms)) AS milliseconds_lost
		FROM connections WHERE fallen_back GROUP BY ALL ORDER BY connections DESC LIMIT 10`},
	{"Whom do policies cut off, per family?", `
		SELECT source_namespace AS namespace, source_workload AS workload, if(destination_name = '', replaceOne(toString(destination_ip), '::ffff:', ''), destination_name) AS destination,
			family, drop_reason, count() AS connections
		FROM connections WHERE outcome = 'denied' GROUP BY ALL ORDER BY connections DESC LIMIT 10`},
	{"What was not seen?", `
		SELECT node, cause, min(from) AS since, max(to) AS until, sum(count) AS events, any(detail) AS why
		FROM gaps GROUP BY node, cause ORDER BY since`},
}

// oneLine returns the SQL fit for a command line.
func (q question) oneLine() string { return strings.Join(strings.Fields(q.SQL), " ") }

// onceResult is what `sextant demo --once` found.
type onceResult struct {
	FlowsRead   int64    `json:"flows_read"`
	FlowsStored int64    `json:"flows_stored"`
	Connections int64    `json:"connections"`
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
	var err error
	if r.FlowsStored, err = count(ctx, db, "flows"); err != nil {
		return err
	}
	if r.Connections, err = count(ctx, db, "connections"); err != nil {
		return err
	}
	if r.Gaps, err = count(ctx, db, "gaps"); err != nil {
		return err
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
	fmt.Fprintf(w, "%d flows read, %d stored, %d connections made of them, %d gaps told, in %.1f s\n",
		r.FlowsRead, r.FlowsStored, r.Connections, r.Gaps, r.Seconds)
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
	return nil
}

// count returns how many rows a table has.
func count(ctx context.Context, db *clickhouse.DB, table string) (n int64, err error) {
	rows, err := ask(ctx, db, "SELECT count() AS n FROM "+table)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(fmt.Sprint(rows[0]["n"]), &n)
	return n, err
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
