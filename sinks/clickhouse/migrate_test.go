package clickhouse_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
)

// first returns the configuration for a database of the first version of the schema, with rows of three days in it: a
// connection has two rows where its number ends in 0, of which the later one knows more.
func first(t *testing.T) clickhouse.Config {
	t.Helper()
	c := config(t)
	c.Program = "v1.2.3"
	text, err := os.ReadFile("testdata/schema_v1.sql")
	if err != nil {
		t.Fatal(err)
	}
	statements := strings.ReplaceAll(string(text), "`sextant`", "`"+c.Database+"`")
	for _, forEver := range []string{"TTL toDateTime(`time`) + toIntervalDay(7)\n", "TTL toDateTime(`first`) + toIntervalDay(90)\n"} {
		statements = strings.ReplaceAll(statements, forEver, "")
	}
	for statement := range strings.SplitSeq(strings.TrimSuffix(statements, ";\n"), ";\n") {
		query(t, c, statement)
	}
	fill(t, c, 0, 3000)
	query(t, c, "INSERT INTO flows (time, class, node) SELECT toDateTime64('2026-11-22 12:00:00', 9, 'UTC') + number, 'native6', 'worker-1' FROM numbers(100)")
	query(t, c, "INSERT INTO gaps (`from`, `to`, cause, node) VALUES ('2026-11-22 12:00:00', '2026-11-22 12:00:01', 'queue_full', 'worker-1')")
	return c
}

// fill inserts connections with numbers as an old program does, by the columns that it knows.
func fill(t *testing.T, c clickhouse.Config, from, to int) {
	t.Helper()
	const rows = "INSERT INTO connections (first, last, id, node, view, flows, source_ip, destination_ip, destination_workload, outcome, tags_unknown)"
	insert := strings.Replace(rows, ", tags_unknown", "", 1)
	for _, part := range []string{
		"'source', 3, '', 'unanswered' FROM (SELECT number FROM numbers(%d, %d))",
		"'destination', 7, 'web', 'answered' FROM (SELECT number FROM numbers(%d, %d) WHERE number %% 10 = 0)",
	} {
		values := strings.Split(fmt.Sprintf(part, from, to-from), ", ")
		rest := strings.Join(values[1:], ", ")
		rest = strings.Replace(rest, "3, ''", "3, toIPv6('2001:db8::1'), toIPv6('2001:db8::2'), ''", 1)
		rest = strings.Replace(rest, "7, 'web'", "7, toIPv6('2001:db8::1'), toIPv6('2001:db8::2'), 'web'", 1)
		query(t, c, insert+" SELECT toDateTime64('2026-11-21 00:00:00', 9, 'UTC') + number * 80 AS first, first, toUUID(concat('00000000-0000-0000-0000-', leftPad(toString(number), 12, '0'))), 'worker-1', "+
			values[0]+", "+rest)
	}
}

const whole = "SELECT count(), uniqExact(id), countIf(view = 'destination' AND flows = 7 AND destination_workload = 'web' AND outcome = 'answered'), " +
	"(SELECT count() FROM flows), (SELECT count() FROM gaps), (SELECT max(version) FROM schema_version) FROM connections FINAL"

// newest fails unless the database is as the newest program makes it, and has all rows.
func newest(t *testing.T, c clickhouse.Config, connections int) {
	t.Helper()
	want := fmt.Sprintf("%d\t%[1]d\t%d\t100\t1\t%d", connections, connections/10, clickhouse.Version)
	if got := query(t, c, whole); got != want {
		t.Errorf("connections, ids, with two rows, flows, gaps, version: %s, want %s", got, want)
	}
	if left := query(t, c, "SELECT count() FROM connections_former"); left != "0" {
		t.Errorf("%s rows left behind", left)
	}
	if names := query(t, c, "SHOW TABLES LIKE '%next%'"); names != "" {
		t.Errorf("%s is left behind", names)
	}
	fresh := config(t)
	check(t, fresh)
	if got, want := query(t, c, "SELECT sorting_key FROM system.tables WHERE database = currentDatabase() AND name = 'flows'"),
		"toStartOfFiveMinutes(time), source_namespace, source_workload, destination_namespace, destination_workload, time"; got != want {
		t.Errorf("flows are sorted by %s, want the order that they had, which cannot be altered", got)
	}
	const shape = "SELECT name, replaceRegexpOne(engine_full, if(name = 'flows', ' ORDER BY [(].*, time[)]', ''), ''), if(name = 'flows', '', sorting_key), (SELECT groupArray((c.name, c.type, c.default_expression)) FROM (SELECT * FROM system.columns WHERE database = currentDatabase() ORDER BY position) AS c WHERE c.table = t.name) " +
		"FROM system.tables AS t WHERE database = currentDatabase() AND name IN ('connections', 'flows', 'gaps', 'pulls', 'inventory', 'heartbeats', 'charges', 'buckets') ORDER BY name"
	if diff := cmp.Diff(query(t, fresh, shape), query(t, c, shape)); diff != "" {
		t.Errorf("(-fresh +migrated)\n%s", diff)
	}
	if plan, err := c.Plan(t.Context()); err != nil || len(plan) > 0 {
		t.Errorf("there is more to do: %q, %v", plan, err)
	}
}

func TestMigrate(t *testing.T) {
	c := first(t)
	plan, err := c.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := query(t, c, "SELECT count() FROM connections"); got != "3300" {
		t.Errorf("%s rows after a plan, want 3300 as before", got)
	}
	done, err := c.Migrate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan, done); diff != "" {
		t.Errorf("(-plan +done)\n%s", diff)
	}
	newest(t, c, 3000)
	if done, err := c.Migrate(t.Context()); err != nil || len(done) > 0 {
		t.Errorf("a second time: %q, %v", done, err)
	}
	if got, want := query(t, c, "SELECT version, least, program, length(statements) FROM schema_version"), fmt.Sprintf("%d\t1\tv1.2.3\t%d", clickhouse.Version, len(done)-1); got != want {
		t.Errorf("history %s, want %s", got, want)
	}
	write(t, sink(t, c), "a", spread(10, "2026-11-24T12:00:00Z"))

	query(t, c, "ALTER TABLE schema_version UPDATE time = time - 90000 WHERE 1 SETTINGS mutations_sync = 2") // more than a day ago
	if done, err = c.Migrate(t.Context()); err != nil || len(done) != 1 || !strings.HasPrefix(done[0], "DROP TABLE IF EXISTS `"+c.Database+"`.`connections_former`") {
		t.Errorf("a day later: %q, %v", done, err)
	}
	if plan, err := c.Plan(t.Context()); err != nil || len(plan) > 0 {
		t.Errorf("there is more to do: %q, %v", plan, err)
	}
}

// Wherever it is killed, another goes on.
func TestMigrateKilled(t *testing.T) {
	for killed, end := 1, false; !end; killed++ {
		c := first(t)
		last := ""
		for ran := 0; ran < killed && !end; {
			plan, err := c.Plan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			end = len(plan) == 0
			for _, statement := range plan {
				query(t, c, statement)
				last = statement
				if ran++; ran == killed || strings.HasPrefix(statement, "RENAME") { // after which others would look
					break
				}
			}
		}
		if strings.HasPrefix(last, "CREATE OR REPLACE VIEW") && !end { // one is as good as another
			continue
		}
		fill(t, c, 3000, 3010) // by an old one, which knows nothing of it
		if _, err := c.Migrate(t.Context()); err != nil {
			t.Fatalf("after %d statements: %v", killed, err)
		}
		newest(t, c, 3010)
		if t.Failed() {
			t.Fatalf("after %d statements, the last of them %s", killed, last)
		}
	}
}

// A rename of two tables is no transaction.
func TestMigrateKilledInRename(t *testing.T) {
	c := first(t)
	for {
		plan, err := c.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if from, _, found := strings.Cut(plan[0], ", "); found && strings.HasPrefix(from, "RENAME TABLE") {
			query(t, c, from)
			break
		}
		query(t, c, plan[0])
	}
	if _, err := c.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	newest(t, c, 3000)
}

func TestMigrateConcurrently(t *testing.T) {
	for round := range 3 {
		c := first(t)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := c.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		const more = 20
		all.Go(func() { // an old program
			db := open(t, c)
			for n := range more {
				for {
					rows, err := db.Query(t.Context(), fmt.Sprintf("INSERT INTO connections (first, id) VALUES ('2026-11-22 00:00:%02d', toUUID('10000000-0000-0000-0000-%012d'))", n, n))
					if err == nil {
						rows.All()(func([]any, error) bool { return true })
						break
					}
					time.Sleep(time.Millisecond)
				}
			}
		})
		all.Wait()
		if got := query(t, c, "SELECT count(), countIf(startsWith(toString(id), '1')) FROM connections FINAL"); got != fmt.Sprintf("%d\t%d", 3000+more, more) {
			t.Errorf("round %d: connections, of them by an old program: %s, want %d and %d", round, got, 3000+more, more)
		}
		query(t, c, "DELETE FROM connections WHERE startsWith(toString(id), '1')")
		newest(t, c, 3000)
	}
}

func TestMigrateConcurrentlyFromNothing(t *testing.T) {
	c := config(t)
	query(t, c, "DROP DATABASE "+c.Database)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := c.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if plan, err := c.Plan(t.Context()); err != nil || len(plan) > 0 {
		t.Errorf("there is more to do: %q, %v", plan, err)
	}
	if got := query(t, c, "SELECT version, count() FROM schema_version FINAL GROUP BY version"); got != fmt.Sprintf("%d\t1", clickhouse.Version) {
		t.Errorf("versions %s, want the newest once", got)
	}
}

// A newer schema is left as it is. It says itself whose rows it takes.
func TestNewerSchema(t *testing.T) {
	c := config(t)
	check(t, c)
	query(t, c, fmt.Sprintf("INSERT INTO schema_version (version, least, program) VALUES (%d, %d, 'v9.0.0')", clickhouse.Version+1, clickhouse.Version))
	query(t, c, "DROP VIEW prefix_plan")
	c.TTLFlows = time.Hour
	if plan, err := c.Plan(t.Context()); err != nil || len(plan) > 0 {
		t.Errorf("plan %q, %v, want nothing to do", plan, err)
	}
	write(t, sink(t, c), "a", batch(flow.Record{Time: time.Now()}))
	query(t, c, fmt.Sprintf("INSERT INTO schema_version (version, least, program) VALUES (%d, %d, 'v10.0.0')", clickhouse.Version+2, clickhouse.Version+1))
	err := sink(t, c).Check(t.Context())
	want := fmt.Sprintf("schema version %d, made by sextant v10.0.0, and takes rows from version %d on; this program knows version %d; use a newer sextant",
		clickhouse.Version+2, clickhouse.Version+1, clickhouse.Version)
	if !errors.Is(err, clickhouse.ErrNewer) || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

// What a column cannot hold must not be lost in it.
func TestColumnOfAnotherType(t *testing.T) {
	c := config(t)
	query(t, c, "CREATE TABLE flows (time DateTime64(9, 'UTC'), l7_latency_ns UInt8) ENGINE = MergeTree ORDER BY time")
	err := sink(t, c).Check(t.Context())
	want := "table " + c.Database + ".flows, column l7_latency_ns: its type is UInt8, which does not hold all that a UInt64 does; ALTER TABLE `" +
		c.Database + "`.`flows` MODIFY COLUMN `l7_latency_ns` UInt64, or use another clickhouse.database"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v, want %s", err, want)
	}
	query(t, c, "ALTER TABLE flows MODIFY COLUMN l7_latency_ns UInt64")
	check(t, c)
}
