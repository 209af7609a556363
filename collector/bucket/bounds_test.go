package bucket_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"sextant/collector/bucket"
	"sextant/collector/flow"
)

func (r *rig) value(t testing.TB, metric string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == metric {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", metric)
	return 0
}

// TestMillionPrefixes: memory stays within its cap, and what had to go is counted and told.
func TestMillionPrefixes(t *testing.T) {
	const prefixes, memory = 1_000_000, 16 << 20
	r := newRig(t, "limits: [{name: one.example, hosts: [one.example], unit: requests, limit: 9, window: 6h}]", func(c *bucket.Config) { c.MemoryMB = memory >> 20 })
	// The interner keeps the last tens of thousands of names whoever asked for them: these must not count.
	for i := range 1 << 16 {
		r.names.Name(fmt.Sprint("filler of about the same length as a prefix ", i))
	}
	before := heap()
	c := r.connection("one.example", "2001:db8::1")
	b := &flow.Batch{}
	for i := range prefixes {
		c.EgressIP = netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 5: byte(i >> 16), 6: byte(i >> 8), 7: byte(i), 15: 1})
		c.First = noon.Add(time.Duration(i) * time.Millisecond)
		c.Last = c.First
		b.Connections, b.Charges, b.Buckets = append(b.Connections[:0], c), b.Charges[:0], b.Buckets[:0]
		if i%100_000 == 99_999 {
			r.Flush(b, false)
			b = &flow.Batch{}
			if grown := heap() - before; grown > memory {
				t.Fatalf("%d bytes after %d prefixes, want at most %d", grown, i+1, memory)
			}
			continue
		}
		r.Process(b)
	}
	held, evicted := r.value(t, bucket.MetricHeld), r.value(t, bucket.MetricEvictedTotal)
	if held < 5000 || held+evicted != prefixes {
		t.Errorf("%.0f held and %.0f evicted, want some thousand held and %d in all", held, evicted, prefixes)
	}
	t.Logf("%.0f buckets in %d bytes, which are taken for %.0f", held, heap()-before, r.value(t, bucket.MetricHeldBytes))
	for _, told := range r.flush().Buckets {
		if !told.LowerBound {
			t.Fatalf("%s is not told as a lower bound", short(&told))
		}
	}
	runtime.KeepAlive(r)
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // weak pointers and their cleanups
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// filled returns a rig of so many buckets.
func filled(t testing.TB, buckets int) *rig {
	r := newRig(t, "limits: [{name: one.example, hosts: [one.example], unit: requests, limit: 9, window: 6h}]")
	b := &flow.Batch{}
	for i := range buckets {
		b.Connections = append(b.Connections, r.connection("one.example", netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()))
	}
	r.Process(b)
	return r
}

// TestToldAgain: what was told is not kept but of each bucket the last.
func TestToldAgain(t *testing.T) {
	const buckets = 2000
	r := filled(t, buckets)
	r.Flush(&flow.Batch{}, false)
	before := heap()
	for i := range 100 {
		b := &flow.Batch{Connections: []flow.Connection{r.connection("one.example", netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}).String())}}
		r.Flush(b, false)
		if len(b.Buckets) != 1 {
			t.Fatalf("%d buckets told, want 1", len(b.Buckets))
		}
	}
	if grown := heap() - before; grown > 2<<20 {
		t.Errorf("%d bytes more after 100 times", grown)
	}
	runtime.KeepAlive(r)
}

// BenchmarkTell is how long 10,000 buckets are looked through.
func BenchmarkTell(b *testing.B) {
	r := filled(b, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		r.Flush(&flow.Batch{}, false)
	}
}

// TestManyUsers: a bucket that very many share is bounded, too, and its numbers stay exact.
func TestManyUsers(t *testing.T) {
	r := newRig(t, "")
	b := &flow.Batch{}
	const pods = 20_000
	for i := range pods {
		c := r.connection(hub, "192.0.2.1")
		c.Source.Endpoint = r.names.Endpoint(flow.Endpoint{Namespace: r.names.Name("ns"), Pod: r.names.Name(fmt.Sprint("pod-", i)), Node: r.names.Name("node-1")})
		b.Connections = append(b.Connections, c)
	}
	r.Flush(b, true)
	for _, told := range b.Buckets {
		if told.Used != pods || told.LowerBound {
			t.Errorf("%s, lower bound %v; want %d", short(&told), told.LowerBound, pods)
		}
	}
	if got := r.value(t, bucket.MetricHeldBytes); got > 8<<20 {
		t.Errorf("%.0f bytes", got)
	}
}

// FuzzNames: whatever a name, a URL or an image is, nothing breaks and nothing is charged twice.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{
		hub, "", ".", "..", "*.pkg.dev", "a.pkg.dev.", "REGISTRY-1.docker.io", "http://" + hub + ":80/v2/a/manifests/b", "http://[::1]:80/",
		"://", "http://", "\x00", "docker.io", "index.docker.io/", strings.Repeat("a.", 5000) + "pkg.dev", "registry-1.docker.io abuse", "\xff\xfe.pkg.dev",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := newRig(t, "")
		r.SetFacts(r.twoNodes(flow.Unknown))
		c := r.connection(text, "2001:db8:a::1")
		b := &flow.Batch{Records: []flow.Record{r.answer(&c, text, text, 429)}}
		r.Process(b)
		b = r.flush(c, r.pull("node-1", text, func(p *flow.Pull) { p.Repository, p.Tag = r.names.Name(text), r.names.Name(text) }))
		seen := map[string]bool{}
		for _, charge := range b.Charges {
			k := charge.Service.String() + charge.ID.String()
			if seen[k] || len(charge.Image.String()) > 600 {
				t.Errorf("charge %s told twice, or its image is too long", k)
			}
			seen[k] = true
		}
	})
}

// TestHostileTimes: neither the zero time nor one of the far future moves anything.
func TestHostileTimes(t *testing.T) {
	r := newRig(t, "")
	r.Live = true
	soon := func(d time.Duration) func(*flow.Connection) {
		return func(c *flow.Connection) { c.First, c.Last = time.Now().Add(d), time.Now().Add(d) }
	}
	r.flush(r.connection(hub, "192.0.2.1", soon(0)))
	b := r.flush(
		r.connection(hub, "192.0.2.1", soon(1000*time.Hour)),
		r.connection(hub, "192.0.2.1", func(c *flow.Connection) { c.First, c.Last = time.Time{}, time.Time{} }),
	)
	if got := b.Buckets[0]; got.Used != 1 || got.Time.After(time.Now().Add(time.Minute)) || len(b.Charges) != 4 {
		t.Errorf("%s at %s with %d charges, want 1 used, now, and 4", short(&got), got.Time, len(b.Charges))
	}
}

// BenchmarkUnlimited is a connection to a service without a limit, as nearly all are.
func BenchmarkUnlimited(b *testing.B) {
	r := newRig(b, "")
	batch := &flow.Batch{}
	for i := range 1000 {
		batch.Connections = append(batch.Connections, r.connection(fmt.Sprint("www", i%50, ".example.com"), "2001:db8:a::1"))
	}
	r.Process(batch)
	b.ReportAllocs()
	for b.Loop() {
		r.Process(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/connection")
}

// BenchmarkCharge is a connection to a service that has two limits.
func BenchmarkCharge(b *testing.B) {
	r := newRig(b, "")
	batch := &flow.Batch{Connections: []flow.Connection{r.connection(hub, "2001:db8:a::1")}}
	b.ReportAllocs()
	for b.Loop() {
		batch.Charges = batch.Charges[:0]
		r.Process(batch)
	}
}

// TestNoAllocations: what is not limited costs a look.
func TestNoAllocations(t *testing.T) {
	r := newRig(t, "")
	batch := &flow.Batch{Connections: []flow.Connection{r.connection("www.example.com", "2001:db8:a::1")}, Records: []flow.Record{{Time: noon}}}
	if n := testing.AllocsPerRun(100, func() { r.Process(batch) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
