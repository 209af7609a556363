package grafana_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sextant/dashboards"
	"sextant/dashboards/grafana"
)

// board is what of a dashboard's JSON the rules look at.
type board struct {
	Panels []struct {
		ID          int    `json:"id"`
		Type        string `json:"type"`
		Title       string `json:"title"`
		Description string `json:"description"`
		GridPos     struct{ X, Y, W, H int }
		Datasource  source
		FieldConfig struct{ Defaults struct{ Unit string } }
		Targets     []struct {
			RefID      string `json:"refId"`
			RawSQL     string `json:"rawSql"`
			Expr       string
			Datasource source
		}
	}
	Templating struct {
		List []struct {
			Name, Type string
			Query      any
			Datasource source
		}
	}
	SchemaVersion int
}

type source struct{ Type, UID string }

var variable = regexp.MustCompile(`\$\{?([a-z][a-z0-9]*)(?::[a-z]+)?\}?`)

// TestJSON holds what is written to the rules that only show there.
func TestJSON(t *testing.T) {
	for _, d := range dashboards.All() {
		text, err := grafana.JSON(d)
		if err != nil {
			t.Fatal(err)
		}
		var b board
		if err := json.Unmarshal(text, &b); err != nil {
			t.Fatal(err)
		}
		if b.SchemaVersion < 36 {
			t.Errorf("%s: schema version %d", d.UID, b.SchemaVersion)
		}
		ids := map[int]bool{}
		taken := map[[2]int]string{}
		for _, p := range b.Panels {
			if p.ID == 0 || ids[p.ID] {
				t.Errorf("%s: panel %q: id %d is no id of its own", d.UID, p.Title, p.ID)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s: panel %q covers %q, or is outside", d.UID, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
				t.Errorf("%s: panel %q: description, unit or target is missing", d.UID, p.Title)
			}
			for _, target := range p.Targets {
				for _, from := range []source{p.Datasource, target.Datasource} {
					if want := map[string]string{grafana.ClickHouse: "${clickhouse}", "prometheus": "${prometheus}"}[from.Type]; from.UID != want || want == "" {
						t.Errorf("%s: panel %q: data source %v is not the reader's choice", d.UID, p.Title, from)
					}
				}
				if strings.Contains(target.RawSQL, ":String}") || strings.Contains(target.RawSQL, "{since") {
					t.Errorf("%s: panel %q: a parameter is left:\n%s", d.UID, p.Title, target.RawSQL)
				}
				if strings.Contains(target.Expr, "rate(") != strings.Contains(target.Expr, "[$__rate_interval]") {
					t.Errorf("%s: panel %q: a rate is one of $__rate_interval: %s", d.UID, p.Title, target.Expr)
				}
				if target.Expr != "" && !strings.Contains(target.Expr, `{job=~"$job"}`) {
					t.Errorf("%s: panel %q: no choice of a job: %s", d.UID, p.Title, target.Expr)
				}
			}
		}
		var declared []string
		for _, v := range b.Templating.List {
			declared = append(declared, v.Name)
		}
		used := map[string]bool{"clickhouse": true}
		for _, m := range variable.FindAllStringSubmatch(string(text), -1) {
			if m[1] == "cluster" && !slices.Contains(declared, "cluster") {
				continue // a link hands it on where it is
			}
			used[m[1]] = true
			if !slices.Contains(declared, m[1]) {
				t.Errorf("%s: uses the variable %s, which is not declared", d.UID, m[1])
			}
		}
		for _, name := range declared {
			if !used[name] {
				t.Errorf("%s: nothing uses the variable %s", d.UID, name)
			}
		}
	}
}
