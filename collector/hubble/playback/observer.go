package playback

import (
	"context"
	"slices"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// GetFlows streams flows as Hubble's ring would: from since on, or the last few, or only what comes.
func (n *node) GetFlows(req *observerpb.GetFlowsRequest, stream grpc.ServerStreamingServer[observerpb.GetFlowsResponse]) error {
	if req.GetFirst() || len(req.GetWhitelist()) > 0 || !onlyOwnPorts(req.GetBlacklist()) {
		return status.Error(codes.Unimplemented, "a played recording knows no filters and no --first")
	}
	now := time.Now()
	number := n.seen(now)
	switch {
	case req.GetSince() != nil:
		number = n.search(0, req.GetSince().AsTime())
	case req.GetNumber() > 0:
		number = max(0, number-int(min(req.GetNumber(), uint64(number))))
	}
	number = max(number, n.oldest(now))
	for {
		if end, ends := n.end(); ends && number >= end {
			if !req.GetFollow() {
				return nil
			}
			<-stream.Context().Done()
			return nil
		}
		if wait := time.Until(n.time(number)); wait > 0 {
			if !req.GetFollow() {
				return nil
			}
			select {
			case <-time.After(wait):
			case <-stream.Context().Done():
				return nil
			}
		}
		resp, err := n.message(number)
		if err != nil {
			return status.Errorf(codes.Internal, "recorded flow: %v", err)
		}
		if until := req.GetUntil(); until != nil && resp.GetTime().AsTime().After(until.AsTime()) {
			return nil
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
		number++
	}
}

// onlyOwnPorts accepts a filter on Hubble's own traffic, of which the recordings hold none.
func onlyOwnPorts(filters []*flowpb.FlowFilter) bool {
	for _, f := range filters {
		for _, p := range slices.Concat(f.GetSourcePort(), f.GetDestinationPort()) {
			if p != "4244" && p != "4245" {
				return false
			}
		}
		if len(f.GetSourcePort())+len(f.GetDestinationPort()) == 0 {
			return false
		}
	}
	return true
}

// oldest returns the number of the oldest flow in the ring.
func (n *node) oldest(now time.Time) int {
	if n.cluster.ring == 0 {
		return 0
	}
	return max(0, n.seen(now)-n.cluster.ring)
}

// ServerStatus says what a node's Hubble says of itself: its ring holds all that was played, or is full.
func (n *node) ServerStatus(context.Context, *observerpb.ServerStatusRequest) (*observerpb.ServerStatusResponse, error) {
	now := time.Now()
	seen := uint64(n.seen(now))
	held := seen - uint64(n.oldest(now))
	return &observerpb.ServerStatusResponse{
		NumFlows: held, MaxFlows: held, SeenFlows: seen,
		UptimeNs: uint64(now.Sub(n.cluster.start)), Version: "played recording",
	}, nil
}

// Notify announces all nodes and then stays silent, as in a cluster in which nobody comes or goes.
func (n *node) Notify(_ *peerpb.NotifyRequest, stream grpc.ServerStreamingServer[peerpb.ChangeNotification]) error {
	for _, peer := range n.cluster.nodes {
		if err := stream.Send(&peerpb.ChangeNotification{
			Name: peer.name, Address: peer.addr, Type: peerpb.ChangeNotificationType_PEER_ADDED,
		}); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return nil
}
