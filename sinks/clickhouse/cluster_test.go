package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/cookbook"
	"sextant/sinks/clickhouse/embedded"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

// cluster returns the configuration for a cluster of 2 shards with 2 replicas, and its servers.
func cluster(t *testing.T) (clickhouse.Config, []*embedded.Server) {
	t.Helper()
	servers := embeddedtest.Cluster(t, 2, 2, "")
	c := clickhouse.Default()
	c.Address, c.Cluster = servers[0].Addr(), embeddedtest.ClusterName
	c = forEver(c).Unreplicated(func(ctx context.Context, statement string) error { return everywhere(ctx, servers, statement) })
	return c, servers
}

// everywhere runs a statement on every server, as ON CLUSTER would.
func everywhere(ctx context.Context, servers []*embedded.Server, statement string) error {
	errs := make([]error, len(servers))
	var all sync.WaitGroup
	for i, server := range servers {
		all.Go(func() { _, errs[i] = server.State().Query(ctx, statement) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// each returns every server's answer.
func each(t *testing.T, servers []*embedded.Server, sql string) []string {
	t.Helper()
	answers := make([]string, len(servers))
	for i, server := range servers {
		var err error
		if answers[i], err = server.State().Query(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	return answers
}

var kept = []string{"flows", "connections", "gaps", "heartbeats", "pulls", "inventory", "charges", "buckets"}

func TestCluster(t *testing.T) {
	c, servers := cluster(t)
	at := func(i int) clickhouse.Config { c := c; c.Address = servers[i].Addr(); return c }

	t.Run("collectors that come at once make it once", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range servers {
			all.Go(func() {
				if _, err := at(i).Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		asItShouldBe(t, at(0), at(3))
		if got := query(t, at(2), "SELECT version, count() FROM schema_version FINAL GROUP BY version"); got != fmt.Sprintf("%d\t1", clickhouse.Version) {
			t.Errorf("versions %s, want the newest once", got)
		}
	})
	t.Run("what one server lacks is made", func(t *testing.T) {
		for _, statements := range [][]string{
			{"DROP DATABASE sextant SYNC"},
			{
				"DROP TABLE sextant.schema_version_local SYNC", "DROP TABLE sextant.flows SYNC", "DROP VIEW sextant.fallbacks SYNC", "DROP VIEW sextant.names_feed SYNC",
				"ALTER TABLE sextant.pulls DROP COLUMN wait_ms", "ALTER TABLE sextant.pulls_local DROP COLUMN wait_ms SETTINGS mutations_sync = 2",
			},
		} {
			for _, statement := range statements {
				each(t, servers[2:3], statement)
			}
			each(t, servers, "TRUNCATE TABLE IF EXISTS sextant.schema_version_local") // whose rows a replica would fetch
			if done, err := at(0).Migrate(t.Context()); err != nil || len(done) < len(statements) {
				t.Errorf("after %q: %q, %v", statements, done, err)
			}
		}
		asItShouldBe(t, at(0), at(2))
	})
	t.Run("another retention is that of every part", func(t *testing.T) {
		c := at(1)
		c.TTLGaps = 24 * time.Hour
		plan, err := c.Plan(t.Context())
		want := []string{
			"ALTER TABLE `sextant`.`gaps_local` ON CLUSTER `engines` MODIFY TTL toDateTime(greatest(`from`, `to`)) + toIntervalDay(1)",
			"ALTER TABLE `sextant`.`heartbeats_local` ON CLUSTER `engines` MODIFY TTL toDateTime(`from`) + toIntervalDay(1)",
		}
		if diff := cmp.Diff(want, plan); diff != "" || err != nil {
			t.Errorf("error %v (-want +got)\n%s", err, diff)
		}
	})
	t.Run("it is not taken for one server, nor one for it", func(t *testing.T) {
		one := at(0)
		one.Cluster, one.Database = "", "one"
		check(t, one)
		for _, test := range []struct{ cluster, database, want string }{
			{"", "sextant", "database sextant is spread over the cluster engines; set clickhouse.cluster to that"},
			{"nobody", "sextant", "it knows of no cluster nobody; set clickhouse.cluster to one of"},
			{"engines", "one", "database one has tables of one server on"},
		} {
			c := at(0)
			c.Cluster, c.Database = test.cluster, test.database
			if err := sink(t, c).Check(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("cluster %q, database %s: error %v, want %s", test.cluster, test.database, err, test.want)
			}
		}
	})
	t.Run("who may not ask all servers asks one", func(t *testing.T) {
		c := rewritten(t, at(0), "SELECT _shard_num ", "CREATE USER u --  ")
		asItShouldBe(t, c)
		check(t, c)
	})
	t.Run("what is sent again is stored once", func(t *testing.T) {
		for i := range 4 { // by two collectors, each twice
			d := collector.Delivery{Tried: i > 1, Batches: []*flow.Batch{clusterBatch(100)}}
			if err := sink(t, at(3*(i%2))).Write(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		once(t, at(1), servers, 100)
	})
	t.Run("a shard that refuses its part", func(t *testing.T) {
		empty(t, servers)
		s, d := sink(t, at(0)), collector.Delivery{Batches: []*flow.Batch{clusterBatch(150)}}
		write(t, s, "") // connects, and would make what is missing
		each(t, servers[2:], "ALTER TABLE sextant.flows_local ADD CONSTRAINT refuses CHECK throwIf(1) = 0")
		if err := s.Write(t.Context(), d); err == nil || errors.Is(err, collector.ErrRejected) {
			t.Errorf("error %v, want one that says to try again", err)
		}
		if got := each(t, servers[:1], "SELECT count() FROM sextant.flows_local")[0]; got == "0" {
			t.Errorf("no rows on the other shard: this tests nothing")
		}
		each(t, servers[2:], "ALTER TABLE sextant.flows_local DROP CONSTRAINT refuses")
		d.Tried = true
		if err := s.Write(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		once(t, at(0), servers, 150)
	})
	t.Run("a dead replica", func(t *testing.T) {
		empty(t, servers)
		servers[1].Kill()
		s, d := sink(t, at(0)), collector.Delivery{Batches: []*flow.Batch{clusterBatch(200)}}
		err := s.Write(t.Context(), d)
		if err == nil || errors.Is(err, collector.ErrRejected) || !strings.Contains(err.Error(), servers[1].Addr()) {
			t.Errorf("error %v, want one that names %s and says to try again", err, servers[1].Addr())
		}
		if err := servers[1].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.Tried = true
		if err := s.Write(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		once(t, at(0), servers, 200)
		servers[1].Kill()
		once(t, at(0), nil, 200)
		once(t, at(3), nil, 200)
		if err := servers[1].Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("it answers as one server with the same rows", func(t *testing.T) {
		empty(t, servers)
		one := at(0)
		one.Cluster, one.Database = "", "one"
		check(t, one)
		sameAnswers(t, one, at(3))
		spreadOut(t, servers, "names") // every server has fed it with its part of the flows
	})
	t.Run("a dead shard", func(t *testing.T) {
		servers[2].Kill()
		servers[3].Kill()
		var err error
		for _, err = range ask(t, at(0), "SELECT count() FROM flows").All() {
		}
		if err == nil || !strings.Contains(err.Error(), servers[2].Addr()) {
			t.Errorf("error %v, want one that names %s", err, servers[2].Addr())
		}
		err = sink(t, at(0)).Write(t.Context(), collector.Delivery{Batches: []*flow.Batch{clusterBatch(10)}})
		if err == nil || errors.Is(err, collector.ErrRejected) || !strings.Contains(err.Error(), servers[2].Addr()) {
			t.Errorf("error %v, want one that names %s", err, servers[2].Addr())
		}
	})
}

// asItShouldBe fails unless nothing is left to do, whoever is asked.
func asItShouldBe(t *testing.T, configs ...clickhouse.Config) {
	t.Helper()
	for _, c := range configs {
		if plan, err := c.Plan(t.Context()); err != nil || len(plan) > 0 {
			t.Errorf("there is more to do: %q, %v", plan, err)
		}
	}
}

// clusterBatch returns n rows of each table around a midnight, the same every time.
func clusterBatch(n int) *flow.Batch {
	b := spread(n, "2026-11-23T23:59:59.95Z")
	for i := range n {
		b.Beats = append(b.Beats, flow.Beat{From: b.Records[i].Time, To: b.Records[i].Time, Node: b.Records[i].Node})
		b.Connections[i].Source, b.Pulls[i].Registry = flow.End{}, flow.Name{} // what rows of one id have in common
	}
	return b
}

// once fails unless n rows of each table are there, each once, and on both replicas where servers are given.
func once(t *testing.T, c clickhouse.Config, servers []*embedded.Server, n int) {
	t.Helper()
	for _, table := range kept {
		if got := query(t, c, "SELECT count() FROM "+table); got != fmt.Sprint(n) {
			t.Errorf("%s: %s rows, want %d", table, got, n)
		}
		if servers == nil {
			continue
		}
		spreadOut(t, servers, table)
	}
}

// spreadOut fails unless a table has rows on every shard, and the same number of them on both replicas.
func spreadOut(t *testing.T, servers []*embedded.Server, table string) {
	t.Helper()
	parts := each(t, servers, "SELECT count() FROM sextant."+table+"_local SETTINGS final = 1")
	if parts[0] != parts[1] || parts[2] != parts[3] || slices.Contains(parts, "0") {
		t.Errorf("%s: %s rows, want as many on both replicas of a shard, and some on each shard", table, parts)
	}
}

// empty takes all rows away.
func empty(t *testing.T, servers []*embedded.Server) {
	t.Helper()
	for _, table := range append(slices.Clone(kept), "names") {
		each(t, servers, "TRUNCATE TABLE sextant."+table+"_local")
	}
}

// sameAnswers fills one server, copies its rows into a cluster, and asks both all that there is to ask.
func sameAnswers(t *testing.T, one, all clickhouse.Config) {
	for _, table := range kept {
		query(t, one, synthetic(t, one, table))
		query(t, all, "INSERT INTO "+table+" SELECT * FROM remote('"+one.Address+"', '"+one.Database+"', '"+table+"') SETTINGS distributed_foreground_insert = 1, final = 0")
	}
	questions := map[string]string{"names": "SELECT cluster, namespace, workload, name, max(last), min(aaaa_first), max(no_aaaa_last) FROM names GROUP BY ALL"}
	for name, comment := range all.Views() {
		questions["view "+name] = "SELECT * FROM " + name
		if strings.HasPrefix(comment, "(since, until)") {
			questions["view "+name] += "(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})"
		}
	}
	for _, q := range cookbook.Queries {
		if q.Name != "storage" { // which is of one server's disk
			questions[q.Name] = q.SQL
		}
	}
	ctx := clickhouse.WithParameters(t.Context(), map[string]string{
		"since": "2026-11-01 12:00:00", "until": "2026-11-01 13:00:00", "cluster": "", "namespace": "", "workload": "", "limit": "100000",
		"id": "00000000-0000-0000-0000-000000000007",
	})
	answer := func(db *clickhouse.DB, sql string) []string {
		rows, err := db.Query(ctx, sql)
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			return nil
		}
		var lines []string
		for row, err := range rows.All() {
			if err != nil {
				t.Errorf("%s: %v", sql, err)
			}
			lines = append(lines, fmt.Sprint(row))
		}
		slices.Sort(lines)
		return lines
	}
	oneDB, allDB := open(t, one), open(t, all)
	var nothing []string
	for name, sql := range questions {
		want, got := answer(oneDB, sql), answer(allDB, sql)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %d rows (-one server +cluster)\n%.2000s", name, len(want), diff)
		}
		if len(want) == 0 {
			nothing = append(nothing, name)
		}
	}
	if len(nothing) > len(questions)/10 {
		t.Errorf("nothing is answered, and hence nothing compared, of %q", nothing)
	}
}

// synthetic returns the statement that fills a table with rows of an hour that are alike enough to be grouped. Where rows
// become one by key there are two of each, of which the first knows more.
func synthetic(t *testing.T, c clickhouse.Config, table string) string {
	special := map[string]string{
		"connections.late": "second", "pulls.workload": "if(second, '', 'w1')",
		"flows.l7_type": "'response'", "flows.dns_rcode": "0", "flows.dns_types": "['AAAA']", "flows.tcp_flags": "['SYN', 'SYN,ACK'][1 + h % 2]",
		"heartbeats.from": "noon + key % 60 * 60", "heartbeats.to": "noon + key % 60 * 60 + 60", "gaps.to": "noon + h % 3600",
		"inventory.time": "noon + key % 2 * 600", "inventory.name": "concat('name', toString(key))", "inventory.family": "if(second, 'ipv6', 'ipv4')",
		"connections.destination_service": "concat('namespace', toString(1 + h % 2), '/name', toString(h % 1000))", "gaps.detail": "'why'",
		"connections.embedded_ipv4": "toIPv6(['::ffff:192.0.2.7', '::ffff:192.0.2.8', '::ffff:192.0.2.9'][1 + cityHash64(number, 'destination_name') % 3])", // one for each name
	}
	keys := map[string]string{
		"connections": "first last source_ip destination_ip id", "pulls": "time registry id", "charges": "time service id", "inventory": "cluster kind namespace policy",
	}[table]
	var names, values []string
	columns := query(t, c, "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = '"+table+"' AND default_kind = '' ORDER BY position")
	for line := range strings.SplitSeq(columns, "\n") {
		name, typ, _ := strings.Cut(line, "\t")
		seed, text := "cityHash64(number, '"+name+"')", ""
		if slices.Contains(strings.Fields(keys), name) {
			seed = "cityHash64(key, '" + name + "')"
		}
		choose := func(from ...string) string {
			return "['" + strings.Join(from, "', '") + "'][1 + h % " + fmt.Sprint(len(from)) + "]"
		}
		switch _, last, _ := strings.Cut(name, "_"); {
		case strings.HasSuffix(name, "tags"): // of which any is told
			text = "['a']"
		case special[table+"."+name] != "":
			text = special[table+"."+name]
		case strings.HasPrefix(typ, "DateTime64"):
			text = "noon + h % 3600"
		case typ == "UUID" && name == "id":
			text = "toUUID(concat('00000000-0000-0000-0000-', leftPad(toString(key), 12, '0')))"
		case typ == "UUID":
			text = "toUUID('00000000-0000-0000-0000-000000000000')"
		case typ == "IPv6":
			text = "toIPv6(" + choose("2001:db8::1", "2001:db8::2", "::ffff:192.0.2.1", "::ffff:198.51.100.7", "64:ff9b::c000:201", "::") + ")"
		case typ == "Array(IPv6)":
			text = "[toIPv6(" + choose("2001:db8::1", "::ffff:192.0.2.1", "64:ff9b::c000:201") + ")]"
		case strings.HasPrefix(typ, "Enum8("):
			var words []string
			for i, part := range strings.Split(typ, "'") {
				if i%2 == 1 {
					words = append(words, part)
				}
			}
			text = choose(words...)
		case typ == "Array(LowCardinality(String))":
			text = "[" + choose("a", "b", "c") + "]"
		case name == "dns_query" || name == "destination_name":
			text = choose("one.example", "two.example", "three.example")
		case strings.HasSuffix(typ, "String)"), typ == "String":
			if last == "" {
				last = name
			}
			text = choose(last+"1", last+"2")
		case strings.HasPrefix(typ, "Nullable("):
			text = "if(h % 3 = 0, NULL, h % 100)"
		case strings.HasSuffix(name, "_port"):
			text = "[53, 443][1 + h % 2]"
		case typ == "UInt8":
			text = "h % 2"
		case strings.HasPrefix(typ, "UInt"):
			text = "h % 100"
		default:
			t.Fatalf("%s.%s: nothing to fill a %s with", table, name, typ)
		}
		names, values = append(names, "`"+name+"`"), append(values, strings.ReplaceAll(text, "h %", seed+" %"))
	}
	return "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") WITH toDateTime64('2026-11-01 12:00:00', 9, 'UTC') AS noon, number % 1000 AS key, number >= 1000 AS second SELECT " +
		strings.Join(values, ", ") + " FROM numbers(2000)"
}
