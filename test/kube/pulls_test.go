package kubetest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"sextant/collector/flow"
	"sextant/enrich/kube"
	"sextant/enrich/kube/pull"
	kubetest "sextant/test/kube"
)

// pulls are what a watcher makes of the events that it is told.
type pulls struct {
	*watching
	tracker *pull.Tracker
	rows    []flow.Pull
}

func watchPulls(t *testing.T, config *rest.Config, change ...func(*settings)) *pulls {
	t.Helper()
	p := &pulls{}
	ready := make(chan struct{}) // events come before watch returns
	p.watching = begin(t, config, append(change, func(s *settings) {
		s.kube.OnEvent = func(at time.Time, e *kube.Event) {
			<-ready
			p.tracker.Add(at, e)
		}
	})...)
	p.tracker = pull.New(pull.Default(), p.Index, p.names, prometheus.NewRegistry())
	close(ready)
	p.synced()
	return p
}

// told are all rows so far, one line for each thing that is told, with how often.
func (p *pulls) told() []string {
	var b flow.Batch
	p.tracker.Flush(&b, false)
	p.rows = append(p.rows, b.Pulls...)
	counts := map[string]uint32{}
	for _, r := range p.rows {
		counts[fmt.Sprintf("%s %s/%s:%s by %s in %s for %s/%s of %s %s", r.Result, r.Registry, r.Repository, r.Tag, r.Node, r.Zone, r.Namespace, r.Pod, r.WorkloadKind, r.Workload)] += r.Count
	}
	var lines []string
	for line, n := range counts {
		lines = append(lines, fmt.Sprintf("%d× %s", n, line))
	}
	slices.Sort(lines)
	return lines
}

func (p *pulls) ids() (ids []flow.UUID) {
	for _, r := range p.rows {
		ids = append(ids, r.ID)
	}
	slices.SortFunc(ids, func(a, b flow.UUID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

// What kubelets say of image pulls becomes rows, each pull one, however often the watcher hears of it.
func TestPulls(t *testing.T) {
	s := kubetest.New(t, kubetest.Options{Args: []string{"--etcd-compaction-interval=500ms"}}) // of events the API server has no cache
	c := s.Client(t)
	ns := c.Namespace(nil, nil)
	c.Node(kubetest.Node{Name: "n1", Zone: "z1"})
	pod := c.Pod(kubetest.Pod{Namespace: ns, Name: "web-1-a", Node: "n1", Owner: c.ReplicaSet(ns, "web-1", c.Deployment(ns, "web"))})
	kubelet := c.Kubelet("n1")
	g := s.Gate(t)
	p := watchPulls(t, g.Through(s.Config(t)))

	line := func(times int, result, image string) string {
		return fmt.Sprintf("%d× %s %s by n1 in z1 for %s/web-1-a of Deployment web", times, result, image, ns)
	}
	kubelet.Says(pod, corev1.EventTypeNormal, "Pulling", `Pulling image "quay.io/shop/web:1.2"`)
	kubelet.Says(pod, corev1.EventTypeNormal, "Pulled", `Successfully pulled image "quay.io/shop/web:1.2" in 2.5s (3.5s including waiting). Image size: 72950530 bytes.`)
	const limited = `Failed to pull image "nginx:1.27": failed to pull and unpack image "docker.io/library/nginx:1.27": failed to copy: httpReadSeeker: failed open: unexpected status code 429 Too Many Requests: toomanyrequests: You have reached your unauthenticated pull rate limit.`
	for range 3 {
		kubelet.Says(pod, corev1.EventTypeNormal, "Pulling", `Pulling image "nginx:1.27"`)
		kubelet.Says(pod, corev1.EventTypeWarning, "Failed", limited)
		kubelet.Says(pod, corev1.EventTypeWarning, "Failed", "Error: ErrImagePull")
		kubelet.Says(pod, corev1.EventTypeNormal, "BackOff", `Back-off pulling image "nginx:1.27"`)
	}
	want := []string{
		line(1, "pulled", "quay.io/shop/web:1.2"),
		line(3, "rate_limited", "docker.io/library/nginx:1.27"),
	}
	wants(t, want, p.told)
	for _, r := range p.rows {
		if r.Result == flow.Pulled && (r.Bytes.N != 72950530 || r.DurationMs.N != 2500 || r.WaitMs.N != 1000) {
			t.Errorf("got %+v bytes in %+v ms and %+v ms", r.Bytes, r.DurationMs, r.WaitMs)
		}
	}

	// After an outage all events are told once more, and are no pulls once more.
	g.Cut()
	list, err := c.CoreV1().Events(ns).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	kubelet.Says(pod, corev1.EventTypeNormal, "Pulled", `Container image "quay.io/shop/web:1.2" already present on machine`)
	eventually(t, func() string { return expired(c.CoreV1().Events(ns).Watch, list.ResourceVersion, true) })
	g.Mend()
	want = append([]string{line(1, "present", "quay.io/shop/web:1.2")}, want...)
	wants(t, want, p.told)
	wants(t, 2, func() float64 { return p.count("watch_lists_total", "Event Failed") })
	if diff := diffOf(want, p.told()); diff != "" {
		t.Error(diff)
	}

	// Of the collectors on the nodes each tells what its own kubelet said.
	elsewhere := watchPulls(t, s.Config(t), onNode("n2"))
	wants(t, want, watchPulls(t, s.Config(t), onNode("n1")).told)
	var b flow.Batch
	elsewhere.tracker.Flush(&b, true)
	if len(b.Pulls) != 0 {
		t.Errorf("another node tells of %v", b.Pulls)
	}

	// Another collector tells the same rows.
	other := watchPulls(t, s.Config(t))
	wants(t, want, other.told)
	if diff := diffOf(p.ids(), other.ids()); diff != "" {
		t.Errorf("two collectors number the pulls differently: %s", diff)
	}
	if ids := p.ids(); len(slices.Compact(ids)) != len(p.rows) {
		t.Errorf("%d rows have %d numbers", len(p.rows), len(ids))
	}
	if strings.Contains(fmt.Sprint(p.told()), "unknown") {
		t.Error("a beginning with a known end is told for itself")
	}
}
