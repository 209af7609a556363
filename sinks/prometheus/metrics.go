package prometheus

import (
	"fmt"
	"slices"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
)

// Metric is one family of series made from rows of R: one series for each combination of its labels' values. Exactly one of
// Add and Set is there.
type Metric[R any] struct {
	Name   string
	Help   string
	Labels []string // names of label fields in R's table of fields

	Add func(*R) float64         // a counter: what a row adds
	Set func(*R) (float64, bool) // a gauge: what a row sets it to, if anything
}

// Flows are the metrics made from flows. Labels are chosen so that a node has a few dozen series at most: event type and
// class stand on different metrics because their product would be several hundred.
var Flows = []Metric[flow.Record]{
	{
		Name:   "sextant_flows_total",
		Help:   "Flows observed. One connection is many flows; an aggregated row counts for all it stands for.",
		Labels: []string{"cluster", "node", "family", "verdict", "event_type"},
		Add:    weight,
	},
	{
		Name:   "sextant_flow_classes_total",
		Help:   "Flows observed, by which way they took and how that is known.",
		Labels: []string{"cluster", "node", "family", "class", "class_evidence"},
		Add:    weight,
	},
	{
		Name:   "sextant_last_flow_timestamp_seconds",
		Help:   "Time of the latest flow received, by the clock of the node that observed it.",
		Labels: []string{"cluster", "node"},
		Set:    func(r *flow.Record) (float64, bool) { return seconds(r.Time), !r.Time.IsZero() },
	},
}

// Connections are the metrics made from connections: what to compare, and to alert on.
var Connections = []Metric[flow.Connection]{
	{
		Name:   "sextant_connections_total",
		Help:   "Connections, each once, when they ended or their last flow was long enough ago.",
		Labels: []string{"cluster", "node", "family", "direction", "class", "class_evidence", "outcome"},
		Add:    func(*flow.Connection) float64 { return 1 },
	},
	{
		Name:   "sextant_fallbacks_total",
		Help:   "IPv4 connections that are the retry of an IPv6 attempt that failed.",
		Labels: []string{"cluster", "node", "source_namespace", "source_workload"},
		Add:    func(c *flow.Connection) float64 { return one(c.FallbackOf != flow.UUID{}) },
	},
	{
		Name:   "sextant_avoidable_ipv4_connections_total",
		Help:   "IPv4 connections though a usable IPv6 address had been answered to the pod.",
		Labels: []string{"cluster", "node", "source_namespace", "source_workload"},
		Add:    func(c *flow.Connection) float64 { return one(c.AvoidableIPv4) },
	},
}

// Gaps are the metrics made from gaps.
var Gaps = []Metric[flow.Gap]{
	{
		Name:   "sextant_gaps_total",
		Help:   "Gaps: stretches of time in which flows of a node were not seen, or were lost before they reached these metrics.",
		Labels: []string{"cluster", "node", "cause"},
		Add:    func(*flow.Gap) float64 { return 1 },
	},
	{
		Name:   "sextant_gap_events_lost_total",
		Help:   "Events lost in gaps, as far as somebody counted them: a lower bound.",
		Labels: []string{"cluster", "node", "cause"},
		Add: func(g *flow.Gap) float64 {
			if !g.Count.Known {
				return 0
			}
			return float64(g.Count.N)
		},
	},
	{
		Name:   "sextant_gap_seconds_total",
		Help:   "Length of the gaps whose begin and end are known. Where gaps overlap, each counts.",
		Labels: []string{"cluster", "node", "cause"},
		Add: func(g *flow.Gap) float64 {
			if g.From.IsZero() || g.To.IsZero() {
				return 0
			}
			return max(0, g.To.Sub(g.From).Seconds())
		},
	},
}

// Beats are the metrics made from heartbeats. What a collector watched of a node lies between 0 and 1 as the rate of the
// seconds, and is that of sextant_gap_seconds_total less.
var Beats = []Metric[flow.Beat]{
	{
		Name:   "sextant_heartbeats_total",
		Help:   "Heartbeats: stretches of time, a minute long as a rule, in which a node was watched.",
		Labels: []string{"cluster", "node"},
		Add:    func(*flow.Beat) float64 { return 1 },
	},
	{
		Name:   "sextant_watched_seconds_total",
		Help:   "Length of the heartbeats. Gaps may lie in it.",
		Labels: []string{"cluster", "node"},
		Add:    func(b *flow.Beat) float64 { return max(0, b.To.Sub(b.From).Seconds()) },
	},
}

// Pulls are the metrics made from image pulls. They have no node: nodes, registries and results together are too many, and
// which node is about to be limited is a question of addresses.
var Pulls = []Metric[flow.Pull]{
	{
		Name:   "sextant_image_pulls_total",
		Help:   "Image pulls, by the registry of the image's reference and how they ended. One that found the image present asked no registry.",
		Labels: []string{"cluster", "registry", "result"},
		Add:    func(p *flow.Pull) float64 { return float64(max(1, p.Count)) },
	},
	{
		Name:   "sextant_image_pull_bytes_total",
		Help:   "Size of the images pulled, as far as it was told. Layers that a node has already are part of it.",
		Labels: []string{"cluster", "registry"},
		Add: func(p *flow.Pull) float64 {
			if p.Result != flow.Pulled || !p.Bytes.Known {
				return 0
			}
			return float64(max(1, p.Count)) * float64(p.Bytes.N)
		},
	},
}

// overflow is the one metric about this package itself.
var overflow = client.NewDesc("sextant_prometheus_series_overflow_total",
	"Rows for which a metric had no series left, so that they were counted on its series ~other.",
	[]string{"metric"}, nil)

func weight(r *flow.Record) float64 { return float64(max(1, r.AggregatedFlows)) }

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// Fields returns the fields of the metric's labels out of R's table. The error names a label that is not there, or that
// must not be a label.
func (m *Metric[R]) Fields(table []flow.Field[R]) ([]*flow.Field[R], error) {
	var fields []*flow.Field[R]
	for _, label := range m.Labels {
		i := slices.IndexFunc(table, func(f flow.Field[R]) bool { return f.Name == label })
		switch {
		case i < 0:
			return nil, fmt.Errorf("metric %s: label %s is no field", m.Name, label)
		case !table[i].Label:
			return nil, fmt.Errorf("metric %s: field %s may have too many values for a label", m.Name, label)
		case table[i].Enum == nil && table[i].Str == nil:
			return nil, fmt.Errorf("metric %s: field %s is neither an enum nor a name", m.Name, label)
		}
		fields = append(fields, &table[i])
	}
	if len(fields) > maxLabels {
		return nil, fmt.Errorf("metric %s: %d labels, at most %d are possible", m.Name, len(fields), maxLabels)
	}
	return fields, nil
}
