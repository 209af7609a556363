package hubbletest

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/cilium/cilium/pkg/hubble/build"
	"github.com/cilium/cilium/pkg/hubble/defaults"
)

// streams is what one run of a listener does to every stream.
type streams struct {
	node string
	// run ends when the listener wants streams to end without an error.
	run context.Context
}

func (s streams) intercept(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(ss.Context())
	defer cancel()
	defer context.AfterFunc(s.run, cancel)()

	ss.SetHeader(version())
	err := handler(srv, stream{ss, ctx, s.node})
	if s.run.Err() != nil {
		return nil
	}
	return err
}

// A stream is one call with an end of its own and the name of its node.
type stream struct {
	grpc.ServerStream
	ctx  context.Context
	node string
}

func (s stream) Context() context.Context { return s.ctx }

func (s stream) SendMsg(m any) error {
	switch m := m.(type) {
	case *observerpb.GetFlowsResponse:
		if m.GetLostEvents() != nil {
			m.NodeName = s.node
		}
	case *observerpb.GetAgentEventsResponse:
		m.NodeName = s.node
	}
	return s.ServerStream.SendMsg(m)
}

func sendVersion(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	grpc.SetHeader(ctx, version())
	return handler(ctx, req)
}

// version is the header of pkg/hubble/cell, whose interceptors are not exported.
func version() metadata.MD {
	return metadata.Pairs(defaults.GRPCMetadataServerVersionKey, build.ServerVersion.SemVer())
}
