package clickhouse

import (
	"context"
	"math"
	"net/netip"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/uuid"

	"sextant/collector/flow"
)

// block is an insert into one table: its columns in the form in which they travel. It is filled anew for each delivery
// and keeps its memory.
type block[R any] struct {
	table     string
	fields    []flow.Field[R]
	day       func(*R) time.Time // whose days are the table's partitions; nil where it has none
	keyed     bool               // the table keeps one of the rows that share their key
	statement string
	input     proto.Input
	fills     []func(rows [][]R)
	rows      [][]R // of the delivery, as long as it is being written

	digest *digest
	token  string // of the rows that were tried last
	rounds int    // of inserts that were begun for them
	blind  bool   // what was stored of them cannot be seen
}

func newBlock[R any](database string, t table, fields []flow.Field[R], d *dictionary) *block[R] {
	b := &block[R]{table: t.name, keyed: t.keyed(), fields: fields, digest: newDigest()}
	for i := range fields {
		data, fill := newColumn(&fields[i], d)
		b.input = append(b.input, proto.InputColumn{Name: fields[i].Name, Data: data})
		b.fills = append(b.fills, fill)
	}
	b.statement = "INSERT INTO " + path(database, t.name) + " " + b.input.Columns() + " VALUES"
	return b
}

// add appends rows to be written. They must not change until the next reset.
func (b *block[R]) add(rows []R) {
	if len(rows) > 0 {
		b.rows = append(b.rows, rows)
	}
}

func (b *block[R]) reset() {
	clear(b.rows)
	b.rows = b.rows[:0]
}

// insert sends the rows with which the block is filled. The server ignores them where it remembers the token, and repeated
// says so, where it tells. Without a token they are always stored.
func (b *block[R]) insert(ctx context.Context, c *conn, token string) (repeated bool, err error) {
	settings := []ch.Setting{
		{Key: "async_insert", Value: "0"}, // the default of newer servers would gather again what is gathered already
		{Key: "insert_deduplicate", Value: "0"},
	}
	if token != "" {
		settings[1].Value = "1"
		settings = append(settings, ch.Setting{Key: "insert_deduplication_token", Value: token})
	}
	err = c.do(ctx, ch.Query{Body: b.statement, Input: b.input, Settings: settings, OnProfileEvents: func(_ context.Context, events []ch.ProfileEvent) error {
		for _, e := range events {
			if e.Name == "DuplicatedInsertedBlocks" && e.Value > 0 {
				repeated = true
			}
		}
		return nil
	}})
	return repeated, rejection(err)
}

// fill turns rows into columns, one column at a time.
func (b *block[R]) fill(rows [][]R) {
	for _, fill := range b.fills {
		fill(rows)
	}
}

// newColumn returns an empty column and the function that fills it. The functions differ by type and repeat the same two
// loops, so that what differs is outside of them.
//
// Columns with types that have parameters say them in full and are not inferred: the server then converts where its
// table differs.
func newColumn[R any](f *flow.Field[R], d *dictionary) (proto.ColInput, func([][]R)) {
	switch {
	case f.Time != nil:
		col := new(proto.ColInt64)
		return proto.Alias(col, timeType), scatter(col, func(r *R) int64 { return nanoseconds(f.Time(r)) })
	case f.UUID != nil:
		col := new(proto.ColUUID)
		return col, scatter(col, func(r *R) uuid.UUID { return uuid.UUID(f.UUID(r)) })
	case f.Addr != nil:
		col := new(proto.ColIPv6)
		return col, scatter(col, func(r *R) proto.IPv6 { return ipv6(f.Addr(r)) })
	case f.Addrs != nil:
		return addrsColumn(f.Addrs)
	case f.U8 != nil:
		col := new(proto.ColUInt8)
		return col, scatter(col, f.U8)
	case f.U16 != nil:
		col := new(proto.ColUInt16)
		return col, scatter(col, f.U16)
	case f.U32 != nil:
		col := new(proto.ColUInt32)
		return col, scatter(col, f.U32)
	case f.U64 != nil:
		col := new(proto.ColUInt64)
		return col, scatter(col, f.U64)
	case f.Count != nil:
		return countColumn(f.Count)
	case isEnum8(f):
		col := new(proto.ColEnum8)
		return proto.Alias(col, proto.ColumnType(enumType(f.Words))), scatter(col, func(r *R) proto.Enum8 { return proto.Enum8(index(f, r)) })
	case f.Enum != nil: // too many words, which become names
		var names []flow.Name
		interner := flow.NewInterner()
		for _, w := range f.Words {
			names = append(names, interner.Name(w))
		}
		return nameColumn(d, func(r *R) flow.Name { return names[index(f, r)] })
	case f.Str != nil:
		return nameColumn(d, f.Str)
	case f.Strs != nil:
		return namesColumn(d, f.Strs)
	}
	panic("clickhouse: field " + f.Name + " has no getter")
}

// index returns the index of an enum's word; what has no word is unknown.
func index[R any](f *flow.Field[R], r *R) uint16 {
	if v := f.Enum(r); int(v) < len(f.Words) {
		return v
	}
	return 0
}

// scatter fills a column with one plain value per row.
func scatter[R, T any, C ~[]T](col *C, get func(*R) T) func([][]R) {
	return func(rows [][]R) {
		values := (*col)[:0]
		for _, run := range rows {
			for i := range run {
				values = append(values, get(&run[i]))
			}
		}
		*col = values
	}
}

func nameColumn[R any](d *dictionary, get func(*R) flow.Name) (proto.ColInput, func([][]R)) {
	col := newLowCardinality()
	return col, func(rows [][]R) {
		for _, run := range rows {
			for i := range run {
				d.add(get(&run[i]))
			}
		}
		col.set(d)
	}
}

func namesColumn[R any](d *dictionary, get func(*R) flow.Names) (proto.ColInput, func([][]R)) {
	data := newLowCardinality()
	col := &array{data: data}
	return col, func(rows [][]R) {
		col.offsets = col.offsets[:0]
		for _, run := range rows {
			for i := range run {
				for _, name := range get(&run[i]).Get() {
					d.add(name)
				}
				col.offsets = append(col.offsets, uint64(len(d.keys)))
			}
		}
		data.set(d)
	}
}

func addrsColumn[R any](get func(*R) []netip.Addr) (proto.ColInput, func([][]R)) {
	data := new(proto.ColIPv6)
	col := &array{data: data}
	return col, func(rows [][]R) {
		addrs, offsets := (*data)[:0], col.offsets[:0]
		for _, run := range rows {
			for i := range run {
				for _, addr := range get(&run[i]) {
					addrs = append(addrs, ipv6(addr))
				}
				offsets = append(offsets, uint64(len(addrs)))
			}
		}
		*data, col.offsets = addrs, offsets
	}
}

func countColumn[R any](get func(*R) flow.Count) (proto.ColInput, func([][]R)) {
	values := new(proto.ColUInt64)
	col := proto.NewColNullable(values)
	return col, func(rows [][]R) {
		col.Nulls, *values = col.Nulls[:0], (*values)[:0]
		for _, run := range rows {
			for i := range run {
				count, null := get(&run[i]), uint8(1)
				if count.Known {
					null = 0
				}
				col.Nulls, *values = append(col.Nulls, null), append(*values, count.N)
			}
		}
	}
}

// array is a column of lists: the elements of all rows, and for each row where its own end. The client's own array
// column takes elements by text only.
type array struct {
	offsets proto.ColUInt64
	data    proto.ColInput
}

func (a *array) Type() proto.ColumnType { return a.data.Type().Array() }
func (a *array) Rows() int              { return a.offsets.Rows() }

func (a *array) EncodeState(b *proto.Buffer) {
	if s, ok := a.data.(proto.StateEncoder); ok {
		s.EncodeState(b)
	}
}

func (a *array) EncodeColumn(b *proto.Buffer) {
	a.offsets.EncodeColumn(b)
	a.data.EncodeColumn(b)
}

func (a *array) WriteColumn(w *proto.Writer) {
	a.offsets.WriteColumn(w)
	a.data.WriteColumn(w)
}

// nanoseconds returns the time since 1970, within the years that the type can hold. An absent time is 1970.
func nanoseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case s < 0:
		return 0
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// ipv6 returns the 16 bytes of an address, an IPv4 one mapped, an absent one as ::.
func ipv6(a netip.Addr) proto.IPv6 {
	if !a.IsValid() {
		return proto.IPv6{}
	}
	return a.As16()
}
