package kube

import (
	"sync/atomic"

	"sextant/collector/flow"
)

// mergeKey is what an end is made of: what Hubble told, what an index knows of the pod, and where it is known to live.
type mergeKey struct {
	told, who  flow.Ref[flow.Endpoint]
	namespace  flow.Name // of its identity
	cluster    flow.Name // of its node
	node, zone flow.Name
}

// merged is what becomes of it.
type merged struct {
	mergeKey
	endpoint      flow.Ref[flow.Endpoint]
	otherWorkload bool // Hubble and the index do not tell the same
}

// merge puts together what was told. Where there are two words for one thing, Hubble's stands.
func (s *Stage) merge(x *Index, key mergeKey) *merged {
	m := &merged{mergeKey: key}
	e, who := key.told.Get(), key.who.Get()
	fill(&e.Cluster, who.Cluster)
	fill(&e.Cluster, key.cluster)
	fill(&e.Namespace, who.Namespace)
	fill(&e.Namespace, key.namespace)
	fill(&e.Pod, who.Pod)
	if e.Workload.IsZero() {
		e.Workload, e.WorkloadKind = who.Workload, who.WorkloadKind
	}
	m.otherWorkload = differ(e.Workload, who.Workload) || differ(e.WorkloadKind, who.WorkloadKind)
	fill(&e.Node, key.node)
	if e.Node == key.node {
		fill(&e.Zone, key.zone)
		if at, ok := x.Node(key.node); ok {
			e.Region = at.Region
		}
	}
	e.Tags = who.Tags
	m.endpoint = s.names.Endpoint(e)
	return m
}

func fill(into *flow.Name, name flow.Name) {
	if into.IsZero() {
		*into = name
	}
}

// differ reports whether two words for one thing are there and not the same.
func differ(a, b flow.Name) bool { return a != b && !a.IsZero() && !b.IsZero() }

// cache keeps what was merged. What is put takes the place of another thing with the same short hash, of which there are a
// few, so that it never grows; and nobody waits for anybody.
type cache struct {
	sets [cacheSets][cacheWays]atomic.Pointer[merged]
	next atomic.Uint32
}

const (
	cacheSets = 1 << 13
	cacheWays = 8
)

func (c *cache) set(key *mergeKey) *[cacheWays]atomic.Pointer[merged] {
	hash := uint64(key.told.Number())*0x9e3779b97f4a7c15 ^ uint64(key.who.Number())*0xc2b2ae3d27d4eb4f ^
		uint64(key.node.Number())*0x165667b19e3779f9 ^ uint64(key.zone.Number())*0x27d4eb2f165667c5 ^ uint64(key.namespace.Number())*0x85ebca77c2b2ae63
	return &c.sets[(hash^hash>>29)>>7%cacheSets]
}

func (c *cache) get(key *mergeKey) *merged {
	set := c.set(key)
	for i := range set {
		if m := set[i].Load(); m != nil && m.mergeKey == *key {
			return m
		}
	}
	return nil
}

func (c *cache) put(m *merged) {
	set := c.set(&m.mergeKey)
	for i := range set {
		if set[i].CompareAndSwap(nil, m) {
			return
		}
	}
	set[c.next.Add(1)%cacheWays].Store(m)
}
