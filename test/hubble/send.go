package hubbletest

import (
	"time"

	"github.com/google/uuid"

	monitor "github.com/cilium/cilium/pkg/monitor/api"
)

// Send hands events to the agent, in order, and returns when all are in the ring.
// Events without a time happen now, those without a uuid get a random one, and
// those without a node happen on the agent's; the caller's events stay as they are.
// While the agent is down events are lost, as in life.
//
// A stream gets an event only when the next one has been written: the ring never
// yields the slot that may be being written. See Flush.
func (s *Server) Send(events ...*Event) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.observer == nil {
		return
	}
	queue := s.observer.GetEventsChannel()
	for _, e := range events {
		queue <- s.complete(*e)
	}
	written := make(barrier)
	queue <- &Event{Payload: written}
	<-written
}

// Flush makes the newest event readable by sending one that GetFlows never shows,
// an agent event. It takes a slot of the ring and is not a flow seen.
func (s *Server) Flush() { s.Send(Agent(monitor.StartMessage(time.Now()))) }

func (s *Server) complete(e Event) *Event {
	if e.UUID == uuid.Nil {
		e.UUID = uuid.New()
	}
	if e.Timestamp.IsZero() {
		e.Timestamp = time.Now()
	}
	if e.NodeName == "" {
		e.NodeName = s.opts.Node
	}
	return &e
}
