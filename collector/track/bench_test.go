package track_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"sextant/collector/flow"
	"sextant/collector/track"
)

// traffic is a batch of 512 connections with 8 flows each, some of them failed attempts with their fallback.
func traffic(t complainer) (*flow.Batch, *flow.Interner) {
	rig := newRig(t)
	b := &flow.Batch{}
	for i := range 128 {
		port := 20000 + i
		for _, line := range []string{
			"1.00 n1 VERDICT NEW tcp:S web6:%d > www6:443 name=www.example",
			"1.00 n1 STACK NEW tcp:S web6:%d > www6:443 name=www.example class=nat66",
			"1.00 n1 NETWORK NEW tcp:S n16:%d > www6:443 from=1000",
			"1.01 n1 ENDPOINT REPLY tcp:S. www6:443 > web6:%d name=www.example class=nat66",
			"1.02 n1 STACK EST tcp:. web6:%d > www6:443 name=www.example class=nat66",
			"1.03 n1 STACK EST tcp:F. web6:%d > www6:443 name=www.example class=nat66",
			"1.04 n1 ENDPOINT REPLY tcp:F. www6:443 > web6:%d name=www.example class=nat66",
			"1.05 n1 STACK EST tcp:. web6:%d > www6:443 name=www.example class=nat66",

			"1.00 n1 OVERLAY NEW tcp:S web6:%d > db6:80",
			"1.00 n1 OVERLAY - tcp:S web6:%d > db6:80",
			"1.00 n2 ENDPOINT NEW tcp:S web6:%d > db6:80",
			"1.00 n2 OVERLAY REPLY tcp:S. db6:80 > web6:%d",
			"1.00 n1 ENDPOINT REPLY tcp:S. db6:80 > web6:%d",
			"1.01 n2 ENDPOINT EST tcp:F. web6:%d > db6:80",
			"1.02 n2 OVERLAY REPLY tcp:F. db6:80 > web6:%d",
			"1.03 n2 ENDPOINT EST tcp:. web6:%d > db6:80",

			"1.00 n1 NETWORK NEW tcp:S web6:%d > cdn6:443 name=cdn.example",
			"1.00 n1 NETWORK - tcp:S web6:%d > cdn6:443 xlated=n16",
			"1.01 n1 ENDPOINT REPLY tcp:R. cdn6:443 > web6:%d name=cdn.example",
			"1.02 n1 NETWORK NEW tcp:S web:%d > cdn:443 name=cdn.example",
			"1.02 n1 NETWORK - tcp:S web:%d > cdn:443 xlated=n1",
			"1.03 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:%d name=cdn.example",
			"1.04 n1 NETWORK EST tcp:R web:%d > cdn:443 name=cdn.example",
			"1.05 n1 DROP - tcp:R. cdn:443 > web:%d reason=CT_INVALID",

			"1.00 n1 PROXY NEW udp web6:%d > cart6:53",
			"1.00 n1 ENDPOINT NEW udp web6:%d > cart6:53 in=lxc",
			"1.01 n1 PROXY REPLY udp cart6:53 > web6:%d",
			"1.01 n1 ENDPOINT REPLY udp cart6:53 > web6:%d",
			"1.02 n1 L7 NEW udp web6:%d > cart6:53",
			"1.02 n1 ENDPOINT REPLY tcp:S. cart6:80 > web6:%d xlated=lb6",
			"1.03 n1 DROP - udp web6:%d > www6:123 way=out",
			"1.03 n1 STACK NEW icmpv6:128 web6:%d > www6",
		} {
			b.Records = append(b.Records, rig.record(fmt.Sprintf(line, port)))
		}
	}
	return b, rig.names
}

// later makes the flows of a batch new ones, some time after.
func later(b *flow.Batch, n uint64, after time.Duration) {
	for i := range b.Records {
		r := &b.Records[i]
		r.Time = r.Time.Add(after)
		binary.NativeEndian.PutUint64(r.UUID[:8], n<<32|uint64(i))
	}
	b.Connections = b.Connections[:0]
}

func BenchmarkProcess(b *testing.B) {
	batch, names := traffic(b)
	stage := track.New(track.Default(), names)
	n := uint64(0)
	round := func() {
		n++
		later(batch, n, 100*time.Second)
		stage.Process(batch)
		stage.Flush(batch, false) // those of the round before
	}
	for range 50 { // what is allocated once
		round()
	}
	b.ReportAllocs()
	for b.Loop() {
		round()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch.Records)), "ns/flow")
	b.ReportMetric(float64(len(batch.Connections)), "connections")
}

// TestAllocations: in a steady state tracking allocates nothing.
func TestAllocations(t *testing.T) {
	batch, names := traffic(t)
	stage := track.New(track.Default(), names)
	n := uint64(0)
	round := func() {
		n++
		later(batch, n, 100*time.Second)
		stage.Process(batch)
		stage.Flush(batch, false)
	}
	for range 50 {
		round()
	}
	if got := testing.AllocsPerRun(20, round); got > 0 {
		t.Errorf("%v allocations for %d flows", got, len(batch.Records))
	}
	if len(batch.Connections) == 0 {
		t.Error("nothing was told")
	}
}

// TestMemory: a million connections that nobody ends fit into what is allowed for.
func TestMemory(t *testing.T) {
	rig := newRig(t)
	stage := track.New(track.Default(), rig.names)
	template := rig.record("1 n1 STACK NEW udp web6:1 > www6:443 name=www.example")
	batch := &flow.Batch{Records: make([]flow.Record, 1000)}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	told := 0
	for n := range 1000 {
		for i := range batch.Records {
			r := template
			a := r.Destination.IP.As16()
			binary.BigEndian.PutUint32(a[12:], uint32(n*1000+i))
			r.Destination.IP = netip.AddrFrom16(a)
			r.Source.Port = uint16(1024 + i)
			binary.NativeEndian.PutUint64(r.UUID[:8], uint64(n)<<32|uint64(i))
			batch.Records[i] = r
		}
		batch.Connections = batch.Connections[:0]
		stage.Process(batch)
		told += len(batch.Connections)
		if held := stage.Stats().Held; held > track.Default().Capacity {
			t.Fatalf("%d held", held)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	const allowed = 300 << 20
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > allowed {
		t.Errorf("%d MB held, allowed are %d", grown>>20, allowed>>20)
	} else {
		t.Logf("%d MB for %d connections", grown>>20, stage.Stats().Held)
	}
	if told+stage.Stats().Held != 1_000_000 {
		t.Errorf("%d told and %d held, want a million", told, stage.Stats().Held)
	}
}
