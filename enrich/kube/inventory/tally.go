package inventory

import (
	"cmp"
	"slices"

	"sextant/collector/flow"
)

// A Tally is how often something was found of things of one kind in one family.
type Tally struct {
	Finding
	Kind     flow.ItemKind
	Family   flow.Family
	Rows     int      // how many rows have the finding …
	Of       int      // … of so many of the kind and family
	Examples []string // the first few of the things: "node-1", "shop/web", "2001:db8::/64"
	Detail   string   // of the first of them
}

// Tallies counts the findings of an inventory, the gravest first, then in the order of Findings.
func Tallies(items []flow.Item) []Tally {
	type key struct {
		finding int
		kind    flow.ItemKind
		family  flow.Family
	}
	places := map[string]int{}
	for i, f := range Findings {
		places[f.Word] = i
	}
	all := map[key]int{}
	tallies := map[key]*Tally{}
	for i := range items {
		item := &items[i]
		all[key{0, item.Kind, item.Family}]++
		for _, word := range item.Findings.Get() {
			place, ok := places[word.String()]
			if !ok { // not this version's
				continue
			}
			k := key{place, item.Kind, item.Family}
			t := tallies[k]
			if t == nil {
				t = &Tally{Finding: Findings[place], Kind: item.Kind, Family: item.Family, Detail: item.Detail.String()}
				tallies[k] = t
			}
			t.Rows++
			if name := called(item); name != "" && len(t.Examples) < maxExamples {
				t.Examples = append(t.Examples, name)
			}
		}
	}
	var list []Tally
	for k, t := range tallies {
		t.Of = all[key{0, k.kind, k.family}]
		list = append(list, *t)
	}
	slices.SortFunc(list, func(a, b Tally) int {
		return cmp.Or(-cmp.Compare(a.Level, b.Level), cmp.Compare(places[a.Word], places[b.Word]),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Family, b.Family))
	})
	return list
}

// called is what a person calls a thing.
func called(item *flow.Item) string {
	if item.Namespace.IsZero() {
		return item.Name.String()
	}
	return item.Namespace.String() + "/" + item.Name.String()
}
