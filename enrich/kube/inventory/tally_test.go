package inventory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/enrich/kube/inventory"
)

func TestTallies(t *testing.T) {
	t.Parallel()
	var got []string
	for _, c := range inventory.Tallies(inventory.Of(flow.NewInterner(), view(t, setups["half_way"]))) {
		got = append(got, fmt.Sprintf("%s %s: %d of %d %s %s: %s", c.Level, c.Word, c.Rows, c.Of, c.Family, c.Kind, strings.Join(c.Examples, " ")))
	}
	want := []string{
		"problem no_pod_prefix: 1 of 3 ipv6 node: node-3",
		"problem declared_without_endpoints: 1 of 5 ipv6 service: shop/api",
		"warning no_address: 1 of 3 ipv6 node: node-3",
		"warning nodes_share_64: 2 of 3 ipv6 node: node-1 node-2",
		"warning prefer_dual_stack_got_one: 1 of 5 ipv6 service: shop/old",
		"warning fewer_endpoints: 1 of 5 ipv6 service: shop/web",
		"warning load_balancer_lacks_family: 1 of 5 ipv6 service: shop/api",
		"warning pods_lack_family: 3 of 4 ipv6 workload: shop/api shop/job shop/web",
		"note single_stack_ipv4: 2 of 5 ipv6 service: shop/db shop/job",
		"note no_endpoints: 2 of 5 ipv4 service: shop/db shop/job",
		"note headless: 1 of 5 ipv4 service: shop/db",
		"note headless: 1 of 5 ipv6 service: shop/db",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	got := inventory.Plan(inventory.Of(flow.NewInterner(), view(t, `
		ipam kubernetes
		range 2001:db8:f::/112
		node a 2001:db8::/64
		node b 2001:db8:1::/96
		node c 2001:db8:1:0:1::/96
		node d 2001:db8:1:1::/96
		pod x/1 2001:db8:1:0:1::1
		pod x/2 2001:db8:1:0:1::2
		pod x/3 2001:db8:1:1::3`)))
	known := func(n uint64) flow.Count { return flow.Count{N: n, Known: true} }
	want := []inventory.Line{
		{
			Kind: flow.ItemClusterPrefix, Family: flow.FamilyIPv6, Used: known(4), Findings: []string{inventory.ClusterPrefixUnknown},
			Text: "the prefix that nodes get theirs from is not told (IPAM mode kubernetes); 4 prefixes of 4 nodes lie in 2001:db8::/47, which may be less than it, or more",
		},
		{
			Kind: flow.ItemServicePrefix, Family: flow.FamilyIPv6, Prefix: "2001:db8:f::/112", Length: 112, Prefixes: 1, Total: known(65535), Used: known(0),
			Text: "services have 0 of 65535 addresses",
		},
		{
			Kind: flow.ItemNodePrefix, Family: flow.FamilyIPv6, Length: 64, Prefixes: 1, Total: known(65534), Used: known(0),
			Text: "nodes have 1 IPv6 prefix of length 64, the fullest with 0 of 65534 addresses in use",
		},
		{
			Kind: flow.ItemNodePrefix, Family: flow.FamilyIPv6, Length: 96, Prefixes: 3, Total: known(65534), Used: known(2),
			Findings: []string{inventory.SmallerThan64, inventory.Shares64},
			Text:     "nodes have 3 IPv6 prefixes of length 96, the fullest with 2 of 65534 addresses in use",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if err := inventory.Default().Validate(); err != nil {
		t.Error(err)
	}
	err := inventory.Config{Every: 1, MaxRows: -1}.Validate()
	want := "inventory.every: must be from 1s to 24h, is 1ns\ninventory.max_rows: must be from 1 to 1000000, is -1"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestExamples: a sentence names a few things, and says how many more there are where that is shorter.
func TestExamples(t *testing.T) {
	t.Parallel()
	nodes := ""
	for i, want := range []string{
		"", "2 nodes have a global address in 2001:db8::/64 (n0, n1)", "3 nodes have a global address in 2001:db8::/64 (n0, n1, n2)",
		"4 nodes have a global address in 2001:db8::/64 (n0, n1, n2, n3)", "5 nodes have a global address in 2001:db8::/64 (n0, n1, n2 and 2 more)",
	} {
		nodes += fmt.Sprintf("node n%d 2001:db8::%d\n", i, i+1)
		if got := inventory.Of(flow.NewInterner(), view(t, nodes))[0].Detail.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
