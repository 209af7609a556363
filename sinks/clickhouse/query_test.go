package clickhouse_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/sinks/clickhouse"
)

func print(t *testing.T, c clickhouse.Config, sql, format string) string {
	t.Helper()
	var out bytes.Buffer
	if err := ask(t, c, sql).Write(&out, format); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Every type in every format; one line per type.
func TestTypes(t *testing.T) {
	c := config(t)
	for _, test := range []struct{ sql, table, json, csv string }{
		{"toUInt64(18446744073709551615)", "18446744073709551615", "18446744073709551615", "18446744073709551615"},
		{"toInt8(-1)", "-1", "-1", "-1"},
		{"toInt256('-99999999999999999999999')", "-99999999999999999999999", `"-99999999999999999999999"`, "-99999999999999999999999"},
		{"toFloat64(0.1)", "0.1", "0.1", "0.1"},
		{"toFloat32(0.1)", "0.1", "0.1", "0.1"},
		{"nan", "NaN", "null", "NaN"},
		{"toDecimal64('1.20', 2)", "1.2", `"1.2"`, "1.2"},
		{"true", "true", "true", "true"},
		{"NULL", "NULL", "null", `\N`},
		{"toNullable('x')", "x", `"x"`, "x"},
		{"CAST(NULL AS Nullable(DateTime))", "NULL", "null", `\N`},
		{"toNullable(toDateTime('2026-11-24 01:02:03', 'UTC'))", "2026-11-24T01:02:03Z", `"2026-11-24T01:02:03Z"`, "2026-11-24T01:02:03Z"},
		{"toNullable(toIPv6('::ffff:192.0.2.1'))", "192.0.2.1", `"192.0.2.1"`, "192.0.2.1"},
		{"toNullable(toInt128(1))", "1", `"1"`, "1"},
		{"'\\x1b\\xc2\\x9b\\xff'", `\x1b\u009b\xff`, `"\u001b\u009b\ufffd"`, "\x1b\u009b\xff"},
		{"'a,\"<b>'", `a,"<b>`, `"a,\"<b>"`, `"a,""<b>"`},
		{"toFixedString('ab', 2)", "ab", `"ab"`, "ab"},
		{"toLowCardinality('x')", "x", `"x"`, "x"},
		{"CAST('b' AS Enum8('a' = 0, 'b' = 1))", "b", `"b"`, "b"},
		{"toDate('2026-11-24')", "2026-11-24", `"2026-11-24"`, "2026-11-24"},
		{"toDateTime('2026-11-24 01:02:03', 'UTC')", "2026-11-24T01:02:03Z", `"2026-11-24T01:02:03Z"`, "2026-11-24T01:02:03Z"},
		{"toDateTime64('2026-11-24 01:02:03.4', 3, 'UTC')", "2026-11-24T01:02:03.400Z", `"2026-11-24T01:02:03.400Z"`, "2026-11-24T01:02:03.400Z"},
		{"[toDateTime64('2026-11-24 01:02:03', 0, 'UTC')]", `["2026-11-24T01:02:03Z"]`, `["2026-11-24T01:02:03Z"]`, `"[""2026-11-24T01:02:03Z""]"`},
		{"toIPv6('2001:DB8::1')", "2001:db8::1", `"2001:db8::1"`, "2001:db8::1"},
		{"toIPv6('::ffff:192.0.2.1')", "192.0.2.1", `"192.0.2.1"`, "192.0.2.1"},
		{"toIPv4('192.0.2.1')", "192.0.2.1", `"192.0.2.1"`, "192.0.2.1"},
		{"[toIPv6('::ffff:192.0.2.1'), toIPv6('::')]", `["192.0.2.1","::"]`, `["192.0.2.1","::"]`, `"[""192.0.2.1"",""::""]"`},
		{"toUUID('6ba7b810-9dad-11d1-80b4-00c04fd430c8')", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", `"6ba7b810-9dad-11d1-80b4-00c04fd430c8"`, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
		{"[1, NULL, 3]", "[1,null,3]", "[1,null,3]", `"[1,null,3]"`},
		{"[nan, 1]", "[null,1]", "[null,1]", `"[null,1]"`},
		{"map('b', toIPv6('::1'), 'a', toIPv6('::'))", `{"a":"::","b":"::1"}`, `{"a":"::","b":"::1"}`, `"{""a"":""::"",""b"":""::1""}"`},
		{"map(1, [nan])", `{"1":[null]}`, `{"1":[null]}`, `"{""1"":[null]}"`},
		{"tuple(1, 'x')", `[1,"x"]`, `[1,"x"]`, `"[1,""x""]"`},
		{"CAST(tuple(1, 'x') AS Tuple(a UInt8, b String))", `{"a":1,"b":"x"}`, `{"a":1,"b":"x"}`, `"{""a"":1,""b"":""x""}"`},
		{"INTERVAL 3 DAY", "3 Days", `"3 Days"`, "3 Days"},
		{"CAST('x' AS Variant(UInt8, String))", "x", `"x"`, "x"},
		{`CAST('{"a": {"b": 1}}' AS JSON)`, `{"a":{"b":1}}`, `{"a":{"b":1}}`, `"{""a"":{""b"":1}}"`},
		{"(1., 2.)::Point", "[1,2]", "[1,2]", `"[1,2]"`},
	} {
		sql := "SELECT " + test.sql + " AS v"
		got := []string{print(t, c, sql, "table"), print(t, c, sql, "json"), print(t, c, sql, "csv")}
		want := []string{test.table + "\n", `{"v":` + test.json + "}\n", "v\n" + test.csv + "\n"}
		_, got[0], _ = strings.Cut(got[0], "\n")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.sql, diff)
		}
	}
}

func TestTable(t *testing.T) {
	c := config(t)
	got := print(t, c, "SELECT * FROM VALUES('node String, flows UInt64, class Nullable(String)', ('worker-1', 5, 'nat64'), ('é', 12345, NULL))", "table")
	want := "" +
		"node      flows  class\n" +
		"worker-1      5  nat64\n" +
		"é         12345  NULL\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got, want := print(t, c, "SELECT 1 AS n WHERE 0", "table"), "n\n"; got != want {
		t.Errorf("no rows: got %q, want %q", got, want)
	}
	got = print(t, c, "SELECT number FROM numbers(12345)", "table")
	if lines := strings.Split(got, "\n"); len(lines) != 10_003 || lines[10_001] != "… and 2345 more rows; json and csv print all" {
		t.Errorf("%d lines, end in %q", len(lines), lines[len(lines)-2:])
	}
	got = print(t, c, "SELECT repeat('é', 600)", "table")
	if want := strings.Repeat("é", 500) + "…\n"; !strings.HasSuffix(got, "\n"+want) {
		t.Errorf("a long cell comes out as %q", got)
	}
}

// A name a stranger chose must not command the terminal.
func TestTableEscapes(t *testing.T) {
	c := config(t)
	got := print(t, c, `SELECT '\x1b]0;owned\x07\r\n\t\0\xff' || char(0xc2, 0x9b) || '\xe2\x80\xae' AS "a\x1b[31m"`, "table")
	want := "a\\x1b[31m" + strings.Repeat(" ", 32) + "\n" + `\x1b]0;owned\a\r\n\t\x00\xff\u009b\u202e` + "\n"
	if diff := cmp.Diff(strings.ReplaceAll(want, " ", ""), strings.ReplaceAll(got, " ", "")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestStatementsWithoutAnswer(t *testing.T) {
	c := config(t)
	db := open(t, c)
	for _, sql := range []string{"CREATE TABLE t (n UInt8) ENGINE = MergeTree ORDER BY n", "INSERT INTO t SELECT 1", "DROP TABLE t"} {
		rows, err := db.Query(t.Context(), sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		var out bytes.Buffer
		for _, format := range clickhouse.Formats {
			if err := rows.Write(&out, format); err != nil || out.Len() > 0 {
				t.Errorf("%s, %s: error %v, output %q", sql, format, err, out.String())
			}
		}
	}
}

func TestQueryErrors(t *testing.T) {
	c, _ := own(t) // an answer that nobody reads to its end can cost the engine its life
	db := open(t, c)
	for sql, want := range map[string]string{
		"SELECT 1 +":                  "Syntax error: failed at position 11 (end of query): . Expected one of:",
		"SELECT count() FROM nothing": "Unknown table expression identifier 'nothing' in scope SELECT count() FROM nothing (code 60)",
		"SELECT a?, {x:String}":       "",
		"SELECT throwIf(number = 70000) FROM numbers(100000)": "Value passed to 'throwIf' function is non-zero",
	} {
		rows, err := db.Query(t.Context(), sql)
		if err == nil {
			err = rows.Write(io.Discard, "csv")
		}
		if err == nil || strings.ContainsAny(err.Error(), "\n") || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "DB::Exception") {
			t.Errorf("%s\n got %v\nwant %s", sql, err, want)
		}
	}
	if err := ask(t, c, "SELECT 1").Write(io.Discard, "xml"); err == nil || err.Error() != `format must be one of table, json, csv, is "xml"` {
		t.Errorf("error %v", err)
	}
	if rows := ask(t, c, "SELECT '?' AS a, 1 ? 2 : 3"); rows == nil { // question marks are SQL, not places to fill
		t.Error("no rows")
	}
}

// Rows come out while the server still makes them, and nothing holds them all.
func TestRowsStream(t *testing.T) {
	c, _ := own(t)
	for _, format := range []string{"json", "csv"} {
		r, w := io.Pipe()
		done := make(chan error)
		rows := ask(t, c, "SELECT number FROM system.numbers") // endless
		go func() { done <- rows.Write(w, format) }()
		if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		r.Close()
		select {
		case err := <-done:
			if !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("error %v, want the writer's", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the query goes on though nobody takes its rows")
		}
	}
}

func TestQueryIsCancelled(t *testing.T) {
	c, server := own(t)
	db := open(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows, err := db.Query(ctx, "SELECT number FROM system.numbers")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err = range rows.All() {
		if n++; n == 1000 {
			cancel()
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	revive(t, server)
	rows, err = db.Query(t.Context(), "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	if err := rows.Write(io.Discard, "json"); err != nil {
		t.Error(err)
	}
}

// A statement that breaks off must not look like one that has nothing to answer.
func TestConnectionLostInQuery(t *testing.T) {
	c, server := own(t)
	for _, sql := range []string{
		"INSERT INTO FUNCTION null('n UInt8') SELECT sleepEachRow(0.2) FROM numbers(15)",
		"SELECT sleepEachRow(0.1) FROM numbers(30) SETTINGS max_block_size = 1",
	} {
		db := open(t, c)
		time.AfterFunc(300*time.Millisecond, server.Kill)
		rows, err := db.Query(t.Context(), sql)
		if err == nil {
			err = rows.Write(io.Discard, "csv")
		}
		if err == nil || !strings.HasPrefix(err.Error(), "clickhouse at "+c.Address) {
			t.Errorf("%s: error %v, want one that names the address", sql, err)
		}
		<-server.Done()
		revive(t, server)
	}
}

func TestDatabaseNeedNotExist(t *testing.T) {
	c := config(t)
	c.Database = "not_there_yet"
	if got := query(t, c, "SELECT 1"); got != "1" {
		t.Errorf("got %q", got)
	}
}

func TestColumns(t *testing.T) {
	want := []clickhouse.Column{{Name: "a", Type: "UInt8"}, {Name: "b", Type: "LowCardinality(String)"}}
	rows := ask(t, config(t), "SELECT 1 AS a, toLowCardinality('') AS b")
	if err := rows.Write(io.Discard, "csv"); err != nil { // an answer left unread can cost the engine its life
		t.Error(err)
	}
	if diff := cmp.Diff(want, rows.Columns); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
