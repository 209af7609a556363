package kubetest_test

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// realistic is pod number i of a cluster, as large as pods are: two containers with environment, probes and resources, and
// what kubelet and the API server add. About 5 KB.
func realistic(namespace string, i int) *corev1.Pod {
	app := fmt.Sprintf("app-%d", i/10)
	rs := fmt.Sprintf("%s-%08x", app, i/10)
	node := fmt.Sprintf("node-%d", i%200)
	started := metav1.Time{Time: time.Unix(1_700_000_000+int64(i), 0)}
	yes := true
	seconds := int64(300)
	grace := int64(30)
	p := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: fmt.Sprintf("%s-%05x", rs, i), GenerateName: rs + "-",
			Labels: map[string]string{
				"app.kubernetes.io/name": app, "app.kubernetes.io/instance": app, "app.kubernetes.io/version": "1.2.3", "app.kubernetes.io/managed-by": "helm",
				"pod-template-hash": fmt.Sprintf("%08x", i/10), "team": fmt.Sprintf("team-%d", i%20),
			},
			Annotations: map[string]string{
				"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z",
				"checksum/config": strings.Repeat(fmt.Sprintf("%04x", i), 16),
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: rs, UID: "11111111-2222-3333-4444-555555555555", Controller: &yes, BlockOwnerDeletion: &yes,
			}},
			ManagedFields: []metav1.ManagedFieldsEntry{{
				Manager: "kube-controller-manager", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &started, FieldsType: "FieldsV1",
				FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{".":{},"f:app.kubernetes.io/name":{}}},"f:spec":{"f:containers":{}}}`),
			}},
		},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "default", DeprecatedServiceAccount: "default", SchedulerName: "default-scheduler",
			RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst, TerminationGracePeriodSeconds: &grace,
			SecurityContext: &corev1.PodSecurityContext{}, EnableServiceLinks: &yes, PreemptionPolicy: new(corev1.PreemptLowerPriority), Priority: new(int32),
			Tolerations: []corev1.Toleration{
				{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
				{Key: "node.kubernetes.io/unreachable", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
			},
			Volumes: []corev1.Volume{{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: app}, DefaultMode: new(int32(0o644)),
			}}}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, QOSClass: corev1.PodQOSBurstable, StartTime: &started,
			HostIP: fmt.Sprintf("2001:db8::%x", i%200+1), HostIPs: []corev1.HostIP{{IP: fmt.Sprintf("2001:db8::%x", i%200+1)}},
			PodIPs: []corev1.PodIP{{IP: realistic6(i).String()}, {IP: realistic4(i).String()}},
		},
	}
	p.Status.PodIP = p.Status.PodIPs[0].IP
	for _, kind := range []corev1.PodConditionType{"PodReadyToStartContainers", corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: started})
	}
	for _, name := range []string{"web", "sidecar"} {
		p.Spec.Containers = append(p.Spec.Containers, container(name, app))
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: name, Ready: true, Started: &yes, Image: "registry.example/" + app + "/" + name + ":1.2.3",
			ImageID:     "registry.example/" + app + "/" + name + "@sha256:" + strings.Repeat("0123456789abcdef", 4),
			ContainerID: "containerd://" + strings.Repeat(fmt.Sprintf("%08x", i), 8),
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}},
		})
	}
	return p
}

func container(name, app string) corev1.Container {
	c := corev1.Container{
		Name: name, Image: "registry.example/" + app + "/" + name + ":1.2.3", ImagePullPolicy: corev1.PullIfNotPresent,
		Args:                   []string{"--config=/etc/" + app + "/config.yaml", "--log-level=info"},
		TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
		Ports:        []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
		VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/" + app, ReadOnly: true}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
		},
		ReadinessProbe: probe("/readyz"), LivenessProbe: probe("/healthz"),
		Env: []corev1.EnvVar{{Name: "POD_IP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "status.podIP"}}}},
	}
	for j := range 18 {
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_%d", j), Value: fmt.Sprintf("http://service-%d.%s.svc.cluster.local:8080/", j, app)})
	}
	return c
}

func probe(path string) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP}},
		PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3,
	}
}

// realistic6 and realistic4 are the addresses of pod number i.
func realistic6(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfd, 0x00, 0x77, 7: byte(i % 200), 14: byte(i >> 8), 15: byte(i)})
}

func realistic4(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 128, byte(i >> 8), byte(i)}) }
