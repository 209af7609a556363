// Package dashboards holds what people look at before they read: dashboards with their panels, alerts, and what each asks,
// declared once. Grafana's dashboards (dashboards/grafana), rules and runbooks (dashboards/rules) and the page that Sextant
// serves itself are made of them.
//
// It asks nobody and draws nothing, and it refuses to build SQL from what a user says: a panel's text never changes, and
// values go to the server as bound parameters, or, in Grafana, as quoted literals.
package dashboards

import "sextant/sinks/clickhouse/cookbook"

// Dashboard is one page of panels.
type Dashboard struct {
	UID   string // stable, as links and bookmarks hold it: letters, digits and hyphens, at most 40
	Title string
	Doc   string // what it answers, in a sentence
	Rows  []Row
}

// Row is a group of panels below one heading.
type Row struct {
	Title  string
	Panels []Panel
}

// Panel is one picture. It asks ClickHouse (SQL) or the running collector (Live), never both.
type Panel struct {
	ID            int // unique within its dashboard and stable, as links hold it
	Title         string
	Doc           string // what is counted, and what the number is not
	Kind          Kind
	Unit          Unit // of its numbers; of a table's columns without one of their own
	Width, Height int  // Width in columns of 24, Height in rows of about 30 pixels

	SQL     SQL
	Columns []Column // of a table, as the query returns them
	Limit   int      // value of the parameter limit; 0 is DefaultLimit

	Live []Series

	Levels  []Level // colours from a value on, ascending; the first holds from the lowest value on
	Stacked bool    // of a timeseries
	Max     float64 // highest value of the axis; 0 is open
}

// DefaultLimit is how many rows a table shows where it does not say otherwise.
const DefaultLimit = 100

// RowLimit returns the value of the panel's parameter limit.
func (p Panel) RowLimit() int {
	if p.Limit == 0 {
		return DefaultLimit
	}
	return p.Limit
}

// Kind is how a panel is drawn, and with it the shape of its answer.
type Kind string

// Kinds.
const (
	Stat       Kind = "stat"       // one row with one number
	TimeSeries Kind = "timeseries" // a column time, perhaps texts that name the series, and numbers; ordered by time
	Bars       Kind = "bargauge"   // a text and a number in each row
	Table      Kind = "table"
)

// Unit is what a number means, in Grafana's words.
type Unit string

// Units.
const (
	Count     Unit = "short"
	Percent   Unit = "percent" // 0 to 100
	Seconds   Unit = "s"
	Millis    Unit = "ms"
	Bytes     Unit = "bytes"
	PerSecond Unit = "cps"
	PerMinute Unit = "cpm"
	PerHour   Unit = "suffix: /h"
	Text      Unit = "string"
	Time      Unit = "time" // a time as the server returns it; Grafana knows it by its type
)

// Level is a colour from a value on.
type Level struct {
	From   float64
	Colour Colour
}

// Colour says how a value is meant.
type Colour string

// Colours.
const (
	Neutral Colour = "neutral"
	Good    Colour = "good"
	Warning Colour = "warning"
	Bad     Colour = "bad"
)

// Find returns the dashboard with that UID.
func Find(uid string) (Dashboard, bool) {
	for _, d := range All() {
		if d.UID == uid {
			return d, true
		}
	}
	return Dashboard{}, false
}

// All returns the dashboards in the order in which they are read.
func All() []Dashboard {
	return []Dashboard{standing(), needs(), waysOut(), limits(), prefixes(), workload(), flows(), itself()}
}

// Panels returns the dashboard's panels in their order.
func (d Dashboard) Panels() []Panel {
	var all []Panel
	for _, r := range d.Rows {
		all = append(all, r.Panels...)
	}
	return all
}

// Variables returns the variables that the dashboard's queries have, in the order of the table of all.
func (d Dashboard) Variables() []Variable {
	used := map[string]bool{}
	for _, p := range d.Panels() {
		for _, name := range p.SQL.Params() {
			used[name] = true
		}
	}
	var list []Variable
	for _, v := range Variables {
		if used[v.Name] {
			list = append(list, v)
		}
	}
	return list
}

// ofNodes returns a table with a name for what has no namespace: what the nodes themselves do.
func ofNodes(p Panel) Panel {
	for i := range p.Columns {
		if p.Columns[i].Name == "namespace" {
			p.Columns[i].Empty = "nodes"
		}
	}
	return p
}

// asked returns a table that shows the answer to a named query.
func asked(id int, name string, width, height int) Panel {
	q, _ := cookbook.Find(name) // a panel that asks nothing is found by the tests
	p := Panel{ID: id, Title: q.Title, Doc: q.Doc, Kind: Table, Unit: Count, Width: width, Height: height, SQL: SQL(q.SQL)}
	for _, c := range q.Columns {
		p.Columns = append(p.Columns, column(c.Name))
	}
	return p
}
