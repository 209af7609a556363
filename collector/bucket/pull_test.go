package bucket_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/bucket"
	"sextant/collector/flow"
)

// TestPulls holds what pulls are charged to against what is known of nodes, registries and mirrors.
func TestPulls(t *testing.T) {
	mirror := func(list ...string) func(*bucket.Config) { return func(c *bucket.Config) { c.Mirrors = list } }
	result := func(p flow.PullResult) func(*flow.Pull) { return func(r *flow.Pull) { r.Result = p } }
	only := func(v4, v6 string) *bucket.Node { return &bucket.Node{IPv4: ip(v4), IPv6: ip(v6), Shows: flow.Yes} }
	for _, row := range []struct {
		name, registry string
		node           *bucket.Node
		set            func(*bucket.Config)
		edit           func(*flow.Pull)
		want           []string // service, family, bucket, uses, evidence
	}{
		{"a node with both families is taken to use IPv6", "docker.io", only("192.0.2.1", "2001:db8:a::1"), nil, nil, []string{hub + " ipv6 2001:db8:a::/64 1 assumed"}},
		{"IPv6 alone", "docker.io", only("", "2001:db8:a::1"), nil, nil, []string{hub + " ipv6 2001:db8:a::/64 1 inferred"}},
		{"IPv4 alone", "docker.io", only("192.0.2.1", ""), nil, nil, []string{hub + " ipv4 192.0.2.1 1 inferred"}},
		{"nothing known of the node", "docker.io", nil, nil, nil, []string{hub + " none - 1 assumed"}},
		{"a registry without IPv6", "ghcr.io", only("192.0.2.1", "2001:db8:a::1"), nil, nil, []string{"ghcr.io ipv4 192.0.2.1 1 inferred"}},
		{"… from a node without IPv4", "ghcr.io", only("", "2001:db8:a::1"), pools("nat64=203.0.113.9"), nil, []string{"ghcr.io ipv4 203.0.113.9 1 inferred"}},
		{"another spelling", "index.docker.io", only("192.0.2.1", ""), nil, nil, []string{hub + " ipv4 192.0.2.1 1 inferred"}},
		{"told once for many", "docker.io", only("192.0.2.1", ""), nil, func(p *flow.Pull) { p.Count = 7 }, []string{hub + " ipv4 192.0.2.1 7 inferred"}},
		{"its end is not known", "docker.io", only("192.0.2.1", ""), nil, result(flow.PullUnknown), []string{hub + " ipv4 192.0.2.1 1 inferred"}},
		{"refused as too many", "docker.io", only("192.0.2.1", ""), nil, result(flow.PullRateLimited), []string{hub + " ipv4 192.0.2.1 1 inferred limited"}},
		{"on the node already", "docker.io", only("192.0.2.1", ""), nil, result(flow.PullPresent), nil},
		{"did not get there", "docker.io", only("192.0.2.1", ""), nil, result(flow.PullUnreachable), nil},
		{"a proxy project of a registry of one's own", "harbor.example.com", only("192.0.2.1", ""), nil, nil, nil},
		{"a mirror", "docker.io", only("192.0.2.1", ""), mirror("docker.io=mirror.example.com"), nil, nil},
		{"a mirror of another registry", "docker.io", only("192.0.2.1", ""), mirror("quay.io=mirror.example.com"), nil, []string{hub + " ipv4 192.0.2.1 1 inferred"}},
		{"a mirror that has a limit itself", "docker.io", only("192.0.2.1", ""), mirror("docker.io=ghcr.io"), nil, []string{"ghcr.io ipv4 192.0.2.1 1 inferred"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			set := func(c *bucket.Config) {
				if row.set != nil {
					row.set(c)
				}
			}
			r := newRig(t, "", set)
			if row.node != nil {
				r.SetFacts(&bucket.Facts{Nodes: map[flow.Name]bucket.Node{r.names.Name("node-1"): *row.node}})
			}
			p := r.pull("node-1", row.registry)
			if row.edit != nil {
				row.edit(&p)
			}
			var got []string
			for _, c := range r.flush(p).Charges {
				if c.Service.String() == hub+" abuse" {
					continue
				}
				line := fmt.Sprintf("%s %s %s %d %s", c.Service, c.Family, or(c.Bucket.String(), "-"), c.Uses, c.Evidence)
				if c.Limited {
					line += " limited"
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSeenTwice: what a node did shows as its connections and as pulls. The larger number counts, node by node.
func TestSeenTwice(t *testing.T) {
	for _, row := range []struct {
		name                       string
		pods                       int
		connections, pulls         int // of node-1 itself
		otherConnections, othPulls int // of node-2
		want                       int
	}{
		{"one pull in an event and in a flow", 0, 1, 1, 0, 0, 1},
		{"more connections", 0, 5, 3, 0, 0, 5},
		{"more pulls", 0, 3, 5, 0, 0, 5},
		{"pulls alone", 0, 0, 5, 0, 0, 5},
		{"pods come on top", 7, 3, 5, 0, 0, 12},
		{"each node by itself", 0, 5, 1, 1, 5, 10},
		{"all", 2, 4, 6, 9, 1, 17},
	} {
		for _, order := range []string{"flows first", "events first"} {
			r := newRig(t, "")
			r.SetFacts(r.twoNodes(flow.Yes))
			var flows, events []any
			for range row.pods {
				flows = append(flows, r.connection(hub, "2001:db8:a::1"))
			}
			for _, n := range []struct {
				node, egress       string
				connections, pulls int
			}{{"node-1", "2001:db8:a::1", row.connections, row.pulls}, {"node-2", "2001:db8:a::2", row.otherConnections, row.othPulls}} {
				for range n.connections {
					flows = append(flows, r.connection(hub, n.egress, r.byHost(n.node)))
				}
				for range n.pulls {
					events = append(events, r.pull(n.node, "docker.io"))
				}
			}
			if order == "events first" {
				flows, events = events, flows
			}
			r.flush(flows...)
			b := r.flush(events...)
			if got := b.Buckets[0]; int(got.Used) != row.want || got.Bucket.String() != "2001:db8:a::/64" {
				t.Errorf("%s, %s: %d used of %s, want %d", row.name, order, got.Used, got.Bucket, row.want)
			}
		}
	}
}

// TestSurplus: connections over IPv4 are of the same pulls as those that are taken for IPv6.
func TestSurplus(t *testing.T) {
	r := newRig(t, "")
	r.SetFacts(r.twoNodes(flow.Yes))
	var rows []any
	for range 4 {
		rows = append(rows, r.connection(hub, "192.0.2.1", r.byHost("node-1")))
	}
	for range 6 {
		rows = append(rows, r.pull("node-1", "docker.io"))
	}
	want := []string{
		hub + " ipv4 192.0.2.1 4/100 inferred unseen=nothing",
		hub + " ipv6 2001:db8:a::/64 2/100 assumed unseen=nothing",
	}
	if diff := cmp.Diff(want, of(r.flush(rows...), hub)); diff != "" {
		t.Error(diff)
	}
}

// TestUnseen: what the nodes themselves did is never told as nothing where it does not show.
func TestUnseen(t *testing.T) {
	for _, row := range []struct {
		name   string
		shows  flow.Tristate
		events bool
		want   []string
	}{
		{"it shows", flow.Yes, false, []string{hub + " ipv6 2001:db8:a::/64 1/100 observed unseen=nothing"}},
		{"it does not", flow.No, false, []string{
			hub + " ipv6 2001:db8:a::/64 1/100 observed unseen=node",
			hub + " ipv4 192.0.2.1 ?/100 inferred unseen=node",
			hub + " ipv4 192.0.2.2 ?/100 inferred unseen=node",
		}},
		{"events tell of it", flow.No, true, []string{hub + " ipv6 2001:db8:a::/64 1/100 observed unseen=nothing"}},
		{"nobody knows", flow.Unknown, false, []string{hub + " ipv6 2001:db8:a::/64 1/100 observed unseen=unknown"}},
	} {
		r := newRig(t, "")
		r.Events = func() bool { return row.events }
		r.SetFacts(r.twoNodes(row.shows))
		if diff := cmp.Diff(row.want, of(r.flush(r.connection(hub, "2001:db8:a::1")), hub)); diff != "" {
			t.Errorf("%s:\n%s", row.name, diff)
		}
	}
	t.Run("nothing is said of what was not seen", func(t *testing.T) {
		r := newRig(t, "")
		r.SetFacts(r.twoNodes(flow.No))
		r.Probed(bucket.Told{Time: noon, Service: hub, Node: "node-2", Family: flow.FamilyIPv4, Limit: 100, Remaining: 100, Prefix: netip.MustParsePrefix("192.0.2.2/32")})
		b := r.flush(r.connection(hub, "2001:db8:a::1", at(0)))
		for _, row := range []struct{ bucket, want string }{
			{"2001:db8:a::/64", "used=1 limit=100 headroom=99 per_hour=1 exhausted_in_seconds=?"},
			{"192.0.2.1", "used=? limit=100 headroom=? per_hour=? exhausted_in_seconds=?"},
			{"192.0.2.2", "used=0 limit=100 headroom=100 per_hour=0 exhausted_in_seconds=?"}, // the service said so
		} {
			for i := range b.Buckets {
				if r := &b.Buckets[i]; r.Service.String() == hub && r.Bucket.String() == row.bucket && counts(r) != row.want {
					t.Errorf("%s: %s, want %s", row.bucket, counts(r), row.want)
				}
			}
			if !slices.ContainsFunc(b.Buckets, func(r flow.Bucket) bool { return r.Bucket.String() == row.bucket }) {
				t.Errorf("%s is not told", row.bucket)
			}
		}
	})
	t.Run("pods' own prefixes hold no node", func(t *testing.T) {
		r := newRig(t, "")
		r.SetFacts(r.twoNodes(flow.No))
		got := of(r.flush(r.connection(hub, "2001:db8:1::1")), hub)
		if want := hub + " ipv6 2001:db8:1::/64 1/100 observed unseen=nothing"; got[0] != want {
			t.Errorf("%s, want %s", got[0], want)
		}
	})
	t.Run("a node whose address nobody knows may be behind any", func(t *testing.T) {
		r := newRig(t, "")
		r.SetFacts(&bucket.Facts{Nodes: map[flow.Name]bucket.Node{r.names.Name("node-1"): {Shows: flow.No}}})
		got := of(r.flush(r.connection(hub, "2001:db8:1::1")), hub)
		if want := hub + " ipv6 2001:db8:1::/64 1/100 observed unseen=node"; got[0] != want {
			t.Errorf("%s, want %s", got[0], want)
		}
	})
	t.Run("a bucket that nobody can place may hold any", func(t *testing.T) {
		r := newRig(t, "")
		r.SetFacts(r.twoNodes(flow.No))
		got := of(r.flush(r.connection(hub, "")), hub)
		if want := hub + " ipv6 - 1/100 assumed unseen=node"; got[0] != want {
			t.Errorf("%s, want %s", got[0], want)
		}
	})
}

// counts are a bucket's columns that may be unknown.
func counts(b *flow.Bucket) string {
	var all []string
	for _, f := range flow.BucketFields {
		if f.Count == nil {
			continue
		}
		value := "?"
		if n := f.Count(b); n.Known {
			value = fmt.Sprint(n.N)
		}
		all = append(all, f.Name+"="+value)
	}
	return strings.Join(all, " ")
}

// TestMoved: a node whose address changed has pulls in two buckets. What exceeds its connections goes where most of them are.
func TestMoved(t *testing.T) {
	for _, row := range []struct {
		before, after int
		want          []string
	}{
		{3, 2, []string{"ipv4 192.0.2.1 4/100 inferred"}},
		{2, 3, []string{"ipv4 192.0.2.9 4/100 inferred", "ipv4 192.0.2.1 0/100 inferred"}},
		{3, 3, []string{"ipv4 192.0.2.1 5/100 inferred"}}, // the first as it is written
	} {
		r := newRig(t, "")
		at := func(a string) {
			r.SetFacts(&bucket.Facts{Nodes: map[flow.Name]bucket.Node{r.names.Name("node-1"): {IPv4: ip(a), Shows: flow.Yes}}})
		}
		var before, after []any
		for range row.before {
			before = append(before, r.pull("node-1", "docker.io"))
		}
		for range row.after {
			after = append(after, r.pull("node-1", "docker.io"))
		}
		after = append(after, r.connection(hub, "192.0.2.5", r.byHost("node-1")))
		at("192.0.2.9")
		r.flush(after...)
		at("192.0.2.1")
		got := of(r.flush(before...), hub)
		for i, want := range row.want {
			if want = hub + " " + want + " unseen=nothing"; i < len(got) && !slices.Contains(got, want) {
				t.Errorf("%d before, %d after: %q, want %q in it", row.before, row.after, got, want)
			}
		}
	}
}
