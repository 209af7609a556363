package inventory

import (
	"cmp"
	"maps"
	"slices"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

type workload struct{ namespace, name, kind string }

func (w workload) compare(other workload) int {
	return cmp.Or(cmp.Compare(w.namespace, other.namespace), cmp.Compare(w.name, other.name), cmp.Compare(w.kind, other.kind))
}

// workloadOf returns whose a pod is. One that nobody made is its own.
func workloadOf(p *kube.ViewPod) workload {
	if p.Workload == "" {
		return workload{p.Namespace, p.Name, "Pod"}
	}
	return workload{p.Namespace, p.Workload, p.WorkloadKind}
}

// addWorkloads adds the workloads that have running pods with addresses of their own: what is on the host's network has its
// node's.
func (s *facts) addWorkloads(rows *rows) {
	pods := map[workload][]*kube.ViewPod{}
	for _, p := range s.pods {
		w := workloadOf(p)
		pods[w] = append(pods[w], p)
	}
	for _, w := range slices.SortedFunc(maps.Keys(pods), workload.compare) {
		for _, f := range families {
			if s.ofPods[f] {
				rows.add(flow.ItemWorkload, func() row { return w.in(f, pods[w]) })
			}
		}
	}
}

func (w workload) in(f flow.Family, pods []*kube.ViewPod) row {
	var lack []string
	for _, p := range pods {
		if len(of(f, p.IPs)) == 0 {
			lack = append(lack, p.Name)
		}
	}
	all := uint64(len(pods))
	r := row{
		family: f, namespace: w.namespace, name: w.name, workloadKind: w.kind,
		has: yesNo(len(lack) == 0), total: known(all), used: known(all - uint64(len(lack))),
	}
	if n := uint64(len(lack)); n > 0 {
		r.find(PodsLackFamily, "%d of %s %s no %s address (%s)", n, number(all, "pod"), verb(n, "has", "have"), label[f], enumerate(lack))
	}
	return r
}
