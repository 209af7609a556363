package hubble_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	peerpb "github.com/cilium/cilium/api/v1/peer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

// look is a short look at a server.
func look(t *testing.T, server string, edit func(*hubble.Config)) (hubble.Sight, error) {
	t.Helper()
	cfg := hubble.Default()
	cfg.Server = server
	if edit != nil {
		edit(&cfg)
	}
	return hubble.Look(t.Context(), cfg, flow.NewInterner(), 300*time.Millisecond)
}

// sights compares what does not depend on the clock.
func sights(t *testing.T, want, got hubble.Sight) {
	t.Helper()
	clocks := cmpopts.IgnoreFields(hubble.Sample{}, "Oldest", "Newest", "Offset")
	if diff := cmp.Diff(want, got, clocks, cmpopts.IgnoreFields(hubble.NodeSight{}, "Uptime"), cmpopts.EquateErrors(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// dns is a flow of the DNS proxy, and translated one of a masqueraded packet that has a name.
func dns(f *fake, i int) *observerpb.GetFlowsResponse {
	m := f.flow(i)
	m.GetFlow().Type = flowpb.FlowType_L7
	m.GetFlow().EventType = &flowpb.CiliumEventType{Type: 129}
	m.GetFlow().L7 = &flowpb.Layer7{Type: flowpb.L7FlowType_RESPONSE, Record: &flowpb.Layer7_Dns{Dns: &flowpb.DNS{Query: "example.com."}}}
	return m
}

func translated(f *fake, i int) *observerpb.GetFlowsResponse {
	m := f.flow(i)
	m.GetFlow().EventType = &flowpb.CiliumEventType{Type: 4, SubType: 11}
	m.GetFlow().TraceObservationPoint = flowpb.TraceObservationPoint_TO_NETWORK
	m.GetFlow().IP.SourceXlated = "2001:db8:a::1"
	m.GetFlow().DestinationNames = []string{"example.com"}
	return m
}

func TestLookAtAnAgent(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.send(dns(server, 0), translated(server, 1),
		lost("lab/node-1", flowpb.LostEventSource_OBSERVER_EVENTS_QUEUE, 7, time.Now(), time.Now()),
		lost("lab/node-1", flowpb.LostEventSource_HUBBLE_RING_BUFFER, 9, time.Now(), time.Now()), translated(server, 2))
	server.status = &observerpb.ServerStatusResponse{NumFlows: 5, MaxFlows: 4095, SeenFlows: 800, UptimeNs: 1e9, FlowsRate: 12.5, Version: "cilium v1.20.2+gabc"}

	got, err := look(t, server.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	sights(t, hubble.Sight{Server: server.addr, Nodes: []hubble.NodeSight{{
		Node: "node-1", Cluster: "lab", Server: server.addr, Version: "cilium v1.20.2+gabc", Held: 5, Ring: 4095, Seen: 800, Rate: 12.5,
		Sample: hubble.Sample{
			Flows: 3, Events: map[flow.EventType]int{flow.EventL7: 1, flow.EventTrace: 2}, DNS: 1, Named: 2, Translated: 2,
			Lost: map[flow.GapCause]uint64{flow.GapLostQueue: 7}, // what the ring lost is about who reads
		},
	}}}, got)
	if s := got.Nodes[0].Sample; s.Offset > 0 || s.Offset < -time.Minute || s.Newest.Before(s.Oldest) {
		t.Errorf("offset %s, from %s to %s", s.Offset, s.Oldest, s.Newest)
	}
	if req := server.request(0); req.GetNumber() == 0 || len(req.GetBlacklist()) == 0 {
		t.Errorf("asked for %v, want a few flows without Hubble's own", req)
	}
}

// A stream on an empty ring is not harmless: the agent then counts losses that were none.
func TestLookAtAnEmptyRing(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve(socket(t), nil)
	got, err := look(t, "unix://"+server.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	sights(t, hubble.Sight{Server: "unix://" + server.addr, Socket: true, Nodes: []hubble.NodeSight{{Server: "unix://" + server.addr, Version: "fake", Ring: 1000}}}, got)
	server.mu.Lock()
	defer server.mu.Unlock()
	if len(server.requests) > 0 {
		t.Errorf("flows were asked for: %v", server.requests)
	}
}

func TestLookAtRelay(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/relay")
	up, down := relayNode("lab/node-1", time.Hour, 100, 50), relayNode("lab/node-2", 0, 0, 0)
	up.Version, up.NumFlows = "v1.20.2", 50
	down.State = relaypb.NodeState_NODE_UNAVAILABLE
	server.nodes = []*observerpb.Node{down, up, relayNode("lab/node-3", time.Hour, 100, 50)}
	server.serve("[::1]:0", nil)
	server.send(of(server, "lab/node-1", 0, time.Now().Add(time.Hour)), of(server, "lab/node-3", 1, time.Now()))

	got, err := look(t, server.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Nodes) != 3 || got.Nodes[1].Err == nil || !strings.Contains(got.Nodes[1].Err.Error(), "no connection") {
		t.Fatalf("nodes %+v", got.Nodes)
	}
	got.Nodes[1].Err = nil
	one := hubble.Sample{Flows: 1, Events: map[flow.EventType]int{flow.EventUnknown: 1}}
	sights(t, hubble.Sight{Server: server.addr, Relay: true, Version: "fake", Nodes: []hubble.NodeSight{
		{Node: "node-1", Cluster: "lab", Version: "v1.20.2", Held: 50, Ring: 50, Seen: 100, Sample: one},
		{Node: "node-2", Cluster: "lab"},
		{Node: "node-3", Cluster: "lab", Ring: 50, Seen: 100, Sample: one},
	}}, got)
	if ahead := got.Nodes[0].Sample.Offset; ahead < 59*time.Minute {
		t.Errorf("a clock that is an hour ahead is ahead by %s", ahead)
	}

	if got, err = look(t, server.addr, func(c *hubble.Config) { c.MaxNodes = 2 }); err != nil || len(got.Nodes) != 2 || got.More != 1 {
		t.Errorf("with two nodes at most: %d nodes and %d more, error %v", len(got.Nodes), got.More, err)
	}
	server.locked(func() { server.noNodes = true })
	if got, err = look(t, server.addr, nil); err != nil || len(got.Nodes) != 2 {
		t.Errorf("without GetNodes: %+v, error %v; want the nodes of the flows", got.Nodes, err)
	}
}

func TestLookAtPeers(t *testing.T) {
	t.Parallel()
	one, two := newFake(t, "lab/node-1").serve("[::1]:0", nil), newFake(t, "lab/node-2").serve("[::1]:0", nil)
	one.send(one.flows(0, 3)...)
	two.send(two.flows(3, 8)...)
	one.announce(added("lab/node-2", two.addr), added("lab/node-1", one.addr), added("lab/gone", one.addr), deleted("lab/gone"), added("lab/nowhere", nobody(t)), added("lab/mute", ""))

	got, err := look(t, "localhost:1", func(c *hubble.Config) { c.Peers = one.addr })
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, n := range got.Nodes {
		names = append(names, n.Node)
	}
	if diff := cmp.Diff([]string{"mute", "node-1", "node-2", "nowhere"}, names); diff != "" || !got.Peers || got.Server != one.addr {
		t.Fatalf("%+v\n%s", got, diff)
	}
	if got.Nodes[1].Sample.Flows != 3 || got.Nodes[2].Sample.Flows != 5 || got.Nodes[1].Err != nil || got.Nodes[2].Err != nil {
		t.Errorf("nodes %+v", got.Nodes)
	}
	for i, want := range map[int]string{0: "without an address", 3: "nothing listens there"} {
		if err := got.Nodes[i].Err; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v does not say %q", got.Nodes[i].Node, err, want)
		}
	}
	if got, err = look(t, "localhost:1", func(c *hubble.Config) { c.Peers, c.MaxNodes = one.addr, 2 }); err != nil || len(got.Nodes) != 2 || got.More != 2 {
		t.Errorf("with two nodes at most: %d and %d more, error %v", len(got.Nodes), got.More, err)
	}
	var silent []*peerpb.ChangeNotification // more than are asked at once, and none says a word
	for i := range 40 {
		silent = append(silent, added(fmt.Sprintf("lab/silent-%02d", i), mute(t)))
	}
	crowd := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	crowd.announce(silent...)
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	cfg := hubble.Default()
	cfg.Peers = crowd.addr
	got, err = hubble.Look(ctx, cfg, flow.NewInterner(), time.Second)
	late := 0
	for _, n := range got.Nodes {
		if n.Err != nil && strings.Contains(n.Err.Error(), "the time was up") {
			late++
		}
	}
	if err != nil || len(got.Nodes) != 40 || late != 8 {
		t.Errorf("a crowd of the silent: %d of %d nodes were not asked in time, error %v; want 8 of 40", late, len(got.Nodes), err)
	}

	nobodyNamed := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	nobodyNamed.peers = []*peerpb.ChangeNotification{deleted("lab/x")}
	if got, err = look(t, "localhost:1", func(c *hubble.Config) { c.Peers = nobodyNamed.addr }); err != nil || len(got.Nodes) != 0 {
		t.Errorf("a service that names nobody: %+v, error %v", got, err)
	}
}

// mute is an address at which somebody listens and says nothing.
func mute(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// What keeps us from looking is said in the words in which a client says why it does not follow.
func TestLookInVain(t *testing.T) {
	t.Parallel()
	hour := time.Now().Add(time.Hour)
	secure := newFake(t, "lab/node-1").serve("[::1]:0", newAuthority(t).server(hour, nil, "::1"))
	plain := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	for _, tt := range []struct {
		name, server string
		edit         func(*hubble.Config)
		want         string
	}{
		{"nobody", nobody(t), nil, "nothing listens there"},
		{"untrusted", secure.addr, func(c *hubble.Config) { c.TLS = true }, "hubble.tls_ca_cert_files"},
		{"TLS expected", secure.addr, nil, "hubble.tls to true"},
		{"TLS not spoken", plain.addr, func(c *hubble.Config) { c.TLS = true }, "does not speak TLS"},
		{"bad settings", "localhost", nil, "hubble.server: has no port"},
		{"peers nobody", "localhost:1", func(c *hubble.Config) { c.Peers = nobody(t) }, "nothing listens there"},
	} {
		_, err := look(t, tt.server, tt.edit)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v does not say %q", tt.name, err, tt.want)
		}
	}
	got, err := look(t, secure.addr, func(c *hubble.Config) { c.TLS, c.TLSAllowInsecure = true, true })
	if err != nil || !got.TLS || !got.Unverified {
		t.Errorf("without verification: %+v, error %v", got, err)
	}
}
