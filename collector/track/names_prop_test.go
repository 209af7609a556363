package track_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sextant/collector/flow"
	"sextant/collector/track"
)

// told is one answer as the reference keeps it.
type told struct {
	pod, address, name string
	at, life           int
}

// TestNamesNeverOutdated: whatever comes in, in whatever order, a pod's address has the name of the latest answer before the
// flow, of those that arrived before it, or no name. It has one for sure where answers come in order of time, the flow
// is not older than they are, and the answer still counts.
func TestNamesNeverOutdated(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rig := newNamesRig(func(cfg *track.NamesConfig) { cfg.Keep = 10 * time.Second })
		var all []told
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			pod := rapid.SampledFrom([]string{"shop/web", "shop/cart"}).Draw(t, "pod")
			address := rapid.SampledFrom([]string{"192.0.2.1", "2001:db8::1"}).Draw(t, "address")
			at := rapid.IntRange(0, 30).Draw(t, "at")
			if rapid.Bool().Draw(t, "answer") {
				name := rapid.SampledFrom([]string{"a.example", "b.example", "c.example"}).Draw(t, "name")
				ttl := rapid.SampledFrom([]int{0, 5, 20}).Draw(t, "ttl")
				rig.learn(float64(at), pod, name+".", "A", uint(ttl), address)
				all = append(all, told{pod, address, name, at, max(ttl, 10)})
				continue
			}
			got := rig.process(rig.packet(float64(at), pod, uint32(at), address)).Destination
			latest, certain := latestAnswer(all, pod, address, at)
			switch {
			case got.Name.IsZero() && certain:
				t.Fatalf("%s of %s at %d has no name, want %s\nanswers: %v", address, pod, at, latest.name, all)
			case got.Name.IsZero():
			case got.Name.String() != latest.name:
				t.Fatalf("%s of %s at %d is %s, want %q\nanswers: %v", address, pod, at, got.Name, latest.name, all)
			case !counts(all, pod, address, latest.name, at):
				t.Fatalf("%s of %s at %d is %s, which no longer counts\nanswers: %v", address, pod, at, got.Name, all)
			case int(got.NameAge) > at-latest.at || certain && int(got.NameAge) != at-latest.at:
				t.Fatalf("%s of %s at %d is %d old, want %d\nanswers: %v", address, pod, at, got.NameAge, at-latest.at, all)
			}
		}
	})
}

// latestAnswer is the obvious way: the last of the newest answers that are not newer than the flow.
func latestAnswer(all []told, pod, address string, at int) (latest told, certain bool) {
	certain = true
	newest, found := -1, false
	for _, a := range all {
		if a.pod != pod || a.address != address {
			continue
		}
		certain = certain && a.at >= newest && a.at <= at
		newest = max(newest, a.at)
		if a.at <= at && (!found || a.at >= latest.at) {
			latest, found = a, true
		}
	}
	return latest, certain && found && at <= latest.at+latest.life
}

// counts reports whether any answer of that name counts at a time.
func counts(all []told, pod, address, name string, at int) bool {
	return slices.ContainsFunc(all, func(a told) bool {
		return a.pod == pod && a.address == address && a.name == name && a.at <= at && at <= a.at+a.life
	})
}

// TestNamesUsableInOrder: where answers come in order of time, Usable says of any time what a list of all of them says, as
// long as it is not further back than the last two spans.
func TestNamesUsableInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rig := newNamesRig(func(cfg *track.NamesConfig) { cfg.Keep = 10 * time.Second })
		usable := map[int]bool{}
		at, spans := 0, 0
		for range rapid.IntRange(1, 20).Draw(t, "answers") {
			at += rapid.IntRange(1, 15).Draw(t, "later")
			if rapid.Bool().Draw(t, "answered") {
				if !usable[at] {
					spans++
				}
				rig.learn(float64(at), "shop/web", "a.example.", "AAAA", 5, "2001:db8::1")
				for s := at; s < at+10; s++ {
					usable[s] = true
				}
			} else {
				rig.learn(float64(at), "shop/web", "a.example.", "AAAA", 5)
				for s := at; s < at+20; s++ {
					delete(usable, s)
				}
			}
			if spans > 2 {
				return
			}
			for s := range at + 20 {
				got := rig.names.Usable(rig.pod("shop/web", 1), rig.intern.Name("a.example"), namesTime(float64(s)))
				if got != usable[s] {
					t.Fatalf("after the answer at %d: at %d got %v, want %v", at, s, got, usable[s])
				}
			}
		}
	})
}

// TestNamesBounded: a million answers, each for another address, leave no more behind than the limit allows, and every one
// that had to go is counted.
func TestNamesBounded(t *testing.T) {
	const answers, limit = 1_000_000, 1 << 14
	rig := newNamesRig(func(cfg *track.NamesConfig) { cfg.Limit = limit })
	r := rig.answer(0, "shop/web", "a.example.", "AAAA", 30, 0, "2001:db8::")
	pods := make([]flow.Ref[flow.Endpoint], 64)
	for i := range pods {
		pods[i] = rig.pod(fmt.Sprintf("shop/web-%d", i), 7)
	}
	queries := make([]flow.Name, 9973) // of no common factor with the pods; what the interner holds is not measured
	for i := range queries {
		queries[i] = rig.intern.Name(fmt.Sprintf("host-%d.example", i))
	}
	before := heap()
	b := flow.Batch{Records: []flow.Record{r}}
	full := 0
	for i := range answers {
		address := netip.MustParseAddr("2001:db8::").As16()
		address[13], address[14], address[15] = byte(i>>16), byte(i>>8), byte(i)
		r.Destination.Endpoint = pods[i%len(pods)]
		r.DNS.Query, r.DNS.Answers[0] = queries[i%len(queries)], netip.AddrFrom16(address)
		b.Records[0] = r
		rig.names.Process(&b)
		if i == answers/2 {
			full = int(heap() - before)
		}
	}
	got := rig.names.Stats()
	if got.Addresses > limit || got.Native > limit || got.Evicted != 2*answers-uint64(got.Addresses)-uint64(got.Native) {
		t.Errorf("%+v; want at most %d of each, and all others counted", got, limit)
	}
	after := int(heap() - before)
	t.Logf("%d addresses and %d names: %d bytes, %d after twice as many answers", got.Addresses, got.Native, full, after)
	if per := after / limit; per > 500 {
		t.Errorf("%d bytes for an address and a name", per)
	}
	if after > full+full/10 {
		t.Errorf("memory grows on: %d bytes after half of the answers, %d after all", full, after)
	}
	runtime.KeepAlive(rig)
	runtime.KeepAlive(queries)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what cleanups let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestNamesConcurrently is for the race detector: streams, and whoever asks.
func TestNamesConcurrently(t *testing.T) {
	t.Parallel()
	rig := newNamesRig(func(cfg *track.NamesConfig) { cfg.Limit = 64; cfg.OnPrefix = func(netip.Prefix) {} })
	var streams sync.WaitGroup
	for s := range 4 {
		streams.Go(func() {
			for i := range 500 {
				pod, address := fmt.Sprintf("shop/web-%d", i%7), fmt.Sprintf("2001:db8:64::c000:%x", (i+s)%200)
				rig.learn(float64(i), pod, "a.example.", "AAAA", 30, address)
				rig.learn(float64(i), pod, "ipv4only.arpa.", "AAAA", 30, address)
				if got := rig.named(float64(i), pod, 1, address); got != "none 0" && got != "ipv4only.arpa dns 0" && got != "a.example dns 0" {
					t.Errorf("%s at %d is %s", address, i, got)
				}
				rig.names.Usable(rig.pod(pod, 2), rig.intern.Name("a.example"), namesTime(float64(i)))
				rig.names.Stats()
			}
		})
	}
	streams.Wait()
}

// BenchmarkNames puts a batch of nine flows and one answer through, all of them known.
func BenchmarkNames(b *testing.B) {
	rig := newNamesRig(nil)
	batch := flow.Batch{Records: []flow.Record{rig.answer(0, "shop/web", "www.example.com.", "AAAA", 30, 0, "2001:db8::1", "2001:db8::2")}}
	for i := range 9 {
		r := rig.packet(1, "shop/web", 7, "2001:db8::1", "www.example.com")
		switch {
		case i%3 == 1:
			r.Source, r.Destination, r.IsReply = r.Destination, r.Source, flow.Yes
		case i%3 == 2:
			r.Source.Endpoint = rig.pod("shop/cart", 8)
		}
		batch.Records = append(batch.Records, r)
	}
	pod, name := rig.pod("shop/web", 0), rig.intern.Name("www.example.com")
	rig.names.Process(&batch)
	b.ReportAllocs()
	for b.Loop() {
		rig.names.Process(&batch)
		if !rig.names.Usable(pod, name, namesTime(1)) {
			b.Fatal("not usable")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Records)), "ns/flow")
}

// TestNamesAllocateNothing holds what the benchmark shows.
func TestNamesAllocateNothing(t *testing.T) {
	rig := newNamesRig(nil)
	batch := flow.Batch{Records: []flow.Record{
		rig.answer(0, "shop/web", "www.example.com.", "AAAA", 30, 0, "2001:db8::1"),
		rig.packet(1, "shop/web", 7, "2001:db8::1"),
		rig.packet(1, "shop/cart", 7, "2001:db8::1", "www.example.com"),
	}}
	if n := testing.AllocsPerRun(100, func() { rig.names.Process(&batch) }); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}
