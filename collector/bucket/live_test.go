package bucket_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

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

// TestAgain: a bucket of which there is something to say is told every ten minutes though it stays as it is, and not much more
// often; one that is empty is told once.
func TestAgain(t *testing.T) {
	for _, every := range []time.Duration{7 * time.Second, 30 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, "", func(c *bucket.Config) { c.Every = every })
			r.Live = true
			r.SetFacts(&bucket.Facts{Cluster: r.names.Name("lab"), Nodes: map[flow.Name]bucket.Node{
				r.names.Name("node-1"): {IPv4: ip("192.0.2.1"), Shows: flow.No},
			}})
			r.Probed(bucket.Told{
				Time: time.Now(), Service: hub, Node: "node-2", Family: flow.FamilyIPv4, Every: 24 * time.Hour,
				Limit: 100, Remaining: 100, Window: 6 * time.Hour, Prefix: netip.MustParsePrefix("198.51.100.7/32"),
			})
			last, rows := map[string]time.Time{}, map[string]int{}
			b := &flow.Batch{Connections: []flow.Connection{r.connection(hub, "203.0.113.1", func(c *flow.Connection) { c.First, c.Last = time.Now(), time.Now() })}}
			begin := time.Now()
			for time.Since(begin) < 8*time.Hour {
				r.Flush(b, false)
				for i := range b.Buckets {
					row := &b.Buckets[i]
					of := row.Service.String() + " " + row.Bucket.String()
					if gap := row.Time.Sub(last[of]); !last[of].IsZero() && gap > max(10*time.Minute, every) {
						t.Errorf("every %s: %s was not told for %s", every, of, gap)
					}
					if last[of] = row.Time; time.Since(begin) > time.Hour { // until then the speed changes
						rows[of]++
					}
				}
				b = &flow.Batch{}
				time.Sleep(time.Second)
			}
			until := map[string]time.Duration{}
			for of, at := range last {
				until[of] = at.Sub(begin).Round(time.Hour)
			}
			want := map[string]time.Duration{
				hub + " 203.0.113.1": 6 * time.Hour, hub + " 192.0.2.1": 6 * time.Hour, hub + " 198.51.100.7": 6 * time.Hour,
				hub + " abuse 203.0.113.1": every.Round(time.Hour),
			}
			if diff := cmp.Diff(want, until); diff != "" {
				t.Errorf("every %s: told until (-want +got):\n%s", every, diff)
			}
			for of, n := range rows {
				if most := 7*60/9 + 2; n > most {
					t.Errorf("every %s: %s was told %d times, want at most %d", every, of, n, most)
				}
			}
		})
	}
}
