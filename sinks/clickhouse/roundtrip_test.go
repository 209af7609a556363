package clickhouse_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
)

// filled returns a value in which everything is set, and everything to something else: a name is the path to its field.
func filled[R any](in *flow.Interner) R {
	f := filler{in: in}
	return f.value(reflect.TypeFor[R](), "").Interface().(R)
}

func full(in *flow.Interner) flow.Record { return filled[flow.Record](in) }

type filler struct {
	in *flow.Interner
	n  int // values so far
}

func (f *filler) value(typ reflect.Type, path string) reflect.Value {
	f.n++
	v := reflect.New(typ).Elem()
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = at("2026-11-24T05:06:07.123456789Z").Add(time.Duration(f.n) * time.Second)
	case *netip.Addr:
		*p = netip.AddrFrom4([4]byte{192, 0, 2, byte(f.n)})
		if f.n%2 == 0 {
			*p = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(f.n)})
		}
	case *flow.UUID:
		*p = flow.UUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, byte(f.n)}
	case *flow.Name:
		*p = f.in.Name(path)
	case *flow.Names:
		*p = names(f.in, path, "x", path+"'s")
	case *flow.Ref[flow.Endpoint]:
		*p = f.in.Endpoint(f.value(reflect.TypeFor[flow.Endpoint](), path).Interface().(flow.Endpoint))
	case *flow.Count:
		*p = flow.Count{N: math.MaxUint64 - uint64(f.n), Known: true}
	case fmt.Stringer: // an enum: its last word
		zero, last := p.String(), uint64(0)
		for n := range uint64(1 << 10) {
			if v.SetUint(n); v.Uint() == n && p.String() != zero {
				last = n
			}
		}
		v.SetUint(last)
	default:
		f.plain(v, path)
	}
	return v
}

func (f *filler) plain(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			v.Field(i).Set(f.value(v.Field(i).Type(), path+"."+v.Type().Field(i).Name))
		}
	case reflect.Slice:
		for range 3 {
			v.Set(reflect.Append(v, f.value(v.Type().Elem(), path)))
		}
	case reflect.Bool:
		v.SetBool(true)
	default:
		v.SetUint(math.MaxUint64>>(64-v.Type().Bits()) - uint64(f.n))
	}
}

func asJSON[R any](fields []flow.Field[R], r R) string {
	line := flow.AppendJSON(nil, "x", fields, &r)
	return "{" + strings.TrimPrefix(string(line), `{"record":"x",`)
}

// different fails for every field that is the same in both.
func different[R any](t *testing.T, fields []flow.Field[R], a, b R) {
	t.Helper()
	var x, y map[string]any
	if err := json.Unmarshal([]byte(asJSON(fields, a)), &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(asJSON(fields, b)), &y); err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		if cmp.Equal(x[f.Name], y[f.Name]) {
			t.Errorf("%s is the same, %v, in a full row and in an empty one", f.Name, x[f.Name])
		}
	}
}

func stored(t *testing.T, c clickhouse.Config, sql string) string {
	t.Helper()
	var out bytes.Buffer
	if err := ask(t, c, sql).Write(&out, "json"); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestEveryFieldComesBack(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	record, connection, gap := full(in), filled[flow.Connection](in), filled[flow.Gap](in)
	pull, item := filled[flow.Pull](in), filled[flow.Item](in)
	charge, bucket := filled[flow.Charge](in), filled[flow.Bucket](in)
	different(t, flow.Fields, record, flow.Record{})
	different(t, flow.ConnectionFields, connection, flow.Connection{})
	different(t, flow.GapFields, gap, flow.Gap{})
	different(t, flow.PullFields, pull, flow.Pull{})
	different(t, flow.ItemFields, item, flow.Item{})
	different(t, flow.ChargeFields, charge, flow.Charge{})
	different(t, flow.BucketFields, bucket, flow.Bucket{})

	write(t, sink(t, c), "1", &flow.Batch{
		Records: []flow.Record{record}, Connections: []flow.Connection{connection}, Gaps: []flow.Gap{gap},
		Pulls: []flow.Pull{pull}, Items: []flow.Item{item}, Charges: []flow.Charge{charge}, Buckets: []flow.Bucket{bucket},
	})
	for table, sent := range map[string]string{
		"flows": asJSON(flow.Fields, record), "connections": asJSON(flow.ConnectionFields, connection), "gaps": asJSON(flow.GapFields, gap),
		"pulls": asJSON(flow.PullFields, pull), "inventory": asJSON(flow.ItemFields, item),
		"charges": asJSON(flow.ChargeFields, charge), "buckets": asJSON(flow.BucketFields, bucket),
	} {
		if diff := cmp.Diff(sent+"\n", stored(t, c, "SELECT * FROM "+table)); diff != "" {
			t.Errorf("%s (-sent +stored)\n%s", table, diff)
		}
	}
}

func TestEmptyRows(t *testing.T) {
	for _, compression := range []string{"lz4", "none"} {
		c := config(t)
		c.Compression = compression
		write(t, sink(t, c), "1", &flow.Batch{
			Records: make([]flow.Record, 1), Connections: make([]flow.Connection, 1), Gaps: make([]flow.Gap, 1),
			Pulls: make([]flow.Pull, 1), Items: make([]flow.Item, 1), Charges: make([]flow.Charge, 1), Buckets: make([]flow.Bucket, 1),
		})
		absent := strings.NewReplacer(
			`"time":null`, `"time":"1970-01-01T00:00:00.000000000Z"`,
			`"first":null`, `"first":"1970-01-01T00:00:00.000000000Z"`,
			`"last":null`, `"last":"1970-01-01T00:00:00.000000000Z"`,
			`"from":null`, `"from":"1970-01-01T00:00:00.000000000Z"`,
			`"to":null`, `"to":"1970-01-01T00:00:00.000000000Z"`,
			`id":null`, `id":"00000000-0000-0000-0000-000000000000"`,
			`fallback_of":null`, `fallback_of":"00000000-0000-0000-0000-000000000000"`,
			`_ip":null`, `_ip":"::"`,
			`ipv4":null`, `ipv4":"::"`,
		)
		for table, sent := range map[string]string{
			"flows": asJSON(flow.Fields, flow.Record{}), "connections": asJSON(flow.ConnectionFields, flow.Connection{}),
			"gaps": asJSON(flow.GapFields, flow.Gap{}), "pulls": asJSON(flow.PullFields, flow.Pull{}), "inventory": asJSON(flow.ItemFields, flow.Item{}),
			"charges": asJSON(flow.ChargeFields, flow.Charge{}), "buckets": asJSON(flow.BucketFields, flow.Bucket{}),
		} {
			if diff := cmp.Diff(absent.Replace(sent)+"\n", stored(t, c, "SELECT * FROM "+table)); diff != "" {
				t.Errorf("%s, %s (-sent +stored)\n%s", table, compression, diff)
			}
		}
	}
}

func TestAddressesShareAColumn(t *testing.T) {
	c := config(t)
	write(t, sink(t, c), "1", batch(
		flow.Record{AggregatedFlows: 1, Source: flow.End{IP: addr("192.0.2.1")}},
		flow.Record{AggregatedFlows: 2, Source: flow.End{IP: addr("2001:db8::1")}},
		flow.Record{AggregatedFlows: 3},
	))
	want := "192.0.2.1\t0\n2001:db8::1\t1\n::\t1"
	if got := query(t, c, "SELECT source_ip, NOT startsWith(IPv6NumToString(source_ip), '::ffff:') FROM flows ORDER BY aggregated_flows"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := query(t, c, "SELECT count() FROM flows WHERE source_ip = toIPv6('192.0.2.1')"); got != "1" {
		t.Errorf("%s rows found by IPv4 address, want 1", got)
	}
}

func TestUnknownCountIsNull(t *testing.T) {
	c := config(t)
	write(t, sink(t, c), "1", batch(flow.Record{}, flow.Record{Bytes: flow.Count{Known: true}}, flow.Record{Bytes: flow.Count{N: 5, Known: true}}))
	if got, want := query(t, c, "SELECT bytes FROM flows ORDER BY bytes"), "0\n5\nNULL"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUUIDOnlyWhenAskedFor(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	c.StoreUUID = false
	write(t, sink(t, c), "1", batch(full(in)))
	if got, want := query(t, c, "SELECT uuid, node FROM flows"), "00000000-0000-0000-0000-000000000000\t.Node"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTimesOutsideOfTheType(t *testing.T) {
	c := config(t)
	write(t, sink(t, c), "1", batch(
		flow.Record{AggregatedFlows: 1, Time: at("1969-12-31T23:59:59Z")},
		flow.Record{AggregatedFlows: 2, Time: at("9999-12-31T23:59:59Z")},
		flow.Record{AggregatedFlows: 3, Time: time.Unix(math.MaxInt64, 0)},
	))
	want := "1970-01-01T00:00:00.000000000Z\n2262-04-11T23:47:16.854775807Z\n2262-04-11T23:47:16.854775807Z"
	if got := query(t, c, "SELECT time FROM flows ORDER BY aggregated_flows"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Names decide by their number which text is stored: the rows of one delivery have more distinct ones than fit 8 and 16
// bits, come in several batches, from interners that give the same numbers to different names, and in columns of one
// name and of lists.
func TestManyNames(t *testing.T) {
	c := config(t)
	s := sink(t, c)
	for _, size := range []int{200, 300, 70_000, 10} {
		interners := []*flow.Interner{flow.NewInterner(), flow.NewInterner()}
		var batches []*flow.Batch
		for i := range size {
			if i%1000 == 0 {
				batches = append(batches, &flow.Batch{})
			}
			in := interners[i/10%2]
			pod := fmt.Sprint("pod-", i)
			batches[len(batches)-1].Records = append(batches[len(batches)-1].Records, flow.Record{
				AggregatedFlows: uint32(i),
				Node:            in.Name(fmt.Sprint("node-", i%7)),
				Source:          flow.End{Endpoint: in.Endpoint(flow.Endpoint{Pod: in.Name(pod)}), Names: names(in, pod, "all")},
				TCPFlags:        flow.TCPFlags(i % 512),
			})
		}
		write(t, s, fmt.Sprint(size), batches...)
		got := query(t, c, `SELECT count(), uniqExact(source_pod), uniqExact(tcp_flags),
			countIf(source_pod = concat('pod-', toString(aggregated_flows))),
			countIf(source_names = [source_pod, 'all']),
			countIf(node = concat('node-', toString(aggregated_flows % 7))) FROM flows`)
		want := fmt.Sprintf("%d\t%[1]d\t%d\t%[1]d\t%[1]d\t%[1]d", size, min(size, 512))
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		query(t, c, "TRUNCATE TABLE flows")
	}
}

var hostile = []string{
	`'; DROP TABLE flows; --`, `\`, `\'`, "`", `"`, "a\x00b", "\x00", "\xff\xfe\xc3", "\n\r\t", "\u202e\u2028", "{x:String}", "?", "''", "ﬀ🚢",
	strings.Repeat(`é'\`, 2500),
}

func TestHostileNames(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	b := &flow.Batch{}
	for i, text := range hostile {
		n := in.Name(text)
		b.Records = append(b.Records, flow.Record{
			AggregatedFlows: uint32(i), Node: n, DNS: flow.DNS{Query: n},
			Source: flow.End{Names: names(in, text, text), Endpoint: in.Endpoint(flow.Endpoint{Namespace: n})},
		})
	}
	write(t, sink(t, c), "1", b)
	rows := values(t, c, "SELECT node, dns_query, source_names, source_namespace FROM flows ORDER BY aggregated_flows")
	for i, row := range rows {
		text := hostile[i]
		if diff := cmp.Diff([]any{text, text, []any{text, text}, text}, row); diff != "" {
			t.Errorf("(-sent +stored)\n%s", diff)
		}
	}
	if len(rows) != len(hostile) {
		t.Errorf("%d rows, want %d", len(rows), len(hostile))
	}
	query(t, c, "SYSTEM FLUSH LOGS")
	inserts := query(t, c, "SELECT DISTINCT query FROM system.query_log WHERE query_kind = 'Insert' AND has(databases, currentDatabase())")
	if !strings.HasPrefix(inserts, "INSERT INTO") || strings.Contains(inserts, "DROP") {
		t.Errorf("names stand in the text of a query: %s", inserts)
	}
}
