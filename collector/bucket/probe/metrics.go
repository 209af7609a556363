package probe

import "github.com/prometheus/client_golang/prometheus"

// metrics are labelled by the services of the catalogue that can be asked, of which there are mostTargets.
type metrics struct {
	probes *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{probes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sextant_rate_limit_probes_total",
		Help: "Questions to registries for what is left of their rate limit, by service, family and result; all results but ok and limited leave it unknown.",
	}, []string{"service", "family", "result"})}
	reg.MustRegister(m.probes)
	return m
}
