package clickhouse_test

import (
	"fmt"
	"testing"
	"time"

	"sextant/collector"
	"sextant/collector/flow"
)

// Each connection leaves one row, whoever tells of it and however often, and it is the one that knows most.
func TestConnectionShowsOnce(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	// What the id is made of is the same for all who tell of it; the begin is so to five seconds.
	told := func(id byte, first string, change func(*flow.Connection)) flow.Connection {
		r := flow.Connection{
			ID: flow.UUID{id}, First: at(first), Flows: 3, View: flow.ViewSource, Outcome: flow.Unanswered,
			Source: flow.End{IP: addr("2001:db8::1"), Port: 40000}, Destination: flow.End{IP: addr("192.0.2.1"), Port: 443},
		}
		if change != nil {
			change(&r)
		}
		return r
	}
	client := func(r *flow.Connection) { r.Flows, r.Node = 9, in.Name("client") }
	server := func(r *flow.Connection) {
		r.Flows, r.Node, r.View, r.Outcome = 2, in.Name("server"), flow.ViewDestination, flow.Answered
		r.Destination.Endpoint = in.Endpoint(flow.Endpoint{Namespace: in.Name("shop"), Workload: in.Name("web")})
	}
	late := func(r *flow.Connection) { server(r); r.Late, r.Flows = true, 1000 }
	fewer := func(r *flow.Connection) { server(r); r.Flows = 1 }

	one, other := sink(t, c), sink(t, c)
	const midnight, after = "2026-11-24T00:00:00.000000001Z", "2026-11-24T00:00:04.999999999Z"
	write(t, one, "a", &flow.Batch{Connections: []flow.Connection{told(1, midnight, client), told(2, midnight, server), told(3, after, nil), told(4, after, late)}})
	write(t, one, "again", &flow.Batch{Connections: []flow.Connection{told(1, midnight, client), told(2, midnight, server), told(3, after, nil)}})
	write(t, other, "b", &flow.Batch{Connections: []flow.Connection{told(1, after, server), told(2, after, client), told(3, midnight, nil), told(4, midnight, client)}})
	write(t, sink(t, c), "started anew", &flow.Batch{Connections: []flow.Connection{told(1, after, fewer), told(2, midnight, fewer)}})

	want := "01\tserver\tweb\t2\n02\tserver\tweb\t2\n03\t\t\t3\n04\tclient\t\t9"
	for range 2 {
		for _, from := range []string{"connections FINAL", "connections"} { // Query says FINAL by itself
			if got := query(t, c, "SELECT substring(toString(id), 1, 2), node, destination_workload, flows FROM "+from+" ORDER BY id"); got != want {
				t.Errorf("%s: got\n%s\nwant\n%s", from, got, want)
			}
		}
		query(t, c, "OPTIMIZE TABLE connections FINAL")
	}
	if got := query(t, c, "SELECT count() FROM connections SETTINGS final = 0"); got != "4" {
		t.Errorf("%s rows after a merge, want 4", got)
	}
}

// A block that another process has sent, under a token that the server burnt, is looked for as well.
func TestBurntTokenOfAnotherProcess(t *testing.T) {
	for _, burnt := range []bool{true, false} {
		c := config(t)
		rows, other := only("flows", spread(10, "2026-11-23T12:00:00Z")), only("flows", spread(1, "2026-11-23T01:00:00Z"))
		want := "10"
		if burnt {
			burn(t, c, "flows", rows, other)
			want = "11"
		} else {
			write(t, sink(t, c), "a", rows...)
		}
		write(t, sink(t, c), "b", rows...) // nothing says that it was tried before
		if got := query(t, c, "SELECT count() FROM flows"); got != want {
			t.Errorf("burnt %v: %s rows, want %s", burnt, got, want)
		}
	}
}

// Rows that a TTL has taken do not keep others from being stored once more: a recording can be replayed again.
func TestReplayAfterTTL(t *testing.T) {
	c := config(t)
	c.TTLFlows = time.Hour
	old := only("flows", spread(10, "2020-01-01T00:00:00Z"))[0]
	write(t, sink(t, c), "a", old)
	query(t, c, "OPTIMIZE TABLE flows FINAL")
	c.TTLFlows = 0
	write(t, sink(t, c), "b", old)
	if got := query(t, c, "SELECT count() FROM flows"); got != "10" {
		t.Errorf("%s rows, want 10", got)
	}
}

// A shorter retention is one for what is stored already.
func TestRetentionOfOldRows(t *testing.T) {
	c := config(t)
	old, young := spread(10, "2020-01-01T00:00:00Z"), spread(1, time.Now().UTC().Format(time.RFC3339))
	write(t, sink(t, c), "a", old, young)
	c.TTLFlows, c.TTLConnections, c.TTLGaps, c.TTLPulls, c.TTLInventory = 7*day, 7*day, 7*day, 7*day, 7*day
	check(t, c)
	for _, table := range []string{"flows", "connections", "gaps", "pulls", "inventory", "charges", "buckets"} {
		got := ""
		for range 200 { // merges come by themselves
			if got = query(t, c, "SELECT count() FROM "+table); got == "1" {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if got != "1" {
			t.Errorf("%s: %s rows, want the young one", table, got)
		}
	}
}

func TestLabelsOnlyWhenAskedFor(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	for _, store := range []bool{false, true} {
		c.StoreLabels = store
		write(t, sink(t, c), "a", batch(full(in)))
		if got, want := query(t, c, "SELECT count() FROM flows WHERE notEmpty(source_labels) AND notEmpty(destination_labels)"), map[bool]string{false: "0", true: "1"}[store]; got != want {
			t.Errorf("store_labels %v: %s rows with labels, want %s", store, got, want)
		}
	}
}

// What may have been stored long ago is looked for: the server remembers the tokens of the last inserts only. A day of it
// that is missing is stored, and that alone.
func TestTriedAfterTheTokenIsForgotten(t *testing.T) {
	c := config(t)
	check(t, c)
	query(t, c, "ALTER TABLE flows MODIFY SETTING non_replicated_deduplication_window = 1")
	first, second := only("flows", spread(10, "2020-01-01T00:00:00Z"))[0], only("flows", spread(10, "2020-01-02T00:00:00Z"))[0]
	s := sink(t, c)
	write(t, s, "a", first, second)
	for i := range 3 {
		write(t, s, fmt.Sprint("other", i), only("flows", spread(1, fmt.Sprintf("2020-02-0%dT00:00:00Z", i+1)))...)
	}
	again := collector.Delivery{Token: "a", Batches: []*flow.Batch{first, second}, Tried: true}
	for _, partition := range []string{"", "2020-01-01", "2020-01-02"} {
		if partition != "" {
			query(t, c, "ALTER TABLE flows DROP PARTITION '"+partition+"'")
		}
		if err := sink(t, c).Write(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		if got := query(t, c, "SELECT toDate(time), count() FROM flows WHERE time < '2020-02-01' GROUP BY 1 ORDER BY 1"); got != "2020-01-01\t10\n2020-01-02\t10" {
			t.Errorf("after the loss of %q:\n%s", partition, got)
		}
	}
}
