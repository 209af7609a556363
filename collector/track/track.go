// Package track makes connections of flows. One connection shows in many flows, on two nodes, with replies, translated
// copies and policy verdicts in between; track counts it once, says what became of it, and knows when IPv4 took over from
// an IPv6 attempt that failed.
//
// It decides by the flows and their verdicts alone and refuses to know where verdicts come from. What it cannot see it
// does not invent: a connection whose begin was not seen is late, one whose answers cannot be seen has no outcome. It
// never looks at what a packet carries.
//
// # What counts
//
// Counted is decided the moment a flow is seen, by a rule that needs no memory but that the connection was not counted
// before, so that collectors that share the nodes between them count the same flows: what goes to a pod counts where it
// arrives (TO_ENDPOINT), everything else where it leaves. A connection to a pod whose node is not followed therefore
// becomes a row, but none of its flows is counted.
//
// # Limits
//
// Flows that arrive later than their fellows by more than the merge window may become a connection of their own. Two
// connections of the same addresses and ports that begin within the merge window of one another are one, and so are
// datagrams and pings of which nothing tells them apart. A connection that is silent longer than its idle time is told, and
// told again, as late, when it is heard anew. That Envoy's connection to a pod stands for another shows only to who follows
// both nodes. A connection that is held takes about 800 bytes.
package track

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"sextant/collector/flow"
)

// AAAA remembers DNS answers.
type AAAA interface {
	// Usable reports whether, at that time, the pod had been answered an AAAA for the name that it could have used. It is
	// asked when an IPv4 connection's name becomes known, and must not wait for anything.
	Usable(pod flow.Ref[flow.Endpoint], name flow.Name, at time.Time) bool
}

// Stage sets Counted and Duplicate of flows and appends to batches the connections that have ended. It is safe for
// concurrent use.
type Stage struct {
	AAAA AAAA // set before the first batch; nil: no IPv4 is avoidable

	cfg     Config
	seed    uint64
	say     vocabulary
	nodes   nodes
	recent  recent
	shards  []*shard
	rooms   *rooms
	proxies proxies
	evicted atomic.Uint64
}

// shardBits of a hash choose the shard.
const shardBits = 6

// New returns a stage that holds nothing yet. The configuration must be valid.
func New(cfg Config, names *flow.Interner) *Stage {
	s := &Stage{cfg: cfg, seed: rand.Uint64(), say: newVocabulary(names), rooms: newRooms(&cfg)}
	count := 1 << shardBits
	for count > 1 && cfg.Capacity/count < 64 { // small shards fill unevenly
		count /= 2
	}
	for range count {
		s.shards = append(s.shards, newShard(cfg.Capacity/count))
	}
	return s
}

func (s *Stage) shard(hash uint64) *shard { return s.shards[hash&uint64(len(s.shards)-1)] }

// Process tracks the records of a batch. In a steady state it allocates nothing.
func (s *Stage) Process(b *flow.Batch) {
	wall := moment(time.Now().UnixNano())
	var n *node
	var name nodeName
	for i := range b.Records {
		r := &b.Records[i]
		if at := (nodeName{r.Node, r.Cluster}); n == nil || at != name {
			n, name = s.nodes.of(r), at
		}
		n.see(r, wall)
		s.track(b, r, n, wall)
	}
}

func (s *Stage) track(b *flow.Batch, r *flow.Record, n *node, wall moment) {
	r.Counted, r.Duplicate = false, flow.Name{}
	v, why := s.look(r)
	if why != wordNone {
		if why == wordUntracked {
			s.inherit(&v)
		}
		r.Duplicate = s.say.words[why]
		return
	}
	if !s.settle(&v, n) {
		r.Duplicate = s.say.words[wordUntracked]
		return
	}
	if s.recent.again(identity(&v)) {
		r.Duplicate = s.say.words[wordRedelivered]
		return
	}
	sh := s.shard(v.hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.find(&v, &s.cfg)
	if e == nil {
		if v.anyPort { // the forward flow, with the right port, made the connection if anybody saw it
			r.Duplicate = s.say.words[wordReply]
			return
		}
		if sh.held >= sh.limit {
			s.evict(b, sh, wall)
		}
		e = sh.open(&v, n, wall)
	}
	sh.touch(e, wall)
	if word := s.merge(sh, e, &v, n); word != wordNone {
		r.Duplicate = s.say.words[word]
	} else {
		r.Counted = true
	}
	if e.news {
		e.news = false
		s.rooms.update(e)
	}
}

// settle finds out what the record alone does not tell: who began, and which port the initiator had before it was
// translated. It reports false where nobody can know.
func (s *Stage) settle(v *sight, n *node) bool {
	switch {
	case v.role == roleEvidence && !s.known(v):
		if port, ok := n.leftLast(s.between(&v.key)); ok {
			v.key.fromPort = port
			v.hash = s.hash(&v.key)
		}
	case v.guessed && !s.known(v):
		other := *v
		other.turn()
		other.hash = s.hash(&other.key)
		if s.known(&other) {
			*v = other
			return true
		}
		return v.r.Protocol != flow.TCP
	}
	return true
}

// known reports whether a connection is under way that a flow would be one of.
func (s *Stage) known(v *sight) bool {
	sh := s.shard(v.hash)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.find(v, &s.cfg)
	return e != nil && e.View != flow.ViewUnknown
}

// between hashes the ends of a connection without the initiator's port.
func (s *Stage) between(k *key) uint64 {
	other := key{from: k.from, to: k.to, fromPort: k.toPort, protocol: k.protocol}
	back := key{to: k.from}
	return mix(s.hash(&other), s.hash(&back)|1)
}

// evict makes room by telling early of the connection that was silent longest.
func (s *Stage) evict(b *flow.Batch, sh *shard, wall moment) {
	e := sh.oldest
	now := e.node.now(wall)
	if !e.due(now, &s.cfg) && e.told() {
		s.evicted.Add(1)
	}
	s.tell(b, sh, e, now)
}

// Flush appends the connections that are due to the batch: those that ended, or that were silent for their idle time,
// and for the merge window on top. With end it appends all, and the stage is as new. It is safe for concurrent use, also
// with Process.
func (s *Stage) Flush(b *flow.Batch, end bool) {
	wall := moment(time.Now().UnixNano())
	for _, sh := range s.shards {
		sh.mu.Lock()
		for e := sh.oldest; e != nil; {
			newer := e.newer
			now := e.node.now(wall)
			if end {
				now = endOfTime
			}
			switch {
			case end || e.due(now, &s.cfg):
				s.tell(b, sh, e, now)
			case now-e.touched <= s.cfg.shortest()+moment(s.cfg.MergeWindow): // nothing after it can be due
				newer = nil
			}
			e = newer
		}
		sh.mu.Unlock()
	}
}

// Held appends the connections that are under way, as they would be told if they ended now. They stay held. It is safe for
// concurrent use, also with Process.
func (s *Stage) Held(b *flow.Batch) {
	for _, sh := range s.shards {
		sh.mu.Lock()
		for e := sh.oldest; e != nil; e = e.newer {
			shadow := e.shadow
			leg := !e.told() || s.isLeg(e)
			e.shadow = shadow // flows to come may tell otherwise
			if leg {
				continue
			}
			now := *e
			now.fellBack()
			now.finish(&s.say)
			b.Connections = append(b.Connections, now.Connection)
		}
		sh.mu.Unlock()
	}
}

const endOfTime = moment(math.MaxInt64)

// tell appends a connection and forgets it.
func (s *Stage) tell(b *flow.Batch, sh *shard, e *entry, now moment) {
	s.rooms.leave(e, now)
	if e.told() && !s.isLeg(e) {
		e.finish(&s.say)
		b.Connections = append(b.Connections, e.Connection)
	}
	sh.remove(e)
}

// Stats are numbers about the stage itself.
type Stats struct {
	Held    int    // connections held, and flows that may become some
	Evicted uint64 // connections told early because there was no room, since the begin
}

// Stats returns them as they are now.
func (s *Stage) Stats() Stats {
	st := Stats{Evicted: s.evicted.Load()}
	for _, sh := range s.shards {
		sh.mu.Lock()
		st.Held += sh.held
		sh.mu.Unlock()
	}
	return st
}
