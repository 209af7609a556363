package hubble

import (
	"slices"
	"time"

	"sextant/collector/flow"
)

// takeLocked takes one message.
func (s *session) takeLocked(raw []byte) error {
	now := time.Now()
	s.sign = now
	if !s.open {
		s.open = true
		close(s.first)
		if err := s.followedLocked(s.nodes); err != nil {
			return err
		}
	}
	s.record = flow.Record{}
	ev, err := s.decoder.Decode(raw, &s.record)
	if err != nil {
		s.account.arrived++ // it was a flow for all we know
		s.metrics.undecodable.Inc()
		s.undecodable.Do(func() { s.logger.Warn("undecodable message from Hubble; further ones are only counted", "err", err) })
		return nil
	}
	switch ev.Kind {
	case KindFlow:
		s.metrics.flowMessages.Inc()
		return s.flowLocked(raw, &ev, now)
	case KindLost:
		s.metrics.lostMessages.Inc()
		return s.lostLocked(&ev, now)
	case KindStatus:
		s.metrics.statusMessages.Inc()
		return s.nodeStatusLocked(&ev)
	}
	s.metrics.otherMessages.Inc()
	return nil
}

func (s *session) flowLocked(raw []byte, ev *Event, now time.Time) error {
	rec := &s.record
	s.account.arrived++
	if rec.Node.IsZero() && !s.relay.Load() { // agents so old that they do not name themselves
		name := s.whomLocked()
		rec.Node, rec.Cluster, ev.Node, ev.Cluster = name.Node, name.Cluster, name.Node, name.Cluster
	}
	name := NodeName{ev.Node, ev.Cluster}
	a := s.agentLocked(name, s.relay.Load())
	if a != nil {
		a.hear(ev.Time, now)
		a.watch.heard(ev.Time)
		again := a.seen.add(identity(s.seed, rec.UUID, raw))
		if !a.suspect.IsZero() {
			if err := s.decideLocked(a, again, ev.Time); err != nil {
				return err
			}
		}
		if !again && !a.mark.open() {
			var err error
			if again, err = s.markedLocked(a, rec); err != nil {
				return err
			}
		}
		if again {
			s.metrics.duplicates.Inc()
			return nil
		}
		a.came(ev.Time)
	}
	if s.relay.Load() {
		s.outages.end(name, now) // untold: Relay had the node send again what it still held
	}
	if ev.Flaws > 0 {
		s.metrics.flaws.Add(float64(ev.Flaws))
	}
	if s.cfg.HubbleTraffic == exclude && own(rec) {
		s.metrics.own.Inc()
		return nil
	}
	*s.batch.next() = *rec
	if err := s.batch.keep(); err != nil {
		return &stopError{err}
	}
	if a != nil && !rec.Replayed {
		a.watch.flows++
	}
	s.metrics.flows.Inc()
	return nil
}

// own says whether a flow is of Hubble's own traffic.
func own(r *flow.Record) bool {
	return r.Protocol == flow.TCP && (slices.Contains(ownPorts, r.Source.Port) || slices.Contains(ownPorts, r.Destination.Port))
}

// lostLocked takes Hubble's word that events were lost. Of its ring's losses those are not told again that we found
// first, nor the one that never was.
func (s *session) lostLocked(ev *Event, now time.Time) error {
	name := NodeName{ev.Node, ev.Cluster}
	if name == (NodeName{}) && !s.relay.Load() {
		name = s.whomLocked()
		ev.Node, ev.Cluster = name.Node, name.Cluster
	}
	a := s.agentLocked(name, s.relay.Load())
	if a != nil {
		a.hear(ev.Time, now)
		a.watch.heard(time.Time{})
	}
	if ev.Lost.Cause == flow.GapLostRing {
		began := now
		if !ev.Lost.First.IsZero() && !ev.Time.IsZero() {
			began = now.Add(-ev.Time.Sub(ev.Lost.First))
		}
		news := s.account.hubble(ev.Lost.Count)
		if a != nil {
			news -= min(news, a.ghost(ev.Lost.Count, began))
		}
		if news == 0 && ev.Lost.Count > 0 {
			return nil
		}
		ev.Lost.Count = news
	}
	return s.gapLocked(lostGap(s.names, ev))
}

// nodeStatusLocked takes Relay's word about nodes. A node that fails is asked again by Relay once it is back, with our
// own request, so its flows come late or, after a restart, which the poller finds, not at all. That a node's ring wrapped
// before Relay had it back cannot be seen, but such an outage that lasts is told as one.
func (s *session) nodeStatusLocked(ev *Event) error {
	s.relay.Store(true)
	for _, name := range ev.Status.Nodes {
		a := s.agentLocked(name, true)
		switch ev.Status.State {
		case NodeConnected:
			s.outages.end(name, ev.Time)
		case NodeUnavailable, NodeError:
			if a != nil && !a.last.After(ev.Time) { // else it is back already: Relay holds errors for 10 s
				a.watch.reach(earlier(ev.Time, s.sign))
				a.watch.stop(ev.Time)
				s.outages.begin(name, ev.Time, flow.GapNodeUnavailable, "Relay says: "+statusText(ev)+"; flows its ring still holds when it is back come late")
			}
			if a != nil {
				a.ghostUntil = time.Now().Add(time.Minute)
			}
		case NodeGone:
			if a != nil {
				a.watch.stop(ev.Time)
			}
			g, _ := s.outages.end(name, ev.Time)
			if g.From.IsZero() {
				continue // it was followed until it left
			}
			g.Cause = flow.GapNodeGone
			if err := s.gapLocked(g); err != nil {
				return err
			}
		}
	}
	if ev.Status.State == NodeError && s.from.since.IsZero() {
		return errRejoin
	}
	return nil
}

func statusText(ev *Event) string {
	if ev.Status.Message != "" {
		return ev.Status.Message
	}
	if ev.Status.State == NodeUnavailable {
		return "no connection to the node"
	}
	return "the node failed"
}
