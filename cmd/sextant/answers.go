package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/cookbook"
)

// A question is one of the cookbook's. The demo prints them and asks them.
type question struct {
	Name     string `json:"query"`
	Question string `json:"question"`
	SQL      string `json:"sql"`
}

var questions = func() (list []question) {
	for _, name := range []string{"ways-out", "ipv4-dependencies", "fallbacks", "drops", "completeness", "gaps"} {
		if q, ok := cookbook.Find(name); ok {
			list = append(list, question{q.Name, q.Title, q.SQL})
		}
	}
	return list
}()

// oneLine returns what to give to sextant sql.
func (q question) oneLine() string { return q.Name }

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
	if ctx, err = whole(ctx, db); err != nil {
		return err
	}
	for _, q := range questions {
		rows, err := ask(ctx, db, q.SQL)
		if err != nil {
			return fmt.Errorf("%s %w", q.Question, err)
		}
		r.Answers = append(r.Answers, answer{q, rows})
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

// whole returns a context for queries about all that is stored.
func whole(ctx context.Context, db *clickhouse.DB) (context.Context, error) {
	rows, err := ask(ctx, db, "SELECT min(time) AS since, max(time) + INTERVAL 1 SECOND AS until FROM flows")
	if err != nil {
		return nil, err
	}
	since, err := time.Parse(time.RFC3339Nano, fmt.Sprint(rows[0]["since"]))
	if err != nil {
		return nil, err
	}
	until, err := time.Parse(time.RFC3339Nano, fmt.Sprint(rows[0]["until"]))
	if err != nil {
		return nil, err
	}
	return clickhouse.WithParameters(ctx, window(since, until)), nil
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
