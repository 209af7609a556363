package prometheus_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"sextant/collector/flow"
	"sextant/sinks/prometheus"
)

func TestMetrics(t *testing.T) {
	testMetrics(t, prometheus.Flows, flow.Fields)
	testMetrics(t, prometheus.Connections, flow.ConnectionFields)
	testMetrics(t, prometheus.Gaps, flow.GapFields)
	testMetrics(t, prometheus.Beats, flow.BeatFields)
	testMetrics(t, prometheus.Pulls, flow.PullFields)
	testMetrics(t, prometheus.Items, flow.ItemFields)
	testMetrics(t, prometheus.Snapshot, flow.ItemFields)
	testMetrics(t, prometheus.Findings, prometheus.FindingFields)
	for _, m := range prometheus.Snapshot {
		if m.Set == nil {
			t.Errorf("%s: what comes and goes with a snapshot is a gauge", m.Name)
		}
	}
	for _, m := range prometheus.Findings {
		if m.Set == nil {
			t.Errorf("%s: what comes and goes with a snapshot is a gauge", m.Name)
		}
	}
}

func testMetrics[R any](t *testing.T, metrics []prometheus.Metric[R], fields []flow.Field[R]) {
	for _, m := range metrics {
		if _, err := m.Fields(fields); err != nil {
			t.Error(err)
		}
		if (m.Add != nil) == (m.Set != nil) {
			t.Errorf("%s: either Add or Set must be there", m.Name)
		}
		if m.Help == "" || !strings.HasPrefix(m.Name, "sextant_") || (m.Add != nil) != strings.HasSuffix(m.Name, "_total") {
			t.Errorf("%s: needs a help text, and a name sextant_… that ends in _total where it counts", m.Name)
		}
	}
}

// The README lists every metric with its labels.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	wantRow := func(name string, labels []string) {
		if row := "| `" + name + "` | " + strings.Join(labels, ", ") + " |"; !strings.Contains(string(readme), row) {
			t.Errorf("README.md lacks the row %s", row)
		}
	}
	for name, labels := range declared() {
		wantRow(name, labels)
	}
}

// declared returns the labels of all metrics.
func declared() map[string][]string {
	all := map[string][]string{"sextant_prometheus_series_overflow_total": {"metric"}}
	declare(all, prometheus.Flows)
	declare(all, prometheus.Connections)
	declare(all, prometheus.Gaps)
	declare(all, prometheus.Beats)
	declare(all, prometheus.Pulls)
	declare(all, prometheus.Items)
	declare(all, prometheus.Snapshot)
	declare(all, prometheus.Findings)
	return all
}

func declare[R any](all map[string][]string, metrics []prometheus.Metric[R]) {
	for _, m := range metrics {
		all[m.Name] = m.Labels
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
	m.Labels = strings.Fields(strings.Repeat("node ", 9))
	if _, err := m.Fields(flow.Fields); err == nil {
		t.Error("nine labels became eight")
	}
}

func TestConfig(t *testing.T) {
	if err := prometheus.Default().Validate(); err != nil {
		t.Error(err)
	}
	if err := (prometheus.Config{MaxSeries: 1}).Validate(); err != nil {
		t.Error(err)
	}
	err := prometheus.Config{NodeTTL: time.Second}.Validate()
	want := "prometheus.max_series: must be at least 1, is 0\nprometheus.node_ttl: must be 0 (never) or at least 1m, is 1s"
	if err == nil || err.Error() != want {
		t.Errorf("error is %v, want %s", err, want)
	}
}
