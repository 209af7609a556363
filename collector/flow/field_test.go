package flow_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"sextant/collector/flow"
)

func TestFields(t *testing.T)           { testFields(t, flow.Fields) }
func TestConnectionFields(t *testing.T) { testFields(t, flow.ConnectionFields) }
func TestGapFields(t *testing.T)        { testFields(t, flow.GapFields) }
func TestBeatFields(t *testing.T)       { testFields(t, flow.BeatFields) }
func TestChargeFields(t *testing.T)     { testFields(t, flow.ChargeFields) }
func TestBucketFields(t *testing.T)     { testFields(t, flow.BucketFields) }

func testFields[R any](t *testing.T, fields []flow.Field[R]) {
	name := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, f := range fields {
		if !name.MatchString(f.Name) || seen[f.Name] || f.Name == "record" {
			t.Errorf("the name %q is there twice, taken or not in snake_case", f.Name)
		}
		seen[f.Name] = true
		if f.Doc == "" {
			t.Errorf("%s has no doc", f.Name)
		}
		var getters []string
		v := reflect.ValueOf(f)
		for i := range v.NumField() {
			if v.Field(i).Kind() == reflect.Func && !v.Field(i).IsNil() {
				getters = append(getters, v.Type().Field(i).Name)
			}
		}
		if len(getters) != 1 {
			t.Errorf("%s has %d getters %v, want one", f.Name, len(getters), getters)
		}
		if (f.Enum != nil) != (len(f.Words) > 0) {
			t.Errorf("%s: an enum has words, and nothing else has", f.Name)
		}
		if f.Label && f.Enum == nil && f.Str == nil {
			t.Errorf("%s is a label, but neither an enum nor a name", f.Name)
		}
	}
}

// notColumns are parts of a record that are kept for later stages and deliberately not stored.
var notColumns = []string{
	"DNS.Source",    // always the proxy where Hubble fills it
	"HTTP.Protocol", // tells nothing about the way a flow took
	"Replayed",      // such a one is not stored
}

// flowsOnly are parts of a connection's ends that stand on its flows alone.
var flowsOnly = []string{
	"Source.Endpoint.Labels", "Destination.Endpoint.Labels", // those of flows are there to be looked up; too long to repeat
	"Source.Endpoint.ID", "Destination.Endpoint.ID", "Source.Endpoint.Cluster", "Destination.Endpoint.Cluster",
	"Source.Names", "Destination.Names", // of which destination_name is the one in use
	"Source.Name", "Source.NameSource", "Source.NameAge", "Source.Service", "Source.ServiceEvidence", // nobody asked for who began it
}

// Each part of a record is one column and no other, and each column is some part of a record.
func TestEveryPartOfARecordIsAColumn(t *testing.T) {
	testParts(t, flow.Fields, notColumns)
}

func TestEveryPartOfAConnectionIsAColumn(t *testing.T) {
	testParts(t, flow.ConnectionFields, flowsOnly)
}

func TestEveryPartOfAGapIsAColumn(t *testing.T) {
	testParts(t, flow.GapFields, nil)
}

func TestEveryPartOfAPullIsAColumn(t *testing.T) {
	testParts(t, flow.PullFields, nil)
}

func TestEveryPartOfAnItemIsAColumn(t *testing.T) {
	testParts(t, flow.ItemFields, nil)
}

func TestEveryPartOfABeatIsAColumn(t *testing.T) {
	testParts(t, flow.BeatFields, nil)
}

func TestEveryPartOfAChargeIsAColumn(t *testing.T) {
	testParts(t, flow.ChargeFields, nil)
}

func TestEveryPartOfABucketIsAColumn(t *testing.T) {
	testParts(t, flow.BucketFields, nil)
}

func testParts[R any](t *testing.T, fields []flow.Field[R], exempt []string) {
	in := flow.NewInterner()
	zero := columns(t, fields, new(R))
	covered := map[string]string{}
	var without []string
	var r R
	for path, set := range parts(in, reflect.ValueOf(&r).Elem(), "") {
		r = *new(R)
		set()
		var changed []string
		for name, value := range columns(t, fields, &r) {
			if value != zero[name] {
				changed = append(changed, name)
			}
		}
		switch {
		case len(changed) == 0:
			without = append(without, path)
		case len(changed) > 1:
			t.Errorf("%s changes the columns %v", path, changed)
		case covered[changed[0]] != "":
			t.Errorf("%s and %s are both read by %s", path, covered[changed[0]], changed[0])
		default:
			covered[changed[0]] = path
		}
	}
	slices.Sort(without)
	slices.Sort(exempt)
	if !slices.Equal(without, exempt) {
		t.Errorf("parts without a column: %v, want only %v", without, exempt)
	}
	for name := range zero {
		if covered[name] == "" && name != "record" {
			t.Errorf("no part of a record changes %s", name)
		}
	}
}

// columns returns the JSON text of every column.
func columns[R any](t *testing.T, fields []flow.Field[R], r *R) map[string]string {
	t.Helper()
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(flow.AppendJSON(nil, "x", fields, r), &raw); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for name, value := range raw {
		texts[name] = string(value)
	}
	return texts
}

// parts returns, for each leaf of v, a function that gives it a value that is not zero.
func parts(in *flow.Interner, v reflect.Value, path string) map[string]func() {
	leaf := func(value any) map[string]func() {
		return map[string]func(){path: func() { v.Set(reflect.ValueOf(value)) }}
	}
	switch v.Interface().(type) {
	case time.Time:
		return leaf(time.Unix(1, 0))
	case netip.Addr:
		return leaf(netip.MustParseAddr("2001:db8::1"))
	case []netip.Addr:
		return leaf([]netip.Addr{netip.MustParseAddr("192.0.2.1")})
	case flow.UUID:
		return leaf(flow.UUID{1})
	case flow.Count:
		return leaf(flow.Count{Known: true}) // a known zero is not an unknown count
	case flow.Name:
		return leaf(in.Name("x"))
	case flow.Names:
		return leaf(in.Names([]flow.Name{in.Name("x")}))
	case flow.Ref[flow.Endpoint]:
		all := map[string]func(){}
		var ep flow.Endpoint
		for p, set := range parts(in, reflect.ValueOf(&ep).Elem(), path) {
			all[p] = func() {
				ep = flow.Endpoint{}
				set()
				v.Set(reflect.ValueOf(in.Endpoint(ep)))
			}
		}
		return all
	}
	if v.Kind() == reflect.Bool {
		return map[string]func(){path: func() { v.SetBool(true) }}
	}
	if v.CanUint() {
		return map[string]func(){path: func() { v.SetUint(1) }}
	}
	if v.Kind() != reflect.Struct {
		panic(fmt.Sprintf("%s has type %s, which this test cannot set", path, v.Type()))
	}
	all := map[string]func(){}
	for i := range v.NumField() {
		sub := v.Type().Field(i).Name
		if path != "" {
			sub = path + "." + sub
		}
		maps.Copy(all, parts(in, v.Field(i), sub))
	}
	return all
}

func TestReadingFieldsDoesNotAllocate(t *testing.T) {
	r := fullRecord(flow.NewInterner())
	if n := testing.AllocsPerRun(100, func() {
		for i := range flow.Fields {
			switch f := &flow.Fields[i]; {
			case f.Time != nil:
				f.Time(&r)
			case f.UUID != nil:
				f.UUID(&r)
			case f.Addr != nil:
				f.Addr(&r)
			case f.Addrs != nil:
				f.Addrs(&r)
			case f.Enum != nil:
				f.Enum(&r)
			case f.Str != nil:
				f.Str(&r)
			case f.Strs != nil:
				f.Strs(&r)
			case f.Count != nil:
				f.Count(&r)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations to read every field", n)
	}
}
