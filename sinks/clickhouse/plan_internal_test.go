package clickhouse

import "testing"

func TestTakes(t *testing.T) {
	for _, test := range []struct {
		have, want string
		takes      bool
	}{
		{"UInt64", "UInt64", true},
		{"UInt8", "UInt64", false},
		{"UInt32", "UInt16", true},
		{"Int32", "UInt16", false},
		{"DateTime64(3)", timeType, false},
		{"DateTime", timeType, false},
		{"DateTime64(9)", timeType, true},
		{"UInt64", "Nullable(UInt64)", false},
		{"Nullable(UInt64)", "Nullable(UInt64)", true},
		{"Nullable(UInt64)", "UInt16", true},
		{"IPv4", "IPv6", false},
		{"LowCardinality(String)", "LowCardinality(String)", true},
		{"String", "LowCardinality(String)", true},
		{"LowCardinality(Nullable(String))", "LowCardinality(String)", true},
		{"FixedString(16)", "LowCardinality(String)", false},
		{"Array(String)", "Array(LowCardinality(String))", true},
		{"Array(LowCardinality(String))", "Array(LowCardinality(String))", true},
		{"String", "Array(LowCardinality(String))", false},
		{"Array(IPv6)", "Array(LowCardinality(String))", false},
		{"Enum8('a' = 0, 'b' = 1)", "Enum8('a' = 0)", true},
		{"Enum16('a' = 0)", "Enum8('a' = 0)", true},
		{"LowCardinality(String)", "Enum8('a' = 0)", true},
		{"UInt8", "Enum8('a' = 0)", false},
	} {
		if got := takes(test.have, test.want); got != test.takes {
			t.Errorf("a column of %s takes %s: %v", test.have, test.want, got)
		}
	}
}
