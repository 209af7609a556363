package preflight

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"sextant/collector/flow"
	"sextant/enrich/kube/inventory"
)

// Prefixes tells the plan of prefixes, and what about prefixes and the nodes' addresses deserves attention, out of the
// inventory of a cluster. What it says of services and workloads is not about what Sextant can see, and left to queries.
func Prefixes(items []flow.Item, ipam string) []Line {
	var lines []Line
	type found struct {
		word   string
		family flow.Family
		kind   flow.ItemKind
	}
	where := map[found][]string{}
	for i := range items {
		item := &items[i]
		switch item.Kind {
		case flow.ItemClusterPrefix, flow.ItemServicePrefix:
			lines = append(lines, plan(item))
			continue
		case flow.ItemNode, flow.ItemNodePrefix:
		default:
			continue
		}
		for _, word := range item.Findings.Get() {
			f := found{word.String(), item.Family, item.Kind}
			where[f] = append(where[f], cmp.Or(item.Node.String(), item.Name.String()))
		}
	}
	if len(lines)+len(where) == 0 {
		return nil
	}
	mode := answer{verdict: OK, text: ipam}
	if ipam == "" {
		mode = answer{Unknown, "not known", "", "give cilium-config with --state"}
	}
	slices.SortStableFunc(lines, func(a, b Line) int { return strings.Compare(b.Subject[:4], a.Subject[:4]) }) // IPv6 first
	lines = append([]Line{mode.line(TopicPrefixes, "ipam mode")}, lines...)
	for _, f := range inventory.Findings {
		for _, kind := range f.Kinds {
			for _, family := range []flow.Family{flow.FamilyIPv6, flow.FamilyIPv4} {
				nodes := where[found{f.Word, family, kind}]
				if len(nodes) == 0 {
					continue
				}
				slices.Sort(nodes)
				text, means, _ := strings.Cut(f.Doc, ": ")
				lines = append(lines, Line{
					Topic: TopicPrefixes, Subject: familyWords[family] + " on nodes", Verdict: verdictOf(f), Nodes: slices.Compact(nodes),
					Text: first(unicode.ToLower, strings.TrimSuffix(text, ".")), Means: first(unicode.ToUpper, means), Remedy: first(unicode.ToLower, strings.TrimSuffix(f.Remedy, ".")),
				})
			}
		}
	}
	return lines
}

// plan is the line of a prefix from which nodes or services get theirs.
func plan(item *flow.Item) Line {
	l := Line{Topic: TopicPrefixes, Subject: familyWords[item.Family] + " for nodes", Verdict: OK, Text: item.Detail.String()}
	if item.Kind == flow.ItemServicePrefix {
		l.Subject = familyWords[item.Family] + " for services"
	}
	if p := item.Prefix.String(); p != "" {
		l.Text = p + ": " + l.Text
	}
	var remedies []string
	for _, word := range item.Findings.Get() {
		i := slices.IndexFunc(inventory.Findings, func(f inventory.Finding) bool { return f.Word == word.String() })
		if i < 0 {
			continue
		}
		f := inventory.Findings[i]
		switch v := verdictOf(f); {
		case v == Unknown && l.Verdict == OK:
			l.Verdict = Unknown
		case v != Unknown && l.Verdict != Unknown:
			l.Verdict = max(l.Verdict, v)
		}
		if f.Remedy != "" {
			remedies = append(remedies, first(unicode.ToLower, strings.TrimSuffix(f.Remedy, ".")))
		}
	}
	l.Remedy = strings.Join(remedies, "; ")
	return l
}

// verdictOf: a problem of the cluster's addresses is none of what Sextant sees, so that nothing here fails.
func verdictOf(f inventory.Finding) Verdict {
	switch {
	case f.Word == inventory.ClusterPrefixUnknown || f.Word == inventory.ServiceRangeUnknown:
		return Unknown
	case f.Level >= inventory.Warning:
		return Warn
	}
	return Note
}

// first changes the first letter of a text.
func first(change func(rune) rune, text string) string {
	c, n := utf8.DecodeRuneInString(text)
	if n == 0 {
		return text
	}
	return string(change(c)) + text[n:]
}
