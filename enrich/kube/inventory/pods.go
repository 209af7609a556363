package inventory

import (
	"cmp"
	"slices"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// addNodePrefixes adds the prefixes out of which pods get their addresses, node by node.
func (s *facts) addNodePrefixes(rows *rows) {
	zones := map[string]string{}
	for _, n := range s.nodes {
		zones[n.Name] = n.Zone
	}
	order := make([]int, len(s.nodePrefixes.spans))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(s.nodePrefixes.spans[a].owner, s.nodePrefixes.spans[b].owner)
	})
	for _, i := range order {
		rows.add(flow.ItemNodePrefix, func() row {
			r := s.nodePrefix(s.nodePrefixes.spans[i], s.usedOf[i])
			r.zone = zones[r.node]
			return r
		})
	}
}

// ownAddresses is how many addresses of a node's prefix Cilium takes at least for itself: the router's. Health checks and
// ingress take one more each, and none is a pod's.
const ownAddresses = 1

func (s *facts) nodePrefix(node span, used uint64) row {
	p := node.prefix
	r := row{family: familyOf(p.Addr()), node: node.owner, prefix: p, policy: s.IPAM, has: flow.Yes, total: known(podAddresses(p))}
	if s.Knows[kube.KindPod] {
		r.used = known(used)
		r.say("pods have %d of %s", used, number(r.total.N, "address"))
		all := fill{total: r.total.N, used: plus(used, ownAddresses)}
		getsMore := s.IPAM == "multi-pool" && used <= r.total.N // another prefix when it needs one
		if word := all.finding(); word != "" && !getsMore {
			r.find(word, "at most %d %s left beside Cilium's own", all.left(), verb(all.left(), "is", "are"))
		}
	}
	if r.family == flow.FamilyIPv6 && hostBits(p) > 16 {
		r.say("Cilium gives out the first %d alone", r.total.N)
	}
	s.findPool(&r)
	if r.family == flow.FamilyIPv6 {
		s.findSharers(&r)
	}
	for other := range s.nodePrefixes.common(p) {
		if other.owner != node.owner {
			r.overlap("with %s of the node %s", other.prefix, other.owner)
			break
		}
	}
	s.findOverlaps(&r)
	return r
}

// findPool finds what is wrong between a node's prefix and the cluster's, where these are told.
func (s *facts) findPool(r *row) {
	var lengths []int
	inside := false
	for _, pool := range s.pools.around(r.prefix) {
		inside = true
		lengths = append(lengths, pool.nodeLength)
	}
	switch {
	case !s.pools.has(r.family):
	case !inside:
		r.find(NotCutFromPool, "it is in none of the cluster's %s prefixes", label[r.family])
	case !slices.Contains(lengths, 0) && !slices.Contains(lengths, r.prefix.Bits()):
		r.find(LengthNotOfPool, "nodes get a /%d now", lengths[len(lengths)-1])
	}
}

// findSharers finds that a node's prefix is not the only one in its /64.
func (s *facts) findSharers(r *row) {
	if r.prefix.Bits() > 64 {
		r.find(SmallerThan64, "it is smaller than a /64")
	}
	block := block64(r.prefix.Addr())
	nodes := s.podsIn[block]
	if r.prefix.Bits() < 64 || len(nodes) < 2 {
		return
	}
	r.find(Shares64, "%d nodes have their pods in %s (%s)", len(nodes), block, enumerate(nodes))
	if isUniqueLocal(r.prefix) {
		r.say("it is unique local, so that this matters inside alone")
	}
}
