package spool

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"net/netip"
	"reflect"
	"time"

	"sextant/collector/flow"
)

// The rows of a delivery are written column by column, as most columns of a delivery are empty, the same in all rows, or
// repeat few names: addresses, names, lists of names and endpoints are written once and then told by number.
//
//	length of the following before compression
//	addresses, names, lists of names: their number, then each
//	endpoints: a table
//	the other tables: their number, then the name of each and itself
//
// A table is its number of rows, its number of columns, and for each column its path, codec, mode, length and values. So
// rows can be read by a program that has other columns, or has them elsewhere.

// encoder writes deliveries. It keeps its memory and is not safe for concurrent use.
type encoder struct {
	tables []table
	ends   *layout // of endpoints

	w                *writer // one of the following
	head, body, tail writer
	compressed       bytes.Buffer
	flate            *flate.Writer

	addrSet dictionary[netip.Addr]
	nameSet dictionary[flow.Name]
	listSet dictionary[flow.Names]
	endSet  dictionary[flow.Ref[flow.Endpoint]]

	second   int64     // of the time that was written last in a column
	from, to time.Time // the first and the last time in the rows
}

func newEncoder() *encoder {
	e := &encoder{tables: tables(), ends: newLayout(reflect.TypeFor[flow.Endpoint]())}
	e.flate, _ = flate.NewWriter(&e.compressed, flate.BestSpeed) // the error is about the level
	return e
}

// encode returns the rows of the batches, one batch after the other, and when the first and the last of them were. The
// bytes are valid until the next call.
func (e *encoder) encode(batches []*flow.Batch) (payload []byte, from, to time.Time) {
	defer e.forget()
	e.head, e.body, e.tail = e.head[:0], e.body[:0], e.tail[:0]
	e.from, e.to = time.Time{}, time.Time{}

	e.w = &e.body
	n := 0
	for _, t := range e.tables {
		var runs []rows
		for _, b := range batches {
			if slice := reflect.ValueOf(b).Elem().Field(t.field); slice.Len() > 0 {
				runs = append(runs, rowsOf(slice))
			}
		}
		if len(runs) > 0 {
			e.w.string(t.name)
			e.table(t.layout, runs)
			n++
		}
	}
	e.w = &e.tail
	var ends []flow.Endpoint
	for _, ref := range e.endSet.list {
		ends = append(ends, ref.Get())
	}
	e.table(e.ends, []rows{rowsOf(reflect.ValueOf(ends))})
	e.w.uvarint(uint64(n))

	e.w = &e.head // last, when all names are known
	e.w.uvarint(uint64(len(e.addrSet.list)))
	for _, a := range e.addrSet.list {
		raw, _ := a.MarshalBinary() // never fails
		e.w.string(string(raw))
	}
	e.w.uvarint(uint64(len(e.nameSet.list)))
	for _, name := range e.nameSet.list {
		e.w.string(name.Get())
	}
	e.w.uvarint(uint64(len(e.listSet.list)))
	for _, list := range e.listSet.list {
		e.w.uvarint(uint64(len(list.Get())))
		for _, name := range list.Get() {
			e.name(name)
		}
	}
	return e.compress(e.head, e.tail, e.body), e.from, e.to
}

func (e *encoder) compress(parts ...[]byte) []byte {
	e.compressed.Reset()
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	e.compressed.Write(binary.AppendUvarint(nil, uint64(n)))
	e.flate.Reset(&e.compressed)
	for _, p := range parts {
		_, _ = e.flate.Write(p) // memory takes all
	}
	_ = e.flate.Close()
	return e.compressed.Bytes()
}

// forget lets go of what rows hold.
func (e *encoder) forget() {
	e.addrSet.clear()
	e.nameSet.clear()
	e.listSet.clear()
	e.endSet.clear()
}

func (e *encoder) table(l *layout, runs []rows) {
	n := 0
	for _, r := range runs {
		n += r.n
	}
	e.w.uvarint(uint64(n))
	count := len(*e.w)
	*e.w = append(*e.w, 0, 0)
	if n == 0 {
		return
	}
	columns := 0
	for i := range l.columns {
		before := len(*e.w)
		l.columns[i].codec.encode(e, &l.columns[i], runs)
		if len(*e.w) > before {
			columns++
		}
	}
	binary.LittleEndian.PutUint16((*e.w)[count:], uint16(columns))
}

// column writes a column whose values values writes.
func (e *encoder) column(c *column, mode byte, values func()) {
	e.w.string(c.path)
	*e.w = append(*e.w, c.codec.number, mode, 0, 0, 0, 0)
	begin := len(*e.w)
	e.second = 0
	values()
	binary.LittleEndian.PutUint32((*e.w)[begin-4:], uint32(len(*e.w)-begin))
}

func (e *encoder) time(t time.Time) {
	second := t.Unix()
	e.w.varint(second - e.second)
	e.w.uvarint(uint64(t.Nanosecond()))
	e.second = second
	if t.IsZero() {
		return
	}
	if e.from.IsZero() || t.Before(e.from) {
		e.from = t
	}
	if t.After(e.to) {
		e.to = t
	}
}

func (e *encoder) uuid(u flow.UUID) { *e.w = append(*e.w, u[:]...) }

func (e *encoder) addr(a netip.Addr) {
	if !a.IsValid() {
		e.w.uvarint(0)
		return
	}
	number, _ := e.addrSet.number(a)
	e.w.uvarint(number)
}

func (e *encoder) addrs(list []netip.Addr) {
	e.w.uvarint(uint64(len(list)))
	for _, a := range list {
		e.addr(a)
	}
}

func (e *encoder) name(n flow.Name) { e.w.uvarint(e.nameNumber(n)) }

func (e *encoder) nameNumber(n flow.Name) uint64 {
	if n.IsZero() {
		return 0
	}
	number, _ := e.nameSet.number(n)
	return number
}

func (e *encoder) names(list flow.Names) {
	if list.IsZero() {
		e.w.uvarint(0)
		return
	}
	number, added := e.listSet.number(list)
	if added {
		for _, n := range list.Get() {
			e.nameNumber(n)
		}
	}
	e.w.uvarint(number)
}

func (e *encoder) endpoint(ref flow.Ref[flow.Endpoint]) {
	if ref.IsZero() {
		e.w.uvarint(0)
		return
	}
	number, _ := e.endSet.number(ref)
	e.w.uvarint(number)
}

// dictionary numbers values from 1 in the order in which they come.
type dictionary[T comparable] struct {
	numbers map[T]uint64
	list    []T
}

func (d *dictionary[T]) number(v T) (number uint64, added bool) {
	if number, ok := d.numbers[v]; ok {
		return number, false
	}
	if d.numbers == nil {
		d.numbers = map[T]uint64{}
	}
	d.list = append(d.list, v)
	d.numbers[v] = uint64(len(d.list))
	return uint64(len(d.list)), true
}

func (d *dictionary[T]) clear() {
	clear(d.numbers)
	clear(d.list)
	d.list = d.list[:0]
}

// writer appends to itself.
type writer []byte

func (w *writer) uvarint(v uint64) { *w = binary.AppendUvarint(*w, v) }

func (w *writer) varint(v int64) { *w = binary.AppendVarint(*w, v) }

func (w *writer) string(s string) {
	w.uvarint(uint64(len(s)))
	*w = append(*w, s...)
}
