package bucket

import (
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
)

// key is which bucket.
type key struct {
	limit   *limit
	cluster flow.Name
	prefix  netip.Prefix
	family  flow.Family
}

// held is a bucket that is held in memory.
type held struct {
	key
	name     flow.Name
	evidence flow.BucketEvidence
	parts    []used
	index    map[part]int32 // into parts, where there are many
	last     *flow.Bucket   // as it was told last
	lastTold time.Time      // … in our time
	expected bool           // told though nothing was seen: a node's own uses do not show

	older, newer *held
	bytes        int
}

// part is whose uses of one kind.
type part struct {
	node, namespace, workload, pod, image flow.Name
	side                                  flow.Side
	measure                               flow.Measure
}

type used struct {
	part
	series
}

func partOf(c *flow.Charge) part {
	return part{c.Node, c.Namespace, c.Workload, c.Pod, c.Image, c.Side, c.Measure}
}

// rest is the part in which a use is counted when a bucket has too many. What a node did itself stays with the node, as it
// is compared node by node.
func (p part) rest() part {
	if p.side == flow.SideHost {
		return part{node: p.node, side: p.side, measure: p.measure}
	}
	return part{side: p.side, measure: p.measure}
}

const (
	manyParts = 16      // that are looked through one by one
	mostParts = 1 << 12 // of a bucket, beside the rest
)

// Bytes that things take, by measurement, rounded up.
const (
	bytesOfBucket = 800
	bytesOfPart   = 180
	bytesOfCell   = 24
)

// table is the buckets, bounded by the memory that they take.
type table struct {
	limit   int
	evicted prometheus.Counter

	buckets        map[key]*held
	bytes          int
	oldest, newest *held             // by when they were used last
	lost           map[*limit]uint32 // the latest grain of uses that were let go of
}

func newTable(most int, evicted prometheus.Counter) table {
	return table{limit: most, evicted: evicted, buckets: map[key]*held{}, lost: map[*limit]uint32{}}
}

// hold returns a bucket, a new one where there is none, as the one used last.
func (t *table) hold(k key, names *flow.Interner) *held {
	h := t.buckets[k]
	if h == nil {
		h = &held{key: k, name: names.Name(text(k.prefix))}
		t.buckets[k] = h
		t.take(h, bytesOfBucket)
	} else {
		if t.newest == h {
			return h
		}
		t.unlink(h)
	}
	h.older = t.newest
	if t.newest != nil {
		t.newest.newer = h
	} else {
		t.oldest = h
	}
	t.newest = h
	return h
}

func (t *table) take(h *held, bytes int) {
	h.bytes += bytes
	t.bytes += bytes
}

// add adds uses to a bucket that is held, and makes room where there is none left. The bucket may be gone afterwards.
func (t *table) add(h *held, p part, grain, uses uint32, limited bool) {
	refused := uint32(0)
	if limited {
		refused = uses
	}
	u := t.part(h, p)
	t.take(h, bytesOfCell*u.add(grain, uses, refused))
	t.trim()
}

// trim makes room.
func (t *table) trim() {
	for t.bytes > t.limit && t.oldest != nil {
		t.evict(t.oldest)
	}
}

func (t *table) part(h *held, p part) *used {
	if u := h.find(p); u != nil {
		return u
	}
	if len(h.parts) >= mostParts {
		p = p.rest()
		if u := h.find(p); u != nil {
			return u
		}
	}
	h.parts = append(h.parts, used{part: p})
	if h.index != nil {
		h.index[p] = int32(len(h.parts) - 1)
	} else if len(h.parts) > manyParts {
		h.reindex()
	}
	t.take(h, bytesOfPart)
	return &h.parts[len(h.parts)-1]
}

func (h *held) find(p part) *used {
	if h.index != nil {
		if i, ok := h.index[p]; ok {
			return &h.parts[i]
		}
		return nil
	}
	for i := range h.parts {
		if h.parts[i].part == p {
			return &h.parts[i]
		}
	}
	return nil
}

func (h *held) reindex() {
	h.index = nil
	if len(h.parts) <= manyParts {
		return
	}
	h.index = make(map[part]int32, len(h.parts))
	for i := range h.parts {
		h.index[h.parts[i].part] = int32(i)
	}
}

// evict lets go of a bucket for want of room.
func (t *table) evict(h *held) {
	for i := range h.parts {
		if s := h.parts[i].series; len(s) > 0 {
			t.lost[h.limit] = max(t.lost[h.limit], s[len(s)-1].grain)
		}
	}
	t.evicted.Inc()
	t.drop(h)
}

// drop lets go of a bucket.
func (t *table) drop(h *held) {
	t.unlink(h)
	delete(t.buckets, h.key)
	t.bytes -= h.bytes
	h.bytes = 0
}

func (t *table) unlink(h *held) {
	if h.older != nil {
		h.older.newer = h.newer
	} else {
		t.oldest = h.newer
	}
	if h.newer != nil {
		h.newer.older = h.older
	} else {
		t.newest = h.older
	}
	h.older, h.newer = nil, nil
}

// forget drops what lies before a grain.
func (t *table) forget(h *held, first uint32) {
	kept := h.parts[:0]
	for i := range h.parts {
		u := &h.parts[i]
		t.take(h, -bytesOfCell*u.forget(first))
		if len(u.series) > 0 {
			kept = append(kept, *u)
		} else {
			t.take(h, -bytesOfPart)
		}
	}
	if len(kept) == len(h.parts) {
		return
	}
	clear(h.parts[len(kept):])
	h.parts = kept
	h.reindex()
}

// lossy reports whether uses that would count in a window were let go of.
func (t *table) lossy(l *limit, first uint32) bool {
	last, ok := t.lost[l]
	return ok && last >= first
}
