// Package verdict says which way a flow went: what kinds of addresses it has, whether it went through a NAT64 or inside
// a tunnel, and how that is known.
//
// It judges by the record alone and refuses to guess: where addresses do not decide, the class is unknown and class_rule
// says why. It does no I/O and asks nobody.
package verdict

import (
	"net/netip"

	"sextant/collector/flow"
)

// Stage fills what the addresses of a flow tell: the kinds of both ends, embedded_ipv4, class and source_nat. It holds
// nothing that changes, and is safe for concurrent use.
type Stage struct {
	kinds    *Kinds
	prefixes Prefixes
	names    []flow.Name // of rules, by index

	noAddresses, needsClusterFacts flow.Name
}

// New returns a stage that takes these prefixes for NAT64.
func New(names *flow.Interner, prefixes Prefixes) *Stage {
	s := &Stage{
		kinds:             NewKinds(),
		prefixes:          prefixes,
		noAddresses:       names.Name(noAddresses),
		needsClusterFacts: names.Name(needsClusterFacts),
	}
	for _, rule := range rules {
		s.names = append(s.names, names.Name(rule.name))
	}
	return s
}

// Process judges the records of a batch. It allocates nothing.
func (s *Stage) Process(b *flow.Batch) {
	for i := range b.Records {
		s.judge(&b.Records[i])
	}
}

func (s *Stage) judge(r *flow.Record) {
	r.Source.Kind = s.kinds.Of(r.Source.IP)
	r.Destination.Kind = s.kinds.Of(r.Destination.IP)
	seen := s.look(r)
	r.EmbeddedIPv4 = embedded(seen)

	for i := range rules {
		if rule := &rules[i]; rule.match(seen) {
			r.Class, r.ClassEvidence, r.ClassRule = rule.class, rule.evidence, s.names[i]
			break
		}
	}
	r.SourceNAT, r.SourceNATEvidence, r.SourceNATRule = flow.SourceNATUnknown, flow.EvidenceNone, s.needsClusterFacts
	if r.ClassRule == s.noAddresses {
		r.SourceNATRule = s.noAddresses
	}
}

// look finds the responder's NAT64 address. Where the record does not say who began, it is taken to be whichever end has
// one, the destination first: through a NAT64 it is IPv6 that begins (RFC 6146 section 1.1).
func (s *Stage) look(r *flow.Record) sight {
	seen := sight{Record: r}
	var prefix netip.Prefix
	var ok bool
	if r.IsReply != flow.Yes {
		seen.nat64, prefix, ok = s.prefixes.Embedded(r.Destination.IP)
	}
	if r.IsReply != flow.No && !ok {
		seen.nat64, prefix, ok = s.prefixes.Embedded(r.Source.IP)
	}
	seen.nonGlobal = ok && prefix == wellKnown && s.kinds.Of(seen.nat64) != flow.KindPublic
	return seen
}

// embedded returns the IPv4 address that the initiator's packets go to, that of NAT64 first as in the rules. Of a
// tunnel only the responder's counts: the initiator's own is not where anything goes, and where the record does not say
// who began, the source may be just that.
func embedded(s sight) netip.Addr {
	if s.nat64.IsValid() {
		return s.nat64
	}
	responder := &s.Destination
	if s.IsReply == flow.Yes {
		responder = &s.Source
	}
	return TunnelIPv4(responder.Kind, responder.IP)
}
