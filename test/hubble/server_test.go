package hubbletest_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/cilium/cilium/pkg/hubble/container"
	"github.com/cilium/cilium/pkg/hubble/observer/types"
	monitor "github.com/cilium/cilium/pkg/monitor/api"
	hubbletest "sextant/test/hubble"
)

func TestServerStatus(t *testing.T) {
	agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity15})
	conn := dial(t, agent.ServeTCP(""), plain)

	agent.Send(run(0, 40)...)
	agent.Flush()
	got := serverStatus(t, conn)
	if got.GetSeenFlows() != 40 || got.GetMaxFlows() != 15 || got.GetNumFlows() != 15 || got.GetUptimeNs() == 0 {
		t.Errorf("got %v, want 40 flows seen and 15 of 15 events kept", got)
	}
	if later := serverStatus(t, conn); later.GetUptimeNs() <= got.GetUptimeNs() {
		t.Errorf("uptime went from %d to %d", got.GetUptimeNs(), later.GetUptimeNs())
	}
}

func TestHealthAndVersion(t *testing.T) {
	conn := dial(t, hubbletest.New(t, hubbletest.Options{}).ServeUnix(""), plain)
	var header metadata.MD
	_, err := healthpb.NewHealthClient(conn).Check(t.Context(),
		&healthpb.HealthCheckRequest{Service: observerpb.Observer_ServiceDesc.ServiceName}, grpc.Header(&header))
	// The agent answers for the name "hubble.server.Observer", which is not the service's own.
	wantCode(t, err, codes.NotFound)
	got, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "hubble.server.Observer"}, grpc.Header(&header))
	if err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: got %v, %v", got, err)
	}
	if len(header.Get("hubble-server-version")) != 1 {
		t.Errorf("got header %v", header)
	}
}

func TestNewestEventWaitsForTheNext(t *testing.T) {
	agent := hubbletest.New(t, hubbletest.Options{})
	conn := dial(t, agent.ServeUnix(""), plain)
	agent.Send(run(0, 3)...)

	stream := follow(t, conn, time.Time{})
	stream.flows(2)
	if got := all(t, conn, &observerpb.GetFlowsRequest{Number: 50}); len(got) != 2 {
		t.Errorf("one-shot query: got %d flows of 3, want 2", len(got))
	}
	if got := stream.next(quiet); got != nil {
		t.Errorf("got %v before the next event", got)
	}
	agent.Flush()
	stream.flows(1)
}

// A stream opened on an empty ring begins one ring too early: it is silent until the
// ring has filled once, and then counts two losses that were none.
func TestFollowOfAnEmptyRing(t *testing.T) {
	const interval = time.Millisecond
	agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity15, LostInterval: interval})
	conn := dial(t, agent.ServeUnix(""), plain)
	stream := follow(t, conn, time.Time{})
	if got := stream.next(quiet); got != nil {
		t.Fatalf("got %v from an empty ring", got)
	}
	agent.Send(run(0, 14)...)
	if got := stream.next(quiet); got != nil {
		t.Fatalf("got %v before the ring was full", got)
	}
	agent.Send(run(14, 16)...)
	lost := stream.wantFlows(0, 15)
	time.Sleep(2 * interval)
	agent.Send(run(16, 19)...)
	if lost += stream.wantFlows(15, 18); lost != 2 {
		t.Errorf("got %d events lost, want 2", lost)
	}
}

// How many events a ring must hold so that a stream does not begin too early.
func TestFollowOfAnAlmostEmptyRing(t *testing.T) {
	begin := timestamppb.New(time.Time{})
	for _, tt := range []struct {
		name  string
		since *timestamppb.Timestamp
		ring  int
		mute  bool
	}{
		{"since, no event", begin, 0, true},
		{"since, one event", begin, 1, false},
		{"from now, one event", nil, 1, true},
		{"from now, two events", nil, 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			agent := hubbletest.New(t, hubbletest.Options{})
			agent.Send(run(0, tt.ring)...)
			stream := open(t, dial(t, agent.ServeUnix(""), plain), &observerpb.GetFlowsRequest{Follow: true, Since: tt.since})
			stream.start()
			got := stream.next(quiet)
			agent.Send(run(tt.ring, 10)...)
			if got == nil {
				got = stream.next(quiet)
			}
			if mute := got == nil; mute != tt.mute {
				t.Errorf("mute: got %t, want %t", mute, tt.mute)
			}
		})
	}
}

func TestLostEvents(t *testing.T) {
	const interval = time.Millisecond
	agent := hubbletest.New(t, hubbletest.Options{Node: "lab/node-7", LostInterval: interval})
	conn := dial(t, agent.ServeUnix(""), plain)
	agent.Send(run(0, 2)...)
	stream := follow(t, conn, time.Time{})
	stream.flows(1)

	agent.Send(
		hubbletest.Lost(types.LostEventSourcePerfRingBuffer, 3),
		hubbletest.Lost(types.LostEventSourceEventsQueue, 400),
		hubbletest.Lost(types.LostEventSourceUnspec, 5),
		hubbletest.Lost(types.LostEventSourceHubbleRingBuffer, 6),
	)
	agent.Flush()
	stream.flows(1)
	type lost struct {
		Source flowpb.LostEventSource
		N      uint64
		Node   string
	}
	want := []lost{
		{flowpb.LostEventSource_PERF_EVENT_RING_BUFFER, 3, "lab/node-7"},
		{flowpb.LostEventSource_OBSERVER_EVENTS_QUEUE, 400, "lab/node-7"},
		{flowpb.LostEventSource_UNKNOWN_LOST_EVENT_SOURCE, 5, "lab/node-7"},
		{flowpb.LostEventSource_HUBBLE_RING_BUFFER, 1, "lab/node-7"},
	}
	var got []lost
	for range want {
		resp := stream.next(patience)
		got = append(got, lost{resp.GetLostEvents().GetSource(), resp.GetLostEvents().GetNumEventsLost(), resp.GetNodeName()})
		// The last is told with an event after the interval only.
		time.Sleep(2 * interval)
		agent.Flush()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestAgentEvents(t *testing.T) {
	agent := hubbletest.New(t, hubbletest.Options{Node: "lab/node-7"})
	conn := dial(t, agent.ServeUnix(""), plain)
	agent.Send(hubbletest.Agent(monitor.PolicyUpdateMessage(3, nil, 42)), hubbletest.Flow(0))
	agent.Flush()

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := observerpb.NewObserverClient(conn).GetAgentEvents(ctx, &observerpb.GetAgentEventsRequest{First: true, Number: 9})
	if err != nil {
		t.Fatal(err)
	}
	got, err := stream.Recv()
	if err != nil || got.GetAgentEvent().GetPolicyUpdate().GetRevision() != 42 || got.GetNodeName() != "lab/node-7" {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("got %v, want end of events", err)
	}
	if got := all(t, conn, &observerpb.GetFlowsRequest{First: true, Number: 9}); len(got) != 1 {
		t.Errorf("got %d flows, want 1", len(got))
	}
}

// A network outage leaves the ring alone.
func TestResumeAfterOutage(t *testing.T) {
	agent := hubbletest.New(t, hubbletest.Options{})
	for name, l := range map[string]*hubbletest.Listener{"unix": agent.ServeUnix(""), "tcp": agent.ServeTCP("")} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, l, plain)
			begin := time.Now()
			agent.Send(run(0, 10)...)
			agent.Flush()
			stream := follow(t, conn, begin)
			before := stream.flows(10)
			l.Kill()
			wantCode(t, stream.end(), codes.Unavailable)

			agent.Send(run(10, 20)...)
			agent.Flush()
			l.Start()
			since := before[5].GetTime().AsTime()
			after := follow(t, conn, since).flows(15)
			if diff := cmp.Diff(uuids(before[5:]), uuids(after[:5])); diff != "" {
				t.Errorf("overlap: -before +after\n%s", diff)
			}
			if got := serverStatus(t, conn).GetSeenFlows(); got < 20 {
				t.Errorf("got %d flows seen, want those before the outage too", got)
			}
		})
	}
}

// An agent that restarts has forgotten everything and gives new uuids.
func TestRestart(t *testing.T) {
	agent := hubbletest.New(t, hubbletest.Options{})
	l := agent.ServeUnix("")
	conn := dial(t, l, plain)
	begin := time.Now()
	agent.Send(run(0, 10)...)
	agent.Flush()
	stream := follow(t, conn, begin)
	before := stream.flows(10)
	up := serverStatus(t, conn).GetUptimeNs()

	agent.Kill()
	wantCode(t, stream.end(), codes.Unavailable)
	agent.Send(run(10, 20)...)
	agent.Start()
	agent.Send(run(20, 25)...)
	agent.Flush()

	status := serverStatus(t, conn)
	if status.GetSeenFlows() != 5 || status.GetUptimeNs() >= up+uint64(time.Since(begin)) {
		t.Errorf("got %v, want 5 flows seen and a new uptime", status)
	}
	stream = follow(t, conn, begin)
	stream.wantFlows(20, 25)
	agent.Restart()
	wantCode(t, stream.end(), codes.Unavailable)
	agent.Send(run(0, 10)...)
	agent.Flush()
	for i, f := range follow(t, conn, begin).flows(10) {
		if f.GetUuid() == before[i].GetUuid() {
			t.Errorf("flow %d has its old uuid", i)
		}
	}
}

func TestStopEndsStreamsWithoutError(t *testing.T) {
	agent := hubbletest.New(t, hubbletest.Options{Peers: hubbletest.NewPeers(hubbletest.PeerOptions{})})
	l := agent.ServeUnix("")
	conn := dial(t, l, plain)
	agent.Send(run(0, 2)...)

	var feed sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	feed.Go(func() {
		for ctx.Err() == nil {
			agent.Send(run(2, 10)...)
		}
	})
	defer feed.Wait()
	defer cancel()

	for range 5 {
		stream, notes := follow(t, conn, time.Now()), notify(t, conn)
		stream.flows(1)
		l.Stop()
		if err := stream.end(); err != io.EOF {
			t.Errorf("flows: got %v, want end of stream", err)
		}
		if err := notes.end(); err != io.EOF {
			t.Errorf("peers: got %v, want end of stream", err)
		}
		l.Start()
	}
}

func TestHang(t *testing.T) {
	agent := hubbletest.New(t, hubbletest.Options{})
	l := agent.ServeTCP("")
	conn := dial(t, l, plain)
	agent.Send(run(0, 3)...)
	agent.Flush()
	stream := follow(t, conn, time.Time{})
	stream.flows(3)

	l.Hang()
	agent.Send(run(3, 6)...)
	agent.Flush()
	if got := stream.next(quiet); got != nil {
		t.Errorf("got %v through a dead network", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := observerpb.NewObserverClient(conn).ServerStatus(ctx, &observerpb.ServerStatusRequest{})
	wantCode(t, err, codes.DeadlineExceeded)
	l.Resume()
	stream.flows(3)
}

func TestSince(t *testing.T) {
	const interval = time.Millisecond
	agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity15, LostInterval: interval})
	conn := dial(t, agent.ServeUnix(""), plain)
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	for i := range 30 {
		e := hubbletest.Flow(i)
		e.Timestamp = at.Add(time.Duration(i) * time.Second)
		agent.Send(e)
	}
	agent.Flush()

	within := follow(t, conn, at.Add(20*time.Second))
	if lost := within.wantFlows(20, 30); lost != 0 {
		t.Errorf("since within the ring: got %d events lost", lost)
	}
	// Before the oldest event a stream begins one slot too early, and counts that one
	// as lost, however many are missing.
	before := follow(t, conn, at)
	lost := before.wantFlows(15, 30)
	time.Sleep(2 * interval)
	agent.Send(run(30, 33)...)
	lost += before.wantFlows(30, 32)
	if lost != 1 {
		t.Errorf("since before the ring: got %d events lost, want 1", lost)
	}
	if lost := within.wantFlows(30, 32); lost != 0 {
		t.Errorf("since within the ring: got %d events lost", lost)
	}
}
