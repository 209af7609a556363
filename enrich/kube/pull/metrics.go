package pull

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Names of the metrics, for whoever asks for them.
const (
	MetricEventsTotal          = "sextant_pull_events_total"
	MetricEventsRepeatedTotal  = "sextant_pull_events_repeated_total"
	MetricLostTotal            = "sextant_pull_lost_total"
	MetricEventsForgottenTotal = "sextant_pull_events_forgotten_total"
	MetricStorms               = "sextant_pull_storms"
)

// Names of their labels.
const (
	LabelStep   = "step"
	LabelReason = "reason"
)

type metrics struct {
	events    *prometheus.CounterVec
	repeated  prometheus.Counter
	lost      *prometheus.CounterVec
	forgotten prometheus.Counter
}

// Why pulls are lost.
const (
	lostQueue   = "queue_full"   // too many waited to be told
	lostSeries  = "too_many"     // one event stands for more than a kubelet can have tried
	lostPending = "pending_full" // so many had begun that whether they end could not be watched
)

func newMetrics(reg prometheus.Registerer, storms func(time.Time) int) *metrics {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: MetricEventsTotal,
			Help: "Events about pods, by what they say of image pulls: begun, pulled, present, failed, held (by the kubelet's own limit), unread (words that are not known) or other.",
		}, []string{LabelStep}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricEventsRepeatedTotal,
			Help: "Events about image pulls that told nothing new.",
		}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: MetricLostTotal,
			Help: "Image pulls that are not told, by reason: queue_full, too_many or pending_full.",
		}, []string{LabelReason}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricEventsForgottenTotal,
			Help: "Events that were forgotten for want of room; their pulls are told again, under the same identifiers, if the API server lists them again.",
		}),
	}
	reg.MustRegister(m.events, m.repeated, m.lost, m.forgotten, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: MetricStorms,
		Help: "Images that a node pulled for one workload more often in the last hour than the settings allow.",
	}, func() float64 { return float64(storms(time.Now())) }))
	for _, name := range stepNames {
		m.events.WithLabelValues(name)
	}
	for _, reason := range []string{lostQueue, lostSeries, lostPending} {
		m.lost.WithLabelValues(reason)
	}
	return m
}
