package clickhouse

import (
	"fmt"
	"strings"
	"time"

	"sextant/collector/flow"
)

// table is a table as it should be.
type table struct {
	name     string
	columns  []column
	indexes  []string
	like     string // the table whose columns it takes, in full; empty: columns and indexes say them
	options  string // engine, partition and order
	age      string // what a row's age is counted from
	ttl      time.Duration
	settings string
	shard    string // in a cluster, what a row is stored by: the same for rows that are to become one
}

// column is one column of it.
type column struct {
	name, typ, codec, comment string
	words                     []string // of an enum
	materialized              string   // what the server makes it of; empty where rows bring it
	preset                    string   // what it is where rows do not bring it; empty: zero
}

// schema returns the tables.
func (c Config) schema() []table {
	return []table{c.flows(), c.connections(), c.gaps(), c.heartbeats(), c.pulls(), c.inventory(), c.charges(), c.buckets()}
}

// flows has days as partitions, so that old ones are dropped whole. Within one, rows are sorted by five minutes and then by
// who talks to whom: neighbouring rows are then alike and compress three times better than in the order of time alone, and a
// question about one namespace or workload reads little. ClickHouse does not use the first part of that key for a condition
// on time (26.7), hence the minmax index. The bloom filters find the flows of one address. Inserts are deduplicated by token
// over the last thousand.
//
// A row takes 10.1 bytes, 10.9 with the pods in the place of the addresses, which the world has none of, and 13.7 with
// neither (measured with 10 million flows, merged). Questions read the same rows and take the same time in all three: one
// workload's or one address's flows, the last hundred, one connection's story. With quarters of an hour a row takes another
// eighth less, and whoever asks for the last minutes reads three times as much.
func (c Config) flows() table {
	return table{
		name:    "flows",
		columns: columns(flow.Fields),
		indexes: indexes("time"),
		options: "ENGINE = MergeTree\nPARTITION BY toDate(`time`)\nORDER BY (toStartOfFiveMinutes(`time`), " +
			"`source_namespace`, `source_workload`, `destination_namespace`, `destination_workload`, `source_ip`, `destination_ip`, `time`)",
		age:      "`time`",
		ttl:      c.TTLFlows,
		settings: wholeDays,
		shard:    "cityHash64(`source_ip`, `source_port`) + cityHash64(`destination_ip`, `destination_port`)", // both ways of a connection
	}
}

// connections keeps one row of each id, whoever tells of the connection and however often: the one that knows most of it.
// Rows of one id merge only where they stand side by side, so the order has nothing in it but what equal ids have in
// common. That is what the id is made of (track.entry.id): the addresses, and the begin by grains of five seconds, which
// divide the five minutes of the key and the days of the partitions. Names do not belong in it, which one collector knows
// and the other does not.
//
// With the destination before the source a row takes 40.7 bytes, 43.9 the other way round, and 42.8 with the order of flows
// (measured with 189,000 connections of 2 million flows; 16 of them are the id).
func (c Config) connections() table {
	return table{
		name: "connections",
		columns: append(columns(flow.ConnectionFields), column{
			name: "known", typ: "UInt32", codec: "ZSTD(1)", comment: "how much the row knows; of a connection's rows the one with the most stays",
			materialized: known,
		}),
		indexes: indexes("first"),
		options: "ENGINE = ReplacingMergeTree(`known`)\nPARTITION BY toDate(`first`)\nORDER BY (toStartOfFiveMinutes(`first`), " +
			"`destination_ip`, `source_ip`, `id`)",
		age:      "`first`",
		ttl:      c.TTLConnections,
		settings: wholeDays,
		shard:    "cityHash64(`id`)",
	}
}

// known is a number whose highest digits matter most: that the begin was seen, how it went, how many facts there are beyond
// the addresses, who saw it, and how many of its flows.
const known = "toUInt32((`late` = 0) * 134217728" +
	" + transform(toString(`outcome`), ['answered', 'refused', 'denied', 'unanswered'], [4, 3, 2, 1], 0) * 16777216" +
	" + least(toInt8(`class_evidence`) + toInt8(`source_nat_evidence`) + toInt8(`egress_ip_evidence`)" +
	" + notEmpty(`source_workload`) + notEmpty(`destination_workload`) + notEmpty(`destination_name`)" +
	" + (`fallback_of` != toUUID('00000000-0000-0000-0000-000000000000')) + `fallen_back` + `avoidable_ipv4`, 15) * 1048576" +
	" + toInt8(`view`) * 65536 + least(`flows`, 65535))"

// gaps are few, and no part of it is dropped whole.
func (c Config) gaps() table {
	return table{
		name:    "gaps",
		columns: columns(flow.GapFields),
		options: "ENGINE = MergeTree\nORDER BY (`from`, `node`)",
		// A gap that began at an unknown time must not be taken for an old one.
		age:      "greatest(`from`, `to`)",
		ttl:      c.TTLGaps,
		settings: remembers,
		shard:    "cityHash64(`cluster`, `node`)",
	}
}

// heartbeats has one row for each minute of each node, or two where two collectors watch it: whoever asks takes their union,
// so that it does no harm to have one twice. They are kept as long as gaps are, as neither says anything without the other.
func (c Config) heartbeats() table {
	return table{
		name:     "heartbeats",
		columns:  columns(flow.BeatFields),
		options:  "ENGINE = MergeTree\nPARTITION BY toDate(`from`)\nORDER BY (`cluster`, `node`, `from`)",
		age:      "`from`",
		ttl:      c.TTLGaps,
		settings: wholeDays,
		shard:    "cityHash64(`cluster`, `node`)",
	}
}

// pulls keeps one row of each id: several collectors, or one that has started anew, tell of the same event. A query that
// says FINAL looks across partitions. The order must not have more in it than is the same whoever saw the event, and the
// time is not, as it may be estimated. Of the rows the one stays that knows whose the pull was: the pod may be gone when a
// collector starts anew. Partitions are months, as there are far fewer pulls than flows, and an event's time is for anybody
// to choose: one insert may touch a hundred partitions and no more.
func (c Config) pulls() table {
	return table{
		name: "pulls",
		columns: append(columns(flow.PullFields), column{
			name: "resolved", typ: "UInt8", codec: "ZSTD(1)", comment: "1 where the workload is known; such a row of a pull stays",
			materialized: "notEmpty(`workload`)",
		}),
		options:  "ENGINE = ReplacingMergeTree(`resolved`)\nPARTITION BY toYYYYMM(`time`)\nORDER BY (`registry`, `id`)",
		age:      "`time`",
		ttl:      c.TTLPulls,
		settings: remembers,
		shard:    "cityHash64(`id`)",
	}
}

// inventory repeats itself in every snapshot. With a thing's rows side by side, one takes 1.2 bytes (measured with 6,000
// things every five minutes).
func (c Config) inventory() table {
	return table{
		name:     "inventory",
		columns:  columns(flow.ItemFields),
		options:  "ENGINE = MergeTree\nPARTITION BY toDate(`time`)\nORDER BY (`cluster`, `kind`, `namespace`, `name`, `family`, `time`)",
		age:      "`time`",
		ttl:      c.TTLInventory,
		settings: wholeDays,
		shard:    "cityHash64(`cluster`, `kind`, `namespace`, `name`)",
	}
}

const (
	remembers = "non_replicated_deduplication_window = 1000" // tokens of inserts
	wholeDays = "ttl_only_drop_parts = 1, " + remembers
)

func indexes(time string) []string {
	return []string{
		"INDEX time_minmax `" + time + "` TYPE minmax GRANULARITY 1",
		"INDEX source_ip_bloom `source_ip` TYPE bloom_filter(0.01) GRANULARITY 1",
		"INDEX destination_ip_bloom `destination_ip` TYPE bloom_filter(0.01) GRANULARITY 1",
	}
}

// Schema returns the statements that make the database and its tables on an empty server, for those who have to make them
// by hand because the sink's user may not.
func (c Config) Schema() string {
	steps, _ := c.plan(state{servers: []*server{newServer("")}}, nil) // nothing there contradicts nothing
	return strings.Join(texts(steps), ";\n\n") + ";\n"
}

func columns[R any](fields []flow.Field[R]) []column {
	var cols []column
	for i := range fields {
		f := &fields[i]
		col := column{name: f.Name, comment: f.Doc}
		col.typ, col.codec = columnType(f)
		if isEnum8(f) {
			col.words = f.Words
		}
		cols = append(cols, col)
	}
	return cols
}

const timeType = "DateTime64(9, 'UTC')"

// columnType returns the type and the codecs of a field's column. Measured on 10 million flows: ZSTD(1) is best for
// nearly everything, ZSTD(3) pays for addresses and lists, Delta before it for times.
func columnType[R any](f *flow.Field[R]) (typ, codec string) {
	const zstd1, zstd3 = "ZSTD(1)", "ZSTD(3)"
	switch {
	case f.Time != nil:
		return timeType, "Delta(8), " + zstd1
	case f.UUID != nil:
		return "UUID", zstd1
	case f.Addr != nil:
		return "IPv6", zstd3
	case f.Addrs != nil:
		return "Array(IPv6)", zstd3
	case f.U8 != nil:
		return "UInt8", zstd1
	case f.U16 != nil:
		return "UInt16", zstd1
	case f.U32 != nil:
		return "UInt32", zstd1
	case f.U64 != nil:
		return "UInt64", zstd1
	case f.Count != nil:
		return "Nullable(UInt64)", zstd1
	case isEnum8(f):
		return enumType(f.Words), zstd1
	case f.Enum != nil, f.Str != nil:
		return "LowCardinality(String)", zstd1
	case f.Strs != nil:
		return "Array(LowCardinality(String))", zstd3
	}
	panic("clickhouse: field " + f.Name + " has no getter")
}

// isEnum8 reports whether the words of an enum fit the positive half of an Int8.
func isEnum8[R any](f *flow.Field[R]) bool { return f.Enum != nil && len(f.Words) <= maxWords }

const maxWords = 127

// enumType returns the type whose values are the words' indexes.
func enumType(words []string) string {
	values := make(map[string]int, len(words))
	for i, w := range words {
		values[w] = i
	}
	return enumText(words, values)
}

func enumText(words []string, values map[string]int) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s = %d", quote(w), values[w])
	}
	return "Enum8(" + b.String() + ")"
}

// create returns the statement that makes the table of a full name.
func (t table) create(name string) string {
	lines := make([]string, 0, len(t.columns)+len(t.indexes))
	for _, col := range t.columns {
		lines = append(lines, "    "+col.String())
	}
	for _, index := range t.indexes {
		lines = append(lines, "    "+index)
	}
	var ttl string
	if t.ttl != 0 {
		ttl = "\nTTL " + t.ttlText()
	}
	if t.like != "" {
		return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s\nAS %s\n%s", name, t.like, t.options)
	}
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (\n%s\n) %s%s\nSETTINGS %s",
		name, strings.Join(lines, ",\n"), t.options, ttl, t.settings)
}

func (t table) ttlText() string {
	age := "toDateTime(" + t.age + ")"
	if t.ttl%day == 0 {
		return fmt.Sprintf("%s + toIntervalDay(%d)", age, t.ttl/day)
	}
	return fmt.Sprintf("%s + toIntervalSecond(%d)", age, t.ttl/time.Second)
}

// String returns the column as it stands in a statement.
func (c column) String() string {
	var made string
	if c.materialized != "" {
		made = " MATERIALIZED " + c.materialized
	}
	if c.preset != "" {
		made = " DEFAULT " + c.preset
	}
	return fmt.Sprintf("`%s` %s%s COMMENT %s CODEC(%s)", c.name, c.typ, made, quote(c.comment), c.codec)
}

// path returns the table's full name. Neither part comes from a stranger: the database is checked by Validate.
func path(database, table string) string { return "`" + database + "`.`" + table + "`" }

var (
	quoter   = strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	unquoter = strings.NewReplacer(`\\`, `\`, `\'`, `'`)
)

func quote(s string) string { return "'" + quoter.Replace(s) + "'" }
