package spool

import "github.com/prometheus/client_golang/prometheus"

// Names of the metrics, for whoever asks for them.
const (
	MetricBytes             = "sextant_spool_bytes"
	MetricDeliveries        = "sextant_spool_deliveries"
	MetricWrittenRowsTotal  = "sextant_spool_written_rows_total"
	MetricReplayedRowsTotal = "sextant_spool_replayed_rows_total"
	MetricDroppedRowsTotal  = "sextant_spool_dropped_rows_total"
	MetricDamagedTotal      = "sextant_spool_damaged_total"
	MetricErrorsTotal       = "sextant_spool_errors_total"
	MetricOldestSeconds     = "sextant_spool_oldest_seconds"
)

// Names of their labels.
const (
	LabelReason = "reason"
)

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
			Name: MetricBytes,
			Help: "Bytes of all files of the spool.",
		}),
		deliveries: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: MetricDeliveries,
			Help: "Deliveries that wait in the spool.",
		}),
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricWrittenRowsTotal,
			Help: "Rows of all kinds that went to the spool.",
		}),
		replayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricReplayedRowsTotal,
			Help: "Rows of all kinds that were stored from the spool.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: MetricDroppedRowsTotal,
			Help: "Rows of all kinds that were lost in the spool, by reason: full, damaged (as far as their number is known) or rejected.",
		}, []string{LabelReason}),
		damaged: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricDamagedTotal,
			Help: "Stretches of the spool's files that could not be read.",
		}),
		errors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricErrorsTotal,
			Help: "Deliveries that the spool could not take.",
		}),
	}
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: MetricOldestSeconds,
		Help: "Age of the oldest delivery that waits in the spool; 0 where none does.",
	}, oldest)
	for _, reason := range []string{reasonFull, reasonDamaged, reasonRejected} {
		m.dropped.WithLabelValues(reason)
	}
	reg.MustRegister(m.bytes, m.deliveries, m.written, m.replayed, m.dropped, m.damaged, m.errors, age)
	return m
}
