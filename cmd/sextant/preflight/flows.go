package preflight

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// packets says whether an aggregation level lets a trace of every packet through, and with it those that have no connection
// tracking result: what leaves a device, and what is translated there (bpf/lib/trace.h, emit_trace_notify).
func packets(level string) (every, known bool) {
	switch level {
	case "none", "lowest", "low":
		return true, true
	case "medium", "maximum":
		return false, true
	}
	return false, false
}

// flows says what of the traffic becomes flows at all.
func (c *Cluster) flows() []Line {
	return slices.Concat(
		c.perNode(TopicFlows, "hubble", hubbleOn),
		c.perNode(TopicFlows, "events", events),
		c.perNode(TopicFlows, "event limit", eventLimit),
		c.perNode(TopicFlows, "aggregation", aggregation),
		c.perNode(TopicFlows, "buffers", buffers),
	)
}

func hubbleOn(n *node) answer {
	switch {
	case n.is("enable-hubble", "false", true): // pkg/hubble/cell/config.go
		return answer{}
	case n.is("enable-hubble", "false", false):
		return answer{Fail, "Hubble is off (enable-hubble)", "No flow of these nodes is ever seen.", "hubble.enabled=true"}
	}
	return answer{}
}

// events looks at the kinds of events that the datapath tells (pkg/defaults/defaults.go: all are on) and those that Hubble
// listens to (pkg/hubble/cell/config.go: all).
func events(n *node) answer {
	if !n.told {
		return answer{Unknown, "whether trace, drop and policy verdict events are on is not known", "Without trace events no connection shows.", settingsTold}
	}
	listens := strings.FieldsFunc(n.value("hubble-monitor-events", ""), func(c rune) bool { return c == ' ' || c == ',' })
	off := func(key, event string) (why string) {
		switch {
		case n.is(key, "true", false):
			return key + " is false"
		case len(listens) > 0 && !slices.Contains(listens, event):
			return "hubble-monitor-events leaves out " + event
		}
		return ""
	}
	if why := off("bpf-events-trace-enabled", "trace"); why != "" {
		return answer{
			Fail, "trace events are off: " + why, "No connection shows but those that policies look at or drop: Sextant is blind.",
			"bpf.events.trace.enabled=true, and hubble-monitor-events left out",
		}
	}
	var less []string
	for _, one := range [][2]string{{"bpf-events-drop-enabled", "drop"}, {"bpf-events-policy-verdict-enabled", "policy-verdict"}, {"", "l7"}} {
		if why := off(one[0], one[1]); why != "" {
			less = append(less, why)
		}
	}
	if len(less) > 0 {
		return answer{
			Warn, "trace events are on, others are not: " + strings.Join(less, ", "),
			"Connections show. Without drops, denied and failed ones look unanswered; without policy verdicts nobody knows which policy let one through; without l7 no DNS name is learned.",
			"bpf.events.drop.enabled=true, bpf.events.policyVerdict.enabled=true, and hubble-monitor-events left out",
		}
	}
	return answer{verdict: OK, text: "trace, drop and policy verdict events are on"}
}

// eventLimit: what is beyond the limit is gone in the kernel, and no agent counts it (bpf/lib/trace.h).
func eventLimit(n *node) answer {
	limit := n.value("bpf-events-default-rate-limit", "0")
	if v, err := strconv.Atoi(limit); !n.told || err != nil || v == 0 {
		return answer{}
	}
	return answer{
		Warn, "the kernel tells at most " + limit + " events a second (bpf-events-default-rate-limit)",
		"What is beyond is lost, and nobody says so: no gap can be told.", "bpf.events.default.rateLimit=0 and burstLimit=0",
	}
}

func aggregation(n *node) answer {
	level := n.Settings.Aggregation
	every, known := packets(level)
	if !known {
		return answer{Unknown, "the monitor aggregation level is not known", "Whether the flows show what happens to each packet cannot be said.", settingsTold}
	}
	if level == "none" {
		return answer{
			Note, "none: a flow for every packet at every point that it passes",
			"Translations show; so does much that says nothing new, and with it rings overrun soon.", "bpf.monitorAggregation=low shows the same with fewer flows",
		}
	}
	if every {
		return answer{
			Note, level + ": a flow for every packet at every point that it leaves by",
			"Translations show. Rings overrun sooner than at medium.", "hubble.eventBufferCapacity=65535 makes them last",
		}
	}
	text := level + ": a flow when a connection begins"
	if n.told {
		interval, flags := n.value("monitor-aggregation-interval", "5s"), n.value("monitor-aggregation-flags", "syn,fin,rst")
		text += fmt.Sprintf(", every %s while it lasts, and at each new TCP flag (%s)", interval, strings.Join(strings.Fields(flags), ","))
	}
	return answer{OK, text, "Connections are counted exactly. What happens to a single packet on its way out does not show.", ""}
}

// buffers looks at sizes that somebody has set. The defaults are 4095 flows, and 1024 events for each CPU.
func buffers(n *node) answer {
	ring, ringErr := strconv.Atoi(n.value("hubble-event-buffer-capacity", "4095"))
	queue, queueErr := strconv.Atoi(n.value("hubble-event-queue-size", "0"))
	switch {
	case ringErr == nil && ring < 1023:
		return answer{
			Warn, fmt.Sprintf("the ring holds %d flows (hubble-event-buffer-capacity)", ring), "A burst, or a moment without connection to the node, loses flows.",
			"hubble.eventBufferCapacity=4095, its default, or more, up to 65535",
		}
	case queueErr == nil && queue > 0 && queue < 1024:
		return answer{
			Warn, fmt.Sprintf("the agent queues %d events (hubble-event-queue-size)", queue), "A burst loses events before Hubble has looked at them (OBSERVER_EVENTS_QUEUE).",
			"leave hubble.eventQueueSize out: its default is 1024 for each CPU",
		}
	}
	return answer{}
}
