package kube

// who is a pod in words.
type who struct {
	namespace, pod string
	node, zone     string
	workload       owner
	tags           []string
	policies       map[string]string // imagePullPolicy by container
	hostNetwork    bool
	thin           bool // told by Cilium alone
}

func (s *state) who(p *pod) who {
	of := s.namespaces.get(name{"", p.Namespace})
	w := who{
		namespace: p.Namespace, pod: p.Name, node: p.Node,
		workload:    s.workload(p.Namespace, p),
		tags:        s.cfg.tags(described{p.Labels, p.annotations}, described(of)),
		policies:    p.policies,
		hostNetwork: p.HostNetwork,
	}
	w.zone, _ = s.topology(p.Node)
	return w
}
