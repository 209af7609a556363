package inventory

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"

	"sextant/collector/flow"
)

// A span is a prefix and whose it is.
type span struct {
	prefix     netip.Prefix
	owner      string
	nodeLength int // of a pool: the length of what nodes get out of it
}

// ranges finds prefixes by what they have in common with another. Its time depends on what is found, not on how many there
// are: a cluster has many nodes, and a hostile dump many prefixes.
type ranges struct {
	spans   []span               // by prefix, and owner
	first   map[netip.Prefix]int // where the spans with a prefix begin
	lengths [3][]int             // by family, each that there is
}

// newRanges returns the ranges of spans, without those that hold no prefix.
func newRanges(spans []span) *ranges {
	r := &ranges{first: map[netip.Prefix]int{}}
	for _, s := range spans {
		if s.prefix = canonical(s.prefix); s.prefix.IsValid() {
			r.spans = append(r.spans, s)
		}
	}
	slices.SortFunc(r.spans, func(a, b span) int {
		return cmp.Or(a.prefix.Compare(b.prefix), cmp.Compare(a.owner, b.owner), cmp.Compare(a.nodeLength, b.nodeLength))
	})
	r.spans = slices.Compact(r.spans)
	for i, s := range r.spans {
		if _, ok := r.first[s.prefix]; !ok {
			r.first[s.prefix] = i
		}
		f := familyOf(s.prefix.Addr())
		if at, ok := slices.BinarySearch(r.lengths[f], s.prefix.Bits()); !ok {
			r.lengths[f] = slices.Insert(r.lengths[f], at, s.prefix.Bits())
		}
	}
	return r
}

func (r *ranges) has(f flow.Family) bool { return len(r.lengths[f]) > 0 }

// of yields the spans of a family.
func (r *ranges) of(f flow.Family) iter.Seq2[int, span] {
	return func(yield func(int, span) bool) {
		for i, s := range r.spans {
			if familyOf(s.prefix.Addr()) == f && !yield(i, s) {
				return
			}
		}
	}
}

// around yields the places and spans of the prefixes in which p lies, p itself among them, the shortest first.
func (r *ranges) around(p netip.Prefix) iter.Seq2[int, span] {
	return func(yield func(int, span) bool) {
		for _, length := range r.lengths[familyOf(p.Addr())] {
			if length > p.Bits() {
				return
			}
			outer := netip.PrefixFrom(p.Addr(), length).Masked()
			i, ok := r.first[outer]
			for ; ok && i < len(r.spans) && r.spans[i].prefix == outer; i++ {
				if !yield(i, r.spans[i]) {
					return
				}
			}
		}
	}
}

// within yields those that lie in p, p itself among them.
func (r *ranges) within(p netip.Prefix) iter.Seq2[int, span] {
	return func(yield func(int, span) bool) {
		i, _ := slices.BinarySearchFunc(r.spans, p, func(s span, p netip.Prefix) int { return s.prefix.Compare(p) })
		for ; i < len(r.spans) && p.Contains(r.spans[i].prefix.Addr()); i++ {
			if !yield(i, r.spans[i]) {
				return
			}
		}
	}
}

// common yields those that share an address with p: first those around it, then those within.
func (r *ranges) common(p netip.Prefix) iter.Seq[span] {
	return func(yield func(span) bool) {
		for _, s := range r.around(p) {
			if !yield(s) {
				return
			}
		}
		for _, s := range r.within(p) {
			if s.prefix != p && !yield(s) {
				return
			}
		}
	}
}

// cover returns the longest prefix around all of a family.
func (r *ranges) cover(f flow.Family) netip.Prefix {
	var all netip.Prefix
	for _, s := range r.of(f) {
		if !all.IsValid() {
			all = s.prefix
		}
		length := min(all.Bits(), s.prefix.Bits())
		for netip.PrefixFrom(all.Addr(), length).Masked() != netip.PrefixFrom(s.prefix.Addr(), length).Masked() {
			length--
		}
		all = netip.PrefixFrom(all.Addr(), length).Masked()
	}
	return all
}

// canonical returns a prefix without bits behind it, an IPv4 one however it was written, and the zero one for none.
func canonical(p netip.Prefix) netip.Prefix {
	switch {
	case !p.IsValid():
		return netip.Prefix{}
	case p.Addr().Is4In6() && p.Bits() >= 96:
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// host returns the prefix of an address alone.
func host(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen())
}
