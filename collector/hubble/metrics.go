package hubble

import "github.com/prometheus/client_golang/prometheus"

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
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "sextant_hubble_" + name, Help: help})
	}
	perNode := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sextant_hubble_" + name, Help: help}, []string{"cluster", "node"})
	}
	messages := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "sextant_hubble_messages_total",
		Help: "Messages received from Hubble, by kind: flow, lost_events, node_status, other or undecodable.",
	}, []string{"kind"})
	m := &metrics{
		flowMessages: messages.WithLabelValues("flow"), lostMessages: messages.WithLabelValues("lost_events"),
		statusMessages: messages.WithLabelValues("node_status"), otherMessages: messages.WithLabelValues("other"),
		undecodable: messages.WithLabelValues("undecodable"),

		flows:      counter("flows_total", "Flows handed on, each once."),
		duplicates: counter("duplicates_total", "Flows dropped because they had come before: a resumed stream delivers some again."),
		flaws:      counter("flaws_total", "Fields of flows that could not be read and were left unknown."),
		own:        counter("own_flows_total", "Flows of Hubble's own traffic dropped here; what the server leaves out is not counted."),
		connects:   counter("connects_total", "Streams opened."),
		reconnects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sextant_hubble_reconnects_total",
			Help: "Streams that ended and connections that were refused, by reason.",
		}, []string{"reason"}),
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sextant_hubble_connected_nodes",
			Help: "Nodes whose flows are followed now, directly or as Relay says.",
		}),
		accounting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "sextant_hubble_accounting",
			Help: "1 where the flows that arrive are compared with the number the agent saw; 0 where filters or Relay make that impossible.",
		}, []string{"server"}),
		lastFlow:  perNode("last_flow_timestamp_seconds", "Time of the newest flow of a node, by the node's clock."),
		lastBeat:  perNode("last_heartbeat_timestamp_seconds", "Until when a node was watched, as the heartbeats told so far say: up to a minute behind while it is."),
		seenFlows: perNode("seen_flows", "Flows the node's agent has seen since it started, as it says itself."),
		maxFlows:  perNode("max_flows", "Events the ring of the node's agent holds."),
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
