package kube

import (
	"reflect"
	"strings"
	"testing"
)

// Every kind that is taken has its table, but for Events, and every table is in a snapshot.
func TestTables(t *testing.T) {
	s := newState(Config{})
	taken := map[Kind]bool{}
	for full, decode := range kinds {
		o, err := decode(jsonTree(`{"metadata":{"namespace":"a","name":"b"}}`))
		if err != nil {
			t.Fatal(err)
		}
		if kind := string(o.Kind()); !strings.HasSuffix(full, " "+kind) {
			t.Errorf("%s is decoded into a %s", full, kind)
		}
		if err := s.putAt(noon, o); err != nil {
			t.Fatal(err)
		}
		taken[o.Kind()] = true
	}
	tables := reflect.TypeFor[tables]().NumField()
	if len(stored) != tables || len(taken) != tables+1 || !taken[KindEvent] {
		t.Errorf("%d tables, %d kinds stored, %d taken", tables, len(stored), len(taken))
	}
	if got := s.len(); got != tables {
		t.Errorf("%d objects in %d tables", got, tables)
	}
	if got := s.snapshot().len(); got != tables {
		t.Errorf("%d objects in a snapshot of %d", got, tables)
	}
	snapshot := s.snapshot()
	for kind := range taken {
		s.deleteAt(noon, kind, name{"a", "b"})
	}
	if got := s.len(); got != 0 {
		t.Errorf("%d objects are left", got)
	}
	if got := snapshot.len(); got != tables {
		t.Errorf("%d of %d objects are left in a snapshot", got, tables)
	}
}

// What is equal is kept once, and what is not stays apart, also when there is no room any more.
func TestShared(t *testing.T) {
	var s shared
	set := func(value string) map[string]string { return map[string]string{"app": value, "tier": "x"} }
	one := s.set(set("a"))
	if reflect.ValueOf(s.set(set("a"))).Pointer() != reflect.ValueOf(one).Pointer() {
		t.Error("equal sets are two")
	}
	if got := s.set(set("b")); got["app"] != "b" || got["tier"] != "x" || len(got) != 2 {
		t.Errorf("another set is %v", got)
	}
	if s.set(nil) != nil || s.set(map[string]string{}) != nil || s.text("") != "" {
		t.Error("nothing is something")
	}
	for i := range 3 * maxShared {
		text := strings.Repeat("x", 1+i%7) + string(rune('a'+i%26)) + string(rune(0x4e00+i%20000)) + string(rune(0x4e00+i/20000))
		if got := s.set(set(text)); got["app"] != text {
			t.Fatalf("%q became %q", text, got["app"])
		}
	}
	if len(s.sets) > maxShared || len(s.texts) > maxShared {
		t.Errorf("%d sets and %d texts are kept", len(s.sets), len(s.texts))
	}
}
