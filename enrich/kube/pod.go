package kube

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"sextant/collector/verdict"
)

// pod is a pod, with what decides about it.
type pod struct {
	verdict.Pod
	account string
	ended   bool     // whose addresses may be another's by now
	agent   *command // when it is Cilium's
}

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
		Phase  string
		PodIP  string                `yaml:"podIP"`
		PodIPs []struct{ IP string } `yaml:"podIPs"`
	}
}

func (s *state) takePod(o Pod) error {
	p := pod{
		Pod: verdict.Pod{
			Namespace:   o.Metadata.Namespace,
			Name:        o.Metadata.Name,
			Node:        o.Spec.NodeName,
			HostNetwork: o.Spec.HostNetwork,
			Labels:      o.Metadata.Labels,
		},
		account: o.Spec.Account,
		ended:   o.Status.Phase == "Succeeded" || o.Status.Phase == "Failed",
		agent:   commandOf(o, s.where),
	}
	for i, each := range o.Status.PodIPs {
		ip, err := parseAddr(fmt.Sprintf("status.podIPs[%d].ip", i), each.IP)
		if err != nil {
			return err
		}
		p.IPs = appendNew(p.IPs, ip)
	}
	if len(p.IPs) == 0 && o.Status.PodIP != "" {
		ip, err := parseAddr("status.podIP", o.Status.PodIP)
		if err != nil {
			return err
		}
		p.IPs = []netip.Addr{ip}
	}
	put(s, s.pods, o.called(), p)
	return nil
}

// joinPods returns all pods with the labels of their namespaces. A pod that has ended keeps its addresses in the API, and
// recorded flows may be its own; one that another pod has, too, is taken from it.
func (s *state) joinPods() []verdict.Pod {
	holders := map[netip.Addr]int{}
	for _, told := range s.pods {
		if !told.object.HostNetwork {
			for _, ip := range told.object.IPs {
				holders[ip]++
			}
		}
	}
	var pods []verdict.Pod
	for _, n := range s.pods.names() {
		p := s.pods[n].object
		if p.ended {
			p.IPs = slices.DeleteFunc(slices.Clone(p.IPs), func(ip netip.Addr) bool { return holders[ip] > 1 })
		}
		p.NamespaceLabels = s.namespaceLabels(n.namespace)
		pods = append(pods, p.Pod)
	}
	return pods
}

// namespaceLabels returns the labels of a namespace, the one that the API server gives every namespace among them.
func (s *state) namespaceLabels(namespace string) map[string]string {
	labels := map[string]string{"kubernetes.io/metadata.name": namespace}
	maps.Copy(labels, s.namespaces[name{"", namespace}].object)
	return labels
}

// agents returns the running agents by their nodes.
func (s *state) agents(c config) map[string]command {
	agents := map[string]command{}
	for _, n := range s.pods.names() {
		if p := s.pods[n].object; p.agent != nil && !p.ended && n.namespace == c.namespace {
			agents[p.Node] = *p.agent
		}
	}
	return agents
}
