package collector

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	received    prometheus.Counter
	connections prometheus.Counter
	gaps        prometheus.Counter
	pulls       prometheus.Counter
	items       prometheus.Counter
	beats       prometheus.Counter
	lag         prometheus.Gauge
	stored      *prometheus.CounterVec
	lost        *prometheus.CounterVec
	retries     *prometheus.CounterVec
	queued      *prometheus.GaugeVec
	writes      *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_collector_flows_total",
			Help: "Flows that entered the pipeline.",
		}),
		connections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_collector_connections_total",
			Help: "Connections that were told.",
		}),
		gaps: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_collector_gaps_total",
			Help: "Gaps that were told.",
		}),
		pulls: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_collector_pulls_total",
			Help: "Image pulls that were told; one that was told for many counts once.",
		}),
		items: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_collector_inventory_items_total",
			Help: "Items of the inventory that were told.",
		}),
		beats: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_collector_heartbeats_total",
			Help: "Heartbeats that were told.",
		}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sextant_collector_lag_seconds",
			Help: "Age of the newest flow of the last batch when it entered the pipeline.",
		}),
		stored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sextant_sink_rows_total",
			Help: "Rows of all kinds that a sink has stored.",
		}, []string{"sink"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sextant_sink_lost_total",
			Help: "Rows of all kinds that a sink lost, by reason: queue_full, rejected or shutdown.",
		}, []string{"sink", "reason"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sextant_sink_retries_total",
			Help: "Deliveries that had to be tried again.",
		}, []string{"sink"}),
		queued: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sextant_sink_queued_rows",
			Help: "Rows of all kinds that wait for a sink.",
		}, []string{"sink"}),
		writes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sextant_sink_write_seconds",
			Help:    "Time of one successful delivery to a sink.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"sink"}),
	}
	reg.MustRegister(m.received, m.connections, m.gaps, m.pulls, m.items, m.beats, m.lag, m.stored, m.lost, m.retries, m.queued, m.writes)
	return m
}
