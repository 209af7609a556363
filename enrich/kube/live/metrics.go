package live

import "github.com/prometheus/client_golang/prometheus"

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
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sextant_kubernetes_" + name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sextant_kubernetes_" + name, Help: help}, labels)
	}
	m := &metrics{
		up:       gauge("watch_up", "1 where a kind is watched and up to date, 0 where it is not, for whatever reason.", "kind"),
		objects:  gauge("watched_objects", "Objects that a watch tells of; of events, which are not kept, those that it told.", "kind"),
		events:   counter("watch_events_total", "Changes that a watch told, lists aside.", "kind"),
		lists:    counter("watch_lists_total", "Times that all objects of a watch were taken anew; the first time is no trouble.", "kind"),
		opened:   counter("watch_streams_total", "Streams that the API server opened for a watch; it ends each after some minutes.", "kind"),
		failures: counter("watch_failures_total", "Requests and streams of a watch that did not work, by reason.", "kind", "reason"),
		rejected: counter("rejected_objects_total", "Objects left out because something in them could not be read.", "kind"),
		warnings: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sextant_kubernetes_warnings_total", Help: "Warnings of the API server; each is logged once.",
		}),
		lookups: counter("lookups_total", "Questions for single pods and their owners: found, missing, failed, or dropped unasked because too many waited.", "result"),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sextant_kubernetes_lookups_held", Help: "Questions whose answers are remembered.",
		}),
	}
	reg.MustRegister(m.up, m.objects, m.events, m.lists, m.opened, m.failures, m.rejected, m.warnings, m.lookups, m.held)
	return m
}
