package hubbletest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	hubbletest "sextant/test/hubble"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var plain = insecure.NewCredentials()

// patience is how long a test waits for what must happen, quiet for what must not.
const (
	patience = 20 * time.Second
	quiet    = 100 * time.Millisecond
)

func dial(t *testing.T, l *hubbletest.Listener, creds credentials.TransportCredentials, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(l.Target(), append(opts, grpc.WithTransportCredentials(creds))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func tlsCreds(t *testing.T, ca, client *hubbletest.Certificate, name string) credentials.TransportCredentials {
	t.Helper()
	config := &tls.Config{ServerName: name, RootCAs: x509.NewCertPool()}
	pem, err := os.ReadFile(ca.CAFile)
	if err != nil || !config.RootCAs.AppendCertsFromPEM(pem) {
		t.Fatalf("read %s: %v", ca.CAFile, err)
	}
	if client != nil {
		pair, err := tls.LoadX509KeyPair(client.CertFile, client.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config)
}

func serverStatus(t *testing.T, conn *grpc.ClientConn) *observerpb.ServerStatusResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := observerpb.NewObserverClient(conn).ServerStatus(ctx, &observerpb.ServerStatusRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatalf("server status: %v", err)
	}
	return got
}

// A reader receives one stream until it ends.
type reader struct {
	t   *testing.T
	got chan *observerpb.GetFlowsResponse
	err error // why got was closed; io.EOF for a clean end

	once    sync.Once
	started chan struct{}
}

// follow reads everything from a moment on; the zero time is the beginning of the ring.
func follow(t *testing.T, conn *grpc.ClientConn, since time.Time) *reader {
	t.Helper()
	r := open(t, conn, &observerpb.GetFlowsRequest{Follow: true, Since: timestamppb.New(since)})
	r.start()
	return r
}

// open does not read before start is called.
func open(t *testing.T, conn *grpc.ClientConn, req *observerpb.GetFlowsRequest) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := observerpb.NewObserverClient(conn).GetFlows(ctx, req, grpc.WaitForReady(true))
	if err != nil {
		t.Fatalf("get flows: %v", err)
	}
	r := &reader{t: t, got: make(chan *observerpb.GetFlowsResponse, 100_000), started: make(chan struct{})}
	go func() {
		defer close(r.got)
		<-r.started
		for {
			resp, err := stream.Recv()
			if err != nil {
				r.err = err
				return
			}
			r.got <- resp
		}
	}()
	t.Cleanup(func() {
		cancel()
		r.start()
		for range r.got {
		}
	})
	return r
}

func (r *reader) start() { r.once.Do(func() { close(r.started) }) }

// next returns what comes next, or nil if nothing comes for as long as wait.
func (r *reader) next(wait time.Duration) *observerpb.GetFlowsResponse {
	r.t.Helper()
	select {
	case resp, ok := <-r.got:
		if !ok {
			r.t.Fatalf("stream ended: %v", r.err)
		}
		return resp
	case <-time.After(wait):
		return nil
	}
}

// flows returns the next n flows, and fails for anything else.
func (r *reader) flows(n int) []*flowpb.Flow {
	r.t.Helper()
	var flows []*flowpb.Flow
	for len(flows) < n {
		resp := r.next(patience)
		if resp.GetFlow() == nil {
			r.t.Fatalf("after %d of %d flows: got %v", len(flows), n, resp)
		}
		flows = append(flows, resp.GetFlow())
	}
	return flows
}

// wantFlows reads Flow(from) to Flow(to-1), in order, and returns how many losses were told between.
func (r *reader) wantFlows(from, to int) (lost uint64) {
	r.t.Helper()
	for i := from; i < to; {
		resp := r.next(patience)
		if resp.GetLostEvents() != nil {
			lost += resp.GetLostEvents().GetNumEventsLost()
			continue
		}
		if resp.GetFlow().GetL4().GetTCP().GetSourcePort() != uint32(hubbletest.Source(i).Port()) {
			r.t.Fatalf("got %v, want flow %d", resp, i)
		}
		i++
	}
	return lost
}

// end waits for the end of the stream and returns its error.
func (r *reader) end() error {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case _, ok := <-r.got:
			if !ok {
				return r.err
			}
		case <-timeout:
			r.t.Fatal("stream does not end")
		}
	}
}

// all returns every answer to a request that does not follow.
func all(t *testing.T, conn *grpc.ClientConn, req *observerpb.GetFlowsRequest) []*observerpb.GetFlowsResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stream, err := observerpb.NewObserverClient(conn).GetFlows(ctx, req, grpc.WaitForReady(true))
	if err != nil {
		t.Fatalf("get flows: %v", err)
	}
	var got []*observerpb.GetFlowsResponse
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatalf("get flows: %v", err)
		}
		got = append(got, resp)
	}
}

func uuids(flows []*flowpb.Flow) []string {
	var ids []string
	for _, f := range flows {
		ids = append(ids, f.GetUuid())
	}
	return ids
}

// run returns Flow(from) to Flow(to-1).
func run(from, to int) []*hubbletest.Event {
	var events []*hubbletest.Event
	for i := from; i < to; i++ {
		events = append(events, hubbletest.Flow(i))
	}
	return events
}

func wantCode(t *testing.T, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("got %v, want %v", err, want)
	}
}
