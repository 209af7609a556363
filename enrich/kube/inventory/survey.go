package inventory

import (
	"cmp"
	"net/netip"
	"slices"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// families is the order in which rows come.
var families = [...]flow.Family{flow.FamilyIPv4, flow.FamilyIPv6}

// facts is a view, arranged for questions.
type facts struct {
	*kube.View
	nodes    []*kube.ViewNode
	pods     []*kube.ViewPod // that run, and have addresses of their own
	services []*kube.ViewService

	pools         *ranges // owned by the pools' names
	serviceRanges *ranges
	nodeAddresses *ranges  // owned by the nodes
	nodePrefixes  *ranges  // owned by the nodes
	usedOf        []uint64 // by place in nodePrefixes: how many addresses of pods are in it

	nodesIn map[netip.Prefix][]string // by /64: the nodes that have a global address in it
	podsIn  map[netip.Prefix][]string // … those whose pods have a prefix in it

	// Families that things have, or could have: services what pods have, nodes as well.
	ofPods, ofServices, ofNodes [3]bool
}

func survey(v *kube.View) *facts {
	s := &facts{View: v}
	s.nodes = sorted(v.Nodes, func(a, b *kube.ViewNode) int { return cmp.Compare(a.Name, b.Name) })
	s.services = sorted(v.Services, func(a, b *kube.ViewService) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	s.pods = sorted(v.Pods, func(a, b *kube.ViewPod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	s.pods = slices.DeleteFunc(s.pods, func(p *kube.ViewPod) bool { return p.HostNetwork || p.Ended || len(p.IPs) == 0 })
	s.arrangePrefixes()
	s.countPodAddresses()
	s.findFamilies()
	return s
}

func sorted[T any](list []T, compare func(a, b *T) int) []*T {
	pointers := make([]*T, len(list))
	for i := range list {
		pointers[i] = &list[i]
	}
	slices.SortStableFunc(pointers, compare)
	return pointers
}

func (s *facts) arrangePrefixes() {
	var pools, services, prefixes, addresses []span
	for _, p := range s.Pools {
		pools = append(pools, span{p.Prefix, p.Name, p.NodeLength})
	}
	for _, p := range s.ServiceCIDRs {
		services = append(services, span{prefix: p})
	}
	for _, n := range s.nodes {
		for _, p := range n.PodCIDRs {
			prefixes = append(prefixes, span{prefix: p, owner: n.Name})
		}
		for _, a := range n.Addresses {
			addresses = append(addresses, span{prefix: host(a), owner: n.Name})
		}
	}
	s.pools, s.serviceRanges = newRanges(pools), newRanges(services)
	s.nodePrefixes, s.nodeAddresses = newRanges(prefixes), newRanges(addresses)
	s.nodesIn = by64(s.nodeAddresses, func(p netip.Prefix) bool { return isGlobal(p.Addr()) })
	s.podsIn = by64(s.nodePrefixes, func(p netip.Prefix) bool { return p.Bits() >= 64 })
}

// by64 returns the owners of IPv6 prefixes by the /64 in which these lie.
func by64(r *ranges, take func(netip.Prefix) bool) map[netip.Prefix][]string {
	owners := map[netip.Prefix][]string{}
	for _, s := range r.of(flow.FamilyIPv6) {
		if take(s.prefix) {
			block := block64(s.prefix.Addr())
			owners[block] = append(owners[block], s.owner)
		}
	}
	for block, names := range owners {
		slices.Sort(names)
		owners[block] = slices.Compact(names)
	}
	return owners
}

func (s *facts) countPodAddresses() {
	var all []netip.Addr
	for _, p := range s.pods {
		for _, a := range p.IPs {
			all = append(all, a.Unmap())
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	s.usedOf = make([]uint64, len(s.nodePrefixes.spans))
	for _, a := range slices.Compact(all) {
		for i := range s.nodePrefixes.around(host(a)) {
			s.usedOf[i]++
		}
	}
}

func (s *facts) findFamilies() {
	for _, f := range families {
		s.ofPods[f] = s.pools.has(f) || s.nodePrefixes.has(f) ||
			slices.ContainsFunc(s.pods, func(p *kube.ViewPod) bool { return len(of(f, p.IPs)) > 0 })
		s.ofNodes[f] = s.ofPods[f] || s.nodeAddresses.has(f)
		s.ofServices[f] = s.ofPods[f] || s.serviceRanges.has(f) ||
			slices.ContainsFunc(s.services, func(v *kube.ViewService) bool {
				return slices.Contains(v.Families, f) || len(of(f, v.ClusterIPs)) > 0
			})
	}
}
