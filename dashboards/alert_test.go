package dashboards_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sextant/dashboards"
	"sextant/sinks/clickhouse/cookbook"
)

var (
	alertName = regexp.MustCompile(`^Sextant[A-Z][A-Za-z0-9]+$`)
	template  = regexp.MustCompile(`\{\{[^}]*\}\}`)
	labelOf   = regexp.MustCompile(`\$labels\.([a-z_]+)`)
)

// TestAlerts holds alerts to the rules of the house.
func TestAlerts(t *testing.T) {
	names := map[string]bool{}
	for _, a := range dashboards.Alerts(dashboards.Default()) {
		complain := func(format string, args ...any) { t.Errorf(a.Name+": "+format, args...) }
		if !alertName.MatchString(a.Name) || names[a.Name] {
			complain("its name is none, or another's")
		}
		names[a.Name] = true
		if !slices.Contains([]dashboards.Severity{dashboards.Critical, dashboards.Warn, dashboards.Info}, a.Severity) {
			complain("severity %q", a.Severity)
		}
		if a.Summary == "" || strings.HasSuffix(a.Summary, ".") || !sentence(template.ReplaceAllString(a.Description, "It")) || !sentence(a.Means) {
			complain("summary, description or meaning is missing, or no sentence")
		}
		for _, step := range a.Do {
			if !strings.ContainsAny(step[len(step)-1:], ".?") {
				complain("%q is no sentence", step)
			}
		}
		if len(a.Do) == 0 || len(a.Queries) == 0 {
			complain("nobody knows what to do")
		}
		for _, name := range a.Queries {
			if _, ok := cookbook.Find(name); !ok {
				complain("there is no query %s", name)
			}
		}
		if _, ok := dashboards.Find(a.Dashboard); !ok {
			complain("there is no dashboard %q", a.Dashboard)
		}
		for _, m := range labelOf.FindAllStringSubmatch(a.Summary+a.Description, -1) {
			if !slices.Contains(a.About, m[1]) {
				complain("it says %s, which does not tell apart what it is about", m[1])
			}
		}
		if a.For%time.Minute != 0 {
			complain("for %s", a.For)
		}
		if a.Guard != dashboards.Unguarded && !strings.Contains(a.Expr(dashboards.Default()), "and on (cluster) cluster:sextant_") {
			complain("its guard is not in its expression")
		}
	}
	for _, flag := range []string{"SextantBlind", "SextantInventoryStale"} {
		if !names[flag] {
			t.Errorf("what is held back is not flagged by %s", flag)
		}
	}
}

func TestParseAllow(t *testing.T) {
	for text, want := range map[string]string{
		"namespace=legacy workload=erp-client until=2027-03-31 why=the vendor has none": "",
		"name=*.example.org until=2027-03-31":                                           "",
		"prefix=198.51.100.0/24 until=2027-03-31":                                       "",
		"":                                    "an entry needs a day on which it ends: until=2027-03-31",
		"until=2027-03-31":                    "an entry needs a namespace, workload, name or prefix: all IPv4 would be expected",
		"namespace=legacy":                    "an entry needs a day on which it ends: until=2027-03-31",
		"namespace=a namespace=b":             "namespace is said twice",
		"namespace=a until=tomorrow":          `until "tomorrow" is no day, as in 2027-03-31`,
		"prefix=198.51.100.1/24":              `prefix "198.51.100.1/24" is no IPv4 prefix, as in 198.51.100.0/24`,
		"prefix=2001:db8::/32":                `prefix "2001:db8::/32" is no IPv4 prefix, as in 198.51.100.0/24`,
		`namespace=a"b`:                       `"namespace=a\"b" is not of the form key=value`,
		`name=a'b until=2027-03-31`:           `"name=a'b" is not of the form key=value`,
		"name=*.*.org until=2027-03-31":       `name "*.*.org" is no DNS name, nor *. and one`,
		"pod=x until=2027-03-31":              `"pod" is none of namespace, workload, name, prefix, until and why`,
		"legacy":                              `"legacy" is not of the form key=value`,
		"namespace=*.x until=2027-03-31":      `namespace "*.x" is no name of Kubernetes`,
		"why=namespace=a until=2027-03-31":    "an entry needs a day on which it ends: until=2027-03-31",
		"workload=a:b until=2027-03-31 why=x": `workload "a:b" is no name of Kubernetes`,
	} {
		_, err := dashboards.ParseAllow(text)
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	a, err := dashboards.ParseAllow("name=API.Example.org until=2027-03-31 why=x y=z")
	if err != nil || a.Name != "api.example.org" || a.Why != "x y=z" || !a.Until.Equal(time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)) || a.InMetrics() {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestConfig(t *testing.T) {
	if err := dashboards.Default().Validate(); err != nil {
		t.Fatal(err)
	}
	c := dashboards.Default()
	c.Completeness, c.Window, c.Fallbacks = 95, time.Second, -1
	c.AllowIPv4, c.Labels = []string{"legacy"}, []string{"x"}
	err := c.Validate()
	for _, want := range []string{
		"alerts.completeness: must be between 0 and 1, is 95", "alerts.window: must be at least 1m and whole seconds, is 1s", "alerts.fallbacks: must not be below 0, is -1",
		`alerts.allow_ipv4[0]: "legacy" is not of the form key=value`, `alerts.labels[0]: "x" is not of the form key=value`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// FuzzParseAllow sees to it that whatever is taken cannot break out of the text that it is written into.
func FuzzParseAllow(f *testing.F) {
	f.Add("namespace=legacy workload=erp-client name=*.example.org prefix=198.51.100.0/24 until=2027-03-31 why=x")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := dashboards.ParseAllow(text)
		if err != nil {
			return
		}
		if strings.ContainsAny(a.Namespace+a.Workload+a.Name, "'\"\\{}() \n") {
			t.Errorf("%q is taken as %+v", text, a)
		}
	})
}
