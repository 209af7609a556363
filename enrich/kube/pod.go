package kube

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"sextant/collector/verdict"
)

// Pod is a core v1 Pod.
type Pod struct {
	Meta `yaml:",inline"`
	Spec struct {
		NodeName       string      `yaml:"nodeName"`
		HostNetwork    bool        `yaml:"hostNetwork"`
		Account        string      `yaml:"serviceAccountName" json:"serviceAccountName"`
		InitContainers []Container `yaml:"initContainers"`
		Containers     []Container
	}
	Status struct {
		Phase      string
		PodIP      string                `yaml:"podIP"`
		PodIPs     []struct{ IP string } `yaml:"podIPs"`
		StartTime  time.Time             `yaml:"startTime"` // when the kubelet took it on, before it had an address
		Conditions []Condition
		// InitContainerStatuses and ContainerStatuses tell when what ended did.
		InitContainerStatuses []ContainerStatus `yaml:"initContainerStatuses"`
		ContainerStatuses     []ContainerStatus `yaml:"containerStatuses"`
	}
}

// Container is a container of a pod. Of all but Cilium's agents only name and policy are read.
type Container struct {
	Name            string
	Command, Args   []string
	ImagePullPolicy string `yaml:"imagePullPolicy"`
}

// Condition is a condition of a pod. Only PodReadyToStartContainers is read.
type Condition struct {
	Type, Status       string
	LastTransitionTime time.Time `yaml:"lastTransitionTime"`
}

// ContainerStatus is how a container ended.
type ContainerStatus struct {
	State struct {
		Terminated struct {
			FinishedAt time.Time `yaml:"finishedAt"`
		}
	}
}

// readyToStart is the condition that a pod has a network and addresses (KEP-3085; PodHasNetwork up to 1.28).
const readyToStart = "PodReadyToStartContainers"

// networked returns when a pod got its addresses, zero where that is not told.
func (o *Pod) networked() time.Time {
	for _, c := range o.Status.Conditions {
		if c.Type == readyToStart && c.Status == "True" {
			return c.LastTransitionTime
		}
	}
	return time.Time{}
}

// finished returns when the last of a pod's containers ended, zero where that is not told.
func (o *Pod) finished() time.Time {
	var last time.Time
	for _, c := range slices.Concat(o.Status.InitContainerStatuses, o.Status.ContainerStatuses) {
		last = lastOf(last, c.State.Terminated.FinishedAt)
	}
	return last
}

func lastOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// pod is a pod, with what decides about it.
type pod struct {
	verdict.Pod
	account     string
	annotations map[string]string // that become tags
	owner       owner
	policies    map[string]string // imagePullPolicy by container
	agent       *command          // when it is Cilium's

	created time.Time
	since   time.Time // when it got its addresses, as well as that is known; zero is since ever
	ended   bool      // whose addresses may be another's by now
	until   time.Time // when it ended, zero where that is not known
}

// takePod takes a pod, and remembers which addresses the one had before that had its name.
func (s *state) takePod(at time.Time, o *Pod) error {
	ips, err := o.addresses()
	if err != nil {
		return err
	}
	p := pod{
		Pod: verdict.Pod{
			Namespace:   s.shared.text(o.Metadata.Namespace),
			Name:        o.Metadata.Name,
			Node:        s.shared.text(o.Spec.NodeName),
			IPs:         ips,
			HostNetwork: o.Spec.HostNetwork,
			Labels:      s.shared.set(o.Metadata.Labels),
		},
		account:     s.shared.text(o.Spec.Account),
		annotations: s.asked(o.Metadata.Annotations),
		owner:       s.ownerOf(o.Metadata),
		policies:    s.pullPolicies(o),
		agent:       commandOf(o, s.where),
		created:     o.Metadata.Created,
		since:       lastOf(o.Status.StartTime, o.networked()),
		ended:       o.Status.Phase == "Succeeded" || o.Status.Phase == "Failed",
	}
	if p.since.IsZero() {
		p.since = p.created
	}
	if p.ended {
		p.until = o.finished()
	}
	n := name{p.Namespace, p.Name}
	if before, ok := s.pods[n]; ok && !at.IsZero() {
		s.succeed(at, &before.object, &p)
	}
	put(s, &s.pods, n, p)
	return nil
}

func (o *Pod) addresses() ([]netip.Addr, error) {
	var ips []netip.Addr
	for i, each := range o.Status.PodIPs {
		ip, err := parseAddr(fmt.Sprintf("status.podIPs[%d].ip", i), each.IP)
		if err != nil {
			return nil, err
		}
		ips = appendNew(ips, ip)
	}
	if len(ips) == 0 && o.Status.PodIP != "" {
		ip, err := parseAddr("status.podIP", o.Status.PodIP)
		if err != nil {
			return nil, err
		}
		ips = []netip.Addr{ip}
	}
	return ips, nil
}

func (s *state) pullPolicies(o *Pod) map[string]string {
	policies := make(map[string]string, len(o.Spec.Containers))
	for _, c := range slices.Concat(o.Spec.InitContainers, o.Spec.Containers) {
		if c.ImagePullPolicy != "" {
			policies[c.Name] = c.ImagePullPolicy
		}
	}
	return s.shared.set(policies)
}

// succeed compares a pod with what was told of it before. The name may be another pod's by now, as those of a StatefulSet
// are, and a pod whose node restarted has other addresses than before.
func (s *state) succeed(at time.Time, before, p *pod) {
	if !before.created.Equal(p.created) {
		until := at
		if !p.created.IsZero() && p.created.Before(at) {
			until = p.created
		}
		s.past.add(at, s.formerPod(before, before.IPs, until))
		return
	}
	if p.ended && p.until.IsZero() {
		p.until = at
		if before.ended {
			p.until = before.until
		}
	}
	gone := slices.DeleteFunc(slices.Clone(before.IPs), func(ip netip.Addr) bool { return slices.Contains(p.IPs, ip) })
	switch {
	case len(gone) < len(before.IPs): // it has still one of them, or both
		p.since = before.since
	case len(before.IPs) > 0 && !p.since.After(before.since):
		p.since = at
	}
	if len(gone) > 0 {
		s.past.add(at, s.formerPod(before, gone, at))
	}
}

// leavePod remembers a pod that is deleted.
func (s *state) leavePod(at time.Time, n name) {
	if told, ok := s.pods[n]; ok && !at.IsZero() {
		s.past.add(at, s.formerPod(&told.object, told.object.IPs, at))
	}
}

func (s *state) formerPod(p *pod, ips []netip.Addr, until time.Time) former {
	if p.ended && !p.until.IsZero() && p.until.Before(until) {
		until = p.until
	}
	return former{who: s.who(p), ips: ips, since: p.since, until: until}
}

// joinPods returns all pods with the labels of their namespaces. A pod that has ended keeps its addresses in the API, and
// recorded flows may be its own; one that another pod has, too, is taken from it.
func (s *state) joinPods() []verdict.Pod {
	holders := make(map[netip.Addr]int, 2*len(s.pods))
	for _, told := range s.pods {
		if !told.object.HostNetwork {
			for _, ip := range told.object.IPs {
				holders[ip]++
			}
		}
	}
	namespaces := map[string]map[string]string{}
	pods := make([]verdict.Pod, 0, len(s.pods))
	for _, n := range s.pods.names() {
		p := s.pods[n].object
		if p.ended {
			p.IPs = slices.DeleteFunc(slices.Clone(p.IPs), func(ip netip.Addr) bool { return holders[ip] > 1 })
		}
		labels := namespaces[n.namespace]
		if labels == nil {
			labels = s.namespaceLabels(n.namespace)
			namespaces[n.namespace] = labels
		}
		p.NamespaceLabels = labels
		pods = append(pods, p.Pod)
	}
	return pods
}

// namespaceLabels returns the labels of a namespace, the one that the API server gives every namespace among them.
func (s *state) namespaceLabels(namespace string) map[string]string {
	labels := map[string]string{"kubernetes.io/metadata.name": namespace}
	maps.Copy(labels, s.namespaces.get(name{"", namespace}).labels)
	return labels
}

// agents returns the running agents by their nodes.
func (s *state) agents(c config) map[string]command {
	var running []name
	for n, told := range s.pods {
		if told.object.agent != nil && !told.object.ended && n.namespace == c.namespace {
			running = append(running, n)
		}
	}
	slices.SortFunc(running, name.compare)
	agents := map[string]command{}
	for _, n := range running {
		agents[s.pods[n].object.Node] = *s.pods[n].object.agent
	}
	return agents
}
