package bucket

import (
	"net/netip"

	"sextant/collector/flow"
)

// way is how a use leaves the network: what of its source the outside sees.
type way struct {
	family   flow.Family  // towards the service
	address  netip.Addr   // what it sees, zero where that is not known
	prefix   netip.Prefix // … where it is one of several addresses
	evidence flow.BucketEvidence
}

var evidences = [...]flow.BucketEvidence{
	flow.EvidenceNone: flow.BucketInferred, flow.Inferred: flow.BucketInferred,
	flow.Confirmed: flow.BucketConfirmed, flow.Observed: flow.BucketObserved,
}

// out is the way of an address that leaves the cluster, or of one that is not known. Behind it there may be pools that the
// settings tell of. Behind a NAT64 the service sees an IPv4 address of the translator's.
func (s *Stage) out(a netip.Addr, evidence flow.Evidence, family flow.Family, nat64 bool) way {
	if nat64 {
		family = flow.FamilyIPv4
		if a.Is6() {
			a = netip.Addr{}
		}
	}
	if family > flow.FamilyIPv6 {
		family = flow.FamilyNone
	}
	w := way{family: family, evidence: flow.BucketAssumed}
	switch to := s.pools.out(a, int(family), nat64 && !a.IsValid()); {
	case to.IsValid() && to.IsSingleIP():
		w.address, w.evidence = to.Addr(), flow.BucketInferred
	case to.IsValid():
		w.prefix = to
	case a.IsValid():
		w.address, w.evidence = a, evidences[min(evidence, flow.Observed)]
	}
	if to := flow.FamilyOf(w.address); to != flow.FamilyNone {
		w.family = to
	}
	return w
}

// ofConnection is the way of a connection.
func (s *Stage) ofConnection(c *flow.Connection) way {
	return s.out(c.EgressIP, c.EgressIPEvidence, c.Family, isNAT64(c.Class))
}

// isNAT64 reports whether a NAT64 is on the way: a CLAT's IPv6 ends at one, too (RFC 6877).
func isNAT64(c flow.Class) bool { return c == flow.NAT64 || c == flow.CLAT }

// ofRequest is the way of an HTTP request, which was seen at a proxy. Its address is the pod's own or the node's, by what
// is known of masquerade.
func (s *Stage) ofRequest(r *flow.Record, source *flow.End, node flow.Name, facts *Facts) way {
	a, evidence := r.EgressIP, r.EgressIPEvidence
	if !a.IsValid() && r.SourceNATEvidence != flow.EvidenceNone {
		switch r.SourceNAT {
		case flow.SourceNATNone:
			a, evidence = source.IP, flow.Inferred
		case flow.SourceNAT44, flow.SourceNAT66:
			a, evidence = facts.address(node, r.Family), flow.Inferred
		}
	}
	return s.out(a, evidence, r.Family, isNAT64(r.Class))
}

// ofNode is the way that a node's own uses of a service take whose host has IPv6 or not. A node that could use either
// family is taken to use IPv6, which goes first where both are there (RFC 6724 section 2.1): that is assumed, and not known.
func (s *Stage) ofNode(node flow.Name, hasIPv6 bool, facts *Facts) way {
	v4, v6 := facts.address(node, flow.FamilyIPv4), facts.address(node, flow.FamilyIPv6)
	var w way
	switch {
	case v6.IsValid() && hasIPv6:
		w = s.out(v6, flow.Inferred, flow.FamilyIPv6, false)
		if v4.IsValid() {
			w.evidence = flow.BucketAssumed
		}
	case v4.IsValid():
		w = s.out(v4, flow.Inferred, flow.FamilyIPv4, false)
	case v6.IsValid(): // to a service without IPv6
		w = s.out(netip.Addr{}, flow.EvidenceNone, flow.FamilyIPv6, true)
	default:
		w = way{evidence: flow.BucketAssumed}
	}
	return w
}

// place is the bucket that a limit has for a use.
type place struct {
	prefix   netip.Prefix // zero where it is not known
	family   flow.Family
	evidence flow.BucketEvidence
}

// place returns the bucket for a way; ok is false where the limit is not for its family.
func (l *limit) place(w way) (p place, ok bool) {
	if !l.isFor(w.family) {
		return place{}, false
	}
	p = place{family: w.family, evidence: w.evidence}
	switch {
	case w.address.IsValid():
		p.prefix, ok = l.mask(w.address)
		return p, ok
	case w.prefix.IsValid():
		p.prefix = w.prefix
		if masked, ok := l.mask(w.prefix.Addr()); ok && masked.Bits() <= w.prefix.Bits() {
			p.prefix, p.evidence = masked, flow.BucketInferred
		}
	}
	return p, true
}

// text writes a prefix as buckets are named: a single address without its length, nothing where it is not known.
func text(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return ""
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}
