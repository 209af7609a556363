package probe

import "github.com/prometheus/client_golang/prometheus"

// MetricProbesTotal is the name of the metric, for whoever asks for it; the others are its labels.
const (
	MetricProbesTotal = "sextant_rate_limit_probes_total"
	LabelService      = "service"
	LabelFamily       = "family"
	LabelResult       = "result"
)

// metrics are labelled by the services of the catalogue that can be asked, of which there are mostTargets.
type metrics struct {
	probes *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{probes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: MetricProbesTotal,
		Help: "Questions to registries for what is left of their rate limit, by service, family and result; all results but ok and limited leave it unknown.",
	}, []string{LabelService, LabelFamily, LabelResult})}
	reg.MustRegister(m.probes)
	return m
}
