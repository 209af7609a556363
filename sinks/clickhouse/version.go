package clickhouse

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// version is that of the schema. It is raised with every change of it that is more than tables, columns and words added:
	// another key, another meaning, another text of a view. A program that meets a newer version changes nothing.
	version = 3

	// least is the oldest version whose programs may still write to this one. It is raised to version where their rows
	// would be wrong: then they refuse.
	least = 1
)

// ErrNewer says that the schema is of a newer program, and not one that this program may write to.
var ErrNewer = errors.New("schema is too new")

const historyTable = "schema_version"

// history holds a row of every version that the schema has had. Of several programs that came to it at once one stays.
func history() table {
	return table{
		name: historyTable,
		columns: []column{
			{name: "version", typ: "UInt32", codec: "ZSTD(1)", comment: "version of the schema"},
			{name: "least", typ: "UInt32", codec: "ZSTD(1)", comment: "oldest version whose programs may write to it"},
			{name: "program", typ: "String", codec: "ZSTD(1)", comment: "version of the program that made it"},
			{name: "time", typ: "DateTime", codec: "ZSTD(1)", comment: "when it was made", preset: "now()"},
			{name: "statements", typ: "Array(String)", codec: "ZSTD(1)", comment: "the first line of each statement that led to it"},
		},
		options:  "ENGINE = ReplacingMergeTree\nORDER BY `version`",
		settings: "index_granularity = 8192",
		shard:    "`version`",
	}
}

// enter returns the statement that notes the version, and what led to it.
func (c Config) enter(statements []string) string {
	lines := make([]string, 0, len(statements))
	for _, s := range statements {
		lines = append(lines, quote(firstLine(s)))
	}
	return fmt.Sprintf("INSERT INTO %s (`version`, `least`, `program`, `statements`) VALUES (%d, %d, %s, [%s])",
		path(c.Database, historyTable), version, least, quote(c.Program), strings.Join(lines, ", "))
}

// refusal returns why this program must not write to a schema, if it must not.
func (c Config) refusal(have state) error {
	if have.version > version && have.least > version {
		return c.fault(ErrNewer, "database %s has schema version %d, made by sextant %s, and takes rows from version %d on; this program knows version %d; "+
			"use a newer sextant, or another clickhouse.database", c.Database, have.version, have.program, have.least, version)
	}
	return nil
}
