package main

import (
	"encoding/json"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
	"sextant/sinks/prometheus"
)

// TestMetricsAndViewsAgree: of the recorded cluster the page of metrics says the same as the views, number by number: how
// much went over IPv6, why the rest did not, what falling back cost, and how much was seen.
func TestMetricsAndViewsAgree(t *testing.T) {
	p, c := counted(t)
	rows := func(query string) map[string]float64 {
		t.Helper()
		found, err := asked(t, c, query)
		if err != nil {
			t.Fatal(err)
		}
		sums := map[string]float64{}
		for _, row := range found {
			n, err := row["n"].(json.Number).Float64()
			if err != nil {
				t.Fatal(err)
			}
			sums[row["what"].(string)] += n
		}
		return sums
	}
	const window = "(since = {since:DateTime64(3, 'UTC')}, until = {until:DateTime64(3, 'UTC')})"
	agree := func(name string, view, metrics map[string]float64) {
		t.Helper()
		if len(view) < 2 {
			t.Errorf("%s: there is little to compare: %v", name, view)
		}
		near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-3 })
		if diff := cmp.Diff(view, metrics, near); diff != "" {
			t.Errorf("%s (-view +metrics)\n%s", name, diff)
		}
	}

	share := map[string]float64{}
	for _, x := range samples(t, p, prometheus.MetricWorkloadConnectionsTotal) {
		if x.label["family"] == flow.FamilyNone.String() || x.label["outcome"] != flow.Answered.String() && x.label["outcome"] != flow.OutcomeUnknown.String() {
			continue
		}
		key := x.of("namespace", "workload", "direction", "traffic")
		share[key+" all"] += x.value
		if x.label["family"] == flow.FamilyIPv6.String() && x.label["class"] != flow.NAT64.String() {
			share[key+" ipv6"] += x.value
		}
	}
	agree("adoption", rows(`SELECT concat(namespace, ' ', workload, ' ', toString(direction), ' ', traffic, ' ', pair.1) AS what, pair.2 AS n
		FROM ipv6_adoption`+window+` ARRAY JOIN [('all', connections), ('ipv6', ipv6)] AS pair WHERE n > 0`), share)

	paths := map[string]float64{}
	for _, x := range samples(t, p, prometheus.MetricWorkloadConnectionsTotal) {
		if x.label["outcome"] != flow.Denied.String() {
			paths[x.of("namespace", "workload", "direction", "family", "class", "class_evidence")] += x.value
		}
	}
	agree("paths", rows(`SELECT concat(namespace, ' ', workload, ' ', toString(direction), ' ', toString(family), ' ', toString(class), ' ', toString(class_evidence)) AS what, connections AS n
		FROM translation_paths`+window), paths)

	causes := map[string]float64{}
	for _, x := range samples(t, p, prometheus.MetricIPv4EgressConnectionsTotal) {
		causes[x.of("namespace", "workload", "class", "cause")] += x.value
	}
	// The view looks back: of the first connections of a workload it knows a cause that nobody had told when they ended.
	known := rows(`SELECT concat(namespace, ' ', workload, ' ', toString(class), ' ', cause) AS what, connections AS n FROM ipv4_dependencies` + window)
	for what, n := range known {
		i := strings.LastIndexByte(what, ' ')
		who, cause := what[:i], what[i+1:]
		if early := n - causes[what]; cause != prometheus.CauseUnknown.String() && early > 0 && early <= 2 {
			known[what] -= early
			known[who+" "+prometheus.CauseUnknown.String()] += early
		}
	}
	agree("causes", known, causes)

	lost := map[string]float64{}
	for _, x := range samples(t, p, prometheus.MetricFallbacksTotal) {
		if x.value > 0 {
			lost[x.of("namespace", "workload")] += x.value
		}
	}
	for _, x := range samples(t, p, prometheus.MetricFallbackDelaySeconds) {
		lost[x.of("namespace")+" seconds"] += x.value
	}
	agree("fallbacks", rows(`SELECT if(pair.1 = 'attempts', concat(namespace, ' ', workload), concat(namespace, ' seconds')) AS what, pair.2 AS n
		FROM fallbacks`+window+` ARRAY JOIN [('attempts', toFloat64(attempts)), ('seconds', lost_seconds)] AS pair`), lost)

	filled := map[string]float64{}
	for _, metric := range []string{prometheus.MetricRateLimitUsed, prometheus.MetricRateLimitLimit} {
		for _, x := range samples(t, p, metric) {
			if !strings.HasSuffix(x.label["service"], " abuse") { // whose window is a minute, and ends elsewhere
				filled[x.of("service", "bucket", "family", "evidence")+" "+strings.TrimPrefix(metric, "sextant_rate_limit_")] = x.value
			}
		}
	}
	agree("limits", rows(`SELECT concat(service, ' ', bucket, ' ', toString(family), ' ', toString(evidence), ' ', pair.1) AS what, pair.2 AS n
		FROM rate_limit_exposure`+window+` ARRAY JOIN [('used', toFloat64(used)), ('limit', toFloat64(limit))] AS pair WHERE pair.2 IS NOT NULL AND NOT endsWith(service, ' abuse')`), filled)

	seen := map[string]float64{}
	for _, x := range samples(t, p, prometheus.MetricObservedSecondsTotal) {
		seen[x.label["node"]] += x.value
	}
	agree("observed", rows(`SELECT node AS what, observed_seconds AS n
		FROM completeness(since = '2026-01-01 00:00:00', until = '2027-01-01 00:00:00')`), seen)
}

// counted replays the recorded cluster into an engine and onto a page of metrics.
func counted(t *testing.T) (*plant, clickhouse.Config) {
	t.Helper()
	p := newPlant()
	p.verdictCfg.State = []string{demoDir + "state"}
	c := &p.clickhouseCfg
	c.Address = embeddedtest.Own(t).Addr()
	c.TTLFlows, c.TTLConnections, c.TTLGaps, c.TTLPulls, c.TTLInventory = 0, 0, 0, 0, 0
	a := &app{ctx: t.Context(), logger: slog.New(slog.DiscardHandler)}
	if err := p.build(a, blueprint{sinks: []string{"clickhouse", "prometheus"}, lossless: true}, nil); err != nil {
		t.Fatal(err)
	}
	files := hubble.NewFiles(hubble.FilesConfig{
		Paths: []string{demoDir + "node-1.jsonl.gz", demoDir + "node-2.jsonl.gz"}, Strict: true,
		Names: p.names, Pool: flow.NewPool(p.pipelineCfg.BatchRows), Logger: a.logger,
	})
	if err := p.pipeline.Run(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	p.store.Close()
	return p, *c
}

// sampled is a series of a page of metrics; of a histogram the sum.
type sampled struct {
	label map[string]string
	value float64
}

// of returns the values of labels, in a row.
func (s sampled) of(labels ...string) string {
	values := make([]string, len(labels))
	for i, l := range labels {
		values[i] = s.label[l]
	}
	return strings.Join(values, " ")
}

func samples(t *testing.T, p *plant, metric string) (all []sampled) {
	t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != metric {
			continue
		}
		for _, m := range f.GetMetric() {
			s := sampled{map[string]string{}, m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()}
			for _, l := range m.GetLabel() {
				s.label[l.GetName()] = l.GetValue()
			}
			all = append(all, s)
		}
	}
	return all
}
