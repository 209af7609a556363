package kube

import "strings"

// owner is who controls an object; zero where nobody does.
type owner struct{ kind, name string }

// ownerOf returns the controller among an object's owners: there is one at most.
func (s *state) ownerOf(m Metadata) owner {
	for _, o := range m.Owners {
		if o.Controller {
			return owner{s.shared.text(o.Kind), s.shared.text(o.Name)}
		}
	}
	return owner{}
}

// workload returns what people call the workload of a pod: its controller, or that one's where the controller is but a
// means, as a ReplicaSet is to a Deployment and a Job to a CronJob.
//
// Where such an object is not known, the pod's label may still prove what made it, as Cilium takes it to
// (pkg/k8s/utils/workload.go); unlike Cilium nobody here guesses by a name that ends in digits. A static pod belongs to its Node.
func (s *state) workload(namespace string, p *pod) owner {
	of := name{namespace, p.owner.name}
	switch p.owner.kind {
	case "ReplicaSet":
		if rs, ok := s.replicaSets[of]; ok {
			return or(rs.object, p.owner)
		}
		if of, made := strings.CutSuffix(p.owner.name, "-"+p.Labels["pod-template-hash"]); made && p.Labels["pod-template-hash"] != "" {
			return owner{"Deployment", of}
		}
	case "Job":
		return or(s.jobs.get(of), p.owner)
	case "ReplicationController": // of OpenShift
		if config := p.Labels["deploymentconfig"]; config != "" {
			return owner{"DeploymentConfig", config}
		}
	}
	return p.owner
}

func or(o, other owner) owner {
	if o.name == "" {
		return other
	}
	return o
}
