package kube

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
)

// Names of the metrics, for whoever asks for them.
const (
	MetricEndsTotal             = "sextant_enrich_ends_total"
	MetricDisagreementsTotal    = "sextant_enrich_disagreements_total"
	MetricObjects               = "sextant_enrich_objects"
	MetricFormerPods            = "sextant_enrich_former_pods"
	MetricIndexTimestampSeconds = "sextant_enrich_index_timestamp_seconds"
)

// Names of their labels.
const (
	LabelResult = "result"
	LabelWhat   = "what"
	LabelKind   = "kind"
)

// What Hubble and the index may say differently.
const (
	overPod = iota
	overNamespace
	overWorkload
	overNode
	overService
	matters
)

var matterNames = [matters]string{"pod", "namespace", "workload", "node", "service"}

const resolutions = int(flow.Unresolved) + 1

// tally is what was counted in one batch.
type tally struct {
	ends          [resolutions]uint64
	disagreements [matters]uint64
}

type metrics struct {
	ends          [resolutions]prometheus.Counter
	disagreements [matters]prometheus.Counter
	objects       *prometheus.GaugeVec
	former        prometheus.Gauge
	made          prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	ends := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: MetricEndsTotal,
		Help: "Ends of flows, by who told which pod or node they are: flow, cluster, none for ends outside, unresolved for pods that nobody knows.",
	}, []string{LabelResult})
	disagreements := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: MetricDisagreementsTotal,
		Help: "Ends of flows of which Hubble and the cluster's API tell differently, by what. Hubble's word stands.",
	}, []string{LabelWhat})
	m := &metrics{
		objects: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: MetricObjects,
			Help: "Kubernetes objects in the index, by kind.",
		}, []string{LabelKind}),
		former: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: MetricFormerPods,
			Help: "Pods in the index that are gone, kept for flows of their time.",
		}),
		made: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: MetricIndexTimestampSeconds,
			Help: "When the index in use was made.",
		}),
	}
	for i := range m.ends {
		m.ends[i] = ends.WithLabelValues(flow.Resolution(i).String())
	}
	for i := range m.disagreements {
		m.disagreements[i] = disagreements.WithLabelValues(matterNames[i])
	}
	reg.MustRegister(ends, disagreements, m.objects, m.former, m.made)
	return m
}

func (m *metrics) add(t *tally) {
	for i, n := range t.ends {
		if n > 0 {
			m.ends[i].Add(float64(n))
		}
	}
	for i, n := range t.disagreements {
		if n > 0 {
			m.disagreements[i].Add(float64(n))
		}
	}
}

// set tells how much an index knows.
func (m *metrics) set(x *Index) {
	if x == nil {
		x = &Index{}
	}
	for _, kind := range stored {
		m.objects.WithLabelValues(string(kind)).Set(float64(x.objects[kind]))
	}
	m.former.Set(float64(x.former))
	m.made.Set(float64(time.Now().Unix()))
}
