package sinktest

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"sextant/collector/flow"
)

// batch returns so many rows of each kind, which all differ: flows, connections, gaps, pulls, items, beats, charges and
// buckets, in this order.
func (s *subject) batch(numbers ...int) *flow.Batch {
	var of [8]int
	copy(of[:], numbers)
	b := &flow.Batch{}
	for range of[0] {
		*b.Next() = s.record()
	}
	for range of[1] {
		b.Connections = append(b.Connections, s.connection())
	}
	for range of[2] {
		b.Gaps = append(b.Gaps, s.gap())
	}
	for range of[3] {
		b.Pulls = append(b.Pulls, s.pull())
	}
	for range of[4] {
		b.Items = append(b.Items, s.item())
	}
	for range of[5] {
		b.Beats = append(b.Beats, s.beat())
	}
	for range of[6] {
		b.Charges = append(b.Charges, s.charge())
	}
	for range of[7] {
		b.Buckets = append(b.Buckets, s.bucket())
	}
	return b
}

// next returns a time and an identifier that no other row has.
func (s *subject) next() (time.Time, flow.UUID) {
	s.row++
	return s.begin.Add(time.Duration(s.row) * time.Millisecond), flow.UUID{byte(s.row >> 16), byte(s.row >> 8), byte(s.row), 15: 1}
}

func (s *subject) record() flow.Record {
	at, id := s.next()
	r := flow.Record{
		Time: at, UUID: id, Node: s.names.Name(fmt.Sprintf("node-%d", s.row%3)), Cluster: s.names.Name("default"),
		EventType: flow.EventTrace, ObservationPoint: flow.ToNetwork, Verdict: flow.Forwarded, AggregatedFlows: 1,
		Family: flow.FamilyIPv4, Protocol: flow.TCP, TCPFlags: flow.SYN,
		Source:      flow.End{IP: netip.AddrFrom4([4]byte{10, 0, byte(s.row >> 8), byte(s.row)}), Port: uint16(s.row)},
		Destination: flow.End{IP: netip.MustParseAddr("192.0.2.1"), Port: 443},
	}
	if s.row%2 == 0 {
		r.Family, r.Source.IP, r.Destination.IP = flow.FamilyIPv6, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("64:ff9b::c000:201")
		r.EmbeddedIPv4, r.Class, r.ClassEvidence = netip.MustParseAddr("192.0.2.1"), flow.NAT64, flow.Inferred
		r.DNS.Answers = []netip.Addr{r.Destination.IP, r.EmbeddedIPv4}
	}
	return r
}

func (s *subject) connection() flow.Connection {
	r := s.record()
	return flow.Connection{
		ID: r.UUID, First: r.Time, Last: r.Time.Add(time.Second), Node: r.Node, Cluster: r.Cluster, Flows: 4,
		Family: r.Family, Protocol: r.Protocol, Source: r.Source, Destination: r.Destination, Direction: flow.EgressDirection,
		EmbeddedIPv4: r.EmbeddedIPv4, Class: r.Class, ClassEvidence: r.ClassEvidence, Outcome: flow.Answered,
	}
}

func (s *subject) gap() flow.Gap {
	from, _ := s.next()
	return flow.Gap{
		Node: s.names.Name("node-0"), Cluster: s.names.Name("default"), Cause: flow.GapLostRing, From: from, To: from.Add(time.Second),
		Count: flow.Count{N: uint64(s.row), Known: s.row%2 == 0}, Detail: s.names.Name("a test lost them"),
	}
}

func (s *subject) pull() flow.Pull {
	at, id := s.next()
	return flow.Pull{
		Time: at, ID: id, Cluster: s.names.Name("default"), Node: s.names.Name(fmt.Sprintf("node-%d", s.row%3)),
		Registry: s.names.Name("registry.example"), Repository: s.names.Name(fmt.Sprintf("shop/web-%d", s.row)), Tag: s.names.Name("1.27"),
		Namespace: s.names.Name("shop"), Pod: s.names.Name(fmt.Sprintf("web-%d", s.row)), Result: flow.PullResult(s.row % 8), Count: 1,
		DurationMs: flow.Count{N: uint64(s.row), Known: true}, Bytes: flow.Count{N: 1 << 20, Known: s.row%2 == 0},
	}
}

// item returns a row of the one snapshot.
func (s *subject) item() flow.Item {
	s.row++
	return flow.Item{
		Time: s.begin, Cluster: s.names.Name("default"), Kind: flow.ItemService, Family: flow.Family(1 + s.row%2),
		Namespace: s.names.Name("shop"), Name: s.names.Name(fmt.Sprintf("web-%d", s.row)), Has: flow.Yes,
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		Total:     flow.Count{N: uint64(s.row), Known: true}, Used: flow.Count{N: 1, Known: s.row%2 == 0},
		Findings: s.names.Names([]flow.Name{s.names.Name("no_endpoints")}),
	}
}

func (s *subject) beat() flow.Beat {
	from, _ := s.next()
	return flow.Beat{
		Node: s.names.Name(fmt.Sprintf("node-%d", s.row)), Cluster: s.names.Name("default"), From: from, To: from.Add(time.Second),
		Flows: flow.Count{N: uint64(s.row), Known: s.row%2 == 0},
	}
}

func (s *subject) charge() flow.Charge {
	at, id := s.next()
	return flow.Charge{
		Time: at, ID: id, Cluster: s.names.Name("default"), Node: s.names.Name(fmt.Sprintf("node-%d", s.row%3)),
		Service: s.names.Name("registry.example"), Bucket: s.names.Name("2001:db8:a::/64"), Family: flow.FamilyIPv6,
		Evidence: flow.BucketEvidence(s.row % 6), Measure: flow.Measure(s.row % 4), Side: flow.SidePod, Uses: 1, Limited: s.row%5 == 0,
		SourceIP: netip.MustParseAddr("fd00::1"), EgressIP: netip.MustParseAddr("2001:db8:a::1"), Namespace: s.names.Name("shop"),
		Workload: s.names.Name("web"), Pod: s.names.Name(fmt.Sprintf("web-%d", s.row)), Name: s.names.Name("registry.example"),
	}
}

func (s *subject) bucket() flow.Bucket {
	at, _ := s.next()
	return flow.Bucket{
		Time: at, Cluster: s.names.Name("default"), Service: s.names.Name("registry.example"), Bucket: s.names.Name("2001:db8:a::/64"),
		Family: flow.FamilyIPv6, Evidence: flow.BucketInferred, Used: uint32(s.row), Limit: flow.Count{N: 100, Known: s.row%2 == 0},
		WindowSeconds: 21600, UsedEvidence: flow.UsedCounted, Unseen: flow.UnseenNode, Nodes: 2,
		TopWorkloads: s.names.Names([]flow.Name{s.names.Name("shop/web=7")}),
	}
}

// clone returns a batch of the same rows elsewhere.
func clone(b *flow.Batch) *flow.Batch {
	return &flow.Batch{
		Records: slices.Clone(b.Records), Connections: slices.Clone(b.Connections), Gaps: slices.Clone(b.Gaps),
		Pulls: slices.Clone(b.Pulls), Items: slices.Clone(b.Items), Beats: slices.Clone(b.Beats),
		Charges: slices.Clone(b.Charges), Buckets: slices.Clone(b.Buckets),
	}
}

func same(a, b *flow.Batch) bool {
	return reflect.DeepEqual(a.Records, b.Records) && reflect.DeepEqual(a.Connections, b.Connections) && reflect.DeepEqual(a.Gaps, b.Gaps) &&
		reflect.DeepEqual(a.Pulls, b.Pulls) && reflect.DeepEqual(a.Items, b.Items) && reflect.DeepEqual(a.Beats, b.Beats) &&
		reflect.DeepEqual(a.Charges, b.Charges) && reflect.DeepEqual(a.Buckets, b.Buckets)
}
