package clickhouse

import "github.com/prometheus/client_golang/prometheus"

// Names of the metrics, for whoever asks for them.
const (
	MetricSentBytesTotal   = "sextant_clickhouse_sent_bytes_total"
	MetricConnectionsTotal = "sextant_clickhouse_connections_total"
	MetricBurntTokensTotal = "sextant_clickhouse_burnt_tokens_total"
)

// metrics are what the pipeline cannot know; rows, seconds, retries and losses it counts itself.
type metrics struct {
	sent        prometheus.Counter
	connections prometheus.Counter
	burnt       prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricSentBytesTotal,
			Help: "Bytes sent to ClickHouse, as compressed.",
		}),
		connections: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricConnectionsTotal,
			Help: "Connections made to ClickHouse.",
		}),
		burnt: prometheus.NewCounter(prometheus.CounterOpts{
			Name: MetricBurntTokensTotal,
			Help: "Inserts repeated under another token, because ClickHouse remembered the first token but not the rows.",
		}),
	}
	reg.MustRegister(m.sent, m.connections, m.burnt)
	return m
}
