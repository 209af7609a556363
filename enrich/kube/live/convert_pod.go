package live

import (
	corev1 "k8s.io/api/core/v1"

	"sextant/enrich/kube"
)

func podOf(cfg Config) func(*corev1.Pod) (kube.Object, error) {
	return func(p *corev1.Pod) (kube.Object, error) {
		o := &kube.Pod{Meta: cfg.annotated(&p.ObjectMeta)}
		o.Spec.NodeName, o.Spec.HostNetwork, o.Spec.Account = p.Spec.NodeName, p.Spec.HostNetwork, p.Spec.ServiceAccountName
		o.Status.Phase, o.Status.PodIP = string(p.Status.Phase), p.Status.PodIP
		for _, ip := range p.Status.PodIPs {
			o.Status.PodIPs = append(o.Status.PodIPs, struct{ IP string }{ip.IP})
		}
		if p.Status.StartTime != nil {
			o.Status.StartTime = p.Status.StartTime.Time
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReadyToStartContainers || c.Type == "PodHasNetwork" {
				o.Status.Conditions = append(o.Status.Conditions, kube.Condition{Type: string(c.Type), Status: string(c.Status), LastTransitionTime: c.LastTransitionTime.Time})
			}
		}
		commands := p.Labels["k8s-app"] == "cilium" // how agents are run is part of their configuration
		o.Spec.InitContainers, o.Spec.Containers = containersOf(p.Spec.InitContainers, commands), containersOf(p.Spec.Containers, commands)
		o.Status.InitContainerStatuses = endsOf(p.Status.InitContainerStatuses)
		o.Status.ContainerStatuses = endsOf(p.Status.ContainerStatuses)
		return o, nil
	}
}

func containersOf(all []corev1.Container, commands bool) []kube.Container {
	to := make([]kube.Container, len(all))
	for i, c := range all {
		to[i] = kube.Container{Name: c.Name, ImagePullPolicy: string(c.ImagePullPolicy)}
		if commands {
			to[i].Command, to[i].Args = c.Command, c.Args
		}
	}
	return to
}

// endsOf returns when containers ended, of those that did.
func endsOf(all []corev1.ContainerStatus) []kube.ContainerStatus {
	var to []kube.ContainerStatus
	for _, c := range all {
		if end := c.State.Terminated; end != nil {
			var status kube.ContainerStatus
			status.State.Terminated.FinishedAt = end.FinishedAt.Time
			to = append(to, status)
		}
	}
	return to
}
