package track

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sextant/collector/flow"
)

// shadow takes a flow with a pod's identity and its node's address for what it is: the same packet after iptables
// masqueraded it, if it is known to have left the pod with the same ports, else a proxy's that speaks for the pod. The
// proxy's queries to DNS servers look alike but have no such twin.
func (s *Stage) shadow(sh *shard, e *entry, v *sight) word {
	e.shadow, e.identity, e.stack = true, v.r.Source.Endpoint.Get().Identity, v.r.Node
	for p := *sh.chain(e.hash); p != nil; p = p.next {
		if s.twins(p, e) {
			e.masks(p)
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
		case !s.sameWay(p, e):
		case s.twins(p, e):
			e.masks(p)
		case e.View == flow.ViewNode && !e.candidate:
			e.shadow = true
		}
	}
}

// twins reports whether e is p after iptables masqueraded it: the same but for the source address, on the same node and
// with the same identity.
func (s *Stage) twins(p, e *entry) bool {
	return e.shadow && !p.shadow && p.stack == e.stack && s.sameWay(p, e) && p.Source.Endpoint.Get().Identity == e.identity
}

// masks notes that e is p with another source address.
func (e *entry) masks(p *entry) {
	e.paired = true
	if !p.outside.IsValid() || e.Source.IP.Less(p.outside) {
		p.outside = e.Source.IP
	}
}

// sameWay reports whether two connections go at the same time from the same port to the same server.
func (s *Stage) sameWay(p, e *entry) bool {
	return p.Source.Port == e.Source.Port && p.Destination.Port == e.Destination.Port && p.Destination.IP == e.Destination.IP &&
		p.Protocol == e.Protocol && p.Source.IP != e.Source.IP && p.Cluster == e.Cluster &&
		p.first <= e.last+p.idle(&s.cfg) && e.first <= p.last+p.idle(&s.cfg)
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

// proxies remembers which connections a proxy took over, to recognise those that it then makes itself: Envoy's come from
// the pod's address but another port, those of a DNS proxy that is not transparent from the node's address with the pod's
// identity.
type proxies struct {
	some atomic.Bool // there is a proxy
	mu   sync.Mutex
	last [1024]struct {
		ends uint64
		at   moment
	}
}

// legWithin is how long after the pod's connection the proxy's may begin.
const legWithin = time.Second

func (s *Stage) noteProxied(v *sight) {
	p := &s.proxies
	p.some.Store(true)
	k := v.key
	own := s.between(&k)
	k.from = identityAddr(v.initiator().Endpoint.Get().Identity)
	stranger := s.between(&k)

	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ends := range [...]uint64{own, stranger} {
		if ends == own && !viaEnvoy(v.r) {
			continue
		}
		l := &p.last[ends%uint64(len(p.last))]
		if l.ends != ends || v.at > l.at {
			l.ends, l.at = ends, v.at
		}
	}
}

// isLeg reports whether a connection is the second leg of one that a proxy took over.
func (s *Stage) isLeg(e *entry) bool {
	switch {
	case e.shadow:
		return true
	case e.counted, !s.proxies.some.Load():
		return false
	}
	k := key{from: e.Source.IP, to: e.Destination.IP, toPort: e.Destination.Port, protocol: e.Protocol}
	if source := e.Source.Endpoint.Get(); isEndpoint(source.Identity) && source.ID == 0 && source.Pod.IsZero() {
		k.from = identityAddr(source.Identity)
	} else if e.Protocol != flow.TCP {
		return false
	}
	ends := s.between(&k)
	p := &s.proxies
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &p.last[ends%uint64(len(p.last))]
	e.shadow = l.ends == ends && e.first >= l.at-moment(s.cfg.MergeWindow) && e.first <= l.at+moment(legWithin)
	return e.shadow
}

// identityAddr is an address that stands for an identity. No host has one like it (RFC 1122 section 3.2.1.3).
func identityAddr(id uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{0, byte(id >> 16), byte(id >> 8), byte(id)})
}
