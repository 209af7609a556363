package dashboards_test

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/dashboards"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/cookbook"
)

var (
	quoted     = regexp.MustCompile(`'[^']*'`)
	identifier = regexp.MustCompile("`?[a-z_][a-z_0-9]*`?")
	table      = regexp.MustCompile(`(?:FROM|JOIN) ([a-z0-9_]+)`)
)

// TestReads sees to it that Reads has all columns that queries name, and no others: then whoever renames a column does not
// compile before having looked here.
func TestReads(t *testing.T) {
	sources := map[string]map[string]string{} // column to the Go name
	note := func(source, path string, columns any) {
		sources[source] = map[string]string{}
		v := reflect.ValueOf(columns)
		for i := range v.NumField() {
			sources[source][v.Field(i).String()] = path + "." + v.Type().Field(i).Name
		}
	}
	views := reflect.ValueOf(clickhouse.ViewColumns)
	for view := range clickhouse.Default().Views() {
		for i := range views.NumField() {
			if field := views.Type().Field(i).Name; strings.EqualFold(field, strings.ReplaceAll(view, "_", "")) {
				note(view, "of."+field, views.Field(i).Interface())
			}
		}
	}
	note("flows", "flow.RecordColumns", flow.RecordColumns)
	note("connections", "flow.ConnectionColumns", flow.ConnectionColumns)
	note("gaps", "flow.GapColumns", flow.GapColumns)
	note("heartbeats", "flow.BeatColumns", flow.BeatColumns)
	note("charges", "flow.ChargeColumns", flow.ChargeColumns)

	want := map[string]map[string]bool{}
	for _, sql := range ownQueries() {
		text := quoted.ReplaceAllString(string(sql), "")
		for _, m := range table.FindAllStringSubmatch(text, -1) {
			columns, known := sources[m[1]]
			if !known {
				t.Errorf("nobody knows %s, which is read by\n%s", m[1], sql)
			}
			if want[m[1]] == nil {
				want[m[1]] = map[string]bool{}
			}
			for _, word := range identifier.FindAllString(text, -1) {
				if _, is := columns[strings.Trim(word, "`")]; is {
					want[m[1]][strings.Trim(word, "`")] = true
				}
			}
		}
	}
	got := map[string]map[string]bool{}
	for source, columns := range dashboards.Reads {
		got[source] = map[string]bool{}
		for _, c := range columns {
			got[source][c] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the columns that queries name (-named +in Reads)\n%s", diff)
	}
}

// ownQueries returns all queries but those of the cookbook.
func ownQueries() (all []dashboards.SQL) {
	for _, d := range dashboards.All() {
		for _, p := range d.Panels() {
			named := slices.ContainsFunc(cookbook.Queries, func(q cookbook.Query) bool { return q.SQL == string(p.SQL) })
			if p.SQL != "" && !named {
				all = append(all, p.SQL)
			}
		}
	}
	for _, v := range dashboards.Variables {
		all = append(all, v.SQL)
	}
	for _, a := range dashboards.Annotations {
		all = append(all, a.SQL)
	}
	for _, a := range dashboards.Alerts(dashboards.Default()) {
		all = append(all, a.SQL)
	}
	return all
}
