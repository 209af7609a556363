package live

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"sextant/enrich/kube"
)

var (
	noon  = metav1.Time{Time: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	later = metav1.Time{Time: noon.Add(time.Minute)}
)

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: "a", Name: name, UID: "u-" + "1", Labels: map[string]string{"app": "web"}, CreationTimestamp: noon, DeletionTimestamp: &later,
		Annotations:     map[string]string{"owner": "us", "other": "long"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-1", UID: "u-2", Controller: new(true)}, {Kind: "X", Name: "x"}},
	}
}

// What is converted is what the same object in a dump is decoded to.
func TestConvert(t *testing.T) {
	agent := corev1.Pod{ObjectMeta: named("cilium-1")}
	agent.Labels = map[string]string{"k8s-app": "cilium"}
	agent.Spec.InitContainers = []corev1.Container{{Name: "config", Command: []string{"cilium-dbg", "build-config"}, Args: []string{"--x"}}}
	agent.Spec.Containers = []corev1.Container{{Name: "cilium-agent", Command: []string{"cilium-agent"}, Args: []string{"--enable-ipv6=true"}}}
	cfg := Config{Annotations: []string{"owner", "other", "none"}}
	for _, c := range []struct {
		apiVersion, kind string
		convert          convert
		object           runtime.Object
	}{
		{"v1", "Pod", typed(podOf(cfg)), &corev1.Pod{
			ObjectMeta: named("p"),
			Spec: corev1.PodSpec{
				NodeName: "n1", HostNetwork: true, ServiceAccountName: "sa",
				InitContainers: []corev1.Container{{Name: "i", ImagePullPolicy: corev1.PullAlways}},
				Containers:     []corev1.Container{{Name: "c", ImagePullPolicy: corev1.PullIfNotPresent}},
			},
			Status: corev1.PodStatus{
				Phase: corev1.PodSucceeded, PodIP: "fd00::1", PodIPs: []corev1.PodIP{{IP: "fd00::1"}, {IP: "10.0.0.1"}}, StartTime: &noon,
				Conditions:            []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue, LastTransitionTime: later}},
				InitContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: noon}}}},
				ContainerStatuses:     []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: later}}}},
			},
		}},
		{"v1", "Pod", typed(podOf(cfg)), &agent},
		{"v1", "Node", typed(nodeOf), &corev1.Node{
			ObjectMeta: bare("n1"),
			Spec:       corev1.NodeSpec{PodCIDR: "fd00::/64", PodCIDRs: []string{"fd00::/64", "10.0.0.0/24"}},
			Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "fd01::1"}, {Type: corev1.NodeHostName, Address: "n1"}}},
		}},
		{"v1", "Namespace", typed(namespaceOf(cfg)), &corev1.Namespace{ObjectMeta: named("a")}},
		{"v1", "Service", typed(serviceOf), &corev1.Service{
			ObjectMeta: bare("s"),
			Spec: corev1.ServiceSpec{
				Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": "web"},
				ClusterIP: "fd02::1", ClusterIPs: []string{"fd02::1", "10.96.0.1"}, ExternalIPs: []string{"192.0.2.1"},
				IPFamilies: []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}, IPFamilyPolicy: new(corev1.IPFamilyPolicyRequireDualStack),
				Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30080}, {Protocol: corev1.ProtocolSCTP, Port: 65535}},
			},
			Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "2001:db8::1"}, {Hostname: "x"}}}},
		}},
		{"discovery.k8s.io/v1", "EndpointSlice", typed(endpointSliceOf), &discoveryv1.EndpointSlice{
			ObjectMeta: bare("s-1"), AddressType: discoveryv1.AddressTypeIPv6,
			Endpoints: []discoveryv1.Endpoint{
				{
					Addresses: []string{"fd00::1"}, NodeName: new("n1"), TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "a", Name: "p"},
					Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
				},
				{Addresses: []string{"fd00::2"}},
			},
			Ports: []discoveryv1.EndpointPort{{Name: new("http"), Protocol: new(corev1.ProtocolUDP), Port: new(int32(8080))}, {}},
		}},
		{"apps/v1", "ReplicaSet", typed(replicaSetOf), &metav1.PartialObjectMetadata{ObjectMeta: bare("web-1")}},
		{"batch/v1", "Job", typed(jobOf), &metav1.PartialObjectMetadata{ObjectMeta: bare("job-1")}},
		{"v1", "Event", typed(eventOf(cfg)), &corev1.Event{
			ObjectMeta: bare("e"), Reason: "Pulled", Message: "m", Type: "Normal", Count: 3,
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "a", Name: "p", UID: "u", FieldPath: "spec.containers{c}"},
			Source:         corev1.EventSource{Component: "kubelet", Host: "n1"},
			FirstTimestamp: noon, LastTimestamp: later, EventTime: metav1.MicroTime{Time: noon.Add(time.Microsecond)},
			Series: &corev1.EventSeries{Count: 5, LastObservedTime: metav1.MicroTime(later)},
		}},
		{"v1", "ConfigMap", typed(configMapOf), &corev1.ConfigMap{ObjectMeta: bare("cilium-config"), Data: map[string]string{"enable-ipv6": "true"}}},
		{"networking.k8s.io/v1", "ServiceCIDR", typed(serviceCIDROf), &networkingv1.ServiceCIDR{
			ObjectMeta: bare("kubernetes"), Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"fd02::/112", "10.96.0.0/16"}},
		}},
	} {
		got, err := c.convert(c.object)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(c.object)
		if err != nil {
			t.Fatal(err)
		}
		want, err := kube.Decode(c.apiVersion, c.kind, text)
		if err != nil || want == nil {
			t.Fatalf("%s: decoded to %v, %v", c.kind, want, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateApproxTime(0)); diff != "" {
			t.Errorf("%s: (-decoded +converted)\n%s", c.kind, diff)
		}
	}
}

// bare has no annotations, which are not kept of every kind.
func bare(name string) metav1.ObjectMeta {
	m := named(name)
	m.Annotations = nil
	return m
}

// Annotations that nobody asked for, and commands of pods that are no agents, are left behind.
func TestConvertSmall(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: named("p")}
	pod.Spec.Containers = []corev1.Container{{Name: "c", Command: []string{"sh"}, Args: []string{"-c"}}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c"}}
	o, err := podOf(Config{Annotations: []string{"owner"}})(pod)
	if err != nil {
		t.Fatal(err)
	}
	got := o.(*kube.Pod)
	if diff := cmp.Diff(map[string]string{"owner": "us"}, got.Metadata.Annotations); diff != "" {
		t.Errorf("annotations (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]kube.Container{{Name: "c"}}, got.Spec.Containers); diff != "" {
		t.Errorf("containers (-want +got)\n%s", diff)
	}
	if len(got.Status.Conditions)+len(got.Status.ContainerStatuses) > 0 {
		t.Errorf("kept of the status: %+v", got.Status)
	}
}

// A kubelet that uses the newer API for events names itself elsewhere; with the scope of a node others' events are no matter.
func TestConvertEvent(t *testing.T) {
	e := &corev1.Event{ObjectMeta: named("e"), ReportingController: "kubelet", ReportingInstance: "n1", Count: -1}
	for _, c := range []struct {
		cfg  Config
		want *kube.EventSource
	}{
		{Config{Scope: ScopeCluster, NodeName: "n2"}, &kube.EventSource{Component: "kubelet", Host: "n1"}},
		{Config{Scope: ScopeNode, NodeName: "n1"}, &kube.EventSource{Component: "kubelet", Host: "n1"}},
		{Config{Scope: ScopeNode, NodeName: "n2"}, nil},
	} {
		o, err := eventOf(c.cfg)(e)
		if err != nil {
			t.Fatal(err)
		}
		var got *kube.EventSource
		if o != nil {
			got = &o.(*kube.Event).Source
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v (-want +got)\n%s", c.cfg, diff)
		}
	}
}

// A custom resource goes through the decoder of dumps as it came.
func TestConvertCustom(t *testing.T) {
	const text = `{"apiVersion":"cilium.io/v2","kind":"CiliumNode","metadata":{"name":"n1","resourceVersion":"7"},"spec":{"ipam":{"podCIDRs":["fd00::/64"]}}}`
	c := &custom{}
	if err := json.Unmarshal([]byte(text), c); err != nil {
		t.Fatal(err)
	}
	i, err := newItem(c, typed(customOf))
	if err != nil {
		t.Fatal(err)
	}
	if i.name != "n1" || i.version != "7" {
		t.Errorf("called %q at version %q", i.name, i.version)
	}
	if got := i.object.(*kube.CiliumNode).Spec.IPAM.PodCIDRs; len(got) != 1 || got[0] != "fd00::/64" {
		t.Errorf("pod prefixes %v", got)
	}
	for _, bad := range []string{`{"apiVersion":"v9","kind":"CiliumNode","metadata":{"name":"n1"}}`, `{"metadata":{"name":"n1"}}`, `{"apiVersion":"cilium.io/v2","kind":"CiliumNode","metadata":{"name":"n1"},"spec":5}`} {
		c := &custom{}
		if err := json.Unmarshal([]byte(bad), c); err != nil {
			t.Fatal(err)
		}
		if i, err := newItem(c, typed(customOf)); err == nil || i == nil || i.name != "n1" || i.object != nil {
			t.Errorf("%s: %+v, %v", bad, i, err)
		}
	}
	if _, err := typed(nodeOf)(&corev1.Pod{}); err == nil {
		t.Error("a Pod in place of a Node was taken")
	}
}
