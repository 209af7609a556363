package hubble

import "github.com/prometheus/client_golang/prometheus"

// Names of the metrics, for whoever asks for them.
const (
	MetricMessagesTotal                 = "sextant_hubble_messages_total"
	MetricFlowsTotal                    = "sextant_hubble_flows_total"
	MetricDuplicatesTotal               = "sextant_hubble_duplicates_total"
	MetricFlawsTotal                    = "sextant_hubble_flaws_total"
	MetricOwnFlowsTotal                 = "sextant_hubble_own_flows_total"
	MetricConnectsTotal                 = "sextant_hubble_connects_total"
	MetricReconnectsTotal               = "sextant_hubble_reconnects_total"
	MetricConnectedNodes                = "sextant_hubble_connected_nodes"
	MetricAccounting                    = "sextant_hubble_accounting"
	MetricLastFlowTimestampSeconds      = "sextant_hubble_last_flow_timestamp_seconds"
	MetricLastHeartbeatTimestampSeconds = "sextant_hubble_last_heartbeat_timestamp_seconds"
	MetricSeenFlows                     = "sextant_hubble_seen_flows"
	MetricMaxFlows                      = "sextant_hubble_max_flows"
)

// Names of their labels.
const (
	LabelCluster = "cluster"
	LabelNode    = "node"
	LabelKind    = "kind"
	LabelReason  = "reason"
	LabelServer  = "server"
)

// metrics of the live sources. Labels are bounded by Config.MaxNodes, but for reason and kind, which are few.
type metrics struct {
	flowMessages, lostMessages, statusMessages, otherMessages, undecodable prometheus.Counter

	flows      prometheus.Counter
	duplicates prometheus.Counter
	flaws      prometheus.Counter
	own        prometheus.Counter
	connects   prometheus.Counter
	reconnects *prometheus.CounterVec
	connected  prometheus.Gauge
	accounting *prometheus.GaugeVec
	lastFlow   *prometheus.GaugeVec
	lastBeat   *prometheus.GaugeVec
	seenFlows  *prometheus.GaugeVec
	maxFlows   *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	perNode := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{LabelCluster, LabelNode})
	}
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: MetricMessagesTotal,
		Help: "Messages received from Hubble, by kind: flow, lost_events, node_status, other or undecodable.",
	}, []string{LabelKind})
	m := &metrics{
		flowMessages: messages.WithLabelValues("flow"), lostMessages: messages.WithLabelValues("lost_events"),
		statusMessages: messages.WithLabelValues("node_status"), otherMessages: messages.WithLabelValues("other"),
		undecodable: messages.WithLabelValues("undecodable"),

		flows:      counter(MetricFlowsTotal, "Flows handed on, each once."),
		duplicates: counter(MetricDuplicatesTotal, "Flows dropped because they had come before: a resumed stream delivers some again."),
		flaws:      counter(MetricFlawsTotal, "Fields of flows that could not be read and were left unknown."),
		own:        counter(MetricOwnFlowsTotal, "Flows of Hubble's own traffic dropped here; what the server leaves out is not counted."),
		connects:   counter(MetricConnectsTotal, "Streams opened."),
		reconnects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: MetricReconnectsTotal,
			Help: "Streams that ended and connections that were refused, by reason.",
		}, []string{LabelReason}),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: MetricConnectedNodes,
			Help: "Nodes whose flows are followed now, directly or as Relay says.",
		}),
		accounting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: MetricAccounting,
			Help: "1 where the flows that arrive are compared with the number the agent saw; 0 where filters or Relay make that impossible.",
		}, []string{LabelServer}),
		lastFlow:  perNode(MetricLastFlowTimestampSeconds, "Time of the newest flow of a node, by the node's clock."),
		lastBeat:  perNode(MetricLastHeartbeatTimestampSeconds, "Until when a node was watched, as the heartbeats told so far say: up to a minute behind while it is."),
		seenFlows: perNode(MetricSeenFlows, "Flows the node's agent has seen since it started, as it says itself."),
		maxFlows:  perNode(MetricMaxFlows, "Events the ring of the node's agent holds."),
	}
	reg.MustRegister(messages, m.flows, m.duplicates, m.flaws, m.own, m.connects, m.reconnects, m.connected, m.accounting,
		m.lastFlow, m.lastBeat, m.seenFlows, m.maxFlows)
	return m
}

func (m *metrics) forget(n NodeName) {
	labels := []string{n.Cluster.String(), n.Node.String()}
	m.lastFlow.DeleteLabelValues(labels...)
	m.lastBeat.DeleteLabelValues(labels...)
	m.seenFlows.DeleteLabelValues(labels...)
	m.maxFlows.DeleteLabelValues(labels...)
}
