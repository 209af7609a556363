package repo_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

var metricName = regexp.MustCompile(`^sextant(_[a-z][a-z0-9]*)+$`)

// Metrics are named as Prometheus' own linter wants them, say what they count, and are declared once.
func TestMetrics(t *testing.T) {
	declared := map[string]string{}
	for _, files := range byPackage(t) {
		metrics, complaints := metricsOf(files)
		report(t, complaints)
		for _, m := range metrics {
			report(t, checkMetric(m))
			if first := declared[m.name]; first != "" {
				t.Errorf("%s: %s is declared at %s already", m.at, m.name, first)
			}
			declared[m.name] = m.at
		}
	}
	if len(declared) < 10 {
		t.Errorf("only %d metrics found", len(declared))
	}

	for _, file := range files(t) {
		if path.Ext(file) == ".md" {
			report(t, checkMentions(file, read(t, file), declared))
		}
	}
}

func checkMetric(m metric) (complaints []string) {
	complain := func(format string, args ...any) {
		complaints = append(complaints, fmt.Sprintf("%s: metric %s: %s", m.at, m.name, fmt.Sprintf(format, args...)))
	}
	if !metricName.MatchString(m.name) {
		complain("the name is not sextant_ and words in lower case")
		return complaints
	}
	if len(strings.Fields(m.help)) < 2 || !strings.HasSuffix(m.help, ".") {
		complain("the help %q is no sentence", m.help)
	}
	problems, err := promlint.New(strings.NewReader(exposition(m))).Lint()
	if err != nil {
		complain("%v", err)
	}
	for _, p := range problems {
		complain("%s", p.Text)
	}
	return complaints
}

// exposition returns what /metrics would say of a metric that has just been made.
func exposition(m metric) string {
	kind := m.kind
	if kind == "untyped" && strings.HasSuffix(m.name, "_total") {
		kind = "counter"
	}
	text := fmt.Sprintf("# HELP %s %s\n# TYPE %s %s\n", m.name, strings.ReplaceAll(m.help, "\n", " "), m.name, kind)
	if kind == "histogram" {
		return text + fmt.Sprintf("%[1]s_bucket{le=\"+Inf\"} 0\n%[1]s_sum 0\n%[1]s_count 0\n", m.name)
	}
	return text + m.name + " 0\n"
}

// mention is a metric of ours in a text; a name that ends in _ is a prefix, and one with a colon that of a recording rule.
var mention = regexp.MustCompile(`\bsextant_[a-z0-9_]*[a-z0-9]\b:?`)

func checkMentions(file, text string, declared map[string]string) (complaints []string) {
	for _, name := range mention.FindAllString(text, -1) {
		if strings.HasSuffix(name, ":") {
			continue
		}
		forms := []string{name}
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			forms = append(forms, strings.TrimSuffix(name, suffix))
		}
		if !slices.ContainsFunc(forms, func(n string) bool { return declared[n] != "" }) {
			complaints = append(complaints, fmt.Sprintf("%s: there is no metric %s", file, name))
		}
	}
	return complaints
}

func TestMetricsComplain(t *testing.T) {
	metrics, complaints := metricsOf([]source{
		parse(t, "sextant/a", "a/a.go", `package a
var _ = prometheus.NewCounter(prometheus.CounterOpts{Name: "sextant_a_total", Help: "A " + "b."})
var _ = prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "sextant", Name: text, Help: "A."})
var _ = []Metric{{Name: "sextant_b_total", Help: "B.", Add: f}, {Name: "sextant_c", Help: "C.", Set: f}, {Name: "other"}}
var _ = client.NewDesc("sextant_d_total", "D.", nil, nil)
var _ = client.NewDesc(m.Name, m.Help, nil, nil)
var _ = gauge("e", "E.")
var _ = gauge("e", text)
func f() { counter := func(name, help string) { prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}) }
	counter("sextant_f_total", "F.") }
const MetricGTotal = "sextant_g_total"
var _ = []Metric{{Name: MetricGTotal, Help: "G.", Add: f}}
`),
		parse(t, "sextant/a", "a/b.go", `package a
func gauge(name, help string) any { return prometheus.NewGauge(prometheus.GaugeOpts{Name: "sextant_" + name, Help: help}) }
`),
	})
	complains(t, "read", complaints,
		"a/a.go:3: the name and help of a metric are written out where it is declared",
		"a/a.go:8: the name and help of a metric are written out where it is declared")
	want := []metric{
		{"a/a.go:2", "sextant_a_total", "A b.", "counter"},
		{"a/a.go:4", "sextant_b_total", "B.", "counter"},
		{"a/a.go:4", "sextant_c", "C.", "gauge"},
		{"a/a.go:5", "sextant_d_total", "D.", "untyped"},
		{"a/a.go:7", "sextant_e", "E.", "gauge"},
		{"a/a.go:10", "sextant_f_total", "F.", "counter"},
		{"a/a.go:12", "sextant_g_total", "G.", "counter"},
	}
	if diff := cmp.Diff(want, metrics, cmp.AllowUnexported(metric{})); diff != "" {
		t.Errorf("metrics (-want +got)\n%s", diff)
	}

	check := func(name, kind, help string) []string { return checkMetric(metric{"a.go:1", name, help, kind}) }
	complains(t, "fine", slices.Concat(
		check("sextant_a_total", "counter", "What is counted."), check("sextant_a_seconds", "histogram", "How long it takes."),
		check("sextant_a_bytes", "gauge", "How much."), check("sextant_a_total", "untyped", "What is counted.")))
	complains(t, "case", check("sextant_aB_total", "counter", "What is counted."), "a.go:1: metric sextant_aB_total: the name is not sextant_ and words in lower case")
	complains(t, "prefix", check("a_total", "counter", "What is counted."), "a.go:1: metric a_total: the name is not sextant_ and words in lower case")
	complains(t, "help", check("sextant_a_total", "counter", "Flows"), `a.go:1: metric sextant_a_total: the help "Flows" is no sentence`)
	complains(t, "suffix", check("sextant_a", "counter", "What is counted."), `a.go:1: metric sextant_a: counter metrics should have "_total" suffix`)
	complains(t, "unit", check("sextant_a_milliseconds", "gauge", "How long it takes."), `a.go:1: metric sextant_a_milliseconds: use base unit "seconds" instead of "milliseconds"`)

	declared := map[string]string{"sextant_a_total": "a.go:1", "sextant_b_seconds": "a.go:2"}
	complains(t, "mentions", checkMentions("a.md", "sextant_a_total{x} sextant_b_seconds_bucket sextant_c_total sextant_ sextant_d:rate5m", declared),
		"a.md: there is no metric sextant_c_total")
}
