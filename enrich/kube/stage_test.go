package kube_test

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// enricher is a stage with the index of a rig.
type enricher struct {
	*kube.Stage
	*rig
	registry *prometheus.Registry
}

func newEnricher(t testing.TB, texts ...string) *enricher {
	r := newRig(t, kube.Config{Labels: []string{"team"}, Cluster: "lab"})
	r.load(texts...)
	e := &enricher{rig: r, registry: prometheus.NewRegistry()}
	e.Stage = kube.NewStage(r.names, e.registry)
	e.SetIndex(r.Index())
	return e
}

// tells is an endpoint as Hubble tells of it: what is empty it does not.
type tells struct {
	id, identity                                uint32
	cluster, namespace, pod, workload, kind, az string
}

func (e *enricher) endpoint(h tells) flow.Ref[flow.Endpoint] {
	n := e.names.Name
	return e.names.Endpoint(flow.Endpoint{
		ID: h.id, Identity: h.identity, Cluster: n(h.cluster), Namespace: n(h.namespace), Pod: n(h.pod), Workload: n(h.workload), WorkloadKind: n(h.kind), Zone: n(h.az),
	})
}

// flow returns a flow from a pod that is not known to the destination, seen on n1.
func (e *enricher) flow(to string, port uint16, h tells, change ...func(*flow.Record)) *flow.Batch {
	b := &flow.Batch{}
	r := b.Next()
	r.Time, r.Node, r.Cluster, r.Protocol, r.IsReply, r.EventType = after(100), e.names.Name("n1"), e.names.Name("lab"), flow.TCP, flow.No, flow.EventTrace
	r.Source.IP, r.Source.Port = addr("198.51.100.77"), 40000
	if to != "" {
		r.Destination.IP = addr(to)
	}
	r.Destination.Port, r.Destination.Endpoint = port, e.endpoint(h)
	for _, c := range change {
		c(r)
	}
	return b
}

// text prints an end: "cluster lab shop/web-1 Deployment/web on n1 in z1 of r1 team=a | shop/web observed".
func endText(e *flow.End) string {
	ep := e.Endpoint.Get()
	text := fmt.Sprintf("%s %s %s/%s %s/%s on %s in %s", e.Resolution, ep.Cluster, ep.Namespace, ep.Pod, ep.WorkloadKind, ep.Workload, ep.Node, ep.Zone)
	if !ep.Region.IsZero() {
		text += " of " + ep.Region.String()
	}
	for _, tag := range ep.Tags.Get() {
		text += " " + tag.String()
	}
	if !e.Service.IsZero() {
		text += fmt.Sprintf(" | %s %s", e.Service, e.ServiceEvidence)
	}
	return text
}

const shopPods = `{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: web}}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: cart-1, creationTimestamp: '2026-11-24T12:00:00Z', ownerReferences: [{kind: StatefulSet, name: cart, controller: true}]}, spec: {nodeName: n2}, status: {podIPs: [{ip: 10.0.2.5}, {ip: 'fd00:2::5'}]}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web-1, ownerReferences: [{kind: StatefulSet, name: web, controller: true}]}, spec: {nodeName: n1}, status: {podIPs: [{ip: 10.0.1.5}]}}
---
{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: young, ownerReferences: [{kind: StatefulSet, name: young, controller: true}]}, spec: {nodeName: n2}}
---
{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: cart}, spec: {clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00:96::1'], ports: [{port: 80, nodePort: 30080}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: shop, name: cart-a, labels: {kubernetes.io/service-name: cart}}, addressType: IPv4, endpoints: [{addresses: [10.0.2.5]}, {addresses: [203.0.113.9]}], ports: [{port: 8080}]}
---
{apiVersion: cilium.io/v2, kind: CiliumIdentity, metadata: {name: '4711'}, security-labels: {'k8s:io.kubernetes.pod.namespace': shop}}
`

func TestStageEnds(t *testing.T) {
	const cart = "lab shop/cart-1 StatefulSet/cart on n2 in z2 team=web"
	e := newEnricher(t, twoNodes, shopPods)
	tunnel := func(r *flow.Record) { r.TunnelProtocol = flow.VXLAN }
	elsewhere := func(r *flow.Record) { r.Cluster = e.names.Name("other") }
	early := func(r *flow.Record) { r.Time = after(-100) }
	for _, row := range []struct {
		name   string
		to     string
		told   tells
		change func(*flow.Record)
		want   string
		over   string // what Hubble and the index tell differently
	}{
		{"Hubble tells nothing", "10.0.2.5", tells{}, nil, "cluster " + cart, ""},
		{"of the other family", "fd00:2::5", tells{}, nil, "cluster " + cart, ""},
		{"Hubble tells the identity alone", "10.0.2.5", tells{identity: 5000}, nil, "cluster " + cart, ""},
		{"Hubble tells the namespace", "10.0.2.5", tells{identity: 5000, namespace: "shop"}, nil, "cluster " + cart, ""},
		{"Hubble tells the pod", "10.0.2.5", tells{identity: 5000, namespace: "shop", pod: "cart-1"}, nil, "flow " + cart, ""},
		{"and the workload", "10.0.2.5", tells{namespace: "shop", pod: "cart-1", workload: "cart", kind: "StatefulSet"}, nil, "flow " + cart, ""},
		{"and the zone", "10.0.2.5", tells{namespace: "shop", pod: "cart-1", az: "z9"}, nil, "flow lab shop/cart-1 StatefulSet/cart on n2 in z9 team=web", ""},
		{"another workload", "10.0.2.5", tells{namespace: "shop", pod: "cart-1", workload: "basket", kind: "StatefulSet"}, nil, "flow lab shop/cart-1 StatefulSet/basket on n2 in z2 team=web", "workload"},
		{"another kind of workload", "10.0.2.5", tells{namespace: "shop", pod: "cart-1", workload: "cart", kind: "Deployment"}, nil, "flow lab shop/cart-1 Deployment/cart on n2 in z2 team=web", "workload"},
		{"another pod, which is known", "10.0.2.5", tells{namespace: "shop", pod: "web-1"}, nil, "flow lab shop/web-1 StatefulSet/web on  in  team=web", "pod"},
		{"another pod, which is known and has no address yet", "10.0.2.5", tells{namespace: "shop", pod: "young"}, nil, "flow lab shop/young StatefulSet/young on n2 in z2 team=web", "pod"},
		{"another pod, which is not known", "10.0.2.5", tells{namespace: "shop", pod: "x"}, nil, "flow  shop/x / on  in ", "pod"},
		{"another namespace", "10.0.2.5", tells{identity: 5000, namespace: "other"}, nil, "unresolved  other/ / on  in ", "namespace"},
		{"a pod whose address is not known", "10.0.2.77", tells{namespace: "shop", pod: "young"}, nil, "flow lab shop/young StatefulSet/young on n2 in z2 team=web", ""},
		{"a pod that nobody knows", "10.0.2.77", tells{namespace: "shop", pod: "x", workload: "y", kind: "Job"}, nil, "flow  shop/x Job/y on  in ", ""},
		{"a pod on this node", "10.0.1.5", tells{id: 7, namespace: "shop", pod: "web-1"}, nil, "flow lab shop/web-1 StatefulSet/web on n1 in z1 of r1 team=web", ""},
		{"a pod on this node that nobody knows", "10.0.1.77", tells{id: 7, namespace: "shop", pod: "x"}, nil, "flow  shop/x / on n1 in z1 of r1", ""},
		{"a pod that should be on another node", "10.0.2.5", tells{id: 7, namespace: "shop", pod: "cart-1"}, nil, "flow lab shop/cart-1 StatefulSet/cart on n1 in z1 of r1 team=web", "node"},
		{"an address of pods", "10.0.2.77", tells{}, nil, "unresolved  / / on  in ", ""},
		{"of the other family", "fd00:1::77", tells{identity: 10}, nil, "unresolved  / / on  in ", ""},
		{"the identity of pods", "172.20.0.1", tells{identity: 5000}, nil, "unresolved  / / on  in ", ""},
		{"that of pods of a namespace", "172.20.0.1", tells{identity: 4711}, nil, "unresolved  shop/ / on  in ", ""},
		{"a pod that starts", "10.0.1.77", tells{id: 7, identity: 5}, nil, "unresolved  / / on n1 in z1 of r1", ""},
		{"no address", "", tells{identity: 5000}, nil, "none  / / on  in ", ""},
		{"the health endpoint", "10.0.1.77", tells{id: 7, identity: 4}, nil, "flow  / / on n1 in z1 of r1", ""},
		{"that of another node", "10.0.2.77", tells{identity: 4}, nil, "none  / / on  in ", ""},
		{"a node", "192.0.2.2", tells{identity: 6}, nil, "cluster lab / / on n2 in z2", ""},
		{"a node with a pod's identity", "192.0.2.2", tells{identity: 5000}, nil, "cluster lab / / on n2 in z2", ""},
		{"this node", "2001:db8::1", tells{id: 3, identity: 1}, nil, "cluster lab / / on n1 in z1 of r1", ""},
		{"this node by another address", "fe80::1", tells{identity: 1}, nil, "flow  / / on n1 in z1 of r1", ""},
		{"in a tunnel the identity is not the address's", "172.20.0.1", tells{identity: 1}, tunnel, "none  / / on  in ", ""},
		{"a pod in a tunnel", "10.0.2.5", tells{identity: 6}, tunnel, "cluster " + cart, ""},
		{"the world", "203.0.113.9", tells{identity: 2}, nil, "none  / / on  in ", ""},
		{"a CIDR", "203.0.113.9", tells{identity: 1 << 24}, nil, "none  / / on  in ", ""},
		{"before the pod was there", "10.0.2.5", tells{}, early, "unresolved  / / on  in ", ""},
		{"a pod of another cluster", "10.0.2.5", tells{cluster: "other", identity: 5000, namespace: "shop", pod: "cart-1"}, nil, "flow other shop/cart-1 / on  in ", ""},
		{"seen in another cluster", "10.0.2.5", tells{namespace: "shop", pod: "cart-1"}, elsewhere, "flow  shop/cart-1 / on  in ", ""},
		{"seen there, but of this one", "10.0.2.5", tells{cluster: "lab", identity: 5000}, elsewhere, "cluster " + cart, ""},
		{"on a node of another cluster", "10.0.2.5", tells{id: 7, namespace: "shop", pod: "cart-1"}, elsewhere, "flow  shop/cart-1 / on n1 in ", ""},
	} {
		for range 2 { // the second time from what was merged
			var changes []func(*flow.Record)
			if row.change != nil {
				changes = append(changes, row.change)
			}
			b := e.flow(row.to, 1234, row.told, changes...)
			before := e.counted(t, "sextant_enrich_disagreements_total")
			e.Process(b)
			same(t, row.name, endText(&b.Records[0].Destination), row.want)
			if got := b.Records[0].Destination.Endpoint.Get(); got.ID != row.told.id || got.Identity != row.told.identity {
				t.Errorf("%s: identity %d, endpoint %d", row.name, got.Identity, got.ID)
			}
			want := maps.Clone(before)
			if row.over != "" {
				want[row.over]++
			}
			same(t, row.name+", disagreements", e.counted(t, "sextant_enrich_disagreements_total"), want)
		}
	}
}

// counted returns the values of a metric by the value of its label.
func (e *enricher) counted(t testing.TB, name string) map[string]float64 {
	t.Helper()
	families, err := e.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				label := ""
				for _, l := range m.GetLabel() {
					label = l.GetValue()
				}
				values[label] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return values
}

func TestStageServices(t *testing.T) {
	e := newEnricher(t, twoNodes, shopPods)
	cart, other := e.names.Name("shop/cart"), e.names.Name("shop/other")
	told := func(service flow.Name) func(*flow.Record) {
		return func(r *flow.Record) { r.Destination.Service = service }
	}
	unknown := func(r *flow.Record) { r.IsReply, r.Protocol = flow.Unknown, flow.UDP }
	answer := func(r *flow.Record) { // from the destination, which therefore is the source
		r.Source, r.Destination, r.IsReply, r.ObservationPoint = r.Destination, r.Source, flow.Yes, flow.ToEndpoint
	}
	vip := func(r *flow.Record) {
		answer(r)
		r.Source.Port, r.SourceTranslatedIP = 80, addr("10.96.0.1")
	}
	for _, row := range []struct {
		name     string
		to       string
		port     uint16
		identity uint32
		changes  []func(*flow.Record)
		want     string
		over     float64
	}{
		{"a frontend", "10.96.0.1", 80, 2, nil, "shop/cart observed", 0},
		{"of the other family", "fd00:96::1", 80, 10, nil, "shop/cart observed", 0},
		{"a port of a node", "192.0.2.1", 30080, 1, nil, "shop/cart observed", 0},
		{"another port of it", "192.0.2.1", 30081, 1, nil, " none", 0},
		{"an endpoint", "10.0.2.5", 8080, 5000, nil, "shop/cart inferred", 0},
		{"another port of the pod", "10.0.2.5", 8081, 5000, nil, " none", 0},
		{"an endpoint outside, which must not look like a frontend", "203.0.113.9", 8080, 2, nil, " none", 0},
		{"the same by a policy's CIDR", "203.0.113.9", 8080, 1 << 24, nil, " none", 0},
		{"Hubble tells the service", "10.96.0.1", 80, 2, []func(*flow.Record){told(cart)}, "shop/cart none", 0}, // the verdict says how that is known
		{"and another one", "10.96.0.1", 80, 2, []func(*flow.Record){told(other)}, "shop/other none", 1},
		{"and another one than that of an endpoint, which is in several perhaps", "10.0.2.5", 8080, 5000, []func(*flow.Record){told(other)}, "shop/other none", 0},
		{"an endpoint, whoever began", "10.0.2.5", 8080, 5000, []func(*flow.Record){unknown, func(r *flow.Record) { r.Protocol = flow.TCP }}, "shop/cart inferred", 0},
		{"by another protocol", "10.0.2.5", 8080, 5000, []func(*flow.Record){unknown}, " none", 0},
		{"an answer", "10.0.2.5", 8080, 5000, []func(*flow.Record){answer}, "shop/cart inferred", 0},
		{"an answer that shows the frontend", "10.0.2.5", 8080, 5000, []func(*flow.Record){vip}, "shop/cart observed", 0},
		{"in another cluster", "10.96.0.1", 80, 2, []func(*flow.Record){func(r *flow.Record) { r.Cluster = e.names.Name("other") }}, " none", 0},
	} {
		before := e.counted(t, "sextant_enrich_disagreements_total")["service"]
		b := e.flow(row.to, row.port, tells{identity: row.identity}, row.changes...)
		e.Process(b)
		r := &b.Records[0]
		end, other := &r.Destination, &r.Source
		if r.IsReply == flow.Yes {
			end, other = other, end
		}
		same(t, row.name, fmt.Sprint(end.Service, " ", end.ServiceEvidence), row.want)
		same(t, row.name+", disagreements", e.counted(t, "sextant_enrich_disagreements_total")["service"]-before, row.over)
		same(t, row.name+", the other end", other.Service.String(), "")
	}

	// Who begins at a port of its own is nobody's service.
	b := e.flow("203.0.113.1", 443, tells{}, func(r *flow.Record) { r.Source.IP, r.Source.Port = addr("10.0.2.5"), 8080 })
	e.Process(b)
	same(t, "the initiator", b.Records[0].Source.Service.String(), "")
}

// Whoever can ask for single pods is told which are missing.
func TestStageUnresolved(t *testing.T) {
	e := newEnricher(t, twoNodes, shopPods)
	var asked []string
	e.Unresolved = func(a netip.Addr, namespace, pod flow.Name) {
		asked = append(asked, fmt.Sprint(a, " ", namespace, "/", pod))
	}
	for _, row := range []struct {
		to   string
		told tells
		want string
	}{
		{"10.0.2.5", tells{}, ""},
		{"10.0.2.77", tells{}, "10.0.2.77 /"},
		{"10.0.2.77", tells{namespace: "shop", pod: "x"}, "10.0.2.77 shop/x"},
		{"10.0.2.77", tells{namespace: "shop", pod: "young"}, ""},
		{"10.0.2.77", tells{cluster: "other", namespace: "shop", pod: "x"}, ""},
		{"192.0.2.1", tells{identity: 1}, ""},
		{"203.0.113.9", tells{identity: 2}, ""},
	} {
		asked = nil
		e.Process(e.flow(row.to, 80, row.told))
		same(t, row.to, strings.Join(asked, ", "), row.want)
	}
}

func TestStageMetrics(t *testing.T) {
	e := newEnricher(t, twoNodes, shopPods)
	e.put(after(50), running("gone", "n1", ip("10.0.1.9"), 40, 41, ""))
	e.Delete(after(60), kube.KindPod, "shop", "gone")
	e.SetIndex(e.Index())
	e.Process(e.flow("10.0.2.5", 80, tells{}))
	e.Process(e.flow("10.0.2.77", 80, tells{}))
	e.Process(e.flow("10.0.2.5", 80, tells{namespace: "shop", pod: "cart-1"}))
	same(t, "ends", e.counted(t, "sextant_enrich_ends_total"), map[string]float64{"cluster": 1, "flow": 1, "none": 3, "unresolved": 1})
	objects := e.counted(t, "sextant_enrich_objects")
	maps.DeleteFunc(objects, func(_ string, n float64) bool { return n == 0 })
	same(t, "objects", objects, map[string]float64{"Pod": 3, "Node": 2, "Namespace": 1, "Service": 1, "EndpointSlice": 1, "CiliumIdentity": 1})
	same(t, "pods that are gone", e.counted(t, "sextant_enrich_former_pods")[""], 1.0)
	if made := e.counted(t, "sextant_enrich_index_timestamp_seconds")[""]; made < 1e9 {
		t.Errorf("the index was made at %v", made)
	}
}

// In a steady state nothing is allocated, and a new index that says the same changes nothing of that.
func TestStageAllocates(t *testing.T) {
	names := flow.NewInterner()
	store := large(t, names)
	stage := kube.NewStage(names, prometheus.NewRegistry())
	stage.SetIndex(store.Index())
	batch := traffic(names, 512)
	fresh := append([]flow.Record(nil), batch.Records...)
	run := func() {
		copy(batch.Records, fresh)
		stage.Process(batch)
	}
	run()
	if n := testing.AllocsPerRun(10, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
	x := store.Index()
	stage.SetIndex(x)
	if n := testing.AllocsPerRun(10, run); n != 0 {
		t.Errorf("%v allocations with a new index", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		x.At(largeAddrs(7)[1], noon)
		x.Pod("team-0", "service-0-7f9c8d5b4-00007")
		x.Service(largeAddrs(7)[1], 8080, flow.TCP)
		x.NodeAt(largeAddrs(7)[1])
	}); n != 0 {
		t.Errorf("%v allocations of lookups", n)
	}
}

// More ends than are remembered are merged all the same.
func TestStageManyEnds(t *testing.T) {
	names := flow.NewInterner()
	stage := kube.NewStage(names, prometheus.NewRegistry())
	b := &flow.Batch{}
	node := names.Name("n1")
	for round := range 2 {
		for i := range 100_000 {
			b.Records = b.Records[:0]
			r := b.Next()
			r.Node = node
			r.Source.Endpoint = names.Endpoint(flow.Endpoint{ID: uint32(i + 1), Identity: 5000})
			stage.Process(b)
			if got := r.Source.Endpoint.Get(); got.ID != uint32(i+1) || got.Node != node {
				t.Fatalf("round %d: end %d became %+v", round, i, got)
			}
		}
	}
}
