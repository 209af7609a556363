package kube_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// A tenancy is the truth about an address: a pod had it, from when its network was made until it was taken down.
type tenancy struct {
	pod         string
	from, until time.Time
}

// told is what the API says at a time, by a clock that is right.
type saying struct {
	at    time.Time
	put   *kube.Pod // else the pod is gone
	named string
}

// In a small prefix addresses come back soon. The API tells late, in whole seconds, and of one pod before it does of
// another; still no flow is ever given to a pod that neither had the address then nor within seconds of it.
func TestAddressesOfACluster(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(name string, from, to int) time.Duration {
			return time.Duration(rapid.IntRange(from*1000, to*1000).Draw(t, name)) * time.Millisecond
		}
		reuse := rapid.IntRange(0, 60).Draw(t, "pause before an address is given again")
		var truth []tenancy
		var sayings []saying
		begin := noon
		for i := range rapid.IntRange(1, 8).Draw(t, "pods") {
			created := begin.Add(-seconds("waits for its volume", 0, 20)) // the kubelet has it, but it has no network
			from := begin
			until := from.Add(seconds("lives", 1, 300))
			name := fmt.Sprint("pod-", i)
			if rapid.Bool().Draw(t, "stateful") {
				name = "db-0"
				created = from
			}
			truth = append(truth, tenancy{name, from, until})
			put := func(at time.Time, phase string, networked bool) {
				p := &kube.Pod{}
				p.Metadata.Namespace, p.Metadata.Name, p.Metadata.Created = "shop", name, created.Truncate(time.Second)
				p.Status.Phase, p.Status.StartTime = phase, created.Truncate(time.Second)
				if networked {
					p.Status.PodIPs = []struct{ IP string }{{"fd00::1"}}
					p.Status.Conditions = []kube.Condition{{Type: "PodReadyToStartContainers", Status: "True", LastTransitionTime: from.Truncate(time.Second)}}
				}
				if phase == "Succeeded" {
					var c kube.ContainerStatus
					c.State.Terminated.FinishedAt = until.Truncate(time.Second)
					p.Status.ContainerStatuses = []kube.ContainerStatus{c}
				}
				sayings = append(sayings, saying{at: at, put: p, named: name})
			}
			put(created, "Pending", false)
			seen := from.Add(seconds("status is late", 0, 3))
			if seen.Before(until) {
				put(seen, "Running", true)
			}
			end := until.Add(seconds("its end is told late", 0, 3))
			if rapid.Bool().Draw(t, "stays") && name != "db-0" {
				put(end, "Succeeded", true)
			} else {
				if !seen.Before(until) {
					put(end, "Running", true)
				}
				sayings = append(sayings, saying{at: end.Add(time.Millisecond), named: name})
			}
			begin = until.Add(seconds("free", reuse, reuse+10))
			if name == "db-0" {
				begin = begin.Add(4 * time.Second) // its name is free when it is gone
			}
		}
		slices.SortStableFunc(sayings, func(a, b saying) int { return a.at.Compare(b.at) })
		s := kube.NewStore(kube.Config{}, flow.NewInterner(), nil)
		for _, say := range sayings {
			if say.put == nil {
				s.Delete(say.at, kube.KindPod, "shop", say.named)
			} else if err := s.Put(say.at, say.put); err != nil {
				t.Fatal(err)
			}
		}

		const near = 6 * time.Second
		x := s.Index()
		for at := noon.Add(-time.Minute); at.Before(begin.Add(time.Minute)); at = at.Add(500 * time.Millisecond) {
			who, ok := x.At(addr("fd00::1"), at)
			var had, about []string // the one that had it; those that had it about then, or lately and nobody since
			for i, each := range truth {
				if at.After(each.from.Add(near)) && at.Before(each.until.Add(-near)) {
					had = append(had, each.pod)
				}
				left := each.until.Add(3*time.Minute + near)
				if i+1 < len(truth) && truth[i+1].from.Add(near).Before(left) {
					left = truth[i+1].from.Add(near)
				}
				if at.After(each.from.Add(-near)) && at.Before(left) {
					about = append(about, each.pod)
				}
			}
			switch {
			case len(had) > 0 && (!ok || who.Pod.String() != had[0]):
				t.Fatalf("%s: %q (%t), want %q of %v", at.Format(time.TimeOnly), who.Pod, ok, had[0], truth)
			case ok && !slices.Contains(about, who.Pod.String()):
				t.Fatalf("%s: %q, which did not have it: %v", at.Format(time.TimeOnly), who.Pod, truth)
			}
		}
	})
}
