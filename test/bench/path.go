package main

import (
	"net/netip"

	"sextant/collector/flow"
)

// peer is one end of a connection.
type peer struct {
	ip         netip.Addr
	port       uint16
	node       *node // nil in the world
	here, away flow.Ref[flow.Endpoint]
	names      flow.Names // DNS names that the other end's node attaches to it
	veth       flow.Name
}

// path is a connection and where its packets show. Its records have neither time nor flags.
//
// The order of events, and what each of them tells, are those that two agents of Cilium 1.20 recorded (deploy/demo): one
// with aggregation medium and what the chart sets by default, one with BPF masquerade and aggregation low.
type path struct {
	from, to        peer
	v4              bool
	protocol        flow.Protocol
	service         netip.AddrPort // which the initiator speaks to, where that is not the server itself
	egress, ingress flow.Names     // policies that allow it, where there are any
	cluster         flow.Name
	words           *words

	opens []flow.Record // what the first packet makes beside the others
	out   []flow.Record // what each packet of the initiator makes
	back  []flow.Record // what each answer makes
}

// words are names that every record may hold.
type words struct{ eth0, vxlan, denied flow.Name }

// event returns what a node tells of a packet.
func (p *path) event(n *node, reply bool) flow.Record {
	from, to := p.from.end(n, &p.to), p.to.end(n, &p.from)
	if reply {
		from, to = to, from
	}
	r := flow.Record{
		Node: n.name, Cluster: p.cluster, Verdict: flow.Forwarded, TrafficDirection: flow.Egress, IsReply: flow.No,
		Family: flow.FamilyIPv6, Protocol: p.protocol, Source: from, Destination: to, AggregatedFlows: 1,
	}
	if p.v4 {
		r.Family = flow.FamilyIPv4
	}
	types := map[flow.Protocol]uint8{flow.ICMP: 8, flow.ICMPv6: 128}
	if reply {
		r.IsReply = flow.Yes
		types = map[flow.Protocol]uint8{flow.ICMPv6: 129}
	}
	r.ICMPType = types[p.protocol]
	return r
}

// end is the peer as a node sees it.
func (e *peer) end(n *node, other *peer) flow.End {
	end := flow.End{IP: e.ip, Port: e.port, Endpoint: e.away}
	if e.node == n {
		end.Endpoint = e.here
	}
	if other.node == n {
		end.Names = e.names
	}
	return end
}

// trace returns a trace event. One of an unknown reason does not know who began either.
func (p *path) trace(n *node, point flow.ObservationPoint, reason flow.TraceReason, device flow.Name, reply bool) flow.Record {
	r := p.event(n, reply)
	r.EventType, r.ObservationPoint, r.TraceReason, r.Interface = flow.EventTrace, point, reason, device
	switch {
	case reason == flow.ReasonUnknown:
		r.IsReply, r.TrafficDirection = flow.Unknown, flow.DirectionUnknown
	case reply && point != flow.ToEndpoint && point != flow.ToProxy:
		r.TrafficDirection = flow.Ingress
	}
	return r
}

// verdict returns a policy verdict, at the initiator's node or the server's.
func (p *path) verdict(n *node, direction flow.TrafficDirection, v flow.Verdict) flow.Record {
	r := p.event(n, false)
	r.EventType, r.Verdict, r.TrafficDirection = flow.EventPolicyVerdict, v, direction
	switch {
	case v == flow.Dropped:
		r.IsReply, r.DropReason, r.DropCode = flow.Unknown, p.words.denied, 133
	case direction == flow.Egress:
		r.AllowedBy = p.egress
	default:
		r.AllowedBy = p.ingress
	}
	return r
}

// deny makes every packet one that a node's policy drops.
func (p *path) deny(n *node, direction flow.TrafficDirection) {
	verdict := p.verdict(n, direction, flow.Dropped)
	drop := verdict
	drop.EventType = flow.EventDrop
	p.out = append(p.out, verdict, drop)
}

// leave is the way of a pod's packets to the world, or to a node, and of the answers.
func (p *path) leave() {
	n := p.from.node
	if !p.egress.IsZero() {
		p.opens = append(p.opens, p.verdict(n, flow.Egress, flow.Forwarded))
	}
	p.depart(n, flow.ReasonNew, false)
	p.back = append(p.back, p.trace(n, flow.ToEndpoint, flow.ReasonReply, p.from.veth, true))
}

// depart is where packets of a pod leave their node: through the stack, whose masquerade nobody sees, or through the
// device, where BPF says how it translated them.
func (p *path) depart(n *node, reason flow.TraceReason, reply bool) {
	if !n.bpf {
		p.add(reply, p.trace(n, flow.ToStack, reason, flow.Name{}, reply))
		return
	}
	translated := p.trace(n, flow.ToNetwork, flow.ReasonUnknown, p.words.eth0, reply)
	if !reply {
		translated.SourceTranslatedIP = n.ip.of(p.v4)
	}
	p.add(reply, p.trace(n, flow.ToNetwork, reason, p.words.eth0, reply), translated)
}

func (p *path) add(reply bool, r ...flow.Record) {
	if reply {
		p.back = append(p.back, r...)
	} else {
		p.out = append(p.out, r...)
	}
}

// enter is the way of packets from the world to a pod, by a service's port on its own node.
func (p *path) enter() {
	n := p.to.node
	p.admit(n)
	p.out = append(p.out, p.trace(n, flow.ToEndpoint, flow.ReasonNew, p.to.veth, false))
	p.depart(n, flow.ReasonReply, true)
}

// probe is the way of packets from a node to a pod of its own, as a kubelet sends them.
func (p *path) probe() {
	n := p.to.node
	p.out = append(p.out, p.trace(n, flow.ToEndpoint, flow.ReasonNew, p.to.veth, false))
	p.back = append(p.back, p.trace(n, flow.ToStack, flow.ReasonReply, flow.Name{}, true))
}

// own is the way of a node's own packets to the world. Answers do not show, and with the chart's defaults nothing does.
func (p *path) own() {
	if n := p.from.node; n.bpf {
		p.out = append(p.out, p.trace(n, flow.ToNetwork, flow.ReasonNew, p.words.eth0, false))
	}
}

// cross is the way of packets from pod to pod.
func (p *path) cross() {
	if !p.egress.IsZero() {
		p.opens = append(p.opens, p.verdict(p.from.node, flow.Egress, flow.Forwarded))
	}
	p.admit(p.to.node)
	p.carry(false)
	p.carry(true)
	p.back = append(p.back, p.answer(flow.ToEndpoint))
}

func (p *path) admit(n *node) {
	if !p.ingress.IsZero() {
		p.opens = append(p.opens, p.verdict(n, flow.Ingress, flow.Forwarded))
	}
}

// carry brings packets to the other pod's node, through the tunnel unless it is the same node. Low aggregation shows the
// tunnel's own packets, too. The initiator's packets arrive, answers are told by answer.
func (p *path) carry(reply bool) {
	from, to, reason := p.from.node, p.to.node, flow.ReasonNew
	if reply {
		from, to, reason = to, from, flow.ReasonReply
	}
	if from != to {
		p.add(reply, p.trace(from, flow.ToOverlay, reason, p.words.vxlan, reply))
		if from.bpf {
			outer := p.trace(from, flow.ToNetwork, flow.ReasonUnknown, p.words.eth0, reply)
			outer.TunnelProtocol, outer.TunnelSourceIP, outer.TunnelDestinationIP = flow.VXLAN, from.ip.v4, to.ip.v4
			p.add(reply, p.trace(from, flow.ToOverlay, flow.ReasonUnknown, p.words.vxlan, reply), outer)
		}
	}
	if !reply {
		p.add(reply, p.trace(to, flow.ToEndpoint, reason, p.to.veth, reply))
	}
}

// answer is an answer that reaches the initiator. Without a load-balancer in the sockets it comes from the server's address
// with the service's port, and tells the service's address.
func (p *path) answer(point flow.ObservationPoint) flow.Record {
	r := p.trace(p.from.node, point, flow.ReasonReply, p.from.veth, true)
	if p.service.IsValid() && !p.from.node.bpf && point == flow.ToEndpoint {
		r.SourceTranslatedIP, r.Source.Port = p.service.Addr(), p.service.Port()
	}
	return r
}

// ask is the way of DNS through Cilium's proxy on the initiator's node, which asks in the pod's name. It says what was
// asked and answered.
func (p *path) ask(port uint16, question, answer flow.DNS, latency uint64) {
	n := p.from.node
	first := p.trace(n, flow.ToProxy, flow.ReasonNew, flow.Name{}, false)
	first.ProxyPort = port
	p.opens = append(p.opens, p.verdict(n, flow.Egress, flow.Redirected))
	request, response := p.event(n, false), p.event(n, true)
	request.EventType, request.L7Type, request.DNS = flow.EventL7, flow.L7Request, question
	response.EventType, response.L7Type, response.DNS, response.L7LatencyNs = flow.EventL7, flow.L7Response, answer, latency
	p.out = append(p.out, first, request)
	asked := len(p.out)
	p.carry(false)
	if p.from.node != p.to.node { // the proxy is a program on the node, whose packets into the tunnel no one tracks
		untracked := &p.out[asked]
		untracked.TraceReason, untracked.IsReply, untracked.TrafficDirection = flow.ReasonUnknown, flow.Unknown, flow.DirectionUnknown
	}
	p.carry(true)
	p.back = append(p.back, p.answer(flow.ToProxy), response)
	if p.from.node == p.to.node {
		p.back = append(p.back, p.answer(flow.ToEndpoint))
	}
}
