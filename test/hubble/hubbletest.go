// Package hubbletest runs the real Hubble of a Cilium agent in this process:
// Cilium's own parser, ring buffer, observer and peer service behind real gRPC
// listeners, fed with the bytes that the BPF datapath would have written.
//
// It is for tests of a Hubble client: what a flow looks like on the wire, what
// a reader that falls behind is told, what survives an outage. A test says what
// the datapath saw ([Server.Send]) and what goes wrong ([Listener.Kill],
// [Listener.Hang], [Server.Restart], [Peers.Cut]); everything between is
// Cilium's code.
//
// It refuses to imitate Hubble: there is no answer here that Cilium did not
// compute, but for the node name of lost events (see [Listener]). It has no
// relay and no kernel, and it is not for measuring throughput.
package hubbletest

import (
	"sync"
	"testing"
	"time"

	"github.com/cilium/cilium/pkg/hubble/container"
	"github.com/cilium/cilium/pkg/hubble/defaults"
	"github.com/cilium/cilium/pkg/hubble/observer"
	"github.com/cilium/cilium/pkg/hubble/observer/observeroption"
	"github.com/cilium/cilium/pkg/hubble/testutils"
)

// Options describe one agent. The zero value is an agent with Helm's defaults.
type Options struct {
	// Ring is how many events the agent remembers; 4095 unless set.
	// One of container.Capacity1, Capacity3, … Capacity65535.
	Ring container.Capacity

	// Queue is how many events may wait for the parser; 1024 unless set.
	// Send waits for room, so nothing is lost here.
	Queue int

	// Node is the node's name as flows carry it; "lab/node-1" unless set.
	Node string

	// LostInterval is the least time between two reports of events that a
	// stream lost in the ring; one second unless set, as in the agent.
	LostInterval time.Duration

	// Pods are the endpoints of this node. Flows from and to their addresses
	// carry their names, labels and identities; without them both ends are bare.
	Pods []*testutils.FakeEndpointInfo

	// Names are what pods have looked up, by address.
	Names map[string][]string

	// Peers are the nodes this agent announces. Without it the agent has no
	// peer service at all, which is how relay answers.
	Peers *Peers
}

// Server is the Hubble part of one agent. Its methods may be called from any
// goroutine.
type Server struct {
	t    testing.TB
	opts Options

	mu        sync.RWMutex
	observer  *observer.LocalObserverServer // nil while the agent is down
	listeners []*Listener
}

// New returns a running agent that nobody can reach yet: see ServeUnix, ServeTCP,
// ServeTLS and ServeMTLS. It ends with the test.
func New(t testing.TB, opts Options) *Server {
	t.Helper()
	if opts.Ring == nil {
		opts.Ring = observeroption.Default.MaxFlows
	}
	if opts.Queue == 0 {
		opts.Queue = observeroption.Default.MonitorBuffer
	}
	if opts.Node == "" {
		opts.Node = "lab/node-1"
	}
	if opts.LostInterval == 0 {
		opts.LostInterval = defaults.LostEventSendInterval
	}
	s := &Server{t: t, opts: opts}
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Kill ends the agent as SIGKILL or SIGTERM would: all connections are cut, and
// the ring is gone. What is sent while it is down is seen by nobody.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observer == nil {
		return
	}
	for _, l := range s.listeners {
		l.Kill()
	}
	close(s.observer.GetEventsChannel())
	<-s.observer.GetStopped()
	s.observer = nil
}

// Start brings the agent back with an empty ring, no events seen, an uptime that
// begins now, and all its listeners on the addresses they had.
func (s *Server) Start() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.observer != nil {
		return
	}
	o, err := newObserver(s.t, s.opts)
	if err != nil {
		s.t.Errorf("start observer of %s: %v", s.opts.Node, err)
		return
	}
	go o.Start()
	s.observer = o
	for _, l := range s.listeners {
		l.start(o)
	}
}

// Restart is Kill and Start: an agent upgrade.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.Start()
}
