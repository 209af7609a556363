package kubetest_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"sextant/collector/flow"
	"sextant/enrich/kube"
	kubetest "sextant/test/kube"
)

// dumped are the resources that a dump has to have for nothing to be missing.
var dumped = [][2]string{
	{"v1", "nodes"},
	{"v1", "namespaces"},
	{"v1", "pods"},
	{"v1", "services"},
	{"v1", "configmaps"},
	{"v1", "events"},
	{"discovery.k8s.io/v1", "endpointslices"},
	{"apps/v1", "replicasets"},
	{"apps/v1", "deployments"}, // nobody needs them, and everybody dumps them
	{"batch/v1", "jobs"},
	{"networking.k8s.io/v1", "servicecidrs"},
	{"cilium.io/v2", "ciliumnodes"},
	{"cilium.io/v2", "ciliumegressgatewaypolicies"},
	{"cilium.io/v2", "ciliumnodeconfigs"},
	{"cilium.io/v2alpha1", "ciliumpodippools"},
}

// A dump of a cluster, in whatever files, gives the same answers as watching it.
func TestDump(t *testing.T) {
	both(t, func(t *testing.T, s *kubetest.Server) {
		w := watch(t, s.Config(t))
		populate(t, s, w)
		want := w.answers()
		for name, layout := range kubetest.Layouts {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				s.Client(t).Dump(dir, layout, dumped...)
				d := &watching{t: t, names: w.names}
				d.Store = kube.NewStore(w.settings.kube, w.names, logger(t))
				report, err := d.Load(dir)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, d.answersAbout(want), values, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("watched (-) and dumped (+) differ: %s", diff)
				}
				for _, r := range [][]string{report.Skipped, report.Doubts} {
					if len(r) > 0 {
						t.Errorf("the dump is doubted: %v", r)
					}
				}
			})
		}
	})
}

// answers is all that a store says.
type answers struct {
	View    kube.View
	Facts   any
	Cluster string
	Pods    map[string]who
	At      map[string]who
	Nodes   map[string]kube.NodeInfo
	NodesAt map[string]kube.NodeInfo
	Sockets map[string]string
	IsPod   map[string]bool
	Policy  map[string]string
}

func (w *watching) answers() answers {
	a := answers{View: w.View()}
	// Some that are not there, too.
	a.Pods = map[string]who{"nobody/nothing": {}}
	a.NodesAt = map[string]kube.NodeInfo{"2001:db8::dead": {}}
	return w.answersAbout(a)
}

// answersAbout asks about all that other answers are about.
func (w *watching) answersAbout(other answers) answers {
	x := w.Index()
	a := answers{
		View: w.View(), Facts: w.facts(), Cluster: x.Cluster().String(),
		Pods: map[string]who{}, At: map[string]who{}, Nodes: map[string]kube.NodeInfo{}, NodesAt: map[string]kube.NodeInfo{},
		Sockets: map[string]string{}, IsPod: map[string]bool{}, Policy: map[string]string{},
	}
	a.View.Time = time.Time{}
	delete(a.View.Knows, kube.KindEvent) // the store keeps none
	addresses := addrs("2001:db8::dead", "192.0.2.254")
	for _, p := range other.View.Pods {
		a.Pods[p.Namespace+"/"+p.Name] = w.pod(p.Namespace, p.Name)
		a.Policy[p.Namespace+"/"+p.Name] = x.PullPolicy(p.Namespace, p.Name, "web")
		addresses = append(addresses, p.IPs...)
	}
	for _, n := range other.View.Nodes {
		a.Nodes[n.Name], _ = x.Node(w.names.Name(n.Name))
		addresses = append(addresses, n.Addresses...)
	}
	for _, s := range other.View.Services {
		addresses = append(addresses, slices.Concat(s.ClusterIPs, s.ExternalIPs, s.LoadBalancers)...)
	}
	for _, ip := range addresses {
		a.NodesAt[ip.String()], _ = x.NodeAt(ip)
		a.IsPod[ip.String()] = x.IsPodAddress(ip)
		for _, ago := range []time.Duration{0, time.Minute, time.Hour, -time.Hour} {
			a.At[fmt.Sprint(ip, " ", ago)] = whoOf(x.At(ip, time.Now().Add(-ago)))
		}
		for _, port := range []uint16{0, 80, 8080, 30080} {
			a.Sockets[netip.AddrPortFrom(ip, port).String()] = w.service(ip.String(), port)
		}
	}
	return a
}

// populate makes a cluster with some of everything, and waits until it is seen.
func populate(t *testing.T, s *kubetest.Server, w *watching) {
	t.Helper()
	const site = kubetest.Site(40)
	dualStack := s == dual.server
	pick := func(four, six string) []string {
		if dualStack {
			return []string{four, six}
		}
		return []string{six}
	}
	ips := func(n byte) []string { return pick(site.Pod4(n), site.Pod6(n)) }
	c := s.Client(t)
	red := c.Namespace(map[string]string{"team": "red"}, map[string]string{"cost-centre": "42"})
	blue := c.Namespace(nil, nil)
	c.Apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {cluster-name: east, enable-ipv4: "true", enable-ipv6: "true", enable-ipv6-masquerade: "true", ipam: kubernetes, enable-egress-gateway: "true", monitor-aggregation: medium}
---
apiVersion: cilium.io/v2
kind: CiliumNodeConfig
metadata: {name: edge, namespace: kube-system}
spec: {nodeSelector: {matchLabels: {role: edge}}, defaults: {enable-ipv6-masquerade: "false"}}
---
apiVersion: cilium.io/v2
kind: CiliumEgressGatewayPolicy
metadata: {name: out}
spec:
  selectors: [{podSelector: {matchLabels: {app: web}}}]
  destinationCIDRs: ["2001:db8:99::/48"]
  egressGateway: {nodeSelector: {matchLabels: {role: edge}}, egressIP: "2001:db8:e9::1"}
---
apiVersion: cilium.io/v2alpha1
kind: CiliumPodIPPool
metadata: {name: blue}
spec: {ipv6: {cidrs: ["fd00:b1::/60"], maskSize: 64}}
---
apiVersion: cilium.io/v2
kind: CiliumNode
metadata: {name: dump-1, labels: {role: edge}}
spec:
  addresses: [{type: InternalIP, ip: "` + site.Node6(1) + `"}, {type: CiliumInternalIP, ip: "` + site.Pod6(254) + `"}]
`)
	c.Node(kubetest.Node{Name: "dump-1", Zone: "z1", Region: "r1", Labels: map[string]string{"role": "edge"}, PodCIDRs: pick("10.244.40.0/24", "fd00:10:0:28::/64"), Addresses: []string{site.Node6(1), site.Node4(1)}})
	c.Node(kubetest.Node{Name: "dump-2", Zone: "z2", Region: "r1", PodCIDRs: pick("10.244.41.0/24", "fd00:10:0:29::/64"), Addresses: []string{site.Node6(2)}})

	app := map[string]string{"app": "web"}
	web := c.Pod(kubetest.Pod{Namespace: red, Name: "web-1-a", Node: "dump-1", Labels: app, Owner: c.ReplicaSet(red, "web-1", c.Deployment(red, "web")), IPs: ips(1), PullPolicy: corev1.PullAlways})
	c.Pod(kubetest.Pod{Namespace: red, Name: "nightly-1-a", Node: "dump-2", Owner: c.Job(red, "nightly-1", c.CronJob(red, "nightly")), IPs: ips(2), Phase: corev1.PodSucceeded})
	c.Pod(kubetest.Pod{Namespace: blue, Name: "db-0", Node: "dump-2", Owner: c.StatefulSet(blue, "db"), IPs: ips(3), Labels: map[string]string{"team": "own"}})
	c.Pod(kubetest.Pod{Namespace: blue, Name: "agent", Node: "dump-2", Owner: c.DaemonSet(blue, "agent"), HostNetwork: true, IPs: []string{site.Node6(2)}})
	c.Pod(kubetest.Pod{Namespace: blue, Name: "pending"})
	c.Pod(kubetest.Pod{Namespace: blue, Name: "ending", Node: "dump-1", IPs: ips(4)})
	c.TerminatePod(blue, "ending")
	c.Pod(kubetest.Pod{Namespace: blue, Name: "heir", Node: "dump-2", IPs: ips(2)}) // of an address that an ended pod had

	policy := corev1.IPFamilyPolicyPreferDualStack
	spec := kubetest.ServiceSpec("web", policy)
	spec.Type, spec.ExternalIPs = corev1.ServiceTypeLoadBalancer, pick("203.0.113.40", "2001:db8:e::40")
	spec.Ports[0].NodePort = 30080
	c.Service(red, "web", spec, pick("198.51.100.40", "2001:db8:1b::40")...)
	c.Slice(red, "web", "v6", discoveryv1.AddressTypeIPv6, web)
	if dualStack {
		c.Slice(red, "web", "v4", discoveryv1.AddressTypeIPv4, web)
	}
	headless := kubetest.ServiceSpec("db", "")
	headless.ClusterIP = corev1.ClusterIPNone
	c.Service(blue, "db", headless)
	c.Service(blue, "elsewhere", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "db.example"})
	c.Kubelet("dump-1").Says(web, corev1.EventTypeNormal, "Pulling", `Pulling image "registry.example/web:1"`)

	// Each kind has a watch of its own, and none says when it has caught up.
	wants(t, "elsewhere", func() string { return w.viewed(blue, "elsewhere").Name })
	wants(t, 1, func() float64 { return w.count("watched_objects", "Event Pulling") })
	wants(t, "heir", func() string { return w.at(ips(2)[0]).Pod })
	wants(t, "web", func() string { return w.at(ips(1)[0]).Workload })
	wants(t, flow.No, func() flow.Tristate { return w.node("dump-1").Settings.MasqueradeIPv6 })
	wants(t, 1, func() int { return len(w.facts().EgressPolicies) })
	time.Sleep(quiet)
}
