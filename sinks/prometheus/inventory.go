package prometheus

import (
	"time"

	"sextant/collector/flow"
)

// Items are the metrics made from items of the inventory as they come.
var Items = []Metric[flow.Item]{
	{
		Name:   MetricInventoryTimestampSeconds,
		Help:   "Time of the newest snapshot of the inventory. When it stands still, so do the metrics made from the snapshot.",
		Labels: []string{LabelCluster},
		Set:    func(i *flow.Item) (float64, bool) { return seconds(i.Time), !i.Time.IsZero() },
	},
}

// Snapshot are the metrics made from the newest snapshot of the inventory, with the series of what is in it and no other.
// Rows that share a series add up.
var Snapshot = []Metric[flow.Item]{
	{
		Name:   MetricInventoryItems,
		Help:   "Nodes, prefixes, services and workloads, in each address family, by whether they have it.",
		Labels: []string{LabelCluster, LabelNamespace, LabelKind, LabelFamily, LabelHasFamily},
		Set:    func(*flow.Item) (float64, bool) { return 1, true },
	},
	{
		Name:   MetricPrefixCapacity,
		Help:   "How many fit into a prefix: node prefixes into a cluster prefix, addresses into another.",
		Labels: []string{LabelCluster, LabelKind, LabelFamily, LabelPrefix, LabelNode},
		Set:    func(i *flow.Item) (float64, bool) { return float64(i.Total.N), isPrefix(i) && i.Total.Known },
	},
	{
		Name:   MetricPrefixUsed,
		Help:   "How many of a prefix are given out: node prefixes of a cluster prefix, addresses of another.",
		Labels: []string{LabelCluster, LabelKind, LabelFamily, LabelPrefix, LabelNode},
		Set:    func(i *flow.Item) (float64, bool) { return float64(i.Used.N), isPrefix(i) && i.Used.Known },
	},
	{
		Name:   MetricServiceReadyEndpoints,
		Help:   "Endpoints that are ready, of each service in each address family that it has.",
		Labels: []string{LabelCluster, LabelNamespace, LabelName, LabelFamily},
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
var FindingFields = append([]flow.Field[Finding]{
	{Name: LabelFinding, Doc: "what deserves attention", Label: true, Str: func(f *Finding) flow.Name { return f.Finding }},
}, lift(flow.ItemFields, func(f *Finding) *flow.Item { return f.Item })...)

// Findings are the metrics made from the findings of the newest snapshot.
var Findings = []Metric[Finding]{
	{
		Name:   MetricInventoryFindings,
		Help:   "Nodes, prefixes, services and workloads that deserve attention, by what was found.",
		Labels: []string{LabelCluster, LabelNamespace, LabelKind, LabelFamily, LabelFinding},
		Set:    func(*Finding) (float64, bool) { return 1, true },
	},
}

// snapshot holds the series that are made from the newest snapshot.
type snapshot struct {
	time     time.Time
	since    time.Duration // when it began to come, since the sink began
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
func (s *snapshot) takeLocked(items []flow.Item, now time.Duration) {
	for i := range items {
		item := &items[i]
		if !item.Time.Equal(s.time) {
			s.time, s.since = item.Time, now
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
