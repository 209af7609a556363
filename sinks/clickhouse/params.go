package clickhouse

import (
	"context"
	"strings"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"
)

// WithParameters returns a context for DB.Query whose statement may name parameters, as in {namespace:String}. The server
// takes their values as values of those types, whatever is in them: they are never part of the statement.
func WithParameters(ctx context.Context, values map[string]string) context.Context {
	escaped := driver.Parameters{}
	for name, value := range values {
		escaped[name] = parameter.Replace(value)
	}
	return driver.Context(ctx, driver.WithParameters(escaped))
}

// TimeParameter returns a time as a parameter of the type DateTime64(3, 'UTC') takes it.
func TimeParameter(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// parameter escapes a value, which the server reads as it reads a cell of its format TabSeparated.
var parameter = strings.NewReplacer(`\`, `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)
