package spool

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	bytes, deliveries prometheus.Gauge
	written, replayed prometheus.Counter
	dropped           *prometheus.CounterVec
	damaged, errors   prometheus.Counter
}

// Reasons why rows in a spool are never delivered.
const (
	reasonFull     = "full"
	reasonDamaged  = "damaged"
	reasonRejected = "rejected"
)

// newMetrics registers the metrics. oldest returns the age of the oldest delivery in seconds.
func newMetrics(reg prometheus.Registerer, oldest func() float64) *metrics {
	m := &metrics{
		bytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sextant_spool_bytes",
			Help: "Bytes of all files of the spool.",
		}),
		deliveries: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sextant_spool_deliveries",
			Help: "Deliveries that wait in the spool.",
		}),
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_spool_written_rows_total",
			Help: "Rows of all kinds that went to the spool.",
		}),
		replayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_spool_replayed_rows_total",
			Help: "Rows of all kinds that were stored from the spool.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sextant_spool_dropped_rows_total",
			Help: "Rows of all kinds that were lost in the spool, by reason: full, damaged (as far as their number is known) or rejected.",
		}, []string{"reason"}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_spool_damaged_total",
			Help: "Stretches of the spool's files that could not be read.",
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_spool_errors_total",
			Help: "Deliveries that the spool could not take.",
		}),
	}
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "sextant_spool_oldest_seconds",
		Help: "Age of the oldest delivery that waits in the spool; 0 where none does.",
	}, oldest)
	for _, reason := range []string{reasonFull, reasonDamaged, reasonRejected} {
		m.dropped.WithLabelValues(reason)
	}
	reg.MustRegister(m.bytes, m.deliveries, m.written, m.replayed, m.dropped, m.damaged, m.errors, age)
	return m
}
