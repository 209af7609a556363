package track_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sextant/collector/flow"
	"sextant/collector/track"
)

// The reference says once more what package track does, slowly: it sorts all flows by time, keeps every one, and works
// each fact out of the whole list.

// refFlow is a flow as part of a connection.
type refFlow struct {
	*flow.Record
	from, to *flow.End
	reply    bool
	kind     string // candidate, reply, drop, verdict, evidence, shadow, passing
	view     flow.View
}

type refConnection struct {
	flows  []refFlow
	from   netip.AddrPort
	to     netip.AddrPort
	shadow bool
	mask   netip.Addr // source address after iptables' masquerade
	of     *refConnection
	fell   bool
	after  time.Duration
}

func reference(cfg track.Config, aaaa track.AAAA, records []flow.Record) []string {
	var all []*refConnection
	for _, f := range refFlows(cfg, records, &all) {
		refAdd(cfg, f, &all)
	}
	for _, e := range all {
		e.shadow = e.any("shadow")
		for _, p := range all {
			if e.shadow && p.at(flow.ToStack) && p.from.Port() == e.from.Port() && p.from != e.from && p.to == e.to && p.protocol() == e.protocol() &&
				p.from.Addr().Is6() == e.from.Addr().Is6() && p.flows[0].from.Endpoint.Get().Identity == e.flows[0].from.Endpoint.Get().Identity &&
				e.first().Sub(p.last()) <= p.idle(cfg) && p.first().Sub(e.last()) <= p.idle(cfg) {
				p.mask = e.from.Addr()
			}
		}
	}
	all = slices.DeleteFunc(all, func(c *refConnection) bool { return c.shadow || c.view() == flow.ViewUnknown })
	refFallbacks(cfg, all)
	var out []string
	for _, c := range all {
		out = append(out, c.text(aaaa))
	}
	slices.Sort(out)
	return out
}

// refFlows sorts, drops repetitions and says what each flow is.
func refFlows(cfg track.Config, records []flow.Record, all *[]*refConnection) []refFlow {
	seen := map[flow.UUID]bool{}
	var out []refFlow
	sorted := slices.Clone(records)
	slices.SortStableFunc(sorted, func(a, b flow.Record) int { return a.Time.Compare(b.Time) })
	for i := range sorted {
		r := &sorted[i]
		if seen[r.UUID] || r.TunnelProtocol != flow.TunnelNone || r.Noise != flow.NoiseNone {
			continue
		}
		seen[r.UUID] = true
		from, to, known := r.Ends()
		f := refFlow{Record: r, from: from, to: to, reply: from == &r.Destination}
		source, destination := r.Source.Endpoint.Get(), r.Destination.Endpoint.Get()
		forward := r.EventType == flow.EventTrace && known && !f.reply
		switch {
		case r.EventType == flow.EventDrop:
			f.kind, f.view = "drop", flow.ViewSource
			if destination.ID != 0 && (source.ID == 0 || r.TrafficDirection == flow.Ingress) {
				f.view = flow.ViewDestination
			}
		case r.EventType == flow.EventPolicyVerdict:
			f.kind = "verdict"
		case r.EventType != flow.EventTrace || !known:
			continue
		case f.reply && r.IsReply == flow.Yes:
			f.kind = "reply"
		case forward && r.SourceTranslatedIP.IsValid():
			f.kind = "evidence"
		case forward && r.IsReply == flow.No && r.TraceReason != flow.ReasonRelated:
			f.kind = "candidate"
			switch {
			case r.ObservationPoint == flow.ToEndpoint:
				f.view = flow.ViewDestination
			case r.ObservationPoint == flow.ToProxy:
				f.view = flow.ViewProxy
			case r.ObservationPoint == flow.ToNetwork && source.Identity >= 256 && source.Pod.IsZero():
				f.kind = "shadow"
			case source.ID != 0:
				f.view = flow.ViewSource
			case source.Identity == 1:
				f.view = flow.ViewNode
			default:
				f.view = flow.ViewLoadBalancer
			}
		default:
			f.kind = "passing"
		}
		out = append(out, f)
	}
	return out
}

// refAdd gives a flow to the connection that is under way, or begins one.
func refAdd(cfg track.Config, f refFlow, all *[]*refConnection) {
	from, to := netip.AddrPortFrom(f.from.IP, f.from.Port), netip.AddrPortFrom(f.to.IP, f.to.Port)
	service := f.kind == "reply" && f.SourceTranslatedIP.IsValid()
	find := func(from netip.AddrPort) *refConnection {
		for _, c := range slices.Backward(*all) {
			if c.from == from && c.protocol() == f.Protocol && (c.to == to || service && c.to.Addr() == to.Addr() && c.any("candidate")) && c.takes(cfg, f) {
				return c
			}
		}
		return nil
	}
	c := find(from)
	if f.kind == "evidence" && (c == nil || c.view() == flow.ViewUnknown) { // its port may be the translated one
		var last *refFlow
		for _, o := range *all {
			for i := range o.flows {
				p := &o.flows[i]
				if p.view == flow.ViewSource && p.kind == "candidate" && p.Node == f.Node && p.from.IP == f.from.IP && p.to.IP == f.to.IP && p.to.Port == f.to.Port &&
					p.Protocol == f.Protocol && (last == nil || !p.Time.Before(last.Time)) {
					last = p
				}
			}
		}
		if last != nil {
			from = netip.AddrPortFrom(f.from.IP, last.from.Port)
			c = find(from)
		}
	}
	if c == nil {
		if service {
			return
		}
		c = &refConnection{from: from, to: to}
		*all = append(*all, c)
	}
	c.flows = append(c.flows, f)
}

func (c *refConnection) protocol() flow.Protocol { return c.flows[0].Protocol }
func (c *refConnection) first() time.Time        { return c.flows[0].Time }
func (c *refConnection) last() time.Time         { return c.flows[len(c.flows)-1].Time }

// when returns the time of the first flow that is as asked.
func (c *refConnection) when(ask func(refFlow) bool) (t time.Time, ok bool) {
	for _, f := range c.flows {
		if ask(f) {
			return f.Time, true
		}
	}
	return t, false
}

func (c *refConnection) has(ask func(refFlow) bool) bool { _, ok := c.when(ask); return ok }
func (c *refConnection) any(kind string) bool {
	return c.has(func(f refFlow) bool { return f.kind == kind })
}

func (c *refConnection) at(point flow.ObservationPoint) bool {
	return c.has(func(f refFlow) bool { return f.kind == "candidate" && f.ObservationPoint == point })
}

func isTrace(f refFlow) bool { return f.EventType == flow.EventTrace }

func (c *refConnection) answered() (time.Time, bool) {
	return c.when(func(f refFlow) bool {
		switch {
		case !isTrace(f):
			return false
		case f.Protocol != flow.TCP:
			return f.reply
		}
		return f.reply && f.TCPFlags&flow.RST == 0 || !f.reply && f.TCPFlags&(flow.SYN|flow.RST) == 0 && f.TCPFlags&flow.ACK != 0
	})
}

func (c *refConnection) refused() bool {
	return c.has(func(f refFlow) bool { return isTrace(f) && f.reply && f.TCPFlags&flow.RST != 0 })
}

func (c *refConnection) begun() bool {
	return c.has(func(f refFlow) bool {
		switch {
		case f.kind == "drop":
			return !f.reply && (f.Protocol != flow.TCP || f.TCPFlags&flow.SYN != 0)
		case f.Protocol == flow.TCP:
			return isTrace(f) && f.TCPFlags&flow.SYN != 0
		}
		return f.kind == "candidate" && f.TraceReason == flow.ReasonNew
	})
}

func (c *refConnection) denied() bool {
	_, answered := c.answered()
	return c.any("drop") && !answered && !c.refused()
}

func (c *refConnection) ended() bool {
	fin := func(reply bool) bool {
		return c.has(func(f refFlow) bool { return isTrace(f) && f.reply == reply && f.TCPFlags&flow.FIN != 0 })
	}
	return fin(true) && fin(false) || c.has(func(f refFlow) bool { return isTrace(f) && f.TCPFlags&flow.RST != 0 })
}

func (c *refConnection) idle(cfg track.Config) time.Duration {
	_, answered := c.answered()
	switch {
	case c.protocol() == flow.ICMP || c.protocol() == flow.ICMPv6:
		return cfg.ICMPWindow
	case c.protocol() != flow.TCP && c.denied():
		return cfg.DeniedWindow
	case c.protocol() != flow.TCP:
		return cfg.UDPIdle
	case c.ended():
		return 10 * time.Second
	case c.begun() && !answered:
		return time.Minute
	}
	return cfg.TCPIdle
}

func (c *refConnection) takes(cfg track.Config, f refFlow) bool {
	if f.Time.Sub(c.last()) > c.idle(cfg) {
		return false
	}
	windowed := c.protocol() == flow.ICMP || c.protocol() == flow.ICMPv6 || c.protocol() != flow.TCP && c.denied()
	if windowed && f.Time.Sub(c.first()) >= cfg.ICMPWindow {
		return false
	}
	end, ended := c.when(func(f refFlow) bool { return isTrace(f) && f.TCPFlags&(flow.FIN|flow.RST) != 0 })
	starts := f.Protocol == flow.TCP && f.TCPFlags&(flow.SYN|flow.ACK) == flow.SYN
	return !starts || !ended || !f.Time.After(end) || f.Time.Sub(c.first()) <= cfg.MergeWindow
}

func (c *refConnection) view() (v flow.View) {
	for _, f := range c.flows {
		v = max(v, f.view)
	}
	return v
}

func (c *refConnection) outcome() flow.Outcome {
	_, answered := c.answered()
	switch {
	case answered:
		return flow.Answered
	case c.refused():
		return flow.Refused
	case c.any("drop"):
		return flow.Denied
	case !c.begun(), c.view() == flow.ViewNode, c.view() == flow.ViewLoadBalancer:
		return flow.OutcomeUnknown
	}
	return flow.Unanswered
}

func (c *refConnection) name() (name string, at time.Time) {
	for _, f := range c.flows {
		if f.kind != "passing" && f.kind != "evidence" && !f.to.Name.IsZero() && (name == "" || f.Time.Equal(at) && f.to.Name.String() < name) {
			name, at = f.to.Name.String(), f.Time
		}
	}
	return name, at
}

func (c *refConnection) pod() string {
	for _, f := range c.flows {
		if p := f.from.Endpoint.Get().Pod.String(); p != "" && f.kind != "passing" && f.kind != "evidence" {
			return p
		}
	}
	return ""
}

func (c *refConnection) through(cfg track.Config) bool {
	at, ok := c.answered()
	return ok && at.Sub(c.first()) <= cfg.HappyEyeballs
}

func refFallbacks(cfg track.Config, all []*refConnection) {
	of := map[*refConnection]bool{}
	slices.SortFunc(all, func(a, b *refConnection) int {
		return cmp.Or(a.first().Compare(b.first()), cmp.Compare(a.from.Port(), b.from.Port()), a.to.Addr().Compare(b.to.Addr()))
	})
	for _, four := range all {
		name, _ := four.name()
		if four.from.Addr().Is6() || name == "" || four.pod() == "" || !four.begun() || !four.through(cfg) || four.protocol() == flow.ICMP {
			continue
		}
		var failed []*refConnection
		for _, six := range all {
			sixName, _ := six.name()
			if six.from.Addr().Is6() && sixName == name && six.pod() == four.pod() && six.begun() && !six.through(cfg) && six.protocol() != flow.ICMPv6 &&
				!six.first().After(four.first()) && four.first().Sub(six.first()) <= cfg.HappyEyeballs {
				failed = append(failed, six)
			}
		}
		fresh := func(six *refConnection) bool { return !of[six] && !six.fell }
		i := slices.IndexFunc(failed, fresh)
		if i < 0 {
			i = slices.IndexFunc(failed, func(six *refConnection) bool { return !of[six] })
		}
		if i < 0 {
			continue
		}
		head := failed[i]
		of[head], four.of, four.after = true, head, four.first().Sub(head.first())
		for _, six := range failed {
			if !six.fell && (six == head || !six.first().Before(head.first()) && six.to.Addr() != head.to.Addr()) {
				six.fell, six.after = true, four.first().Sub(six.first())
			}
		}
	}
}

// text is a connection with all that the reference knows of it; fullText gives the same of a real one.
func (c *refConnection) text(aaaa track.AAAA) string {
	name, named := c.name()
	row := flow.Connection{
		First: c.first(), Last: c.last(), Flows: uint32(len(c.flows)), Late: !c.begun(), View: c.view(), Outcome: c.outcome(), Protocol: c.protocol(),
	}
	var best, source, destination refFlow
	rank := func(e *flow.End) int {
		ep, n := e.Endpoint.Get(), 0
		for i, told := range []bool{ep.Identity != 0, ep.ID != 0, !ep.Workload.IsZero(), !ep.Pod.IsZero()} {
			if told {
				n += 1 << i
			}
		}
		return n
	}
	for _, f := range c.flows {
		if f.view == row.View && (best.Record == nil || f.Time.Equal(best.Time) && f.Node.String() < best.Node.String()) {
			best = f
		}
		if f.kind == "passing" || f.kind == "evidence" {
			continue
		}
		if source.Record == nil || rank(f.from) > rank(source.from) {
			source = f
		}
		if destination.Record == nil || rank(f.to) > rank(destination.to) {
			destination = f
		}
		row.ServiceNAT = row.ServiceNAT || f.kind == "reply" && f.SourceTranslatedIP.IsValid()
	}
	row.Source, row.Destination = *source.from, *destination.to
	row.Source.IP, row.Source.Port = c.from.Addr(), c.from.Port()
	row.Destination.IP, row.Destination.Port = c.to.Addr(), c.to.Port()
	row.Node = best.Node
	for _, f := range c.flows {
		if f.kind == "passing" {
			continue
		}
		if f.ClassEvidence > row.ClassEvidence || row.Class == flow.ClassUnknown && row.ClassEvidence == 0 {
			row.Class, row.ClassEvidence = f.Class, f.ClassEvidence
		}
		if f.SourceNATEvidence > row.SourceNATEvidence || row.SourceNAT == flow.SourceNATUnknown && row.SourceNATEvidence == 0 {
			row.SourceNAT, row.SourceNATEvidence = f.SourceNAT, f.SourceNATEvidence
		}
		if f.kind == "evidence" {
			row.EgressIP, row.EgressIPEvidence = f.SourceTranslatedIP, flow.Observed
		}
	}
	if c.mask.IsValid() {
		row.Class, row.SourceNAT, row.EgressIP = flow.NAT66, flow.SourceNAT66, c.mask
		if c.mask.Is4() {
			row.Class, row.SourceNAT = flow.NAT44, flow.SourceNAT44
		}
		row.ClassEvidence, row.SourceNATEvidence, row.EgressIPEvidence = flow.Confirmed, flow.Confirmed, flow.Confirmed
	}
	var dropped string
	for _, f := range c.flows {
		if f.kind == "drop" && dropped == "" {
			dropped = f.DropReason.String()
		}
	}
	row.FallenBack, row.FallbackMs = c.fell, uint32(c.after.Milliseconds())
	of := ""
	if c.of != nil {
		of = fmt.Sprintf("%s@%s", c.of.from, c.of.first().Format(time.RFC3339Nano))
	}
	row.AvoidableIPv4 = c.from.Addr().Is4() && name != "" && c.of == nil && aaaa.Usable(row.Source.Endpoint, flow.Name{Ref: nameOf(c, name)}, named)
	return refText(&row, name, dropped, of)
}

func nameOf(c *refConnection, name string) flow.Ref[string] {
	for _, f := range c.flows {
		if f.to.Name.String() == name {
			return f.to.Name.Ref
		}
	}
	return flow.Ref[string]{}
}

// fullTexts are rows as the reference writes them.
func fullTexts(connections []flow.Connection) []string {
	byID := map[flow.UUID]*flow.Connection{}
	for i := range connections {
		byID[connections[i].ID] = &connections[i]
	}
	var out []string
	for i := range connections {
		c := &connections[i]
		of := ""
		if c.FallbackOf != (flow.UUID{}) {
			of = "lost"
			if six := byID[c.FallbackOf]; six != nil {
				of = fmt.Sprintf("%s@%s", netip.AddrPortFrom(six.Source.IP, six.Source.Port), six.First.Format(time.RFC3339Nano))
			}
		}
		out = append(out, refText(c, c.Destination.Name.String(), c.DropReason.String(), of))
	}
	slices.Sort(out)
	return out
}

func refText(c *flow.Connection, name, dropped, of string) string {
	source, destination := c.Source.Endpoint.Get(), c.Destination.Endpoint.Get()
	return strings.Join([]string{
		c.Protocol.String(), at(c.Source.IP), fmt.Sprint(c.Source.Port), at(c.Destination.IP), fmt.Sprint(c.Destination.Port),
		c.First.Format("04:05.000"), c.Last.Format("04:05.000"), fmt.Sprint(c.Flows), "late", fmt.Sprint(c.Late), c.Node.String(), c.View.String(),
		c.Outcome.String(), fmt.Sprint(source.Identity, source.ID, source.Pod, source.Workload), fmt.Sprint(destination.Identity, destination.ID, destination.Pod, destination.Workload),
		cmp.Or(name, "-"), cmp.Or(dropped, "-"), c.Class.String(), c.ClassEvidence.String(), c.SourceNAT.String(), c.SourceNATEvidence.String(), at(c.EgressIP), c.EgressIPEvidence.String(),
		fmt.Sprint(c.ServiceNAT), fmt.Sprint("fell=", c.FallenBack, " after=", c.FallbackMs, " of=", of, " avoidable=", c.AvoidableIPv4),
	}, " ")
}
