package track_test

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"sextant/collector/flow"
	"sextant/collector/track"
)

// host is somebody in the little cluster of the tests: node n1 with pods web and cart, node n2 with pod db, and the world.
type host struct {
	node, pod, workload string
	identity, id        uint32
	v4, v6              string
}

var hosts = map[string]host{
	"web":    {"n1", "web-1", "web", 1000, 11, "10.0.1.1", "fd00:1::1"},
	"cart":   {"n1", "cart-1", "cart", 2000, 12, "10.0.1.2", "fd00:1::2"},
	"db":     {"n2", "db-0", "db", 3000, 13, "10.0.2.1", "fd00:2::1"},
	"n1":     {"n1", "", "", 1, 0, "172.16.0.1", "2001:db8:a::1"},
	"n2":     {"n2", "", "", 1, 0, "172.16.0.2", "2001:db8:a::2"},
	"lb":     {"", "", "", 10, 0, "10.0.1.254", "fd00:1::fe"}, // n1's router, as others know it
	"www":    {"", "", "", 10, 0, "192.0.2.1", "2001:db8:ffff::1"},
	"cdn":    {"", "", "", 10, 0, "192.0.2.2", "2001:db8:ffff::2"},
	"cdn2":   {"", "", "", 10, 0, "192.0.2.3", "2001:db8:ffff::3"},
	"client": {"", "", "", 10, 0, "192.0.2.9", "2001:db8:ffff::9"},
	"router": {"", "", "", 10, 0, "169.254.0.1", "fe80::1"},
	"ff02":   {"", "", "", 10, 0, "224.0.0.1", "ff02::1"},
}

var (
	midnight = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	points   = map[string]flow.ObservationPoint{
		"ENDPOINT": flow.ToEndpoint, "PROXY": flow.ToProxy, "STACK": flow.ToStack, "OVERLAY": flow.ToOverlay,
		"NETWORK": flow.ToNetwork, "HOST": flow.ToHost, "FROM_NETWORK": flow.FromNetwork, "FROM_ENDPOINT": flow.FromEndpoint,
		"FROM_OVERLAY": flow.FromOverlay,
	}
	reasons = map[string]struct {
		reason flow.TraceReason
		reply  flow.Tristate
	}{
		"NEW": {flow.ReasonNew, flow.No}, "EST": {flow.ReasonEstablished, flow.No}, "REPLY": {flow.ReasonReply, flow.Yes},
		"RELATED": {flow.ReasonRelated, flow.No}, "OLD": {flow.ReasonUnknown, flow.No}, "-": {},
	}
	flags = map[byte]flow.TCPFlags{'S': flow.SYN, '.': flow.ACK, 'F': flow.FIN, 'R': flow.RST, 'P': flow.PSH}
)

// rig reads flows written as lines:
//
//	SECOND NODE POINT REASON PROTOCOL[:FLAGS] SOURCE[6][:PORT] > DESTINATION[6][:PORT] [KEY=VALUE …]
//
// The 6 behind a name chooses its IPv6 address. DROP and VERDICT are points, too.
type rig struct {
	complainer
	names *flow.Interner
}

// complainer is a test, or one of rapid's.
type complainer interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func newRig(t complainer) *rig { return &rig{t, flow.NewInterner()} }

func (rig *rig) record(line string) flow.Record {
	rig.Helper()
	f := strings.Fields(line)
	if len(f) < 8 || f[6] != ">" {
		rig.Fatalf("not a flow: %q", line)
	}
	second, err := strconv.ParseFloat(f[0], 64)
	if err != nil {
		rig.Fatal(err)
	}
	r := flow.Record{
		Time: midnight.Add(time.Duration(second * 1e9)), UUID: uuid(line),
		Node: rig.names.Name(f[1]), Cluster: rig.names.Name("lab"), EventType: flow.EventTrace, Verdict: flow.Forwarded,
	}
	switch f[2] {
	case "DROP":
		r.EventType, r.Verdict, r.DropCode, r.DropReason = flow.EventDrop, flow.Dropped, 133, rig.names.Name("POLICY_DENIED")
	case "VERDICT":
		r.EventType = flow.EventPolicyVerdict
	case "L7":
		r.EventType = flow.EventL7
	case "SOCK":
		r.EventType = flow.EventSock
	case "DEBUG":
		r.EventType = flow.EventDebug
	default:
		r.ObservationPoint = points[f[2]]
	}
	r.TraceReason, r.IsReply = reasons[f[3]].reason, reasons[f[3]].reply
	protocol, detail, _ := strings.Cut(f[4], ":")
	switch protocol {
	case "tcp":
		r.Protocol = flow.TCP
		for _, c := range []byte(detail) {
			r.TCPFlags |= flags[c]
		}
	case "udp":
		r.Protocol = flow.UDP
	case "icmp":
		r.Protocol = flow.ICMP
	case "icmpv6":
		r.Protocol = flow.ICMPv6
	}
	if r.Protocol == flow.ICMP || r.Protocol == flow.ICMPv6 {
		n, _ := strconv.Atoi(detail)
		r.ICMPType = uint8(n)
	}
	r.Source, r.Destination = rig.end(f[1], f[5]), rig.end(f[1], f[7])
	if r.Family = flow.FamilyIPv4; r.Source.IP.Is6() {
		r.Family = flow.FamilyIPv6
	}
	for _, option := range f[8:] {
		rig.option(&r, option)
	}
	return r
}

func (rig *rig) option(r *flow.Record, option string) {
	key, value, _ := strings.Cut(option, "=")
	name := rig.names.Name(value)
	switch key {
	case "xlated":
		r.SourceTranslatedIP = rig.end("", value).IP
	case "name": // of the end that is not the pod asking
		if _, responder, _ := r.Ends(); responder != nil {
			responder.Name, responder.NameSource = name, flow.NameSourceDNS
		}
	case "service":
		_, responder, _ := r.Ends()
		responder.Service = name
	case "from": // another identity than the address has, and no more
		n, _ := strconv.Atoi(value)
		r.Source.Endpoint = rig.names.Endpoint(flow.Endpoint{Identity: uint32(n)})
	case "reason":
		r.DropReason = name
		r.DropCode = 1
	case "in":
		r.Interface = name
	case "way":
		r.TrafficDirection = map[string]flow.TrafficDirection{"in": flow.Ingress, "out": flow.Egress}[value]
	case "tunnel":
		r.TunnelProtocol = flow.VXLAN
	case "noise":
		r.Noise = flow.NoiseNDP
	case "class":
		switch value {
		case "nat66":
			r.Class, r.ClassEvidence, r.SourceNAT, r.SourceNATEvidence = flow.NAT66, flow.Inferred, flow.SourceNAT66, flow.Inferred
		case "native6":
			r.Class, r.ClassEvidence, r.SourceNAT, r.SourceNATEvidence = flow.Native6, flow.Inferred, flow.SourceNATNone, flow.Inferred
		case "nat64":
			r.Class, r.ClassEvidence = flow.NAT64, flow.Inferred
		case "observed":
			r.Class, r.ClassEvidence, r.SourceNAT, r.SourceNATEvidence = flow.NAT66, flow.Observed, flow.SourceNAT66, flow.Observed
		}
	case "again": // makes the line another event
	default:
		rig.Fatalf("no such option: %q", option)
	}
}

func (rig *rig) end(node, text string) flow.End {
	who, port, _ := strings.Cut(text, ":")
	who, six := strings.CutSuffix(who, "6")
	h, ok := hosts[who]
	if !ok {
		rig.Fatalf("who is %q?", text)
	}
	e := flow.End{IP: netip.MustParseAddr(h.v4)}
	if six {
		e.IP = netip.MustParseAddr(h.v6)
	}
	n, _ := strconv.Atoi(port)
	e.Port = uint16(n)
	ep := flow.Endpoint{Identity: h.identity}
	switch {
	case h.pod != "":
		ep.Namespace, ep.Pod = rig.names.Name("shop"), rig.names.Name(h.pod)
		if h.node == node {
			ep.ID, ep.Workload = h.id, rig.names.Name(h.workload)
		}
	case h.node != "" && h.node != node:
		ep.Identity = 6
	}
	e.Endpoint = rig.names.Endpoint(ep)
	return e
}

func uuid(text string) flow.UUID {
	sum := sha256.Sum256([]byte(text))
	return flow.UUID(sum[:16])
}

func (rig *rig) records(lines ...string) []flow.Record {
	rig.Helper()
	var out []flow.Record
	for _, line := range lines {
		out = append(out, rig.record(line))
	}
	return out
}

// run tracks records in batches of at most size and returns them with the connections.
func run(stage *track.Stage, size int, records []flow.Record) ([]flow.Record, []flow.Connection) {
	var seen []flow.Record
	var told []flow.Connection
	for chunk := range slices.Chunk(slices.Clone(records), size) {
		b := flow.Batch{Records: chunk}
		stage.Process(&b)
		seen, told = append(seen, b.Records...), append(told, b.Connections...)
	}
	var last flow.Batch
	stage.Flush(&last, true)
	return seen, append(told, last.Connections...)
}

// lines are connections as text, in an order of their own.
func lines(connections []flow.Connection) []string {
	var out []string
	for i := range connections {
		out = append(out, string(flow.AppendJSON(nil, "connection", flow.ConnectionFields, &connections[i])))
	}
	slices.Sort(out)
	return out
}

// brief says of a connection what the tables of the tests compare.
func brief(c *flow.Connection) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s:%d>%s:%d %s", c.Protocol, who(&c.Source), c.Source.Port, who(&c.Destination), c.Destination.Port, c.Outcome)
	for _, mark := range []struct {
		on   bool
		text string
	}{
		{true, c.View.String()},
		{c.Late, "late"},
		{!c.DropReason.IsZero(), c.DropReason.String()},
		{!c.Destination.Name.IsZero(), c.Destination.Name.String()},
		{!c.Destination.Service.IsZero(), c.Destination.Service.String()},
		{c.Class != flow.ClassUnknown, c.Class.String() + "/" + c.ClassEvidence.String()},
		{c.SourceNAT != flow.SourceNATUnknown, "source:" + c.SourceNAT.String() + "/" + c.SourceNATEvidence.String()},
		{c.EgressIP.IsValid(), "egress:" + at(c.EgressIP)},
		{c.ServiceNAT, "service_nat"},
		{c.FallenBack, fmt.Sprintf("fallen_back:%d", c.FallbackMs)},
		{c.FallbackOf != flow.UUID{}, fmt.Sprintf("fallback:%d", c.FallbackMs)},
		{c.AvoidableIPv4, "avoidable"},
	} {
		if mark.on {
			s.WriteString(" " + mark.text)
		}
	}
	return s.String()
}

func who(e *flow.End) string { return at(e.IP) }

func at(a netip.Addr) string {
	for name, h := range hosts {
		switch a.String() {
		case h.v4:
			return name
		case h.v6:
			return name + "6"
		}
	}
	return a.String()
}

func briefs(connections []flow.Connection) []string {
	sorted := slices.Clone(connections)
	slices.SortFunc(sorted, func(a, b flow.Connection) int {
		return cmp.Or(a.First.Compare(b.First), slices.Compare(a.ID[:], b.ID[:]))
	})
	var out []string
	for i := range sorted {
		out = append(out, brief(&sorted[i]))
	}
	return out
}

// marks are what the records were marked with.
func marks(records []flow.Record) []string {
	var out []string
	for i := range records {
		mark := records[i].Duplicate.String()
		if records[i].Counted {
			mark = strings.TrimSpace("counted " + mark)
		}
		out = append(out, mark)
	}
	return out
}
