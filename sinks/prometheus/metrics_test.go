package prometheus_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/sinks/prometheus"
)

func TestMetrics(t *testing.T) {
	testMetrics(t, prometheus.Flows, flow.Fields)
	testMetrics(t, prometheus.Connections, prometheus.JudgedFields)
	testMetrics(t, prometheus.Gaps, flow.GapFields)
	testMetrics(t, prometheus.Beats, flow.BeatFields)
	testMetrics(t, prometheus.Pulls, flow.PullFields)
	testMetrics(t, prometheus.Items, flow.ItemFields)
	testMetrics(t, prometheus.Snapshot, flow.ItemFields)
	testMetrics(t, prometheus.Findings, prometheus.FindingFields)
	testMetrics(t, prometheus.Charges, flow.ChargeFields)
	for _, m := range prometheus.Declared() {
		for _, of := range [][]string{namesOf(prometheus.Snapshot), namesOf(prometheus.Findings), namesOf(prometheus.Fullest), namesOf(prometheus.Services)} {
			if slices.Contains(of, m.Name) && m.Kind != "gauge" {
				t.Errorf("%s: what comes and goes with a snapshot is a gauge", m.Name)
			}
		}
	}
}

func namesOf[R any](metrics []prometheus.Metric[R]) (names []string) {
	for _, m := range metrics {
		names = append(names, m.Name)
	}
	return names
}

func testMetrics[R any](t *testing.T, metrics []prometheus.Metric[R], fields []flow.Field[R]) {
	for _, m := range metrics {
		if _, err := m.Fields(fields); err != nil {
			t.Error(err)
		}
		ways := 0
		for _, is := range []bool{m.Add != nil, m.Set != nil, m.Observe != nil} {
			if is {
				ways++
			}
		}
		if ways != 1 || (m.Observe != nil) != (len(m.Buckets) > 0) {
			t.Errorf("%s: one of Add, Set and Observe must be there, and buckets with Observe", m.Name)
		}
	}
}

// Every metric has a sentence and a name that say what it is, and every name stands for one.
func TestDeclared(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range prometheus.Declared() {
		if d.Help == "" || !strings.HasPrefix(d.Name, "sextant_") || (d.Kind == "counter") != strings.HasSuffix(d.Name, "_total") {
			t.Errorf("%s: needs a help text, and a name sextant_… that ends in _total where it counts", d.Name)
		}
		if seen[d.Name] {
			t.Errorf("%s is there twice", d.Name)
		}
		seen[d.Name] = true
	}
}

// The README lists every metric with its labels, in the words of the table.
func TestReadme(t *testing.T) {
	const begin, end = "| metric | labels | meaning |\n|---|---|---|\n", "\n\n"
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(readme), begin)
	rows, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatal("README.md has no table of metrics")
	}
	var want strings.Builder
	for _, d := range prometheus.Declared() {
		labels := "none"
		if len(d.Labels) > 0 {
			labels = strings.Join(d.Labels, ", ")
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", d.Name, labels, d.Help)
	}
	table := strings.TrimSuffix(want.String(), "\n")
	if *update {
		if err := os.WriteFile("README.md", []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(table, rows); diff != "" {
		t.Errorf("README.md (-update writes it anew):\n%s", diff)
	}
}

// A label is a field that may be one.
func TestFields(t *testing.T) {
	for label, want := range map[string]string{
		"node":       "",
		"verdict":    "",
		"source_pod": "metric m: field source_pod may have too many values for a label",
		"source_ip":  "metric m: field source_ip may have too many values for a label",
		"nodes":      "metric m: label nodes is no field",
		"":           "metric m: label  is no field",
	} {
		m := prometheus.Metric[flow.Record]{Name: "m", Labels: []string{"cluster", label}}
		fields, err := m.Fields(flow.Fields)
		got := ""
		if err != nil {
			got = err.Error()
		} else if len(fields) != 2 || fields[1].Name != label {
			t.Errorf("%s: fields are %v", label, fields)
		}
		if got != want {
			t.Errorf("%q: error is %q, want %q", label, got, want)
		}
	}

	port := []flow.Field[flow.Record]{{Name: "port", Label: true, U16: func(*flow.Record) uint16 { return 0 }}}
	m := prometheus.Metric[flow.Record]{Name: "m", Labels: []string{"port"}}
	if _, err := m.Fields(port); err == nil {
		t.Error("a number became a label")
	}
	for label, most := range map[string]int{"node ": 6, "verdict ": 8} {
		m.Labels = strings.Fields(strings.Repeat(label, most))
		if _, err := m.Fields(flow.Fields); err != nil {
			t.Error(err)
		}
		m.Labels = strings.Fields(strings.Repeat(label, most+1))
		if _, err := m.Fields(flow.Fields); err == nil {
			t.Errorf("%d labels are one too many", most+1)
		}
	}
}

func TestConfig(t *testing.T) {
	if err := prometheus.Default().Validate(); err != nil {
		t.Error(err)
	}
	if err := (prometheus.Config{MaxSeries: 1}).Validate(); err != nil {
		t.Error(err)
	}
	err := prometheus.Config{NodeTTL: time.Second, WorkloadTTL: -1, FullestBuckets: 1001}.Validate()
	want := "prometheus.max_series: must be at least 1, is 0\nprometheus.node_ttl: must be 0 (never) or at least 1m, is 1s\n" +
		"prometheus.workload_ttl: must be 0 (never) or at least 1m, is -1ns\n" +
		"prometheus.fullest_buckets: must be from 0 to 1000, is 1001"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}
