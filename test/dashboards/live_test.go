package dashboardstest_test

import (
	"context"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql/parser"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/collector/hubble/playback"
	"sextant/collector/track"
	"sextant/collector/verdict"
	"sextant/dashboards"
	"sextant/deploy/demo"
	"sextant/sinks/prometheus"
	"sextant/sinks/spool"
	dashboardstest "sextant/test/dashboards"
)

// TestLivePanels runs the collector on the recorded cluster, with the real sink, scrapes it, and asks every panel that asks
// Prometheus. A scrape every quarter of a second passes for one every quarter of a minute.
func TestLivePanels(t *testing.T) {
	p := ruled(t, dashboards.Default())
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	cluster := recorded(t)
	peers := make(chan []string, 1)
	group.Go(func() { _ = cluster.Serve(ctx, func(addrs []string) { peers <- addrs }) })

	interner, logger := flow.NewInterner(), slog.New(slog.DiscardHandler)
	cfg := hubble.Default()
	cfg.Peers, cfg.HubbleTraffic, cfg.BatchWait = (<-peers)[0], "include", 100*time.Millisecond
	source, err := hubble.New(cfg, interner, logger, p.Registry)
	if err != nil {
		t.Fatal(err)
	}
	pipeline := collector.New(collector.Config{
		Stages:  []collector.Stage{verdict.New(interner, verdict.Prefixes{}), track.New(track.Default(), interner)},
		Outputs: []collector.Output{{Name: "prometheus", Sink: prometheus.New(prometheus.Default(), p.Registry), Rows: 1024, Wait: 50 * time.Millisecond, Queue: 100_000}},
		Tick:    time.Second, Drain: time.Second, Names: interner, Logger: logger, Registry: p.Registry,
	})
	group.Go(func() { _ = pipeline.Run(ctx, source) })

	const scrapes = 24
	now := begin
	for range scrapes {
		time.Sleep(250 * time.Millisecond)
		now = now.Add(15 * time.Second)
		p.Tick(now)
	}
	asked := 0
	for _, d := range dashboards.All() {
		for _, panel := range d.Panels() {
			for _, s := range panel.Live {
				asked++
				points, err := p.Range(expand(s.PromQL()), begin, now, 15*time.Second)
				if err != nil || points == 0 {
					t.Errorf("%s: %q shows %d points: %v", d.UID, panel.Title, points, err)
				}
			}
		}
	}
	if asked < 8 {
		t.Errorf("only %d questions", asked)
	}
	if v, err := p.At("max("+collector.MetricFlowsTotal+")", now); err != nil || len(v) != 1 || v[0].F < 1000 {
		t.Errorf("flows received: %v, %v", v, err)
	}
}

func recorded(t *testing.T) *playback.Cluster {
	t.Helper()
	var recordings []*hubble.Recording
	for _, name := range demo.Nodes {
		f, err := demo.Files.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := hubble.NewRecording(name, f)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		recordings = append(recordings, r)
	}
	cluster, err := playback.New(recordings, playback.Options{Live: true, Speed: 20})
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

// expand puts values for what Grafana replaces.
func expand(expr string) string {
	return strings.NewReplacer("$__rate_interval", "1m", "$job", ".+").Replace(expr)
}

// allowed are the functions and aggregations that expressions may have: all are in Prometheus 2.42.
var allowed = strings.Fields("absent avg clamp_max count deriv histogram_quantile increase max min rate sum time vector")

// TestPromQL parses every expression, and finds every metric and label that it names in what the collector has.
func TestPromQL(t *testing.T) {
	metrics := exported(t)
	records := map[string]bool{}
	var exprs []string
	c := settings()
	for _, r := range dashboards.Records(c) {
		records[r.Name] = true
		exprs = append(exprs, r.Expr)
	}
	for _, a := range dashboards.Alerts(c) {
		exprs = append(exprs, a.Expr(c), a.Guarded(c))
	}
	for _, d := range dashboards.All() {
		for _, p := range d.Panels() {
			for _, s := range p.Live {
				exprs = append(exprs, expand(s.PromQL()))
			}
		}
	}
	for _, text := range exprs {
		expr, err := dashboardstest.Parse(text)
		if err != nil {
			t.Errorf("%v\n%s", err, text)
			continue
		}
		for _, complaint := range lint(expr, metrics, records) {
			t.Errorf("%s\n%s", complaint, text)
		}
	}
	for text, want := range map[string]string{
		"rate(no_such_total[5m])":                                "no_such_total is no metric",
		`sextant_flows_total{pod="x"}`:                           "sextant_flows_total has no label pod",
		"sum by (pod) (sextant_flows_total)":                     "no metric in it has the label pod",
		"limitk(1, sextant_flows_total)":                         "limitk is not in Prometheus 2.42, or was never used",
		"sort_by_label(sextant_flows_total, \"cluster\")":        "sort_by_label is not in Prometheus 2.42, or was never used",
		"cluster:no_such:record":                                 "cluster:no_such:record is no metric",
		`sextant_sink_write_seconds_bucket{sink="x",reason="y"}`: "sextant_sink_write_seconds_bucket has no label reason",
	} {
		expr, err := parser.NewParser(parser.Options{EnableExperimentalFunctions: true}).ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := lint(expr, metrics, records); !slices.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// lint returns what is wrong with an expression. Records keep labels of their own.
func lint(expr parser.Expr, metrics map[string][]string, records map[string]bool) (complaints []string) {
	seen, free := map[string]bool{"job": true, "instance": true, "le": true}, false
	use := func(name string) {
		if !slices.Contains(allowed, name) {
			complaints = append(complaints, name+" is not in Prometheus 2.42, or was never used")
		}
	}
	var by []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			if records[n.Name] {
				free = true
				return nil
			}
			labels, known := metrics[n.Name]
			if !known {
				complaints = append(complaints, n.Name+" is no metric")
				return nil
			}
			for _, l := range labels {
				seen[l] = true
			}
			for _, m := range n.LabelMatchers {
				if m.Name != "__name__" && m.Name != "job" && !slices.Contains(labels, m.Name) {
					complaints = append(complaints, n.Name+" has no label "+m.Name)
				}
			}
		case *parser.Call:
			use(n.Func.Name)
		case *parser.AggregateExpr:
			use(n.Op.String())
			by = append(by, n.Grouping...)
		}
		return nil
	})
	for _, label := range by {
		if !seen[label] && !free {
			complaints = append(complaints, "no metric in it has the label "+label)
		}
	}
	return complaints
}

// exported returns the metrics that a collector with all its parts has, and their labels.
func exported(t *testing.T) map[string][]string {
	t.Helper()
	reg, interner, logger := &recorder{metrics: map[string][]string{}}, flow.NewInterner(), slog.New(slog.DiscardHandler)
	cfg := hubble.Default()
	if _, err := hubble.New(cfg, interner, logger, reg); err != nil {
		t.Fatal(err)
	}
	collector.New(collector.Config{Names: interner, Logger: logger, Registry: reg})
	sink := prometheus.New(prometheus.Default(), reg)
	spoolCfg := spool.Default()
	spoolCfg.Dir = t.TempDir()
	s, err := spool.Open(spoolCfg, sink, interner, logger, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return reg.metrics
}

// recorder notes what is registered.
type recorder struct{ metrics map[string][]string }

var described = regexp.MustCompile(`fqName: "([^"]+)", .*variableLabels: \{([^}]*)\}`)

func (r *recorder) Register(c client.Collector) error {
	descs := make(chan *client.Desc, 1000)
	c.Describe(descs)
	close(descs)
	for d := range descs {
		m := described.FindStringSubmatch(d.String())
		labels := strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' || r == ' ' })
		for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
			r.metrics[m[1]+suffix] = labels
		}
	}
	return nil
}

func (r *recorder) MustRegister(list ...client.Collector) {
	for _, c := range list {
		_ = r.Register(c)
	}
}

func (r *recorder) Unregister(client.Collector) bool { return false }
