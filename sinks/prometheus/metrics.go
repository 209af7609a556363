package prometheus

import (
	"fmt"
	"slices"
	"time"

	"sextant/collector/flow"
)

// Metric is one family of series made from rows of R: one series for each combination of its labels' values. Exactly one of
// Add, Set and Observe is there.
type Metric[R any] struct {
	Name   string
	Help   string
	Labels []string // names of label fields in R's table of fields

	Where func(*R) bool // which rows it is about; nil: all

	Add     func(*R) float64         // a counter: what a row adds
	Set     func(*R) (float64, bool) // a gauge: what a row sets it to, if anything
	Observe func(*R) float64         // a histogram: what a row has
	Buckets []float64                // of a histogram, for who cannot read native ones
}

// Declaration is what there is to know of a metric before it has a value.
type Declaration struct {
	Name, Help string
	Kind       string // counter, gauge or histogram
	Labels     []string
}

// Declare tells what the metric is.
func (m *Metric[R]) Declare() Declaration {
	d := Declaration{m.Name, m.Help, "gauge", m.Labels}
	switch {
	case m.Add != nil:
		d.Kind = "counter"
	case m.Observe != nil:
		d.Kind = "histogram"
	}
	return d
}

// Declared returns all metrics of this package.
func Declared() []Declaration {
	all := declare(nil, Flows)
	all = declare(all, Connections)
	all = declare(all, Gaps)
	all = declare(all, Beats)
	all = append(all, observedSeconds)
	all = declare(all, Pulls)
	all = declare(all, Items)
	all = declare(all, Snapshot)
	all = declare(all, Findings)
	all = declare(all, Charges)
	all = declare(all, Fullest)
	all = declare(all, Services)
	return append(all, overflows, forgottenFacts)
}

func declare[R any](all []Declaration, metrics []Metric[R]) []Declaration {
	for i := range metrics {
		all = append(all, metrics[i].Declare())
	}
	return all
}

// Flows are the metrics made from flows. Labels are chosen so that a node has a few dozen series at most: event type and
// class stand on different metrics because their product would be several hundred.
var Flows = []Metric[flow.Record]{
	{
		Name:   MetricFlowsTotal,
		Help:   "Flows observed. One connection is many flows; an aggregated row counts for all it stands for.",
		Labels: []string{LabelCluster, LabelNode, LabelFamily, LabelVerdict, LabelEventType},
		Add:    weight,
	},
	{
		Name:   MetricFlowClassesTotal,
		Help:   "Flows observed, by which way they took and how that is known.",
		Labels: []string{LabelCluster, LabelNode, LabelFamily, LabelClass, LabelClassEvidence},
		Add:    weight,
	},
	{
		Name:   MetricLastFlowTimestampSeconds,
		Help:   "Time of the latest flow received, by the clock of the node that observed it.",
		Labels: []string{LabelCluster, LabelNode},
		Set:    func(r *flow.Record) (float64, bool) { return seconds(r.Time), !r.Time.IsZero() },
	},
	{
		Name:   MetricTranslationFailuresTotal,
		Help:   "Packets dropped because an address could not be translated, by Hubble's word for the reason.",
		Labels: []string{LabelCluster, LabelNode, LabelFamily, LabelDropReason},
		Where: func(r *flow.Record) bool {
			return r.DropCode != 0 && slices.Contains(translationFailures[:], r.DropCode)
		},
		Add: weight,
	},
}

// translationFailures are the drop codes that say that an address could not be translated (pkg/monitor/api/drop.go).
var translationFailures = [...]uint16{
	161, // NAT46x64 is not enabled
	167, // no mapping for masquerading: no port is left
	168, // masquerading cannot do this protocol
	187, // IPv4 to IPv6
	188, // IPv6 to IPv4
	191, // no map of source translations
	194, // no egress gateway
	204, // the egress gateway has no address
}

// Connections are the metrics made from connections: what to compare, and to alert on.
var Connections = []Metric[Judged]{
	{
		Name:   MetricConnectionsTotal,
		Help:   "Connections, each once, when they ended or their last flow was long enough ago.",
		Labels: []string{LabelCluster, LabelNode, LabelFamily, LabelDirection, LabelClass, LabelClassEvidence, LabelOutcome},
		Add:    func(*Judged) float64 { return 1 },
	},
	{
		Name: MetricWorkloadConnectionsTotal,
		Help: "The same connections by the cluster's own end: who is asked from outside, or else who asks.",
		Labels: []string{
			LabelCluster, LabelNamespace, LabelWorkload, LabelSide, LabelDirection, LabelTraffic, LabelFamily, LabelClass, LabelClassEvidence, LabelOutcome,
		},
		Add: func(*Judged) float64 { return 1 },
	},
	{
		Name:   MetricIPv4EgressConnectionsTotal,
		Help:   "Connections to the outside over IPv4 or NAT64, denied ones aside, by why it was not IPv6.",
		Labels: []string{LabelCluster, LabelNamespace, LabelWorkload, LabelClass, LabelCause},
		Where:  (*Judged).needsIPv4,
		Add:    func(*Judged) float64 { return 1 },
	},
	{
		Name:   MetricAvoidableIPv4ConnectionsTotal,
		Help:   "IPv4 connections though a usable IPv6 address had been answered to the pod.",
		Labels: []string{LabelCluster, LabelNamespace, LabelWorkload},
		Where:  (*Judged).leaves,
		Add:    func(j *Judged) float64 { return one(j.AvoidableIPv4) },
	},
	{
		Name:   MetricFallbacksTotal,
		Help:   "IPv4 connections that are the retry of an IPv6 attempt that failed.",
		Labels: []string{LabelCluster, LabelNamespace, LabelWorkload},
		Where:  (*Judged).leaves,
		Add:    func(j *Judged) float64 { return one(j.isRetry()) },
	},
	{
		Name:    MetricFallbackDelaySeconds,
		Help:    "Time that failed IPv6 attempts cost: from the attempt to its retry over IPv4.",
		Labels:  []string{LabelCluster, LabelNamespace},
		Where:   (*Judged).isRetry,
		Observe: func(j *Judged) float64 { return float64(j.FallbackMs) / 1000 },
		Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
	},
}

// Gaps are the metrics made from gaps.
var Gaps = []Metric[flow.Gap]{
	{
		Name:   MetricGapsTotal,
		Help:   "Gaps: stretches of time in which flows of a node were not seen, or were lost before they reached these metrics.",
		Labels: []string{LabelCluster, LabelNode, LabelCause},
		Add:    func(*flow.Gap) float64 { return 1 },
	},
	{
		Name:   MetricGapEventsLostTotal,
		Help:   "Events lost in gaps, as far as somebody counted them: a lower bound.",
		Labels: []string{LabelCluster, LabelNode, LabelCause},
		Add: func(g *flow.Gap) float64 {
			if !g.Count.Known {
				return 0
			}
			return float64(g.Count.N)
		},
	},
	{
		Name:   MetricGapSecondsTotal,
		Help:   "Length of the gaps whose begin and end are known. Where gaps overlap, each counts.",
		Labels: []string{LabelCluster, LabelNode, LabelCause},
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
		Name:   MetricHeartbeatsTotal,
		Help:   "Heartbeats: stretches of time, a minute long as a rule, in which a node was watched.",
		Labels: []string{LabelCluster, LabelNode},
		Add:    func(*flow.Beat) float64 { return 1 },
	},
	{
		Name:   MetricWatchedSecondsTotal,
		Help:   "Length of the heartbeats. Gaps may lie in it.",
		Labels: []string{LabelCluster, LabelNode},
		Add:    func(b *flow.Beat) float64 { return max(0, b.To.Sub(b.From).Seconds()) },
	},
}

// Pulls are the metrics made from image pulls. They have no node: nodes, registries and results together are too many, and
// which node is about to be limited is a question of addresses.
var Pulls = []Metric[flow.Pull]{
	{
		Name:   MetricImagePullsTotal,
		Help:   "Image pulls, by the registry of the image's reference and how they ended. One that found the image present asked no registry.",
		Labels: []string{LabelCluster, LabelRegistry, LabelResult},
		Add:    func(p *flow.Pull) float64 { return float64(max(1, p.Count)) },
	},
	{
		Name:   MetricImagePullBytesTotal,
		Help:   "Size of the images pulled, as far as it was told. Layers that a node has already are part of it.",
		Labels: []string{LabelCluster, LabelRegistry},
		Add: func(p *flow.Pull) float64 {
			if p.Result != flow.Pulled || !p.Bytes.Known {
				return 0
			}
			return float64(max(1, p.Count)) * float64(p.Bytes.N)
		},
	},
}

// overflows is the one metric about this package itself.
var overflows = Declaration{
	Name: MetricSeriesOverflowTotal, Kind: "counter", Labels: []string{LabelMetric},
	Help: "Rows for which a metric had no series left, so that they were counted on its series ~other.",
}

// forgottenFacts says how good causes are.
var forgottenFacts = Declaration{
	Name: MetricFactsForgottenTotal, Kind: "counter",
	Help: "DNS names and workloads that were forgotten for want of room, so that causes of IPv4 connections may be unknown.",
}

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
	words := 0
	for _, f := range fields {
		if f.Enum != nil {
			words++
		}
	}
	if names := len(fields) - words; names > maxNames || words > maxWords {
		return nil, fmt.Errorf("metric %s: %d names and %d words as labels, at most %d and %d are possible", m.Name, names, words, maxNames, maxWords)
	}
	return fields, nil
}
