package hubble

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sextant/collector/flow"
)

// statusTimeout is how long an answer may take. Relay asks all its nodes first.
const statusTimeout = 5 * time.Second

// serverStatus is what a server says of itself: one agent of itself, Relay of its nodes.
type serverStatus struct {
	relay   bool
	version string
	lone    numbers // of an agent
	nodes   map[NodeName]nodeStatus
	listed  bool // nodes holds all that Relay knows
	count   int  // connected nodes; 0 when not told
}

type nodeStatus struct {
	numbers
	connected, unavailable bool // both false where Relay cannot tell
}

// mayHaveWrapped says whether any ring is full, and none empty.
func (st serverStatus) mayHaveWrapped() bool {
	if !st.relay {
		return st.lone.valid && st.lone.numFlows >= st.lone.maxFlows && st.lone.maxFlows > 0
	}
	full := false
	for _, n := range st.nodes {
		if n.connected && n.numFlows == 0 {
			return false
		}
		full = full || n.connected && n.numFlows >= n.maxFlows
	}
	return full
}

// status asks the server. One that does not know or does not answer in time is followed all the same, without numbers.
func (s *session) status(ctx context.Context) (serverStatus, error) {
	asked, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	resp, err := s.client.ServerStatus(asked, &observerpb.ServerStatusRequest{})
	switch status.Code(err) {
	case codes.OK:
	case codes.Unimplemented, codes.DeadlineExceeded:
		if ctx.Err() != nil {
			return serverStatus{}, ctx.Err()
		}
		return serverStatus{relay: s.relay.Load()}, nil
	default:
		return serverStatus{}, err
	}
	st := serverStatus{relay: resp.GetNumConnectedNodes() != nil, version: resp.GetVersion(), count: 1}
	if !st.relay {
		st.lone = numbers{
			valid: resp.GetUptimeNs() > 0, uptime: time.Duration(resp.GetUptimeNs()), at: time.Now(),
			seenFlows: resp.GetSeenFlows(), maxFlows: resp.GetMaxFlows(), numFlows: resp.GetNumFlows(),
		}
		return st, nil
	}
	st.count = int(resp.GetNumConnectedNodes().GetValue())
	nodes, err := s.client.GetNodes(asked, &observerpb.GetNodesRequest{})
	if err != nil {
		return st, nil
	}
	st.listed, st.nodes = true, map[NodeName]nodeStatus{}
	for _, n := range nodes.GetNodes() {
		if len(st.nodes) >= s.cfg.MaxNodes {
			st.listed = false
			break
		}
		up := n.GetState() == relaypb.NodeState_NODE_CONNECTED
		st.nodes[splitNode(s.names, n.GetName())] = nodeStatus{numbers{
			valid: up && n.GetUptimeNs() > 0, uptime: time.Duration(n.GetUptimeNs()), at: time.Now(),
			seenFlows: n.GetSeenFlows(), maxFlows: n.GetMaxFlows(), numFlows: n.GetNumFlows(),
		}, up, n.GetState() == relaypb.NodeState_NODE_UNAVAILABLE}
	}
	return st, nil
}

// applyLocked takes new numbers: it tells restarts, and calls also for each agent before its old numbers are replaced.
func (s *session) applyLocked(st serverStatus, also func(*agent, numbers)) error {
	if !st.relay {
		return s.applyOneLocked(s.loneLocked(), st.lone, also)
	}
	for name, n := range st.nodes {
		a := s.agentLocked(name, true)
		if a == nil {
			continue
		}
		switch {
		case n.connected:
			s.outages.end(name, time.Now())
		case n.unavailable && time.Since(a.heard) > s.times.relayPoll:
			s.outages.begin(name, time.Now().UTC(), flow.GapNodeUnavailable, "Relay has no connection to the node; flows its ring still holds when it is back come late")
		}
		if err := s.applyOneLocked(a, n.numbers, also); err != nil {
			return err
		}
	}
	if st.listed {
		return s.leftLocked(st.nodes)
	}
	for name, a := range s.agents { // Relay gave no numbers
		if _, ok := st.nodes[name]; !ok {
			also(a, numbers{})
		}
	}
	return nil
}

func (s *session) applyOneLocked(a *agent, n numbers, also func(*agent, numbers)) error {
	if n.restarted(a.numbers) {
		g := a.restart(n)
		g.Detail = s.names.Name(fmt.Sprintf("the node's agent started anew %s ago; what its ring held is gone", n.uptime.Round(time.Second)))
		a.suspect = time.Time{}
		if oldest := wall(s.oldests[a.name]); n.seenFlows > n.maxFlows+1 && oldest.After(g.To) {
			g.To = oldest // the new ring has wrapped as well
		}
		g = a.watch.restart(g, s.sign)
		if err := s.gapLocked(g); err != nil {
			return err
		}
	} else {
		also(a, n)
	}
	if n.valid {
		n.last = a.last
		a.numbers = n
		a.seen.setRing(n.maxFlows)
	}
	return nil
}

// leftLocked forgets nodes that Relay no longer lists. One that could not be followed until it left was missed.
func (s *session) leftLocked(listed map[NodeName]nodeStatus) error {
	for name, a := range s.agents {
		if _, ok := listed[name]; ok {
			continue
		}
		if g, out := s.outages.end(name, time.Now().UTC()); out {
			g.Cause = flow.GapNodeGone
			if err := s.gapLocked(g); err != nil {
				return err
			}
		}
		if time.Since(a.heard) > forgetNode {
			delete(s.agents, name)
			s.metrics.forget(name)
		}
	}
	return nil
}

// accountable says whether the flows of a request can be counted against seen_flows, and says so in the log once.
func (s *session) accountable(req *observerpb.GetFlowsRequest, n numbers) bool {
	var why string
	switch {
	case s.relay.Load():
		why = "Relay's numbers are sums over changing sets of nodes"
	case s.cfg.HubbleTraffic == exclude && s.where.target.network != "unix" && len(s.template.GetWhitelist())+len(s.template.GetBlacklist()) == 0:
		why = "over TCP the agent leaves out Hubble's own traffic (hubble.hubble_traffic: exclude)"
	case !everything(req):
		why = "filters are set (hubble.allowlist, hubble.denylist)"
	case !n.valid:
		why = "the server tells no numbers (ServerStatus)"
	}
	if why != "" {
		s.unaccounted.Do(func() {
			s.logger.Info("flows that arrive cannot be counted against those the agents saw; a ring that overruns silently stays unnoticed", "why", why)
		})
	}
	s.setAccountingLocked(why == "")
	return why == ""
}

func (s *session) setAccountingLocked(on bool) {
	value := 0.0
	if on {
		value = 1
	}
	s.metrics.accounting.WithLabelValues(s.where.target.String()).Set(value)
}

// poll asks the server for its numbers again and again while the stream is open.
func (s *session) poll(ctx context.Context) {
	select { // a refused request fails at once, and must not look like being followed
	case <-s.first:
	case <-time.After(s.times.accept):
	case <-ctx.Done():
		return
	}
	for polls := 1; ; polls++ {
		s.mu.Lock()
		open := s.open
		s.mu.Unlock()
		st, err := s.status(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			s.mu.Lock()
			err = s.polledLocked(st, open, polls)
			s.mu.Unlock()
		}
		if errors.As(err, new(*trouble)) || errors.As(err, new(*stopError)) {
			s.end(err)
			return
		}
		wait := s.times.poll
		if s.relay.Load() {
			wait = s.times.relayPoll
		}
		select {
		case <-time.After(wait + rand.N(wait/10+1)):
		case <-ctx.Done():
			return
		}
	}
}

// polledLocked takes the answer to a poll.
func (s *session) polledLocked(st serverStatus, open bool, polls int) error {
	s.sign = time.Now()
	if err := s.followedLocked(st.count); err != nil {
		return err
	}
	if err := s.applyLocked(st, func(*agent, numbers) {}); err != nil {
		return err
	}
	if err := s.tellLocked(s.times.slice); err != nil {
		return err
	}
	mute := !st.relay && st.lone.valid && !s.from.since.IsZero() && !s.open && st.lone.seenFlows >= s.seenAtAsk+2
	if !mute {
		if err := s.watchLocked(st); err != nil {
			return err
		}
	}
	for name, a := range s.agents {
		a.age()
		labels := []string{name.Cluster.String(), name.Node.String()}
		if !a.last.IsZero() {
			s.metrics.lastFlow.WithLabelValues(labels...).Set(float64(a.last.UnixMilli()) / 1e3)
		}
		if a.numbers.valid && name.Node.String() != "" {
			s.metrics.seenFlows.WithLabelValues(labels...).Set(float64(a.numbers.seenFlows))
			s.metrics.maxFlows.WithLabelValues(labels...).Set(float64(a.numbers.maxFlows))
		}
	}
	if st.relay || !st.lone.valid {
		return nil
	}
	if mute && polls > 2 {
		s.noSince = true
		return errMute
	}
	return s.accountLocked(st.lone, open)
}

func (s *session) accountLocked(n numbers, open bool) error {
	if !s.accounts {
		return nil
	}
	a := s.loneLocked()
	from := s.quiet
	missing := s.account.poll(n.seenFlows, n.maxFlows, open, s.idle.Load())
	if s.account.off {
		s.accounts = false
		s.setAccountingLocked(false)
		s.logger.Warn("the flows that arrive do not add up to those the agent says it saw; they are no longer counted against each other")
	}
	if s.account.at == int64(n.seenFlows) && s.account.balanced {
		s.quiet = a.last
	}
	if missing == 0 {
		return nil
	}
	to := a.last
	if from.IsZero() || from.After(to) {
		from = to
	}
	return s.gapLocked(flow.Gap{
		Node: a.name.Node, Cluster: a.name.Cluster, From: from, To: to, Cause: flow.GapRingOverrun,
		Count: flow.Count{N: missing, Known: true}, Detail: s.names.Name("the agent saw more flows than came and said nothing of a loss (ServerStatus)"),
	})
}
