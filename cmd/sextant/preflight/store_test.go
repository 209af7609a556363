package preflight_test

import (
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sextant/cmd/sextant/preflight"
	"sextant/collector/flow"
	"sextant/enrich/kube"
	"sextant/enrich/kube/inventory"
)

// server is a ClickHouse in good health, changed.
func server(change func(*preflight.Store)) *preflight.Store {
	now := time.Date(2026, 11, 24, 5, 0, 0, 0, time.UTC)
	s := &preflight.Store{
		Address: "ch:9000", Database: "sextant", Version: "26.7.2.1", HasDatabase: true,
		Rights: map[string]flow.Tristate{"INSERT": flow.Yes, "SELECT": flow.Yes, "CREATE TABLE": flow.No, "CREATE VIEW": flow.No, "ALTER TABLE": flow.No, "CREATE DATABASE": flow.No},
		Disks:  []preflight.Disk{{Name: "default", Free: 50e9, Total: 100e9}},
		Now:    now, Then: now, Trip: time.Millisecond,
	}
	if change != nil {
		change(s)
	}
	return s
}

func TestClickHouse(t *testing.T) {
	type store = preflight.Store
	for _, row := range []struct {
		name    string
		subject string
		s       *store
		want    []string
	}{
		{"all well", "", server(nil), []string{
			"server | ok | ch:9000: ClickHouse 26.7.2.1", "schema | ok | database sextant is as it should be",
			"rights | ok | the user may INSERT, SELECT", "disk | ok | default: 50 GB free of 100 GB",
		}},
		{"new", "schema rights", server(func(s *store) {
			s.HasDatabase, s.Changes = false, []string{"CREATE TABLE flows", "CREATE TABLE gaps"}
			s.Rights = map[string]flow.Tristate{"INSERT": flow.Yes, "SELECT": flow.Yes, "CREATE TABLE": flow.Yes, "CREATE VIEW": flow.Yes, "ALTER TABLE": flow.Yes, "CREATE DATABASE": flow.Yes}
		}), []string{
			"schema | note | there is no database sextant yet", "rights | ok | the user may INSERT, SELECT, CREATE DATABASE, CREATE TABLE, CREATE VIEW",
		}},
		{"of an older program", "schema rights", server(func(s *store) { s.Changes = []string{"ALTER TABLE flows", "CREATE TABLE pulls"} }), []string{
			"schema | note | database sextant is not as this program makes it: 2 statements to run", "rights | fail | the user may not CREATE TABLE, CREATE VIEW, ALTER TABLE",
		}},
		{"of a newer program", "schema", server(func(s *store) {
			s.Refusal = errors.New("clickhouse at ch:9000: database sextant has schema version 4; use a newer sextant, or another clickhouse.database")
		}), []string{"schema | fail | clickhouse at ch:9000: database sextant has schema version 4"}},
		{"blind", "rights", server(func(s *store) { s.Rights["SELECT"] = flow.No }), []string{"rights | warn | the user may not SELECT"}},
		{"may nothing", "rights", server(func(s *store) { s.Rights["SELECT"], s.Rights["INSERT"] = flow.No, flow.No }), []string{"rights | fail | the user may not INSERT, SELECT"}},
		{"nobody tells", "rights disk", server(func(s *store) { s.Rights, s.Disks = nil, nil }), []string{"rights | unknown | what the user may do is not told", "disk | unknown | free space is not told"}},
		{"disks", "disk", server(func(s *store) {
			s.Disks = []preflight.Disk{{"a", 900, 100_000}, {"b", 9e9, 100e9}, {"c", 123, 456}, {"d", 1, 0}}
		}), []string{
			"disk | fail | a: 900 B free of 100 kB", "disk | warn | b: 9 GB free of 100 GB", "disk | ok | c: 123 B free of 456 B", "disk | ok | d: 1 B free of 0 B",
		}},
	} {
		var got []preflight.Line
		for _, l := range preflight.ClickHouse(row.s, nil, true) {
			if row.subject == "" || strings.Contains(row.subject, l.Subject) {
				got = append(got, l)
			}
		}
		lines(t, row.name, got, row.want...)
	}
	err := errors.New(`clickhouse at ch:9000: login as "nobody" refused; check clickhouse.username and clickhouse.password_file`)
	lines(t, "named", preflight.ClickHouse(nil, err, true), `server | fail | clickhouse at ch:9000: login as "nobody" refused`)
	lines(t, "looked for", preflight.ClickHouse(nil, err, false), `server | unknown | clickhouse at ch:9000: login as "nobody" refused`)
}

func TestStoreClock(t *testing.T) {
	off := func(by, trip time.Duration) *preflight.Store {
		return server(func(s *preflight.Store) { s.Now, s.Trip = s.Then.Add(by), trip })
	}
	lines(t, "fine", preflight.StoreClock(off(900*time.Millisecond, 0)), "clickhouse | ok | within a second of ours")
	lines(t, "slow question", preflight.StoreClock(off(-2*time.Second, 3*time.Second)), "clickhouse | ok | within a second of ours")
	lines(t, "ahead", preflight.StoreClock(off(3*time.Second, 0)), "clickhouse | note | ahead of ours by 3 s")
	lines(t, "behind", preflight.StoreClock(off(-time.Hour, 0)), "clickhouse | warn | behind ours by 60 min")
	lines(t, "untold", preflight.StoreClock(&preflight.Store{}))
	lines(t, "no store", preflight.StoreClock(nil))
}

func TestWatches(t *testing.T) {
	got := preflight.Watches([]preflight.Watch{
		{Name: "Pod", Serves: "which pod has which address", State: preflight.WatchOn, Objects: 120},
		{Name: "Node", State: preflight.WatchOn, Objects: 3},
		{Name: "Job", State: preflight.WatchIdle, Why: "no pod has one"},
		{Name: "CiliumPodIPPool", Serves: "the pools", State: preflight.WatchAbsent, Why: "no such resource"},
		{Name: "Event Failed", Serves: "pulls", State: preflight.WatchForbidden, Why: "may not list", Remedy: "add a rule"},
		{Name: "Service", Serves: "services", State: preflight.WatchBroken, Why: "connection refused"},
		{Name: "Namespace"},
	})
	lines(t, "watches", got,
		"watches | ok | objects known: Pod 120, Node 3", "Service | fail | does not work: connection refused", "Event Failed | warn | forbidden: may not list",
		"CiliumPodIPPool | note | not there: no such resource", "Namespace | unknown | no answer yet")
	if got[2].Means != "Not known without it: pulls." || got[2].Remedy != "add a rule" {
		t.Errorf("%+v", got[2])
	}
	lines(t, "none", preflight.Watches(nil))
}

// What the inventory finds of prefixes and nodes is told, and how much it matters; a cluster of which no node is known has none.
func TestPrefixes(t *testing.T) {
	names := flow.NewInterner()
	view := kube.View{IPAM: "cluster-pool", Pools: []kube.Pool{{Prefix: netip.MustParsePrefix("2001:db8:1::/60"), NodeLength: 64}}, Knows: map[kube.Kind]bool{kube.KindNode: true}}
	for i := range 15 {
		prefix := netip.MustParsePrefix("2001:db8:1:" + string("0123456789abcde"[i]) + "::/64")
		view.Nodes = append(view.Nodes, kube.ViewNode{Name: string(rune('a' + i)), PodCIDRs: []netip.Prefix{prefix}, Addresses: []netip.Addr{netip.MustParseAddr("2001:db8:2::1")}})
	}
	var of60 preflight.Line
	warned := map[string]bool{}
	for _, l := range preflight.Prefixes(inventory.Of(names, view), view.IPAM) {
		wellSaid(t, l)
		if strings.HasPrefix(l.Text, "2001:db8:1::/60") {
			of60 = l
		}
		warned[l.Text] = l.Verdict == preflight.Warn
	}
	if of60.Verdict != preflight.Warn || !strings.Contains(of60.Text, "15 of 16 prefixes of length 64") || of60.Remedy == "" {
		t.Errorf("a /60 with one /64 left: %+v", of60)
	}
	if !warned["the node's global address is in one /64 with other nodes' addresses"] {
		t.Errorf("nodes in one /64: %v", warned)
	}
	lines(t, "nothing", preflight.Prefixes(inventory.Of(names, kube.View{}), ""))

	store := kube.NewStore(kube.Config{}, names, slog.New(slog.DiscardHandler))
	if _, err := store.Load(recordings + "/objects.yaml"); err != nil {
		t.Fatal(err)
	}
	if got := preflight.Prefixes(inventory.Of(names, store.View()), ""); brief(got[0]) != "ipam mode | unknown | not known" {
		t.Errorf("%s", brief(got[0]))
	}
}
