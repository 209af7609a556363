package inventory

import (
	"net/netip"
	"slices"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// addServicePrefixes adds the ranges out of which services get cluster IPs, and a row that says so where there is none.
func (s *facts) addServicePrefixes(rows *rows) {
	ips := s.clusterIPs()
	for _, f := range families {
		var all fill // a service gets its address out of any
		for _, span := range s.serviceRanges.of(f) {
			all.add(known(clusterIPs(span.prefix)), countWithin(ips, span.prefix))
		}
		for _, span := range s.serviceRanges.of(f) {
			rows.add(flow.ItemServicePrefix, func() row { return s.serviceRange(span.prefix, ips, all) })
		}
		if s.ofServices[f] && !s.serviceRanges.has(f) {
			rows.add(flow.ItemServicePrefix, func() row { return s.missingRange(f, ips) })
		}
	}
}

// clusterIPs returns each cluster IP once.
func (s *facts) clusterIPs() *ranges {
	var ips []span
	for _, v := range s.services {
		for _, a := range v.ClusterIPs {
			ips = append(ips, span{prefix: host(a)})
		}
	}
	return newRanges(ips)
}

func countWithin(addresses *ranges, p netip.Prefix) (n uint64) {
	for range addresses.within(p) {
		n++
	}
	return n
}

func (s *facts) serviceRange(p netip.Prefix, ips *ranges, all fill) row {
	r := row{family: familyOf(p.Addr()), prefix: p, has: flow.Yes, total: known(clusterIPs(p))}
	if !s.Knows[kube.KindService] {
		return r
	}
	r.used = known(countWithin(ips, p))
	r.say("services have %d of %s", r.used.N, number(r.total.N, "address"))
	if word := all.finding(); word != "" {
		r.find(word, "all %s ranges together have %d of %d left", label[r.family], all.left(), all.total)
	}
	return r
}

// missingRange tells of a family that services have, or pods have and services could have, and no range is told of.
func (s *facts) missingRange(f flow.Family, ips *ranges) row {
	r := row{family: f}
	if s.Knows[kube.KindService] {
		for range ips.of(f) {
			r.used.N++
		}
		r.used.Known = true
	}
	switch {
	case len(s.serviceRanges.spans) > 0 && r.used.N == 0:
		r.has = flow.No
		r.find(NoServiceRange, "pods have %s, and there is no range of it for services", label[f])
	case r.used.N > 0:
		r.has = flow.Yes
		r.find(ServiceRangeUnknown, "the range is not told; %s %s in %s, which may be less than it", number(r.used.N, "cluster IP"),
			verb(r.used.N, "lies", "lie"), ips.cover(f))
	default:
		r.find(ServiceRangeUnknown, "it is not told whether there is an %s range for services", label[f])
	}
	return r
}

func (s *facts) addServices(rows *rows) {
	for _, v := range s.services {
		if v.Type == "ExternalName" { // a name for something that is elsewhere
			continue
		}
		for _, f := range families {
			if s.ofServices[f] || asksForBoth(v) {
				rows.add(flow.ItemService, func() row { return s.service(v, f) })
			}
		}
	}
}

func asksForBoth(v *kube.ViewService) bool {
	return v.Policy == "PreferDualStack" || v.Policy == "RequireDualStack"
}

func (s *facts) service(v *kube.ViewService, f flow.Family) row {
	r := row{
		family: f, namespace: v.Namespace, name: v.Name, policy: v.Policy,
		addresses: of(f, slices.Concat(v.ClusterIPs, v.ExternalIPs)), loadBalancers: of(f, v.LoadBalancers),
	}
	switch {
	case slices.Contains(v.Families, f) || len(of(f, v.ClusterIPs)) > 0:
		r.has = flow.Yes
	case len(v.Families) > 0 || len(v.ClusterIPs) > 0:
		r.has = flow.No
	}
	if s.Knows[kube.KindEndpointSlice] {
		r.total, r.used = counted(v.Endpoints[f]), counted(v.Ready[f])
	}
	switch r.has {
	case flow.No:
		s.findMissing(&r, v)
	case flow.Yes:
		findEndpoints(&r, v)
		other := of(otherThan(f), v.LoadBalancers)
		if len(r.loadBalancers) == 0 && len(other) > 0 { // with no address at all it may have a name
			r.find(LoadBalancerLacksFamily, "its load-balancer has %s and none of %s", number(uint64(len(other)), label[otherThan(f)]+" address"), label[f])
		}
	}
	if v.Headless {
		r.find(Headless, "it has no cluster IP")
	}
	return r
}

// findMissing finds why a service lacks the family of the row. Where the cluster has no services of it, nobody can mend that
// at the service, and to prefer both is to be content with one.
func (s *facts) findMissing(r *row, v *kube.ViewService) {
	switch has := label[otherThan(r.family)]; {
	case !s.ofServices[r.family]:
		r.say("it asks for both families (%s), and the cluster has %s alone", v.Policy, has)
	case asksForBoth(v):
		r.find(PreferDualStackGotOne, "it asks for both families (%s) and has %s alone", v.Policy, has)
	case r.family == flow.FamilyIPv6:
		r.find(SingleStackIPv4, "it has IPv4 alone and asks for no more")
	default:
		r.say("it has IPv6 alone and asks for no more")
	}
}

// findEndpoints finds what is wrong with the endpoints of a family that a service has, where endpoints are told.
func findEndpoints(r *row, v *kube.ViewService) {
	if !r.used.Known {
		return
	}
	other := otherThan(r.family)
	elsewhere := counted(v.Ready[other]).N
	r.say("%d of %s %s ready", r.used.N, number(r.total.N, "endpoint"), verb(r.used.N, "is", "are"))
	switch {
	case r.used.N == 0 && elsewhere == 0:
		r.find(NoEndpoints, "of %s none is, either", label[other])
	case r.used.N == 0:
		r.find(DeclaredWithoutEndpoint, "of %s %d %s", label[other], elsewhere, verb(elsewhere, "is", "are"))
	case r.used.N < elsewhere:
		r.find(FewerEndpoints, "of %s %d are", label[other], elsewhere)
	}
	if !v.Selects {
		r.say("it has no selector: somebody else keeps its endpoints")
	}
}
