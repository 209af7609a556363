package clickhouse

// rollup is a table that ClickHouse fills with sums of what is inserted into another one. A migration makes the table as any
// other, and then what fills it, from the rows that are there and from then on.
//
// It is fed with every insert as it comes, before rows of one connection become one: what must not count a connection twice
// has to keep a state that takes the same id twice for once. Hence there is none that counts: a million connections are
// grouped in a fifth of a second without (measured, on two cores), and minima and maxima do not mind repetition.
type rollup struct {
	table table
	query string // a SELECT from one table, in full, whose columns are named as the table's
}

// rollups returns the roll-ups.
func (c Config) rollups() []rollup { return []rollup{c.names()} }

// names remembers, for as long as connections are kept, what workloads were answered when they asked for names: flows tell,
// but are gone long before. A name has an AAAA of its own where an answer holds an address outside of the NAT64 prefixes of
// RFC 6052 and RFC 8215; of a DNS64 with another prefix only the connections tell.
func (c Config) names() rollup {
	const (
		text  = "LowCardinality(String)"
		first = "SimpleAggregateFunction(min, Nullable(" + timeType + "))"
		last  = "SimpleAggregateFunction(max, Nullable(" + timeType + "))"
	)
	t := table{
		name: "names",
		columns: []column{
			{name: "cluster", typ: text, codec: "ZSTD(1)", comment: "cluster"},
			{name: "namespace", typ: text, codec: "ZSTD(1)", comment: "namespace of the workload that asked"},
			{name: "workload", typ: text, codec: "ZSTD(1)", comment: "workload that asked"},
			{name: "name", typ: "String", codec: "ZSTD(1)", comment: "name that it asked for, without the last dot"},
			{name: "last", typ: "SimpleAggregateFunction(max, " + timeType + ")", codec: "ZSTD(1)", comment: "when it was last answered anything (UTC)"},
			{name: "a_first", typ: first, codec: "ZSTD(1)", comment: "when it was first answered an IPv4 address (UTC)"},
			{name: "aaaa_first", typ: first, codec: "ZSTD(1)", comment: "when it was first answered an IPv6 address of the name's own (UTC)"},
			{name: "aaaa_last", typ: last, codec: "ZSTD(1)", comment: "when it was last answered one (UTC)"},
			{name: "dns64_last", typ: last, codec: "ZSTD(1)", comment: "when it was last answered an IPv6 address made up by a DNS64, which says that the name has none (UTC)"},
			{name: "no_aaaa_last", typ: last, codec: "ZSTD(1)", comment: "when it last asked for an IPv6 address and was answered that there is none (UTC)"},
		},
		options:  "ENGINE = AggregatingMergeTree\nORDER BY (`cluster`, `namespace`, `workload`, `name`)",
		age:      "`last`",
		ttl:      c.TTLConnections,
		settings: "non_replicated_deduplication_window = 1000",
	}
	const synthetic = "isIPAddressInRange(toString(x), '64:ff9b::/96') OR isIPAddressInRange(toString(x), '64:ff9b:1::/48')"
	return rollup{table: t, query: `SELECT cluster, destination_namespace AS namespace, destination_workload AS workload, trimRight(dns_query, '.') AS name,
    max(time) AS last,
    minIf(toNullable(time), v4) AS a_first,
    minIf(toNullable(time), own) AS aaaa_first,
    maxIf(toNullable(time), own) AS aaaa_last,
    maxIf(toNullable(time), v6 AND NOT own) AS dns64_last,
    maxIf(toNullable(time), has(dns_types, 'AAAA') AND dns_rcode = 0 AND NOT v6) AS no_aaaa_last
FROM (
    SELECT cluster, destination_namespace, destination_workload, dns_query, dns_types, dns_rcode, time,
        arrayExists(x -> startsWith(toString(x), '::ffff:'), dns_answers) AS v4,
        arrayFilter(x -> NOT startsWith(toString(x), '::ffff:'), dns_answers) AS six,
        notEmpty(six) AS v6,
        arrayExists(x -> NOT (` + synthetic + `), six) AS own
    FROM ` + path(c.Database, "flows") + `
    WHERE l7_type = 'response' AND dns_query != '' AND dns_rcode IN (0, 3) AND destination_namespace != ''
)
GROUP BY cluster, namespace, workload, name`}
}
