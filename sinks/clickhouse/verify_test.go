package clickhouse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded"
)

// watched is a sink of which is known how often it inserted again.
type watched struct {
	*clickhouse.Sink
	registry *prometheus.Registry
	log      *strings.Builder
}

func watch(t *testing.T, c clickhouse.Config) watched {
	t.Helper()
	w := watched{registry: prometheus.NewRegistry(), log: new(strings.Builder)}
	w.Sink = clickhouse.New(c, slog.New(slog.NewTextHandler(w.log, nil)), w.registry)
	t.Cleanup(w.Close)
	return w
}

// burnt fails unless so many inserts were made again, each with a line in the log.
func (w watched) burnt(t *testing.T, want int) {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := -1
	for _, f := range families {
		if f.GetName() == "sextant_clickhouse_burnt_tokens_total" {
			got = int(f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	if lines := strings.Count(w.log.String(), "inserted again"); got != want || lines != want {
		t.Errorf("%d inserts were made again, %d logged, want %d:\n%s", got, lines, want, w.log.String())
	}
}

// rig is an engine behind a link that breaks.
type rig struct {
	server *embedded.Server
	direct clickhouse.Config // beside the link
	linked clickhouse.Config
	link   lossy
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := new(rig)
	r.direct, r.server = own(t)
	r.direct.Compression = "none" // so that rows are nearly all of what is sent
	check(t, r.direct)            // makes the tables
	r.linked = r.direct
	r.linked.Address = proxy(t, listen(t), r.direct.Address, r.link.forward)
	r.link.set(endless, endless, endless)
	return r
}

// breakOff tries a delivery and breaks the link after so many bytes.
func (r *rig) breakOff(t *testing.T, w watched, d collector.Delivery, after int64) {
	t.Helper()
	r.link.set(after, endless, endless)
	if err := w.Write(t.Context(), d); err == nil || errors.Is(err, collector.ErrRejected) {
		t.Fatalf("error %v, want one that says to try again", err)
	}
	r.link.set(endless, endless, endless)
	revive(t, r.server)
}

// spread returns n rows of each table, a millisecond apart.
func spread(n int, begin string) *flow.Batch {
	in, b := flow.NewInterner(), &flow.Batch{}
	for i := range n {
		when := at(begin).Add(time.Duration(i)*time.Millisecond + 1)
		end := flow.End{IP: addr("fe80::1%eth0"), Port: uint16(i)}
		if i%2 == 0 {
			end.IP = addr("192.0.2.1")
		}
		node := in.Name(hostile[i%len(hostile)])
		b.Records = append(b.Records, flow.Record{Time: when, UUID: flow.UUID{2, byte(i)}, Node: node, Source: end, L7LatencyNs: 1 << 63})
		b.Connections = append(b.Connections, flow.Connection{First: when, ID: flow.UUID{1, byte(i)}, Node: node, Source: end})
		b.Gaps = append(b.Gaps, flow.Gap{From: when, To: when, Node: node})
		b.Pulls = append(b.Pulls, flow.Pull{Time: when, ID: flow.UUID{3, byte(i)}, Node: node})
		b.Items = append(b.Items, flow.Item{Time: when, Kind: flow.ItemService, Name: node, PrefixLength: byte(i)})
		b.Charges = append(b.Charges, flow.Charge{Time: when, ID: flow.UUID{7, byte(i)}, Node: node})
		b.Buckets = append(b.Buckets, flow.Bucket{Time: when, Service: node, Used: uint32(i)})
	}
	return b
}

// alike returns a row of each table that is verified, which differs in its node alone from the first one of a batch.
func alike(b *flow.Batch) *flow.Batch {
	record, connection, gap, item, bucket := b.Records[0], b.Connections[0], b.Gaps[0], b.Items[0], b.Buckets[0]
	record.Node = flow.NewInterner().Name("other")
	connection.Node, gap.Node, item.Node, bucket.Unit = record.Node, record.Node, record.Node, record.Node
	return &flow.Batch{
		Records: []flow.Record{record}, Connections: []flow.Connection{connection}, Gaps: []flow.Gap{gap}, Items: []flow.Item{item},
		Buckets: []flow.Bucket{bucket},
	}
}

// only returns the batches' rows for one table.
func only(table string, batches ...*flow.Batch) []*flow.Batch {
	var kept []*flow.Batch
	for _, b := range batches {
		kept = append(kept, map[string]*flow.Batch{
			"flows": {Records: b.Records}, "connections": {Connections: b.Connections}, "gaps": {Gaps: b.Gaps},
			"pulls": {Pulls: b.Pulls}, "inventory": {Items: b.Items}, "charges": {Charges: b.Charges}, "buckets": {Buckets: b.Buckets},
		}[table])
	}
	return kept
}

// burn uses up the token of rows for others.
func burn(t *testing.T, c clickhouse.Config, table string, rows, others []*flow.Batch) {
	t.Helper()
	if len(others) == 0 {
		return
	}
	s := sink(t, c)
	if err := s.Burn(t.Context(), table, s.Tokens(rows...)[table], others...); err != nil {
		t.Fatal(err)
	}
}

// A server that is killed may remember a token without its rows. It is brought about by others that use up the token;
// whatever the server has under it when the delivery is tried again, every row is stored once.
func TestBurntToken(t *testing.T) {
	r := newRig(t)
	today, tomorrow := spread(1, "2026-11-23T01:00:00Z"), spread(1, "2026-11-24T12:00:00Z")
	all, night := spread(1000, "2026-11-23T12:00:00Z"), spread(1000, "2026-11-23T23:59:59.5Z")
	evening, morning := spread(500, "2026-11-23T23:59:59.5Z"), &flow.Batch{
		Records: night.Records[500:], Connections: night.Connections[500:], Items: night.Items[500:],
	}
	for _, table := range []struct {
		name, time string
		days       bool
	}{{"flows", "time", true}, {"gaps", "from", false}, {"inventory", "time", true}} {
		for _, test := range []struct {
			name   string
			days   bool // means something only where days are partitions
			rows   *flow.Batch
			before []*flow.Batch // what the server has under the token
			burnt  int
			want   string // rows and different times
		}{
			{"nothing", false, all, nil, 0, "1000\t1000"},
			{"everything", false, all, []*flow.Batch{all}, 0, "1000\t1000"},
			{"other row", false, all, []*flow.Batch{today}, 1, "1001\t1001"},
			{"other row much alike", false, all, []*flow.Batch{alike(all)}, 1, "1001\t1000"},
			{"both days", true, night, []*flow.Batch{night}, 0, "1000\t1000"},
			{"first day", true, night, []*flow.Batch{evening, tomorrow}, 1, "1001\t1001"},
			{"second day", true, night, []*flow.Batch{today, morning}, 1, "1001\t1001"},
			{"other rows on both days", true, night, []*flow.Batch{today, tomorrow}, 2, "1002\t1002"},
		} {
			if test.days && !table.days {
				continue
			}
			t.Run(table.name+" "+test.name, func(t *testing.T) {
				query(t, r.direct, "TRUNCATE TABLE "+table.name)
				w, d := watch(t, r.linked), collector.Delivery{Token: test.name, Batches: only(table.name, test.rows)}
				r.breakOff(t, w, d, 20_000)
				burn(t, r.direct, table.name, only(table.name, test.rows), only(table.name, test.before...))
				if err := w.Write(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				if got := query(t, r.direct, fmt.Sprintf("SELECT count(), uniqExact(`%s`) FROM %s", table.time, table.name)); got != test.want {
					t.Errorf("rows, times: %s, want %s", got, test.want)
				}
				w.burnt(t, test.burnt)
			})
		}
	}
}

// What others have told of the same pulls, and what the server has under the token, is no sign that ours are stored.
func TestBurntTokenOfPulls(t *testing.T) {
	r := newRig(t)
	all, other := spread(1000, "2026-11-23T12:00:00Z"), spread(1, "2026-11-23T01:00:00Z")
	for i := range all.Pulls {
		all.Pulls[i].ID[2] = byte(i >> 8)
	}
	other.Pulls[0].ID = flow.UUID{4}
	for _, test := range []struct {
		name   string
		before []flow.Pull // what the server has under the token
		want   string
	}{
		{"nothing", nil, "1000"},
		{"everything", all.Pulls, "1000"},
		{"other row", other.Pulls, "1001"},
		{"the first row, by another", all.Pulls[:1], "1000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			query(t, r.direct, "TRUNCATE TABLE pulls")
			w, d := watch(t, r.linked), collector.Delivery{Token: test.name, Batches: only("pulls", all)}
			r.breakOff(t, w, d, 20_000)
			write(t, sink(t, r.direct), d.Token, &flow.Batch{Pulls: test.before})
			if err := w.Write(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			if got := query(t, r.direct, "SELECT count() FROM pulls FINAL"); got != test.want {
				t.Errorf("%s pulls, want %s", got, test.want)
			}
		})
	}
}

// The insert under another token may break as well, and that token be burnt or not.
func TestBurntAgain(t *testing.T) {
	r := newRig(t)
	rows := only("flows", spread(1000, "2026-11-23T12:00:00Z"))[0]
	write(t, sink(t, r.linked), "copy", rows)
	once := endless - r.link.up.Load()
	query(t, r.direct, "CREATE TABLE copy ENGINE = Memory AS SELECT * FROM flows")
	for token, test := range map[string]struct {
		again string // what the server has under the other token
		burnt int
		want  string
	}{
		"nothing":    {"SELECT * FROM copy WHERE 0", 1, "1001\t1001"},
		"everything": {"SELECT * FROM copy", 1, "1001\t1001"},
		"other":      {"SELECT * REPLACE (time - 1 AS time) FROM copy LIMIT 1", 2, "1002\t1002"},
	} {
		query(t, r.direct, "TRUNCATE TABLE flows")
		w, d := watch(t, r.linked), collector.Delivery{Token: token, Batches: []*flow.Batch{rows}}
		r.breakOff(t, w, d, once/2)
		burn(t, r.direct, "flows", []*flow.Batch{rows}, only("flows", spread(1, "2026-11-23T01:00:00Z")))
		r.breakOff(t, w, d, once*3/2)
		query(t, r.direct, "INSERT INTO flows SETTINGS insert_deduplicate = 1, insert_deduplication_token = '"+sink(t, r.direct).Tokens(rows)["flows"]+"-again1-2026-11-23' "+test.again)
		if err := w.Write(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if got := query(t, r.direct, "SELECT count(), uniqExact(time) FROM flows"); got != test.want {
			t.Errorf("%s: rows, times: %s, want %s", token, got, test.want)
		}
		w.burnt(t, test.burnt)
	}
}

// A row that is there must be found, whatever is in it, or it would be stored twice.
func TestVerifyFindsEveryRow(t *testing.T) {
	in := flow.NewInterner()
	for _, storeUUID := range []bool{true, false} {
		c := config(t)
		c.StoreUUID = storeUUID
		w := watch(t, c)
		batches := []*flow.Batch{
			{
				Records: []flow.Record{full(in)}, Connections: []flow.Connection{filled[flow.Connection](in)}, Gaps: []flow.Gap{filled[flow.Gap](in)},
				Pulls: []flow.Pull{filled[flow.Pull](in)}, Items: []flow.Item{filled[flow.Item](in)},
				Charges: []flow.Charge{filled[flow.Charge](in)}, Buckets: []flow.Bucket{filled[flow.Bucket](in)},
			},
			{
				Records: make([]flow.Record, 1), Connections: make([]flow.Connection, 1), Gaps: make([]flow.Gap, 1),
				Pulls: make([]flow.Pull, 1), Items: make([]flow.Item, 1), Charges: make([]flow.Charge, 1), Buckets: make([]flow.Bucket, 1),
			},
		}
		for i, odd := range []time.Time{at("1969-12-31T23:59:59Z"), at("2106-02-07T06:28:16Z"), at("2150-01-01T00:00:00Z"), time.Unix(math.MaxInt64, 0)} {
			batches = append(batches, &flow.Batch{
				Records: []flow.Record{{Time: odd, ProxyPort: uint16(i + 1)}}, Connections: []flow.Connection{{First: odd, ID: flow.UUID{5, byte(i)}}}, Gaps: []flow.Gap{{From: odd, Cause: flow.GapCause(i + 1)}},
				Pulls: []flow.Pull{{Time: odd, ID: flow.UUID{5, byte(i)}}}, Items: []flow.Item{{Time: odd, PrefixLength: uint8(i + 1)}},
				Charges: []flow.Charge{{Time: odd, ID: flow.UUID{5, byte(i)}}}, Buckets: []flow.Bucket{{Time: odd, Used: uint32(i + 1)}},
			})
		}
		for i, text := range hostile {
			b := spread(1, "2026-11-23T12:00:00Z")
			b.Records[0].DNS.Query, b.Connections[0].Cluster, b.Gaps[0].Detail = in.Name(text), in.Name(text), in.Name(text)
			b.Connections[0].ID = flow.UUID{6, byte(i)}
			b.Records[0].Source = flow.End{IP: addr("fe80::1%eth0"), Port: uint16(i)}
			b.Pulls[0].ID, b.Pulls[0].Registry, b.Items[0].Prefix = flow.UUID{6, byte(i)}, in.Name(text), in.Name(text)
			b.Charges[0].ID, b.Charges[0].Service, b.Buckets[0].Bucket = flow.UUID{6, byte(i)}, in.Name(text), in.Name(text)
			batches = append(batches, b)
		}
		for i, b := range batches {
			write(t, w.Sink, fmt.Sprint(i), b)
			write(t, w.Sink, fmt.Sprint(i), b)
		}
		for _, table := range []string{"flows", "connections FINAL", "gaps", "pulls FINAL", "inventory", "charges FINAL", "buckets"} {
			if got, want := query(t, c, "SELECT count() FROM "+table), fmt.Sprint(len(batches)); got != want {
				t.Errorf("%s rows in %s, want %s", got, table, want)
			}
		}
		w.burnt(t, 0)
	}
}

// Rows that a TTL has taken since the first try are not waited for.
func TestVerifyAfterTTL(t *testing.T) {
	c := config(t)
	c.TTLFlows = time.Hour
	w, b := watch(t, c), only("flows", spread(10, "2020-01-01T00:00:00Z"))[0]
	write(t, w.Sink, "a", b)
	query(t, c, "OPTIMIZE TABLE flows FINAL")
	if got := query(t, c, "SELECT count() FROM flows"); got != "0" {
		t.Fatalf("%s rows outlive the TTL", got)
	}
	write(t, w.Sink, "a", b)
	write(t, w.Sink, "a", b)
}

// A column that somebody has made otherwise holds other values than were sent: they must not pass for absent rows.
func TestVerifyColumnOfAnotherType(t *testing.T) {
	c := config(t)
	check(t, c)
	query(t, c, "ALTER TABLE flows MODIFY COLUMN source_port Nullable(UInt64)")
	w, b := watch(t, c), only("flows", spread(10, "2026-11-23T12:00:00Z"))[0]
	write(t, w.Sink, "a", b)
	write(t, w.Sink, "a", b)
	if got := query(t, c, "SELECT count(), max(source_port) FROM flows"); got != "10\t9" {
		t.Errorf("rows, numbers: %s, want 10 and 9", got)
	}
	w.burnt(t, 0)
}

// Tables of other engines may show their rows later, or never.
func TestVerifyOtherEngine(t *testing.T) {
	c := config(t)
	check(t, c)
	query(t, c, "RENAME TABLE flows TO hidden")
	query(t, c, "CREATE TABLE flows AS hidden ENGINE = Null")
	w, b := watch(t, c), only("flows", spread(10, "2026-11-23T12:00:00Z"))[0]
	write(t, w.Sink, "a", b)
	write(t, w.Sink, "a", b)
	w.burnt(t, 0)
}

// rewritten returns the configuration for a link that changes a text in queries into another one of the same length.
func rewritten(t *testing.T, c clickhouse.Config, text, other string) clickhouse.Config {
	t.Helper()
	c.Address = proxy(t, listen(t), c.Address, func(client, server net.Conn) {
		go func() { _, _ = io.Copy(client, server); client.Close() }()
		defer server.Close()
		buf := make([]byte, 1<<16)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if _, err := server.Write(bytes.ReplaceAll(buf[:n], []byte(text), []byte(other))); err != nil {
				return
			}
		}
	})
	return c
}

// Rows that never show are inserted once more and no more often. Here the sink cannot see any.
func TestVerifyEnds(t *testing.T) {
	direct := config(t)
	w, b := watch(t, rewritten(t, direct, " LIMIT 1", " LIMIT 0")), only("flows", spread(10, "2026-11-23T12:00:00Z"))[0]
	write(t, w.Sink, "a", b)
	write(t, w.Sink, "a", b)
	if got := query(t, direct, "SELECT count() FROM flows"); got != "20" {
		t.Errorf("%s rows, want each twice", got)
	}
	w.burnt(t, 1)
}

// A user who may only insert goes on inserting. This engine has one user, so the query is turned into one that is refused.
func TestVerifyWithoutRight(t *testing.T) {
	direct := config(t)
	c := rewritten(t, direct, "SELECT toUInt8(1) ", "CREATE USER u --  ")
	w, b := watch(t, c), only("flows", spread(10, "2026-11-23T12:00:00Z"))[0]
	write(t, w.Sink, "a", b)
	d := collector.Delivery{Token: "a", Batches: []*flow.Batch{b}}
	if err := w.Write(t.Context(), d); err == nil || !strings.Contains(err.Error(), "grant user") {
		t.Errorf("error %v, want one that says what to grant", err)
	}
	write(t, w.Sink, "a", b)
	if got := query(t, direct, "SELECT count() FROM flows"); got != "10" {
		t.Errorf("%s rows, want 10", got)
	}
	w.burnt(t, 0)
	if n := strings.Count(w.log.String(), "grant SELECT"); n != 1 {
		t.Errorf("the log says %d times what to grant, want once:\n%s", n, w.log.String())
	}
}
