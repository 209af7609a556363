package track

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"sextant/collector/flow"
)

// told reports whether an entry is a connection of its own.
func (e *entry) told() bool { return e.View != flow.ViewUnknown && !e.shadow }

// ended reports whether both sides closed it, or one reset it.
func (e *entry) ended() bool { return e.reset || e.finFrom && e.finTo }

// denied reports whether its packets were dropped and none was ever answered.
func (e *entry) denied() bool { return e.dropped != 0 && e.answered == 0 && !e.refused }

// idle is the silence after which a packet is of another connection.
func (e *entry) idle(cfg *Config) moment {
	switch {
	case e.Protocol == flow.ICMP || e.Protocol == flow.ICMPv6:
		return moment(cfg.ICMPWindow)
	case e.Protocol != flow.TCP && e.denied():
		return moment(cfg.DeniedWindow)
	case e.Protocol != flow.TCP:
		return moment(cfg.UDPIdle)
	case e.ended():
		return moment(endedIdle)
	case e.begun && e.answered == 0:
		return moment(openingIdle)
	}
	return moment(cfg.TCPIdle)
}

// span is how long one connection may last where nothing tells when the next one begins; 0 is without end.
func (e *entry) span(cfg *Config) moment {
	switch {
	case e.Protocol == flow.ICMP || e.Protocol == flow.ICMPv6:
		return moment(cfg.ICMPWindow)
	case e.Protocol != flow.TCP && e.denied():
		return moment(cfg.DeniedWindow)
	}
	return 0
}

// due reports whether no more can come of it: it is over, and whoever has to be compared with it has been seen.
func (e *entry) due(now moment, cfg *Config) bool {
	hold := moment(0)
	if !e.Destination.Name.IsZero() || !e.Destination.Service.IsZero() {
		hold = cfg.hold(e)
	}
	wait := moment(cfg.MergeWindow)
	if span := e.span(cfg); span > 0 && now-e.opened > max(span, hold)+wait {
		return true
	}
	return now-e.touched > max(e.idle(cfg), hold)+wait
}

// hold is how long a connection has to be kept for its fallback to be known: IPv4 until the IPv6 before it has failed,
// IPv6 that failed until all IPv4 that may be its retry is known to have got through.
func (c *Config) hold(e *entry) moment {
	switch {
	case e.Family == flow.FamilyIPv4:
		return moment(c.HappyEyeballs)
	case e.answered == 0:
		return moment(2 * c.HappyEyeballs)
	}
	return 0
}

// shortest is the shortest silence after which anything is due.
func (c *Config) shortest() moment {
	return moment(min(endedIdle, c.TCPIdle, c.UDPIdle, c.ICMPWindow, c.DeniedWindow))
}

// finish fills in what is known only at the end.
func (e *entry) finish(say *vocabulary) {
	e.First, e.Last = time.Unix(0, int64(e.first)).UTC(), time.Unix(0, int64(e.last)).UTC()
	e.ID = e.id()
	e.Late = !e.begun
	e.Outcome = e.outcome()
	if e.outside.IsValid() {
		e.confirm(say)
	}
}

func (e *entry) outcome() flow.Outcome {
	switch {
	case e.answered != 0:
		return flow.Answered
	case e.refused:
		return flow.Refused
	case e.dropped != 0:
		return flow.Denied
	case !e.begun: // it may have been answered before
		return flow.OutcomeUnknown
	case e.View == flow.ViewNode, e.View == flow.ViewLoadBalancer: // answers to a node itself show nowhere
		return flow.OutcomeUnknown
	}
	return flow.Unanswered
}

// idGrain is how exactly the begin of a connection is part of its identifier. Two collectors that see one end each give
// the same identifier unless their begins fall into different grains: with a millisecond between them, once in 5,000
// connections. Ports are not used again within it but after a refusal. What began unseen has no begin to agree on.
const idGrain = 5 * time.Second

// id hashes the key and the begin. It is the same in every process.
func (e *entry) id() flow.UUID {
	var buf [128]byte
	b := append(buf[:0], byte(e.Family), byte(e.Protocol))
	for _, end := range [...]*flow.End{&e.Source, &e.Destination} {
		a := end.IP.As16()
		b = append(b, a[:]...)
		b = binary.BigEndian.AppendUint16(b, end.Port)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(e.first/moment(idGrain)))
	b = append(b, e.Cluster.String()...)
	sum := sha256.Sum256(b)
	return flow.UUID(sum[:16])
}

// confirm says that iptables masqueraded the connection: it left its pod with the pod's address and its node with the
// node's, everything else the same. What else is known of its way stays.
func (e *entry) confirm(say *vocabulary) {
	class, nat := flow.NAT44, flow.SourceNAT44
	if e.Family == flow.FamilyIPv6 {
		class, nat = flow.NAT66, flow.SourceNAT66
	}
	if e.SourceNATEvidence < flow.Confirmed {
		e.SourceNAT, e.SourceNATEvidence, e.SourceNATRule = nat, flow.Confirmed, say.pair
	}
	switch e.Class {
	case flow.ClassUnknown, flow.Native4, flow.Native6, flow.NAT44, flow.NAT66:
		if e.ClassEvidence < flow.Confirmed {
			e.Class, e.ClassEvidence, e.ClassRule = class, flow.Confirmed, say.pair
		}
	}
	if e.EgressIPEvidence < flow.Confirmed && e.Class != flow.NAT64 && e.Class != flow.CLAT { // behind a NAT64 the outside sees the translator
		e.EgressIP, e.EgressIPEvidence = e.outside, flow.Confirmed
	}
}
