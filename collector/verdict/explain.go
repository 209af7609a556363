package verdict

import (
	"fmt"
	"net/netip"

	"sextant/collector/flow"
)

// Rule is a rule in words.
type Rule struct {
	Name     string
	Evidence flow.Evidence
	Source   string // a specification, a file of Cilium, a setting; empty where it follows from the others
	Means    string // a sentence
	Certain  string // what would make it certain, in a sentence
}

// Rules returns all rules in the order in which they are tried.
func Rules() []Rule {
	list := make([]Rule, 0, len(rules))
	for i := range rules {
		list = append(list, rules[i].words())
	}
	return list
}

func (r *rule) words() Rule { return Rule{r.name, r.evidence, r.source, r.means, r.certain} }

// RecordVerdict is the verdict on one record, with the rules that gave it.
type RecordVerdict struct {
	Record flow.Record
	Class  Rule
	Source Rule // of the source translation
}

// ExplainRecord judges a copy of a record, by the facts and prefixes of now.
func (s *Stage) ExplainRecord(r flow.Record) RecordVerdict {
	s.judge(&r, s.facts.Load(), s.prefixes.Load())
	v := RecordVerdict{Record: r}
	for i, name := range s.names {
		if name == r.ClassRule {
			v.Class = rules[i].words()
		}
		if name == r.SourceNATRule {
			v.Source = rules[i].words()
		}
	}
	return v
}

// AddressVerdict is what an address tells by itself, and what that makes of a connection to it.
type AddressVerdict struct {
	IP           netip.Addr
	Kind         flow.AddressKind
	KindMeans    string // a sentence
	Place        Place
	PlaceMeans   string       // a sentence; empty where the facts do not know the address
	Prefix       netip.Prefix // the NAT64 prefix around it
	EmbeddedIPv4 netip.Addr
	Class        flow.Class // unknown where the address does not decide it
	Evidence     flow.Evidence
	Rule         Rule // its sentences are set in any case
}

// ExplainAddress judges an address, unmapped and without a zone, by the facts and prefixes of now.
func (s *Stage) ExplainAddress(a netip.Addr) AddressVerdict {
	a = plain(a)
	facts, prefixes := s.facts.Load(), s.prefixes.Load()
	r := flow.Record{IsReply: flow.No, Destination: flow.End{IP: a}}
	s.judge(&r, facts, prefixes)
	v := AddressVerdict{IP: a, Kind: r.Destination.Kind, KindMeans: kindMeans[r.Destination.Kind], Place: facts.Of(a), EmbeddedIPv4: r.EmbeddedIPv4}
	v.PlaceMeans = v.Place.means()
	_, v.Prefix, _ = prefixes.Embedded(a)
	for i, name := range s.names {
		if name == r.ClassRule && r.Class != flow.ClassUnknown {
			v.Class, v.Evidence, v.Rule = r.Class, r.ClassEvidence, rules[i].words()
			return v
		}
	}
	v.Rule = Rule{
		Means:   "The address alone does not decide which way a connection to it goes.",
		Certain: "A flow of such a connection, and the settings of the node on which it begins.",
	}
	return v
}

func (p Place) means() string {
	of := ""
	if !p.Node.IsZero() {
		of = " " + p.Node.String()
	}
	switch p.Kind {
	case PlacePodCIDR:
		if of != "" {
			return fmt.Sprintf("It is in a pod CIDR of node%s, and belongs to no pod that is known.", of)
		}
		return "It is in a pod CIDR of the cluster, and belongs to no pod that is known."
	case PlacePod:
		if of != "" {
			return fmt.Sprintf("It belongs to a pod on node%s.", of)
		}
		return "It belongs to a pod."
	case PlaceEgressGateway:
		return "It is the address that an egress gateway policy gives to the pods that it selects."
	case PlaceService:
		return fmt.Sprintf("It is a frontend of service %s.", p.Service)
	case PlaceRouter:
		return fmt.Sprintf("It is Cilium's own address on node%s, on cilium_host.", of)
	case PlaceNode:
		return fmt.Sprintf("It is an address of node%s.", of)
	}
	return ""
}

var kindMeans = map[flow.AddressKind]string{
	flow.KindUnknown:       "It is no address.",
	flow.KindGUA:           "A global unicast address: routable everywhere.",
	flow.KindULA:           "A unique local address (RFC 4193): routable within a site, so that something has to translate it on the way out.",
	flow.KindLinkLocal:     "A link-local address: good on its own link and no further.",
	flow.KindLoopback:      "A loopback address: it never leaves its host.",
	flow.KindUnspecified:   "The unspecified address: a host that has none yet.",
	flow.KindMulticast:     "A multicast address: it names a group of hosts.",
	flow.KindBroadcast:     "The broadcast address: all hosts of a link.",
	flow.KindPublic:        "A public IPv4 address: routable everywhere.",
	flow.KindPrivate:       "A private IPv4 address (RFC 1918): routable within a site, so that something has to translate it on the way out.",
	flow.KindShared:        "An address for carrier-grade NAT (RFC 6598), which some clouds give to nodes and pods: something has to translate it on the way out.",
	flow.KindCLAT:          "An address for IPv4 behind a CLAT (RFC 7335): its packets travel over IPv6.",
	flow.KindNAT64:         "An address in the well-known NAT64 prefix (RFC 6052): it stands for the IPv4 address inside.",
	flow.KindNAT64Local:    "An address in the prefix for local NAT64 (RFC 8215): where a network uses it, it stands for an IPv4 address.",
	flow.Kind6to4:          "A 6to4 address (RFC 3056): its packets travel inside IPv4. Long deprecated.",
	flow.KindTeredo:        "A Teredo address (RFC 4380): its packets travel inside IPv4 UDP. Long deprecated.",
	flow.KindISATAP:        "An address with an ISATAP interface identifier (RFC 5214): its packets travel inside IPv4 within a site.",
	flow.KindDocumentation: "An address for documentation: nobody has it, outside examples and tests.",
	flow.KindBenchmark:     "An address for benchmarks of network devices.",
	flow.KindDiscard:       "An address whose packets are to be discarded (RFC 6666).",
	flow.KindORCHID:        "An identifier that looks like an address (RFC 7343): not routable.",
	flow.KindSRv6:          "A segment identifier (RFC 9602).",
	flow.KindSiteLocal:     "A site-local address, deprecated (RFC 3879).",
	flow.KindReserved:      "A reserved address: nobody should use it.",
}
