package hubble

import (
	"encoding/hex"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sextant/collector/flow"
)

// maxText bounds every text taken from a flow, in bytes. DNS and Kubernetes names are at most 253 long.
const maxText = 1024

// protoDecoder decodes with the generated API. It allocates what protobuf allocates, and keeps none of it.
type protoDecoder struct {
	names *flow.Interner
	msg   observerpb.ExportEvent
	list  []flow.Name // scratch
}

// NewDecoder returns a decoder that interns in names.
func NewDecoder(names *flow.Interner) Decoder { return &protoDecoder{names: names} }

// Decode implements Decoder.
func (d *protoDecoder) Decode(raw []byte, r *flow.Record) (Event, error) {
	if err := proto.Unmarshal(raw, &d.msg); err != nil {
		return Event{}, err
	}
	ev := Event{Time: timeOf(d.msg.GetTime())}
	node := d.node(d.msg.GetNodeName())
	ev.Node, ev.Cluster = node.Node, node.Cluster
	switch t := d.msg.GetResponseTypes().(type) {
	case *observerpb.ExportEvent_Flow:
		ev.Kind = KindFlow
		d.flow(t.Flow, r, &ev)
	case *observerpb.ExportEvent_LostEvents:
		ev.Kind = KindLost
		ev.Lost = Lost{
			Cause: lostCauses[t.LostEvents.GetSource()],
			Count: t.LostEvents.GetNumEventsLost(),
			First: timeOf(t.LostEvents.GetFirst()),
			Last:  timeOf(t.LostEvents.GetLast()),
		}
	case *observerpb.ExportEvent_NodeStatus:
		ev.Kind = KindStatus
		ev.Status = Status{State: nodeStates[t.NodeStatus.GetStateChange()], Message: t.NodeStatus.GetMessage()}
		for _, name := range t.NodeStatus.GetNodeNames() {
			ev.Status.Nodes = append(ev.Status.Nodes, d.node(name))
		}
	}
	return ev, nil
}

var lostCauses = map[flowpb.LostEventSource]flow.GapCause{
	flowpb.LostEventSource_PERF_EVENT_RING_BUFFER: flow.GapLostPerfRing,
	flowpb.LostEventSource_OBSERVER_EVENTS_QUEUE:  flow.GapLostQueue,
	flowpb.LostEventSource_HUBBLE_RING_BUFFER:     flow.GapLostRing,
}

var nodeStates = map[relaypb.NodeState]NodeState{
	relaypb.NodeState_NODE_CONNECTED:   NodeConnected,
	relaypb.NodeState_NODE_UNAVAILABLE: NodeUnavailable,
	relaypb.NodeState_NODE_GONE:        NodeGone,
	relaypb.NodeState_NODE_ERROR:       NodeError,
}

// node splits Cilium's node name. Cilium writes "cluster/node", and leaves the cluster out when it is "default"
// (pkg/node/types/nodename.go).
func (d *protoDecoder) node(name string) NodeName { return splitNode(d.names, name) }

func splitNode(names *flow.Interner, name string) NodeName {
	if name == "" {
		return NodeName{}
	}
	cluster, node, found := strings.Cut(clip(name), "/")
	if !found {
		cluster, node = "default", cluster
	}
	return NodeName{Node: names.Name(node), Cluster: names.Name(cluster)}
}

func (d *protoDecoder) flow(f *flowpb.Flow, r *flow.Record, ev *Event) {
	r.Time = timeOf(f.GetTime())
	if r.Time.IsZero() {
		r.Time = ev.Time
	}
	r.UUID = ev.uuid(f.GetUuid())
	r.Node, r.Cluster = ev.Node, ev.Cluster
	if name := f.GetNodeName(); name != "" {
		node := d.node(name)
		r.Node, r.Cluster = node.Node, node.Cluster
	}
	ev.Node, ev.Cluster, ev.Time = r.Node, r.Cluster, r.Time

	d.what(f, r)
	d.packet(f, r, ev)
	zone := zoneOf(f.GetNodeLabels())
	r.Source.Endpoint = d.endpoint(f.GetSource(), zone)
	r.Source.Service = d.service(f.GetSourceService())
	r.Source.Names = d.texts(f.GetSourceNames())
	r.Destination.Endpoint = d.endpoint(f.GetDestination(), zone)
	r.Destination.Service = d.service(f.GetDestinationService())
	r.Destination.Names = d.texts(f.GetDestinationNames())
	d.l7(f.GetL7(), r, ev)
	r.AllowedBy = d.policies(f.GetEgressAllowedBy(), f.GetIngressAllowedBy())
	r.DeniedBy = d.policies(f.GetEgressDeniedBy(), f.GetIngressDeniedBy())
	r.PolicyLog = d.texts(f.GetPolicyLog())

	r.AggregatedFlows = 1
	if a := f.GetAggregate(); a != nil {
		r.AggregatedFlows = max(1, a.GetIngressFlowCount()+a.GetEgressFlowCount()+a.GetUnknownDirectionFlowCount())
	}
}

// what fills in the kind of event and what the datapath said of it.
func (d *protoDecoder) what(f *flowpb.Flow, r *flow.Record) {
	r.EventType = eventType(f)
	r.ObservationPoint = observationPoint(f)
	r.TraceReason = within(f.GetTraceReason(), flow.ReasonEncryptOverlay)
	r.Verdict = within(f.GetVerdict(), flow.Translated)
	r.TrafficDirection = within(f.GetTrafficDirection(), flow.Egress)
	r.SocketPoint = within(f.GetSockXlatePoint(), flow.SocketPostReverse)
	if reply := f.GetIsReply(); reply != nil {
		r.IsReply = flow.No
		if reply.GetValue() {
			r.IsReply = flow.Yes
		}
	}
	code := f.GetDropReason() //nolint:staticcheck // the number is right where its description is wrong
	if code == 0 {
		code = uint32(f.GetDropReasonDesc())
	}
	r.DropCode = uint16(min(code, 1<<16-1))
	r.DropReason = d.dropReason(r.DropCode)
	r.Interface = d.text(f.GetInterface().GetName())
	r.ProxyPort = port(f.GetProxyPort())
}

// within maps a protobuf enum that our own repeats number for number; a number beyond the last is one of a newer agent
// and stays unknown.
func within[To ~uint8, From ~int32](v From, last To) To {
	if v < 0 || int64(v) > int64(last) {
		return 0
	}
	return To(v)
}

// Types of monitor events (pkg/monitor/api/types.go).
var eventTypes = map[int32]flow.EventType{
	1: flow.EventDrop, 2: flow.EventDebug, 3: flow.EventCapture, 4: flow.EventTrace, 5: flow.EventPolicyVerdict,
	7: flow.EventSock, 129: flow.EventL7,
}

func eventType(f *flowpb.Flow) flow.EventType {
	if n := f.GetEventType().GetType(); n != 0 {
		if t, ok := eventTypes[n]; ok {
			return t
		}
		return flow.EventOther
	}
	switch { // a field mask took event_type away, or the agent is very old
	case f.GetType() == flowpb.FlowType_L7:
		return flow.EventL7
	case f.GetType() == flowpb.FlowType_SOCK:
		return flow.EventSock
	case f.GetTraceObservationPoint() != flowpb.TraceObservationPoint_UNKNOWN_POINT:
		return flow.EventTrace
	}
	return flow.EventUnknown
}

var observationPoints = map[flowpb.TraceObservationPoint]flow.ObservationPoint{
	flowpb.TraceObservationPoint_TO_PROXY:      flow.ToProxy,
	flowpb.TraceObservationPoint_TO_HOST:       flow.ToHost,
	flowpb.TraceObservationPoint_TO_STACK:      flow.ToStack,
	flowpb.TraceObservationPoint_TO_OVERLAY:    flow.ToOverlay,
	flowpb.TraceObservationPoint_TO_ENDPOINT:   flow.ToEndpoint,
	flowpb.TraceObservationPoint_FROM_ENDPOINT: flow.FromEndpoint,
	flowpb.TraceObservationPoint_FROM_PROXY:    flow.FromProxy,
	flowpb.TraceObservationPoint_FROM_HOST:     flow.FromHost,
	flowpb.TraceObservationPoint_FROM_STACK:    flow.FromStack,
	flowpb.TraceObservationPoint_FROM_OVERLAY:  flow.FromOverlay,
	flowpb.TraceObservationPoint_FROM_NETWORK:  flow.FromNetwork,
	flowpb.TraceObservationPoint_TO_NETWORK:    flow.ToNetwork,
	flowpb.TraceObservationPoint_FROM_CRYPTO:   flow.FromCrypto,
	flowpb.TraceObservationPoint_TO_CRYPTO:     flow.ToCrypto,
}

func observationPoint(f *flowpb.Flow) flow.ObservationPoint {
	point := f.GetTraceObservationPoint()
	if t := f.GetEventType(); point == flowpb.TraceObservationPoint_UNKNOWN_POINT && t.GetType() == 4 {
		if t.GetSubType() == 0 { // the datapath's number 0 is TO_ENDPOINT
			return flow.ToEndpoint
		}
		point = flowpb.TraceObservationPoint(t.GetSubType())
	}
	return observationPoints[point]
}

// dropReason names a drop code. 161 is the datapath's "NAT 46/64 not enabled" (pkg/monitor/api/drop.go), which
// flow.proto names for something else.
func (d *protoDecoder) dropReason(code uint16) flow.Name {
	if code == 0 {
		return flow.Name{}
	}
	if code == 161 {
		return d.names.Name("NAT46X64_NOT_ENABLED")
	}
	if name, ok := flowpb.DropReason_name[int32(code)]; ok {
		return d.names.Name(name)
	}
	return d.names.Name("DROP_REASON_" + strconv.Itoa(int(code)))
}

// packet fills in addresses, ports and the tunnel around them.
func (d *protoDecoder) packet(f *flowpb.Flow, r *flow.Record, ev *Event) {
	ip := f.GetIP()
	r.Source.IP = ev.addr(ip.GetSource())
	r.Destination.IP = ev.addr(ip.GetDestination())
	r.SourceTranslatedIP = ev.addr(ip.GetSourceXlated())
	r.Family = family(ip.GetIpVersion(), r.Source.IP, r.Destination.IP)
	if ip.GetEncrypted() {
		r.Encrypted = flow.Yes
	}

	switch l4 := f.GetL4().GetProtocol().(type) {
	case *flowpb.Layer4_TCP:
		r.Protocol = flow.TCP
		r.Source.Port, r.Destination.Port = port(l4.TCP.GetSourcePort()), port(l4.TCP.GetDestinationPort())
		r.TCPFlags = tcpFlags(l4.TCP.GetFlags())
	case *flowpb.Layer4_UDP:
		r.Protocol = flow.UDP
		r.Source.Port, r.Destination.Port = port(l4.UDP.GetSourcePort()), port(l4.UDP.GetDestinationPort())
	case *flowpb.Layer4_SCTP:
		r.Protocol = flow.SCTP
		r.Source.Port, r.Destination.Port = port(l4.SCTP.GetSourcePort()), port(l4.SCTP.GetDestinationPort())
	case *flowpb.Layer4_ICMPv4:
		r.Protocol = flow.ICMP
		r.ICMPType, r.ICMPCode = uint8(l4.ICMPv4.GetType()), uint8(l4.ICMPv4.GetCode())
	case *flowpb.Layer4_ICMPv6:
		r.Protocol = flow.ICMPv6
		r.ICMPType, r.ICMPCode = uint8(l4.ICMPv6.GetType()), uint8(l4.ICMPv6.GetCode())
	case *flowpb.Layer4_VRRP:
		r.Protocol = flow.VRRP
	case *flowpb.Layer4_IGMP:
		r.Protocol = flow.IGMP
	}

	if t := f.GetTunnel(); t != nil {
		r.TunnelProtocol = flow.TunnelUnknown + within(t.GetProtocol(), flow.Geneve-flow.TunnelUnknown)
		r.TunnelSourceIP = ev.addr(t.GetIP().GetSource())
		r.TunnelDestinationIP = ev.addr(t.GetIP().GetDestination())
	}
}

// family is the packet's. Hubble prints an IPv4-mapped address as IPv4 though the packet is IPv6, so its version goes
// before the look of the addresses.
func family(version flowpb.IPVersion, addrs ...netip.Addr) flow.Family {
	switch version {
	case flowpb.IPVersion_IPv4:
		return flow.FamilyIPv4
	case flowpb.IPVersion_IPv6:
		return flow.FamilyIPv6
	}
	return flow.FamilyOf(addrs...)
}

func tcpFlags(f *flowpb.TCPFlags) flow.TCPFlags {
	var set flow.TCPFlags
	for _, b := range []struct {
		on  bool
		bit flow.TCPFlags
	}{
		{f.GetFIN(), flow.FIN},
		{f.GetSYN(), flow.SYN},
		{f.GetRST(), flow.RST},
		{f.GetPSH(), flow.PSH},
		{f.GetACK(), flow.ACK},
		{f.GetURG(), flow.URG},
		{f.GetECE(), flow.ECE},
		{f.GetCWR(), flow.CWR},
		{f.GetNS(), flow.NS},
	} {
		if b.on {
			set |= b.bit
		}
	}
	return set
}

func (d *protoDecoder) endpoint(ep *flowpb.Endpoint, zone string) flow.Ref[flow.Endpoint] {
	if ep == nil {
		return flow.Ref[flow.Endpoint]{}
	}
	e := flow.Endpoint{
		ID: ep.GetID(), Identity: ep.GetIdentity(),
		Cluster: d.text(ep.GetClusterName()), Namespace: d.text(ep.GetNamespace()), Pod: d.text(ep.GetPodName()),
		Labels: d.texts(ep.GetLabels()),
	}
	if w := ep.GetWorkloads(); len(w) > 0 {
		e.Workload, e.WorkloadKind = d.text(w[0].GetName()), d.text(w[0].GetKind())
	}
	if e.ID != 0 {
		e.Zone = d.text(zone)
	}
	return d.names.Endpoint(e)
}

// zoneOf finds the zone among the observing node's labels.
func zoneOf(labels []string) string {
	for _, l := range labels {
		if zone, ok := strings.CutPrefix(l, "topology.kubernetes.io/zone="); ok {
			return zone
		}
	}
	return ""
}

func (d *protoDecoder) service(s *flowpb.Service) flow.Name {
	if s.GetName() == "" {
		return flow.Name{}
	}
	return d.text(s.GetNamespace() + "/" + s.GetName())
}

func (d *protoDecoder) l7(l7 *flowpb.Layer7, r *flow.Record, ev *Event) {
	if l7 == nil {
		return
	}
	r.L7Type = within(l7.GetType(), flow.L7Sample)
	r.L7LatencyNs = l7.GetLatencyNs()
	if dns := l7.GetDns(); dns != nil {
		r.DNS = flow.DNS{
			Query: d.text(dns.GetQuery()), Types: d.texts(dns.GetQtypes()), RCode: uint16(dns.GetRcode()), TTL: dns.GetTtl(),
			CNAMEs: d.texts(dns.GetCnames()), Source: d.text(dns.GetObservationSource()),
		}
		for _, ip := range dns.GetIps() {
			if a := ev.addr(ip); a.IsValid() {
				r.DNS.Answers = append(r.DNS.Answers, a)
			}
		}
	}
	if http := l7.GetHttp(); http != nil {
		r.HTTP = flow.HTTP{
			Method: d.text(http.GetMethod()), URL: d.text(bareURL(http.GetUrl())), Protocol: d.text(http.GetProtocol()),
			Status: uint16(http.GetCode()),
		}
	}
}

// bareURL leaves out what may be secret: credentials, query and fragment.
func bareURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}

func (d *protoDecoder) policies(lists ...[]*flowpb.Policy) flow.Names {
	d.list = d.list[:0]
	for _, list := range lists {
		for _, p := range list {
			if p.GetName() != "" { // what allows where no policy applies has no name
				d.list = append(d.list, d.text(p.GetKind()+"/"+p.GetNamespace()+"/"+p.GetName()))
			}
		}
	}
	return d.names.Names(d.list)
}

func (d *protoDecoder) texts(list []string) flow.Names {
	d.list = d.list[:0]
	for _, s := range list {
		if s != "" { // policy_log holds empty strings
			d.list = append(d.list, d.text(s))
		}
	}
	return d.names.Names(d.list)
}

func (d *protoDecoder) text(s string) flow.Name { return d.names.Name(clip(s)) }

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// addr reads an address, unmaps it and strips its zone: L7 flows carry zones like "%0". Text that is no address is a
// flaw.
func (ev *Event) addr(text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		ev.Flaws++
		return netip.Addr{}
	}
	return a.WithZone("").Unmap()
}

func (ev *Event) uuid(text string) flow.UUID {
	var u flow.UUID
	if text == "" {
		return u
	}
	if plain := strings.ReplaceAll(text, "-", ""); len(text) == 36 && len(plain) == 32 {
		if _, err := hex.Decode(u[:], []byte(plain)); err == nil {
			return u
		}
	}
	ev.Flaws++
	return flow.UUID{}
}

func port(n uint32) uint16 {
	if n > 1<<16-1 {
		return 0
	}
	return uint16(n)
}

func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil || !t.IsValid() {
		return time.Time{}
	}
	return t.AsTime()
}
