package flow

import (
	"sync"
	"sync/atomic"
)

// Batch is a run of records, connections and other rows that travels through the pipeline as one. The stage that holds it may change it;
// once it reaches the sinks it is read-only and shared, and the last holder's Release makes it ready for reuse.
type Batch struct {
	Records     []Record
	Connections []Connection
	Gaps        []Gap
	Pulls       []Pull
	Items       []Item
	Beats       []Beat
	Charges     []Charge
	Buckets     []Bucket

	refs atomic.Int32
	pool *Pool
}

// Next appends an empty record and returns it for filling. The pointer is valid until the next call.
func (b *Batch) Next() *Record {
	if len(b.Records) < cap(b.Records) {
		b.Records = b.Records[:len(b.Records)+1]
		r := &b.Records[len(b.Records)-1]
		*r = Record{}
		return r
	}
	b.Records = append(b.Records, Record{})
	return &b.Records[len(b.Records)-1]
}

// Drop takes back the record that Next returned last.
func (b *Batch) Drop() { b.Records = b.Records[:len(b.Records)-1] }

// Len returns the number of rows of all kinds.
func (b *Batch) Len() int {
	return len(b.Records) + len(b.Connections) + len(b.Gaps) + len(b.Pulls) + len(b.Items) + len(b.Beats) +
		len(b.Charges) + len(b.Buckets)
}

// Retain adds n holders.
func (b *Batch) Retain(n int) { b.refs.Add(int32(n)) }

// Release gives up one hold; after the last one the batch must not be touched.
func (b *Batch) Release() {
	switch left := b.refs.Add(-1); {
	case left > 0:
	case left < 0:
		panic("flow: batch released more often than it was held")
	case b.pool != nil:
		b.Records, b.Connections, b.Gaps = b.Records[:0], b.Connections[:0], b.Gaps[:0]
		b.Pulls, b.Items, b.Beats = b.Pulls[:0], b.Items[:0], b.Beats[:0]
		b.Charges, b.Buckets = b.Charges[:0], b.Buckets[:0]
		b.pool.pool.Put(b)
	}
}

// Pool hands out batches with room for a number of records. It is safe for concurrent use.
type Pool struct {
	size int
	pool sync.Pool
}

// NewPool returns a pool of batches of size records.
func NewPool(size int) *Pool { return &Pool{size: size} }

// Size returns the number of records a batch has room for.
func (p *Pool) Size() int { return p.size }

// Get returns an empty batch with one holder, the caller.
func (p *Pool) Get() *Batch {
	b, _ := p.pool.Get().(*Batch)
	if b == nil {
		b = &Batch{Records: make([]Record, 0, p.size), pool: p}
	}
	b.refs.Store(1)
	return b
}
