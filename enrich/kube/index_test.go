package kube_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// rig is a store that a test puts objects into.
type rig struct {
	*kube.Store
	t     testing.TB
	names *flow.Interner
}

func newRig(t testing.TB, cfg kube.Config) *rig {
	names := flow.NewInterner()
	return &rig{kube.NewStore(cfg, names, slog.New(slog.DiscardHandler)), t, names}
}

// put takes objects as a watch would tell them at a time, from YAML documents.
func (r *rig) put(at time.Time, texts ...string) {
	r.t.Helper()
	for _, o := range objects(r.t, texts...) {
		if err := r.Put(at, o); err != nil {
			r.t.Fatal(err)
		}
	}
}

// load takes them as a dump.
func (r *rig) load(texts ...string) {
	r.t.Helper()
	if _, err := r.Load(dump(r.t, "all.yaml", strings.Join(texts, "\n---\n"))); err != nil {
		r.t.Fatal(err)
	}
}

// who tells who had an address, or is called so: "shop/web-1 Deployment/web on n1 in z1 [team=a]".
func told(w kube.Who, ok bool) string {
	if !ok {
		return "nobody"
	}
	text := fmt.Sprintf("%s/%s %s/%s on %s in %s", w.Namespace, w.Pod, w.WorkloadKind, w.Workload, w.Node, w.Zone)
	for _, tag := range w.Tags.Get() {
		text += " " + tag.String()
	}
	return text
}

func (r *rig) at(address string, seconds int) string {
	return told(r.Index().At(addr(address), noon.Add(time.Duration(seconds)*time.Second)))
}

func after(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

const twoNodes = `{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/zone: z1, topology.kubernetes.io/region: r1}}, spec: {podCIDRs: [10.0.1.0/24, "fd00:1::/64"]}, status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: InternalIP, address: "2001:db8::1"}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {failure-domain.beta.kubernetes.io/zone: z2}}, spec: {podCIDRs: [10.0.2.0/24, "fd00:2::/64"]}, status: {addresses: [{type: InternalIP, address: 192.0.2.2}, {type: ExternalIP, address: 198.51.100.2}]}}`

func pod(name, node, ips, rest string) string {
	return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: %s, %s}, spec: {nodeName: %s}, status: {podIPs: [%s]}}", name, rest, node, ips)
}

// ip lists addresses as a pod's status does.
func ip(addrs ...string) string {
	for i := range addrs {
		addrs[i] = fmt.Sprintf("{ip: %q}", addrs[i])
	}
	return strings.Join(addrs, ", ")
}

func TestWorkloads(t *testing.T) {
	owner := func(kind, name string) string {
		return "ownerReferences: [{kind: Other, name: other}, {kind: " + kind + ", name: " + name + ", controller: true}]"
	}
	for _, row := range []struct{ name, pod, objects, want string }{
		{"a Deployment", owner("ReplicaSet", "web-5f"), "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {namespace: shop, name: web-5f, " + owner("Deployment", "web") + "}}", "Deployment/web"},
		{"a Rollout, whatever the label says", "labels: {pod-template-hash: 5f}, " + owner("ReplicaSet", "web-5f"), "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {namespace: shop, name: web-5f, " + owner("Rollout", "canary") + "}}", "Rollout/canary"},
		{"a ReplicaSet alone", owner("ReplicaSet", "web-5f"), "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {namespace: shop, name: web-5f}}", "ReplicaSet/web-5f"},
		{"a ReplicaSet that is not known, and a label that proves a Deployment", "labels: {pod-template-hash: 5f}, " + owner("ReplicaSet", "web-5f"), "", "Deployment/web"},
		{"a ReplicaSet that is not known, and no proof", owner("ReplicaSet", "web-5f"), "", "ReplicaSet/web-5f"},
		{"a ReplicaSet that is not known, and another's label", "labels: {pod-template-hash: 6a}, " + owner("ReplicaSet", "web-5f"), "", "ReplicaSet/web-5f"},
		{"one of another namespace", owner("ReplicaSet", "web-5f"), "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {namespace: other, name: web-5f, " + owner("Deployment", "web") + "}}", "ReplicaSet/web-5f"},
		{"a CronJob", owner("Job", "night-29398036"), "{apiVersion: batch/v1, kind: Job, metadata: {namespace: shop, name: night-29398036, " + owner("CronJob", "night") + "}}", "CronJob/night"},
		{"a Job alone", owner("Job", "once"), "{apiVersion: batch/v1, kind: Job, metadata: {namespace: shop, name: once}}", "Job/once"},
		{"a Job that is not known, whose name says nothing", owner("Job", "night-29398036"), "", "Job/night-29398036"},
		{"a StatefulSet", owner("StatefulSet", "db"), "", "StatefulSet/db"},
		{"a DaemonSet", owner("DaemonSet", "agent"), "", "DaemonSet/agent"},
		{"a static pod", owner("Node", "n1"), "", "Node/n1"},
		{"a DeploymentConfig", "labels: {deploymentconfig: web}, " + owner("ReplicationController", "web-1"), "", "DeploymentConfig/web"},
		{"an owner that does not control", "ownerReferences: [{kind: Other, name: other}]", "", "/"},
		{"nobody", "labels: {}", "", "/"},
	} {
		text := pod("x", "n1", ip("10.0.1.5"), row.pod)
		live, dumped := newRig(t, kube.Config{}), newRig(t, kube.Config{})
		live.put(noon, text)
		dumped.load(text)
		if row.objects != "" {
			live.put(noon, row.objects) // the order does not matter
			dumped.load(row.objects)
		}
		want := "shop/x " + row.want + " on n1 in "
		same(t, row.name, live.at("10.0.1.5", 0), want)
		same(t, row.name+", from a dump", dumped.at("10.0.1.5", 0), want)
		view := live.View().Pods[0]
		same(t, row.name+", viewed", view.WorkloadKind+"/"+view.Workload, row.want)
	}
}

func TestWho(t *testing.T) {
	r := newRig(t, kube.Config{Labels: []string{"team", "tier"}, Annotations: []string{"cost/centre"}, Cluster: "lab"})
	r.load(twoNodes,
		"{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: web, tier: a}, annotations: {cost/centre: '7', other: x}}}",
		pod("both", "n1", ip("10.0.1.5", "fd00:1::5"), "labels: {team: own, app: x}"),
		pod("plain", "n2", ip("::ffff:10.0.2.5"), "annotations: {cost/centre: '8'}"),
		pod("nowhere", "gone", ip("10.0.9.9"), "labels: {}"),
		"{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: host, labels: {app: agent}}, spec: {nodeName: n1, hostNetwork: true}, status: {podIPs: [{ip: 192.0.2.1}, {ip: '2001:db8::1'}]}}",
		"{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: host-3}, spec: {nodeName: n3, hostNetwork: true}, status: {podIPs: [{ip: 192.0.2.3}]}}",
		"{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: liar}, spec: {nodeName: n2}, status: {podIPs: [{ip: 192.0.2.2}]}}",
	)
	both := "shop/both / on n1 in z1 team=own tier=a cost/centre=7"
	for address, want := range map[string]string{
		"10.0.1.5":    both,
		"fd00:1::5":   both,
		"10.0.2.5":    "shop/plain / on n2 in z2 team=web tier=a cost/centre=8",
		"10.0.9.9":    "shop/nowhere / on gone in  team=web tier=a cost/centre=7",
		"192.0.2.1":   "nobody", // whoever runs there
		"2001:db8::1": "nobody",
		"192.0.2.2":   "nobody", // whatever the pod says
		"192.0.2.3":   "nobody", // nor where the node is not known
		"10.0.1.6":    "nobody",
	} {
		same(t, address, r.at(address, 0), want)
	}
	x := r.Index()
	v4, _ := x.At(addr("10.0.1.5"), noon)
	v6, _ := x.At(addr("fd00:1::5"), noon)
	same(t, "one pod by both families", v4 == v6, true)
	same(t, "by name", told(x.Pod("shop", "both")), both)
	same(t, "on the host's network, by name", told(x.Pod("shop", "host")), "shop/host / on n1 in z1 team=web tier=a cost/centre=7")
	same(t, "by another name", told(x.Pod("other", "both")), "nobody")
	same(t, "as an end", v4.Endpoint.Get() == flow.Endpoint{
		Cluster: x.Cluster(), Namespace: v4.Namespace, Pod: v4.Pod, Workload: v4.Workload, WorkloadKind: v4.WorkloadKind, Node: v4.Node, Zone: v4.Zone, Tags: v4.Tags,
	}, true)
	same(t, "cluster", x.Cluster().String(), "lab")

	n2, ok := x.Node(r.names.Name("n2"))
	same(t, "n2", fmt.Sprint(n2, ok), "{n2 z2  [192.0.2.2 198.51.100.2]} true")
	n1, ok := x.NodeAt(addr("2001:db8::1"))
	same(t, "n1", fmt.Sprint(n1.Name, n1.Zone, n1.Region, ok), "n1 z1 r1 true")
	if _, ok := x.Node(r.names.Name("n3")); ok {
		t.Error("there is a third node")
	}
	for address, want := range map[string]bool{"10.0.1.77": true, "fd00:2::1": true, "10.0.3.1": false} {
		same(t, address, x.IsPodAddress(addr(address)), want)
	}
}

// A nil index, as there is before anything was told, answers all the same.
func TestNilIndex(t *testing.T) {
	var x *kube.Index
	_, at := x.At(addr("10.0.0.1"), noon)
	_, pod := x.Pod("a", "b")
	_, node := x.Node(flow.Name{})
	_, nodeAt := x.NodeAt(addr("10.0.0.1"))
	service, evidence := x.Service(addr("10.0.0.1"), 80, flow.TCP)
	if at || pod || node || nodeAt || !service.IsZero() || evidence != flow.EvidenceNone || !x.Cluster().IsZero() || x.IsPodAddress(addr("10.0.0.1")) ||
		!x.Namespace(1).IsZero() || x.PullPolicy("a", "b", "c") != "" {
		t.Error("it knows something")
	}
}

// What comes with a pod beyond bounds is cut, and an annotation that nobody asked for is not kept.
func TestTagBounds(t *testing.T) {
	keys := []string{"long"}
	var labels strings.Builder
	for i := range 40 {
		keys = append(keys, fmt.Sprintf("k%d", i))
		fmt.Fprintf(&labels, ", k%d: v", i)
	}
	r := newRig(t, kube.Config{Labels: keys})
	r.load(pod("x", "n1", ip("10.0.1.5"), "labels: {long: "+strings.Repeat("ä", 1000)+labels.String()+"}"))
	who, _ := r.Index().At(addr("10.0.1.5"), noon)
	tags := who.Tags.Get()
	same(t, "tags", len(tags), 16)
	same(t, "the long one", tags[0].String(), "long="+strings.Repeat("ä", 61))
}

func TestPullPolicy(t *testing.T) {
	r := newRig(t, kube.Config{})
	r.load("{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: x}, spec: {containers: [{name: a, imagePullPolicy: Always}, {name: b}], initContainers: [{name: c, imagePullPolicy: Never}]}}")
	x := r.Index()
	for container, want := range map[string]string{"a": "Always", "b": "", "c": "Never", "d": ""} {
		same(t, container, x.PullPolicy("shop", "x", container), want)
	}
}

func TestServices(t *testing.T) {
	service := func(name, spec string) string {
		return "{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: " + name + "}, " + spec + "}"
	}
	slice := func(name, service, kind, addrs, ports string) string {
		return "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: shop, name: " + name + ", labels: {kubernetes.io/service-name: " + service +
			"}}, addressType: " + kind + ", endpoints: [{addresses: [" + addrs + "]}], ports: [" + ports + "]}"
	}
	r := newRig(t, kube.Config{})
	r.load(twoNodes,
		service("web", "spec: {type: NodePort, clusterIPs: [10.96.0.1, 'fd00:96::1'], clusterIP: 10.96.0.1, ports: [{port: 80, nodePort: 30080}, {port: 53, protocol: UDP, nodePort: 30053}]}"),
		service("lb-a", "spec: {type: LoadBalancer, clusterIP: 10.96.0.2, ports: [{port: 443, nodePort: 30443}]}, status: {loadBalancer: {ingress: [{ip: 203.0.113.1}, {hostname: x.example}]}}"),
		service("lb-b", "spec: {type: LoadBalancer, clusterIP: 10.96.0.3, ports: [{port: 8443}, {port: 53, protocol: UDP}]}, status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}"),
		service("twice", "spec: {clusterIP: 10.96.0.4, externalIPs: [203.0.113.1], ports: [{port: 8443}]}"),
		service("on-node", "spec: {clusterIP: 10.96.0.5, externalIPs: [192.0.2.1], ports: [{port: 25}]}"),
		service("headless", "spec: {clusterIP: None}"),
		service("all-ports", "spec: {clusterIP: None}"),
		slice("web-4", "web", "IPv4", "10.0.1.5, 10.0.1.6", "{name: http, port: 8080}, {port: 5353, protocol: UDP}"),
		slice("web-6", "web", "IPv6", "'fd00:1::5'", "{port: 8080}"),
		slice("headless-4", "headless", "IPv4", "10.0.1.6, 203.0.113.99", "{port: 5432}, {port: 8080}"),
		slice("name", "headless", "FQDN", "db.example", "{port: 5432}"),
		slice("all-4", "all-ports", "IPv4", "10.0.1.7", "{}"),
		slice("seven", "web", "IPv4", "10.0.1.7", "{port: 7}"),
		"{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: shop, name: stray}, addressType: IPv4, endpoints: [{addresses: [10.0.1.9]}], ports: [{port: 1}]}",
	)
	x := r.Index()
	for _, row := range []struct {
		addr     string
		port     uint16
		protocol flow.Protocol
		want     string
	}{
		{"10.96.0.1", 80, flow.TCP, "shop/web observed"},
		{"fd00:96::1", 53, flow.UDP, "shop/web observed"},
		{"fd00:96::1", 81, flow.TCP, "shop/web observed"}, // nobody else has the address
		{"fd00:96::1", 0, flow.ICMPv6, "shop/web observed"},
		{"192.0.2.1", 30080, flow.TCP, "shop/web observed"},
		{"198.51.100.2", 30080, flow.TCP, "shop/web observed"},
		{"2001:db8::1", 30053, flow.UDP, "shop/web observed"},
		{"192.0.2.1", 30080, flow.UDP, " none"},
		{"192.0.2.1", 30081, flow.TCP, " none"},
		{"10.96.0.1", 30080, flow.TCP, "shop/web observed"},
		{"192.0.2.77", 30080, flow.TCP, " none"}, // no node
		{"203.0.113.1", 443, flow.TCP, "shop/lb-a observed"},
		{"203.0.113.1", 53, flow.UDP, "shop/lb-b observed"},
		{"203.0.113.1", 8443, flow.TCP, " none"}, // of two
		{"203.0.113.1", 80, flow.TCP, " none"},
		{"203.0.113.1", 0, flow.ICMP, " none"},
		{"192.0.2.1", 25, flow.TCP, "shop/on-node observed"},
		{"192.0.2.1", 26, flow.TCP, " none"}, // the node's own
		{"10.0.1.5", 8080, flow.TCP, "shop/web inferred"},
		{"fd00:1::5", 8080, flow.TCP, "shop/web inferred"},
		{"10.0.1.5", 5353, flow.UDP, "shop/web inferred"},
		{"10.0.1.5", 5353, flow.TCP, " none"},
		{"10.0.1.5", 8081, flow.TCP, " none"},
		{"10.0.1.5", 0, flow.ICMP, " none"},
		{"10.0.1.6", 8080, flow.TCP, " none"}, // of two
		{"10.0.1.6", 5432, flow.TCP, "shop/headless inferred"},
		{"203.0.113.99", 5432, flow.TCP, "shop/headless inferred"},
		{"10.0.1.7", 1234, flow.TCP, "shop/all-ports inferred"},
		{"10.0.1.7", 7, flow.TCP, " none"}, // of two
		{"10.0.1.9", 1, flow.TCP, " none"},
	} {
		service, evidence := x.Service(addr(row.addr), row.port, row.protocol)
		same(t, fmt.Sprint(row.addr, " ", row.port, " ", row.protocol), fmt.Sprint(service, " ", evidence), row.want)
	}
}

// Where the pods themselves are not watched, Cilium tells who has an address.
func TestCiliumEndpoints(t *testing.T) {
	r := newRig(t, kube.Config{})
	r.load(twoNodes, pod("known", "n1", ip("10.0.1.5"), "labels: {}"),
		"{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {namespace: shop, name: a}, status: {identity: {id: 4711}, networking: {addressing: [{ipv4: 10.0.2.5, ipv6: 'fd00:2::5'}], node: 192.0.2.2}}}",
		"{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {namespace: shop, name: known}, status: {networking: {addressing: [{ipv4: 10.0.1.99}], node: 192.0.2.1}}}",
		"{apiVersion: cilium.io/v2, kind: CiliumEndpoint, metadata: {namespace: shop, name: waits}}",
		"{apiVersion: cilium.io/v2alpha1, kind: CiliumEndpointSlice, metadata: {name: ces-1}, namespace: ci, endpoints: [{name: b, id: 4712, networking: {addressing: [{ipv6: 'fd00:1::b'}], node: '2001:db8::1'}}, {name: c, networking: {addressing: [{ipv4: 10.0.2.6}], node: 192.0.2.99}}]}",
		"{apiVersion: cilium.io/v2, kind: CiliumIdentity, metadata: {name: '4711'}, security-labels: {'k8s:io.kubernetes.pod.namespace': shop, 'k8s:app': a}}",
		"{apiVersion: cilium.io/v2, kind: CiliumIdentity, metadata: {name: odd}}",
	)
	for address, want := range map[string]string{
		"10.0.2.5":  "shop/a / on n2 in z2",
		"fd00:2::5": "shop/a / on n2 in z2",
		"fd00:1::b": "ci/b / on n1 in z1",
		"10.0.2.6":  "ci/c / on  in ",
		"10.0.1.5":  "shop/known / on n1 in z1",
		"10.0.1.99": "nobody", // the pod itself knows better
	} {
		same(t, address, r.at(address, 0), want)
	}
	x := r.Index()
	same(t, "the namespace of an identity", x.Namespace(4711).String(), "shop")
	same(t, "and of another", x.Namespace(4712).String(), "")
}
