package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sextant/dashboards"
	"sextant/dashboards/grafana"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/cookbook"
)

// TestDashboards asks every panel about the recorded cluster, as the page does and as Grafana does.
func TestDashboards(t *testing.T) {
	t.Parallel()
	c := stored(t)
	db, err := clickhouse.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ask := func(t *testing.T, sql string, values map[string]string) (columns []string, rows [][]any) {
		t.Helper()
		answer, err := db.Query(clickhouse.WithParameters(t.Context(), values), sql)
		if err != nil {
			t.Errorf("%v\n%s", err, sql)
			return nil, nil
		}
		for _, c := range answer.Columns {
			columns = append(columns, c.Name)
		}
		for row, err := range answer.All() {
			if err != nil {
				t.Errorf("%v\n%s", err, sql)
				return columns, nil
			}
			rows = append(rows, append([]any(nil), row...))
		}
		return columns, rows
	}
	for _, v := range dashboards.Variables {
		if v.SQL == "" {
			continue
		}
		t.Run("variable/"+v.Name, func(t *testing.T) {
			columns, rows := ask(t, string(v.SQL), pageValues(t, v.SQL, 0))
			if diff := cmp.Diff([]string{"id", "text"}, columns); diff != "" || len(rows) < 2 || rows[0][0] != "" || rows[0][1] != "all" {
				t.Errorf("must be all, and then something: %v %v", columns, rows)
			}
			_, again := ask(t, asGrafana(t, grafana.Expand(v.SQL, 0))+"\nSETTINGS session_timezone = 'Asia/Tokyo'", nil)
			if diff := cmp.Diff(rows, again); diff != "" {
				t.Errorf("in Grafana (-page +grafana)\n%s", diff)
			}
		})
	}
	t.Run("alerts", func(t *testing.T) { checkHistoryAlerts(t, ask) })
	t.Run("named", func(t *testing.T) { checkNamed(t, c, ask) })
	var shares []string
	for _, d := range dashboards.All() {
		for _, p := range d.Panels() {
			if p.SQL == "" {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", d.UID, p.ID), func(t *testing.T) {
				columns, rows := ask(t, string(p.SQL), pageValues(t, p.SQL, p.RowLimit()))
				if len(rows) == 0 && !emptyByNature[fmt.Sprintf("%s/%d", d.UID, p.ID)] {
					t.Errorf("%q answers nothing about the recorded cluster", p.Title)
				}
				var names []string
				for _, c := range p.Columns {
					names = append(names, c.Name)
				}
				if p.Kind == dashboards.Table {
					if diff := cmp.Diff(names, columns); diff != "" {
						t.Errorf("columns of %q (-declared +answered)\n%s", p.Title, diff)
					}
				}
				if strings.HasPrefix(p.Title, "IPv6") && p.Unit == dashboards.Percent && len(rows) == 1 {
					shares = append(shares, fmt.Sprint(rows[0][0]))
				}
				for _, row := range rows {
					checkShape(t, p, columns, row)
				}
				if p.Title == storageTitle { // the server's own tables grow while they are asked for
					return
				}
				_, again := ask(t, asGrafana(t, grafana.Expand(p.SQL, p.RowLimit()))+"\nSETTINGS session_timezone = 'Asia/Tokyo'", nil)
				if diff := cmp.Diff(rows, again); diff != "" {
					t.Errorf("%q in Grafana answers otherwise (-page +grafana)\n%s", p.Title, diff)
				}
			})
		}
	}
	t.Run("shares", func(t *testing.T) { checkShares(t, c, shares) })
	t.Run("marks", func(t *testing.T) { checkMarks(t, ask) })
}

// checkNamed asks the named queries as a panel in Grafana would.
func checkNamed(t *testing.T, c clickhouse.Config, ask func(*testing.T, string, map[string]string) ([]string, [][]any)) {
	recent, err := asked(t, c, "recent", "--limit", "1")
	if err != nil || len(recent) != 1 {
		t.Fatalf("recent: %v, %v", recent, err)
	}
	for _, q := range cookbook.Queries {
		sql := strings.ReplaceAll(grafana.Expand(dashboards.SQL(q.SQL), 50), "${id:sqlstring}", "'"+recent[0]["id"].(string)+"'")
		if _, rows := ask(t, asGrafana(t, sql), nil); len(rows) == 0 && q.Name != "pulls" && q.Name != "rate-limited" { // these were not recorded
			t.Errorf("%s answers nothing in Grafana", q.Name)
		}
	}
}

// checkShares sees to it that the dashboards and the named query tell the same share; that this is the one that the metrics
// tell is TestMetricsAndViewsAgree's.
func checkShares(t *testing.T, c clickhouse.Config, shares []string) {
	rows, err := asked(t, c, "adoption")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{fmt.Sprint(rows[0]["ipv6_percent"]), fmt.Sprint(rows[0]["application_percent"]), fmt.Sprint(rows[0]["ipv6_percent"]), fmt.Sprint(rows[0]["ipv6_percent"])}
	if diff := cmp.Diff(want, shares); diff != "" {
		t.Errorf("shares (-named query +panels)\n%s", diff)
	}
}

// checkMarks sees what is marked in charts: a gap, and an image that is pulled for the first time.
func checkMarks(t *testing.T, ask func(*testing.T, string, map[string]string) ([]string, [][]any)) {
	ask(t, `INSERT INTO gaps (node, cluster, from, to, cause, detail) VALUES ('node-1', 'lab', '2026-11-24 03:30:00', '2026-11-24 03:31:00', 'node_unavailable', 'no route')`, nil)
	ask(t, `INSERT INTO pulls (time, id, cluster, node, registry, repository, tag, namespace, workload, result, pulls) VALUES
    ('2026-11-24 03:29:00', generateUUIDv4(), 'lab', 'node-1', 'registry-1.docker.io', 'library/nginx', '1.29', 'shop', 'web', 'pulled', 1),
    ('2026-11-24 03:32:00', generateUUIDv4(), 'lab', 'node-2', 'registry-1.docker.io', 'library/nginx', '1.29', 'shop', 'web', 'pulled', 1)`, nil)
	want := map[string]string{
		"Gaps":        "[2026-11-24T03:30:00.000000000Z 2026-11-24T03:31:00.000000000Z node-1: no route node_unavailable]",
		"Deployments": "[2026-11-24T03:29:00.000000000Z 2026-11-24T03:29:00.000000000Z shop/web starts to pull registry-1.docker.io/library/nginx:1.29 deployment]",
	}
	for _, a := range dashboards.Annotations {
		columns, rows := ask(t, string(a.SQL), pageValues(t, a.SQL, 0))
		if diff := cmp.Diff([]string{"time", "timeEnd", "text", "tags"}, columns); diff != "" {
			t.Errorf("annotation %s (-want +got)\n%s", a.Name, diff)
		}
		if len(rows) != 1 || fmt.Sprint(rows[0]) != want[a.Name] {
			t.Errorf("annotation %s: %v, want %s", a.Name, rows, want[a.Name])
		}
		_, again := ask(t, asGrafana(t, grafana.Expand(a.SQL, 0)), nil)
		if diff := cmp.Diff(rows, again); diff != "" {
			t.Errorf("annotation %s (-page +grafana)\n%s", a.Name, diff)
		}
	}
	d, _ := dashboards.Find("sextant-limits")
	for _, p := range d.Panels() {
		if p.ID == 33 {
			if _, rows := ask(t, string(p.SQL), pageValues(t, p.SQL, 10)); len(rows) != 2 {
				t.Errorf("%s: %v", p.Title, rows)
			}
		}
	}
}

// checkHistoryAlerts sees alerts that ask the history: what is unexpected is told, what is allowed is not, nor anything while
// too little was observed.
func checkHistoryAlerts(t *testing.T, ask func(*testing.T, string, map[string]string) ([]string, [][]any)) {
	answer := func(change func(*dashboards.Config)) (lines []string) {
		c := dashboards.Default()
		change(&c)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, a := range dashboards.Alerts(c) {
			if a.SQL == "" {
				continue
			}
			columns, rows := ask(t, string(a.SQL), pageValues(t, a.SQL, 0))
			_, again := ask(t, asGrafana(t, grafana.Expand(a.SQL, 0)), nil)
			if diff := cmp.Diff(rows, again, cmpopts.SortSlices(func(a, b []any) bool { return fmt.Sprint(a) < fmt.Sprint(b) })); diff != "" {
				t.Errorf("%s (-bound +grafana)\n%s", a.Name, diff)
			}
			if diff := cmp.Diff(append(slices.Clone(a.About), "connections"), columns); diff != "" {
				t.Errorf("%s: columns (-want +got)\n%s", a.Name, diff)
			}
			for _, row := range rows {
				lines = append(lines, fmt.Sprint(row[1:]...))
			}
		}
		slices.Sort(lines)
		return lines
	}
	all := answer(func(*dashboards.Config) {})
	if len(all) < 6 || !slices.Contains(all, "legacyerp-clientliteral29") {
		t.Errorf("unexpected: %q", all)
	}
	if got := answer(func(c *dashboards.Config) { c.Completeness = 0.99 }); got != nil {
		t.Errorf("told although too little was observed: %q", got)
	}
	for entry, gone := range map[string]string{
		"namespace=legacy until=2999-01-01":                       "legacyerp-clientliteral29",
		"workload=erp-client until=2026-01-01":                    "", // has ended
		"name=*.example.org namespace=backend until=2999-01-01":   "",
		"prefix=203.0.113.0/24 namespace=legacy until=2999-01-01": "legacyerp-clientliteral29",
	} {
		got := answer(func(c *dashboards.Config) { c.AllowIPv4 = []string{entry} })
		if slices.Equal(all, got) != strings.HasSuffix(entry, "2026-01-01") || gone != "" && slices.Contains(got, gone) {
			t.Errorf("%s: %q, without it %q", entry, got, all)
		}
	}
}

// What nobody recorded: there was no kubelet, whose events tell of image pulls, and no registry that refuses.
var emptyByNature = map[string]bool{"sextant-limits/33": true, "sextant-limits/34": true}

const storageTitle = "What does the history take on disk, and what would more of it take?"

// checkShape sees to it that an answer can be drawn as the panel's kind.
func checkShape(t *testing.T, p dashboards.Panel, columns []string, row []any) {
	t.Helper()
	number := func(v any) bool {
		switch v.(type) {
		case int64, uint64, float64, int, uint8, uint32, int32, nil:
			return true
		}
		return false
	}
	ok := true
	switch p.Kind {
	case dashboards.Stat:
		ok = len(row) == 1 && number(row[0])
	case dashboards.Bars:
		_, text := row[0].(string)
		ok = len(row) == 2 && text && number(row[1])
	case dashboards.TimeSeries:
		ok = columns[0] == "time" && len(row) > 1
		for _, v := range row[1:] {
			_, text := v.(string)
			ok = ok && (text || number(v))
		}
	}
	if !ok {
		t.Errorf("%q cannot be drawn as %s: %v %#v", p.Title, p.Kind, columns, row)
	}
}

// pageValues returns the parameters of a panel's query as the page binds them.
func pageValues(t *testing.T, sql dashboards.SQL, limit int) map[string]string {
	t.Helper()
	since, until := recordedWindow(t)
	const layout = "2006-01-02 15:04:05.000"
	all := map[string]string{
		"since": since.Format(layout), "until": until.Format(layout), "step": "60", "limit": fmt.Sprint(limit), "target": "95",
	}
	values := map[string]string{}
	for _, name := range sql.Params() {
		values[name] = all[name]
	}
	return values
}

// asGrafana expands what Grafana and its plugin for ClickHouse expand, as those do it.
func asGrafana(t *testing.T, sql string) string {
	t.Helper()
	since, until := recordedWindow(t)
	for macro, text := range map[string]string{
		`\$__fromTime_ms\b`:      fmt.Sprintf("fromUnixTimestamp64Milli(%d)", since.UnixMilli()),
		`\$__toTime_ms\b`:        fmt.Sprintf("fromUnixTimestamp64Milli(%d)", until.UnixMilli()),
		`\$__interval_s\b`:       "60",
		`\$\{target:sqlstring\}`: "'95'",
	} {
		sql = regexp.MustCompile(macro).ReplaceAllString(sql, text)
	}
	return regexp.MustCompile(`\$\{[a-z]+:sqlstring\}`).ReplaceAllString(sql, "''")
}

func recordedWindow(t *testing.T) (since, until time.Time) {
	t.Helper()
	since, err := time.Parse(time.RFC3339, recordedSince)
	if err != nil {
		t.Fatal(err)
	}
	until, err = time.Parse(time.RFC3339, recordedUntil)
	if err != nil {
		t.Fatal(err)
	}
	return since, until
}
