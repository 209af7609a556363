package track

import (
	"net/netip"

	"sextant/collector/flow"
)

// facts are what the flows of a connection told, beyond what its row says. Every fact is a first, a last, a best or an
// "ever", with ties decided by what the flows hold: so it does not matter in which order they arrive.
type facts struct {
	news      bool // something that fallbacks depend on
	candidate bool // a packet of the initiator was tracked
	begun     bool // its begin was seen
	refused   bool // with a TCP reset
	dropped   moment
	answered  moment // when its first answer was seen
	finFrom   bool   // the initiator closed
	finTo     bool   // the responder closed
	reset     bool
	end       moment // first FIN or RST

	counted   bool
	countedAt sightingPlace

	shadow   bool       // not a connection of its own: another one as the outside sees it, or a proxy's
	identity uint32     // the pod's identity, where it has only the node's address
	paired   bool       // and that other one is known
	stack    flow.Name  // node on which it went to the host's stack, where iptables may masquerade it, or came out of it
	outside  netip.Addr // source address with which iptables was then seen to have masqueraded it
	usable   bool       // an AAAA for the name could have been used

	viewAt, classAt, natAt, egressAt, nameAt moment
	sourceBy, destinationBy                  endBy
}

type sightingPlace struct {
	node  flow.Name
	point flow.ObservationPoint
}

// merge adds what a flow says, and returns why it does not count the connection, or wordNone where it does.
func (s *Stage) merge(sh *shard, e *entry, v *sight, n *node) word {
	r := v.r
	e.Flows += max(1, r.AggregatedFlows)
	if v.at < e.first {
		e.first, e.news = v.at, true
	}
	e.last = max(e.last, v.at)
	if r.EventType == flow.EventTrace {
		e.flags(v)
	}
	switch v.role {
	case roleEvidence:
		e.judge(v)
		if !r.EgressIP.IsValid() && prefer(flow.Observed, e.EgressIPEvidence, v.at, e.egressAt, false) {
			e.EgressIP, e.EgressIPEvidence, e.egressAt = r.SourceTranslatedIP, flow.Observed, v.at
		}
		return wordEvidence
	case roleShadow:
		return s.shadow(sh, e, v)
	case rolePassing:
		if v.reversed {
			return wordReply
		}
		return wordUntracked
	}
	e.ends(v)
	e.judge(v)
	s.name(e, v)
	switch v.role {
	case rolePolicy:
		return wordPolicy
	case roleReply:
		e.ServiceNAT = e.ServiceNAT || v.anyPort
		return wordReply
	case roleNodeReply:
		return s.nodeReply(sh, e, v, n)
	case roleDrop:
		return e.drop(v)
	}
	return s.candidate(sh, e, v, n)
}

func (s *Stage) candidate(sh *shard, e *entry, v *sight, n *node) word {
	r := v.r
	leg := e.shadow || !e.candidate && r.ObservationPoint != flow.ToProxy && s.isLeg(e)
	if !e.candidate {
		e.candidate, e.news = true, true
	}
	if r.Protocol != flow.TCP && (r.TraceReason == flow.ReasonNew || r.TraceReason == flow.ReasonUnknown) {
		e.begin()
	}
	e.view(v)
	if leg {
		return wordProxyLeg
	}
	switch r.ObservationPoint {
	case flow.ToProxy:
		s.noteProxied(v)
	case flow.ToStack:
		if e.stack.IsZero() {
			e.stack = r.Node
			s.pairPod(sh, e)
		}
		fallthrough
	case flow.ToNetwork, flow.ToOverlay:
		if v.view == flow.ViewSource {
			n.left(s.between(&v.key), v.key.fromPort)
		}
	}
	return e.count(v, counts(r, v.view))
}

// count decides whether this flow counts the connection.
func (e *entry) count(v *sight, may bool) word {
	place := sightingPlace{v.r.Node, v.r.ObservationPoint}
	switch {
	case e.shadow:
		return wordOtherView
	case e.counted && place == e.countedAt:
		return wordLaterFlow
	case e.counted || !may:
		return wordOtherView
	}
	e.counted, e.countedAt = true, place
	return wordNone
}

// drop notes a packet that was dropped. The first one counts an attempt that got nowhere, unless the connection was
// counted where it came through before.
func (e *entry) drop(v *sight) word {
	r := v.r
	if prefer(0, 0, v.at, e.dropped, r.DropReason.String() < e.DropReason.String()) {
		e.dropped, e.DropReason, e.news = v.at, r.DropReason, true
	}
	if v.reversed {
		return wordLaterFlow
	}
	if r.Protocol != flow.TCP || v.start() {
		e.begin()
	}
	e.view(v)
	return e.count(v, true)
}

// flags reads a TCP packet, and that there was an answer.
func (e *entry) flags(v *sight) {
	r := v.r
	flags := r.TCPFlags
	if r.Protocol != flow.TCP {
		if v.reversed {
			e.answer(v.at)
		}
		return
	}
	switch {
	case flags&flow.SYN != 0:
		e.begin()
		if v.reversed {
			e.answer(v.at)
		}
	case flags&flow.RST != 0:
		if v.reversed && !e.refused {
			e.refused, e.news = true, true
		}
	case v.reversed, flags&flow.ACK != 0: // who acknowledges was answered
		e.answer(v.at)
	}
	if flags&(flow.FIN|flow.RST) == 0 {
		return
	}
	if e.end == 0 || v.at < e.end {
		e.end = v.at
	}
	e.reset = e.reset || flags&flow.RST != 0
	if v.reversed {
		e.finTo = true
	} else {
		e.finFrom = true
	}
}

func (e *entry) begin() {
	if !e.begun {
		e.begun, e.news = true, true
	}
}

func (e *entry) answer(at moment) {
	if e.answered == 0 || at < e.answered {
		e.answered, e.news = at, true
	}
}

// view lets the best view say where the connection was seen.
func (e *entry) view(v *sight) {
	r := v.r
	if v.view < e.View {
		return
	}
	if v.view == e.View && !prefer(0, 0, v.at, e.viewAt, r.Node.String() < e.Node.String()) {
		return
	}
	e.View, e.viewAt, e.Node, e.Direction, e.ICMPType, e.news = v.view, v.at, r.Node, r.Direction, r.ICMPType, true
}

// judge lets the strongest verdict stand, of whichever flow.
func (e *entry) judge(v *sight) {
	r := v.r
	if prefer(r.ClassEvidence, e.ClassEvidence, v.at, e.classAt, r.Class < e.Class) {
		e.Class, e.ClassEvidence, e.ClassRule, e.classAt = r.Class, r.ClassEvidence, r.ClassRule, v.at
	}
	if prefer(r.SourceNATEvidence, e.SourceNATEvidence, v.at, e.natAt, r.SourceNAT < e.SourceNAT) {
		e.SourceNAT, e.SourceNATEvidence, e.SourceNATRule, e.natAt = r.SourceNAT, r.SourceNATEvidence, r.SourceNATRule, v.at
	}
	if r.EgressIP.IsValid() && prefer(r.EgressIPEvidence, e.EgressIPEvidence, v.at, e.egressAt, r.EgressIP.Less(e.EgressIP)) {
		e.EgressIP, e.EgressIPEvidence, e.egressAt = r.EgressIP, r.EgressIPEvidence, v.at
	}
	if r.EmbeddedIPv4.IsValid() && (!e.EmbeddedIPv4.IsValid() || r.EmbeddedIPv4.Less(e.EmbeddedIPv4)) {
		e.EmbeddedIPv4 = r.EmbeddedIPv4
	}
	e.ServiceNAT = e.ServiceNAT || r.ServiceNAT
}

// prefer reports whether what a flow says goes before what stands: by its evidence, then because it is older, then
// because it is less.
func prefer(evidence, than flow.Evidence, at, thanAt moment, less bool) bool {
	switch {
	case thanAt == 0:
		return true
	case evidence != than:
		return evidence > than
	}
	return at < thanAt || at == thanAt && less
}

// ends merges who the ends are. An endpoint's own node knows most of it: its workload, and that it lives there.
func (e *entry) ends(v *sight) {
	if e.sourceBy.merge(&e.Source, v.initiator(), v.at) {
		e.news = true
	}
	if e.destinationBy.merge(&e.Destination, v.responder(), v.at) {
		e.news = true
	}
	end, known := v.responder(), &e.Destination
	if !end.Service.IsZero() && (known.Service.IsZero() || end.ServiceEvidence > known.ServiceEvidence ||
		end.ServiceEvidence == known.ServiceEvidence && end.Service.String() < known.Service.String()) {
		known.Service, known.ServiceEvidence, e.news = end.Service, end.ServiceEvidence, true
	}
}

// endBy is how well an end is known, and since when.
type endBy struct {
	score uint8
	at    moment
}

func (by *endBy) merge(known, end *flow.End, at moment) (changed bool) {
	if end.Endpoint == known.Endpoint && by.at != 0 {
		if at < by.at {
			by.at = at
			known.Kind, known.Side = end.Kind, end.Side
		}
		return false
	}
	ep := end.Endpoint.Get()
	score := uint8(0)
	for i, told := range [...]bool{ep.Identity != 0, ep.ID != 0, !ep.Workload.IsZero(), !ep.Pod.IsZero()} {
		if told {
			score |= 1 << i
		}
	}
	if by.at != 0 {
		switch {
		case score < by.score:
			return false
		case score == by.score && at >= by.at && !(at == by.at && less(ep, known.Endpoint.Get())):
			return false
		}
	}
	by.score, by.at = score, at
	known.Endpoint, known.Kind, known.Side, known.Resolution = end.Endpoint, end.Kind, end.Side, end.Resolution
	return true
}

// less orders endpoints in a way that is the same for everybody.
func less(a, b flow.Endpoint) bool {
	if a.Identity != b.Identity {
		return a.Identity < b.Identity
	}
	if a.Pod != b.Pod {
		return a.Pod.String() < b.Pod.String()
	}
	return a.ID < b.ID
}

// name takes the responder's DNS name from the first flow that has one, and asks whether IPv6 could have been used.
func (s *Stage) name(e *entry, v *sight) {
	end, r := v.responder(), v.r
	if end.Name.IsZero() || !prefer(0, 0, v.at, e.nameAt, end.Name.String() < e.Destination.Name.String()) {
		return
	}
	if e.Destination.Name != end.Name {
		e.news = true
	}
	d := &e.Destination
	d.Name, d.NameSource, d.NameAge, e.nameAt = end.Name, end.NameSource, end.NameAge, v.at
	if s.AAAA != nil && e.Family == flow.FamilyIPv4 {
		e.usable = s.AAAA.Usable(e.Source.Endpoint, d.Name, r.Time)
	}
}
