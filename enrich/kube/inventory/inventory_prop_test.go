package inventory_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sextant/collector/flow"
	"sextant/enrich/kube"
	"sextant/enrich/kube/inventory"
)

// Addresses and prefixes are drawn from few, so that they meet, and from all, so that nothing is sure of them.
var (
	addresses = rapid.Custom(func(t *rapid.T) netip.Addr {
		low := rapid.OneOf(rapid.Uint64Range(0, 300), rapid.Uint64()).Draw(t, "low")
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return netip.Addr{}
		case 1, 2, 3, 4:
			return netip.AddrFrom4([4]byte{10, byte(low >> 16), byte(low >> 8), byte(low)})
		case 5:
			var all [16]byte
			binary.BigEndian.PutUint64(all[:], rapid.Uint64().Draw(t, "high"))
			binary.BigEndian.PutUint64(all[8:], low)
			return netip.AddrFrom16(all)
		case 6:
			return netip.AddrFrom16([16]byte{10: 255, 11: 255, 12: 10, 14: byte(low >> 8), 15: byte(low)})
		default:
			all := netip.MustParseAddr("2001:db8::").As16()
			binary.BigEndian.PutUint64(all[8:], low)
			return netip.AddrFrom16(all)
		}
	})
	ranges = rapid.Custom(func(t *rapid.T) netip.Prefix {
		return netip.PrefixFrom(addresses.Draw(t, "address"), rapid.IntRange(0, 128).Draw(t, "length"))
	})
	texts    = rapid.OneOf(rapid.SampledFrom([]string{"a", "b", "c", ""}), rapid.String())
	families = rapid.SampledFrom([]flow.Family{flow.FamilyNone, flow.FamilyIPv4, flow.FamilyIPv6})
	numbers  = rapid.IntRange(0, 3)
)

func upTo[T any](n int, g *rapid.Generator[T]) *rapid.Generator[[]T] { return rapid.SliceOfN(g, 0, n) }

var clusters = rapid.Custom(func(t *rapid.T) kube.View {
	v := kube.View{Cluster: texts.Draw(t, "cluster"), Knows: map[kube.Kind]bool{}}
	v.IPAM = rapid.SampledFrom([]string{"", "cluster-pool", "kubernetes", "multi-pool"}).Draw(t, "ipam")
	for _, k := range []kube.Kind{kube.KindPod, kube.KindService, kube.KindEndpointSlice, kube.KindServiceCIDR} {
		v.Knows[k] = rapid.Bool().Draw(t, "known")
	}
	v.Pools = upTo(4, rapid.Custom(func(t *rapid.T) kube.Pool {
		return kube.Pool{Name: texts.Draw(t, "name"), Prefix: ranges.Draw(t, "prefix"), NodeLength: rapid.IntRange(-1, 130).Draw(t, "length")}
	})).Draw(t, "pools")
	v.ServiceCIDRs = upTo(3, ranges).Draw(t, "ranges")
	v.Nodes = upTo(4, rapid.Custom(func(t *rapid.T) kube.ViewNode {
		return kube.ViewNode{Name: texts.Draw(t, "name"), Addresses: upTo(3, addresses).Draw(t, "addresses"), PodCIDRs: upTo(3, ranges).Draw(t, "prefixes")}
	})).Draw(t, "nodes")
	v.Pods = upTo(6, rapid.Custom(func(t *rapid.T) kube.ViewPod {
		return kube.ViewPod{
			Namespace: texts.Draw(t, "namespace"), Name: texts.Draw(t, "name"), Workload: texts.Draw(t, "workload"),
			IPs: upTo(3, addresses).Draw(t, "addresses"), HostNetwork: numbers.Draw(t, "host") == 0, Ended: numbers.Draw(t, "ended") == 0,
		}
	})).Draw(t, "pods")
	v.Services = upTo(4, rapid.Custom(func(t *rapid.T) kube.ViewService {
		ready, notReady := numbers.Draw(t, "ready"), numbers.Draw(t, "not ready")
		return kube.ViewService{
			Namespace: texts.Draw(t, "namespace"), Name: texts.Draw(t, "name"),
			Type:     rapid.SampledFrom([]string{"ClusterIP", "LoadBalancer", "ExternalName"}).Draw(t, "type"),
			Policy:   rapid.SampledFrom([]string{"", "PreferDualStack", "RequireDualStack"}).Draw(t, "policy"),
			Families: upTo(3, families).Draw(t, "families"), ClusterIPs: upTo(2, addresses).Draw(t, "cluster IPs"),
			ExternalIPs: upTo(2, addresses).Draw(t, "external IPs"), LoadBalancers: upTo(2, addresses).Draw(t, "balancers"),
			Headless: numbers.Draw(t, "headless") == 0, Selects: numbers.Draw(t, "selects") == 0,
			Endpoints: [3]int{1: ready + notReady, 2: notReady}, Ready: [3]int{1: ready},
		}
	})).Draw(t, "services")
	return v
})

// TestRows: whatever a cluster says, its rows keep the promises of their columns.
func TestRows(t *testing.T) {
	t.Parallel()
	kinds := map[string][]flow.ItemKind{}
	for _, f := range inventory.Findings {
		kinds[f.Word] = f.Kinds
	}
	rapid.Check(t, func(t *rapid.T) {
		v := clusters.Draw(t, "cluster")
		items := inventory.Of(flow.NewInterner(), v)
		for _, item := range items {
			complain := func(what string) { t.Errorf("%s\n%s", brief(item), what) }
			found := words(item.Findings)
			for _, word := range found {
				if !slices.Contains(kinds[word], item.Kind) {
					complain(word + " is not said of this kind")
				}
			}
			if item.Family != flow.FamilyIPv4 && item.Family != flow.FamilyIPv6 {
				complain("is of no family")
			}
			told := slices.Contains(found, inventory.UsedUp) || slices.Contains(found, inventory.MaskDoesNotFit)
			if item.Total.Known && item.Used.Known && item.Used.N > item.Total.N && !told {
				complain("has more used than there is")
			}
			for _, a := range slices.Concat(item.Addresses, item.LoadBalancers) {
				if a.Is4() != (item.Family == flow.FamilyIPv4) || a.Is4In6() {
					complain("has an address of another family")
				}
			}
			if !item.Prefix.IsZero() {
				p, err := netip.ParsePrefix(item.Prefix.String())
				if err != nil || p != p.Masked() || p.Bits() != int(item.PrefixLength) || p.Addr().Is4() != (item.Family == flow.FamilyIPv4) {
					complain("has no prefix, or another length or family than its own")
				}
			}
			if len(item.Detail.String()) > 1010 {
				complain("says too much")
			}
			if len(found) > 0 && item.Detail.IsZero() {
				complain("says nothing of what was found")
			}
		}
		for _, tally := range inventory.Tallies(items) {
			if tally.Rows < 1 || tally.Rows > tally.Of {
				t.Errorf("%s: %d of %d rows", tally.Word, tally.Rows, tally.Of)
			}
		}
		inventory.Plan(items)
	})
}

// TestOrder: the order in which a cluster is told does not matter, where names are what names are.
func TestOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := clusters.Draw(t, "cluster")
		for i := range v.Nodes {
			v.Nodes[i].Name = fmt.Sprint(i)
		}
		for i := range v.Pods {
			v.Pods[i].Name = fmt.Sprint(i)
		}
		for i := range v.Services {
			v.Services[i].Name = fmt.Sprint(i)
		}
		names := flow.NewInterner()
		before := briefs(inventory.Of(names, v))
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		shuffle(random, v.Pools)
		shuffle(random, v.ServiceCIDRs)
		shuffle(random, v.Nodes)
		shuffle(random, v.Pods)
		shuffle(random, v.Services)
		if diff := cmp.Diff(before, briefs(inventory.Of(names, v))); diff != "" {
			t.Error(diff)
		}
	})
}

func shuffle[T any](random *rand.Rand, list []T) {
	random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

func briefs(items []flow.Item) (lines []string) {
	for _, item := range items {
		lines = append(lines, brief(item))
	}
	return lines
}

// TestUsed: pods' addresses and nodes' parts are counted as somebody would who has all day.
func TestUsed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := clusters.Draw(t, "cluster")
		v.Knows[kube.KindPod] = true
		pods := map[netip.Addr]bool{}
		for _, p := range v.Pods {
			if !p.HostNetwork && !p.Ended {
				for _, a := range p.IPs {
					pods[a.Unmap()] = true
				}
			}
		}
		for _, item := range inventory.Of(flow.NewInterner(), v) {
			if item.Kind != flow.ItemNodePrefix {
				continue
			}
			p, want := netip.MustParsePrefix(item.Prefix.String()), uint64(0)
			for a := range pods {
				if p.Contains(a) {
					want++
				}
			}
			if item.Used.N != want {
				t.Errorf("%s: want %d", brief(item), want)
			}
		}
	})
}

// TestCut: of small pools every part is looked at.
func TestCut(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pool := netip.PrefixFrom(netip.MustParseAddr("10.0.0.0"), rapid.IntRange(20, 32).Draw(t, "pool"))
		length := rapid.IntRange(pool.Bits(), 32).Draw(t, "length")
		v := kube.View{Pools: []kube.Pool{{Prefix: pool, NodeLength: length}}}
		v.Nodes = []kube.ViewNode{{Name: "a", PodCIDRs: upTo(5, rapid.Custom(func(t *rapid.T) netip.Prefix {
			low := rapid.Uint16Range(0, 1<<13).Draw(t, "low")
			return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(low >> 8), byte(low)}), rapid.IntRange(16, 32).Draw(t, "length"))
		})).Draw(t, "prefixes")}}
		var want, total uint64
		for part := netip.PrefixFrom(pool.Addr(), length); pool.Contains(part.Addr()); {
			total++
			if slices.ContainsFunc(v.Nodes[0].PodCIDRs, part.Overlaps) {
				want++
			}
			last := part.Addr()
			for range 1 << (32 - length) {
				last = last.Next()
			}
			part = netip.PrefixFrom(last, length)
		}
		for _, item := range inventory.Of(flow.NewInterner(), v) {
			if item.Kind == flow.ItemClusterPrefix && (item.Used.N != want || item.Total.N != total) {
				t.Errorf("%s: want %d/%d", brief(item), want, total)
			}
		}
	})
}

// TestLongNames: what a dump's author wrote at length is cut where a character ends.
func TestLongNames(t *testing.T) {
	t.Parallel()
	long := ""
	for range 2000 {
		long += "ø"
	}
	v := kube.View{Pods: []kube.ViewPod{
		{Name: "x" + long, Workload: "a", IPs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}},
		{Name: "y", Workload: "a", IPs: []netip.Addr{netip.MustParseAddr("2001:db8::1")}},
	}}
	for _, item := range inventory.Of(flow.NewInterner(), v) {
		if d := item.Detail.String(); !utf8.ValidString(d) || len(d) > 1010 {
			t.Errorf("%d bytes, valid %t", len(d), utf8.ValidString(d))
		}
	}
}
