package spool

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"sextant/collector/flow"
)

// errForeign marks what a newer program has written.
var errForeign = errors.New("a newer sextant wrote it")

// maxRaw bounds what a payload may grow to.
const maxRaw = 1 << 30

// decoder reads what an encoder wrote. It keeps its memory and is not safe for concurrent use.
type decoder struct {
	interner *flow.Interner
	tables   map[string]table
	ends     *layout

	in  []byte // what is left
	err error  // the first one; what is read afterwards is zero

	addrList []netip.Addr
	nameList []flow.Name
	listList []flow.Names
	endList  []flow.Ref[flow.Endpoint]
	second   int64 // of the time that was read last in a column

	batch    flow.Batch
	raw      bytes.Buffer
	inflater io.ReadCloser
	unknown  []string // paths of columns that are left out, as this program has none of that name and type
}

func newDecoder(interner *flow.Interner) *decoder {
	d := &decoder{
		interner: interner, tables: map[string]table{}, ends: newLayout(reflect.TypeFor[flow.Endpoint]()),
		inflater: flate.NewReader(nil),
	}
	for _, t := range tables() {
		d.tables[t.name] = t
	}
	return d
}

// decode returns the rows of a payload, of which there are so many. They are valid until the next call.
func (d *decoder) decode(payload []byte, count int) (*flow.Batch, error) {
	defer d.forget()
	d.err = nil
	d.in = d.decompress(payload)
	d.read(count)
	if d.err != nil {
		return nil, d.err
	}
	return &d.batch, nil
}

func (d *decoder) read(count int) {
	for n := d.count(); n > 0 && d.err == nil; n-- {
		var a netip.Addr
		if a.UnmarshalBinary(d.bytes()) != nil {
			d.fail("address")
		}
		d.addrList = append(d.addrList, a)
	}
	for n := d.count(); n > 0 && d.err == nil; n-- {
		d.nameList = append(d.nameList, d.interner.Bytes(d.bytes()))
	}
	var list []flow.Name
	for n := d.count(); n > 0 && d.err == nil; n-- {
		list = list[:0]
		for m := d.count(); m > 0 && d.err == nil; m-- {
			list = append(list, d.name())
		}
		d.listList = append(d.listList, d.interner.Names(list))
	}
	n := d.count()
	ends := make([]flow.Endpoint, n)
	d.table(d.ends, rowsOf(reflect.ValueOf(ends)))
	for _, end := range ends {
		d.endList = append(d.endList, d.interner.Endpoint(end))
	}

	d.reset()
	for n := d.count(); n > 0 && d.err == nil; n-- {
		name := string(d.bytes())
		rows := d.uvarint()
		if rows > uint64(count) || d.err != nil {
			d.fail("number of rows")
			return
		}
		count -= int(rows)
		t, known := d.tables[name]
		if !known {
			d.err = fmt.Errorf("rows of kind %q: %w", name, errForeign)
			return
		}
		slice := reflect.ValueOf(&d.batch).Elem().Field(t.field)
		if slice.Len() > 0 {
			d.fail("table")
			return
		}
		slice.Set(grown(slice, int(rows)))
		d.table(t.layout, rowsOf(slice))
	}
	if count != 0 || len(d.in) != 0 {
		d.fail("end")
	}
}

// grown returns a slice of n zero values, in the same memory where there is enough.
func grown(slice reflect.Value, n int) reflect.Value {
	if slice.Cap() < n {
		return reflect.MakeSlice(slice.Type(), n, n)
	}
	slice = slice.Slice(0, n)
	slice.Clear()
	return slice
}

// reset empties the batch and keeps its memory.
func (d *decoder) reset() {
	for _, t := range d.tables {
		slice := reflect.ValueOf(&d.batch).Elem().Field(t.field)
		slice.Clear()
		slice.SetLen(0)
	}
}

// free gives the memory back.
func (d *decoder) free() {
	d.batch, d.raw = flow.Batch{}, bytes.Buffer{}
}

func (d *decoder) decompress(payload []byte) []byte {
	n, used := binary.Uvarint(payload)
	if used <= 0 || n > maxRaw {
		d.fail("length")
		return nil
	}
	in := bytes.NewReader(payload[used:])
	if err := d.inflater.(flate.Resetter).Reset(in, nil); err != nil {
		d.fail("compression")
		return nil
	}
	d.raw.Reset()
	if m, err := d.raw.ReadFrom(io.LimitReader(d.inflater, int64(n)+1)); err != nil || m != int64(n) || in.Len() != 0 {
		d.fail("compression")
		return nil
	}
	return d.raw.Bytes()
}

// forget lets go of what rows hold.
func (d *decoder) forget() {
	clear(d.nameList)
	clear(d.listList)
	clear(d.endList)
	d.addrList, d.nameList, d.listList, d.endList, d.in = d.addrList[:0], d.nameList[:0], d.listList[:0], d.endList[:0], nil
}

// table reads columns into rows that are zero.
func (d *decoder) table(l *layout, r rows) {
	raw := d.take(2)
	if d.err != nil {
		return
	}
	for n := binary.LittleEndian.Uint16(raw); n > 0 && d.err == nil; n-- {
		path := d.bytes()
		head := d.take(6)
		if d.err != nil {
			return
		}
		number, mode := head[0], head[1]
		values := d.take(uint64(binary.LittleEndian.Uint32(head[2:])))
		if d.err != nil {
			return
		}
		c := l.byPath[string(path)]
		if c == nil || c.codec.number != number {
			if !slices.Contains(d.unknown, string(path)) {
				d.unknown = append(d.unknown, string(path))
			}
			continue
		}
		rest := d.in
		d.in, d.second = values, 0
		if r.n > 0 {
			c.codec.decode(d, c, r, mode)
		}
		if len(d.in) > 0 || mode != modeOne && mode != modeAll {
			d.fail(c.path)
		}
		d.in = rest
	}
}

func (d *decoder) fail(what string) {
	d.in = nil
	if d.err == nil {
		d.err = fmt.Errorf("%s cannot be read", what)
	}
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.in)) {
		d.fail("length")
		return nil
	}
	taken := d.in[:n]
	d.in = d.in[n:]
	return taken
}

func (d *decoder) bytes() []byte { return d.take(d.uvarint()) }

// count reads how many things follow, each of at least one byte.
func (d *decoder) count() int {
	n := d.uvarint()
	if n > uint64(len(d.in)) {
		d.fail("number")
		return 0
	}
	return int(n)
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.in)
	if n <= 0 {
		d.fail("number")
		return 0
	}
	d.in = d.in[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.in)
	if n <= 0 {
		d.fail("number")
		return 0
	}
	d.in = d.in[n:]
	return v
}

func (d *decoder) time() time.Time {
	d.second += d.varint()
	return time.Unix(d.second, int64(d.uvarint())).UTC()
}

func (d *decoder) uuid() (u flow.UUID) {
	copy(u[:], d.take(16))
	return u
}

func (d *decoder) addr() netip.Addr { return numbered(d, d.addrList) }

func (d *decoder) addrs() []netip.Addr {
	n := d.count()
	if n == 0 {
		return nil
	}
	list := make([]netip.Addr, n)
	for i := range list {
		list[i] = d.addr()
	}
	return list
}

func (d *decoder) name() flow.Name { return numbered(d, d.nameList) }

func (d *decoder) names() flow.Names { return numbered(d, d.listList) }

func (d *decoder) endpoint() flow.Ref[flow.Endpoint] { return numbered(d, d.endList) }

// numbered reads the number of a value, see dictionary.
func numbered[T any](d *decoder, list []T) (v T) {
	n := d.uvarint()
	switch {
	case n > uint64(len(list)):
		d.fail("number")
	case n > 0:
		v = list[n-1]
	}
	return v
}
