package flow

import (
	"encoding/binary"
	"hash/maphash"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"
	"weak"
)

// Ref is a handle on an immutable, interned value. While any handle on a value is held, interning an equal value gives
// an equal handle, so handles are compared with == and used as map keys instead of the values.
//
// The zero Ref stands for the zero value.
type Ref[V any] struct{ e *entry[V] }

type entry[V any] struct {
	value  V
	number uint32
}

// Get returns the value, which must not be changed.
func (r Ref[V]) Get() V {
	if r.e == nil {
		var zero V
		return zero
	}
	return r.e.value
}

// Number returns a small number that is the value's own while a handle on it is held, and may become another value's
// afterwards: whoever indexes by number keeps the handle beside the number. The zero Ref has number 0.
func (r Ref[V]) Number() uint32 {
	if r.e == nil {
		return 0
	}
	return r.e.number
}

// IsZero reports whether r stands for the zero value.
func (r Ref[V]) IsZero() bool { return r.e == nil }

// Name is a handle on an interned string.
type Name struct{ Ref[string] }

// String returns the text.
func (n Name) String() string { return n.Get() }

// Names is a handle on an interned list of names.
type Names struct{ Ref[[]Name] }

// Interner turns names, lists and endpoints into handles. It is safe for concurrent use. Its memory is bounded by what
// is in use: a value that nobody holds any more is forgotten, but for the most recent few tens of thousands, which are
// kept so that a value in steady use is not made again after each batch.
type Interner struct {
	seed      maphash.Seed
	names     table[string, string]
	lists     table[string, []Name]
	endpoints table[Endpoint, Endpoint]
}

// NewInterner returns an empty interner.
func NewInterner() *Interner { return &Interner{seed: maphash.MakeSeed()} }

// Bytes interns a text that the caller may overwrite afterwards.
func (in *Interner) Bytes(text []byte) Name {
	return in.Name(unsafe.String(unsafe.SliceData(text), len(text)))
}

// Name interns a text. The text is copied when it is new.
func (in *Interner) Name(text string) Name {
	if text == "" {
		return Name{}
	}
	hash := maphash.String(in.seed, text)
	e := in.names.find(hash, text)
	if e == nil {
		text = strings.Clone(text)
		e = in.names.add(hash, text, text)
	}
	return Name{Ref[string]{e}}
}

// Names interns a list of names that come from this interner. The list is copied when it is new. An empty list is the
// zero Names.
func (in *Interner) Names(list []Name) Names {
	if len(list) == 0 {
		return Names{}
	}
	// The numbers of its names are a list's key: a list that is still in use holds its names, so they are theirs alone.
	var buf [128]byte
	key := buf[:0]
	for _, n := range list {
		key = binary.NativeEndian.AppendUint32(key, n.Number())
	}
	hash := maphash.Bytes(in.seed, key)
	e := in.lists.find(hash, unsafe.String(unsafe.SliceData(key), len(key)))
	if e == nil {
		e = in.lists.add(hash, string(key), slices.Clone(list))
	}
	runtime.KeepAlive(list) // the numbers must stay theirs until here
	return Names{Ref[[]Name]{e}}
}

// Endpoint interns an endpoint whose names come from this interner.
func (in *Interner) Endpoint(ep Endpoint) Ref[Endpoint] {
	if ep == (Endpoint{}) {
		return Ref[Endpoint]{}
	}
	hash := maphash.Comparable(in.seed, ep)
	e := in.endpoints.find(hash, ep)
	if e == nil {
		e = in.endpoints.add(hash, ep, ep)
	}
	return Ref[Endpoint]{e}
}

const (
	shards     = 64
	keepRecent = 512 // per shard and kind
)

// table holds weak pointers, so that the garbage collector decides what is still in use. The standard library's unique
// package does the same, but gives no numbers.
type table[K comparable, V any] struct {
	shards  [shards]shard[K, V]
	numbers numbers
}

type shard[K comparable, V any] struct {
	mu     sync.Mutex
	m      map[K]weak.Pointer[entry[V]]
	recent [keepRecent]*entry[V]
	next   int
}

// find returns the entry of key, or nil. It keeps nothing of the key.
func (t *table[K, V]) find(hash uint64, key K) *entry[V] {
	s := &t.shards[hash%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[key].Value()
}

// add returns the entry of key, which is made with value unless another goroutine was faster. It keeps both.
func (t *table[K, V]) add(hash uint64, key K, value V) *entry[V] {
	s := &t.shards[hash%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.m[key].Value(); e != nil {
		return e
	}
	e := &entry[V]{value: value, number: t.numbers.take()}
	if s.m == nil {
		s.m = map[K]weak.Pointer[entry[V]]{}
	}
	s.m[key] = weak.Make(e)
	s.recent[s.next%keepRecent] = e
	s.next++
	runtime.AddCleanup(e, func(number uint32) { t.forget(s, key, number) }, e.number)
	return e
}

func (t *table[K, V]) forget(s *shard[K, V], key K, number uint32) {
	s.mu.Lock()
	if s.m[key].Value() == nil { // else the key was interned anew in the meantime
		delete(s.m, key)
	}
	s.mu.Unlock()
	t.numbers.give(number)
}

func (t *table[K, V]) len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += len(s.m)
		s.mu.Unlock()
	}
	return n
}

// Len returns how many distinct names the interner holds, for its own metrics.
func (in *Interner) Len() int { return in.names.len() }

// numbers hands out the smallest numbers it can cheaply find, from 1.
type numbers struct {
	mu   sync.Mutex
	last uint32
	free []uint32
}

func (n *numbers) take() uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.free) > 0 {
		number := n.free[len(n.free)-1]
		n.free = n.free[:len(n.free)-1]
		return number
	}
	n.last++
	return n.last
}

func (n *numbers) give(number uint32) {
	n.mu.Lock()
	n.free = append(n.free, number)
	n.mu.Unlock()
}
