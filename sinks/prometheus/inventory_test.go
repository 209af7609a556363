package prometheus_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/sinks/prometheus"
)

// pull returns one pull whose size is not known.
func (r rig) pull(registry string, result flow.PullResult) flow.Pull {
	return flow.Pull{
		Time: begin, Cluster: r.names.Name("default"), Node: r.names.Name("worker-1"), Registry: r.names.Name(registry),
		Repository: r.names.Name("shop/web"), Result: result, Count: 1,
	}
}

// cluster returns a snapshot of a cluster of one node, whose IPv6 prefixes are nearly used up, with one service that is
// dead over IPv6 and two workloads, one of them without IPv6.
func (r rig) cluster(at time.Time) []flow.Item {
	known := func(n uint64) flow.Count { return flow.Count{N: n, Known: true} }
	item := func(kind flow.ItemKind, family flow.Family, name string, has flow.Tristate, used, total flow.Count, findings ...string) flow.Item {
		var words []flow.Name
		for _, f := range findings {
			words = append(words, r.names.Name(f))
		}
		return flow.Item{
			Time: at, Cluster: r.names.Name("default"), Kind: kind, Family: family, Name: r.names.Name(name), Has: has,
			Used: used, Total: total, Findings: r.names.Names(words),
		}
	}
	in := func(i flow.Item) flow.Item {
		i.Namespace = r.names.Name("shop")
		return i
	}
	prefix := func(i flow.Item, node string) flow.Item {
		i.Prefix, i.Node = i.Name, r.names.Name(node)
		return i
	}
	v4, v6, unknown := flow.FamilyIPv4, flow.FamilyIPv6, flow.Count{}
	return []flow.Item{
		item(flow.ItemNode, v4, "worker-1", flow.Yes, unknown, unknown),
		item(flow.ItemNode, v6, "worker-1", flow.Yes, unknown, unknown, "shares_prefix"),
		prefix(item(flow.ItemClusterPrefix, v6, "fd00::/60", flow.Unknown, known(15), known(16), "nearly_full", "small"), ""),
		prefix(item(flow.ItemNodePrefix, v6, "fd00:0:0:1::/64", flow.Unknown, known(3), known(1<<64-1)), "worker-1"),
		prefix(item(flow.ItemServicePrefix, v4, "10.96.0.0/12", flow.Unknown, unknown, known(1<<20)), ""),
		in(item(flow.ItemService, v4, "web", flow.Yes, known(2), known(2))),
		in(item(flow.ItemService, v6, "web", flow.Yes, known(0), known(2), "none_ready")),
		in(item(flow.ItemService, v6, "db", flow.No, known(0), known(1), "family_missing")),
		in(item(flow.ItemWorkload, v6, "web", flow.Yes, known(2), known(2))),
		in(item(flow.ItemWorkload, v6, "db", flow.No, known(0), known(1), "family_missing")),
	}
}

// made returns the series made from the newest snapshot, other than the overflow.
func (r rig) made(t *testing.T) map[string]string {
	t.Helper()
	values := r.values(t)
	for series := range values {
		if !strings.HasPrefix(series, "sextant_inventory_") && !strings.HasPrefix(series, "sextant_prefix_") && !strings.HasPrefix(series, "sextant_service_") {
			delete(values, series)
		}
	}
	return values
}

// What is gone from the cluster is gone from the page with the next snapshot, whatever the clock does meanwhile; what a
// snapshot brings in several batches adds up.
func TestSnapshotReplacesTheFormer(t *testing.T) {
	r := open(t, prometheus.Default())
	fresh := open(t, prometheus.Default())
	r.write(t, &flow.Batch{Items: r.cluster(begin)})
	before := r.made(t)
	if got := len(before); got < 15 {
		t.Fatalf("only %d series: %v", got, before)
	}
	for _, later := range []time.Time{begin.Add(time.Minute), begin.Add(-time.Hour)} {
		small := r.cluster(later)[4:8]
		r.write(t, &flow.Batch{Items: small[:1]}, &flow.Batch{})
		r.write(t, &flow.Batch{Items: small[1:]})
		fresh.write(t, &flow.Batch{Items: small})
		if diff := cmp.Diff(fresh.made(t), r.made(t)); diff != "" {
			t.Errorf("at %s (-the snapshot alone +after another one)\n%s", later, diff)
		}
		r.write(t, &flow.Batch{Items: r.cluster(begin)})
		if diff := cmp.Diff(before, r.made(t)); diff != "" {
			t.Errorf("(-before +again)\n%s", diff)
		}
	}
}

func TestSnapshot(t *testing.T) {
	r := open(t, prometheus.Default())
	r.write(t, &flow.Batch{Items: r.cluster(begin)})
	want := map[string]string{
		`sextant_inventory_timestamp_seconds{cluster="default"}`: "1.79550042825e+09",

		`sextant_inventory_items{cluster="default",family="ipv4",has_family="yes",kind="node",namespace=""}`:               "1",
		`sextant_inventory_items{cluster="default",family="ipv6",has_family="yes",kind="node",namespace=""}`:               "1",
		`sextant_inventory_items{cluster="default",family="ipv6",has_family="unknown",kind="cluster_prefix",namespace=""}`: "1",
		`sextant_inventory_items{cluster="default",family="ipv6",has_family="unknown",kind="node_prefix",namespace=""}`:    "1",
		`sextant_inventory_items{cluster="default",family="ipv4",has_family="unknown",kind="service_prefix",namespace=""}`: "1",
		`sextant_inventory_items{cluster="default",family="ipv4",has_family="yes",kind="service",namespace="shop"}`:        "1",
		`sextant_inventory_items{cluster="default",family="ipv6",has_family="yes",kind="service",namespace="shop"}`:        "1",
		`sextant_inventory_items{cluster="default",family="ipv6",has_family="no",kind="service",namespace="shop"}`:         "1",
		`sextant_inventory_items{cluster="default",family="ipv6",has_family="yes",kind="workload",namespace="shop"}`:       "1",
		`sextant_inventory_items{cluster="default",family="ipv6",has_family="no",kind="workload",namespace="shop"}`:        "1",

		`sextant_inventory_findings{cluster="default",family="ipv6",finding="shares_prefix",kind="node",namespace=""}`:          "1",
		`sextant_inventory_findings{cluster="default",family="ipv6",finding="nearly_full",kind="cluster_prefix",namespace=""}`:  "1",
		`sextant_inventory_findings{cluster="default",family="ipv6",finding="small",kind="cluster_prefix",namespace=""}`:        "1",
		`sextant_inventory_findings{cluster="default",family="ipv6",finding="none_ready",kind="service",namespace="shop"}`:      "1",
		`sextant_inventory_findings{cluster="default",family="ipv6",finding="family_missing",kind="service",namespace="shop"}`:  "1",
		`sextant_inventory_findings{cluster="default",family="ipv6",finding="family_missing",kind="workload",namespace="shop"}`: "1",

		`sextant_prefix_capacity{cluster="default",family="ipv6",kind="cluster_prefix",node="",prefix="fd00::/60"}`:            "16",
		`sextant_prefix_used{cluster="default",family="ipv6",kind="cluster_prefix",node="",prefix="fd00::/60"}`:                "15",
		`sextant_prefix_capacity{cluster="default",family="ipv6",kind="node_prefix",node="worker-1",prefix="fd00:0:0:1::/64"}`: "1.8446744073709552e+19",
		`sextant_prefix_used{cluster="default",family="ipv6",kind="node_prefix",node="worker-1",prefix="fd00:0:0:1::/64"}`:     "3",
		`sextant_prefix_capacity{cluster="default",family="ipv4",kind="service_prefix",node="",prefix="10.96.0.0/12"}`:         "1.048576e+06",

		`sextant_service_ready_endpoints{cluster="default",family="ipv4",name="web",namespace="shop"}`: "2",
		`sextant_service_ready_endpoints{cluster="default",family="ipv6",name="web",namespace="shop"}`: "0",
	}
	if diff := cmp.Diff(want, r.made(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	// Two databases more without IPv6.
	more := r.cluster(begin)
	r.write(t, &flow.Batch{Items: []flow.Item{more[7], more[7]}})
	r.want(t, map[string]string{
		`sextant_inventory_items{cluster="default",family="ipv6",has_family="no",kind="service",namespace="shop"}`:             "3",
		`sextant_inventory_findings{cluster="default",family="ipv6",finding="family_missing",kind="service",namespace="shop"}`: "3",
	})
}

// Each snapshot has all the room there is; what found none is counted on, and the sum is right.
func TestSnapshotOverflow(t *testing.T) {
	r := open(t, prometheus.Config{MaxSeries: 2})
	snapshot := func(minute, services int) {
		b := &flow.Batch{}
		for n := range services {
			b.Items = append(b.Items, flow.Item{
				Time: begin.Add(time.Duration(minute) * time.Minute), Kind: flow.ItemService, Family: flow.FamilyIPv6, Has: flow.Yes,
				Name: r.names.Name(fmt.Sprintf("service-%d-%d", minute, n)), Used: flow.Count{N: 10, Known: true},
			})
		}
		r.write(t, b)
	}
	const others = `sextant_service_ready_endpoints{cluster="~other",family="~other",name="~other",namespace="~other"}`
	const overflow = `sextant_prometheus_series_overflow_total{metric="sextant_service_ready_endpoints"}`
	for minute, step := range []struct {
		services         int
		others, overflow string
	}{{5, "30", "3"}, {4, "20", "5"}, {2, "", "5"}, {3, "10", "6"}} {
		snapshot(minute, step.services)
		r.want(t, map[string]string{
			fmt.Sprintf(`sextant_service_ready_endpoints{cluster="",family="ipv6",name="service-%d-1",namespace=""}`, minute): "10",
			others: step.others, overflow: step.overflow,
		})
	}
}

// A node's series of a snapshot stay as long as the snapshot does, and are no sign of life.
func TestSnapshotOutlivesSilentNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, prometheus.Config{MaxSeries: 100, NodeTTL: time.Hour})
		r.write(t, r.flows(r.flow("worker-1")), &flow.Batch{Items: r.cluster(begin)})
		before := r.made(t)
		time.Sleep(59 * time.Minute)
		r.write(t, &flow.Batch{Items: r.cluster(begin)[3:4]}) // the same snapshot still
		time.Sleep(2 * time.Minute)
		r.want(t, map[string]string{
			`sextant_last_flow_timestamp_seconds{cluster="default",node="worker-1"}`:                                           "",
			`sextant_prefix_used{cluster="default",family="ipv6",kind="node_prefix",node="worker-1",prefix="fd00:0:0:1::/64"}`: "6",
		})
		if got := r.made(t); len(got) != len(before) {
			t.Errorf("%d series of the snapshot are left of %d", len(got), len(before))
		}
	})
}
