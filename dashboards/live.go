package dashboards

import (
	"fmt"
	"strings"

	"sextant/collector"
)

// Series is a question about metrics of a running collector that is simple enough to be answered from Prometheus and, by
// looking twice, from the collector itself.
type Series struct {
	Metric   string
	Rate     bool     // how much it grows in a second, of a counter
	Quantile float64  // of a histogram's growth, in place of Rate; 0: it is no histogram
	By       []string // labels that tell apart what is otherwise added up
	Largest  bool     // take the largest instead of adding up
	Legend   string   // what to call it; {{label}} stands for that label's value
}

// job chooses among several collectors in one Prometheus.
const job = `{job=~"$job"}`

// PromQL returns the expression as a Grafana panel has it.
func (s Series) PromQL() string {
	aggregate, inner := "sum", s.Metric+job
	if s.Largest {
		aggregate = "max"
	}
	by := s.By
	switch {
	case s.Quantile > 0:
		by = append([]string{"le"}, s.By...)
		inner = "rate(" + s.Metric + "_bucket" + job + "[$__rate_interval])"
	case s.Rate:
		inner = "rate(" + s.Metric + job + "[$__rate_interval])"
	}
	expr := aggregate + "(" + inner + ")"
	if len(by) > 0 {
		expr = aggregate + " by (" + strings.Join(by, ", ") + ") (" + inner + ")"
	}
	if s.Quantile > 0 {
		expr = fmt.Sprintf("histogram_quantile(%v, %s)", s.Quantile, expr)
	}
	return expr
}

// AliveMetric is one that every running collector has.
const AliveMetric = collector.MetricFlowsTotal
