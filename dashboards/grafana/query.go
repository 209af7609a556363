package grafana

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"

	"sextant/dashboards"
)

// ClickHouse is the id of Grafana's plugin for ClickHouse.
const ClickHouse = "grafana-clickhouse-datasource"

// Query is a query of that plugin, of which the SDK has none.
type Query struct {
	RefID         string                `json:"refId"`
	Hide          *bool                 `json:"hide,omitempty"`
	Datasource    *common.DataSourceRef `json:"datasource,omitempty"`
	PluginVersion string                `json:"pluginVersion"`
	EditorType    string                `json:"editorType"`
	RawSQL        string                `json:"rawSql"`
	Format        int                   `json:"format"`
	QueryType     string                `json:"queryType"`
}

// The formats of answers that the plugin knows (sqlds).
const (
	timeFormat  = 0
	tableFormat = 1
)

// ask returns the builder of a query.
func ask(sql dashboards.SQL, format, limit int) cog.Builder[variants.Dataquery] {
	kind := "table"
	if format == timeFormat {
		kind = "timeseries"
	}
	return builder{Query{
		RefID: "A", Datasource: &clickhouse, PluginVersion: "4.9.0", EditorType: "sql", RawSQL: Expand(sql, limit), Format: format, QueryType: kind,
	}}
}

// Expand returns the text of a query with Grafana's macros and variables in place of parameters. Values of variables are
// quoted by Grafana.
func Expand(sql dashboards.SQL, limit int) string {
	return sql.Expand(func(name, _ string) string {
		switch name {
		case "since":
			return "toTimeZone($__fromTime_ms, 'UTC')"
		case "until":
			return "toTimeZone($__toTime_ms, 'UTC')"
		case "step":
			return "$__interval_s"
		case "limit":
			return strconv.Itoa(limit)
		}
		return "${" + name + ":sqlstring}"
	})
}

type builder struct{ query Query }

// Build implements cog.Builder.
func (b builder) Build() (variants.Dataquery, error) { return b.query, b.query.Validate() }

// ImplementsDataqueryVariant implements variants.Dataquery.
func (Query) ImplementsDataqueryVariant() {}

// DataqueryType implements variants.Dataquery.
func (Query) DataqueryType() string { return ClickHouse }

// Validate implements variants.Dataquery.
func (q Query) Validate() error {
	if q.RawSQL == "" {
		return cog.MakeBuildErrors("rawSql", errors.New("is empty"))
	}
	return nil
}

// Equals implements variants.Dataquery.
func (q Query) Equals(other variants.Dataquery) bool { return reflect.DeepEqual(q, other) }

// Register makes the SDK read what this package writes. It changes the SDK's one registry of plugins: it is for programs
// that read dashboards, not for a library.
func Register() {
	plugins.RegisterDefaultPlugins()
	cog.NewRuntime().RegisterDataqueryVariant(variants.DataqueryConfig{
		Identifier: ClickHouse, DataqueryUnmarshaler: decode(false), StrictDataqueryUnmarshaler: decode(true),
	})
}

func decode(strict bool) func([]byte) (variants.Dataquery, error) {
	return func(raw []byte) (variants.Dataquery, error) {
		var q Query
		decoder := json.NewDecoder(bytes.NewReader(raw))
		if strict {
			decoder.DisallowUnknownFields()
		}
		if err := decoder.Decode(&q); err != nil {
			return nil, fmt.Errorf("decode ClickHouse query: %w", err)
		}
		return q, nil
	}
}
