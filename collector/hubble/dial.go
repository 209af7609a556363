package hubble

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

const dialTimeout = 10 * time.Second

// buffers is how much gRPC may hold for one connection.
type buffers struct{ window, read int }

// A single stream carries everything and gets what was measured to be best; with thousands of connections each must be
// content with little. Both windows are static: the estimate of the best size costs pings and settles too low.
var (
	largeBuffers = buffers{window: 16 << 20, read: 256 << 10}
	smallBuffers = buffers{window: 1 << 20, read: 16 << 10}
)

// link is one connection to a server: dialled once and never again, so that everything said on it was said by the same
// process. It keeps the error of the dial or handshake as a value, which gRPC makes a text of.
type link struct {
	*grpc.ClientConn
	target target

	mu     sync.Mutex
	dialed bool
	err    error
}

// endpoint is a server and how it is spoken to.
type endpoint struct {
	target     target
	secure     bool
	certs      certificates
	serverName string // "" is the target's host
	buffers    buffers
	quiet      bool  // nothing may come for hours, so agents take early pings for an attack
	bad        error // why it cannot be spoken to at all
}

// connect dials a server and returns when it can be spoken to. The error is a sentence for the user, see explain.
func (e endpoint) connect(ctx context.Context) (*link, error) {
	if e.bad != nil {
		return nil, e.bad
	}
	l := &link{target: e.target}
	creds, authority := insecure.NewCredentials(), e.target.addr
	if e.target.network == "unix" {
		authority = "localhost" // as gRPC has it: a path is none
	}
	if e.secure {
		name := e.serverName
		if name == "" {
			name = e.target.host()
		}
		creds, authority = newHandshaker(e.certs, name, l.note), name
	}
	// passthrough leaves names to Go's dialer, which takes both address families, whichever answers first (RFC 8305),
	// looks names up anew at every dial, and knows absolute ones.
	conn, err := grpc.NewClient("passthrough:///"+e.target.addr,
		grpc.WithTransportCredentials(creds),
		grpc.WithContextDialer(l.dial),
		grpc.WithNoProxy(),
		grpc.WithAuthority(authority),
		grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent("sextant"),
		grpc.WithStaticStreamWindowSize(int32(e.buffers.window)),
		grpc.WithStaticConnWindowSize(int32(e.buffers.window)),
		grpc.WithReadBufferSize(e.buffers.read),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: e.patience(), Timeout: 10 * time.Second}),
	)
	if err != nil {
		return nil, e.explain(err, nil)
	}
	l.ClientConn = conn
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn.Connect()
	tried := false
	for {
		state := conn.GetState()
		switch {
		case state == connectivity.Ready:
			return l, nil
		case state == connectivity.TransientFailure, state == connectivity.Idle && tried:
			conn.Close()
			return nil, e.explain(errClosed, l.noted())
		}
		tried = state == connectivity.Connecting
		if !conn.WaitForStateChange(ctx, state) {
			conn.Close()
			return nil, e.explain(ctx.Err(), l.noted())
		}
	}
}

// patience is after how long without a word the server is pinged. Agents end connections that are pinged more often than
// every 5 minutes while they send nothing (grpc/keepalive EnforcementPolicy), but an agent whose flows are followed
// answers ServerStatus in between.
func (e endpoint) patience() time.Duration {
	if e.quiet {
		return 5*time.Minute + 10*time.Second
	}
	return 30 * time.Second
}

var (
	errRedial = errors.New("the connection has ended")
	errClosed = errors.New("the server closed the connection before it said a word of HTTP/2")
)

func (l *link) dial(ctx context.Context, _ string) (net.Conn, error) {
	l.mu.Lock()
	again := l.dialed
	l.dialed = true
	l.mu.Unlock()
	if again {
		return nil, errRedial
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, l.target.network, l.target.addr)
	if err != nil {
		l.note(err)
	}
	return conn, err
}

func (l *link) note(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
}

// noted returns the first error of the dial or handshake.
func (l *link) noted() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
