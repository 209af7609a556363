package prometheus

import (
	"time"

	"sextant/collector/flow"
)

// Items are the metrics made from items of the inventory as they come.
var Items = []Metric[flow.Item]{
	{
		Name:   "sextant_inventory_timestamp_seconds",
		Help:   "Time of the newest snapshot of the inventory. When it stands still, so do the metrics made from the snapshot.",
		Labels: []string{"cluster"},
		Set:    func(i *flow.Item) (float64, bool) { return seconds(i.Time), !i.Time.IsZero() },
	},
}

// Snapshot are the metrics made from the newest snapshot of the inventory, with the series of what is in it and no other.
// Rows that share a series add up.
var Snapshot = []Metric[flow.Item]{
	{
		Name:   "sextant_inventory_items",
		Help:   "Nodes, prefixes, services and workloads, in each address family, by whether they have it.",
		Labels: []string{"cluster", "namespace", "kind", "family", "has_family"},
		Set:    func(*flow.Item) (float64, bool) { return 1, true },
	},
	{
		Name:   "sextant_prefix_capacity",
		Help:   "How many fit into a prefix: node prefixes into a cluster prefix, addresses into another.",
		Labels: []string{"cluster", "kind", "family", "prefix", "node"},
		Set:    func(i *flow.Item) (float64, bool) { return float64(i.Total.N), isPrefix(i) && i.Total.Known },
	},
	{
		Name:   "sextant_prefix_used",
		Help:   "How many of a prefix are given out: node prefixes of a cluster prefix, addresses of another.",
		Labels: []string{"cluster", "kind", "family", "prefix", "node"},
		Set:    func(i *flow.Item) (float64, bool) { return float64(i.Used.N), isPrefix(i) && i.Used.Known },
	},
	{
		Name:   "sextant_service_ready_endpoints",
		Help:   "Endpoints that are ready, of each service in each address family that it has.",
		Labels: []string{"cluster", "namespace", "name", "family"},
		Set: func(i *flow.Item) (float64, bool) {
			return float64(i.Used.N), i.Kind == flow.ItemService && i.Has == flow.Yes && i.Used.Known
		},
	},
}

func isPrefix(i *flow.Item) bool {
	return i.Kind == flow.ItemClusterPrefix || i.Kind == flow.ItemNodePrefix || i.Kind == flow.ItemServicePrefix
}

// Finding is one of the findings of an item.
type Finding struct {
	*flow.Item

	Finding flow.Name
}

// FindingFields is the one table of what may be a label of a finding: what may be one of its item, and the finding itself.
var FindingFields = findingFields()

func findingFields() []flow.Field[Finding] {
	fields := []flow.Field[Finding]{
		{Name: "finding", Doc: "what deserves attention", Label: true, Str: func(f *Finding) flow.Name { return f.Finding }},
	}
	for _, of := range flow.ItemFields {
		field := flow.Field[Finding]{Name: of.Name, Doc: of.Doc, Label: true, Words: of.Words}
		switch {
		case !of.Label:
			continue
		case of.Enum != nil:
			field.Enum = func(f *Finding) uint16 { return of.Enum(f.Item) }
		default:
			field.Str = func(f *Finding) flow.Name { return of.Str(f.Item) }
		}
		fields = append(fields, field)
	}
	return fields
}

// Findings are the metrics made from the findings of the newest snapshot.
var Findings = []Metric[Finding]{
	{
		Name:   "sextant_inventory_findings",
		Help:   "Nodes, prefixes, services and workloads that deserve attention, by what was found.",
		Labels: []string{"cluster", "namespace", "kind", "family", "finding"},
		Set:    func(*Finding) (float64, bool) { return 1, true },
	},
}

// snapshot holds the series that are made from the newest snapshot.
type snapshot struct {
	time     time.Time
	items    []*family[flow.Item]
	findings []*family[Finding]
	row      Finding // the one at hand, kept here so that none is allocated
}

func newSnapshot(limit int) snapshot {
	var s snapshot
	for i := range Snapshot {
		s.items = append(s.items, newFamily(&Snapshot[i], flow.ItemFields, limit))
	}
	for i := range Findings {
		s.findings = append(s.findings, newFamily(&Findings[i], FindingFields, limit))
	}
	return s
}

// takeLocked adds items to their snapshot. The first of another time begins another snapshot, whether the clock went
// forward or back.
func (s *snapshot) takeLocked(items []flow.Item) {
	for i := range items {
		item := &items[i]
		if !item.Time.Equal(s.time) {
			s.time = item.Time
			for _, t := range s.tables() {
				t.clearLocked()
			}
		}
		for _, f := range s.items {
			f.sumLocked(item)
		}
		for _, name := range item.Findings.Get() {
			for _, f := range s.findings {
				s.row = Finding{item, name}
				f.sumLocked(&s.row)
			}
		}
	}
	s.row = Finding{}
}

func (s *snapshot) tables() []*table {
	var all []*table
	for _, f := range s.items {
		all = append(all, &f.table)
	}
	for _, f := range s.findings {
		all = append(all, &f.table)
	}
	return all
}
