package live

import "github.com/prometheus/client_golang/prometheus"

// Names of the metrics, for whoever asks for them.
const (
	MetricWatchUp              = "sextant_kubernetes_watch_up"
	MetricWatchedObjects       = "sextant_kubernetes_watched_objects"
	MetricWatchEventsTotal     = "sextant_kubernetes_watch_events_total"
	MetricWatchListsTotal      = "sextant_kubernetes_watch_lists_total"
	MetricWatchStreamsTotal    = "sextant_kubernetes_watch_streams_total"
	MetricWatchFailuresTotal   = "sextant_kubernetes_watch_failures_total"
	MetricRejectedObjectsTotal = "sextant_kubernetes_rejected_objects_total"
	MetricWarningsTotal        = "sextant_kubernetes_warnings_total"
	MetricLookupsTotal         = "sextant_kubernetes_lookups_total"
	MetricLookupsHeld          = "sextant_kubernetes_lookups_held"
)

// Names of their labels.
const (
	LabelKind   = "kind"
	LabelReason = "reason"
	LabelResult = "result"
)

// metrics of the watches. Labels are bounded by the table of watches, and by the words of this package.
type metrics struct {
	up       *prometheus.GaugeVec
	objects  *prometheus.GaugeVec
	events   *prometheus.CounterVec
	lists    *prometheus.CounterVec
	opened   *prometheus.CounterVec
	failures *prometheus.CounterVec
	rejected *prometheus.CounterVec
	warnings prometheus.Counter
	lookups  *prometheus.CounterVec
	held     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		up:       gauge(MetricWatchUp, "1 where a kind is watched and up to date, 0 where it is not, for whatever reason.", LabelKind),
		objects:  gauge(MetricWatchedObjects, "Objects that a watch tells of; of events, which are not kept, those that it told.", LabelKind),
		events:   counter(MetricWatchEventsTotal, "Changes that a watch told, lists aside.", LabelKind),
		lists:    counter(MetricWatchListsTotal, "Times that all objects of a watch were taken anew; the first time is no trouble.", LabelKind),
		opened:   counter(MetricWatchStreamsTotal, "Streams that the API server opened for a watch; it ends each after some minutes.", LabelKind),
		failures: counter(MetricWatchFailuresTotal, "Requests and streams of a watch that did not work, by reason.", LabelKind, LabelReason),
		rejected: counter(MetricRejectedObjectsTotal, "Objects left out because something in them could not be read.", LabelKind),
		warnings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricWarningsTotal, Help: "Warnings of the API server; each is logged once.",
		}),
		lookups: counter(MetricLookupsTotal, "Questions for single pods and their owners: found, missing, failed, or dropped unasked because too many waited.", LabelResult),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: MetricLookupsHeld, Help: "Questions whose answers are remembered.",
		}),
	}
	reg.MustRegister(m.up, m.objects, m.events, m.lists, m.opened, m.failures, m.rejected, m.warnings, m.lookups, m.held)
	return m
}
