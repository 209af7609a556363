package hubble

import (
	"hash/maphash"

	"sextant/collector/flow"
)

// seen remembers the newest flows of one node, to tell those that a resumed stream delivers again. It holds at least
// limit and at most twice as many, as 64-bit hashes in two generations: the older one is forgotten when the younger one
// is full. A ring cannot deliver again what is not in it, so the ring's size is the limit.
//
// Memory is at most about 20 bytes a flow: 160 KB for a node with Hubble's default ring of 4,095, 2.6 MB for the largest
// of 65,535; less for nodes that see less. Two different flows are taken for one once in about 10^15 flows.
type seen struct {
	limit      int
	young, old map[uint64]struct{}
}

const (
	largestRing = 1<<16 - 1 // pkg/hubble/container Capacity65535
	ringSlack   = 1024      // flows under way: Relay sorts up to 100, and an agent holds 1000 outside its ring
)

// setRing says how many events the node's ring holds; 0 is unknown.
func (s *seen) setRing(size uint64) {
	if size == 0 || size > largestRing {
		size = largestRing
	}
	s.limit = int(size) + ringSlack
}

// add notes a flow and says whether it was known.
func (s *seen) add(id uint64) (again bool) {
	if _, again = s.young[id]; again {
		return true
	}
	if _, again = s.old[id]; again {
		return true
	}
	if s.young == nil {
		s.young = map[uint64]struct{}{}
	}
	if len(s.young) >= s.limit {
		s.young, s.old = s.old, s.young
		clear(s.young)
		if s.young == nil {
			s.young = map[uint64]struct{}{}
		}
	}
	s.young[id] = struct{}{}
	return false
}

// identity is what a flow is recognised by: its uuid, or all its bytes where an old agent sent none.
func identity(seed maphash.Seed, uuid flow.UUID, raw []byte) uint64 {
	if uuid != (flow.UUID{}) {
		return maphash.Bytes(seed, uuid[:])
	}
	return maphash.Bytes(seed, raw)
}
