package kube_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
)

const (
	manyPods  = 10_000
	manyNodes = 200
)

// noon is when the tests' clusters begin.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// large fills a store with a cluster as large ones are: dual-stack pods of one workload in ten, with the labels that charts
// give them, and a service each.
func large(tb testing.TB, names *flow.Interner) *kube.Store {
	tb.Helper()
	s := kube.NewStore(kube.Config{Labels: []string{"app.kubernetes.io/part-of"}, Cluster: "lab"}, names, slog.New(slog.DiscardHandler))
	put := func(o kube.Object) {
		if err := s.Put(noon, o); err != nil {
			tb.Fatal(err)
		}
	}
	for i := range manyNodes {
		n := &kube.Node{}
		n.Metadata.Name = fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", i/256, i%256)
		n.Metadata.Labels = map[string]string{"topology.kubernetes.io/zone": fmt.Sprintf("eu-central-1%c", 'a'+i%3), "kubernetes.io/hostname": n.Metadata.Name}
		n.Spec.PodCIDRs = []string{podPrefix(i).String(), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(100 + i/256), byte(i), 0}), 24).String()}
		n.Status.Addresses = append(n.Status.Addresses, struct{ Type, Address string }{"InternalIP", fmt.Sprintf("172.16.%d.%d", i/256, i%256)})
		put(n)
	}
	for i := range manyPods {
		put(largePod(i))
	}
	for i := range manyPods / 10 {
		rs := &kube.ReplicaSet{}
		rs.Metadata = kube.Metadata{Namespace: fmt.Sprintf("team-%d", i%100), Name: fmt.Sprintf("service-%d-7f9c8d5b4", i), Owners: []kube.Owner{{Kind: "Deployment", Name: fmt.Sprintf("service-%d", i), Controller: true}}}
		put(rs)
		v := &kube.Service{}
		v.Metadata = kube.Metadata{Namespace: fmt.Sprintf("team-%d", i%100), Name: fmt.Sprintf("service-%d", i)}
		v.Spec.Type, v.Spec.ClusterIPs = "ClusterIP", []string{fmt.Sprintf("fd00:96::%x", i+1), fmt.Sprintf("10.96.%d.%d", i/250, 1+i%250)}
		v.Spec.Selector = map[string]string{"app.kubernetes.io/name": v.Metadata.Name}
		v.Spec.Ports = []kube.ServicePort{{Name: "http", Port: 80}, {Name: "metrics", Port: 9090}}
		put(v)
		for family, kind := range []string{"IPv6", "IPv4"} {
			e := &kube.EndpointSlice{AddressType: kind}
			e.Metadata = kube.Metadata{Namespace: v.Metadata.Namespace, Name: v.Metadata.Name + kind, Labels: map[string]string{"kubernetes.io/service-name": v.Metadata.Name}}
			for j := range 10 {
				e.Endpoints = append(e.Endpoints, kube.SliceEndpoint{Addresses: []string{largeAddrs(i*10 + j)[family].String()}})
			}
			e.Ports = []kube.SlicePort{{Name: "http", Port: 8080}, {Name: "metrics", Port: 9090}}
			put(e)
		}
	}
	return s
}

func podPrefix(node int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0, 1, 0, byte(node / 256), byte(node)}), 64)
}

// largeAddrs returns the addresses of a pod, IPv6 first.
func largeAddrs(pod int) [2]netip.Addr {
	node, host := pod%manyNodes, byte(1+pod/manyNodes)
	return [2]netip.Addr{
		netip.AddrFrom16([16]byte{0xfd, 0, 1, 0, byte(node / 256), byte(node), 0, 0, 0, 0, 0, 0, 0, 0, 0xab, host}),
		netip.AddrFrom4([4]byte{10, byte(100 + node/256), byte(node), host}),
	}
}

func largePod(i int) *kube.Pod {
	p := &kube.Pod{}
	service := i / 10
	name, node := fmt.Sprintf("service-%d", service), i%manyNodes
	p.Metadata = kube.Metadata{
		Namespace: fmt.Sprintf("team-%d", service%100), Name: fmt.Sprintf("%s-7f9c8d5b4-%05x", name, i), UID: fmt.Sprintf("%08x-0000-4000-8000-%012x", i, i),
		Labels: map[string]string{
			"app.kubernetes.io/name": name, "app.kubernetes.io/instance": name, "app.kubernetes.io/part-of": fmt.Sprintf("product-%d", service%20),
			"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/version": "1.2.3", "helm.sh/chart": name + "-1.2.3", "pod-template-hash": "7f9c8d5b4",
		},
		Created: noon, Owners: []kube.Owner{{Kind: "ReplicaSet", Name: name + "-7f9c8d5b4", UID: fmt.Sprintf("%08x-0000-4000-8000-%012x", service, service), Controller: true}},
	}
	p.Spec.NodeName, p.Spec.Account = fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", node/256, node%256), name
	p.Spec.Containers = []kube.Container{{Name: "main", ImagePullPolicy: "IfNotPresent"}, {Name: "proxy", ImagePullPolicy: "Always"}}
	p.Status.Phase, p.Status.StartTime = "Running", noon.Add(time.Second)
	for _, a := range largeAddrs(i) {
		p.Status.PodIPs = append(p.Status.PodIPs, struct{ IP string }{a.String()})
	}
	return p
}

// heap returns what is in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A store holds a large cluster in a few megabytes, and so does an index.
func TestMemory(t *testing.T) {
	names := flow.NewInterner()
	begin := heap()
	s := large(t, names)
	stored := heap()
	x := s.Index()
	indexed := heap()
	t.Logf("%d bytes a pod in the store, %d in the index, services and nodes among them", (stored-begin)/manyPods, (indexed-stored)/manyPods)
	if got := (stored - begin) / manyPods; got > 2048 {
		t.Errorf("%d bytes a pod in the store", got)
	}
	if got := (indexed - stored) / manyPods; got > 2048 {
		t.Errorf("%d bytes a pod in the index", got)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(x)
}

func BenchmarkPut(b *testing.B) {
	s := large(b, flow.NewInterner())
	pods := make([]*kube.Pod, manyPods)
	for i := range pods {
		pods[i] = largePod(i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if err := s.Put(noon.Add(time.Minute), pods[i%manyPods]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func BenchmarkIndex(b *testing.B) {
	s := large(b, flow.NewInterner())
	b.ReportAllocs()
	for b.Loop() {
		s.Index()
	}
}

func BenchmarkCluster(b *testing.B) {
	s := large(b, flow.NewInterner())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Cluster(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFacts(b *testing.B) {
	names := flow.NewInterner()
	c, err := large(b, names).Cluster()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		verdict.NewFacts(names, c)
	}
}

func BenchmarkView(b *testing.B) {
	s := large(b, flow.NewInterner())
	for b.Loop() {
		s.View()
	}
}

// Lookups, of addresses that are spread over the cluster.
func BenchmarkLookup(b *testing.B) {
	names := flow.NewInterner()
	x := large(b, names).Index()
	addrs := make([]netip.Addr, 0, 2*manyPods)
	for i := range manyPods {
		a := largeAddrs(i)
		addrs = append(addrs, a[0], a[1])
	}
	outside := netip.MustParseAddr("2001:db8::1")
	for _, row := range []struct {
		name string
		run  func(i int)
	}{
		{"address", func(i int) { x.At(addrs[i%len(addrs)], noon.Add(time.Hour)) }},
		{"outside", func(int) { x.At(outside, noon) }},
		{"name", func(int) { x.Pod("team-3", "service-3-7f9c8d5b4-0001e") }},
		{"service", func(i int) { x.Service(addrs[i%len(addrs)], 8080, flow.TCP) }},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				row.run(i)
				i++
			}
		})
	}
}

// traffic are flows between pods, of which each side tells the other's name or does not, and to the world.
func traffic(names *flow.Interner, n int) *flow.Batch {
	b := &flow.Batch{}
	node, cluster := names.Name("ip-10-0-0-0.eu-central-1.compute.internal"), names.Name("lab")
	for i := range n {
		r := b.Next()
		from, to := i*7%manyPods, i*13%manyPods
		r.Time, r.Node, r.Cluster, r.Family, r.Protocol, r.IsReply = noon.Add(time.Hour), node, cluster, flow.FamilyIPv6, flow.TCP, flow.No
		r.Source.IP, r.Source.Port = largeAddrs(from)[0], 40000
		r.Destination.IP, r.Destination.Port = largeAddrs(to)[i%2], 8080
		who := func(i int, id uint32) flow.Ref[flow.Endpoint] {
			p := largePod(i)
			return names.Endpoint(flow.Endpoint{ID: id, Identity: uint32(1000 + i/10), Cluster: cluster, Namespace: names.Name(p.Metadata.Namespace), Pod: names.Name(p.Metadata.Name)})
		}
		r.Source.Endpoint = who(from, uint32(from/manyNodes))
		switch i % 3 {
		case 0:
			r.Destination.Endpoint = who(to, 0)
		case 1:
			r.Destination.Endpoint = names.Endpoint(flow.Endpoint{Identity: uint32(1000 + to/10)})
		case 2:
			r.Destination.IP = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)})
			r.Destination.Endpoint = names.Endpoint(flow.Endpoint{Identity: 10})
		}
	}
	return b
}

func BenchmarkStage(b *testing.B) {
	names := flow.NewInterner()
	stage := kube.NewStage(names, prometheus.NewRegistry())
	stage.SetIndex(large(b, names).Index())
	batch := traffic(names, 4096)
	fresh := make([]flow.Record, len(batch.Records))
	copy(fresh, batch.Records)
	stage.Process(batch)
	b.ReportAllocs()
	for b.Loop() {
		copy(batch.Records, fresh)
		stage.Process(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(fresh)), "ns/flow")
}
