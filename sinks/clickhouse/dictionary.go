package clickhouse

import (
	"math"

	"github.com/ClickHouse/ch-go/proto"

	"sextant/collector/flow"
)

// dictionary gives the distinct names of one column of one block numbers of their own, the keys of a LowCardinality
// column, without hashing a text: it is indexed by the names' numbers. All columns share one, one after the other.
type dictionary struct {
	epoch uint32 // slots of other epochs are empty
	slots []slot
	most  int         // how many slots there may be
	names []flow.Name // names[key]
	extra map[flow.Name]uint32
	keys  []uint32 // one per row
}

type slot struct{ epoch, key uint32 }

const mostSlots = 1 << 20 // 8 MiB

func newDictionary() *dictionary {
	return &dictionary{epoch: 1, most: mostSlots, extra: map[flow.Name]uint32{}} // the zero slot is empty
}

// reset empties the dictionary for the next column.
func (d *dictionary) reset() {
	if d.epoch == math.MaxUint32 {
		d.epoch = 0
		clear(d.slots)
	}
	d.epoch++
	clear(d.names) // a handle kept here would keep its text in memory
	d.names = d.names[:0]
	clear(d.extra)
	d.keys = d.keys[:0]
}

// add appends the key of a name.
func (d *dictionary) add(name flow.Name) {
	if i := name.Number(); int(i) < len(d.slots) {
		// The comparison is for names of two interners, which may share a number.
		if s := d.slots[i]; s.epoch == d.epoch && d.names[s.key] == name {
			d.keys = append(d.keys, s.key)
			return
		}
	}
	d.keys = append(d.keys, d.find(name))
}

// find returns the key of a name that its slot does not tell.
func (d *dictionary) find(name flow.Name) uint32 {
	i := int(name.Number())
	if i < d.most && i >= len(d.slots) {
		d.slots = append(d.slots, make([]slot, min(max(i+1, 2*len(d.slots)), d.most)-len(d.slots))...)
	}
	if i < len(d.slots) && d.slots[i].epoch != d.epoch {
		key := d.next(name)
		d.slots[i] = slot{d.epoch, key}
		return key
	}
	key, ok := d.extra[name]
	if !ok {
		key = d.next(name)
		d.extra[name] = key
	}
	return key
}

func (d *dictionary) next(name flow.Name) uint32 {
	d.names = append(d.names, name)
	return uint32(len(d.names) - 1)
}

// lowCardinality is a column of type LowCardinality(String).
type lowCardinality struct {
	proto.ColLowCardinalityRaw
	words proto.ColStr
}

func newLowCardinality() *lowCardinality {
	c := new(lowCardinality)
	c.Index = &c.words
	return c
}

// set takes over what a dictionary has gathered, with keys as narrow as they can be, and empties the dictionary.
func (c *lowCardinality) set(d *dictionary) {
	c.words.Reset()
	for _, name := range d.names {
		c.words.Append(name.String())
	}
	switch n := len(d.names); {
	case n <= math.MaxUint8+1:
		c.Key = proto.KeyUInt8
		c.Keys8 = narrow(c.Keys8, d.keys)
	case n <= math.MaxUint16+1:
		c.Key = proto.KeyUInt16
		c.Keys16 = narrow(c.Keys16, d.keys)
	default:
		c.Key = proto.KeyUInt32
		c.Keys32 = narrow(c.Keys32, d.keys)
	}
	d.reset()
}

func narrow[K uint8 | uint16 | uint32, C ~[]K](dst C, keys []uint32) C {
	dst = dst[:0]
	for _, key := range keys {
		dst = append(dst, K(key))
	}
	return dst
}
