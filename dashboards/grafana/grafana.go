// Package grafana makes Grafana's classic dashboard JSON of the dashboards' definitions, and alert rules that Grafana itself
// evaluates. Both are for Grafana's file provisioning, its API and its import page alike.
//
// It names no data source: a reader chooses them (${clickhouse}, ${prometheus}). Only alert rules name theirs, as Grafana has
// it no other way.
package grafana

import (
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"sextant/dashboards"
)

// Tag is on every dashboard, and what links them.
const Tag = "sextant"

// columns is how wide Grafana's grid is.
const columns = 24

// JSON returns the dashboard as a file.
func JSON(d dashboards.Dashboard) ([]byte, error) {
	built, err := Build(d)
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(built, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
	}
	return append(text, '\n'), nil
}

// Build returns the dashboard, in the form that every Grafana reads: its successor needs a recent one.
//
//nolint:staticcheck // the SDK calls this form deprecated
func Build(d dashboards.Dashboard) (dashboard.Dashboard, error) {
	b := dashboard.NewDashboardBuilder(d.Title).
		Uid(d.UID).Description(d.Doc).Tags([]string{Tag}).
		Timezone("browser").Time("now-6h", "now").Refresh("1m").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("Sextant").
			Type(dashboard.DashboardLinkTypeDashboards).Tags([]string{Tag}).AsDropdown(true).KeepTime(true).IncludeVars(true))
	for _, v := range variables(d) {
		b.WithVariable(v)
	}
	for _, a := range dashboards.Annotations {
		b.Annotation(annotation(a))
	}
	at := place{}
	for i, row := range d.Rows {
		b.WithRow(dashboard.NewRowBuilder(row.Title).Id(uint32(rowIDs + i)).GridPos(at.row()))
		for _, p := range row.Panels {
			drawn, err := panel(p, at.panel(p.Width, p.Height))
			if err != nil {
				return dashboard.Dashboard{}, fmt.Errorf("dashboard %s: panel %d: %w", d.UID, p.ID, err)
			}
			b.WithPanel(drawn)
		}
	}
	built, err := b.Build()
	if err != nil {
		return dashboard.Dashboard{}, fmt.Errorf("dashboard %s: %w", d.UID, err)
	}
	return built, nil
}

// rowIDs is the id of the first row. Rows are panels to Grafana, and need ids that those do not have.
const rowIDs = 1000

// place goes through the grid from left to right and from top to bottom.
type place struct{ x, y, height int }

func (at *place) row() dashboard.GridPos {
	at.y += at.height
	pos := dashboard.GridPos{H: 1, W: columns, Y: uint32(at.y)}
	at.x, at.y, at.height = 0, at.y+1, 0
	return pos
}

func (at *place) panel(width, height int) dashboard.GridPos {
	if at.x+width > columns {
		at.x, at.y, at.height = 0, at.y+at.height, 0
	}
	pos := dashboard.GridPos{H: uint32(height), W: uint32(width), X: uint32(at.x), Y: uint32(at.y)}
	at.x, at.height = at.x+width, max(at.height, height)
	return pos
}

func source(plugin, variable string) common.DataSourceRef {
	return common.DataSourceRef{Type: &plugin, Uid: new("${" + variable + "}")}
}

var (
	clickhouse = source(ClickHouse, "clickhouse")
	prom       = source("prometheus", "prometheus")
)

func annotation(a dashboards.Annotation) *dashboard.AnnotationQueryBuilder {
	return dashboard.NewAnnotationQueryBuilder().Name(a.Name).Enable(true).Datasource(clickhouse).IconColor(colour(a.Colour)).
		Target(ask(a.SQL, tableFormat, 0))
}
