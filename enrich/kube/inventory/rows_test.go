package inventory_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/enrich/kube"
	"sextant/enrich/kube/inventory"
)

// TestMaxRows: what there is no room for is counted, and the last row says so.
func TestMaxRows(t *testing.T) {
	t.Parallel()
	v := view(t, setups["half_way"])
	all := inventory.Of(flow.NewInterner(), v)
	for n := 1; n <= len(all); n++ {
		some := inventory.Config{MaxRows: n}.Of(flow.NewInterner(), v)
		if n == len(all) {
			if len(some) != n {
				t.Errorf("%d rows, want %d", len(some), n)
			}
			continue
		}
		if diff := cmp.Diff(briefs(all[:n]), briefs(some[:n])); diff != "" {
			t.Errorf("%d of %d rows (-want +got)\n%s", n, len(all), diff)
		}
		last := some[n]
		if len(some) != n+1 || last.Kind != flow.ItemUnknown || last.Used.N != uint64(n) || last.Total.N != uint64(len(all)) {
			t.Errorf("%d rows, the last %s", len(some), brief(last))
		}
	}
	got := brief(inventory.Config{MaxRows: len(all) - 9}.Of(flow.NewInterner(), v)[len(all)-9])
	want := "unknown none has=unknown 24/33 rows_left_out\n    9 of 33 rows are left out (1 of kind service, 8 of kind workload), as max_rows is 24"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestHuge: a large cluster costs no more than its size, and what overflows is told.
func TestHuge(t *testing.T) {
	t.Parallel()
	items := inventory.Of(flow.NewInterner(), huge(5_000, 50_000, 100_000))
	last := items[len(items)-1]
	if len(items) != 50_001 || last.Total.N != 10_000+10_000+2+2+200_000+2*50_000 || last.Used.N != 50_000 {
		t.Errorf("%d items, the last %s", len(items), brief(last))
	}
	want := "2001:db8::/48 5000/65536"
	for _, item := range items {
		if item.Kind == flow.ItemClusterPrefix && item.Family == flow.FamilyIPv6 {
			if got := item.Prefix.String() + " " + count(item.Used) + "/" + count(item.Total); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
}

// huge is a dual-stack cluster of which each pod is a workload's only one.
func huge(nodes, pods, services int) kube.View {
	v := kube.View{Cluster: "huge", IPAM: "cluster-pool", Knows: map[kube.Kind]bool{
		kube.KindNode: true, kube.KindPod: true, kube.KindService: true, kube.KindEndpointSlice: true,
	}}
	v.Pools = []kube.Pool{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), NodeLength: 24}, {Prefix: netip.MustParsePrefix("2001:db8::/48"), NodeLength: 64}}
	v.ServiceCIDRs = []netip.Prefix{netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("fd96::/108")}
	four := func(a, b, n int) netip.Addr {
		return netip.AddrFrom4([4]byte{byte(a), byte(b + n>>16), byte(n >> 8), byte(n)})
	}
	six := func(prefix string, block, n int) netip.Addr {
		a := netip.MustParseAddr(prefix).As16()
		a[6], a[7], a[13], a[14], a[15] = byte(block>>8), byte(block), byte(n>>16), byte(n>>8), byte(n)
		return netip.AddrFrom16(a)
	}
	for i := range nodes {
		v.Nodes = append(v.Nodes, kube.ViewNode{
			Name: fmt.Sprintf("node-%d", i), Addresses: []netip.Addr{four(192, 0, i), six("2001:db8:ffff::", 0, i)},
			PodCIDRs: []netip.Prefix{netip.PrefixFrom(four(10, 0, i<<8), 24), netip.PrefixFrom(six("2001:db8::", i, 0), 64)},
		})
	}
	for i := range pods {
		on, n := i%nodes, i/nodes+1
		v.Pods = append(v.Pods, kube.ViewPod{
			Namespace: "n", Name: fmt.Sprintf("pod-%d", i), Workload: fmt.Sprintf("w-%d", i), WorkloadKind: "Deployment",
			IPs: []netip.Addr{four(10, 0, on<<8+n), six("2001:db8::", on, n)},
		})
	}
	for i := range services {
		v.Services = append(v.Services, kube.ViewService{
			Namespace: "n", Name: fmt.Sprintf("service-%d", i), Families: []flow.Family{flow.FamilyIPv4, flow.FamilyIPv6},
			ClusterIPs: []netip.Addr{four(172, 16, i+1), six("fd96::", 0, i+1)}, Selects: true,
		})
	}
	return v
}

func BenchmarkOf(b *testing.B) {
	v, names := huge(1_000, 10_000, 2_000), flow.NewInterner()
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		rows = len(inventory.Of(names, v))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
}
