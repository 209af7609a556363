package bucket

import "github.com/prometheus/client_golang/prometheus"

// Names of the metrics, for whoever asks for them.
const (
	MetricHeld         = "sextant_rate_limit_buckets_held"
	MetricHeldBytes    = "sextant_rate_limit_buckets_bytes"
	MetricEvictedTotal = "sextant_rate_limit_buckets_evicted_total"
)

type metrics struct{ evicted prometheus.Counter }

func newMetrics(registry prometheus.Registerer, stats func() (buckets, bytes int)) *metrics {
	m := &metrics{evicted: prometheus.NewCounter(prometheus.CounterOpts{
		Name: MetricEvictedTotal,
		Help: "Rate-limit buckets let go of for want of memory: totals of their services are lower bounds.",
	})}
	registry.MustRegister(m.evicted,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: MetricHeld,
			Help: "Rate-limit buckets held in memory.",
		}, func() float64 { n, _ := stats(); return float64(n) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: MetricHeldBytes,
			Help: "Memory that the rate-limit buckets take, as estimated.",
		}, func() float64 { _, n := stats(); return float64(n) }),
	)
	return m
}
