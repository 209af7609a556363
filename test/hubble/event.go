package hubbletest

import (
	"net/netip"

	"github.com/google/uuid"

	"github.com/cilium/cilium/pkg/hubble/observer/types"
	"github.com/cilium/cilium/pkg/hubble/testutils"
	"github.com/cilium/cilium/pkg/monitor"
	"github.com/cilium/cilium/pkg/monitor/api"
)

// An Event is something the agent's monitor hears of. UUID, Timestamp and NodeName
// may be set before it is sent; see Send for what they are otherwise.
type Event = types.MonitorEvent

// Trace returns the event of a packet that passed an observation point.
// The caller fills in what matters (ObsPoint api.TraceTo…, Reason monitor.TraceReason…,
// Source, SrcLabel, DstLabel, Ifindex); Type, Version, Flags and OrigIP follow from
// the packet. Mind that Reason 0 is "new connection", not "unknown".
func Trace(n monitor.TraceNotify, p Packet) *Event {
	n.Type, n.Version, n.OrigIP = api.MessageTypeTrace, monitor.TraceNotifyVersion2, p.origIP()
	if p.ipv6 {
		n.Flags |= monitor.TraceNotifyFlagIsIPv6
	}
	return Perf(testutils.MustCreateL3L4Payload(n, p.layers...))
}

// Drop returns the event of a packet that the datapath dropped. SubType is the
// reason (130 and up, flow.DropReason).
func Drop(n monitor.DropNotify, p Packet) *Event {
	n.Type, n.Version = api.MessageTypeDrop, monitor.DropNotifyVersion3
	if p.ipv6 {
		n.Flags |= monitor.DropNotifyFlagIsIPv6
	}
	return Perf(testutils.MustCreateL3L4Payload(n, p.layers...))
}

// PolicyVerdict returns the event of a policy decision. Flags hold the direction
// (api.PolicyIngress or api.PolicyEgress), Verdict is 0 for allowed, negative for a
// drop reason, positive for a proxy port.
func PolicyVerdict(n monitor.PolicyVerdictNotify, p Packet) *Event {
	n.Type = api.MessageTypePolicyVerdict
	if p.ipv6 {
		n.Flags |= monitor.PolicyVerdictNotifyFlagIsIPv6
	}
	return Perf(testutils.MustCreateL3L4Payload(n, p.layers...))
}

// Perf returns an event of raw datapath bytes.
func Perf(data []byte) *Event { return &Event{Payload: &types.PerfEvent{Data: data}} }

// Lost returns the event that n events were lost before they reached the ring, at
// types.LostEventSourcePerfRingBuffer or LostEventSourceEventsQueue.
// LostEventSourceHubbleRingBuffer is possible, but an agent never writes it: losses
// in the ring are each stream's own. The observer counts such an event as one loss,
// whatever n says, and looks for the place of since no further back than it.
func Lost(source int, n uint64) *Event {
	return &Event{Payload: &types.LostEvent{Source: source, NumLostEvents: n}}
}

// Agent returns an event about the agent itself (api.StartMessage and its like).
// GetFlows never shows these.
func Agent(m api.AgentNotifyMessage) *Event {
	return &Event{Payload: &types.AgentEvent{Type: api.MessageTypeAgent, Message: m}}
}

// ID returns the i-th of a fixed row of uuids, for events that must have the same
// one in every run.
func ID(i int) (id uuid.UUID) {
	for b := range 8 {
		id[15-b] = byte(i >> (8 * b))
	}
	id[6], id[8] = 0x40, 0x80
	return id
}

// Flow returns the first packet of the i-th connection to one and the same IPv6
// server: a SYN from Source(i) at TO_NETWORK.
func Flow(i int) *Event {
	return Trace(monitor.TraceNotify{ObsPoint: api.TraceToNetwork, Reason: monitor.TraceReasonPolicy},
		TCP(Source(i).String(), "[2001:db8:ffff::10]:443", "S"))
}

// Source returns the client of Flow(i), another for each i ≥ 0.
func Source(i int) netip.AddrPort {
	const perHost = 50000
	host := i / perHost
	ip := netip.MustParseAddr("fd10:201:0:1::").As16()
	ip[12], ip[13], ip[14], ip[15] = byte(host>>24), byte(host>>16), byte(host>>8), byte(host)
	return netip.AddrPortFrom(netip.AddrFrom16(ip), uint16(10000+i%perHost))
}
