package main

import (
	"cmp"
	"context"
	"time"

	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/cookbook"
)

// question is something that people ask.
type question struct {
	name, sql string
	values    map[string]string // of its parameters
}

// questions returns each view, asked for its first rows and for all of them, and each query of the cookbook.
func questions(ctx context.Context, db *clickhouse.DB, newest time.Time) ([]question, error) {
	// The busiest connection of all that fell back has the longest story.
	story, err := rows(ctx, db, "SELECT id FROM connections ORDER BY fallen_back DESC, flows DESC LIMIT 1")
	if err != nil {
		return nil, err
	}
	values := map[string]string{"since": clickhouse.TimeParameter(newest.Add(-time.Hour)), "until": clickhouse.TimeParameter(newest)}
	found, err := rows(ctx, db, `SELECT name, position(create_table_query, '{since:') > 0 FROM system.tables
		WHERE database = currentDatabase() AND engine = 'View' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	var list []question
	for _, row := range found {
		view, window := "`"+row[0]+"`", map[string]string(nil)
		if row[1] != "0" {
			view += "(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})"
			window = values
		}
		list = append(list,
			question{"view " + row[0], "SELECT * FROM " + view + " LIMIT 1000", window},
			question{"count of " + row[0], "SELECT count() FROM " + view, window})
	}
	for _, q := range cookbook.Queries {
		given := map[string]string{}
		for _, p := range q.Params() {
			given[p.Name] = cmp.Or(values[p.Name], p.Default)
			if p.Name == "id" && len(story) > 0 {
				given[p.Name] = story[0][0]
			}
		}
		list = append(list, question{"query " + q.Name, q.SQL, given})
	}
	return list, nil
}
