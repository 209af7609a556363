package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

// Seconds that a ring should hold: Sextant connects anew within ten, and an agent behind Relay within thirty.
const (
	ringLeast = 10 * time.Second
	ringGood  = time.Minute
)

// ring says for how long the rings hold what nobody has read, as full rings at the present rate, or at the average since
// the agent started where it tells no other.
func ring(nodes []hubble.NodeSight) Line {
	type span struct {
		node string
		held time.Duration
		rate float64
		ring uint64
	}
	var spans []span
	untold := 0
	for _, n := range nodes {
		rate := n.Rate
		if rate == 0 && n.Uptime > 0 {
			rate = float64(n.Seen) / n.Uptime.Seconds()
		}
		if n.Ring == 0 || rate == 0 {
			untold++
			continue
		}
		held := time.Duration(min(float64(n.Ring)/rate, float64(240*time.Hour/time.Second)) * float64(time.Second))
		spans = append(spans, span{cmp.Or(n.Node, "the agent"), held, rate, n.Ring})
	}
	if len(spans) == 0 {
		return answer{Unknown, "no agent told its ring's size and rate", "How long an interruption may last without loss is not known.", ""}.line(TopicHubble, "ring")
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.held, b.held), strings.Compare(a.node, b.node))
	})
	var words []string
	for _, s := range spans[:min(3, len(spans))] {
		words = append(words, fmt.Sprintf("%s keeps %d flows, %s at %s a second", s.node, s.ring, about(s.held), flowRate(s.rate)))
	}
	a := answer{verdict: OK, text: strings.Join(words, "; ")}
	if more := len(spans) - len(words); more > 0 {
		a.text += fmt.Sprintf("; %s longer", number(more, "other"))
	}
	if untold > 0 {
		a.text += fmt.Sprintf("; %s told nothing", number(untold, "node"))
	}
	shortest := spans[0].held
	a.means = fmt.Sprintf("An interruption that lasts longer than %s loses flows for good; a gap says so.", about(shortest))
	switch {
	case shortest < ringLeast:
		a.verdict = Warn
	case shortest < ringGood:
		a.verdict = Note
	}
	if a.verdict != OK {
		a.remedy = "hubble.eventBufferCapacity=65535 (the largest), or a higher bpf.monitorAggregation"
	}
	return a.line(TopicHubble, "ring")
}

func flowRate(rate float64) string {
	if rate < 10 {
		return strconv.FormatFloat(rate, 'f', 1, 64)
	}
	return strconv.FormatFloat(rate, 'f', 0, 64)
}

// about rounds a duration to what people say.
func about(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 240*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return "days"
}

// losses says what the agents themselves lost, of the events that we looked at.
func losses(nodes []hubble.NodeSight) Line {
	lost := map[flow.GapCause]uint64{}
	var where []string
	looked := 0
	for _, n := range nodes {
		looked += n.Sample.Flows
		for cause, count := range n.Sample.Lost {
			lost[cause] += count
		}
		if len(n.Sample.Lost) > 0 {
			where = append(where, cmp.Or(n.Node, "the agent"))
		}
	}
	a := answer{verdict: OK, text: "none among the newest " + number(looked, "flow")}
	switch {
	case len(where) > 0:
		var words, remedies []string
		if n := lost[flow.GapLostPerfRing]; n > 0 {
			words = append(words, fmt.Sprintf("%d between kernel and agent", n))
			remedies = append(remedies, "give the agents more CPU, or a higher bpf.monitorAggregation or bpf.monitorInterval")
		}
		if n := lost[flow.GapLostQueue]; n > 0 {
			words = append(words, fmt.Sprintf("%d between agent and Hubble", n))
			remedies = append(remedies, "raise hubble.eventQueueSize")
		}
		if n := lost[flow.GapUnknown]; n > 0 {
			words = append(words, fmt.Sprintf("%d elsewhere", n))
		}
		a = answer{
			Warn, fmt.Sprintf("%s lost on %s, beside the newest %s", strings.Join(words, ", "), some(where), number(looked, "flow")),
			"Connections may be missing, or be seen late; gaps say how many events.", strings.Join(remedies, "; "),
		}
	case looked == 0:
		a = answer{Unknown, "no flow came while we looked", "What the agents lose tells itself with a later event alone.", "look for longer: --watch 1m"}
	}
	return a.line(TopicHubble, "lost events")
}

// seen says whether there is anything to see.
func seen(nodes []hubble.NodeSight) Line {
	var total uint64
	var silent []string
	events := map[flow.EventType]int{}
	looked, translated := 0, 0
	for _, n := range nodes {
		total += n.Seen
		if n.Ring > 0 && n.Seen == 0 {
			silent = append(silent, cmp.Or(n.Node, "the agent"))
		}
		looked += n.Sample.Flows
		translated += n.Sample.Translated
		for event, count := range n.Sample.Events {
			events[event] += count
		}
	}
	a := answer{verdict: OK, text: fmt.Sprintf("%d since the agents started", total)}
	if looked > 0 {
		a.text += fmt.Sprintf("; of the newest %d there are %s", looked, eventWords(events))
	}
	if translated > 0 {
		a.text += fmt.Sprintf("; %d tell a translated source", translated)
	}
	switch {
	case len(silent) > 0:
		a.verdict, a.text = Warn, fmt.Sprintf("none on %s; %s", some(silent), a.text)
		a.means, a.remedy = "These nodes have no pods, or their events are off.", "look at bpf.events.trace.enabled and hubble-monitor-events there"
	case looked >= 50 && events[flow.EventTrace] == 0:
		a.verdict, a.means = Fail, "No trace event is among them: connections do not show."
		a.remedy = "bpf.events.trace.enabled=true, and hubble-monitor-events and hubble.denylist without trace"
	}
	return a.line(TopicHubble, "seen flows")
}

func eventWords(events map[flow.EventType]int) string {
	var words []string
	for event := range flow.EventType(20) {
		if n := events[event]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, event))
		}
	}
	return strings.Join(words, ", ")
}
