package inventory_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/enrich/kube/inventory"
)

// found is a cluster, and the rows of which a word is said there.
type found struct {
	word, cluster string
	rows          []string
}

var findings = []found{
	{inventory.NoAddress, `
		node a 192.0.2.1 2001:db8:a::1
		node b 192.0.2.2
		node c 2001:db8:c::1`, []string{"node ipv6 b", "node ipv4 c"}},
	{inventory.NoAddress, `
		node a 192.0.2.1
		pod x/pod 2001:db8::1`, []string{"node ipv6 a"}},
	{inventory.NoPodPrefix, `
		node a 192.0.2.1 10.0.0.0/24 2001:db8::/64
		node b 192.0.2.2 10.0.1.0/24
		node c 192.0.2.3`, []string{"node ipv6 b", "node ipv4 c", "node ipv6 c"}},
	{inventory.NoPodPrefix, `
		ipam eni
		node a 192.0.2.1
		pod x/pod 192.0.2.9`, nil},
	{inventory.NodesShare64, `
		node a 2001:db8:a::1 2001:db8:b::1
		node b 2001:db8:b:0:1::2
		node c 2001:db8:c::1 2001:db8:c::2
		node d fd00::1
		node e fd00::2
		node f 192.0.2.1
		node g 192.0.2.2`, []string{"node ipv6 a", "node ipv6 b"}},
	{inventory.NoGlobalAddress, `
		node a 10.0.0.1 fd00::1
		node b 192.0.2.1 2001:db8::1
		node c 100.64.0.1 fe80::1
		node d 10.0.0.4 192.0.2.4`, []string{"node ipv4 a", "node ipv6 a", "node ipv4 c", "node ipv6 c"}},

	{inventory.ClusterPrefixUnknown, `
		ipam kubernetes
		pool 2001:db8::/60 64
		node a 10.0.0.0/24 2001:db8::/64`, []string{"cluster_prefix ipv4 "}},
	{inventory.MaskDoesNotFit, `
		pool 10.0.0.0/24 23
		pool 10.1.0.0/24 24
		pool 10.2.0.0/8 24
		pool 10.3.0.0/24 33
		pool 2001:db8::/60 76
		pool 2001:db8:1::/60 77
		pool 2001:db8:2::/60 59
		pool 2001:db8:3::/127 129
		pool 2001:db8:4::/60 -1
		pool 2001:db8:5::/60 0`, []string{
		"cluster_prefix ipv4 10.0.0.0/24", "cluster_prefix ipv4 10.3.0.0/24", "cluster_prefix ipv6 2001:db8:1::/60",
		"cluster_prefix ipv6 2001:db8:2::/60", "cluster_prefix ipv6 2001:db8:3::/127", "cluster_prefix ipv6 2001:db8:4::/60",
	}},
	{inventory.UniqueLocal, `
		pool fd00::/104 120
		pool 10.0.0.0/8 24
		pool 2001:db8::/60 64`, []string{"cluster_prefix ipv6 fd00::/104"}},
	{inventory.UniqueLocal, `
		node a fd00::/64
		node b 2001:db8::/64`, nil},
	{inventory.SmallerThan64, `
		pool 10.0.0.0/8 24
		pool 2001:db8::/60 64
		pool 2001:db8:1::/60 65
		node a 2001:db8::/64 10.0.0.0/24
		node b 2001:db8:1::/65`, []string{"cluster_prefix ipv6 2001:db8:1::/60", "node_prefix ipv6 2001:db8:1::/65"}},
	{inventory.Shares64, `
		node a 2001:db8::/64 10.0.0.0/24
		node b 2001:db8:1::/65 2001:db8:1:0:8000::/65
		node c 2001:db8:2::/120 10.0.1.0/24
		node d 2001:db8:2:0:1::/120
		node e 2001:db8:4::/62
		node f 2001:db8:4:1::/62
		node g 2001:db8:5::/62
		node h 2001:db8:5::/66
		node i 2001:db8:5:0:8000::/66`, []string{
		"node_prefix ipv6 2001:db8:2::/120", "node_prefix ipv6 2001:db8:2:0:1::/120",
		"node_prefix ipv6 2001:db8:5::/66", "node_prefix ipv6 2001:db8:5:0:8000::/66",
	}},
	{inventory.NotCutFromPool, `
		pool 10.0.0.0/16 24
		node a 10.0.255.0/24 2001:db8::/64
		node b 10.1.0.0/24
		node c 10.0.0.0/8`, []string{"node_prefix ipv4 10.1.0.0/24", "node_prefix ipv4 10.0.0.0/8"}},
	{inventory.LengthNotOfPool, `
		pool 10.0.0.0/16 24
		pool 10.1.0.0/16 0
		node a 10.0.0.0/24
		node b 10.0.2.0/25
		node c 10.1.0.0/26`, []string{"node_prefix ipv4 10.0.2.0/25"}},
	{inventory.Overlaps, `
		pool blue 10.0.0.0/16 24
		pool red 10.0.128.0/17 24
		pool green 10.1.0.0/16 24
		pool yellow 10.2.0.0/16 24
		range 10.1.255.0/24
		node a 10.2.0.1 10.1.0.0/24
		node b 192.0.2.1 10.0.0.0/24`, []string{
		"cluster_prefix ipv4 10.0.0.0/16", "cluster_prefix ipv4 10.0.128.0/17", "cluster_prefix ipv4 10.1.0.0/16", "cluster_prefix ipv4 10.2.0.0/16",
	}},
	{inventory.Overlaps, `
		pool 10.0.0.0/16 24
		pool 10.0.1.0/24 24
		pool 10.1.0.0/16 24`, []string{"cluster_prefix ipv4 10.0.0.0/16", "cluster_prefix ipv4 10.0.1.0/24"}},
	{inventory.Overlaps, `
		range fd00:f::/112
		node a 10.1.0.1 10.0.0.0/24 10.0.0.0/25
		node b 10.2.0.1 10.1.0.0/24 fd00::/64
		node c 10.3.0.0/24
		node d 10.3.0.128/25 fd00:f::/64
		node e fd00::/64`, []string{
		"node_prefix ipv4 10.1.0.0/24", "node_prefix ipv6 fd00::/64", "node_prefix ipv4 10.3.0.0/24", "node_prefix ipv4 10.3.0.128/25",
		"node_prefix ipv6 fd00:f::/64", "node_prefix ipv6 fd00::/64",
	}},

	{inventory.NearlyUsedUp, `
		pool 10.0.0.0/22 24
		pool 10.1.0.0/23 24
		pool 10.2.0.0/30 31
		pool 10.4.0.0/24 24
		pool 2001:db8::/61 64
		node a 10.0.0.0/24 10.0.1.0/24 10.0.2.0/24 10.1.0.0/24 2001:db8::/64 2001:db8:0:1::/64
		node b 2001:db8:0:2::/64 2001:db8:0:3::/64 2001:db8:0:4::/64`, nil},
	{inventory.NearlyUsedUp, `
		pool 2001:db8::/61 64
		node a 2001:db8::/64 2001:db8:0:1::/64 2001:db8:0:2::/64 2001:db8:0:3::/64 2001:db8:0:4::/64 2001:db8:0:5::/64
		node b 2001:db8:0:6::/64`, []string{"cluster_prefix ipv6 2001:db8::/61"}},
	{inventory.NearlyUsedUp, `
		pool blue 10.0.0.0/22 24
		pool red 10.1.0.0/23 24
		pool red 10.2.0.0/16 24
		pool green 10.3.0.0/24 24
		node a 10.0.0.0/23 10.1.0.0/24
		node b 10.0.2.0/25`, []string{"cluster_prefix ipv4 10.0.0.0/22"}},
	{inventory.NearlyUsedUp, `
		pool three_quarters 2001:db8::/60 64
		pool more 2001:db8:1::/60 64
		node a 2001:db8::/61 2001:db8:0:8::/62
		node b 2001:db8:1::/61 2001:db8:1:8::/62 2001:db8:1:c::/64`, []string{"cluster_prefix ipv6 2001:db8:1::/60"}},
	{inventory.UsedUp, `
		pool 2001:db8::/63 64
		pool blue 10.0.0.0/23 24
		pool red 10.2.0.0/23 24
		pool red 10.4.0.0/23 0
		node a 2001:db8::/62 10.0.0.0/24 10.2.0.0/23
		node b 10.0.1.128/25`, []string{"cluster_prefix ipv4 10.0.0.0/23", "cluster_prefix ipv6 2001:db8::/63"}},
	{inventory.NearlyUsedUp, `
		ipam cluster-pool
		node a 10.0.0.0/28 10.1.0.0/28
		pod x/1 10.0.0.1
		pod x/2 10.0.0.2
		pod x/3 10.0.0.3
		pod x/4 10.0.0.4
		pod x/5 10.0.0.5
		pod x/6 10.0.0.6
		pod x/7 10.0.0.7
		pod x/8 10.0.0.8
		pod x/9 10.0.0.9
		pod x/10 10.0.0.10 10.1.0.1
		pod x/11 10.0.0.11
		pod x/12 ended 10.0.0.12
		pod x/13 host 10.0.0.13`, []string{"node_prefix ipv4 10.0.0.0/28"}},
	{inventory.UsedUp, `
		ipam cluster-pool
		node a 10.0.0.0/30 10.1.0.0/30
		pod x/1 10.0.0.1
		pod x/2 10.0.0.1`, []string{"node_prefix ipv4 10.0.0.0/30"}},
	{inventory.NearlyUsedUp, `
		node a 10.0.0.0/29
		pod x/1 10.0.0.1
		pod x/2 10.0.0.1
		pod x/3 10.0.0.1
		pod x/4 10.0.0.1`, nil},
	{inventory.UsedUp, `
		ipam multi-pool
		node a 10.0.0.0/30
		pod x/1 10.0.0.1`, nil},
	{inventory.UsedUp, `
		unknown Pod
		node a 10.0.0.0/32`, nil},
	{inventory.NearlyUsedUp, `
		range 10.0.0.0/29 fd00::/112
		service x/a 10.0.0.1
		service x/b 10.0.0.2
		service x/c 10.0.0.3
		service x/d 10.0.0.4
		service x/e 10.0.0.4
		service x/f 10.0.0.5`, []string{"service_prefix ipv4 10.0.0.0/29"}},
	{inventory.UsedUp, `
		range 10.0.0.0/31 10.1.0.0/30
		service x/a 10.1.0.1
		service x/b 10.1.0.2`, []string{"service_prefix ipv4 10.0.0.0/31", "service_prefix ipv4 10.1.0.0/30"}},
	{inventory.UsedUp, `
		range fd00::/64 fd00:1::/127
		service x/a fd00::1`, nil},
	{inventory.UsedUp, `
		unknown Service
		range 10.0.0.0/31`, nil},

	{inventory.ServiceRangeUnknown, `
		service x/a 10.96.0.1`, []string{"service_prefix ipv4 "}},
	{inventory.ServiceRangeUnknown, `
		range fd00::/112
		service x/a 10.96.0.1`, []string{"service_prefix ipv4 "}},
	{inventory.NoServiceRange, `
		range 10.96.0.0/16
		node a 10.0.0.0/24 2001:db8::/64
		service x/a 10.96.0.1`, []string{"service_prefix ipv6 "}},

	{inventory.SingleStackIPv4, `
		pod x/pod 10.0.0.1 2001:db8::1
		service x/four 10.96.0.1
		service x/six fd96::1
		service x/both PreferDualStack 10.96.0.3 fd96::3
		service x/prefers PreferDualStack 10.96.0.4
		service x/pods headless ipv4
		service x/untold headless
		service x/elsewhere external`, []string{"service ipv6 x/four", "service ipv6 x/pods"}},
	{inventory.SingleStackIPv4, `
		service x/four 10.96.0.1`, nil},
	{inventory.PreferDualStackGotOne, `
		service x/a PreferDualStack 10.96.0.1
		service x/b PreferDualStack fd96::1
		service x/c RequireDualStack fd96::2 10.96.0.2`, []string{"service ipv6 x/a", "service ipv4 x/b"}},
	{inventory.PreferDualStackGotOne, `
		service x/a PreferDualStack 10.96.0.1`, nil},
	{inventory.DeclaredWithoutEndpoint, `
		service x/a RequireDualStack v4=2/2 v6=0/2 10.96.0.1 fd96::1
		service x/b RequireDualStack v4=0/0 v6=1/2 10.96.0.2 fd96::2
		service x/c RequireDualStack v4=1/1 v6=1/2 10.96.0.3 fd96::3
		service x/d RequireDualStack v4=0/0 v6=0/2 10.96.0.4 fd96::4
		service x/e v4=1/1 10.96.0.5`, []string{"service ipv6 x/a", "service ipv4 x/b"}},
	{inventory.DeclaredWithoutEndpoint, `
		unknown EndpointSlice
		service x/a RequireDualStack v4=2/2 10.96.0.1 fd96::1`, nil},
	{inventory.FewerEndpoints, `
		service x/a RequireDualStack v4=2/2 v6=1/2 10.96.0.1 fd96::1
		service x/b RequireDualStack v4=1/2 v6=1/2 10.96.0.2 fd96::2
		service x/c RequireDualStack v4=1/2 v6=0/2 10.96.0.3 fd96::3`, []string{"service ipv6 x/a"}},
	{inventory.NoEndpoints, `
		service x/a RequireDualStack v4=0/2 v6=0/2 10.96.0.1 fd96::1
		service x/b v4=0/0 10.96.0.2
		service x/c RequireDualStack v4=1/1 v6=0/0 10.96.0.3 fd96::3`, []string{"service ipv4 x/a", "service ipv6 x/a", "service ipv4 x/b"}},
	{inventory.LoadBalancerLacksFamily, `
		service x/a RequireDualStack lb=192.0.2.1 10.96.0.1 fd96::1
		service x/b RequireDualStack lb=192.0.2.2 lb=2001:db8::2 10.96.0.2 fd96::2
		service x/c lb=192.0.2.3 10.96.0.3
		service x/d lb=192.0.2.4 fd96::4
		service x/e RequireDualStack 10.96.0.5 fd96::5`, []string{"service ipv6 x/a", "service ipv6 x/d"}},
	{inventory.Headless, `
		service x/a headless ipv4
		service x/b 10.96.0.1`, []string{"service ipv4 x/a"}},
	{inventory.PodsLackFamily, `
		pod x/a-1 Deployment/a 10.0.0.1 2001:db8::1
		pod x/a-2 Deployment/a 10.0.0.2
		pod x/a-3 Deployment/a ended 10.0.0.3
		pod x/a-4 Deployment/a host 10.0.0.4
		pod x/b-1 Deployment/b
		pod x/a-5 Job/a 2001:db8::5
		pod y/a-1 Deployment/a 10.0.0.5 2001:db8::6`, []string{"workload ipv6 x/a", "workload ipv4 x/a"}},
	{inventory.PodsLackFamily, `
		node a 192.0.2.1 2001:db8:a::1
		pod x/a 10.0.0.1`, nil},
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for _, c := range findings {
		var rows []string
		for _, item := range inventory.Of(flow.NewInterner(), view(t, c.cluster)) {
			if slices.Contains(words(item.Findings), c.word) {
				rows = append(rows, strings.Join([]string{item.Kind.String(), item.Family.String(), called(item)}, " "))
			}
		}
		if diff := cmp.Diff(c.rows, rows); diff != "" {
			t.Errorf("%s in%s\n(-want +got)\n%s", c.word, c.cluster, diff)
		}
	}
}

func called(i flow.Item) string {
	if i.Namespace.IsZero() {
		return i.Name.String()
	}
	return i.Namespace.String() + "/" + i.Name.String()
}

// The table says of each word what it means, and each is found in a test.
func TestFindingsTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range inventory.Findings {
		if seen[f.Word] {
			t.Errorf("%s is there twice", f.Word)
		}
		seen[f.Word] = true
		if f.Level < inventory.Note || f.Level > inventory.Problem || len(f.Kinds) == 0 {
			t.Errorf("%s: level %s, said of %v", f.Word, f.Level, f.Kinds)
		}
		for _, text := range []string{f.Doc, f.Remedy} {
			if text != "" && (!strings.HasSuffix(text, ".") || strings.ToUpper(text[:1]) != text[:1]) {
				t.Errorf("%s: %q is no sentence", f.Word, text)
			}
		}
		if f.Doc == "" || f.Level == inventory.Problem && f.Remedy == "" {
			t.Errorf("%s: has no sentence, or is a problem without a remedy", f.Word)
		}
		if f.Word != inventory.RowsLeftOut && !slices.ContainsFunc(findings, func(c found) bool { return c.word == f.Word && len(c.rows) > 0 }) {
			t.Errorf("%s is found in no test", f.Word)
		}
	}
}
