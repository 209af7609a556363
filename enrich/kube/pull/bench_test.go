package pull_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"sextant/enrich/kube"
)

// BenchmarkAdd takes pulls that begin and end, each for a pod of its own, until nothing more fits in.
func BenchmarkAdd(b *testing.B) {
	r := newRig()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		of := func(e *kube.Event) { e.InvolvedObject.UID = fmt.Sprint(i) }
		at := time.Duration(i) * time.Millisecond
		r.Add(noon, event("Pulling", fmt.Sprintf("Pulling image %q", fmt.Sprint("shop/web:", i%1000)), once(fmt.Sprint("a", i), at), of))
		r.Add(noon, event("Pulled", fmt.Sprintf("Successfully pulled image %q in 1s", fmt.Sprint("shop/web:", i%1000)), once(fmt.Sprint("b", i), at), of))
		i++
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc)-float64(before.HeapAlloc), "B/held")
	runtime.KeepAlive(r)
}

func BenchmarkAddAgain(b *testing.B) {
	r := newRig()
	e := event("Pulled", success)
	b.ReportAllocs()
	for b.Loop() {
		r.Add(noon, e)
	}
}
