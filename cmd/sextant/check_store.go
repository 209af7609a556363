package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"sextant/cmd/sextant/preflight"
	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
)

// askStore asks a ClickHouse server what it is and what it has, and changes nothing. Of what it may not be asked nothing is
// known; an error says that it cannot be asked at all.
func askStore(ctx context.Context, cfg clickhouse.Config) (*preflight.Store, error) {
	db, err := clickhouse.Open(cfg)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	s := &preflight.Store{Address: cfg.Address, Database: cfg.Database, Rights: map[string]flow.Tristate{}}
	if _, err := ask(ctx, db, "SELECT 1"); err != nil { // connecting and logging in takes longer than the clock should wait
		return nil, err
	}
	began := time.Now()
	rows, err := ask(ctx, db, "SELECT version() AS version, toUnixTimestamp64Milli(now64(3)) AS now")
	if err != nil {
		return nil, err
	}
	s.Trip = time.Since(began)
	s.Then = began.Add(s.Trip / 2)
	s.Version = fmt.Sprint(rows[0]["version"])
	if now, err := strconv.ParseInt(fmt.Sprint(rows[0]["now"]), 10, 64); err == nil {
		s.Now = time.UnixMilli(now)
	}
	if err := askSchema(ctx, cfg, db, s); err != nil {
		return nil, err
	}
	for _, right := range []string{"SELECT", "INSERT", "CREATE DATABASE", "CREATE TABLE", "CREATE VIEW", "ALTER TABLE"} {
		rows, err := ask(ctx, db, "CHECK GRANT "+right+" ON "+cfg.Database+".*") // an identifier, by Validate
		if err == nil && len(rows) == 1 {
			for _, may := range rows[0] {
				s.Rights[right] = flow.No
				if fmt.Sprint(may) == "1" || may == true {
					s.Rights[right] = flow.Yes
				}
			}
		}
	}
	if rows, err := ask(ctx, db, "SELECT name, free_space AS free, total_space AS total FROM system.disks WHERE total_space > 0 ORDER BY name LIMIT 100"); err == nil {
		for _, row := range rows {
			disk := preflight.Disk{Name: fmt.Sprint(row["name"])}
			_, freeErr := fmt.Sscan(fmt.Sprint(row["free"]), &disk.Free)
			_, totalErr := fmt.Sscan(fmt.Sprint(row["total"]), &disk.Total)
			if freeErr == nil && totalErr == nil {
				s.Disks = append(s.Disks, disk)
			}
		}
	}
	return s, ctx.Err()
}

// askSchema asks what the next start would change, and what is in its way.
func askSchema(ctx context.Context, cfg clickhouse.Config, db *clickhouse.DB, s *preflight.Store) error {
	rows, err := ask(ctx, db, "SELECT 1 AS one FROM system.databases WHERE name = '"+s.Database+"'") // an identifier, by Validate
	if err != nil {
		return err
	}
	s.HasDatabase = len(rows) > 0
	s.Changes, s.Refusal = cfg.Plan(ctx)
	return ctx.Err()
}
