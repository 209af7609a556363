package preflight

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"sextant/collector/hubble"
)

// skew is how far a clock may be off before it misleads: connections are merged from two nodes' views within seconds.
const (
	skewNote = time.Second
	skewWarn = 5 * time.Second
	liveFew  = 5 // flows that came live, from which on their age tells something
)

// NodeClocks compares the clocks of the nodes, which stamp the flows, with ours.
func NodeClocks(sight *hubble.Sight) []Line {
	if sight == nil {
		return nil
	}
	groups := map[answer][]string{}
	fine, mute := 0, 0
	for _, n := range sight.Nodes {
		s := n.Sample
		name := cmp.Or(n.Node, "the agent")
		var a answer
		switch {
		case n.Err != nil:
			continue
		case s.Flows > 0 && s.Offset > skewNote:
			a = skewed("ahead of ours by "+about(s.Offset)+" or more", s.Offset)
		case s.Live >= liveFew && s.Offset < -skewNote:
			a = skewed("behind ours by "+about(-s.Offset)+", or its flows come that late", -s.Offset)
		case s.Live >= liveFew:
			fine++
			continue
		default:
			mute++
			continue
		}
		groups[a] = append(groups[a], name)
	}
	var lines []Line
	for a, nodes := range groups {
		l := a.line(TopicClocks, "nodes")
		slices.Sort(nodes)
		l.Nodes = nodes
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b Line) int { return cmp.Compare(a.Nodes[0], b.Nodes[0]) })
	switch {
	case fine > 0 && mute == 0:
		lines = append(lines, answer{verdict: OK, text: number(fine, "node") + " within a second of ours"}.line(TopicClocks, "nodes"))
	case fine > 0:
		lines = append(lines, answer{verdict: OK, text: fmt.Sprintf("%s within a second of ours, %d too quiet to tell", number(fine, "node"), mute)}.line(TopicClocks, "nodes"))
	case mute > 0 && len(lines) == 0:
		lines = append(lines, answer{Unknown, "too few flows came while we looked", "", "look for longer: --watch 1m"}.line(TopicClocks, "nodes"))
	}
	return lines
}

func skewed(text string, by time.Duration) answer {
	a := answer{
		Note, text, "The times of flows are the nodes' own: what both ends of a connection saw is put together less well, and names and owners are looked up for the wrong time.",
		"let the nodes, and this machine, keep time by NTP",
	}
	if by >= skewWarn {
		a.verdict = Warn
	}
	return a
}
