package grafana

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"sextant/dashboards"
)

// panel returns the builder of a panel at its place. Options that have a default are given all the same: the SDK writes
// what is not given as an empty text, which Grafana's own schema does not allow.
func panel(p dashboards.Panel, pos dashboard.GridPos) (cog.Builder[dashboard.Panel], error) {
	from := clickhouse
	if p.Live != nil {
		from = prom
	}
	switch p.Kind {
	case dashboards.Stat:
		return bounded(stat.NewPanelBuilder().Id(uint32(p.ID)).Title(p.Title).Description(p.Doc).GridPos(pos).
			Datasource(from).Targets(targets(p)).Unit(string(p.Unit)).
			Thresholds(thresholds(p.Levels)).ColorScheme(byThreshold()).
			ColorMode(common.BigValueColorModeValue).GraphMode(common.BigValueGraphModeNone).JustifyMode(common.BigValueJustifyModeCenter).
			TextMode(common.BigValueTextModeValue).WideLayout(true).PercentChangeColorMode(common.PercentChangeColorModeStandard).
			Orientation(common.VizOrientationAuto).NoValue("none").
			ReduceOptions(common.NewReduceDataOptionsBuilder().Values(false).Calcs([]string{"lastNotNull"}).Fields("")), p), nil
	case dashboards.Bars:
		return bounded(bargauge.NewPanelBuilder().Id(uint32(p.ID)).Title(p.Title).Description(p.Doc).GridPos(pos).
			Datasource(from).Targets(targets(p)).Unit(string(p.Unit)).Min(0).
			Thresholds(thresholds(p.Levels)).ColorScheme(byThreshold()).
			DisplayMode(common.BarGaugeDisplayModeBasic).ValueMode(common.BarGaugeValueModeText).NamePlacement(common.BarGaugeNamePlacementAuto).
			ShowUnfilled(true).Sizing(common.BarGaugeSizingAuto).Orientation(common.VizOrientationHorizontal).
			Legend(legend(false)).ReduceOptions(common.NewReduceDataOptionsBuilder().Values(true).Limit(float64(p.RowLimit())).Calcs([]string{}).Fields("")), p), nil
	case dashboards.TimeSeries:
		return chart(p, from, pos), nil
	case dashboards.Table:
		b := table.NewPanelBuilder().Id(uint32(p.ID)).Title(p.Title).Description(p.Doc).GridPos(pos).
			Datasource(from).Targets(targets(p)).Unit(string(p.Unit)).
			Thresholds(thresholds(nil)).ColorScheme(byThreshold()).
			CellHeight(common.TableCellHeightSm).ShowHeader(true).Align(common.FieldTextAlignmentAuto).Filterable(true).
			Footer(common.NewTableFooterOptionsBuilder().Show(false).Reducer([]string{}))
		for _, c := range p.Columns {
			b.OverrideByName(c.Name, override(c))
		}
		return b, nil
	}
	return nil, fmt.Errorf("kind %q cannot be drawn", p.Kind)
}

// bounded sets the end of the axis where there is one.
func bounded[B interface{ Max(float64) B }](b B, p dashboards.Panel) B {
	if p.Max > 0 {
		return b.Max(p.Max)
	}
	return b
}

func chart(p dashboards.Panel, from common.DataSourceRef, pos dashboard.GridPos) *timeseries.PanelBuilder {
	fill, stack := 10.0, common.StackingModeNone
	if p.Stacked {
		fill, stack = 60, common.StackingModeNormal
	}
	return bounded(timeseries.NewPanelBuilder().Id(uint32(p.ID)).Title(p.Title).Description(p.Doc).GridPos(pos).
		Datasource(from).Targets(targets(p)).Unit(string(p.Unit)).Min(0).Interval("1m").
		Thresholds(thresholds(p.Levels)).ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdPaletteClassicByName)).
		DrawStyle(common.GraphDrawStyleLine).LineInterpolation(common.LineInterpolationLinear).LineWidth(1).FillOpacity(fill).
		GradientMode(common.GraphGradientModeNone).ShowPoints(common.VisibilityModeAuto).PointSize(5).
		AxisPlacement(common.AxisPlacementAuto).AxisColorMode(common.AxisColorModeText).AxisLabel("").BarAlignment(common.BarAlignmentCenter).
		ScaleDistribution(common.NewScaleDistributionConfigBuilder().Type(common.ScaleDistributionLinear)).
		Stacking(common.NewStackingConfigBuilder().Mode(stack).Group("A")).
		ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeOff)).
		Orientation(common.VizOrientationAuto).
		Legend(legend(true)).Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending)), p)
}

func legend(show bool) *common.VizLegendOptionsBuilder {
	return common.NewVizLegendOptionsBuilder().ShowLegend(show).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom).Calcs([]string{})
}

// targets returns what the panel asks: one query of ClickHouse, or some of Prometheus.
func targets(p dashboards.Panel) []cog.Builder[variants.Dataquery] {
	if p.Live == nil {
		format := tableFormat
		if p.Kind == dashboards.TimeSeries {
			format = timeFormat
		}
		return []cog.Builder[variants.Dataquery]{ask(p.SQL, format, p.RowLimit())}
	}
	var list []cog.Builder[variants.Dataquery]
	for i, s := range p.Live {
		list = append(list, prometheus.NewDataqueryBuilder().Datasource(prom).RefId(string(rune('A'+i))).
			Expr(s.PromQL()).LegendFormat(s.Legend).Range().EditorMode(prometheus.QueryEditorModeCode).Format(prometheus.PromQueryFormatTimeSeries))
	}
	return list
}

func byThreshold() *dashboard.FieldColorBuilder {
	return dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds)
}

func thresholds(levels []dashboards.Level) *dashboard.ThresholdsConfigBuilder {
	if levels == nil {
		levels = []dashboards.Level{{Colour: dashboards.Neutral}}
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps(levels))
}

// steps returns the levels with the lowest one open.
func steps(levels []dashboards.Level) []dashboard.Threshold {
	var list []dashboard.Threshold
	for i, l := range levels {
		s := dashboard.Threshold{Color: colour(l.Colour)}
		if i > 0 {
			s.Value = &l.From
		}
		list = append(list, s)
	}
	return list
}

// plain returns the steps as a reader of overrides, which may be of any form, would get them.
func plain(steps []dashboard.Threshold) []any {
	var list []any
	for _, s := range steps {
		list = append(list, map[string]any{"color": s.Color, "value": s.Value})
	}
	return list
}

func colour(c dashboards.Colour) string {
	return map[dashboards.Colour]string{dashboards.Neutral: "blue", dashboards.Good: "green", dashboards.Warning: "orange", dashboards.Bad: "red"}[c]
}

// override returns what is particular about a column.
func override(c dashboards.Column) []dashboard.DynamicConfigValue {
	list := []dashboard.DynamicConfigValue{{Id: "displayName", Value: c.Title}}
	if c.Unit != "" && c.Unit != dashboards.Time { // Grafana knows a time by its type
		list = append(list, dashboard.DynamicConfigValue{Id: "unit", Value: string(c.Unit)})
	}
	if c.Empty != "" {
		list = append(list, dashboard.DynamicConfigValue{Id: "mappings", Value: []map[string]any{
			{"type": "special", "options": map[string]any{"match": "empty", "result": map[string]any{"text": c.Empty}}},
		}})
	}
	if c.Levels != nil {
		list = append(list,
			dashboard.DynamicConfigValue{Id: "custom.cellOptions", Value: map[string]any{"type": "color-text"}},
			dashboard.DynamicConfigValue{Id: "thresholds", Value: map[string]any{"mode": dashboard.ThresholdsModeAbsolute, "steps": plain(steps(c.Levels))}})
	}
	if c.Link != nil {
		list = append(list, dashboard.DynamicConfigValue{Id: "links", Value: []map[string]any{{"title": c.Link.Title, "url": URL(*c.Link)}}})
	}
	return list
}

// URL returns where a link leads in Grafana, relative to its root, with the time range, the data source and the cluster
// that the reader has chosen.
func URL(l dashboards.Link) string {
	params := []string{"${__url_time_range}", "${clickhouse:queryparam}", "${cluster:queryparam}"}
	for _, v := range l.Vars {
		params = append(params, "var-"+v.Variable+"=${__data.fields."+v.Column+"}")
	}
	return "d/" + l.UID + "?" + strings.Join(params, "&")
}
