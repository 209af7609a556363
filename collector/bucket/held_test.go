package bucket_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/bucket"
	"sextant/collector/flow"
)

var _ collector.Holder = (*bucket.Stage)(nil)

// TestHeld: what is under way is charged as it would be at an end, and nothing is changed by that: what comes later is told
// as if nobody had asked.
func TestHeld(t *testing.T) {
	r := newRig(t, "")
	stage := func() *bucket.Stage {
		cfg := bucket.Default()
		cfg.Every = 0
		c, err := bucket.Shipped()
		if err != nil {
			t.Fatal(err)
		}
		s := bucket.New(cfg, c, r.names, prometheus.NewRegistry())
		s.SetFacts(r.twoNodes(flow.Yes))
		return s
	}
	other := func(a string) func(*flow.Connection) {
		return func(c *flow.Connection) { c.Destination.IP = ip(a) }
	}
	requested := r.connection(hub, "2001:db8:a::1")
	answer := r.answer(&requested, "GET", "http://registry-1.docker.io/v2/a/manifests/1", 200)
	nameless := r.connection("", "2001:db8:a::1", r.byHost("node-1"), other("2001:db8:ffff::21"))
	steps := []struct {
		name    string
		batch   *flow.Batch // which is told
		held    []flow.Connection
		charges int // of those that are held
	}{
		{"nothing", &flow.Batch{Connections: []flow.Connection{r.connection("quay.io", "192.0.2.1", other("2001:db8:ffff::30"))}}, nil, 0},
		{"pods and a node", &flow.Batch{}, []flow.Connection{
			r.connection(hub, "2001:db8:a::1"), r.connection("quay.io", "192.0.2.1"), r.connection(hub, "2001:db8:a::2", r.byHost("node-2")),
			r.connection("www.example.com", "192.0.2.1"),
		}, 5},
		{"a node's, to where others are known to go", &flow.Batch{}, []flow.Connection{
			r.connection("", "2001:db8:a::1", r.byHost("node-1")), r.connection(hub, "2001:db8:a::1"),
		}, 4},
		{"a node's that was told is still to be known", &flow.Batch{Connections: []flow.Connection{nameless}}, []flow.Connection{
			r.connection(hub, "2001:db8:a::1", other("2001:db8:ffff::21")),
		}, 4},
		{"… and is no more when others go there, too", &flow.Batch{}, []flow.Connection{
			r.connection("www.example.com", "2001:db8:a::1", other("2001:db8:ffff::21")),
			r.connection(hub, "2001:db8:a::1", other("2001:db8:ffff::23")),
			r.connection(hub, "2001:db8:a::1", other("2001:db8:ffff::22")), r.connection("quay.io", "2001:db8:a::1", other("2001:db8:ffff::22")),
			r.connection("", "2001:db8:a::1", r.byHost("node-1"), other("2001:db8:ffff::22")),
		}, 5},
		{"what was only held is not learnt", &flow.Batch{Connections: []flow.Connection{
			r.connection("", "2001:db8:a::1", r.byHost("node-1"), other("2001:db8:ffff::23")),
		}}, nil, 0},
		{"requests can be seen", &flow.Batch{Records: []flow.Record{answer}}, []flow.Connection{requested}, 0},
		{"before the window", &flow.Batch{Connections: []flow.Connection{
			r.connection("www.example.com", "192.0.2.1", at(24*time.Hour)),
		}}, []flow.Connection{r.connection(hub, "2001:db8:a::1")}, 2},
		{"after all that came", &flow.Batch{Connections: []flow.Connection{
			r.connection(hub, "192.0.2.1", at(24*time.Hour)),
		}}, []flow.Connection{r.connection(hub, "2001:db8:a::1", at(240*time.Hour))}, 2},
	}
	feed := func(s *bucket.Stage, b *flow.Batch) *flow.Batch {
		s.Process(&flow.Batch{Records: slices.Clone(b.Records)})
		told := &flow.Batch{Connections: slices.Clone(b.Connections)}
		s.Flush(told, false)
		return told
	}
	watched, alone := stage(), stage()
	for i, step := range steps {
		got, want := feed(watched, step.batch), feed(alone, step.batch)
		if diff := cmp.Diff(texts(want.Charges), texts(got.Charges)); diff != "" {
			t.Errorf("%s: charged (-want +got):\n%s", step.name, diff)
		}
		until, end := stage(), &flow.Batch{Connections: slices.Clone(step.held)}
		for _, before := range steps[:i+1] {
			feed(until, before.batch)
		}
		until.Flush(end, true)
		for range 2 {
			held := &flow.Batch{Connections: slices.Clone(step.held)}
			watched.Held(held)
			if diff := cmp.Diff(texts(end.Charges), texts(held.Charges)); diff != "" {
				t.Errorf("%s: held (-want +got):\n%s", step.name, diff)
			}
			if len(held.Charges) != step.charges || held.Buckets != nil {
				t.Errorf("%s: %d charges and %d buckets held, want %d and none", step.name, len(held.Charges), len(held.Buckets), step.charges)
			}
		}
		got, want = feed(watched, &flow.Batch{}), feed(alone, &flow.Batch{})
		if diff := cmp.Diff(texts(want.Buckets), texts(got.Buckets)); diff != "" {
			t.Errorf("%s: buckets (-want +got):\n%s", step.name, diff)
		}
	}
	got, want := &flow.Batch{}, &flow.Batch{}
	watched.Flush(got, true)
	alone.Flush(want, true)
	if diff := cmp.Diff(texts(want.Buckets), texts(got.Buckets)); diff != "" {
		t.Errorf("told at the end (-want +got):\n%s", diff)
	}
}

// TestHeldTwice: charges of what was held and of what came of it are the same rows.
func TestHeldTwice(t *testing.T) {
	r := newRig(t, "")
	var rows []flow.Connection
	for range 20 {
		rows = append(rows, r.connection(hub, "2001:db8:a::1"))
	}
	type row struct {
		service flow.Name
		id      flow.UUID
	}
	stored := map[row]uint32{}
	store := func(b *flow.Batch) {
		for _, c := range b.Charges {
			stored[row{c.Service, c.ID}] = c.Uses
		}
	}
	for n := range rows {
		held := &flow.Batch{Connections: slices.Clone(rows[:n+1])}
		r.Held(held)
		store(held)
	}
	b := &flow.Batch{Connections: rows}
	r.Flush(b, true)
	store(b)
	if want := 2 * len(rows); len(stored) != want || len(b.Charges) != want {
		t.Errorf("%d rows of %d charges, want %d of both", len(stored), len(b.Charges), want)
	}
	if want := hub + " ipv6 2001:db8:a::/64 20/100 observed unseen=unknown"; of(b, hub)[0] != want {
		t.Errorf("%s, want %s", of(b, hub)[0], want)
	}
}

func texts[T any](rows []T) []string {
	var all []string
	for i := range rows {
		all = append(all, fmt.Sprintf("%+v", rows[i]))
	}
	return all
}
