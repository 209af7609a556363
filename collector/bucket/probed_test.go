package bucket_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/bucket"
	"sextant/collector/flow"
)

// TestProbed: what a service says of itself stands in place of what was assumed and counted, until it is old.
func TestProbed(t *testing.T) {
	told := func(prefix string, edits ...func(*bucket.Told)) bucket.Told {
		a := bucket.Told{
			Time: noon, Service: hub, Node: "node-1", Family: flow.FamilyIPv6, Every: 10 * time.Minute,
			Limit: 100, Remaining: 40, Window: 6 * time.Hour,
		}
		if prefix != "" {
			a.Prefix = netip.MustParsePrefix(prefix)
		}
		for _, edit := range edits {
			edit(&a)
		}
		return a
	}
	gateway := func(c *flow.Connection) { c.EgressIPEvidence = flow.Confirmed }
	for _, row := range []struct {
		name   string
		told   []bucket.Told
		egress string
		edit   func(*flow.Connection)
		want   []string
	}{
		{"prefix and use", []bucket.Told{told("2001:db8:a::/64")}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:a::/64 60/100 probed unseen=nothing"}},
		{"a longer prefix", []bucket.Told{told("2001:db8:a::1/128")}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:a::1 60/100 probed unseen=nothing"}},
		{"a shorter prefix", []bucket.Told{told("2001:db8::/32")}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8::/32 60/100 probed unseen=nothing"}},
		{"translated on the way", []bucket.Told{told("2001:db8:f::/64")}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:f::/64 60/100 probed unseen=nothing"}},
		{"through a NAT64", []bucket.Told{told("203.0.113.9/32")}, "2001:db8:a::1", nil, []string{"ipv4 203.0.113.9 60/100 probed unseen=nothing"}},
		{"what was assumed", []bucket.Told{told("2001:db8:f::/64")}, "", nil, []string{"ipv6 2001:db8:f::/64 60/100 probed unseen=nothing"}},
		{"of an egress gateway it tells the length", []bucket.Told{told("2001:db8:f::/56")}, "2001:db8:e:1::9", gateway, []string{
			"ipv6 2001:db8:f::/56 60/100 probed unseen=nothing", "ipv6 2001:db8:e::/56 1/100 confirmed unseen=nothing",
		}},
		{"it does not say by what it counts", []bucket.Told{told("")}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:a::/64 60/100 observed unseen=nothing"}},
		{"it does not say, and neither is the node known", []bucket.Told{told("", func(a *bucket.Told) { a.Node = "" })}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:a::/64 1/100 observed unseen=nothing"}},
		{"another limit", []bucket.Told{told("2001:db8:a::/64", func(a *bucket.Told) { a.Limit, a.Remaining = 200, 199 })}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:a::/64 1/200 probed unseen=nothing"}},
		{"refused", []bucket.Told{told("", func(a *bucket.Told) { a.Limit, a.Remaining, a.Window, a.Limited = 0, 0, 0, true })}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:a::/64 100/100 observed unseen=nothing"}},
		{"older than three times its interval", []bucket.Told{told("2001:db8:f::/64", func(a *bucket.Told) { a.Time = noon.Add(-30 * time.Minute) })}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:a::/64 1/100 observed unseen=nothing"}},
		{"older than the window", []bucket.Told{told("2001:db8:f::/64", func(a *bucket.Told) { a.Time, a.Every = noon.Add(-6*time.Hour), 24*time.Hour })}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:a::/64 1/100 observed unseen=nothing"}},
		{"of another node", []bucket.Told{told("2001:db8:f::/64", func(a *bucket.Told) { a.Node = "node-2" })}, "2001:db8:a::1", nil, []string{
			"ipv6 2001:db8:f::/64 60/100 probed unseen=nothing", "ipv6 2001:db8:a::/64 1/100 observed unseen=nothing",
		}},
		{"of another family", []bucket.Told{told("203.0.113.1/32", func(a *bucket.Told) { a.Family = flow.FamilyIPv4 })}, "2001:db8:a::1", nil, []string{
			"ipv4 203.0.113.1 60/100 probed unseen=nothing", "ipv6 2001:db8:a::/64 1/100 observed unseen=nothing",
		}},
		{"the newer one", []bucket.Told{told("2001:db8:a::/64", func(a *bucket.Told) { a.Remaining = 10 }), told("2001:db8:a::/64", func(a *bucket.Told) { a.Time = noon.Add(-time.Minute) })}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:a::/64 90/100 probed unseen=nothing"}},
		{"more left than there were", []bucket.Told{told("2001:db8:a::/64", func(a *bucket.Told) { a.Remaining = 101 })}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:a::/64 1/100 observed unseen=nothing"}},
		{"a service that is not known", []bucket.Told{told("2001:db8:a::/64", func(a *bucket.Told) { a.Service = "x" })}, "2001:db8:a::1", nil, []string{"ipv6 2001:db8:a::/64 1/100 observed unseen=nothing"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, "")
			r.SetFacts(r.twoNodes(flow.Yes))
			for _, a := range row.told {
				r.Probed(a)
			}
			edit := func(c *flow.Connection) {
				if row.edit != nil {
					row.edit(c)
				}
			}
			b := r.flush(r.connection(hub, row.egress, edit))
			want := make([]string, len(row.want))
			for i := range want {
				want[i] = hub + " " + row.want[i]
			}
			if diff := cmp.Diff(want, of(b, hub)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
