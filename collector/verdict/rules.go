package verdict

import (
	"net/netip"

	"sextant/collector/flow"
)

// sight is a record as the rules see it: with the kinds of its ends filled in, and what its NAT64 address holds.
type sight struct {
	*flow.Record
	nat64     netip.Addr // the IPv4 address inside the responder's NAT64 address, invalid when it has none
	nonGlobal bool       // the prefix is the well-known one, which must not stand before such an IPv4 address
}

// The rules that decide nothing, and why.
const (
	noAddresses       = "no_addresses"
	needsClusterFacts = "needs_cluster_facts"
)

// A rule gives its verdict on every record that it matches and no earlier rule did.
type rule struct {
	name     string
	class    flow.Class
	evidence flow.Evidence
	match    func(sight) bool
}

// rules, first match wins. The last one matches everything.
//
// A NAT64 prefix goes before the tunnels, since a configured prefix may hold any bits, those of ISATAP among them.
var rules = []rule{
	{noAddresses, flow.ClassUnknown, flow.EvidenceNone, func(s sight) bool {
		return !s.Source.IP.IsValid() && !s.Destination.IP.IsValid()
	}},
	// RFC 6052 section 3.1: translators must drop such packets.
	{"nat64_wellknown_nonglobal", flow.NAT64, flow.Inferred, func(s sight) bool { return s.nonGlobal }},
	{"nat64_prefix", flow.NAT64, flow.Inferred, func(s sight) bool { return s.nat64.IsValid() }},
	{"6to4_prefix", flow.Tunnel6, flow.Inferred, func(s sight) bool { return s.eitherIs(flow.Kind6to4) }},
	{"teredo_prefix", flow.Tunnel6, flow.Inferred, func(s sight) bool { return s.eitherIs(flow.KindTeredo) }},
	{"isatap_interface_id", flow.Tunnel6, flow.Inferred, func(s sight) bool { return s.eitherIs(flow.KindISATAP) }},
	// RFC 6877 and RFC 7335: what a CLAT gives the programs behind it as their IPv4 address.
	{"clat_prefix", flow.CLAT, flow.Inferred, func(s sight) bool { return s.initiatorIs(flow.KindCLAT) }},
	{needsClusterFacts, flow.ClassUnknown, flow.EvidenceNone, func(sight) bool { return true }},
}

// eitherIs reports whether one end is of the kind. A packet is in the tunnel whichever end lives behind it.
func (s sight) eitherIs(kind flow.AddressKind) bool {
	return s.Source.Kind == kind || s.Destination.Kind == kind
}

// initiatorIs reports whether the end that began is of the kind, or may be it where the record does not say who began.
func (s sight) initiatorIs(kind flow.AddressKind) bool {
	return s.IsReply != flow.Yes && s.Source.Kind == kind || s.IsReply != flow.No && s.Destination.Kind == kind
}
