package pull

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
			Name: "sextant_pull_events_total",
			Help: "Events about pods, by what they say of image pulls: begun, pulled, present, failed, held (by the kubelet's own limit), unread (words that are not known) or other.",
		}, []string{"step"}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_pull_events_repeated_total",
			Help: "Events about image pulls that told nothing new.",
		}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sextant_pull_lost_total",
			Help: "Image pulls that are not told, by reason: queue_full, too_many or pending_full.",
		}, []string{"reason"}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_pull_events_forgotten_total",
			Help: "Events that were forgotten for want of room; their pulls are told again, under the same identifiers, if the API server lists them again.",
		}),
	}
	reg.MustRegister(m.events, m.repeated, m.lost, m.forgotten, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sextant_pull_storms",
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
