package bucket_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/bucket"
	"sextant/collector/flow"
)

func pools(list ...string) func(*bucket.Config) {
	return func(c *bucket.Config) { c.Pools = list }
}

// TestBucketOf holds which bucket a connection falls into against what is known of its way.
func TestBucketOf(t *testing.T) {
	native := func(c *flow.Connection) { c.Class, c.EgressIPEvidence = flow.Native6, flow.Inferred }
	gateway := func(c *flow.Connection) { c.EgressIPEvidence = flow.Confirmed }
	nat64 := func(c *flow.Connection) { c.Class, c.EmbeddedIPv4 = flow.NAT64, ip("198.51.100.20") }
	clat := func(c *flow.Connection) { c.Class, c.Family, c.Source.IP = flow.CLAT, flow.FamilyIPv4, ip("192.0.0.2") }
	ipv4 := func(c *flow.Connection) { c.Family = flow.FamilyIPv4 }
	for _, row := range []struct {
		name, egress string
		pools        []string
		edit         func(*flow.Connection)
		want         string
	}{
		{"translated address that was observed", "2001:db8:a::1", nil, nil, "ipv6 2001:db8:a::/64 1/100 observed"},
		{"egress gateway", "2001:db8:e::9", nil, gateway, "ipv6 2001:db8:e::/64 1/100 confirmed"},
		{"pod's own address", "2001:db8:1:2::3", nil, native, "ipv6 2001:db8:1:2::/64 1/100 inferred"},
		{"IPv4 of a node", "192.0.2.1", nil, nil, "ipv4 192.0.2.1 1/100 observed"},
		{"nobody knows, IPv6", "", nil, nil, "ipv6 - 1/100 assumed"},
		{"nobody knows, IPv4", "", nil, ipv4, "ipv4 - 1/100 assumed"},
		{"NAT64, translator unknown", "", nil, nat64, "ipv4 - 1/100 assumed"},
		{"NAT64 with a pool", "", []string{"nat64=203.0.113.9"}, nat64, "ipv4 203.0.113.9 1/100 inferred"},
		{"NAT64 with several addresses", "", []string{"nat64=203.0.113.8/30"}, nat64, "ipv4 203.0.113.8/30 1/100 assumed"},
		{"NAT64 that was observed", "203.0.113.7", nil, func(c *flow.Connection) { nat64(c); c.Family = flow.FamilyIPv6 }, "ipv4 203.0.113.7 1/100 observed"},
		{"CLAT", "", []string{"nat64=203.0.113.9"}, clat, "ipv4 203.0.113.9 1/100 inferred"},
		{"NAT44 behind the nodes", "10.0.0.7", []string{"ipv4=203.0.113.1", "10.0.0.0/24=203.0.113.2"}, nil, "ipv4 203.0.113.2 1/100 inferred"},
		{"the longest prefix first", "10.0.0.7", []string{"10.0.0.0/8=203.0.113.1", "10.0.0.7=203.0.113.2"}, nil, "ipv4 203.0.113.2 1/100 inferred"},
		{"NAT44 for all", "10.1.0.7", []string{"ipv4=203.0.113.1", "10.0.0.0/24=203.0.113.2"}, nil, "ipv4 203.0.113.1 1/100 inferred"},
		{"NAT66 behind the nodes", "fd00::7", []string{"fd00::/8=2001:db8:f::1"}, nil, "ipv6 2001:db8:f::/64 1/100 inferred"},
		{"NPTv6 to a wide prefix", "fd00::7", []string{"fd00::/8=2001:db8:f::/48"}, nil, "ipv6 2001:db8:f::/48 1/100 assumed"},
		{"NPTv6 inside a /64", "fd00::7", []string{"fd00::/8=2001:db8:f::/72"}, nil, "ipv6 2001:db8:f::/64 1/100 inferred"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, "", pools(row.pools...))
			edit := func(c *flow.Connection) {
				if row.edit != nil {
					row.edit(c)
				}
			}
			got := of(r.flush(r.connection(hub, row.egress, edit)), hub)
			if diff := cmp.Diff([]string{hub + " " + row.want + " unseen=unknown"}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWhatCounts holds which connections are uses.
func TestWhatCounts(t *testing.T) {
	catalogue := "limits: [{name: conns.example, hosts: [conns.example], unit: connections, limit: 9, window: 1h}]"
	outcome := func(o flow.Outcome) func(*flow.Connection) { return func(c *flow.Connection) { c.Outcome = o } }
	for _, row := range []struct {
		name, host string
		edit       func(*flow.Connection)
		want       int // charges
	}{
		{"answered", hub, outcome(flow.Answered), 2},
		{"nobody knows", hub, outcome(flow.OutcomeUnknown), 2},
		{"refused made no request", hub, outcome(flow.Refused), 0},
		{"refused was a connection", "conns.example", outcome(flow.Refused), 1},
		{"unanswered reached nobody", hub, outcome(flow.Unanswered), 0},
		{"denied left nowhere", "conns.example", outcome(flow.Denied), 0},
		{"tokens are no pulls", "auth.docker.io", nil, 0},
		{"layers are no pulls", "production.cloudflare.docker.com", nil, 0},
		{"another service", "www.example.com", nil, 0},
		{"capitals and a last dot", "Registry-1.Docker.IO.", nil, 2},
		{"a pattern", "europe-docker.pkg.dev", nil, 1},
		{"a pattern is not for its own name", "pkg.dev", nil, 0},
		{"a name that only ends like one", "evilpkg.dev", nil, 0},
		{"inside the cluster", hub, func(c *flow.Connection) { c.Direction = flow.InternalDirection }, 0},
		{"from outside", hub, func(c *flow.Connection) { c.Direction = flow.IngressDirection }, 0},
		{"a ping", hub, func(c *flow.Connection) { c.Protocol = flow.ICMPv6 }, 0},
		{"QUIC", hub, func(c *flow.Connection) { c.Protocol = flow.UDP }, 2},
		{"an address of a range, without a name", "", func(c *flow.Connection) { c.Destination.IP = ip("2001:4860:4860::8888") }, 1},
		{"… behind a NAT64", "", func(c *flow.Connection) {
			c.Class, c.Destination.IP, c.EmbeddedIPv4 = flow.NAT64, ip("64:ff9b::808:808"), ip("8.8.8.8")
		}, 1},
		{"an address of nobody", "", nil, 0},
	} {
		r := newRig(t, catalogue)
		edit := func(c *flow.Connection) {
			if row.edit != nil {
				row.edit(c)
			}
		}
		if got := r.flush(r.connection(row.host, "2001:db8:a::1", edit)).Charges; len(got) != row.want {
			t.Errorf("%s: %d charges, want %d", row.name, len(got), row.want)
		}
	}
}

// TestFurtherLimits: a host may have several limits, which count by different prefixes, and one that is for one family alone.
func TestFurtherLimits(t *testing.T) {
	const acme = "acme-v02.api.letsencrypt.org"
	r := newRig(t, "")
	b := r.flush(r.connection(acme, "2001:db8:a:1::1"), r.connection(acme, "2001:db8:a:2::1"), r.connection(acme, "192.0.2.1"))
	var got []string
	for _, service := range []string{acme, acme + " /48", acme + " identifiers"} {
		got = append(got, of(b, service)...)
	}
	want := []string{ // what can be seen are no registrations: the limit is not held against it
		acme + " ipv4 192.0.2.1 1/? observed unseen=unknown",
		acme + " ipv6 2001:db8:a:1::1 1/? observed unseen=unknown",
		acme + " ipv6 2001:db8:a:2::1 1/? observed unseen=unknown",
		acme + " /48 ipv6 2001:db8:a::/48 2/? observed unseen=unknown",
		acme + " identifiers ipv4 192.0.2.1 1/? observed unseen=unknown",
		acme + " identifiers ipv6 2001:db8:a:1::/64 1/? observed unseen=unknown",
		acme + " identifiers ipv6 2001:db8:a:2::/64 1/? observed unseen=unknown",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestShared: nodes in one /64 share a bucket, two /64 of one node do not.
func TestShared(t *testing.T) {
	r := newRig(t, "")
	native := func(c *flow.Connection) { c.Class = flow.Native6 }
	b := r.flush(
		r.connection(hub, "2001:db8:a::1"), r.connection(hub, "2001:db8:a::1"),
		r.connection(hub, "2001:db8:a::2", func(c *flow.Connection) {
			c.Node = r.names.Name("node-2")
			c.Source.Endpoint = r.names.Endpoint(flow.Endpoint{Namespace: r.names.Name("ci"), Pod: r.names.Name("job"), Workload: r.names.Name("job"), Node: c.Node})
		}),
		r.connection(hub, "2001:db8:b:1::1", native), r.connection(hub, "2001:db8:b:2::1", native),
	)
	want := []string{
		hub + " ipv6 2001:db8:a::/64 3/100 observed unseen=unknown",
		hub + " ipv6 2001:db8:b:1::/64 1/100 observed unseen=unknown",
		hub + " ipv6 2001:db8:b:2::/64 1/100 observed unseen=unknown",
	}
	if diff := cmp.Diff(want, of(b, hub)); diff != "" {
		t.Error(diff)
	}
	full := &b.Buckets[0]
	if full.Nodes != 2 || full.Namespaces != 2 || full.Pods != 2 || full.Headroom != (flow.Count{N: 97, Known: true}) {
		t.Errorf("%d nodes, %d namespaces, %d pods, headroom %v; want 2, 2, 2 and 97", full.Nodes, full.Namespaces, full.Pods, full.Headroom)
	}
	if diff := cmp.Diff([]string{"shop/web=2", "ci/job=1"}, list(full.TopWorkloads)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"node-1=2", "node-2=1"}, list(full.TopNodes)); diff != "" {
		t.Error(diff)
	}
}

func list(n flow.Names) []string {
	var all []string
	for _, name := range n.Get() {
		all = append(all, name.String())
	}
	return all
}

// TestSpeed holds burn rate and time to exhaustion against streams of which both are plain.
func TestSpeed(t *testing.T) {
	r := newRig(t, "")
	var rows []any
	for minute := range 60 { // one a minute: 60 an hour, 360 in a window that takes 100
		rows = append(rows, r.connection(hub, "192.0.2.1", at(time.Duration(minute)*time.Minute)))
	}
	b := r.flush(rows...).Buckets[0]
	if b.PerHour < 58 || b.PerHour > 63 {
		t.Errorf("%d an hour, want about 60", b.PerHour)
	}
	if left := b.ExhaustedIn; !left.Known || left.N < 39*60 || left.N > 41*60 {
		t.Errorf("exhausted in %v s, want about 40 minutes", left)
	}
	r = newRig(t, "")
	rows = nil
	for n := range 24 { // one in 15 minutes: 24 in a window, for ever
		rows = append(rows, r.connection(hub, "192.0.2.1", at(time.Duration(n)*15*time.Minute)))
	}
	if b := r.flush(rows...).Buckets[0]; b.PerHour != 4 || b.ExhaustedIn.Known {
		t.Errorf("%d an hour, exhausted in %v; want 4 and never", b.PerHour, b.ExhaustedIn)
	}
	r = newRig(t, "")
	rows = nil
	for range 101 {
		rows = append(rows, r.connection(hub, "192.0.2.1"))
	}
	if b := r.flush(rows...).Buckets[0]; b.ExhaustedIn != (flow.Count{Known: true}) || b.Headroom != (flow.Count{Known: true}) {
		t.Errorf("exhausted in %v, headroom %v; want 0 and 0", b.ExhaustedIn, b.Headroom)
	}
}

// TestChangesOnly: between the beginning and the end only what has changed is told, and what is empty once.
func TestChangesOnly(t *testing.T) {
	r := newRig(t, "")
	flush := func(rows ...any) []string {
		b := &flow.Batch{}
		for _, row := range rows {
			b.Connections = append(b.Connections, row.(flow.Connection))
		}
		r.Flush(b, false)
		return of(b, hub)
	}
	one := hub + " ipv4 192.0.2.1 1/100 observed unseen=unknown"
	for _, step := range []struct {
		name string
		rows []any
		want []string
	}{
		{"the first use", []any{r.connection(hub, "192.0.2.1")}, []string{one}},
		{"nothing", nil, nil},
		{"a use of another bucket", []any{r.connection(hub, "192.0.2.2")}, []string{hub + " ipv4 192.0.2.2 1/100 observed unseen=unknown"}},
		{"the window has passed", []any{r.connection("www.example.com", "192.0.2.3", at(7*time.Hour))}, []string{
			hub + " ipv4 192.0.2.1 0/100 observed unseen=unknown", hub + " ipv4 192.0.2.2 0/100 observed unseen=unknown",
		}},
		{"long ago", nil, nil},
	} {
		got := flush(step.rows...)
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s:\n%s", step.name, diff)
		}
	}
}

// TestLate: a use that comes in late counts where it belongs, one from before the window is told as a charge alone.
func TestLate(t *testing.T) {
	r := newRig(t, "")
	r.flush(r.connection(hub, "192.0.2.1", at(0)))
	if got := r.flush(r.connection(hub, "192.0.2.1", at(-5*time.Hour))); got.Buckets[0].Used != 2 || len(got.Charges) != 2 {
		t.Errorf("%d used, %d charges; want 2 and 2", got.Buckets[0].Used, len(got.Charges))
	}
	if got := r.flush(r.connection(hub, "192.0.2.1", at(-7*time.Hour))); got.Buckets[0].Used != 2 || len(got.Charges) != 2 || got.Charges[0].Bucket.String() != "192.0.2.1" {
		t.Errorf("%d used, charges %v; want 2 and 2 of the bucket", got.Buckets[0].Used, got.Charges)
	}
}

// TestNodesWithoutNames: a node asks for names where nobody sees. Its connections are taken for the service that others are
// known to reach at the same address, whichever came first.
func TestNodesWithoutNames(t *testing.T) {
	other := func(a string) func(*flow.Connection) { return func(c *flow.Connection) { c.Destination.IP = ip(a) } }
	for _, row := range []struct {
		name string
		rows func(r *rig) [][]any
		want int // uses of the hub's first bucket
	}{
		{"the node later", func(r *rig) [][]any {
			return [][]any{{r.connection(hub, "2001:db8:a::1")}, {r.connection("", "2001:db8:a::1", r.byHost("node-1"))}}
		}, 2},
		{"the node first", func(r *rig) [][]any {
			return [][]any{{r.connection("", "2001:db8:a::1", r.byHost("node-1"))}, {r.connection(hub, "2001:db8:a::1")}}
		}, 2},
		{"another address", func(r *rig) [][]any {
			return [][]any{{r.connection(hub, "2001:db8:a::1"), r.connection("", "2001:db8:a::1", r.byHost("node-1"), other("2001:db8:ffff::22"))}}
		}, 1},
		{"the address has other names, too", func(r *rig) [][]any {
			return [][]any{
				{r.connection(hub, "2001:db8:a::1")},
				{r.connection("cdn.example.com", "2001:db8:a::1")},
				{r.connection("", "2001:db8:a::1", r.byHost("node-1"))},
			}
		}, 1},
		{"the address is another service's, too", func(r *rig) [][]any {
			return [][]any{
				{r.connection(hub, "2001:db8:a::1")},
				{r.connection("quay.io", "2001:db8:a::1")},
				{r.connection("", "2001:db8:a::1", r.byHost("node-1"))},
			}
		}, 1},
		{"the address has other names in between", func(r *rig) [][]any {
			return [][]any{
				{r.connection(hub, "2001:db8:a::1"), r.connection("cdn.example.com", "2001:db8:a::1"), r.connection(hub, "2001:db8:a::1")},
				{r.connection("", "2001:db8:a::1", r.byHost("node-1"))},
			}
		}, 2},
		{"tokens", func(r *rig) [][]any {
			return [][]any{
				{r.connection(hub, "2001:db8:a::1"), r.connection("auth.docker.io", "2001:db8:a::1", other("2001:db8:ffff::22"))},
				{r.connection("", "2001:db8:a::1", r.byHost("node-1"), other("2001:db8:ffff::22"))},
			}
		}, 1},
	} {
		r := newRig(t, "")
		var got *flow.Batch
		for _, rows := range row.rows(r) {
			got = r.flush(rows...)
		}
		used := map[string]uint32{}
		for _, b := range got.Buckets {
			used[b.Service.String()] += b.Used
		}
		if int(used[hub]) != row.want || used["quay.io"] > 1 {
			t.Errorf("%s: %v used, want %d", row.name, used, row.want)
		}
	}
}

// TestSeen: how much of the window was watched is told. Events tell of pulls from before.
func TestSeen(t *testing.T) {
	r := newRig(t, "")
	hour := func(p *flow.Pull) { p.Time = noon.Add(-time.Hour) }
	if got := r.flush(r.pull("node-1", "docker.io", hour)).Buckets[0]; got.SeenSeconds != 0 || got.Used != 1 || got.PerHour != 1 {
		t.Errorf("%d seconds seen, %d used, %d an hour; want 0, 1 and 1", got.SeenSeconds, got.Used, got.PerHour)
	}
	if got := r.flush(r.connection(hub, "192.0.2.1", at(0)), r.connection(hub, "192.0.2.1", at(10*time.Minute))).Buckets[0]; got.SeenSeconds != 600 || got.PerHour != 12 {
		t.Errorf("%d seconds seen, %d an hour; want 600 and 12", got.SeenSeconds, got.PerHour)
	}
	if got := r.flush(r.connection(hub, "192.0.2.1", at(9*time.Hour))).Buckets[0]; got.SeenSeconds != 6*3600 {
		t.Errorf("%d seconds seen, want 6 hours", got.SeenSeconds)
	}
}
