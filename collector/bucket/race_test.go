package bucket_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sextant/collector/bucket"
	"sextant/collector/flow"
)

// TestConcurrent: streams, ticks, answers and facts come at once, and no use is lost.
func TestConcurrent(t *testing.T) {
	r := newRig(t, "")
	const streams, batches = 4, 50
	var rows [streams][batches]*flow.Batch
	for i := range streams {
		for j := range batches {
			c := r.connection(hub, "2001:db8:a::1")
			c.Source.Port = uint16(i*batches + j + 1)
			other := r.connection("api.example.com", "2001:db8:a::1")
			other.Source.Port = uint16(60_000 + i*batches + j)
			rows[i][j] = &flow.Batch{Connections: []flow.Connection{c, other}, Records: []flow.Record{r.answer(&other, "GET", "http://huggingface.co/a", 200)}}
		}
	}
	var held [batches]*flow.Batch
	for i := range held {
		held[i] = &flow.Batch{Connections: []flow.Connection{r.connection(hub, "2001:db8:a::1")}}
	}
	var all sync.WaitGroup
	for i := range streams {
		all.Go(func() {
			for _, b := range rows[i] {
				r.Process(b)
			}
		})
	}
	all.Go(func() {
		for range batches {
			r.Flush(&flow.Batch{}, false)
			r.SetFacts(r.twoNodes(flow.Yes))
		}
	})
	all.Go(func() {
		for _, b := range held {
			r.Held(b)
		}
	})
	all.Go(func() {
		for i := range batches {
			r.Probed(bucket.Told{
				Time: noon.Add(time.Duration(i)), Service: "quay.io", Node: fmt.Sprint("node-", i%3), Family: flow.FamilyIPv4,
				Limit: 5, Remaining: 1, Prefix: netip.MustParsePrefix("192.0.2.1/32"),
			})
		}
	})
	all.Wait()
	for _, b := range r.flush().Buckets {
		if b.Service.String() == hub && b.Used != streams*batches {
			t.Errorf("%s, want %d", short(&b), streams*batches)
		}
	}
}

// FuzzCatalogue: whatever a file is, it is taken or refused.
func FuzzCatalogue(f *testing.F) {
	f.Add([]byte("limits:\n- name: a.example\n  hosts: [a.example]\n  unit: requests\n  window: 1h\n"))
	f.Add([]byte("limits: &a\n- *a\n"))
	f.Add([]byte("limits:\n- {name: registry-1.docker.io, off: true}\n- {name: x, of: registry-1.docker.io, unit: pulls, window: 1h}\n"))
	f.Add([]byte("limits:\n- ? [a]\n  : b\n"))
	f.Add([]byte("limits:\n- name: *x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := bucket.ParseCatalogue("f.yaml", text)
		if err != nil {
			return
		}
		for _, l := range c.Limits() {
			if l.Window <= 0 || bucket.Grain(l.Window) <= 0 {
				t.Errorf("%q has the window %s", l.Name, l.Window)
			}
		}
	})
}
