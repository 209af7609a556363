package clickhouse_test

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
)

var update = flag.Bool("update", false, "write the golden files")

func TestSchema(t *testing.T) {
	c := clickhouse.Default()
	golden(t, "testdata/schema.golden", c.Schema())
	c.Cluster = "history"
	golden(t, "testdata/cluster.golden", skeleton(c.Schema()))
}

// skeleton returns a schema without what is the same in every one: columns and questions.
func skeleton(schema string) string {
	schema = regexp.MustCompile(`(?m)^    .*\n`).ReplaceAllString(schema, "")
	return regexp.MustCompile(`(?m)(^CREATE OR REPLACE VIEW .*)\n(?s:.*?)(?:\n(SETTINGS .*))?\n(COMMENT .*);`).ReplaceAllString(schema, "$1\n...\n$2;")
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("run with -update and read it (-want +got)\n%s", diff)
	}
}

// created returns how the server shows the tables.
func created(t *testing.T, c clickhouse.Config) string {
	t.Helper()
	all := query(t, c, "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name")
	return strings.ReplaceAll(all, c.Database, "sextant")
}

func check(t *testing.T, c clickhouse.Config) {
	t.Helper()
	if err := sink(t, c).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestSchemaIsMadeOnce(t *testing.T) {
	c := config(t)
	query(t, c, "DROP DATABASE "+c.Database) // the sink makes that, too
	check(t, c)
	first := created(t, c)
	modified := "SELECT name, metadata_modification_time FROM system.tables WHERE database = currentDatabase()"
	before := query(t, c, modified)
	time.Sleep(1100 * time.Millisecond) // the server's time has whole seconds
	check(t, c)
	if diff := cmp.Diff(first, created(t, c)); diff != "" {
		t.Errorf("(-first time +second time)\n%s", diff)
	}
	if after := query(t, c, modified); after != before {
		t.Errorf("the tables were touched again: %s, before %s", after, before)
	}
}

func TestColumnsCarryTheirDocs(t *testing.T) {
	c := config(t)
	check(t, c)
	var want []string
	for _, f := range flow.Fields {
		want = append(want, f.Name+"\t"+f.Doc)
	}
	got := query(t, c, "SELECT name, comment FROM system.columns WHERE database = currentDatabase() AND table = 'flows' ORDER BY position")
	if diff := cmp.Diff(strings.Join(want, "\n"), got); diff != "" {
		t.Errorf("(-fields +columns)\n%s", diff)
	}
}

// An older program's tables lack columns and words of enums; they are added, and the rows stay.
func TestUpgrade(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	write(t, sink(t, c), "1", &flow.Batch{Records: []flow.Record{full(in)}, Gaps: []flow.Gap{filled[flow.Gap](in)}})
	now := created(t, c)
	query(t, c, "TRUNCATE TABLE flows")
	query(t, c, "ALTER TABLE flows DROP COLUMN node, DROP COLUMN packets, DROP COLUMN policy_log, DROP COLUMN event_type SETTINGS mutations_sync = 2")
	query(t, c, "ALTER TABLE flows MODIFY COLUMN class Enum8('unknown' = 0, 'native6' = 1)")
	query(t, c, "INSERT INTO flows (time, class) VALUES ('2026-11-24 00:00:00', 'native6')")
	query(t, c, "CREATE OR REPLACE VIEW prefix_plan AS SELECT 1 AS other COMMENT 'other'")
	query(t, c, "DROP VIEW fallbacks")
	query(t, c, "ALTER TABLE names_feed MODIFY QUERY SELECT cluster FROM flows")
	query(t, c, "ALTER TABLE names_feed MODIFY COMMENT 'other'")
	write(t, sink(t, c), "2", batch(full(in)))
	if diff := cmp.Diff(now, created(t, c)); diff != "" {
		t.Errorf("(-new tables +upgraded)\n%s", diff)
	}
	want := "native6\t\tunknown\n" + "nat46\t.Node\tother"
	if got := query(t, c, "SELECT class, node, event_type FROM flows ORDER BY time"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A newer program's tables have more: columns and words that this one does not know stay, and it goes on inserting.
func TestDowngrade(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	check(t, c)
	query(t, c, "ALTER TABLE flows ADD COLUMN later UInt8 DEFAULT 7 AFTER time")
	query(t, c, "ALTER TABLE flows MODIFY COLUMN family Enum8('none' = 0, 'ipv4' = 1, 'ipv6' = 2, 'ipv8' = 3)")
	query(t, c, "ALTER TABLE gaps MODIFY COLUMN detail String")
	before := created(t, c)
	write(t, sink(t, c), "1", &flow.Batch{Records: []flow.Record{full(in)}, Gaps: []flow.Gap{filled[flow.Gap](in)}})
	if diff := cmp.Diff(before, created(t, c)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
	if got, want := query(t, c, "SELECT later, family, (SELECT detail FROM gaps) FROM flows"), "7\tipv6\t.Detail"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The server would store one word as another: better not at all.
func TestEnumNumberedDifferently(t *testing.T) {
	for typ, want := range map[string]string{
		`Enum8('none' = 0, 'it\'s \\' = 1)`:             `column family: 1 stands for "it's \\" in the table, but for "ipv4" in this program`,
		`Enum8('none' = 0, 'ipv4' = 3)`:                 `column family: "ipv4" is 3 in the table, but 1 in this program`,
		`Enum8('none' = 0, 'it\'s' = -5, 'ipv9' = 100)`: "",
	} {
		c := config(t)
		check(t, c)
		query(t, c, "ALTER TABLE flows DROP COLUMN family SETTINGS mutations_sync = 2")
		query(t, c, "ALTER TABLE flows ADD COLUMN family "+typ+" AFTER encrypted")
		err := sink(t, c).Check(t.Context())
		switch {
		case want == "":
			if err != nil {
				t.Error(err)
			}
			got := query(t, c, "SELECT type FROM system.columns WHERE database = currentDatabase() AND table = 'flows' AND name = 'family'")
			if want := `Enum8('it\'s' = -5, 'none' = 0, 'ipv4' = 1, 'ipv6' = 2, 'ipv9' = 100)`; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		case err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), c.Database+".flows"):
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// Those of charges and buckets are the pulls'.
func TestTTL(t *testing.T) {
	c := config(t)
	ttl := func() string {
		return query(t, c, `SELECT name, extract(engine_full, 'TTL .*?(toInterval\\w+\\(\\d+\\)|toStart\\w+|$)') FROM system.tables WHERE database = currentDatabase() AND name IN ('connections', 'flows', 'gaps', 'inventory', 'pulls', 'charges', 'buckets') ORDER BY name`)
	}
	for _, step := range []struct {
		connections, flows, gaps, inventory, pulls time.Duration
		want                                       string
	}{
		{0, 7 * day, 0, day, 0, "buckets\t\ncharges\t\nconnections\t\nflows\ttoIntervalDay(7)\ngaps\t\ninventory\ttoIntervalDay(1)\npulls\t"},
		{
			day, 36 * time.Hour, 90 * day, 0, 30 * day,
			"buckets\ttoIntervalDay(30)\ncharges\ttoIntervalDay(30)\nconnections\ttoIntervalDay(1)\nflows\ttoIntervalSecond(129600)\ngaps\ttoIntervalDay(90)\ninventory\t\npulls\ttoIntervalDay(30)",
		},
		{
			2 * day, 0, 90 * day, time.Hour, 2 * time.Hour,
			"buckets\ttoIntervalSecond(7200)\ncharges\ttoIntervalSecond(7200)\nconnections\ttoIntervalDay(2)\nflows\t\ngaps\ttoIntervalDay(90)\ninventory\ttoIntervalSecond(3600)\npulls\ttoIntervalSecond(7200)",
		},
		{0, day, day, 0, 0, "buckets\t\ncharges\t\nconnections\t\nflows\ttoIntervalDay(1)\ngaps\ttoIntervalDay(1)\ninventory\t\npulls\t"},
	} {
		c.TTLConnections, c.TTLFlows, c.TTLGaps, c.TTLInventory, c.TTLPulls = step.connections, step.flows, step.gaps, step.inventory, step.pulls
		check(t, c)
		if got := ttl(); got != step.want {
			t.Errorf("got\n%s\nwant\n%s", got, step.want)
		}
	}
}

const day = 24 * time.Hour

func TestForeignTTLIsKept(t *testing.T) {
	c := config(t)
	check(t, c)
	query(t, c, "ALTER TABLE flows MODIFY TTL toStartOfDay(toDateTime(time)) + INTERVAL 3 DAY RECOMPRESS CODEC(ZSTD(9))")
	before := created(t, c)
	c.TTLFlows = 48 * time.Hour
	check(t, c)
	if diff := cmp.Diff(before, created(t, c)); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
}

// Old flows leave by whole days, and young ones stay.
func TestOldFlowsLeave(t *testing.T) {
	c := config(t)
	c.TTLFlows = 7 * day
	now := time.Now()
	write(t, sink(t, c), "1", batch(flow.Record{Time: now}, flow.Record{Time: now.AddDate(0, 0, -30)}))
	for range 100 {
		query(t, c, "OPTIMIZE TABLE flows FINAL")
		if query(t, c, "SELECT count() FROM flows") == "1" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if got, want := query(t, c, "SELECT time FROM flows"), now.UTC().Format("2006-01-02T15:04:05.000000000Z"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTwoStartAtOnce(t *testing.T) {
	c := config(t)
	errs := make(chan error)
	for range 4 {
		s := sink(t, c)
		go func() { errs <- s.Check(t.Context()) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
