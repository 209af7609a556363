package spool

import (
	"fmt"
	"net/netip"
	"reflect"
	"time"
	"unsafe"

	"sextant/collector/flow"
)

// A layout is how the values of a struct lie in memory: a column for each value that is not a struct itself. It is made
// from the type, so that a new field is kept without a line here.
type layout struct {
	columns []column
	byPath  map[string]*column
}

// column is one value of a struct.
type column struct {
	path   string // "Source.IP": fields may be moved, and are found again by it
	offset uintptr
	codec  codec
}

// newLayout panics on a type that nobody has told how to write. A test makes the layouts of all rows.
func newLayout(t reflect.Type) *layout {
	l := &layout{byPath: map[string]*column{}}
	l.add(t, "", 0)
	for i := range l.columns {
		l.byPath[l.columns[i].path] = &l.columns[i]
	}
	return l
}

func (l *layout) add(t reflect.Type, path string, offset uintptr) {
	if codec, ok := codecs[t]; ok {
		l.columns = append(l.columns, column{path, offset, codec})
		return
	}
	if codec, ok := kinds[t.Kind()]; ok {
		l.columns = append(l.columns, column{path, offset, codec})
		return
	}
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("spool: %s is a %s, which cannot be written", path, t))
	}
	for f := range t.Fields() {
		name := f.Name
		if path != "" {
			name = path + "." + name
		}
		l.add(f.Type, name, offset+f.Offset)
	}
}

// kinds are the codecs of types that need no more than their kind to be known, enums for one.
var kinds = map[reflect.Kind]codec{
	reflect.Bool: codecOf(1, func(e *encoder, v bool) {
		if v {
			e.w.uvarint(1)
		} else {
			e.w.uvarint(0)
		}
	}, func(d *decoder) bool { return d.uvarint() != 0 }),
	reflect.Uint8:  codecOf(2, func(e *encoder, v uint8) { e.w.uvarint(uint64(v)) }, func(d *decoder) uint8 { return uint8(d.uvarint()) }),
	reflect.Uint16: codecOf(3, func(e *encoder, v uint16) { e.w.uvarint(uint64(v)) }, func(d *decoder) uint16 { return uint16(d.uvarint()) }),
	reflect.Uint32: codecOf(4, func(e *encoder, v uint32) { e.w.uvarint(uint64(v)) }, func(d *decoder) uint32 { return uint32(d.uvarint()) }),
	reflect.Uint64: codecOf(5, func(e *encoder, v uint64) { e.w.uvarint(v) }, func(d *decoder) uint64 { return d.uvarint() }),
	reflect.Int64:  codecOf(6, func(e *encoder, v int64) { e.w.varint(v) }, func(d *decoder) int64 { return d.varint() }),
}

// codecs are those of types of their own. The numbers stand in files.
var codecs = map[reflect.Type]codec{
	reflect.TypeFor[time.Time]():               codecOf(16, (*encoder).time, (*decoder).time),
	reflect.TypeFor[flow.UUID]():               codecOf(17, (*encoder).uuid, (*decoder).uuid),
	reflect.TypeFor[netip.Addr]():              codecOf(18, (*encoder).addr, (*decoder).addr),
	reflect.TypeFor[flow.Name]():               codecOf(19, (*encoder).name, (*decoder).name),
	reflect.TypeFor[flow.Names]():              codecOf(20, (*encoder).names, (*decoder).names),
	reflect.TypeFor[flow.Ref[flow.Endpoint]](): codecOf(21, (*encoder).endpoint, (*decoder).endpoint),
	reflect.TypeFor[[]netip.Addr]():            addrsCodec,
}

// codec writes and reads the values of one column.
type codec struct {
	number byte
	encode func(e *encoder, c *column, runs []rows) // writes nothing where all values are zero
	decode func(d *decoder, c *column, r rows, mode byte)
}

// Modes say how many values of a column were written.
const (
	modeOne byte = iota + 1 // one, which is that of all rows
	modeAll
)

func codecOf[T comparable](number byte, put func(*encoder, T), get func(*decoder) T) codec {
	encode := func(e *encoder, c *column, runs []rows) {
		first, zero := *at[T](runs[0], c, 0), *new(T)
		switch {
		case !alike(runs, c, first):
			e.column(c, modeAll, func() {
				for _, r := range runs {
					for i := range r.n {
						put(e, *at[T](r, c, i))
					}
				}
			})
		case first != zero:
			e.column(c, modeOne, func() { put(e, first) })
		}
	}
	decode := func(d *decoder, c *column, r rows, mode byte) {
		if mode == modeOne {
			v := get(d)
			for i := range r.n {
				*at[T](r, c, i) = v
			}
			return
		}
		for i := 0; i < r.n && d.err == nil; i++ {
			*at[T](r, c, i) = get(d)
		}
	}
	return codec{number, encode, decode}
}

func alike[T comparable](runs []rows, c *column, v T) bool {
	for _, r := range runs {
		for i := range r.n {
			if *at[T](r, c, i) != v {
				return false
			}
		}
	}
	return true
}

// addrsCodec is that of slices, which cannot be compared.
var addrsCodec = codec{
	number: 22,
	encode: func(e *encoder, c *column, runs []rows) {
		some := false
		for _, r := range runs {
			for i := 0; i < r.n && !some; i++ {
				some = len(*at[[]netip.Addr](r, c, i)) > 0
			}
		}
		if some {
			e.column(c, modeAll, func() {
				for _, r := range runs {
					for i := range r.n {
						e.addrs(*at[[]netip.Addr](r, c, i))
					}
				}
			})
		}
	},
	decode: func(d *decoder, c *column, r rows, _ byte) {
		for i := 0; i < r.n && d.err == nil; i++ {
			*at[[]netip.Addr](r, c, i) = d.addrs()
		}
	},
}

// rows are structs one after the other in memory, as a slice has them.
type rows struct {
	base unsafe.Pointer
	size uintptr
	n    int
}

func rowsOf(slice reflect.Value) rows {
	return rows{slice.UnsafePointer(), slice.Type().Elem().Size(), slice.Len()}
}

func at[T any](r rows, c *column, i int) *T {
	return (*T)(unsafe.Add(r.base, uintptr(i)*r.size+c.offset))
}

// table is one kind of rows in a batch.
type table struct {
	name  string // of the field of flow.Batch
	field int
	*layout
}

// tables are all kinds of rows that a batch has.
func tables() []table {
	var all []table
	t := reflect.TypeFor[flow.Batch]()
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() {
			all = append(all, table{f.Name, i, newLayout(f.Type.Elem())})
		}
	}
	return all
}
