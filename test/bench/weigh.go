package main

import (
	"context"
	"strconv"

	"sextant/sinks/clickhouse"
)

// bytes is what something takes on disk.
type bytes struct {
	Name    string  `json:"name"`
	Rows    int     `json:"rows,omitempty"`
	Bytes   int     `json:"bytes"`
	PerFlow float64 `json:"per_flow"`
	Before  float64 `json:"per_flow_unmerged,omitempty"` // as it stood before parts were merged for good
	Type    string  `json:"type,omitempty"`
}

// weigh merges the tables, as time would, and returns what they take, and what their columns take, largest first. All that
// is in the database counts: roll-ups, indexes and marks.
func weigh(ctx context.Context, db *clickhouse.DB, flows int) (tables, columns []bytes, err error) {
	const perTable = `SELECT table, sum(rows), sum(bytes_on_disk) AS bytes, '' FROM system.parts
		WHERE active AND database = currentDatabase() GROUP BY table ORDER BY bytes DESC`
	before, err := sizes(ctx, db, flows, perTable)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range before {
		if _, err := rows(ctx, db, "OPTIMIZE TABLE `"+t.Name+"` FINAL"); err != nil {
			return nil, nil, err
		}
	}
	if tables, err = sizes(ctx, db, flows, perTable); err != nil {
		return nil, nil, err
	}
	for i := range tables {
		for _, t := range before {
			if t.Name == tables[i].Name {
				tables[i].Before = t.PerFlow
			}
		}
	}
	columns, err = sizes(ctx, db, flows, `SELECT table || '.' || column, 0, sum(column_bytes_on_disk) AS bytes, any(type) FROM system.parts_columns
		WHERE active AND database = currentDatabase() GROUP BY table, column ORDER BY bytes DESC LIMIT 25`)
	return tables, columns, err
}

func sizes(ctx context.Context, db *clickhouse.DB, flows int, sql string) ([]bytes, error) {
	found, err := rows(ctx, db, sql)
	if err != nil {
		return nil, err
	}
	var all []bytes
	for _, row := range found {
		b := bytes{Name: row[0], Type: row[3]}
		if b.Rows, err = strconv.Atoi(row[1]); err != nil {
			return nil, err
		}
		if b.Bytes, err = strconv.Atoi(row[2]); err != nil {
			return nil, err
		}
		b.PerFlow = float64(b.Bytes) / float64(flows)
		all = append(all, b)
	}
	return all, nil
}
