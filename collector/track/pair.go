package track

import (
	"sync"
	"sync/atomic"
	"time"

	"sextant/collector/flow"
)

// shadow takes a flow with a pod's identity and its node's address for what it is: the same packet after iptables
// masqueraded it, if it is known to have left the pod with the same ports, else a proxy's that speaks for the pod. The
// proxy's queries to DNS servers look alike but have no such twin.
func (s *Stage) shadow(sh *shard, e *entry, v *sight) word {
	e.shadow, e.identity = true, v.r.Source.Endpoint.Get().Identity
	for p := *sh.chain(e.hash); p != nil; p = p.next {
		if s.twins(p, e) && p.stack == v.r.Node {
			e.paired = true
			if lessAddr(e.Source.IP, p.outside) {
				p.outside = e.Source.IP
			}
		}
	}
	if e.paired {
		return wordEvidence
	}
	return wordProxyLeg
}

// pairPod looks for flows of a pod's connection that came before its own: after masquerade, or answers to the node.
func (s *Stage) pairPod(sh *shard, p *entry) {
	for e := *sh.chain(p.hash); e != nil; e = e.next {
		switch {
		case e == p || !s.sameWay(p, e):
		case e.shadow && s.twins(p, e):
			e.paired = true
			if lessAddr(e.Source.IP, p.outside) {
				p.outside = e.Source.IP
			}
		case e.View == flow.ViewNode && !e.candidate:
			e.shadow = true
		}
	}
}

// twins reports whether e may be p with another source address.
func (s *Stage) twins(p, e *entry) bool {
	return p != e && !p.shadow && !p.stack.IsZero() && s.sameWay(p, e) &&
		p.Source.Endpoint.Get().Identity == e.identity
}

// sameWay reports whether two connections go at the same time from the same port to the same server.
func (s *Stage) sameWay(p, e *entry) bool {
	return p.Source.Port == e.Source.Port && p.Destination.Port == e.Destination.Port && p.Destination.IP == e.Destination.IP &&
		p.Protocol == e.Protocol && p.Source.IP != e.Source.IP && p.Cluster == e.Cluster &&
		!p.First.After(e.Last.Add(p.idle(&s.cfg))) && !e.First.After(p.Last.Add(p.idle(&s.cfg)))
}

// nodeReply takes an answer that enters a node and is for the node. Where the node shows what leaves through its device,
// its own connections show there. Else such answers are all that shows of them, and those of pods that iptables
// masqueraded look alike: there the pod's packet has shown, with the same port.
func (s *Stage) nodeReply(sh *shard, e *entry, v *sight, n *node) word {
	if n.toNetwork.Load() || e.shadow {
		return wordReply
	}
	for p := *sh.chain(e.hash); p != nil; p = p.next {
		if p != e && (p.shadow || isEndpoint(p.Source.Endpoint.Get().Identity)) && s.sameWay(p, e) {
			e.shadow = true
			return wordReply
		}
	}
	node := *v
	node.view = flow.ViewNode
	e.view(&node)
	if e.counted {
		return wordReply
	}
	return e.count(v, true)
}

// proxies remembers which connections Envoy took over, to recognise those that it then makes itself: from the same pod,
// or with its identity, to the same server, but from another port.
type proxies struct {
	some atomic.Bool // there is an Envoy
	mu   sync.Mutex
	last [1024]struct {
		ends uint64
		at   time.Time
	}
}

// legWithin is how long after the pod's connection the proxy's may begin.
const legWithin = time.Second

func (p *proxies) note(s *Stage, v *sight) {
	p.some.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	ends := s.between(&v.key)
	l := &p.last[ends%uint64(len(p.last))]
	if l.ends != ends || v.r.Time.After(l.at) {
		l.ends, l.at = ends, v.r.Time
	}
}

// isLeg reports whether a connection is the second leg of one that Envoy took over.
func (s *Stage) isLeg(e *entry) bool {
	switch {
	case e.shadow:
		return true
	case e.counted, e.proxied, e.Protocol != flow.TCP, !s.proxies.some.Load():
		return false
	}
	k := key{from: e.Source.IP, to: e.Destination.IP, toPort: e.Destination.Port, protocol: e.Protocol}
	ends := s.between(&k)
	p := &s.proxies
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &p.last[ends%uint64(len(p.last))]
	e.shadow = l.ends == ends && !e.First.Before(l.at.Add(-s.cfg.MergeWindow)) && !e.First.After(l.at.Add(legWithin))
	return e.shadow
}
