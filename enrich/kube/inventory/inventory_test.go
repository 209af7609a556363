package inventory_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/enrich/kube/inventory"
)

var update = flag.Bool("update", false, "write the golden files")

// setups are whole clusters, each with a golden file that a person has read.
var setups = map[string]string{
	// IPv6 only, with a public /60 of which each node gets one of sixteen /64.
	"public_60": `
		ipam cluster-pool
		pool 2001:db8:100:40::/60 64
		range 2001:db8:100:fff0::/108
		node node-1 @a 2001:db8:0:1::1 2001:db8:100:40::/64
		node node-2 @b 2001:db8:0:2::1 2001:db8:100:41::/64
		node node-3 @a 2001:db8:0:3::1 2001:db8:100:42::/64
		pod shop/web-1 Deployment/web 2001:db8:100:40::17
		pod shop/web-2 Deployment/web 2001:db8:100:41::5
		pod kube-system/cilium-x DaemonSet/cilium host 2001:db8:0:1::1
		service default/kubernetes unselected v6=3/3 2001:db8:100:fff0::1
		service shop/web v6=2/2 lb=2001:db8:2::80 2001:db8:100:fff0::8:1
		service shop/old external`,

	// One node of k3s, IPv6 only: unique local prefixes, the pods' given to kube-controller-manager.
	"k3s": `
		ipam kubernetes
		range fd96:4a16:c0ea::/112
		node ole-k3s-ipv6 2001:db8:1337:100::138 fd77:19f3:99c2::/64
		pod cilium/cilium-bcx8c DaemonSet/cilium host 2001:db8:1337:100::138
		pod kube-system/coredns-7f496c8d7d-6bvxd Deployment/coredns fd77:19f3:99c2::4101
		pod kube-system/helm-install-traefik-c57k5 Job/helm-install-traefik ended fd77:19f3:99c2::db86
		pod kube-system/traefik-6f5f87584-9m82k Deployment/traefik fd77:19f3:99c2::2119
		service cilium/cilium-envoy headless ipv6 v6=1/1
		service default/kubernetes unselected v6=1/1 fd96:4a16:c0ea::1
		service kube-system/kube-dns v6=1/1 fd96:4a16:c0ea::a
		service kube-system/traefik PreferDualStack v6=1/1 lb=2001:db8:1337:100::138 fd96:4a16:c0ea::d78e`,

	// Cilium's own defaults: the chart's pools, and nodes of one network.
	"cluster_pool": `
		ipam cluster-pool
		pool 10.0.0.0/8 24
		pool fd00::/104 120
		node node-1 10.1.0.1 2001:db8:a::1 10.0.0.0/24 fd00::/120
		node node-2 10.1.0.2 2001:db8:a::2 10.0.1.0/24 fd00::100/120
		node node-3 10.1.0.3 2001:db8:b::3 10.0.2.0/24 fd00::200/120
		pod shop/web-1 Deployment/web 10.0.0.7 fd00::7
		service default/kubernetes unselected v4=1/1 10.96.0.1`,

	// Both families everywhere, the prefixes told by ranges on both sides.
	"dual_stack": `
		ipam kubernetes
		range 10.96.0.0/16 fd10:96::/112
		node node-1 @a 172.31.250.1 2001:db8:a::1 10.201.1.0/24 fd10:201:0:1::/96
		node node-2 @b 172.31.250.2 2001:db8:a::2 10.201.2.0/24 fd10:201:0:2::/96
		pod backend/db-0 StatefulSet/db 10.201.2.158 fd10:201:0:2::3f0b
		pod shop/web-1 Deployment/web 10.201.1.20 fd10:201:0:1::7788
		service backend/db RequireDualStack v4=1/1 v6=1/1 fd10:96::200 10.96.0.200
		service default/kubernetes unselected v6=1/1 fd10:96::1
		service shop/web RequireDualStack v4=1/1 v6=1/1 lb=198.51.100.80 lb=2001:db8:2::80 fd10:96::80 10.96.0.80`,

	// Two pools, of which a node gets prefixes when it needs them; one pool has two prefixes, and one of these is used up.
	"multi_pool": `
		ipam multi-pool
		pool blue 10.10.0.0/23 24
		pool blue 10.20.0.0/16 24
		pool blue 2001:db8:b::/56 64
		pool red 2001:db8:c::/63 64
		range 10.96.0.0/12 fd96::/112
		node node-1 192.0.2.1 2001:db8:a::1 10.10.0.0/24 10.20.0.0/24 2001:db8:b::/64 2001:db8:c::/64
		node node-2 192.0.2.2 2001:db8:a:1::2 10.10.1.0/24 2001:db8:b:1::/64
		pod shop/a-1 Deployment/a 10.10.0.2 2001:db8:b::1
		pod shop/a-2 Deployment/a 10.10.0.1 2001:db8:c::1`,

	// Nothing of IPv6 yet, but for a service that asks.
	"ipv4_only": `
		ipam cluster-pool
		pool 10.0.0.0/16 24
		range 10.96.0.0/24
		node node-1 192.0.2.1 10.0.0.0/24
		pod shop/web-1 Deployment/web 10.0.0.7
		service shop/web v4=1/1 10.96.0.7
		service shop/api PreferDualStack v4=0/1 10.96.0.8`,

	// On the way: IPv6 was enabled for pods and services, and not everybody has noticed.
	"half_way": `
		ipam cluster-pool
		pool 10.0.0.0/16 24
		pool 2001:db8:100::/62 64
		range 10.96.0.0/24 fd96::/112
		node node-1 192.0.2.1 2001:db8:a::1 10.0.0.0/24 2001:db8:100::/64
		node node-2 192.0.2.2 2001:db8:a::2 10.0.1.0/24 2001:db8:100:1::/64
		node node-3 192.0.2.3 10.0.2.0/24
		pod shop/api-1 Deployment/api 10.0.2.7
		pod shop/api-2 Deployment/api 10.0.2.8
		pod shop/job-1 CronJob/job 10.0.2.9
		pod shop/lone 10.0.0.9 2001:db8:100::9
		pod shop/web-1 Deployment/web 10.0.0.7 2001:db8:100::7
		pod shop/web-2 Deployment/web 10.0.2.17
		pod shop/starting Deployment/web
		service shop/api RequireDualStack v4=2/2 lb=198.51.100.1 10.96.0.8 fd96::8
		service shop/db headless unselected ipv4
		service shop/job 10.96.0.9
		service shop/old PreferDualStack v4=1/1 10.96.0.10
		service shop/web RequireDualStack v4=2/2 v6=1/1 10.96.0.7 fd96::7`,
}

func TestSetups(t *testing.T) {
	t.Parallel()
	for name, lines := range setups {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			items := inventory.Of(flow.NewInterner(), view(t, lines))
			for _, item := range items {
				b.WriteString(brief(item) + "\n")
			}
			b.WriteString("\n")
			for _, line := range inventory.Plan(items) {
				b.WriteString("plan: " + line.Kind.String() + " " + line.Family.String() + " " + line.Prefix + " " + strings.Join(line.Findings, ",") +
					"\n    " + line.Text + "\n")
			}
			golden(t, name+".golden", b.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
