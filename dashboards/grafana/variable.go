package grafana

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"sextant/dashboards"
)

// variables returns the data sources, and the variables that the dashboard's queries have.
func variables(d dashboards.Dashboard) []cog.Builder[dashboard.VariableModel] {
	list := []cog.Builder[dashboard.VariableModel]{
		dashboard.NewDatasourceVariableBuilder("clickhouse").Label("ClickHouse").Description("Where the history is.").Type(ClickHouse),
	}
	if live(d) {
		list = append(list,
			dashboard.NewDatasourceVariableBuilder("prometheus").Label("Prometheus").Description("Where the metrics are.").Type("prometheus"),
			dashboard.NewQueryVariableBuilder("job").Label("Job").Description("Only the collectors of this job.").
				Datasource(prom).Query(query("label_values("+dashboards.AliveMetric+", job)")).
				Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
				Multi(true).IncludeAll(true).AllValue(".+").Current(option("All", "$__all")))
	}
	for _, v := range d.Variables() {
		switch {
		case v.SQL != "":
			list = append(list, dashboard.NewQueryVariableBuilder(v.Name).Label(v.Title).Description(v.Doc).
				Datasource(clickhouse).Query(query(Expand(v.SQL, 0))).
				Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortDisabled).
				Current(option("all", "")))
		case v.Choices != nil:
			list = append(list, dashboard.NewCustomVariableBuilder(v.Name).Label(v.Title).Description(v.Doc).
				Values(query(strings.Join(v.Choices, ","))).Current(option(v.Default, v.Default)))
		default:
			list = append(list, dashboard.NewTextBoxVariableBuilder(v.Name).Label(v.Title).Description(v.Doc).
				DefaultValue(query(v.Default)).Current(option(v.Default, v.Default)))
		}
	}
	return list
}

// live reports whether a panel of the dashboard asks Prometheus.
func live(d dashboards.Dashboard) bool {
	for _, p := range d.Panels() {
		if p.Live != nil {
			return true
		}
	}
	return false
}

func query(text string) dashboard.StringOrMap { return dashboard.StringOrMap{String: &text} }

func option(text, value string) dashboard.VariableOption {
	return dashboard.VariableOption{
		Selected: new(true), Text: dashboard.StringOrArrayOfString{String: &text}, Value: dashboard.StringOrArrayOfString{String: &value},
	}
}
