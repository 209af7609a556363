package hubble

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v7"

	"sextant/collector/flow"
)

// stream follows one server for ever: an agent, or a Relay that speaks for many. It connects, resumes where it was,
// and tells as gaps what it missed. The memory of its nodes outlives its connections.
type stream struct {
	*common
	where  endpoint
	node   NodeName // known beforehand where the Peer service named it
	begin  position // where to begin when nothing is known yet
	batch  *batcher
	logger *slog.Logger

	state atomic.Pointer[streamState]
	gone  atomic.Bool // the node has left the cluster; set before the context ends

	// Held by whoever works on the rest: the receiver for each message, the poller for each answer.
	mu        sync.Mutex
	agents    map[NodeName]*agent
	outages   outages
	opened    time.Time // when flows were first asked for with success, by our clock
	began     time.Time // when run was called
	cut       time.Time // until when, by our clock, flows may have come; zero while none did
	until     time.Time // the last sign of life of a server that was followed, by our clock
	noSince   bool      // the next stream begins with the whole ring
	out       bool      // the server cannot be followed …
	missing   NodeName  // … and this is the node that is missed
	connected int       // nodes, as counted in the metric
}

// streamState is whether the server is followed now.
type streamState struct{ err error }

var errNotYet = errors.New("not connected yet")

func newStream(c *common, where endpoint, node NodeName, begin position, batch *batcher) *stream {
	s := &stream{
		common: c, where: where, node: node, begin: c.resumed(node, begin), batch: batch,
		logger: c.logger.With("server", where.target.String()),
		agents: map[NodeName]*agent{},
	}
	s.outages.names = c.names
	s.state.Store(&streamState{errNotYet})
	if node != (NodeName{}) {
		s.agents[node] = newAgent(node)
		s.agents[node].mark = newMark(c.marks[node])
		s.logger = s.logger.With("node", node.Node)
	}
	return s
}

// trouble returns nil while the server is followed, and else why not.
func (s *stream) trouble() error { return s.state.Load().err }

// stopError is an error of emit: no more is taken.
type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }

const (
	wholeRing  = largestRing
	ghostly    = 5 * time.Second
	forgetNode = 10 * time.Minute // nodes that Relay no longer knows
)

// newest is the position that begins with the newest flow.
var newest = position{number: 1}

// aim changes the server. It must not be called while run runs.
func (s *stream) aim(where endpoint) {
	s.where = where
	s.gone.Store(false)
	s.logger = s.common.logger.With("server", where.target.String(), "node", s.node.Node)
}

// run follows until ctx ends (nil) or emit takes no more.
func (s *stream) run(ctx context.Context) error {
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = s.times.retryFirst, s.times.retryMost
	s.began = time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		err := s.session(ctx)
		if stop, ok := errors.AsType[*stopError](err); ok {
			return stop.err
		}
		if ctx.Err() != nil {
			break
		}
		s.down(err)
		if time.Since(began) > s.times.steady() {
			retry.Reset()
		}
		select {
		case <-time.After(retry.NextBackOff()):
		case <-ctx.Done():
		}
		if stop, ok := errors.AsType[*stopError](s.tell(s.times.slice)); ok {
			return stop.err
		}
	}
	return s.end()
}

// down notes that it is not, and begins an outage. One line in the log per change: of many failed attempts only those
// that fail in a new way are told.
func (s *stream) down(err error) {
	reason := reasonOf(err)
	s.metrics.reconnects.WithLabelValues(reason).Inc()
	s.mu.Lock()
	s.setConnectedLocked(0)
	if !s.out {
		s.out, s.missing = true, s.whomLocked()
	}
	since := s.until
	if s.began.After(since) {
		since = s.began
		if a := s.agents[s.missing]; a != nil && a.mark.known != nil { // not followed since an earlier run was
			since = earlier(since, a.mark.known.Time)
		}
	}
	s.outages.begin(s.missing, since.UTC(), flow.GapNodeUnavailable, err.Error()+"; flows its ring still holds when it is back come late")
	s.mu.Unlock()
	switch before := s.state.Swap(&streamState{err}).err; {
	case before == nil && reason == "eof":
		s.logger.Info("stream ended by Hubble", "err", err)
	case before == nil, errors.Is(before, errNotYet), reasonOf(before) != reason:
		s.logger.Warn("not following Hubble", "err", err)
	}
}

func (s *stream) setConnectedLocked(nodes int) {
	s.metrics.connected.Add(float64(nodes - s.connected))
	s.connected = nodes
}

// whomLocked returns the node that an outage of the server itself concerns: none while it is not known, or when there are
// many behind it.
func (s *stream) whomLocked() NodeName {
	if len(s.agents) == 1 {
		for name := range s.agents {
			return name
		}
	}
	return s.node
}

// tell puts outages that have lasted at least so long into gaps.
func (s *stream) tell(min time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tellLocked(min)
}

func (s *stream) tellLocked(min time.Duration) error {
	for _, g := range s.outages.told(time.Now().UTC(), min) {
		if s.gone.Load() {
			g.Cause = flow.GapNodeGone
		}
		if err := s.gapLocked(g); err != nil {
			return err
		}
	}
	return nil
}

// end tells what there is to tell when the following ends: outages that last, and until when nodes were watched. An error of
// emit is no error then: all queues are closing.
func (s *stream) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.tellLocked(0)
	_ = s.beatsLocked(true)
	s.setConnectedLocked(0)
	s.outages.open, s.out = nil, false
	s.state.Store(&streamState{errNotYet})
	s.metrics.accounting.DeleteLabelValues(s.where.target.String())
	return nil
}

// forget removes the metrics of the stream's nodes.
func (s *stream) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.agents {
		s.metrics.forget(name)
	}
}

// agentLocked returns the memory of a node, or nil when there are too many nodes: then its flows are handed on unchecked.
func (s *stream) agentLocked(name NodeName, relay bool) *agent {
	if a, ok := s.agents[name]; ok {
		return a
	}
	if a, ok := s.agents[NodeName{}]; ok && !relay { // an agent whose name was not known until now
		delete(s.agents, NodeName{})
		a.name, a.mark = name, newMark(s.marks[name])
		s.agents[name] = a
		return a
	}
	if len(s.agents) >= s.cfg.MaxNodes {
		return nil
	}
	a := newAgent(name)
	a.mark = newMark(s.marks[name])
	if relay {
		a.ghostUntil = time.Now().Add(ghostly)
	}
	s.agents[name] = a
	return a
}

// loneLocked returns the memory of the agent spoken to directly.
func (s *stream) loneLocked() *agent {
	var lone *agent
	for _, a := range s.agents {
		if lone == nil || a.heard.After(lone.heard) {
			lone = a
		}
	}
	if lone == nil {
		lone = s.agentLocked(s.node, false)
	}
	return lone
}

// positionLocked returns where the next stream begins. Through Relay one position must do for all nodes, so it is the
// earliest: even of a node that was silent for an hour, as the newest event of a ring stays there unseen until the next.
func (s *stream) positionLocked(relay bool) position {
	if s.noSince {
		for _, a := range s.agents { // by a clock that has gone back they would hide what comes
			a.mark = mark{}
		}
		return position{number: wholeRing}
	}
	var since time.Time
	for _, a := range s.agents {
		if t, ok := a.resume(); ok && (since.IsZero() || t.Before(since)) {
			since = t
		}
	}
	switch {
	case !since.IsZero():
		return position{since: since}
	case s.opened.IsZero() && (!relay || s.begin != newest):
		return s.begin
	case relay:
		// Relay asks a node that comes back the same again, so that "the last one" would leave out what happened
		// meanwhile. Before the first flow only our clock can say where to begin.
		if s.opened.IsZero() {
			return position{since: time.Now().Add(-overlap)}
		}
		return position{since: s.opened.Add(-overlap)}
	}
	return position{number: wholeRing} // nothing was in the ring when we came, so all of it is new
}
