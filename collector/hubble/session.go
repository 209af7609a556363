package hubble

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"

	"sextant/collector/flow"
)

// session is one connection of a stream and the one GetFlows on it.
type session struct {
	*stream
	link    *link
	client  observerpb.ObserverClient
	decoder Decoder

	relay   atomic.Bool
	version string

	// Under stream.mu.
	record    flow.Record // scratch; decoded outside the batch, which streams share
	account   account
	accounts  bool // the account is kept
	all       bool // no filter keeps flows from coming
	nodes     int  // connected ones
	from      position
	started   time.Time // when the flows were asked for
	open      bool      // a message has come
	followed  bool      // so the request was not refused, or nothing came and a while has passed
	sign      time.Time // the last sign of life
	seenAtAsk uint64
	quiet     time.Time // of the newest flow at the last moment at which the account was balanced

	greeted serverStatus           // what the server said before it was asked for flows
	oldests map[NodeName]time.Time // of the events in the rings then, where that was asked
	watched bool                   // it is known which nodes are watched

	idle  atomic.Bool   // the receiver has nothing in hand
	first chan struct{} // closed by the first message
	end   context.CancelCauseFunc
}

var (
	errMute   = &trouble{reason: "mute", text: "no flow comes from the time on at which we stopped, though the agent sees some; its clock must have gone back, so we begin with its whole ring"}
	errRejoin = &trouble{reason: "rejoin", text: "a node behind Relay comes back; we ask again by time, so that Relay asks it for what we missed"}
)

// session connects, resumes and receives until something ends it.
func (s *stream) session(ctx context.Context) error {
	select { // a large cluster is not dialled all at once
	case s.dialing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	release := sync.OnceFunc(func() { <-s.dialing })
	defer release()

	l, err := s.where.connect(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ses := &session{
		stream: s, link: l, client: observerpb.NewObserverClient(l), decoder: NewDecoder(s.names),
		first: make(chan struct{}), end: end,
	}
	ses.idle.Store(true)
	err = ses.hello(ctx)
	release()
	if err == nil {
		err = ses.follow(ctx)
	}
	ses.ended()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause // the poller ended it
	}
	if errors.As(err, new(*stopError)) || errors.As(err, new(*trouble)) {
		return err
	}
	return s.where.explain(err, nil)
}

// hello asks the server who it is, and what happened while it was out of reach.
func (s *session) hello(ctx context.Context) error {
	st, err := s.status(ctx)
	if err != nil {
		return err
	}
	s.relay.Store(st.relay)
	s.version, s.nodes = st.version, st.count
	s.greeted = st
	if s.resumes() && st.mayHaveWrapped() {
		s.oldests = s.oldest(ctx)
	}
	s.mu.Lock()
	err = s.applyLocked(st, func(a *agent, n numbers) { a.broke(s.cut, s.oldests[a.name], n) })
	s.askedLocked()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.awaitEvent(ctx, st)
}

// ended notes until when flows were followed.
func (s *session) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.followed {
		s.reachLocked()
		s.until, s.cut = s.sign, time.Now()
		if s.all {
			s.cut = s.sign // any event would have come, so after this nothing was followed for certain
		}
	}
	for _, a := range s.agents {
		a.watch.stop(a.watch.to)
	}
}

// resumes says whether any flow came in an earlier session.
func (s *session) resumes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.agents {
		if !a.last.IsZero() {
			return true
		}
	}
	return false
}

// awaitEvent waits until the agent's ring holds an event. A stream opened on an empty ring begins two events before its
// start, which is a slot at its end: nothing comes until the ring has been filled once, and then two losses that were
// none (container.Ring.LastWriteParallel). Behind Relay nothing can be done about that.
func (s *session) awaitEvent(ctx context.Context, st serverStatus) error {
	for !st.relay && st.lone.valid && st.lone.numFlows == 0 {
		s.mu.Lock()
		s.started, s.sign, s.greeted = time.Now(), time.Now(), st
		err := s.followedLocked(s.nodes)
		if err == nil {
			err = s.watchLocked(st)
		}
		s.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-time.After(s.times.poll / 10):
		case <-ctx.Done():
			return ctx.Err()
		}
		if st, err = s.status(ctx); err != nil {
			return err
		}
	}
	return nil
}

// followedLocked notes that the server is followed, and ends its outage. What of that was not told stays untold: restarts
// and the ring's age say what was lost. Only a server that never was followed before, and of which nothing older than
// now is wanted, has lost the time until now for certain.
func (s *session) followedLocked(nodes int) error {
	if nodes > 0 {
		s.setConnectedLocked(nodes)
	}
	if s.followed {
		return nil
	}
	s.followed = true
	if s.state.Swap(&streamState{}).err != nil {
		s.logger.Info("following Hubble", "version", s.version, "relay", s.relay.Load(), "from", s.from.String())
	}
	before := !s.opened.IsZero()
	if !before {
		s.opened = s.started
	}
	if !s.out {
		return nil
	}
	s.out = false
	g, _ := s.outages.end(s.missing, s.started.UTC())
	if before || s.begin != newest || s.relay.Load() {
		return nil
	}
	return s.gapLocked(g)
}

// follow asks for flows and receives them.
func (s *session) follow(ctx context.Context) error {
	s.mu.Lock()
	from := s.positionLocked(s.relay.Load())
	req := asks(s.template, from, s.where.target, s.cfg.HubbleTraffic)
	s.from, s.all = from, everything(req)
	s.started, s.sign = time.Now(), time.Now()
	s.noSince = false
	lone := s.loneLocked()
	s.seenAtAsk = lone.numbers.seenFlows
	s.accounts = s.accountable(req, lone.numbers)
	for _, a := range s.agents {
		full := !a.numbers.valid || a.numbers.numFlows >= a.numbers.maxFlows
		a.ghostUntil = time.Time{}
		if full && from != newest {
			a.ghostUntil = s.started.Add(ghostly)
		}
	}
	s.mu.Unlock()

	cs, err := s.link.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, observerpb.Observer_GetFlows_FullMethodName, grpc.ForceCodecV2(rawCodec{}))
	if err == nil {
		err = cs.SendMsg(req)
	}
	if err == nil {
		err = cs.CloseSend()
	}
	if err != nil {
		return s.where.explain(err, s.link.noted())
	}
	s.metrics.connects.Inc()

	var wg sync.WaitGroup
	wg.Go(func() { s.poll(ctx) })
	err = s.receive(cs)
	s.end(nil)
	wg.Wait()
	return err
}

// receive takes messages until the stream ends.
func (s *session) receive(cs grpc.ClientStream) error {
	var raw []byte
	for {
		err := cs.RecvMsg(&raw)
		if err != nil {
			return s.where.explain(err, nil)
		}
		s.idle.Store(false)
		s.mu.Lock()
		err = s.takeLocked(raw)
		s.mu.Unlock()
		if err != nil {
			return err
		}
		s.idle.Store(true)
	}
}

// oldest returns the time of the oldest event in each node's ring. Servers that do not say are left out. It must not be
// asked of an agent whose ring is empty: that counts losses until it is no longer asked (container.Ring.read).
func (s *session) oldest(ctx context.Context) map[NodeName]time.Time {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	times := map[NodeName]time.Time{}
	stream, err := s.client.GetFlows(ctx, &observerpb.GetFlowsRequest{First: true, Number: 1, FieldMask: s.stampMask})
	for err == nil && len(times) <= s.cfg.MaxNodes {
		var resp *observerpb.GetFlowsResponse
		if resp, err = stream.Recv(); err != nil {
			break
		}
		t := timeOf(resp.GetTime())
		name := splitNode(s.names, resp.GetNodeName())
		if resp.GetFlow() == nil || t.IsZero() {
			continue
		}
		if before, ok := times[name]; !ok || t.Before(before) {
			times[name] = t
		}
	}
	if !s.relay.Load() { // one agent, whatever it is called there
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, t := range times {
			return map[NodeName]time.Time{s.loneLocked().name: t}
		}
	}
	return times
}
