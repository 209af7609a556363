package collector

import "github.com/prometheus/client_golang/prometheus"

// Names of the metrics, for whoever asks for them.
const (
	MetricFlowsTotal          = "sextant_collector_flows_total"
	MetricConnectionsTotal    = "sextant_collector_connections_total"
	MetricGapsTotal           = "sextant_collector_gaps_total"
	MetricPullsTotal          = "sextant_collector_pulls_total"
	MetricInventoryItemsTotal = "sextant_collector_inventory_items_total"
	MetricHeartbeatsTotal     = "sextant_collector_heartbeats_total"
	MetricChargesTotal        = "sextant_collector_charges_total"
	MetricBucketsTotal        = "sextant_collector_buckets_total"
	MetricLagSeconds          = "sextant_collector_lag_seconds"
	MetricSinkRowsTotal       = "sextant_sink_rows_total"
	MetricSinkLostTotal       = "sextant_sink_lost_total"
	MetricSinkRetriesTotal    = "sextant_sink_retries_total"
	MetricSinkQueuedRows      = "sextant_sink_queued_rows"
	MetricSinkWriteSeconds    = "sextant_sink_write_seconds"
)

// Names of their labels.
const (
	LabelSink   = "sink"
	LabelReason = "reason"
)

type metrics struct {
	received    prometheus.Counter
	connections prometheus.Counter
	gaps        prometheus.Counter
	pulls       prometheus.Counter
	items       prometheus.Counter
	beats       prometheus.Counter
	charges     prometheus.Counter
	buckets     prometheus.Counter
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
			Name: MetricFlowsTotal,
			Help: "Flows that entered the pipeline.",
		}),
		connections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricConnectionsTotal,
			Help: "Connections that were told.",
		}),
		gaps: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricGapsTotal,
			Help: "Gaps that were told.",
		}),
		pulls: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricPullsTotal,
			Help: "Image pulls that were told; one that was told for many counts once.",
		}),
		items: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricInventoryItemsTotal,
			Help: "Items of the inventory that were told.",
		}),
		beats: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricHeartbeatsTotal,
			Help: "Heartbeats that were told.",
		}),
		charges: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricChargesTotal,
			Help: "Uses of limited services that were told.",
		}),
		buckets: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricBucketsTotal,
			Help: "States of rate-limit buckets that were told.",
		}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: MetricLagSeconds,
			Help: "Age of the newest flow of the last batch when it entered the pipeline.",
		}),
		stored: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: MetricSinkRowsTotal,
			Help: "Rows of all kinds that a sink has stored.",
		}, []string{LabelSink}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: MetricSinkLostTotal,
			Help: "Rows of all kinds that a sink lost, by reason: queue_full, rejected or shutdown.",
		}, []string{LabelSink, LabelReason}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: MetricSinkRetriesTotal,
			Help: "Deliveries that had to be tried again.",
		}, []string{LabelSink}),
		queued: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: MetricSinkQueuedRows,
			Help: "Rows of all kinds that wait for a sink.",
		}, []string{LabelSink}),
		writes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    MetricSinkWriteSeconds,
			Help:    "Time of one successful delivery to a sink.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{LabelSink}),
	}
	reg.MustRegister(m.received, m.connections, m.gaps, m.pulls, m.items, m.beats, m.charges, m.buckets, m.lag, m.stored, m.lost, m.retries, m.queued, m.writes)
	return m
}
