package kube_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// running is a pod as the API tells it, some seconds after noon created, on a network, and started.
func running(name, node, ips string, created, networked int, rest string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: %s, creationTimestamp: %s}, spec: {nodeName: %s}, "+
		"status: {phase: Running, podIPs: [%s], startTime: %s, conditions: [{type: PodReadyToStartContainers, status: 'True', lastTransitionTime: %s}]%s}}",
		name, stamp(created), node, ips, stamp(created), stamp(networked), rest)
}

// stamp writes a time as the API does.
func stamp(seconds int) string { return "'" + after(seconds).Format(time.RFC3339) + "'" }

// asks are questions about one address: "100 s after noon it is …".
type asks []struct {
	second int
	want   string
}

func (r *rig) ask(what, address string, asks asks) {
	r.t.Helper()
	x := r.Index()
	for _, ask := range asks {
		who, ok := x.At(addr(address), after(ask.second))
		got := "nobody"
		if ok {
			got = who.Pod.String() + " on " + who.Node.String()
		}
		same(r.t, fmt.Sprintf("%s: %s, %d s after noon", what, address, ask.second), got, ask.want)
	}
}

// An address goes from one pod to another while flows come in.
func TestAddressMoves(t *testing.T) {
	r := newRig(t, kube.Config{})
	r.put(after(0), twoNodes, running("a", "n1", ip("10.0.1.5", "fd00:1::5"), 0, 10, ""))
	r.ask("before", "10.0.1.5", asks{{4, "nobody"}, {8, "a on n1"}, {1e6, "a on n1"}})
	r.Delete(after(100), kube.KindPod, "shop", "a")
	r.ask("gone", "10.0.1.5", asks{{99, "a on n1"}, {200, "a on n1"}, {1000, "nobody"}})
	same(t, "by name, though gone", told(r.Index().Pod("shop", "a")), "shop/a / on n1 in z1")
	r.put(after(205), running("b", "n1", ip("10.0.1.5"), 200, 203, ""))
	r.ask("moved", "10.0.1.5", asks{{50, "a on n1"}, {150, "a on n1"}, {202, "b on n1"}, {1e6, "b on n1"}})
	r.ask("of the other family", "fd00:1::5", asks{{50, "a on n1"}, {202, "a on n1"}, {1000, "nobody"}})
	r.Delete(after(300), kube.KindPod, "shop", "b")
	r.put(after(301), running("c", "n1", ip("fd00:1::5"), 250, 260, "")) // the API tells of it before it tells that b is gone
	r.ask("moved again", "10.0.1.5", asks{{50, "a on n1"}, {250, "b on n1"}, {1000, "nobody"}})
	r.ask("moved, too", "fd00:1::5", asks{{50, "a on n1"}, {300, "c on n1"}})
}

// A pod of a StatefulSet comes back with its name, and other addresses, on another node; that it was gone is not always told.
func TestSameName(t *testing.T) {
	for _, row := range []struct {
		name string
		gone bool
	}{{"told", true}, {"missed", false}} {
		r := newRig(t, kube.Config{})
		r.put(after(0), twoNodes, running("db-0", "n1", ip("10.0.1.5"), 0, 1, ""))
		if row.gone {
			r.Delete(after(95), kube.KindPod, "shop", "db-0")
		}
		r.put(after(110), running("db-0", "n2", ip("10.0.2.5"), 100, 105, ""))
		r.ask(row.name, "10.0.1.5", asks{{50, "db-0 on n1"}, {200, "db-0 on n1"}, {1000, "nobody"}})
		r.ask(row.name, "10.0.2.5", asks{{99, "nobody"}, {106, "db-0 on n2"}})
		same(t, row.name+", by name", told(r.Index().Pod("shop", "db-0")), "shop/db-0 / on n2 in z2")
	}
}

// A pod whose node restarted has other addresses than before.
func TestNewAddresses(t *testing.T) {
	for _, row := range []struct {
		name      string
		networked int // as the pod tells it
		since     int
	}{{"and tells since when", 150, 150}, {"and does not", 1, 200}} {
		r := newRig(t, kube.Config{})
		r.put(after(0), twoNodes, running("a", "n1", ip("10.0.1.5"), 0, 1, ""))
		r.put(after(200), running("a", "n1", ip("10.0.1.6"), 0, row.networked, ""))
		r.put(after(300), running("a", "n1", ip("10.0.1.6"), 0, row.networked, "")) // nothing new
		r.ask(row.name, "10.0.1.5", asks{{100, "a on n1"}, {300, "a on n1"}, {1000, "nobody"}})
		r.ask(row.name, "10.0.1.6", asks{{row.since - 6, "nobody"}, {row.since, "a on n1"}, {1e6, "a on n1"}})
	}
}

// A second family that comes later does not make the first one new.
func TestSecondFamily(t *testing.T) {
	r := newRig(t, kube.Config{})
	r.put(after(0), twoNodes, running("a", "n1", ip("10.0.1.5"), 0, 1, ""))
	r.put(after(200), running("a", "n1", ip("10.0.1.5", "fd00:1::5"), 0, 1, ""))
	for _, address := range []string{"10.0.1.5", "fd00:1::5"} {
		r.ask("both", address, asks{{100, "a on n1"}, {1e6, "a on n1"}})
	}
}

// A pod that has ended stays in the API, but not at its addresses.
func TestEnded(t *testing.T) {
	finished := ", containerStatuses: [{state: {terminated: {finishedAt: " + stamp(80) + "}}}, {state: {terminated: {finishedAt: " + stamp(90) + "}}}]"
	done := func(text string) string { return strings.Replace(text, "Running", "Succeeded", 1) }
	a, b := running("a", "n1", ip("10.0.1.5"), 0, 1, ""), running("b", "n1", ip("10.0.1.5"), 200, 201, "")

	r := newRig(t, kube.Config{})
	r.put(after(0), twoNodes, a)
	r.put(after(95), done(running("a", "n1", ip("10.0.1.5"), 0, 1, finished)))
	r.ask("it tells when", "10.0.1.5", asks{{89, "a on n1"}, {269, "a on n1"}, {271, "nobody"}})
	r.put(after(200), b)
	r.ask("and another has it", "10.0.1.5", asks{{89, "a on n1"}, {150, "a on n1"}, {200, "b on n1"}})
	r.Delete(after(1000), kube.KindPod, "shop", "a")
	r.ask("and it is gone", "10.0.1.5", asks{{89, "a on n1"}, {500, "b on n1"}, {1e6, "b on n1"}})

	r = newRig(t, kube.Config{})
	r.put(after(95), twoNodes, done(running("a", "n1", ip("10.0.1.5"), 0, 1, finished)))
	r.Delete(after(1000), kube.KindPod, "shop", "a")
	r.ask("gone long after its end", "10.0.1.5", asks{{89, "a on n1"}, {269, "a on n1"}, {271, "nobody"}, {999, "nobody"}})

	r = newRig(t, kube.Config{})
	r.put(after(0), twoNodes, a)
	r.put(after(95), done(a))
	r.put(after(150), done(a))
	r.ask("seen to end", "10.0.1.5", asks{{94, "a on n1"}, {270, "a on n1"}, {280, "nobody"}})

	r = newRig(t, kube.Config{})
	r.load(twoNodes, done(a), b)
	r.ask("from a dump", "10.0.1.5", asks{{94, "a on n1"}, {150, "a on n1"}, {250, "b on n1"}})
}

// After an outage the whole list comes anew.
func TestReplace(t *testing.T) {
	r := newRig(t, kube.Config{})
	r.put(after(0), twoNodes)
	a, b, c := running("a", "n1", ip("10.0.1.5"), 0, 1, ""), running("b", "n2", ip("10.0.2.5"), 0, 1, ""), running("c", "n1", ip("10.0.1.5"), 300, 301, "")
	replace := func(at int, kind kube.Kind, texts ...string) {
		t.Helper()
		if err := r.Replace(after(at), kind, append([]kube.Object{}, objects(t, texts...)...)); err != nil {
			t.Fatal(err)
		}
	}
	replace(10, kube.KindPod, a, b)
	replace(600, kube.KindPod, b, c)
	r.ask("moved unseen", "10.0.1.5", asks{{100, "a on n1"}, {301, "c on n1"}, {600, "c on n1"}})
	r.ask("still there", "10.0.2.5", asks{{100, "b on n2"}, {1e6, "b on n2"}})
	same(t, "nodes are not pods", len(r.View().Nodes), 2)
	replace(700, kube.KindPod)
	same(t, "pods", len(r.View().Pods), 0)
	same(t, "it is known that there are none", r.View().Knows[kube.KindPod], true)
	if err := r.Replace(after(800), kube.KindPod, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "it is not known whether there are any", r.View().Knows[kube.KindPod], false)

	err := r.Replace(after(900), kube.KindPod, objects(t, a, twoNodes, pod("x", "n1", ip("10.0.0.256"), "labels: {}"), pod("y", "n1", ip("10.0.1.9"), "labels: {}")))
	want := "Node n1 is none of the kind Pod\nNode n2 is none of the kind Pod\nPod shop/x: status.podIPs[0].ip: \"10.0.0.256\" is no IP address"
	same(t, "errors", fmt.Sprint(err), want)
	same(t, "the others are taken", len(r.View().Pods), 2)
}

// Cilium's slices do not tell since when an endpoint is there: those of the first list are taken for old, later ones for new.
func TestEndpointsMove(t *testing.T) {
	r := newRig(t, kube.Config{})
	r.put(after(0), twoNodes)
	slice := func(name, endpoints string) string {
		return "{apiVersion: cilium.io/v2alpha1, kind: CiliumEndpointSlice, metadata: {name: " + name + "}, namespace: shop, endpoints: [" + endpoints + "]}"
	}
	endpoint := func(name, address, node string) string {
		return fmt.Sprintf("{name: %s, networking: {addressing: [{ipv4: %s}], node: %s}}", name, address, node)
	}
	a, b := endpoint("a", "10.0.1.5", "192.0.2.1"), endpoint("b", "10.0.1.6", "192.0.2.1")
	if err := r.Replace(after(0), kube.KindEndpointBatch, objects(t, slice("one", a+", "+b))); err != nil {
		t.Fatal(err)
	}
	r.ask("of the first list", "10.0.1.5", asks{{-1000, "a on n1"}, {1000, "a on n1"}})
	r.put(after(100), slice("one", a+", "+endpoint("b", "10.0.1.7", "192.0.2.1")+", "+endpoint("c", "10.0.1.8", "192.0.2.1")))
	r.put(after(200), slice("one", a+", "+endpoint("b", "10.0.1.7", "192.0.2.1")+", "+endpoint("c", "10.0.1.8", "192.0.2.1"))) // nothing new
	r.ask("not touched", "10.0.1.5", asks{{-1000, "a on n1"}, {1000, "a on n1"}})
	r.ask("before", "10.0.1.6", asks{{99, "b on n1"}, {200, "b on n1"}, {1000, "nobody"}})
	r.ask("with another address", "10.0.1.7", asks{{90, "nobody"}, {100, "b on n1"}, {1000, "b on n1"}})
	r.ask("new", "10.0.1.8", asks{{90, "nobody"}, {100, "c on n1"}, {1000, "c on n1"}})
	r.put(after(300), slice("one", b), slice("two", endpoint("d", "10.0.1.5", "192.0.2.2")))
	r.ask("moved to another", "10.0.1.5", asks{{200, "a on n1"}, {300, "d on n2"}, {1000, "d on n2"}})
	r.Delete(after(400), kube.KindEndpointBatch, "", "two")
	r.ask("gone", "10.0.1.5", asks{{200, "a on n1"}, {399, "d on n2"}, {1000, "nobody"}})
	r.put(after(500), running("d", "n1", ip("10.0.1.9"), 450, 451, ""), slice("two", endpoint("d", "10.0.1.5", "192.0.2.2")))
	r.ask("the pod itself knows better", "10.0.1.5", asks{{399, "d on n2"}, {1000, "nobody"}})

	r = newRig(t, kube.Config{})
	cep := func(address, created string) string {
		return fmt.Sprintf("{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {namespace: shop, name: a, creationTimestamp: %s}, status: {networking: {addressing: [{ipv4: %s}], node: 192.0.2.1}}}", created, address)
	}
	r.put(after(0), twoNodes, cep("10.0.1.5", stamp(0)))
	r.put(after(100), cep("10.0.1.6", stamp(90)))
	r.ask("an endpoint made anew", "10.0.1.5", asks{{50, "a on n1"}, {1000, "nobody"}})
	r.ask("an endpoint made anew", "10.0.1.6", asks{{84, "nobody"}, {90, "a on n1"}})
	r.Delete(after(200), kube.KindEndpoint, "shop", "a")
	r.ask("gone", "10.0.1.6", asks{{150, "a on n1"}, {1000, "nobody"}})
	r.put(after(300), running("a", "n1", ip("10.0.1.7"), 290, 291, ""), cep("10.0.1.7", stamp(291)))
	r.Delete(after(400), kube.KindPod, "shop", "a")
	r.ask("gone, though the endpoint is still there", "10.0.1.7", asks{{399, "a on n1"}, {1000, "nobody"}})
}

// An object that makes no sense is left out, and so is what it was before.
func TestPutErrors(t *testing.T) {
	r := newRig(t, kube.Config{})
	for _, row := range []struct{ good, bad, want string }{
		{pod("x", "n", ip("10.0.0.1"), "labels: {}"), pod("x", "n", ip("10.0.0"), "labels: {}"), `Pod shop/x: status.podIPs[0].ip: "10.0.0" is no IP address`},
		{"{apiVersion: v1, kind: Node, metadata: {name: n}}", "{apiVersion: v1, kind: Node, metadata: {name: n}, spec: {podCIDRs: [x]}}", `Node n: spec.podCIDRs[0]: "x" is no CIDR`},
		{"{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: s}}", "{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: s}, spec: {clusterIPs: [x]}}", `Service shop/s: spec.clusterIPs[0]: "x" is no IP address`},
		{
			"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: shop, name: s}}",
			"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: shop, name: s}, endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.1, x]}]}",
			`EndpointSlice shop/s: endpoints[1].addresses[1]: "x" is no IP address`,
		},
		{
			"{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {namespace: shop, name: s}}",
			"{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {namespace: shop, name: s}, status: {networking: {addressing: [{ipv4: x}]}}}",
			`CiliumEndpoint shop/s: status.networking.addressing[0].ipv4: "x" is no IP address`,
		},
		{
			"{apiVersion: cilium.io/v2alpha1, kind: CiliumEndpointSlice, metadata: {name: s}}",
			"{apiVersion: cilium.io/v2alpha1, kind: CiliumEndpointSlice, metadata: {name: s}, endpoints: [{networking: {addressing: [{ipv6: x}]}}]}",
			`CiliumEndpointSlice s: endpoints[0].networking.addressing[0].ipv6: "x" is no IP address`,
		},
		{"{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: s}}", "{apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: {name: s}, spec: {cidrs: [x]}}", `ServiceCIDR s: spec.cidrs[0]: "x" is no CIDR`},
	} {
		r.put(noon, row.good)
		before := count(r.View())
		err := r.Put(after(1), objects(t, row.bad)[0])
		same(t, row.bad, fmt.Sprint(err), row.want)
		if got := count(r.View()); got > before {
			t.Errorf("%s: %d things, were %d", row.bad, got, before)
		}
	}
	v := r.View()
	same(t, "what is left", []int{len(v.Pods), len(v.Nodes), len(v.Services), len(v.ServiceCIDRs)}, []int{0, 0, 0, 0})
	same(t, "an object without a name", fmt.Sprint(r.Put(noon, &kube.Pod{})), "Pod: metadata.name is empty")
}

func count(v kube.View) int {
	return len(v.Pods) + len(v.Nodes) + len(v.Services) + len(v.ServiceCIDRs)
}

// An agent that a watch tells of decides about its node, and is named in doubts as such.
func TestLiveAgents(t *testing.T) {
	const config = "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: kube-system, name: cilium-config}, data: {cluster-name: lab, enable-ip-masq-agent: 'true', enable-egress-gateway: nonsense}}"
	agent := func(args string) string {
		return "{apiVersion: v1, kind: Pod, metadata: {namespace: kube-system, name: cilium-x, labels: {k8s-app: cilium}}, spec: {nodeName: n1, containers: [{name: cilium-agent, args: [" + args + "]}]}}"
	}
	r := newRig(t, kube.Config{})
	r.put(noon, twoNodes, config, agent("'--enable-host-firewall=true', '--monitor-aggregation=strange'"))
	cluster, err := r.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "host firewall", []flow.Tristate{cluster.Nodes[0].Settings.HostFirewall, cluster.Nodes[1].Settings.HostFirewall}, []flow.Tristate{flow.Yes, flow.No})
	same(t, "doubts", r.Doubts(), []string{
		`ConfigMap kube-system/cilium-config: enable-egress-gateway is "nonsense", which is not understood and taken for unknown`,
		`Pod kube-system/cilium-x: monitor-aggregation is "strange", which is not understood and taken for unknown`,
		"the ip-masq-agent runs, but its ConfigMap kube-system/ip-masq-agent is not there: what it leaves alone is unknown",
	})
	if err := r.Replace(noon, kube.KindConfigMap, objects(t, strings.Replace(config, "nonsense", "'true'", 1))); err != nil {
		t.Fatal(err)
	}
	r.put(noon, agent(""))
	cluster, err = r.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "doubts that are no more", len(r.Doubts()), 0)
	same(t, "host firewall", cluster.Nodes[0].Settings.HostFirewall, flow.No)
	same(t, "all ConfigMaps are told, and the agent's is not there", cluster.Nodes[0].Settings.NonMasquerade.Known, true)
}

// Events go to whoever asked for them, and nowhere else.
func TestEvents(t *testing.T) {
	var got []string
	r := newRig(t, kube.Config{OnEvent: func(at time.Time, e *kube.Event) {
		got = append(got, fmt.Sprint(at.IsZero(), " ", e.Reason, " ", e.InvolvedObject.Name, " ", e.Message, " ", e.Source.Host, " ", e.Count, " ", e.LastTimestamp.Unix()))
	}})
	old := "{apiVersion: v1, kind: Event, metadata: {namespace: shop, name: e}, involvedObject: {kind: Pod, namespace: shop, name: x, fieldPath: 'spec.containers{web}'}, " +
		"reason: Pulled, message: m, source: {component: kubelet, host: n1}, firstTimestamp: null, lastTimestamp: " + stamp(0) + ", eventTime: null, count: 2, series: null}"
	fresh := "{apiVersion: events.k8s.io/v1, kind: Event, metadata: {namespace: shop, name: e}, regarding: {kind: Pod, namespace: shop, name: x}, " +
		"reason: Pulled, note: m, reportingController: kubelet, reportingInstance: n1, eventTime: '2026-11-24T12:00:00.123456Z', deprecatedCount: 2, deprecatedLastTimestamp: " + stamp(0) + "}"
	r.put(noon, old, fresh)
	r.load(old, fresh, "{apiVersion: v1, kind: Namespace, metadata: {name: x}}")
	row := fmt.Sprintf(" Pulled x m n1 2 %d", noon.Unix())
	same(t, "events", got, []string{"false" + row, "false" + row, "true" + row, "true" + row})
	newRig(t, kube.Config{}).put(noon, old) // that nobody asked for
}

func TestChanged(t *testing.T) {
	r := newRig(t, kube.Config{})
	changed := func() bool {
		select {
		case <-r.Changed():
			return true
		default:
			return false
		}
	}
	same(t, "at first", changed(), false)
	r.put(noon, twoNodes)
	same(t, "after two", changed(), true)
	same(t, "and then", changed(), false)
	r.Delete(noon, kube.KindNode, "", "n1")
	same(t, "after one is gone", changed(), true)
	if err := r.Replace(noon, kube.KindNode, nil); err != nil {
		t.Fatal(err)
	}
	same(t, "after all are", changed(), true)
	r.load(twoNodes)
	same(t, "after a dump", changed(), true)
}

// A dump and a watch fill one store.
func TestDumpThenWatch(t *testing.T) {
	r := newRig(t, kube.Config{})
	r.load(twoNodes, running("a", "n1", ip("10.0.1.5"), 0, 1, ""))
	r.put(after(100), running("a", "n1", ip("10.0.1.6"), 0, 1, ""))
	r.ask("moved", "10.0.1.5", asks{{50, "a on n1"}, {1000, "nobody"}})
	r.load(running("a", "n1", ip("10.0.1.7"), 0, 1, ""))
	same(t, "doubts", len(r.Doubts()), 0)
	r.ask("from another dump", "10.0.1.7", asks{{50, "a on n1"}})
}

// What is remembered of pods that are gone has bounds in age and number.
func TestPastBounds(t *testing.T) {
	r := newRig(t, kube.Config{})
	r.put(noon, twoNodes)
	churn := func(i int, at time.Time) {
		p := largePod(i)
		p.Metadata.Name = fmt.Sprint("p", i)
		p.Metadata.Created, p.Status.StartTime = at, at
		if err := r.Put(at, p); err != nil {
			t.Fatal(err)
		}
		r.Delete(at.Add(time.Second), kube.KindPod, p.Metadata.Namespace, p.Metadata.Name)
	}
	gone := func(pods ...int) (gone []bool) {
		x := r.Index()
		for _, i := range pods {
			_, ok := x.Pod(largePod(i).Metadata.Namespace, fmt.Sprint("p", i))
			gone = append(gone, !ok)
		}
		return gone
	}
	churn(0, noon)
	churn(1, noon.Add(time.Minute))
	churn(2, noon.Add(time.Hour+30*time.Second))
	same(t, "by age", gone(0, 1, 2), []bool{true, false, false})
	for i := range 1 << 15 {
		churn(10+i, noon.Add(time.Hour+40*time.Second))
	}
	same(t, "by number", gone(1, 2, 10, 9+1<<15), []bool{true, true, false, false})
}

// Everybody may use a store at once.
func TestTogether(t *testing.T) {
	r := newRig(t, kube.Config{Labels: []string{"app"}})
	r.put(noon, twoNodes)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				p := largePod(w*1000 + i%50)
				_ = r.Put(after(i), p)
				switch i % 40 {
				case 0:
					x := r.Index()
					x.At(largeAddrs(w * 1000)[0], after(i))
				case 10:
					_, _ = r.Cluster()
				case 20:
					r.View()
				case 30:
					r.Delete(after(i), kube.KindPod, p.Metadata.Namespace, p.Metadata.Name)
				}
			}
		})
	}
	wg.Wait()
	pods := r.View().Pods
	if !slices.IsSortedFunc(pods, func(a, b kube.ViewPod) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) }) {
		t.Error("pods are not in order")
	}
}
