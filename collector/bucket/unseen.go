package bucket

import (
	"net/netip"

	"sextant/collector/flow"
)

// expectLocked holds a bucket for every node whose own uses of a registry do not show, as long as the registry is in use at
// all: that nothing was seen of it must be told as that, and not as nothing. It returns what could not be seen of a bucket.
func (s *Stage) expectLocked(at moment) func(*held) flow.Unseen {
	facts := s.facts.Load()
	inUse := map[*limit]map[flow.Name]bool{} // in which clusters
	for h := s.held.oldest; h != nil; h = h.newer {
		h.expected = false
		if inUse[h.limit] == nil {
			inUse[h.limit] = map[flow.Name]bool{}
		}
		inUse[h.limit][h.cluster] = inUse[h.limit][h.cluster] || len(h.parts) > 0
	}
	if facts == nil || len(facts.Nodes) == 0 {
		return func(*held) flow.Unseen { return flow.UnseenUnknown }
	}
	events := s.Events != nil && s.Events()
	behind := map[*limit]map[place]flow.Unseen{} // what is not seen of the nodes behind a bucket
	worst := map[*limit]flow.Unseen{}            // … of any node
	astray := map[*limit]flow.Unseen{}           // … of those whose addresses are not known: they may be behind any bucket
	for l, clusters := range inUse {
		registry := len(s.catalogue.main(l).Registries) > 0
		behind[l], worst[l], astray[l] = map[place]flow.Unseen{}, flow.UnseenNothing, flow.UnseenNothing
		for name := range facts.Nodes {
			n := facts.Nodes[name]
			word := n.unseen(registry && events)
			worst[l] = worse(worst[l], word)
			if !n.IPv4.IsValid() && !n.IPv6.IsValid() {
				astray[l] = worse(astray[l], word)
			}
			for p := range s.placesOf(l, name, &n, at) {
				before, ok := behind[l][p]
				if !ok {
					before = flow.UnseenNothing
				}
				behind[l][p] = worse(before, word)
			}
		}
		if !registry || l.Allowed == 0 || worst[l] != flow.UnseenNode {
			continue
		}
		for p, word := range behind[l] {
			if word != flow.UnseenNode || !p.prefix.IsValid() {
				continue
			}
			for cluster, used := range clusters {
				if used && (facts.Cluster.IsZero() || cluster == facts.Cluster) {
					s.expectOne(key{l, cluster, p.prefix, p.family})
				}
			}
		}
	}
	return func(h *held) flow.Unseen {
		if !facts.Cluster.IsZero() && !h.cluster.IsZero() && h.cluster != facts.Cluster {
			return flow.UnseenUnknown
		}
		if word, ok := behind[h.limit][place{prefix: h.prefix, family: h.family}]; ok {
			return worse(word, astray[h.limit])
		}
		if w, ok := worst[h.limit]; ok && !h.prefix.IsValid() {
			return w // the nodes may be behind it, too
		}
		if w, ok := astray[h.limit]; ok {
			return w
		}
		return flow.UnseenNothing // no node's own address is in it
	}
}

// mostExpected bounds the buckets that are held for nodes of which nothing shows.
const mostExpected = 1 << 12

func (s *Stage) expectOne(k key) {
	h := s.held.buckets[k]
	if h == nil {
		if len(s.held.buckets) >= mostExpected {
			return
		}
		h = s.held.hold(k, s.names)
		h.evidence = flow.BucketInferred
	}
	h.expected = true
}

// placesOf yields the buckets into which a node's own uses may fall: as the service said, else as its addresses tell.
func (s *Stage) placesOf(l *limit, name flow.Name, n *Node, at moment) func(yield func(place) bool) {
	return func(yield func(place) bool) {
		main := s.catalogue.main(l)
		allIPv4 := len(main.Hosts) > 0
		for _, host := range main.Hosts {
			allIPv4 = allIPv4 && !l.HasIPv6(host)
		}
		for _, a := range [...]netip.Addr{n.IPv4, n.IPv6} {
			if !a.IsValid() || a.Is6() && allIPv4 {
				continue
			}
			p, ok := l.place(s.out(a, flow.Inferred, flow.FamilyOf(a), false))
			p.evidence = flow.BucketUnknown
			if t, told := s.told[asked{l, name, flow.FamilyOf(a)}]; told && t.Prefix.IsValid() && t.fresh(l, at.time()) {
				p.prefix, p.family = t.Prefix, flow.FamilyOf(t.Prefix.Addr())
			}
			if ok && !yield(p) {
				return
			}
		}
		if n.IPv6.IsValid() && s.pools.nat64.IsValid() {
			if p, ok := l.place(s.out(netip.Addr{}, flow.EvidenceNone, flow.FamilyIPv6, true)); ok {
				p.evidence = flow.BucketUnknown
				yield(p)
			}
		}
	}
}

// main returns the limit whose hosts a limit is for.
func (c *Catalogue) main(l *limit) *limit {
	if l.Of == "" {
		return l
	}
	return c.byName[l.Of]
}
