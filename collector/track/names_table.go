package track

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// namesTable is a map with room for a number of entries, which forgets those that were put longest ago. It allocates
// while it fills up, and then no more. It is no Go map because keys here are long, and would stand in the map and in the
// order of age both.
type namesTable[K comparable, V any] struct {
	seed  maphash.Seed
	heads []int32           // by hash, the first slot of a chain
	slots []namesSlot[K, V] // slot 0 ends every chain, and is where the ring of ages begins and ends
	limit int
}

type namesSlot[K comparable, V any] struct {
	key          K
	value        V
	next         int32 // in its chain
	newer, older int32 // slot 0 is newer than the newest and older than the oldest
}

// tableState is what put found.
type tableState uint8

const (
	tableFound   tableState = iota // the value of the key
	tableFresh                     // a zero value
	tableEvicted                   // the value of the key that had to go, for the caller to look at and to overwrite
)

func newNamesTable[K comparable, V any](limit int) *namesTable[K, V] {
	return &namesTable[K, V]{
		seed:  maphash.MakeSeed(),
		heads: make([]int32, 1<<bits.Len(uint(limit-1))),
		slots: make([]namesSlot[K, V], 1),
		limit: limit,
	}
}

func (t *namesTable[K, V]) len() int { return len(t.slots) - 1 }

func (t *namesTable[K, V]) head(key K) *int32 {
	return &t.heads[maphash.Comparable(t.seed, key)&uint64(len(t.heads)-1)]
}

// get returns the value of a key, or nil. The pointer is valid until the next put.
func (t *namesTable[K, V]) get(key K) *V {
	if i := t.find(*t.head(key), key); i != 0 {
		return &t.slots[i].value
	}
	return nil
}

func (t *namesTable[K, V]) find(i int32, key K) int32 {
	for i != 0 && t.slots[i].key != key {
		i = t.slots[i].next
	}
	return i
}

// put returns the place of a key's value, which is now the newest. The pointer is valid until the next put.
func (t *namesTable[K, V]) put(key K) (*V, tableState) {
	state := tableFound
	head := t.head(key)
	i := t.find(*head, key)
	switch {
	case i != 0:
		t.leaveRing(i)
	case t.len() < t.limit:
		state = tableFresh
		if len(t.slots) == cap(t.slots) {
			t.slots = slices.Grow(t.slots, min(len(t.slots), t.limit-t.len()))
		}
		i = int32(len(t.slots))
		t.slots = append(t.slots, namesSlot[K, V]{key: key, next: *head})
		*head = i
	default:
		state = tableEvicted
		i = t.slots[0].newer // around the ring, the oldest
		t.leaveRing(i)
		t.leaveChain(i)
		t.slots[i].key, t.slots[i].next = key, *head
		*head = i
	}
	t.joinRing(i)
	return &t.slots[i].value, state
}

func (t *namesTable[K, V]) leaveChain(i int32) {
	at := t.head(t.slots[i].key)
	for *at != i {
		at = &t.slots[*at].next
	}
	*at = t.slots[i].next
}

// joinRing makes slot i the newest.
func (t *namesTable[K, V]) joinRing(i int32) {
	before := t.slots[0].older
	t.slots[i].newer, t.slots[i].older = 0, before
	t.slots[0].older, t.slots[before].newer = i, i
}

func (t *namesTable[K, V]) leaveRing(i int32) {
	s := &t.slots[i]
	t.slots[s.newer].older, t.slots[s.older].newer = s.older, s.newer
}
