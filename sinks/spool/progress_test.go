package spool_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/spool"
)

// recent returns a batch of a flow of now.
func recent(names *flow.Interner, node string, second int) *flow.Batch {
	return &flow.Batch{Records: []flow.Record{{
		Time: today.Add(time.Duration(second) * time.Second), Node: names.Name(node), Cluster: names.Name("lab"), UUID: flow.UUID{byte(second), 1},
	}}}
}

var today = time.Now().Add(-time.Minute).UTC().Truncate(time.Second)

func point(second int) flow.Point {
	return flow.Point{Time: today.Add(time.Duration(second) * time.Second), UUID: flow.UUID{byte(second), 1}}
}

// underway returns a collector's spool, as it is when it is killed while a sink has a delivery, and a sink with what it has
// stored by then: the delivery as well, where it was killed a moment later.
func underway(t *testing.T, later bool) (spool.Config, *memory) {
	t.Helper()
	inner, cfg := &memory{}, config(t)
	o := open(t, cfg, inner)
	write := func(token string, held *flow.Batch, batches ...*flow.Batch) {
		if err := o.Write(t.Context(), collector.Delivery{Token: token, Batches: batches, Held: held}); err != nil {
			t.Fatal(err)
		}
	}
	write("begin", &flow.Batch{})
	write("d-0", nil, recent(o.names, "a", 0), recent(o.names, "b", 2))
	write("d-1", &flow.Batch{Connections: []flow.Connection{{ID: flow.UUID{1}}}}, recent(o.names, "a", 3))
	write("d-2", nil, recent(o.names, "a", 4))
	killed, stored := config(t), &memory{}
	inner.fault = func() (error, error) {
		if err := os.CopyFS(killed.Dir, os.DirFS(cfg.Dir)); err != nil {
			t.Fatal(err)
		}
		inner.fault = nil
		return nil, nil
	}
	write("d-3", nil, recent(o.names, "a", 5), recent(o.names, "c", 5))
	if !later {
		delete(inner.rows, "d-3")
		inner.order = inner.order[:len(inner.order)-1]
	}
	stored.rows, stored.order = inner.rows, inner.order
	return killed, stored
}

// A collector that is killed while it sends something is gone on with where it was: everything is stored once, what its
// stages held back is told, and a gap says where that may lack something.
func TestGoesOn(t *testing.T) {
	for _, later := range []bool{false, true} {
		cfg, inner := underway(t, later)
		before := len(inner.gaps())
		for range 3 { // the next ones have nothing to go on with but the marks
			o := open(t, cfg, inner)
			o.run(t)
			o.drained(t)
			want := []flow.Mark{
				{Node: o.names.Name("a"), Cluster: o.names.Name("lab"), Known: point(3), Sent: point(5)},
				{Node: o.names.Name("b"), Cluster: o.names.Name("lab"), Known: point(2), Sent: point(2)},
				{Node: o.names.Name("c"), Cluster: o.names.Name("lab"), Known: flow.Point{Time: point(5).Time.Add(-1)}, Sent: point(5)},
			}
			if !slices.Equal(o.Marks(), want) {
				t.Errorf("marks %+v, want %+v", o.Marks(), want)
			}
			o.stop()
		}
		if len(inner.strict) > 0 {
			t.Errorf("%q came again without a word", inner.strict)
		}
		c := inner.counts()
		if c.Flows != 6 || c.Connections != 1 {
			t.Errorf("%+v are stored, want 6 flows and a connection", c)
		}
		type stretch struct {
			node     string
			from, to time.Time
		}
		var got []stretch
		for _, g := range inner.gaps()[before:][:3] {
			if g.Cause != flow.GapRestart {
				t.Errorf("a gap of cause %s", g.Cause)
			}
			got = append(got, stretch{g.Node.String(), g.From, g.To})
		}
		newest := point(5).Time.Add(-1)
		if diff := cmp.Diff([]stretch{{"a", newest.Add(-time.Second), newest}, {"b", newest.Add(-time.Second), newest}, {"c", newest, newest}}, got, cmp.AllowUnexported(stretch{})); diff != "" {
			t.Errorf("gaps (-want +got):\n%s", diff)
		}
	}
}

// Marks move on only with the nodes whose flows have come again to where they were.
func TestMarksOfAnotherRun(t *testing.T) {
	cfg, inner := underway(t, true)
	o := open(t, cfg, inner)
	for _, d := range []collector.Delivery{
		{Token: "e-0", Held: &flow.Batch{}},
		{Token: "e-1", Batches: []*flow.Batch{recent(o.names, "a", 6)}, Held: &flow.Batch{}},
		{Token: "e-2", Batches: []*flow.Batch{recent(o.names, "a", 7)}},
	} {
		if err := o.Write(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	o.stop()
	marks := open(t, cfg, inner).Marks()
	if a, c := marks[0], marks[2]; a.Known != point(6) || a.Sent != point(7) || c.Known == c.Sent {
		t.Errorf("marks %+v", marks)
	}
}

// Whichever byte of the files is wrong, the collector starts.
func TestDamagedProgress(t *testing.T) {
	cfg, inner := underway(t, true)
	for _, name := range []string{"sent", "held"} {
		path := filepath.Join(cfg.Dir, name)
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			damaged := slices.Clone(whole)
			damaged[i] ^= 0x55
			if i%2 == 0 {
				damaged = damaged[:i]
			}
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			o := open(t, cfg, inner)
			o.stop()
			for _, segment := range segments(t, cfg) {
				os.Remove(segment)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
