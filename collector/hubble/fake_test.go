package hubble_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	peerpb "github.com/cilium/cilium/api/v1/peer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// fake is a Hubble server over real gRPC that does what a test tells it to. It holds a ring like an agent's, delivers
// from it, and fails at any point. Whether a real agent behaves so is for the tests against the real one.
type fake struct {
	observerpb.UnimplementedObserverServer
	peerpb.UnimplementedPeerServer

	t    testing.TB
	node string

	mu       sync.Mutex
	ring     []*observerpb.GetFlowsResponse // oldest first
	written  int                            // events that ever were in the ring
	size     int                            // of the ring
	changed  chan struct{}
	requests []*observerpb.GetFlowsRequest // that follow
	broken   chan struct{}                 // closed to end all streams
	brokenBy error
	failAt   int // end a stream after so many messages; 0: never
	refuse   error
	status   *observerpb.ServerStatusResponse // what to answer in place of the ring's numbers
	mute     bool                             // ServerStatus is unimplemented
	nodes    []*observerpb.Node               // of a relay
	noNodes  bool                             // GetNodes is unimplemented
	unsaid   int                              // flows counted as seen that no stream gets
	hidden   func(uuid string) bool           // flows that a filter of the request keeps back
	began    time.Time
	peers    []*peerpb.ChangeNotification
	peersCut chan struct{}

	server *grpc.Server
	addr   string
}

func newFake(t testing.TB, node string) *fake {
	f := &fake{t: t, node: node, size: 1000, changed: make(chan struct{}), broken: make(chan struct{}), began: time.Now(), peersCut: make(chan struct{})}
	t.Cleanup(f.stop)
	return f
}

// serve listens on an address of the loopback, a free port when it has none, or on a socket when it is a path.
func (f *fake) serve(addr string, creds credentials.TransportCredentials) *fake {
	f.t.Helper()
	network := "tcp"
	if filepath.IsAbs(addr) {
		network = "unix"
	}
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.addr = l.Addr().String()
	f.server = grpc.NewServer(grpc.Creds(creds))
	observerpb.RegisterObserverServer(f.server, f)
	peerpb.RegisterPeerServer(f.server, f)
	server := f.server
	go func() { _ = server.Serve(l) }()
	return f
}

// stop cuts all connections and listens no more.
func (f *fake) stop() {
	if f.server != nil {
		f.server.Stop()
		f.server = nil
	}
}

// again listens where it did before.
func (f *fake) again() {
	f.t.Helper()
	f.stop()
	f.serve(f.addr, nil)
}

func (f *fake) locked(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// cut ends all streams that are open.
func (f *fake) cut(err error) {
	f.locked(func() {
		f.brokenBy = err
		close(f.broken)
		f.broken = make(chan struct{})
	})
}

// send writes messages into the ring.
func (f *fake) send(messages ...*observerpb.GetFlowsResponse) {
	f.locked(func() {
		f.ring = append(f.ring, messages...)
		f.written += len(messages)
		if over := len(f.ring) - f.size; over > 0 {
			f.ring = slices.Clone(f.ring[over:])
		}
	})
}

// flow returns a flow of the fake's node, now.
func (f *fake) flow(i int) *observerpb.GetFlowsResponse {
	return message(f.node, time.Now(), &observerpb.GetFlowsResponse_Flow{Flow: &flowpb.Flow{
		Uuid: id(i), Time: timestamppb.Now(), NodeName: f.node, Verdict: flowpb.Verdict_FORWARDED,
		IP: &flowpb.IP{Source: "2001:db8::1", Destination: "2001:db8::2", IpVersion: flowpb.IPVersion_IPv6},
		L4: &flowpb.Layer4{Protocol: &flowpb.Layer4_TCP{TCP: &flowpb.TCP{SourcePort: 40000, DestinationPort: 443}}},
	}})
}

func (f *fake) flows(from, to int) []*observerpb.GetFlowsResponse {
	var list []*observerpb.GetFlowsResponse
	for i := from; i < to; i++ {
		list = append(list, f.flow(i))
	}
	return list
}

// at gives a flow another time.
func at(m *observerpb.GetFlowsResponse, t time.Time) *observerpb.GetFlowsResponse {
	m.Time, m.GetFlow().Time = timestamppb.New(t), timestamppb.New(t)
	return m
}

func message(node string, t time.Time, what any) *observerpb.GetFlowsResponse {
	m := &observerpb.GetFlowsResponse{NodeName: node, Time: timestamppb.New(t)}
	switch what := what.(type) {
	case *observerpb.GetFlowsResponse_Flow:
		m.ResponseTypes = what
	case *observerpb.GetFlowsResponse_LostEvents:
		m.ResponseTypes = what
	case *observerpb.GetFlowsResponse_NodeStatus:
		m.ResponseTypes = what
	}
	return m
}

func lost(node string, source flowpb.LostEventSource, n uint64, first, last time.Time) *observerpb.GetFlowsResponse {
	return message(node, last, &observerpb.GetFlowsResponse_LostEvents{LostEvents: &flowpb.LostEvent{
		Source: source, NumEventsLost: n, First: timestamppb.New(first), Last: timestamppb.New(last),
	}})
}

func nodeStatus(state relaypb.NodeState, text string, nodes ...string) *observerpb.GetFlowsResponse {
	return message("relay", time.Now(), &observerpb.GetFlowsResponse_NodeStatus{NodeStatus: &relaypb.NodeStatusEvent{
		StateChange: state, NodeNames: nodes, Message: text,
	}})
}

// id returns the i-th of a row of uuids.
func id(i int) string {
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[8:], uint64(i))
	u[0] = 1
	return u.String()
}

func ids(from, to int) []string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, id(i))
	}
	return list
}

// GetFlows delivers from the ring. Unlike an agent it yields the newest event at once.
func (f *fake) GetFlows(req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[observerpb.GetFlowsResponse]) error {
	f.mu.Lock()
	if req.GetFollow() {
		f.requests = append(f.requests, proto.CloneOf(req))
	}
	if f.refuse != nil {
		defer f.mu.Unlock()
		return f.refuse
	}
	if req.GetFirst() && f.nodes != nil {
		defer f.mu.Unlock()
		return f.firsts(stream)
	}
	oldest := f.written - len(f.ring)
	next := oldest
	switch {
	case req.GetFirst():
	case req.GetSince() != nil:
		for next < f.written && f.ring[next-oldest].GetTime().AsTime().Before(req.GetSince().AsTime()) {
			next++
		}
	default:
		next = max(oldest, f.written-int(min(req.GetNumber(), 1<<20)))
	}
	broken, sent := f.broken, 0
	f.mu.Unlock()
	for {
		f.mu.Lock()
		changed := f.changed
		oldest := f.written - len(f.ring)
		var batch []*observerpb.GetFlowsResponse
		if next < oldest {
			next = oldest // the reader lost something, and the fake says nothing of it
		}
		batch = slices.Clone(f.ring[next-oldest:])
		failAt := f.failAt
		f.mu.Unlock()
		for _, m := range batch {
			if !req.GetFollow() && uint64(sent) == req.GetNumber() {
				return nil
			}
			if failAt > 0 && sent == failAt {
				return f.brokenBy
			}
			if req.GetFollow() && f.hidden != nil && f.hidden(m.GetFlow().GetUuid()) {
				next++
				continue
			}
			if since := req.GetSince(); since != nil && m.GetFlow() != nil && m.GetTime().AsTime().Before(since.AsTime()) {
				next++ // as an agent does, however late it comes
				continue
			}
			if err := stream.Send(m); err != nil {
				return err
			}
			sent++
			next++
		}
		if !req.GetFollow() {
			return nil
		}
		select {
		case <-changed:
		case <-broken:
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.brokenBy
		case <-stream.Context().Done():
			return nil
		}
	}
}

// firsts sends the first flow of each node, as Relay answers to --first 1.
func (f *fake) firsts(stream grpc.ServerStreamingServer[observerpb.GetFlowsResponse]) error {
	sent := map[string]bool{}
	for _, m := range f.ring {
		if m.GetFlow() == nil || sent[m.GetNodeName()] {
			continue
		}
		sent[m.GetNodeName()] = true
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) ServerStatus(context.Context, *observerpb.ServerStatusRequest) (*observerpb.ServerStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mute {
		return nil, status.Error(codes.Unimplemented, "no")
	}
	if f.status != nil {
		return f.status, nil
	}
	seen := f.unsaid
	for _, m := range f.ring {
		if m.GetFlow() == nil {
			seen-- // not a flow
		}
	}
	resp := &observerpb.ServerStatusResponse{
		NumFlows: uint64(len(f.ring)), MaxFlows: uint64(f.size), SeenFlows: uint64(seen + f.written),
		UptimeNs: uint64(time.Since(f.began)), Version: "fake",
	}
	if f.nodes != nil {
		resp.NumConnectedNodes = wrapperspb.UInt32(uint32(len(f.nodes)))
	}
	return resp, nil
}

func (f *fake) GetNodes(context.Context, *observerpb.GetNodesRequest) (*observerpb.GetNodesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.nodes == nil || f.noNodes {
		return nil, status.Error(codes.Unimplemented, "GetNodes not implemented")
	}
	resp := &observerpb.GetNodesResponse{}
	for _, n := range f.nodes {
		resp.Nodes = append(resp.Nodes, proto.CloneOf(n))
	}
	return resp, nil
}

// relays makes the fake a Relay with these nodes.
func (f *fake) relays(nodes ...*observerpb.Node) {
	f.locked(func() { f.nodes = append([]*observerpb.Node{}, nodes...) })
}

func relayNode(name string, uptime time.Duration, seen, max uint64) *observerpb.Node {
	return &observerpb.Node{Name: name, State: relaypb.NodeState_NODE_CONNECTED, UptimeNs: uint64(uptime), SeenFlows: seen, MaxFlows: max}
}

// Notify announces what announce told it to.
func (f *fake) Notify(_ *peerpb.NotifyRequest, stream grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
	for sent := 0; ; {
		f.mu.Lock()
		changed, cut := f.changed, f.peersCut
		news := f.peers[min(sent, len(f.peers)):]
		f.mu.Unlock()
		for _, n := range news {
			if err := stream.Send(n); err != nil {
				return err
			}
			sent++
		}
		select {
		case <-changed:
		case <-cut:
			return nil
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (f *fake) announce(changes ...*peerpb.ChangeNotification) {
	f.locked(func() { f.peers = append(f.peers, changes...) })
}

// cutPeers ends the Notify streams; the next ones announce these.
func (f *fake) cutPeers(changes ...*peerpb.ChangeNotification) {
	f.locked(func() {
		f.peers = changes
		close(f.peersCut)
		f.peersCut = make(chan struct{})
	})
}

func added(name, addr string) *peerpb.ChangeNotification {
	return &peerpb.ChangeNotification{Name: name, Address: addr, Type: peerpb.ChangeNotificationType_PEER_ADDED}
}

func deleted(name string) *peerpb.ChangeNotification {
	return &peerpb.ChangeNotification{Name: name, Type: peerpb.ChangeNotificationType_PEER_DELETED}
}

func (f *fake) request(i int) *observerpb.GetFlowsRequest {
	f.t.Helper()
	var req *observerpb.GetFlowsRequest
	wait(f.t, fmt.Sprintf("request %d", i), func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.requests) > i {
			req = f.requests[i]
		}
		return req != nil
	})
	return req
}

// socket returns a path for a socket, short enough for one.
func socket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hubble") //nolint:usetesting // the path of a test is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "hubble.sock")
}

// wait waits until it is true.
func wait(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
