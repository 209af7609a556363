package clickhouse

import (
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

// records returns n rows as a cluster makes them, in batches of 1,000.
func records(n int) [][]flow.Record {
	in, r := flow.NewInterner(), rand.New(rand.NewPCG(1, 2))
	var ends []flow.End
	for i := range 2000 {
		ends = append(ends, flow.End{
			IP: netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(i >> 8), byte(i)}), Port: uint16(i), Kind: flow.KindGUA,
			Names: in.Names([]flow.Name{in.Name(fmt.Sprintf("host-%d.example.org", i%300))}),
			Endpoint: in.Endpoint(flow.Endpoint{
				ID: uint32(i), Identity: uint32(i % 400), Cluster: in.Name("harbour"), Namespace: in.Name(fmt.Sprint("ns-", i%60)),
				Pod: in.Name(fmt.Sprintf("pod-%d-5d8f7c9b6d-abcde", i)), Workload: in.Name(fmt.Sprint("workload-", i%500)), WorkloadKind: in.Name("Deployment"),
			}),
		})
	}
	policies := in.Names([]flow.Name{in.Name("CiliumNetworkPolicy/shop/a"), in.Name("CiliumNetworkPolicy/shop/b")})
	start := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	var runs [][]flow.Record
	for i := range n {
		if i%1000 == 0 {
			runs = append(runs, make([]flow.Record, 0, 1000))
		}
		run := &runs[len(runs)-1]
		*run = append(*run, flow.Record{
			Time: start.Add(time.Duration(i) * 357 * time.Microsecond), Node: in.Name(fmt.Sprint("node-", i%200)), Cluster: in.Name("harbour"),
			EventType: flow.EventTrace, ObservationPoint: flow.ObservationPoint(r.IntN(15)), Verdict: flow.Forwarded, Family: flow.FamilyIPv6,
			Protocol: flow.TCP, TCPFlags: flow.TCPFlags(r.IntN(32)), Source: ends[r.IntN(len(ends))], Destination: ends[r.IntN(len(ends))],
			Interface: in.Name("eth0"), AggregatedFlows: 1, AllowedBy: policies,
		})
	}
	return runs
}

// What a delivery costs must not depend on its rows, but for their bytes.
func TestNoAllocationPerRow(t *testing.T) {
	b := newBlock("sextant", Default().flows(), flow.Fields, newDictionary())
	allocations := map[int]float64{}
	for _, n := range []int{10_000, 1000} {
		b.rows = records(n)
		allocations[n] = testing.AllocsPerRun(5, func() { b.fill(b.rows) })
		if allocations[n] != 0 {
			t.Errorf("%v allocations for %d rows, want none", allocations[n], n)
		}
	}
	for _, n := range []int{10_000, 1000} {
		b.rows = records(n)
		b.fill(b.rows)
		allocations[n] = testing.AllocsPerRun(5, func() { b.digest.of(b.table, b.input) })
	}
	if allocations[10_000] != allocations[1000] {
		t.Errorf("digest: %v allocations for 1,000 rows and %v for 10,000", allocations[1000], allocations[10_000])
	}
	var buf proto.Buffer
	for _, n := range []int{10_000, 1000} {
		b.rows = records(n)
		b.fill(b.rows)
		allocations[n] = testing.AllocsPerRun(5, func() {
			buf.Reset()
			if err := (proto.Block{Columns: len(b.input), Rows: n}).EncodeRawBlock(&buf, proto.Version, b.input); err != nil {
				t.Fatal(err)
			}
		})
	}
	if allocations[10_000] > allocations[1000]+100 {
		t.Errorf("encoding: %v allocations for 1,000 rows and %v for 10,000", allocations[1000], allocations[10_000])
	}
}

func BenchmarkFill(b *testing.B) {
	const rows = 50_000
	block := newBlock("sextant", Default().flows(), flow.Fields, newDictionary())
	block.rows = records(rows)
	b.ReportAllocs()
	for b.Loop() {
		block.fill(block.rows)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}

func BenchmarkEncode(b *testing.B) {
	const rows = 50_000
	block := newBlock("sextant", Default().flows(), flow.Fields, newDictionary())
	block.rows = records(rows)
	block.fill(block.rows)
	var buf proto.Buffer
	b.ReportAllocs()
	for b.Loop() {
		buf.Reset()
		if err := (proto.Block{Columns: len(block.input), Rows: rows}).EncodeRawBlock(&buf, proto.Version, block.input); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
	b.ReportMetric(float64(len(buf.Buf))/rows, "B/row")
}

func BenchmarkDigest(b *testing.B) {
	const rows = 50_000
	block := newBlock("sextant", Default().flows(), flow.Fields, newDictionary())
	block.rows = records(rows)
	block.fill(block.rows)
	b.ReportAllocs()
	for b.Loop() {
		block.digest.of(block.table, block.input)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}

// A token is of the rows, in their order, and of nothing else.
func TestDigest(t *testing.T) {
	rows := records(100)
	digest := func(rows [][]flow.Record) string {
		b := newBlock("sextant", Default().flows(), flow.Fields, newDictionary())
		b.fill(rows)
		return b.digest.of(b.table, b.input)
	}
	want := digest(rows)
	if got := digest([][]flow.Record{rows[0][:40], rows[0][40:]}); got != want {
		t.Errorf("cut otherwise: %s, want %s", got, want)
	}
	if got := digest(records(100)); got != want { // with names of another interner
		t.Errorf("of another process: %s, want %s", got, want)
	}
	b := newBlock("sextant", Default().flows(), flow.Fields, newDictionary())
	for range 2 {
		b.fill(records(2000))
		b.digest.of(b.table, b.input)
		b.fill(rows)
		if got := b.digest.of(b.table, b.input); got != want {
			t.Errorf("after others: %s, want %s", got, want)
		}
	}
	different := map[string]bool{want: true, digest(rows[:0]): true}
	for i, change := range []func(*flow.Record){
		func(r *flow.Record) { r.Time = r.Time.Add(1) },
		func(r *flow.Record) { r.Node = flow.NewInterner().Name("other") },
		func(r *flow.Record) { r.Counted = true },
		func(r *flow.Record) { r.Bytes = flow.Count{Known: true} },
		func(r *flow.Record) { r.AllowedBy = flow.Names{} },
		func(r *flow.Record) { r.DNS.Answers = []netip.Addr{netip.IPv6Loopback()} },
	} {
		changed := records(100)
		change(&changed[0][99])
		if got := digest(changed); different[got] {
			t.Errorf("change %d makes no difference", i)
		} else {
			different[got] = true
		}
	}
}

// A delivery's whole way into MergeTree tables.
func BenchmarkWrite(b *testing.B) {
	const rows = 50_000
	server := embeddedtest.Start(b)
	cfg := Default()
	cfg.Address, cfg.Database, cfg.TTLFlows = server.Addr(), embeddedtest.Database(b, server), 0
	s := New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer s.Close()
	var d collector.Delivery
	for _, run := range records(rows) {
		d.Batches = append(d.Batches, &flow.Batch{Records: run})
	}
	b.ReportAllocs()
	for b.Loop() {
		d.Token += "x"
		if err := s.Write(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
}

func TestDictionary(t *testing.T) {
	one, other := flow.NewInterner(), flow.NewInterner()
	a, b := one.Name("a"), one.Name("b")
	x, y := other.Name("x"), other.Name("y") // the same numbers
	if a.Number() != x.Number() {
		t.Fatal("the test needs names that share a number")
	}
	d, c := newDictionary(), newLowCardinality()
	for name, column := range map[string][]flow.Name{
		"again":           {a, b, a, b, a},
		"none":            {},
		"absent":          {{}, a, {}},
		"two interners":   {a, x, a, x, b, y, x, a},
		"the other first": {x, a, x, y, b, y},
	} {
		for range 2 {
			var want, got []string
			for _, n := range column {
				d.add(n)
				want = append(want, n.String())
			}
			c.set(d)
			for _, key := range c.Keys8 {
				got = append(got, c.words.Row(int(key)))
			}
			distinct := map[string]bool{}
			for _, w := range want {
				distinct[w] = true
			}
			if diff := cmp.Diff(want, got); diff != "" || c.words.Rows() != len(distinct) {
				t.Errorf("%s: %d words, (-want +got)\n%s", name, c.words.Rows(), diff)
			}
		}
	}
}

// There are more names than slots.
func TestDictionaryBounds(t *testing.T) {
	in := flow.NewInterner()
	d, c := newDictionary(), newLowCardinality()
	d.most = 1000
	var all []flow.Name
	for i := range 100_000 {
		all = append(all, in.Name(fmt.Sprint(i)))
	}
	for round := range 3 {
		for range 2 {
			for _, n := range all {
				d.add(n)
			}
		}
		c.set(d)
		if c.words.Rows() != len(all) || c.Rows() != 2*len(all) || len(d.slots) != d.most {
			t.Errorf("%d words, %d rows, %d slots", c.words.Rows(), c.Rows(), len(d.slots))
		}
		for i, n := range all {
			if c.words.Row(int(c.Keys32[len(all)+i])) != n.String() {
				t.Fatalf("round %d: row %d has the wrong word", round, i)
			}
		}
	}
	if len(d.names)+len(d.extra)+len(d.keys) > 0 {
		t.Error("the dictionary holds on to names")
	}
}

// A slot of the first epoch must not be taken for one of the first epoch after the last.
func TestDictionaryEpochsEnd(t *testing.T) {
	in := flow.NewInterner()
	a, b := in.Name("a"), in.Name("b")
	d, c := newDictionary(), newLowCardinality()
	d.add(a)
	d.add(b)
	d.epoch = math.MaxUint32
	d.reset()
	d.add(b)
	if c.set(d); c.words.Row(0) != "b" {
		t.Errorf("the word is %q, want b", c.words.Row(0))
	}
}
