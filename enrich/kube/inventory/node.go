package inventory

import (
	"net/netip"
	"slices"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

func (s *facts) addNodes(rows *rows) {
	var withAddress, withPrefix [3]uint64
	for _, n := range s.nodes {
		for _, f := range families {
			if len(of(f, n.Addresses)) > 0 {
				withAddress[f]++
			}
			if hasPrefix(n, f) {
				withPrefix[f]++
			}
		}
	}
	for _, n := range s.nodes {
		for _, f := range families {
			if s.ofNodes[f] {
				rows.add(flow.ItemNode, func() row { return s.node(n, f, withAddress[f], withPrefix[f]) })
			}
		}
	}
}

func hasPrefix(n *kube.ViewNode, f flow.Family) bool {
	for _, p := range n.PodCIDRs {
		if p.IsValid() && familyOf(p.Addr()) == f {
			return true
		}
	}
	return false
}

// node is told how many nodes have an address, and a prefix for pods, of the family.
func (s *facts) node(n *kube.ViewNode, f flow.Family, withAddress, withPrefix uint64) row {
	r := row{family: f, name: n.Name, zone: n.Zone, addresses: of(f, n.Addresses)}
	r.has = yesNo(len(r.addresses) > 0)
	all := number(uint64(len(s.nodes)), "node")
	if len(r.addresses) == 0 {
		r.find(NoAddress, "it has no %s address, and %d of %s %s one", label[f], withAddress, all, verb(withAddress, "has", "have"))
	}
	if withPrefix > 0 && !hasPrefix(n, f) {
		r.find(NoPodPrefix, "it has no %s prefix for pods, and %d of %s %s one", label[f], withPrefix, all, verb(withPrefix, "has", "have"))
	}
	if len(r.addresses) > 0 && !slices.ContainsFunc(r.addresses, isGlobal) {
		r.find(NoGlobalAddress, "no %s address of it is global, so that the address which the outside sees is not known here", label[f])
	}
	if f == flow.FamilyIPv6 {
		s.findNeighbours(&r)
	}
	return r
}

// findNeighbours finds the nodes in the /64 of a global address of the row's, in the fullest where there are several.
func (s *facts) findNeighbours(r *row) {
	var fullest netip.Prefix
	for _, a := range r.addresses {
		if block := block64(a); len(s.nodesIn[block]) > len(s.nodesIn[fullest]) {
			fullest = block
		}
	}
	if nodes := s.nodesIn[fullest]; len(nodes) > 1 {
		r.find(NodesShare64, "%d nodes have a global address in %s (%s)", len(nodes), fullest, enumerate(nodes))
	}
}
