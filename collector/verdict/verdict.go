// Package verdict says which way a flow went, and how that is known: what kinds of addresses it has, where its ends live,
// whether its source was translated, and whether it went through a NAT64 or inside a tunnel.
//
// It judges by the record and by facts about the cluster alone, and refuses to guess: where neither decides, the class is
// unknown and class_rule says what is missing. It does no I/O, asks nobody, and knows one record at a time: what takes two
// is for collector/track.
package verdict

import (
	"net/netip"
	"sync/atomic"

	"sextant/collector/flow"
)

// Stage fills in what a record means: kinds, sides, direction, noise, embedded_ipv4, class, source_nat, service_nat and
// egress_ip. It is safe for concurrent use.
type Stage struct {
	kinds    *Kinds
	labels   reserved
	names    []flow.Name // of rules, by index
	masks    []mask      // of rules, by index
	facts    atomic.Pointer[Facts]
	prefixes atomic.Pointer[Prefixes]
}

// New returns a stage that takes these prefixes for NAT64 and knows nothing of the cluster.
func New(names *flow.Interner, prefixes Prefixes) *Stage {
	s := &Stage{kinds: NewKinds(), labels: newReserved(names)}
	for i := range rules {
		rule := &rules[i]
		s.names = append(s.names, names.Name(rule.name))
		s.masks = append(s.masks, mask{rule.when, rule.unless, rule.says.class != nil, rule.says.source != nil})
	}
	s.SetPrefixes(prefixes)
	return s
}

// SetFacts gives what is known of the cluster from now on; nil is nothing. A batch is judged by one and the same facts.
func (s *Stage) SetFacts(f *Facts) { s.facts.Store(f) }

// SetPrefixes gives the NAT64 prefixes from now on.
func (s *Stage) SetPrefixes(p Prefixes) { s.prefixes.Store(&p) }

// Process judges the records of a batch. It allocates nothing.
func (s *Stage) Process(b *flow.Batch) {
	facts, prefixes := s.facts.Load(), s.prefixes.Load()
	for i := range b.Records {
		s.judge(&b.Records[i], facts, prefixes)
	}
}

func (s *Stage) judge(r *flow.Record, facts *Facts, prefixes *Prefixes) {
	var seen sight
	s.look(&seen, r, facts, prefixes)
	r.EmbeddedIPv4 = seen.embedded()
	seen.service(facts)

	class, source := s.decide(seen.signs)
	rule := &rules[class]
	r.Class, r.ClassEvidence, r.ClassRule = rule.says.class[seen.family], rule.evidence, s.names[class]
	if r.Class == flow.ClassUnknown {
		r.ClassEvidence = flow.EvidenceNone
	}
	rule = &rules[source]
	r.SourceNAT, r.SourceNATEvidence, r.SourceNATRule = rule.says.source[seen.family], rule.evidence, s.names[source]
	if r.SourceNAT == flow.SourceNATUnknown {
		r.SourceNATEvidence = flow.EvidenceNone
	}
	r.EgressIP, r.EgressIPEvidence = seen.egress(rule.egress)
	if r.Class == flow.NAT64 && !r.EgressIP.Is4() { // the outside sees the translator's own IPv4 address, which nothing tells
		r.EgressIP, r.EgressIPEvidence = netip.Addr{}, flow.EvidenceNone
	}
}

// A mask is what a rule asks for, apart from its words: all rules are tried on every record.
type mask struct {
	when, unless  signs
	class, source bool // whether it says something of it
}

// decide returns the first rules that say something of the class and of the source.
func (s *Stage) decide(shown signs) (class, source int) {
	class, source = -1, -1
	for i := range s.masks {
		m := &s.masks[i]
		if shown&m.when != m.when || shown&m.unless != 0 {
			continue
		}
		if class < 0 && m.class {
			class = i
		}
		if source < 0 && m.source {
			source = i
		}
		if class >= 0 && source >= 0 {
			break
		}
	}
	return class, source
}

// embedded returns the IPv4 address that the initiator's packets go to, that of NAT64 first as in the rules. Of a tunnel
// only the responder's counts: the initiator's own is not where anything goes, and where nobody knows who began, the
// source may be just that.
func (s *sight) embedded() netip.Addr {
	if s.nat64.IsValid() {
		return s.nat64
	}
	return TunnelIPv4(s.to.Kind, s.to.IP)
}

// service says whether a service load-balancer rewrote an address, and names the service by its address where Hubble does
// not.
func (s *sight) service(f *Facts) {
	r := s.Record
	r.ServiceNAT = s.signs&(serviceReply|replyFromVIP) != 0 || r.Verdict == flow.Translated ||
		s.signs&toService != 0 && r.Verdict != flow.Dropped ||
		s.signs&(fromOutside|toPod|fromNodeIP|whoKnown) == fromOutside|toPod|fromNodeIP|whoKnown
	switch {
	case !s.to.Service.IsZero():
	case s.signs&serviceReply != 0:
		s.to.Service = f.at(r.SourceTranslatedIP).service
	case s.signs&toService != 0:
		s.to.Service = s.to.at().service
	}
	for _, end := range [...]*flow.End{&r.Source, &r.Destination} {
		if !end.Service.IsZero() && end.ServiceEvidence == flow.EvidenceNone { // of a frontend; of an endpoint it was set before
			end.ServiceEvidence = flow.Observed
		}
	}
}

// egress returns the address that the outside sees. Through a NAT64 it sees the translator's, which no flow tells, and of
// a packet that was dropped it sees none.
func (s *sight) egress(how egress) (netip.Addr, flow.Evidence) {
	r := s.Record
	if how == egressTold {
		return r.SourceTranslatedIP, flow.Observed
	}
	if r.Direction != flow.EgressDirection || r.Verdict == flow.Dropped || r.Class == flow.NAT64 || r.Class == flow.CLAT {
		return netip.Addr{}, flow.EvidenceNone
	}
	var a netip.Addr
	switch how {
	case egressSource:
		switch {
		case r.ObservationPoint == flow.ToProxy || r.EventType == flow.EventL7: // the proxy connects anew, with its own address
		case s.signs&podAtNodeIP != 0 && s.signs&leftNode == 0: // it is not on its way out yet
		default:
			a = s.from.IP
		}
	case egressNode:
		if s.signs&gatewayBlind == 0 {
			a = s.node.egress[s.family]
		}
	case egressPolicy:
		a = s.policy.egressIP(s.family)
	}
	if !a.IsValid() {
		return netip.Addr{}, flow.EvidenceNone
	}
	return a, flow.Inferred
}
