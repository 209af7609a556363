package hubbletest

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	peerpb "github.com/cilium/cilium/api/v1/peer"
	hubble "github.com/cilium/cilium/pkg/hubble/api/v1"
	"github.com/cilium/cilium/pkg/hubble/observer"
)

// A Listener is one address of an agent, and the network before it: what a test
// breaks here leaves the agent and its ring alone. It serves what an agent serves
// (observer, peers, health, the hubble-server-version header).
//
// Lost events carry the node's name here as they do in an agent. Cilium keeps that
// name once per process, which several agents in one test cannot share, so the
// listener writes it.
type Listener struct {
	server        *Server
	network, addr string
	creds         credentials.TransportCredentials
	gate          gate

	mu    sync.Mutex
	grpc  *grpc.Server // nil while nobody listens
	drain context.CancelFunc
}

// ServeUnix listens on a socket, without TLS. An empty path is one of its own.
func (s *Server) ServeUnix(path string) *Listener {
	s.t.Helper()
	if path == "" {
		// t.TempDir holds the test's name, which may exceed the 107 bytes of a socket's path.
		dir, err := os.MkdirTemp("", "hubble")
		if err != nil {
			s.t.Fatalf("make directory for socket: %v", err)
		}
		s.t.Cleanup(func() { os.RemoveAll(dir) })
		path = filepath.Join(dir, "hubble.sock")
	}
	return s.serve("unix", path, insecure.NewCredentials())
}

// ServeTCP listens on host:port, without TLS. An empty address is any free port of
// the loopback.
func (s *Server) ServeTCP(addr string) *Listener {
	s.t.Helper()
	return s.serve("tcp", addr, insecure.NewCredentials())
}

// ServeTLS listens with a certificate that is read anew for each handshake, and
// asks clients for none.
func (s *Server) ServeTLS(addr string, cert *Certificate) *Listener {
	s.t.Helper()
	return s.serve("tcp", addr, credentials.NewTLS(cert.serverConfig(false)))
}

// ServeMTLS is ServeTLS for clients with a certificate of the CA in cert.CAFile:
// an agent with Helm's defaults.
func (s *Server) ServeMTLS(addr string, cert *Certificate) *Listener {
	s.t.Helper()
	return s.serve("tcp", addr, credentials.NewTLS(cert.serverConfig(true)))
}

func (s *Server) serve(network, addr string, creds credentials.TransportCredentials) *Listener {
	s.t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l := &Listener{server: s, network: network, addr: addr, creds: creds}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listeners = append(s.listeners, l)
	if s.observer != nil {
		l.start(s.observer)
	}
	return l
}

// Addr returns the path or the host and port.
func (l *Listener) Addr() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addr
}

// Target returns the address as gRPC and Hubble's own tools write it.
func (l *Listener) Target() string {
	if l.network == "unix" {
		return "unix://" + l.Addr()
	}
	return l.Addr()
}

// Kill cuts all connections at once and stops listening, as when a node dies. A
// socket's file stays. Streams end with Unavailable.
func (l *Listener) Kill() {
	if srv, _ := l.take(); srv != nil {
		srv.Stop()
	}
}

// Stop ends all streams without an error, tells clients to go (GOAWAY) and stops
// listening: a polite server, as relay or a proxy may be. An agent is not; see
// Kill. Clients that do not answer within a second are cut off.
func (l *Listener) Stop() {
	srv, drain := l.take()
	if srv == nil {
		return
	}
	drain()
	cut := time.AfterFunc(time.Second, srv.Stop)
	defer cut.Stop()
	srv.GracefulStop()
	if l.network == "unix" {
		os.Remove(l.Addr())
	}
}

// Start listens again where it did before. The agent must be up.
func (l *Listener) Start() {
	l.server.t.Helper()
	l.server.mu.RLock()
	defer l.server.mu.RUnlock()
	if l.server.observer != nil {
		l.start(l.server.observer)
	}
}

// Hang lets no more bytes pass, either way and on new connections too, and closes
// nothing: a cable pulled out, or a client that reads too slowly, for which the
// ring does not wait. Resume lets them pass again, none lost.
func (l *Listener) Hang() { l.gate.shut() }

// Resume ends what Hang began.
func (l *Listener) Resume() { l.gate.open() }

func (l *Listener) take() (*grpc.Server, context.CancelFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	srv := l.grpc
	l.grpc = nil
	return srv, l.drain
}

func (l *Listener) start(o *observer.LocalObserverServer) {
	l.server.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grpc != nil {
		return
	}
	listener, err := listen(l.network, l.addr)
	if err != nil {
		l.server.t.Errorf("listen on %s: %v", l.addr, err)
		return
	}
	l.addr = listener.Addr().String()

	ctx, drain := context.WithCancel(context.Background())
	l.drain = drain
	l.grpc = grpc.NewServer(grpc.Creds(l.creds),
		grpc.UnaryInterceptor(sendVersion), grpc.StreamInterceptor(streams{l.server.opts.Node, ctx}.intercept))
	observerpb.RegisterObserverServer(l.grpc, o)
	if l.server.opts.Peers != nil {
		peerpb.RegisterPeerServer(l.grpc, l.server.opts.Peers)
	}
	healthy := health.NewServer()
	healthy.SetServingStatus(hubble.ObserverServiceName, healthpb.HealthCheckResponse_SERVING)
	healthpb.RegisterHealthServer(l.grpc, healthy)

	go func(srv *grpc.Server) {
		if err := srv.Serve(gated{listener, &l.gate}); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			l.server.t.Errorf("serve on %s: %v", listener.Addr(), err)
		}
	}(l.grpc)
}

func listen(network, addr string) (net.Listener, error) {
	if network != "unix" {
		return net.Listen(network, addr)
	}
	// A killed agent leaves its socket behind, and a new one removes it first.
	os.Remove(addr)
	l, err := net.ListenUnix(network, &net.UnixAddr{Name: addr, Net: network})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	return l, nil
}
