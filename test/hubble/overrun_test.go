package hubbletest_test

import (
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/cilium/cilium/pkg/hubble/container"
	hubbletest "sextant/test/hubble"
)

// burst is more than fits between the ring and a client that does not read: the
// stream's own queue (1,000 events) and gRPC's buffers on both sides.
const burst = 5000

// Of a stream that fell behind every event is either delivered or counted as lost.
func TestOverrun(t *testing.T) {
	agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity255, LostInterval: 10 * time.Millisecond})
	l := agent.ServeTCP("")
	conn := dial(t, l, plain)
	agent.Send(run(0, 2)...)
	stream := follow(t, conn, time.Time{})
	stream.flows(1)

	l.Hang()
	agent.Send(run(2, burst)...)
	l.Resume()

	// Losses are told only with a later event, and not more often than the interval.
	lost, flows := uint64(0), uint64(1)
	for lost+flows < burst {
		resp := stream.next(quiet)
		if resp == nil {
			agent.Flush()
		}
		if resp.GetFlow() != nil {
			flows++
		}
		lost += resp.GetLostEvents().GetNumEventsLost()
	}
	if lost == 0 || lost+flows != burst {
		t.Errorf("got %d flows and %d lost of %d", flows, lost, burst)
	}
}

// A reader that does not read is a reader that falls behind: no fault of the network needed.
func TestSlowReader(t *testing.T) {
	agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity15, LostInterval: time.Millisecond})
	// With a window given, gRPC does not enlarge it until the burst fits.
	conn := dial(t, agent.ServeTCP(""), plain, grpc.WithInitialWindowSize(1<<16), grpc.WithInitialConnWindowSize(1<<16))
	agent.Send(run(0, 1)...)
	agent.Flush()
	stream := open(t, conn, &observerpb.GetFlowsRequest{Follow: true, Since: timestamppb.New(time.Time{})})
	agent.Send(run(0, burst)...)
	stream.start()
	var lost uint64
	for lost == 0 {
		agent.Flush()
		lost += stream.next(10 * time.Millisecond).GetLostEvents().GetNumEventsLost()
	}
}

// A stream that goes quiet after an overrun never hears of it: losses are told when
// an event comes after the interval, not when the interval is over. The count of
// flows seen is the only witness until then.
func TestQuietAfterOverrun(t *testing.T) {
	const interval = 500 * time.Millisecond
	agent := hubbletest.New(t, hubbletest.Options{Ring: container.Capacity15, LostInterval: interval})
	l := agent.ServeTCP("")
	conn := dial(t, l, plain)
	agent.Send(run(0, 2)...)
	stream := follow(t, conn, time.Time{})
	stream.flows(1)

	l.Hang()
	agent.Send(run(2, burst)...)
	l.Resume()
	got := uint64(1)
	for {
		resp := stream.next(2 * interval)
		if resp == nil {
			break
		}
		if resp.GetFlow() == nil {
			t.Fatalf("got %v, want nothing but flows", resp)
		}
		got++
	}
	seen := serverStatus(t, conn).GetSeenFlows()
	if seen != burst || got >= seen {
		t.Fatalf("got %d flows, seen %d: no overrun", got, seen)
	}

	agent.Flush()
	if resp := stream.next(patience); resp.GetFlow() == nil {
		t.Errorf("got %v, want the newest flow of the burst first", resp)
	}
	resp := stream.next(patience)
	if lost := resp.GetLostEvents().GetNumEventsLost(); lost+got+1 != seen {
		t.Errorf("got %v after %d flows of %d", resp, got+1, seen)
	}
}
