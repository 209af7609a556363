package inventory

import (
	"net/netip"
	"slices"
	"time"

	"sextant/collector/flow"
)

// A row is an item in plain values.
type row struct {
	family                   flow.Family
	namespace, name          string
	workloadKind             string
	node, zone               string
	prefix                   netip.Prefix
	policy                   string
	has                      flow.Tristate
	addresses, loadBalancers []netip.Addr
	total, used              flow.Count
	findings                 []string
	clauses                  []string // of the sentence that the detail is
}

// say adds a clause to the detail.
func (r *row) say(format string, args ...any) { r.clauses = append(r.clauses, clause(format, args...)) }

// find adds a finding, and what there is to say about it.
func (r *row) find(word, format string, args ...any) {
	if !slices.Contains(r.findings, word) {
		r.findings = append(r.findings, word)
	}
	r.say(format, args...)
}

// rows makes items out of rows, up to a number.
type rows struct {
	items   []flow.Item
	max     int
	all     [flow.ItemWorkload + 1]int // by kind, with those that were left out
	left    int
	names   *flow.Interner
	time    time.Time
	cluster flow.Name
}

// add takes the row that make returns. It is not made when there is no room for it.
func (r *rows) add(kind flow.ItemKind, make func() row) {
	if len(r.items) >= r.max {
		r.all[kind]++
		r.left++
		return
	}
	r.put(kind, make())
}

func (r *rows) put(kind flow.ItemKind, from row) {
	item := flow.Item{
		Time: r.time, Cluster: r.cluster, Kind: kind, Family: from.family,
		Namespace: r.names.Name(from.namespace), Name: r.names.Name(from.name), WorkloadKind: r.names.Name(from.workloadKind),
		Node: r.names.Name(from.node), Zone: r.names.Name(from.zone), Policy: r.names.Name(from.policy),
		Has: from.has, Addresses: from.addresses, LoadBalancers: from.loadBalancers, Total: from.total, Used: from.used,
		Detail: r.names.Name(sentence(from.clauses)),
	}
	if from.prefix.IsValid() {
		item.Prefix = r.names.Name(from.prefix.String())
		item.PrefixLength = uint8(from.prefix.Bits())
		item.Name = item.Prefix
	}
	var findings []flow.Name
	for _, word := range from.findings {
		findings = append(findings, r.names.Name(word))
	}
	item.Findings = r.names.Names(findings)
	r.items = append(r.items, item)
}

// addLeftOut adds a row about those that were left out, if there are any.
func (r *rows) addLeftOut() {
	if r.left == 0 {
		return
	}
	all := uint64(len(r.items) + r.left)
	about := row{total: known(all), used: known(uint64(len(r.items)))}
	var what []string
	for kind, n := range r.all {
		if n > 0 {
			what = append(what, clause("%d of kind %s", n, flow.ItemKind(kind)))
		}
	}
	about.find(RowsLeftOut, "%d of %d rows are left out (%s), as max_rows is %d", r.left, all, enumerate(what), r.max)
	r.put(flow.ItemUnknown, about)
}

func known(n uint64) flow.Count { return flow.Count{N: n, Known: true} }

// counted is known of what is counted in an int; less than nothing is nothing.
func counted(n int) flow.Count { return known(uint64(max(n, 0))) }
