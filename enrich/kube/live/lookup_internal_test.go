package live

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// directory answers questions, and remembers them.
type directory struct {
	mu    sync.Mutex
	pods  map[string]*kube.Pod
	owner map[string]string // of a Job, its CronJob
	err   map[kube.Kind]error
	asked []string
}

func (d *directory) named(_ context.Context, kind kube.Kind, namespace, name string) (kube.Object, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if name != probe {
		d.asked = append(d.asked, name)
	}
	if err := d.err[kind]; err != nil {
		return nil, err
	}
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "x"}, name)
	switch kind {
	case kube.KindPod:
		if p, ok := d.pods[name]; ok {
			return p, nil
		}
	case kube.KindJob:
		if cron, ok := d.owner[name]; ok {
			return &kube.Job{Meta: kube.Meta{Metadata: kube.Metadata{Namespace: namespace, Name: name, Owners: []kube.Owner{{Kind: "CronJob", Name: cron, Controller: true}}}}}, nil
		}
	}
	return nil, gone
}

func (d *directory) podsAt(_ context.Context, addr netip.Addr) (found []kube.Object, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !addr.IsUnspecified() {
		d.asked = append(d.asked, addr.String())
	}
	for _, p := range d.pods {
		if p.Status.PodIP == addr.String() {
			found = append(found, p)
		}
	}
	return found, d.err[kube.KindPod]
}

// has gives it a pod of another node, or of this.
func (d *directory) has(name, node, ip string, owners ...kube.Owner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pods[name] = remote(name, node, ip, owners...)
}

// forbids lets it refuse to tell of a kind.
func (d *directory) forbids(kind kube.Kind, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err[kind] = err
}

func remote(name, node, ip string, owners ...kube.Owner) *kube.Pod {
	p := &kube.Pod{Meta: kube.Meta{Metadata: kube.Metadata{Namespace: "a", Name: name, Owners: owners}}}
	p.Spec.NodeName, p.Status.PodIP = node, ip
	return p
}

// lookupRig is the watcher of node n1, whose lookups a directory answers.
type lookupRig struct {
	*rig
	names *flow.Interner
	dir   *directory
}

func newLookupRig(t *testing.T, change func(*Config)) *lookupRig {
	t.Helper()
	r := &lookupRig{
		rig: newRig(func(c *Config) {
			c.Scope, c.NodeName, c.LookupRate = ScopeNode, "n1", 100
			if change != nil {
				change(c)
			}
		}),
		names: flow.NewInterner(),
		dir:   &directory{pods: map[string]*kube.Pod{}, owner: map[string]string{}, err: map[kube.Kind]error{}},
	}
	r.prefixes.tell(object{kube.KindNode, key{"", "n2"}}, []string{"fd00::/64", "10.0.0.0/24"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.lookup.run(ctx, r.dir); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	pass(100 * time.Millisecond)
	return r
}

func (r *lookupRig) unresolved(addr, pod string) {
	var a netip.Addr
	if addr != "" {
		a = netip.MustParseAddr(addr)
	}
	var namespace flow.Name
	if pod != "" {
		namespace = r.names.Name("a")
	}
	r.Unresolved(a, namespace, r.names.Name(pod))
	pass(100 * time.Millisecond)
}

func (r *lookupRig) takeAsked() string {
	r.dir.mu.Lock()
	defer r.dir.mu.Unlock()
	asked := fmt.Sprint(r.dir.asked)
	r.dir.asked = nil
	return asked
}

func TestLookup(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newLookupRig(t, nil)
		r.dir.has("p1", "n2", "fd00::1")
		r.dir.has("p2", "n3", "10.0.0.2")
		r.dir.has("mine", "n1", "fd00::9")
		for range 3 { // what was asked is not asked again
			r.unresolved("fd00::1", "p1")
			r.unresolved("10.0.0.2", "")
			r.unresolved("fd00::3", "")          // nobody's, as yet
			r.unresolved("2001:db8::1", "")      // of the internet
			r.unresolved("fd00::9", "mine")      // which the watch tells
			r.unresolved("2001:db8::2", "other") // unknown
		}
		check(t, "asked", r.takeAsked(), "[p1 10.0.0.2 fd00::3 mine other]")
		check(t, "pods", r.pods(), "p1 p2")
		for _, s := range r.lookup.statuses() {
			if f := s.feature(); f.State != StateOn {
				t.Errorf("%s is %s", f.Name, f.State)
			}
		}

		pass(unheard)
		r.unresolved("fd00::3", "")
		check(t, "asked again", r.takeAsked(), "[fd00::3]")

		pass(r.cfg.LookupTTL)
		check(t, "pods that may be others' by now", r.pods(), "")
		r.unresolved("fd00::1", "p1")
		check(t, "asked again", r.takeAsked(), "[p1]")
		check(t, "pods", r.pods(), "p1")
	})
}

// Whatever flows name, no more is held than was set, and what is pushed out leaves the store.
func TestLookupBound(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newLookupRig(t, func(c *Config) { c.LookupPods = 10 })
		for i := range 100 {
			name := fmt.Sprintf("p%d", i)
			r.dir.has(name, "n2", fmt.Sprintf("fd00::%x", i+1))
			r.unresolved("", name)
		}
		if n := len(r.store.View().Pods); n != 10 {
			t.Errorf("%d pods in the store", n)
		}
		if n := len(r.lookup.answers.all); n > 10 {
			t.Errorf("%d answers", n)
		}
		// A pod that was asked for in two ways is there until both are pushed out.
		r.unresolved("", "p1")
		r.unresolved("fd00::2", "")
		for i := 10; i < 19; i++ {
			r.unresolved("", fmt.Sprintf("p%d", i))
		}
		check(t, "pods", r.pods(), "p1 p10 p11 p12 p13 p14 p15 p16 p17 p18")
		r.unresolved("", "p20")
		check(t, "pods", r.pods(), "p10 p11 p12 p13 p14 p15 p16 p17 p18 p20")
		// Who asks for what is not there pushes out nothing that is.
		for i := range 100 {
			r.unresolved("", fmt.Sprintf("nobody-%d", i))
		}
		check(t, "pods", r.pods(), "p11 p12 p13 p14 p15 p16 p17 p18 p20")
		pass(r.cfg.LookupTTL + time.Minute)
		if len(r.lookup.answers.held) > 0 {
			t.Errorf("held for nobody: %v", r.lookup.answers.held)
		}
	})
}

// When more is asked than may be, the rest is dropped, and asked when it is seen again.
func TestLookupQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newLookupRig(t, func(c *Config) { c.LookupRate, c.LookupPods = 1, 10_000 })
		for i := range 2 * maxQuestions {
			r.Unresolved(netip.Addr{}, r.names.Name("a"), r.names.Name(fmt.Sprintf("p%d", i)))
		}
		if n := len(r.lookup.answers.all); n < maxQuestions || n > maxQuestions+5 {
			t.Errorf("%d questions are held, %d may wait", n, maxQuestions)
		}
		r.takeAsked()
		pass(time.Minute)
		if n := strings.Count(r.takeAsked(), " ") + 1; n < 55 || n > 65 {
			t.Errorf("%d questions a minute, want 60", n)
		}
	})
}

// Each way of asking has a permission of its own. What is forbidden is tried now and then, and holds up nothing else.
func TestLookupForbidden(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newLookupRig(t, nil)
		state := func(name string) (s State) {
			for _, f := range r.Features() {
				if f.Name == name {
					s = f.State
				}
			}
			return s
		}
		r.dir.forbids(kube.KindJob, forbidden)
		r.dir.has("p1", "n2", "fd00::1", kube.Owner{Kind: "Job", Name: "backup-1", Controller: true})
		for i := range 5 {
			r.dir.has(fmt.Sprint(i), "n2", "", kube.Owner{Kind: "Job", Name: fmt.Sprint("backup-", i), Controller: true})
			r.unresolved("", fmt.Sprint(i))
			pass(3 * time.Second)
		}
		if n := strings.Count(r.takeAsked(), "backup"); n > believed {
			t.Errorf("asked %d times for what is forbidden", n)
		}
		r.unresolved("", "p1")
		check(t, "pods", r.pods(), "0 1 2 3 4 p1")
		if s := state("Job by name"); s != StateForbidden {
			t.Errorf("Job by name is %s", s)
		}
		if s := state("Pod by name"); s != StateOn {
			t.Errorf("Pod by name is %s", s)
		}
		r.dir.forbids(kube.KindJob, nil)
		pass(3 * time.Minute)
		if s := state("Job by name"); s != StateOn {
			t.Errorf("Job by name is %s", s)
		}
	})
}

// The owner of this node's pods is known as long as one of them is there.
func TestLookupOwner(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newLookupRig(t, nil)
		r.dir.mu.Lock()
		r.dir.owner["backup-1"] = "backup"
		r.dir.mu.Unlock()
		owned := func(name string) *corev1.Pod {
			p := pod(name)
			p.Spec.NodeName = "n1"
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "backup-1", Controller: new(true)}}
			return p
		}
		api := &fake{objects: []runtime.Object{owned("p1"), owned("p2")}}
		r.follow(t, "Pod", api)
		workloads := func() (all string) {
			for _, p := range r.store.View().Pods {
				all += p.Name + " of " + p.WorkloadKind + " " + p.Workload + " "
			}
			return all
		}
		pass(time.Second)
		check(t, "workloads", workloads(), "p1 of CronJob backup p2 of CronJob backup ")
		check(t, "asked", r.takeAsked(), "[backup-1]")
		api.tell(watch.Deleted, owned("p1"))
		pass(time.Hour)
		check(t, "workloads", workloads(), "p2 of CronJob backup ")
		api.tell(watch.Deleted, owned("p2"))
		pass(time.Hour)
		if n := len(r.lookup.answers.all) + len(r.lookup.answers.owned) + len(r.lookup.answers.held); n > 0 {
			t.Errorf("%d things are held for nobody", n)
		}
	})
}

// What a node's pods are asked for does not touch those that the watch tells.
func TestLookupAndWatch(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newLookupRig(t, nil)
		mine := pod("mine")
		mine.Spec.NodeName = "n1"
		r.dir.has("mine", "n1", "fd00::9")
		r.dir.has("p1", "n2", "fd00::1")
		r.unresolved("", "mine")
		r.unresolved("", "p1")
		api := &fake{objects: []runtime.Object{mine}}
		r.follow(t, "Pod", api)
		synctest.Wait()
		check(t, "pods", r.pods(), "mine p1")
		pass(r.cfg.LookupTTL + time.Minute)
		check(t, "pods", r.pods(), "mine")
	})
}

func TestPrefixes(t *testing.T) {
	p := newPrefixes()
	node := func(n string) object { return object{kube.KindNode, key{"", n}} }
	contains := func(addr string, want bool) {
		t.Helper()
		if got := p.contain(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %t", addr, got)
		}
	}
	contains("fd00::1", true) // as long as nobody tells a prefix, every private address may be a pod's
	contains("2001:db8::1", false)
	p.tell(node("n1"), []string{"2001:db8::/64", "nonsense"})
	p.tell(node("n2"), []string{"2001:db8::/64", "10.0.0.5/24"})
	contains("fd00::1", false)
	contains("2001:db8::1", true)
	contains("10.0.0.9", true)
	p.tell(node("n2"), []string{"10.0.1.0/24"})
	contains("10.0.0.9", false)
	contains("2001:db8::1", true) // n1's still
	p.drop(node("n1"))
	contains("2001:db8::1", false)
	contains("10.0.1.1", true)
}
