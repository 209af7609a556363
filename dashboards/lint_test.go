package dashboards_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sextant/dashboards"
)

var (
	uid     = regexp.MustCompile(`^sextant-[a-z0-9-]{1,32}$`)
	legend  = regexp.MustCompile(`\{\{([a-z_]+)\}\}`)
	unfills = regexp.MustCompile(`<[a-z][a-z0-9 ]*>`)
)

// TestDefinitions holds the definitions to the rules of the house.
func TestDefinitions(t *testing.T) {
	for _, complaint := range lint(dashboards.All(), dashboards.Variables) {
		t.Error(complaint)
	}
	if n := len(dashboards.All()); n != 8 {
		t.Errorf("%d dashboards, want 8", n)
	}
}

// lint returns what is wrong with dashboards.
func lint(all []dashboards.Dashboard, variables []dashboards.Variable) (complaints []string) {
	uids, titles := map[string]bool{}, map[string]bool{}
	for _, d := range all {
		uids[d.UID] = true
	}
	if len(uids) < len(all) {
		complaints = append(complaints, "two dashboards have the same uid")
	}
	for _, d := range all {
		complain := func(format string, args ...any) {
			complaints = append(complaints, d.UID+": "+fmt.Sprintf(format, args...))
		}
		switch {
		case !uid.MatchString(d.UID):
			complain("its uid is none")
		case d.Title == "" || titles[d.Title]:
			complain("it has no title of its own")
		case !sentence(d.Doc):
			complain("what it is for is no sentence: %q", d.Doc)
		case len(d.Rows) < 2 || d.Rows[0].Title != "How much was observed":
			complain("it does not open with how much was observed")
		}
		titles[d.Title] = true
		ids, names := map[int]bool{}, map[string]bool{}
		for _, r := range d.Rows {
			if r.Title == "" || len(r.Panels) == 0 {
				complain("a row without a title or without panels")
			}
			for _, p := range r.Panels {
				if p.ID < 1 || p.ID >= 1000 || ids[p.ID] {
					complain("panel %d: its id is not of its own, or above 999", p.ID)
				}
				if names[p.Title] {
					complain("panel %d: two are called %q", p.ID, p.Title)
				}
				ids[p.ID], names[p.Title] = true, true
				for _, c := range lintPanel(p, uids) {
					complain("panel %d: %s", p.ID, c)
				}
			}
		}
		used := d.Variables()
		for _, p := range d.Panels() {
			for _, name := range p.SQL.Params() {
				known := slices.Contains([]string{"since", "until", "step", "limit"}, name) ||
					slices.ContainsFunc(used, func(v dashboards.Variable) bool { return v.Name == name })
				if !known {
					complain("panel %d: nothing gives the parameter %s a value", p.ID, name)
				}
			}
		}
		for _, v := range used {
			for _, name := range v.SQL.Params() {
				if name != "since" && name != "until" && !slices.ContainsFunc(used, func(v dashboards.Variable) bool { return v.Name == name }) {
					complain("the values of %s depend on %s, which it has not", v.Name, name)
				}
			}
		}
	}
	for _, v := range variables {
		if v.Title == "" || !sentence(v.Doc) {
			complaints = append(complaints, "variable "+v.Name+": no title, or no sentence")
		}
		if v.SQL != "" && v.Choices != nil {
			complaints = append(complaints, "variable "+v.Name+": has both a query and choices")
		}
	}
	return complaints
}

func lintPanel(p dashboards.Panel, uids map[string]bool) (complaints []string) {
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	switch {
	case p.Title == "":
		complain("it has no title")
	case !sentence(p.Doc):
		complain("its description is no sentence: %q", p.Doc)
	}
	if p.Unit == "" {
		complain("it has no unit")
	}
	if p.Width < 1 || p.Width > 24 || p.Height < 3 {
		complain("it does not fit the grid: %d by %d", p.Width, p.Height)
	}
	if (p.SQL == "") == (len(p.Live) == 0) {
		complain("it asks nobody, or two")
	}
	if (p.Kind == dashboards.Table) != (len(p.Columns) > 0) {
		complain("a table has columns, and nothing else has")
	}
	if found := unfills.FindString(string(p.SQL)); found != "" {
		complain("nothing fills %s", found)
	}
	params := p.SQL.Params()
	if p.Kind == dashboards.Table && !slices.Contains(params, "limit") && !strings.Contains(string(p.SQL), "GROUP BY class, class_evidence ORDER") {
		complain("a table without a limit")
	}
	if p.Kind == dashboards.TimeSeries && p.SQL != "" {
		if !slices.Contains(params, "step") || !strings.Contains(string(p.SQL), "AS time") || !strings.Contains(string(p.SQL), "ORDER BY") {
			complain("a chart needs a column time that follows the step, and that order")
		}
	}
	for i, l := range p.Levels {
		if i > 0 && l.From <= p.Levels[i-1].From {
			complain("its levels do not ascend")
		}
	}
	titles := map[string]bool{}
	for _, c := range p.Columns {
		if c.Title == "" || titles[c.Title] {
			complain("column %q has no title of its own: %q", c.Name, c.Title)
		}
		titles[c.Title] = true
		if c.Link == nil {
			continue
		}
		if !uids[c.Link.UID] || c.Link.Title == "" {
			complain("column %s leads nowhere", c.Name)
		}
	}
	for _, s := range p.Live {
		if s.Legend == "" {
			complain("a series of %s has no legend", s.Metric)
		}
		for _, m := range legend.FindAllStringSubmatch(s.Legend, -1) {
			if !slices.Contains(s.By, m[1]) {
				complain("the legend shows %s, by which nothing is told apart", m[1])
			}
		}
		if s.Rate && !strings.HasSuffix(s.Metric, "_total") || !s.Rate && strings.HasSuffix(s.Metric, "_total") {
			complain("%s: the rate is that of a counter, and a counter says little without", s.Metric)
		}
	}
	return complaints
}

// sentence reports whether a text begins and ends as one.
func sentence(text string) bool {
	return len(strings.Fields(text)) >= 2 && strings.HasSuffix(text, ".") && text[:1] == strings.ToUpper(text[:1])
}

// TestLintComplains sees to it that the rules find what breaks them.
func TestLintComplains(t *testing.T) {
	fine := dashboards.All
	for name, breaks := range map[string]func(*dashboards.Dashboard, *dashboards.Panel){
		"its uid is none":               func(d *dashboards.Dashboard, _ *dashboards.Panel) { d.UID = "x" },
		"no title of its own":           func(d *dashboards.Dashboard, _ *dashboards.Panel) { d.Title = "What still needs IPv4" },
		"how much was observed":         func(d *dashboards.Dashboard, _ *dashboards.Panel) { d.Rows = d.Rows[1:] },
		"description is no sentence":    func(_ *dashboards.Dashboard, p *dashboards.Panel) { p.Doc = "todo" },
		"has no unit":                   func(_ *dashboards.Dashboard, p *dashboards.Panel) { p.Unit = "" },
		"not of its own":                func(_ *dashboards.Dashboard, p *dashboards.Panel) { p.ID = 1 },
		"does not fit the grid":         func(_ *dashboards.Dashboard, p *dashboards.Panel) { p.Width = 25 },
		"asks nobody":                   func(_ *dashboards.Dashboard, p *dashboards.Panel) { p.SQL = "" },
		"nothing gives the parameter x": func(_ *dashboards.Dashboard, p *dashboards.Panel) { p.SQL += " {x:String}" },
		"nothing fills <odd>":           func(_ *dashboards.Dashboard, p *dashboards.Panel) { p.SQL += " <odd>" },
		"a table without a limit":       func(_ *dashboards.Dashboard, p *dashboards.Panel) { p.Kind = dashboards.Table },
		"a chart needs":                 func(_ *dashboards.Dashboard, p *dashboards.Panel) { p.Kind = dashboards.TimeSeries },
		"levels do not ascend": func(_ *dashboards.Dashboard, p *dashboards.Panel) {
			p.Levels = []dashboards.Level{{From: 1}, {From: 1}}
		},
		"two are called": func(_ *dashboards.Dashboard, p *dashboards.Panel) { p.Title = "Observed" },
		"leads nowhere": func(_ *dashboards.Dashboard, p *dashboards.Panel) {
			p.Columns = []dashboards.Column{{Name: "x", Title: "x", Link: &dashboards.Link{UID: "y"}}}
		},
		"has no title of its own: \"x\"": func(_ *dashboards.Dashboard, p *dashboards.Panel) {
			p.Columns = []dashboards.Column{{Name: "x", Title: "x"}, {Name: "y", Title: "x"}}
		},
		"has no legend": func(_ *dashboards.Dashboard, p *dashboards.Panel) { p.Live = []dashboards.Series{{Metric: "x"}} },
		"that of a counter": func(_ *dashboards.Dashboard, p *dashboards.Panel) {
			p.Live = []dashboards.Series{{Metric: "x_total", Legend: "x"}}
		},
	} {
		all := fine()
		if list := lint(all, dashboards.Variables); len(list) > 0 {
			t.Fatalf("fine ones are complained of: %v", list)
		}
		breaks(&all[0], &all[0].Rows[1].Panels[0])
		list := lint(all, dashboards.Variables)
		if !slices.ContainsFunc(list, func(c string) bool { return strings.Contains(c, name) }) {
			t.Errorf("nobody says %q, but %q", name, list)
		}
	}
}
