package bucket_test

import (
	"testing"
	"testing/synctest"
	"time"

	"sextant/collector/bucket"
	"sextant/collector/flow"
)

// TestLive: the window slides though no flow comes, and buckets are told every so often.
func TestLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "", func(c *bucket.Config) { c.Every = 30 * time.Second })
		r.Live = true
		flush := func(rows ...flow.Connection) []string {
			b := &flow.Batch{Connections: rows}
			r.Flush(b, false)
			return of(b, hub)
		}
		now := func(c *flow.Connection) { c.First, c.Last = time.Now(), time.Now() }
		if got := flush(); got != nil {
			t.Errorf("before anything was seen: %q", got)
		}
		if got := flush(r.connection(hub, "192.0.2.1", now)); len(got) != 1 {
			t.Errorf("the first use: %q", got)
		}
		time.Sleep(20 * time.Second)
		if got := flush(r.connection(hub, "192.0.2.1", now)); got != nil {
			t.Errorf("after 20 seconds: %q", got)
		}
		time.Sleep(10 * time.Second)
		if got := flush(); len(got) != 1 || got[0] != hub+" ipv4 192.0.2.1 2/100 observed unseen=unknown" {
			t.Errorf("after 30 seconds: %q", got)
		}
		time.Sleep(5*time.Hour + 50*time.Minute)
		flush()
		time.Sleep(20 * time.Minute)
		if got := flush(); len(got) != 1 || got[0] != hub+" ipv4 192.0.2.1 0/100 observed unseen=unknown" {
			t.Errorf("when the window has passed: %q", got)
		}
		time.Sleep(time.Hour)
		if got := flush(); got != nil {
			t.Errorf("afterwards: %q", got)
		}
	})
}
