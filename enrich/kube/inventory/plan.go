package inventory

import (
	"slices"

	"sextant/collector/flow"
)

// A Line is one line of the prefix plan, for a person to read.
type Line struct {
	Kind     flow.ItemKind // ItemClusterPrefix, ItemServicePrefix or ItemNodePrefix
	Family   flow.Family
	Prefix   string // empty where it is not known, and for nodes' prefixes
	Length   uint8
	Prefixes int        // how many the line is about; 0 where it is not known
	Total    flow.Count // in each
	Used     flow.Count // in the fullest
	Findings []string   // each word once
	Text     string
}

// Plan sums up what an inventory says of prefixes: a line for each, in the order of the rows, but one for all nodes'
// prefixes of a family and length.
func Plan(items []flow.Item) []Line {
	var lines []Line
	for i := range items {
		item := &items[i]
		switch item.Kind {
		case flow.ItemClusterPrefix, flow.ItemServicePrefix:
			line := lineOf(item)
			line.Prefix, line.Text = item.Prefix.String(), item.Detail.String()
			lines = append(lines, line)
		case flow.ItemNodePrefix:
			line := lineOf(item)
			at := slices.IndexFunc(lines, func(l Line) bool {
				return l.Kind == line.Kind && l.Family == line.Family && l.Length == line.Length
			})
			if at < 0 {
				lines = append(lines, line)
			} else {
				lines[at].add(line)
			}
		}
	}
	for i := range lines {
		if l := &lines[i]; l.Kind == flow.ItemNodePrefix {
			l.Text = l.text()
		}
	}
	return lines
}

func lineOf(item *flow.Item) Line {
	line := Line{Kind: item.Kind, Family: item.Family, Length: item.PrefixLength, Total: item.Total, Used: item.Used}
	if !item.Prefix.IsZero() {
		line.Prefixes = 1
	}
	for _, word := range item.Findings.Get() {
		line.Findings = append(line.Findings, word.String())
	}
	return line
}

// add takes in the line of another node's prefix, of the same length.
func (l *Line) add(other Line) {
	l.Prefixes += other.Prefixes
	l.Used.Known = l.Used.Known && other.Used.Known
	l.Used.N = max(l.Used.N, other.Used.N)
	for _, word := range other.Findings {
		if !slices.Contains(l.Findings, word) {
			l.Findings = append(l.Findings, word)
		}
	}
}

func (l *Line) text() string {
	text := clause("nodes have %s of length %d", number(uint64(l.Prefixes), label[l.Family]+" prefix"), l.Length)
	if l.Used.Known {
		text += clause(", the fullest with %d of %s in use", l.Used.N, number(l.Total.N, "address"))
	}
	return text
}
