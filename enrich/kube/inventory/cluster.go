package inventory

import (
	"net/netip"
	"slices"

	"sextant/collector/flow"
)

// addClusterPrefixes adds the prefixes that those of nodes are cut from, and a row that says so where these are not told.
func (s *facts) addClusterPrefixes(rows *rows) {
	type pool struct {
		name   string
		family flow.Family
	}
	cuts := make([]cut, len(s.pools.spans))
	fills := map[pool]*fill{} // a node gets its prefix out of any of the pool's
	for i, span := range s.pools.spans {
		cuts[i] = s.cut(span)
		of := pool{span.owner, familyOf(span.prefix.Addr())}
		if fills[of] == nil {
			fills[of] = &fill{}
		}
		fills[of].add(cuts[i].total, cuts[i].parts)
	}
	for _, f := range families {
		for i, span := range s.pools.of(f) {
			rows.add(flow.ItemClusterPrefix, func() row { return s.clusterPrefix(span, cuts[i], *fills[pool{span.owner, f}]) })
		}
		if s.ofPods[f] && !s.pools.has(f) {
			rows.add(flow.ItemClusterPrefix, func() row { return s.unknownClusterPrefix(f) })
		}
	}
}

// cut is what is cut from a cluster prefix.
type cut struct {
	total flow.Count // how many parts of the set length there are; unknown where none is set
	why   string     // … there can be none
	parts uint64     // those that nodes have; their prefixes where the length is not known or does not fit
	nodes []string   // who has them
}

// cut counts the parts as Cilium's operator does: a node's prefix that is longer takes a whole part, one that is shorter takes
// several (pkg/ipam/cidrset/cidr_set.go:179).
func (s *facts) cut(pool span) cut {
	var c cut
	if pool.nodeLength != 0 {
		c.total.Known = true
		c.total.N, c.why = nodeParts(pool.prefix, pool.nodeLength)
	}
	inParts := c.total.N > 0
	var last netip.Prefix
	for node := range s.nodePrefixes.common(pool.prefix) {
		c.nodes = append(c.nodes, node.owner)
		part := node.prefix
		if part.Bits() < pool.prefix.Bits() {
			part = pool.prefix
		}
		if inParts && part.Bits() > pool.nodeLength {
			part = netip.PrefixFrom(part.Addr(), pool.nodeLength).Masked()
		}
		switch {
		case last.IsValid() && last.Contains(part.Addr()): // as the shorter ones come first
			continue
		case inParts:
			c.parts = plus(c.parts, pow2(pool.nodeLength-part.Bits()))
		default:
			c.parts++
		}
		last = part
	}
	slices.Sort(c.nodes)
	c.nodes = slices.Compact(c.nodes)
	return c
}

func (s *facts) clusterPrefix(pool span, c cut, all fill) row {
	p := pool.prefix
	r := row{family: familyOf(p.Addr()), prefix: p, policy: s.IPAM, has: flow.Yes, total: c.total, used: known(c.parts)}
	if pool.owner != "" {
		r.say("it is of the pool %s", pool.owner)
	}
	n := uint64(len(c.nodes))
	have := clause("%s %s", number(n, "node"), verb(n, "has", "have"))
	switch {
	case !c.total.Known:
		r.say("%s %s of it, and how long these are to be is not told", have, number(c.parts, "prefix"))
	case c.why != "":
		r.find(MaskDoesNotFit, "no /%d can be cut from a /%d: %s", pool.nodeLength, p.Bits(), c.why)
	default:
		left := c.total.N - c.parts
		r.say("%s %d of %s of length %d, and %d %s left", have, c.parts, number(c.total.N, "prefix"), pool.nodeLength, left, verb(left, "is", "are"))
	}
	if word := all.finding(); word != "" && c.why == "" {
		r.find(word, "the pool has %d of %d left", all.left(), all.total)
	}
	if r.family == flow.FamilyIPv6 && c.why == "" && pool.nodeLength > 64 {
		r.find(SmallerThan64, "%s can lie in one /64", number(min(c.total.N, pow2(pool.nodeLength-64)), "node"))
	}
	if isUniqueLocal(p) {
		r.find(UniqueLocal, "it is unique local: outside no pod is seen under its own address")
	}
	for other := range s.pools.common(p) {
		if other != pool {
			r.overlap("with the cluster prefix %s", other.prefix)
			break
		}
	}
	s.findOverlaps(&r)
	return r
}

// unknownClusterPrefix tells what there is instead of the cluster prefix.
func (s *facts) unknownClusterPrefix(f flow.Family) row {
	r := row{family: f, policy: s.IPAM}
	nodes, uniqueLocal := map[string]bool{}, true
	for _, p := range s.nodePrefixes.of(f) {
		r.used.N++
		nodes[p.owner] = true
		uniqueLocal = uniqueLocal && isUniqueLocal(p.prefix)
	}
	mode := clause("IPAM mode %s", s.IPAM)
	if s.IPAM == "" {
		mode = "IPAM mode not told either"
	}
	r.find(ClusterPrefixUnknown, "the prefix that nodes get theirs from is not told (%s)", mode)
	if len(nodes) == 0 {
		r.say("no node has an %s prefix", label[f])
		return r
	}
	r.used.Known, r.has = true, flow.Yes
	r.say("%s of %s %s in %s, which may be less than it, or more", number(r.used.N, "prefix"), number(uint64(len(nodes)), "node"),
		verb(r.used.N, "lies", "lie"), s.nodePrefixes.cover(f))
	if uniqueLocal {
		r.find(UniqueLocal, "they are unique local: outside no pod is seen under its own address")
	}
	return r
}
