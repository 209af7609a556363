package track

import (
	"sync"

	"sextant/collector/flow"
)

// entry is a connection under way, or what may become one: it begins with the first flow of its key, of whatever kind,
// so that the order in which flows arrive does not matter.
type entry struct {
	flow.Connection // what will be said of it, as far as it is known

	hash         uint64
	next         *entry // in its chain, and among the free
	older, newer *entry // by when they were last heard of
	node         *node  // that showed it first, by whose clock …
	opened       moment // … this was
	touched      moment // … and it was last heard of
	first, last  moment // of its flows
	facts
	attempt
}

// shard is a part of the connections with a lock of its own.
type shard struct {
	mu             sync.Mutex
	chains         []*entry
	oldest, newest *entry
	free           *entry
	held, limit    int
}

func newShard(limit int) *shard {
	size := 1
	for size < limit {
		size *= 2
	}
	return &shard{chains: make([]*entry, size), limit: limit}
}

func (sh *shard) chain(hash uint64) **entry {
	return &sh.chains[hash>>shardBits&uint64(len(sh.chains)-1)]
}

// find returns the connection that a flow belongs to. Ports are used again, so there may be several of one key, of which
// the one that was under way at the flow's time is meant.
func (sh *shard) find(v *sight, cfg *Config) *entry {
	var best *entry
	for e := *sh.chain(v.hash); e != nil; e = e.next {
		if e.is(v) && e.takes(v, cfg) && (best == nil || e.nearer(best, v)) {
			best = e
		}
	}
	return best
}

func (e *entry) is(v *sight) bool {
	k := &v.key
	return e.hash == v.hash && e.Source.Port == k.fromPort && e.Source.IP == k.from && e.Destination.IP == k.to &&
		(e.Destination.Port == k.toPort || v.anyPort && e.candidate) &&
		e.Protocol == k.protocol && e.Family == k.family && e.Cluster == k.cluster
}

// takes reports whether a flow of the same key can still be one of this connection.
func (e *entry) takes(v *sight, cfg *Config) bool {
	idle := e.idle(cfg)
	if v.at > e.last+idle || v.at < e.first-max(idle, moment(cfg.MergeWindow)) {
		return false
	}
	if span := e.span(cfg); span > 0 && v.at >= e.first+span {
		return false
	}
	// A SYN after an end is a new connection, unless it may be the one that began this: another node's view, or one that
	// another CPU's events overtook.
	return !v.start() || e.end == 0 || v.at <= e.end || v.at-e.first <= moment(cfg.MergeWindow)
}

// nearer reports whether a flow is rather of e than of o: a SYN of the one that began nearest to it, any other flow of the
// last one that began before it.
func (e *entry) nearer(o *entry, v *sight) bool {
	mine, other := v.at-e.first, v.at-o.first
	if v.start() {
		return max(mine, -mine) < max(other, -other)
	}
	if mine < 0 || other < 0 {
		return mine > other
	}
	return mine < other
}

// open makes a connection of a key. The caller has made room.
func (sh *shard) open(v *sight, n *node, wall moment) *entry {
	e := sh.free
	if e == nil {
		e = &entry{}
	} else {
		sh.free = e.next
	}
	k := &v.key
	e.hash = v.hash
	e.Cluster, e.Family, e.Protocol = k.cluster, k.family, k.protocol
	e.Source.IP, e.Source.Port = k.from, k.fromPort
	e.Destination.IP, e.Destination.Port = k.to, k.toPort
	e.first, e.last = v.at, v.at
	e.node, e.opened = n, n.now(wall)
	head := sh.chain(v.hash)
	e.next, *head = *head, e
	sh.held++
	return e
}

// touch notes that a flow of the connection was seen.
func (sh *shard) touch(e *entry, wall moment) {
	e.touched = e.node.now(wall)
	if sh.newest == e {
		return
	}
	sh.unlink(e)
	e.older, e.newer = sh.newest, nil
	if sh.newest != nil {
		sh.newest.newer = e
	} else {
		sh.oldest = e
	}
	sh.newest = e
}

func (sh *shard) unlink(e *entry) {
	if e.older != nil {
		e.older.newer = e.newer
	} else if sh.oldest == e {
		sh.oldest = e.newer
	}
	if e.newer != nil {
		e.newer.older = e.older
	} else if sh.newest == e {
		sh.newest = e.older
	}
}

// remove forgets a connection. The entry is used again.
func (sh *shard) remove(e *entry) {
	sh.unlink(e)
	at := sh.chain(e.hash)
	for *at != e {
		at = &(*at).next
	}
	*at = e.next
	*e = entry{next: sh.free}
	sh.free = e
	sh.held--
}
