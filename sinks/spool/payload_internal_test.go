package spool

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
)

var hostile = []string{"kind-worker", "", "\x00", "\xff\xfe", "日本", `"`, strings.Repeat("x", 70_000)}

// filler gives rows values.
type filler struct {
	names *flow.Interner
	rand  *rand.Rand
}

func newFiller(seed uint64) *filler {
	return &filler{flow.NewInterner(), rand.New(rand.NewPCG(seed, 0))}
}

// leaf returns a value of a type that is no struct of plain values, if it is one.
func (f *filler) leaf(t reflect.Type) (any, bool) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return time.Unix(f.rand.Int64N(1e10)-1e9, f.rand.Int64N(1e9)).UTC(), true
	case reflect.TypeFor[netip.Addr]():
		return f.addr(), true
	case reflect.TypeFor[[]netip.Addr]():
		list := make([]netip.Addr, 1+f.rand.IntN(3))
		for i := range list {
			list[i] = f.addr()
		}
		return list, true
	case reflect.TypeFor[flow.UUID]():
		return flow.UUID{byte(f.rand.Uint32()), 15: 1}, true
	case reflect.TypeFor[flow.Name]():
		return f.name(), true
	case reflect.TypeFor[flow.Names]():
		list := make([]flow.Name, 1+f.rand.IntN(3))
		for i := range list {
			list[i] = f.name()
		}
		return f.names.Names(list), true
	case reflect.TypeFor[flow.Ref[flow.Endpoint]]():
		var ep flow.Endpoint
		f.fill(reflect.ValueOf(&ep).Elem(), 3)
		return f.names.Endpoint(ep), true
	}
	return nil, false
}

func (f *filler) name() flow.Name {
	if i := f.rand.IntN(40); i < len(hostile) {
		return f.names.Name(hostile[i])
	}
	return f.names.Name(fmt.Sprint("name-", f.rand.IntN(100)))
}

func (f *filler) addr() netip.Addr {
	addrs := []string{"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0", "::", "0.0.0.0"}
	return netip.MustParseAddr(addrs[f.rand.IntN(len(addrs))])
}

// fill sets a value and all in it, each with a chance of one in so many.
func (f *filler) fill(v reflect.Value, chance int) {
	if value, ok := f.leaf(v.Type()); ok {
		if f.rand.IntN(chance) == 0 {
			v.Set(reflect.ValueOf(value))
		}
		return
	}
	switch {
	case v.Kind() == reflect.Struct:
		for _, field := range v.Fields() {
			f.fill(field, chance)
		}
	case f.rand.IntN(chance) > 0:
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanUint():
		v.SetUint(f.rand.Uint64() >> f.rand.IntN(64))
	case v.CanInt():
		v.SetInt(f.rand.Int64())
	default:
		panic(fmt.Sprintf("a %s, which this test cannot set", v.Type()))
	}
}

// batch returns up to n rows of every kind, whatever kinds there are.
func (f *filler) batch(n, chance int) *flow.Batch {
	b := &flow.Batch{}
	for _, t := range tables() {
		slice := reflect.ValueOf(b).Elem().Field(t.field)
		slice.Set(reflect.MakeSlice(slice.Type(), f.rand.IntN(n+1), n))
		for i := range slice.Len() {
			f.fill(slice.Index(i), chance)
		}
	}
	return b
}

// joined returns the rows of all batches.
func joined(batches []*flow.Batch) *flow.Batch {
	all := &flow.Batch{}
	for _, b := range batches {
		for _, t := range tables() {
			to := reflect.ValueOf(all).Elem().Field(t.field)
			to.Set(reflect.AppendSlice(to, reflect.ValueOf(b).Elem().Field(t.field)))
		}
	}
	return all
}

// differs tells how the rows of two batches differ. Names are of one interner and equal where they are the same.
func differs(t *testing.T, want, got *flow.Batch) {
	t.Helper()
	for _, table := range tables() {
		w, g := reflect.ValueOf(want).Elem().Field(table.field), reflect.ValueOf(got).Elem().Field(table.field)
		if w.Len() != g.Len() {
			t.Fatalf("%s: %d rows came back as %d", table.name, w.Len(), g.Len())
		}
		for i := range w.Len() {
			if !reflect.DeepEqual(w.Index(i).Interface(), g.Index(i).Interface()) {
				t.Fatalf("%s, row %d: %+v came back as %+v", table.name, i, w.Index(i), g.Index(i))
			}
		}
	}
}

func payloadOf(batches ...*flow.Batch) []byte {
	payload, _, _ := newEncoder().encode(batches)
	return bytes.Clone(payload)
}

// Every part of every kind of row comes back, alone and among others.
func TestEveryPartComesBack(t *testing.T) {
	f := newFiller(1)
	d := newDecoder(f.names)
	for _, table := range tables() {
		rowType := reflect.TypeFor[flow.Batch]().Field(table.field).Type.Elem()
		for path, set := range f.parts(reflect.New(rowType).Elem(), "") {
			b := &flow.Batch{}
			slice := reflect.ValueOf(b).Elem().Field(table.field)
			slice.Set(reflect.MakeSlice(slice.Type(), 3, 3))
			slice.Index(1).Set(set())
			if slice.Index(1).IsZero() {
				t.Fatalf("%s.%s was not set", table.name, path)
			}
			got, err := d.decode(payloadOf(b), b.Len())
			if err != nil {
				t.Fatalf("%s.%s: %v", table.name, path, err)
			}
			differs(t, b, got)
		}
	}
}

// parts returns, for each value in v, a function that returns v with this value alone.
func (f *filler) parts(v reflect.Value, path string) map[string]func() reflect.Value {
	all := map[string]func() reflect.Value{}
	var walk func(v reflect.Value, path string, root reflect.Value)
	walk = func(v reflect.Value, path string, root reflect.Value) {
		if _, ok := f.leaf(v.Type()); !ok && v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				walk(v.Field(i), path+"."+v.Type().Field(i).Name, root)
			}
			return
		}
		all[path] = func() reflect.Value {
			root.SetZero()
			for v.IsZero() {
				f.fill(v, 1)
			}
			return root
		}
	}
	walk(v, path, v)
	return all
}

func TestRowsComeBack(t *testing.T) {
	for seed := range uint64(100) {
		f := newFiller(seed)
		d, e := newDecoder(f.names), newEncoder()
		for n := range 4 {
			var batches []*flow.Batch
			for range n {
				batches = append(batches, f.batch(20, 1+f.rand.IntN(5)))
			}
			want := joined(batches)
			payload, _, _ := e.encode(batches)
			got, err := d.decode(payload, want.Len())
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			differs(t, want, got)
		}
	}
}

// Another process has other handles, and the same texts.
func TestRowsComeBackElsewhere(t *testing.T) {
	f := newFiller(7)
	want := f.batch(50, 2)
	got, err := newDecoder(flow.NewInterner()).decode(payloadOf(want), want.Len())
	if err != nil {
		t.Fatal(err)
	}
	text := func(b *flow.Batch) (all []byte) {
		for i := range b.Records {
			all = flow.AppendJSON(all, "\n", flow.Fields, &b.Records[i])
		}
		for i := range b.Connections {
			all = flow.AppendJSON(all, "\n", flow.ConnectionFields, &b.Connections[i])
		}
		return all
	}
	if diff := cmp.Diff(string(text(want)), string(text(got))); diff != "" {
		t.Error(diff)
	}
}

func TestTimes(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 5).UTC() }
	b := &flow.Batch{Records: []flow.Record{{Time: at(7)}, {}, {Time: at(5)}}, Connections: []flow.Connection{{First: at(9), Last: at(11)}}}
	_, from, to := newEncoder().encode([]*flow.Batch{b})
	if from != at(5) || to != at(11) {
		t.Errorf("from %s to %s", from, to)
	}
}

// A program of another version has other columns.
func TestOtherColumns(t *testing.T) {
	f := newFiller(3)
	want := &flow.Batch{Records: make([]flow.Record, 2)}
	want.Records[1].Node, want.Records[1].DropCode = f.names.Name("worker"), 7
	payload := payloadOf(want)
	d := newDecoder(f.names)
	table := d.tables["Records"]
	delete(table.byPath, "Node")
	got, err := d.decode(payload, 2)
	if err != nil {
		t.Fatal(err)
	}
	want.Records[1].Node = flow.Name{}
	differs(t, want, got)
	if !slices.Equal(d.unknown, []string{"Node"}) {
		t.Errorf("unknown are %v", d.unknown)
	}

	delete(d.tables, "Records")
	if _, err := d.decode(payload, 2); err == nil || !errors.Is(err, errForeign) {
		t.Errorf("error %v, want one that says that this is from a newer program", err)
	}
}

// Whatever stands in a payload, reading ends with rows or with an error, and soon.
func FuzzDecode(f *testing.F) {
	fill := newFiller(5)
	for range 5 {
		f.Add(payloadOf(fill.batch(3, 3)))
	}
	d := newDecoder(fill.names)
	f.Fuzz(func(t *testing.T, raw []byte) {
		d.decode(raw, 1000) //nolint:errcheck // either will do
		d.err, d.in = nil, raw
		d.read(1000)
		d.forget()
	})
}

// Every proper beginning of what an encoder wrote fails.
func TestShortReads(t *testing.T) {
	f := newFiller(9)
	b := f.batch(3, 3)
	d := newDecoder(f.names)
	payload := payloadOf(b)
	raw := bytes.Clone(d.decompress(payload))
	for n := range raw {
		d.err, d.in = nil, raw[:n]
		if d.read(b.Len()); d.err == nil {
			t.Fatalf("the first %d of %d bytes read as all", n, len(raw))
		}
		d.forget()
	}
	for n := range payload {
		if _, err := d.decode(payload[:n], b.Len()); err == nil {
			t.Fatalf("the first %d of %d bytes of the payload read as all", n, len(payload))
		}
	}
}

func TestCodecNumbers(t *testing.T) {
	seen := map[byte]bool{}
	for c := range maps.Values(codecs) {
		if seen[c.number] {
			t.Errorf("two codecs have the number %d", c.number)
		}
		seen[c.number] = true
	}
	for c := range maps.Values(kinds) {
		if seen[c.number] {
			t.Errorf("two codecs have the number %d", c.number)
		}
		seen[c.number] = true
	}
}

// Every kind of row is missed when it is lost, but gaps, which are kept, and heartbeats, which are missed by themselves.
func TestLossesOfEveryKind(t *testing.T) {
	f := newFiller(11)
	for _, table := range tables() {
		b := &flow.Batch{}
		slice := reflect.ValueOf(b).Elem().Field(table.field)
		slice.Set(reflect.MakeSlice(slice.Type(), 3, 3))
		l := newLosses(f.names)
		l.Batch(flow.GapSpoolFull, b)
		got := l.Take()
		switch {
		case table.name == "Beats":
			if got != nil {
				t.Errorf("lost heartbeats make %+v", got.Gaps)
			}
		case table.name == "Gaps":
			if len(got.Gaps) != 1 || got.Gaps[0].Cause != flow.GapUnknown {
				t.Errorf("lost gaps make %+v", got.Gaps)
			}
		case got == nil || len(got.Gaps) != 1 || got.Gaps[0].Count != (flow.Count{N: 3, Known: true}) || got.Gaps[0].Cause != flow.GapSpoolFull:
			t.Errorf("lost %s make %+v", table.name, got)
		}
	}
}
