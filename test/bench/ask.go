package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded"
)

// answer is what the engine says of it, in its query log. Rows and bytes are those read.
type answer struct {
	Name   string `json:"name"`
	Best   int    `json:"best_ms"`
	Worst  int    `json:"worst_ms"`
	CPU    int    `json:"cpu_ms"` // of all processors, at best
	Rows   int    `json:"read_rows"`
	Bytes  int    `json:"read_bytes"`
	Memory int    `json:"memory_bytes"`
	Result int    `json:"result_rows"`
	Fault  string `json:"fault,omitempty"`
	tries  int
}

// add adds what the log says of one try.
func (a *answer) add(row []string) {
	var n [6]int
	for i := range n {
		n[i], _ = strconv.Atoi(row[i]) // they are numbers
	}
	if a.tries++; a.tries == 1 {
		a.Best, a.CPU = n[0], n[5]
	}
	a.Best, a.Worst, a.CPU = min(a.Best, n[0]), max(a.Worst, n[0]), min(a.CPU, n[5])
	a.Rows, a.Bytes, a.Memory, a.Result = max(a.Rows, n[1]), max(a.Bytes, n[2]), max(a.Memory, n[3]), n[4]
}

// time is what counts as its time, and is held against the budget. Where others use the machine, too, the time that passes says little, and that of
// the processors is about what one alone would take.
func (a *answer) time() int { return min(a.Best, a.CPU) }

// tries of each question. The first reads what no cache has.
const tries = 3

// forgetful: ClickHouse remembers which parts of a table fit a condition, so that what is asked again is not the same.
const forgetful = " SETTINGS use_query_condition_cache = 0"

func open(state embedded.State) (*clickhouse.DB, error) { return clickhouse.Open(config(state)) }

// ask asks everything about the hour before the newest flow, and returns what the engine says of it, in the order asked.
// Each round has a word of its own.
func ask(ctx context.Context, db *clickhouse.DB, round string, newest time.Time) ([]answer, error) {
	questions, err := questions(ctx, db, newest)
	if err != nil {
		return nil, err
	}
	answers := make([]answer, len(questions))
	for i, q := range questions {
		answers[i].Name = q.name
		if _, err := rows(ctx, db, mark(round, i)); err != nil { // stands in the log before it
			return nil, err
		}
		for range tries {
			if _, err := rows(clickhouse.WithParameters(ctx, q.values), db, q.sql+forgetful); err != nil {
				answers[i].Fault = err.Error()
				break
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if _, err := rows(ctx, db, mark(round, len(questions))); err != nil {
		return nil, err
	}
	return answers, consult(ctx, db, round, answers)
}

// mark is a query that stands in the log before those that it tells apart.
func mark(round string, i int) string { return fmt.Sprintf("SELECT '%s', %d", round, i) }

// consult fills in what the query log says.
func consult(ctx context.Context, db *clickhouse.DB, round string, answers []answer) error {
	if _, err := rows(ctx, db, "SYSTEM FLUSH LOGS query_log"); err != nil {
		return err
	}
	log, err := rows(ctx, db, `SELECT query, query_duration_ms, read_rows, read_bytes, memory_usage, result_rows,
		intDiv(ProfileEvents['UserTimeMicroseconds'] + ProfileEvents['SystemTimeMicroseconds'], 1000)
		FROM system.query_log WHERE type = 'QueryFinish' AND query_kind = 'Select' ORDER BY query_start_time_microseconds`)
	if err != nil {
		return err
	}
	next := 0
	for _, row := range log {
		switch {
		case row[0] == mark(round, next):
			next++
		case next > 0 && next <= len(answers):
			answers[next-1].add(row[1:])
		}
	}
	for i := range answers {
		if a := &answers[i]; a.Fault == "" && a.tries != tries {
			a.Fault = fmt.Sprintf("the query log knows %d of %d tries", a.tries, tries)
		}
	}
	return nil
}

// rows asks for everything, as text. Answers are read to the end, as an engine that is a library needs it.
func rows(ctx context.Context, db *clickhouse.DB, sql string) ([][]string, error) {
	answer, err := db.Query(ctx, sql)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(sql), " "))
	}
	var all [][]string
	for row, err := range answer.All() {
		if err != nil {
			return nil, err
		}
		line := make([]string, len(row))
		for i, v := range row {
			line[i] = clickhouse.Text(v)
		}
		all = append(all, line)
	}
	return all, nil
}
