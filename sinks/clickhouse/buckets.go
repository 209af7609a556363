package clickhouse

import "sextant/collector/flow"

// charges keeps one row of each use of a limit, whoever tells of it and however often: the one that knows best which bucket
// it fills. One connection may be a use of several limits, hence the service in the key, and nothing but the two, as
// collectors may differ in all else: the time of a pull may be estimated. A question about some hours has only the
// partitions to keep it from reading everything, so they are days; a query that says FINAL looks across them. Charges are
// kept as long as pulls are: a use that no window holds any more tells what a pull tells.
func (c Config) charges() table {
	return table{
		name: "charges",
		columns: append(columns(flow.ChargeFields), column{
			name: "known", typ: "UInt64", codec: "ZSTD(1)", comment: "how well the row knows what it tells; of the rows of a use the one with the most stays",
			materialized: chargeKnown,
		}),
		options:  "ENGINE = ReplacingMergeTree(`known`)\nPARTITION BY toDate(`time`)\nORDER BY (`service`, `id`)",
		age:      "`time`",
		ttl:      c.TTLPulls,
		settings: wholeDays,
		shard:    "cityHash64(`id`)",
	}
}

// chargeKnown is a number whose highest digits matter most: how the bucket is known, that the service refused, who it was,
// and how many uses. The lowest digits are a hash of what collectors may differ in: of rows that know the same, one is
// chosen that does not depend on which came first, so that the sums of a bucket do not either.
const chargeKnown = "(toUInt64(toInt8(`evidence`)) * 16 + `limited` * 8 + notEmpty(`workload`) * 4 + notEmpty(`image`) * 2 + notEmpty(`node`)) * 1099511627776" +
	" + least(`uses`, 255) * 4294967296" +
	" + CRC32(concat(`bucket`, ' ', toString(`family`), ' ', `node`, ' ', `namespace`, ' ', `workload`, ' ', `pod`, ' ', toString(toUnixTimestamp64Nano(`time`))))"

// buckets has the state of each bucket every few minutes, as each collector knows it, and what probes said. Neighbouring
// rows of one bucket are alike.
func (c Config) buckets() table {
	return table{
		name:     "buckets",
		columns:  columns(flow.BucketFields),
		options:  "ENGINE = MergeTree\nPARTITION BY toDate(`time`)\nORDER BY (`cluster`, `service`, `bucket`, `time`)",
		age:      "`time`",
		ttl:      c.TTLPulls,
		settings: wholeDays,
		shard:    "cityHash64(`cluster`, `service`, `bucket`)",
	}
}
