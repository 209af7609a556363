package live

import (
	"errors"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

var (
	refused   = &url.Error{Op: "Get", URL: "https://[::1]:6443/api/v1/pods", Err: &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}}
	forbidden = apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("not yours"))
	missing   = apierrors.NewNotFound(schema.GroupResource{Group: ciliumGroup, Resource: "ciliumnodes"}, "")
)

func check(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func checkState(t *testing.T, f *follower, want State) {
	t.Helper()
	if got := f.status.feature(); got.State != want {
		t.Errorf("%s is %s (%v), want %s", got.Name, got.State, got.Err, want)
	}
}

func TestFollow(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		api := &fake{objects: []runtime.Object{pod("p1"), pod("p2")}}
		f := r.follow(t, "Pod", api)
		synctest.Wait()
		checkState(t, f, StateOn)
		check(t, "listed", r.pods(), "p1 p2")
		api.tell(watch.Added, pod("p3"))
		api.tell(watch.Deleted, pod("p1"))
		synctest.Wait()
		check(t, "changed", r.pods(), "p2 p3")
		if n := f.status.feature().Objects; n != 2 || api.lists.Load() > 0 {
			t.Errorf("%d objects, %d lists", n, api.lists.Load())
		}
		check(t, "log", r.log.take(), "")
	})
}

// The API server is away for an hour before it is there for the first time, and for another later. It is asked for again
// now and then, that is said once, and what was deleted meanwhile is gone.
func TestOutage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		api := &fake{err: refused, objects: []runtime.Object{pod("p1"), pod("p2")}}
		f := r.follow(t, "Pod", api)
		pass(time.Hour)
		checkState(t, f, StateBroken)
		if api.requests.Load() < 130 || api.requests.Load() > 200 {
			t.Errorf("%d requests in an hour", api.requests.Load())
		}
		check(t, "log", r.log.take(), `"kubernetes watch broke, and is tried again" Pod`)

		api.set(func() { api.err = nil })
		pass(time.Minute)
		checkState(t, f, StateOn)
		check(t, "pods", r.pods(), "p1 p2")
		check(t, "log", r.log.take(), `"kubernetes watches work again"`)

		api.set(func() { api.err, api.expired = refused, true })
		api.cut()
		api.tell(watch.Deleted, pod("p1"))
		pass(time.Hour)
		checkState(t, f, StateBroken)
		check(t, "pods that may still be there", r.pods(), "p1 p2")
		api.set(func() { api.err = nil })
		pass(time.Minute)
		checkState(t, f, StateOn)
		check(t, "pods", r.pods(), "p2")
		if api.lists.Load() > 0 {
			t.Errorf("%d lists that were not streamed", api.lists.Load())
		}
	})
}

// Where the stream can go on, nothing is listed anew.
func TestResume(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		api := &fake{objects: []runtime.Object{pod("p1")}}
		r.follow(t, "Pod", api)
		pass(time.Minute)
		api.set(func() { api.err = refused })
		api.cut()
		pass(time.Minute)
		api.set(func() { api.err, api.objects = nil, nil }) // a list would tell
		pass(time.Minute)
		check(t, "pods", r.pods(), "p1")
	})
}

// All watches that wait for the API server go on when the first of them has found it.
func TestWake(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		var apis []*fake
		for _, name := range []string{"Pod", "Node", "Service", "Namespace"} {
			apis = append(apis, &fake{err: refused})
			r.follow(t, name, apis[len(apis)-1])
			pass(7 * time.Second)
		}
		pass(time.Hour)
		for _, api := range apis {
			api.set(func() { api.err = nil })
		}
		names := []string{"Pod", "Node", "Service", "Namespace"}
		for !slices.ContainsFunc(names, func(name string) bool { return r.follower(name).status.feature().State == StateOn }) {
			pass(10 * time.Millisecond)
		}
		pass(10 * time.Millisecond)
		for _, name := range names {
			checkState(t, r.follower(name), StateOn)
		}
	})
}

func TestForbidden(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		api := &fake{err: forbidden, objects: []runtime.Object{pod("p1")}}
		f := r.follow(t, "Pod", api)
		pass(time.Second / 2)
		checkState(t, f, StateWaiting) // an API server that starts says so, too
		pass(5 * time.Second)
		checkState(t, f, StateForbidden)
		check(t, "remedy", f.status.feature().Remedy, `add the rule {apiGroups: [""], resources: [pods], verbs: [list, watch]} in the ClusterRole`)
		check(t, "log", r.log.take(), `"kubernetes watch is off" Pod`)
		before := api.requests.Load()
		pass(time.Hour)
		if n := api.requests.Load() - before; n < 25 || n > 35 {
			t.Errorf("%d requests in an hour, want one every 2 minutes", n)
		}
		check(t, "log", r.log.take(), "")

		api.set(func() { api.err = nil })
		pass(3 * time.Minute)
		checkState(t, f, StateOn)
		check(t, "pods", r.pods(), "p1")
		check(t, "log", r.log.take(), `"kubernetes watch works now" Pod`)

		// The permission is taken away: what was told is believed for a while, since a server that restarts may say so, too.
		api.set(func() { api.err = forbidden })
		api.cut()
		pass(10 * time.Second)
		checkState(t, f, StateForbidden)
		check(t, "pods", r.pods(), "p1")
		pass(5 * time.Minute)
		check(t, "pods that nobody tells of", r.pods(), "")
		if r.store.View().Knows["Pod"] {
			t.Error("that there are no pods is taken for known")
		}
		check(t, "log", r.log.take(), `"kubernetes watch is off" Pod`)
		if err := r.follower("Pod").status.feature().Err; !errors.Is(err, forbidden) {
			t.Errorf("err: %v", err)
		}
	})
}

// A server that has not read its rules yet forbids what it permits a moment later.
func TestForbiddenAtStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		api := &fake{err: forbidden}
		f := r.follow(t, "Pod", api)
		pass(2 * time.Second)
		api.set(func() { api.err = nil })
		pass(5 * time.Second)
		checkState(t, f, StateOn)
		check(t, "log", r.log.take(), "")
	})
}

func TestAbsent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		api := &fake{err: missing}
		f := r.follow(t, "CiliumNode", api)
		pass(5 * time.Second)
		checkState(t, f, StateAbsent)
		check(t, "err", f.status.feature().Err.Error(), "the API server has no ciliumnodes.cilium.io")
		api.set(func() { api.err = nil })
		pass(3 * time.Minute)
		checkState(t, f, StateOn)
		check(t, "log", r.log.take(), `"kubernetes watch is off" CiliumNode`+"\n"+`"kubernetes watch works now" CiliumNode`)
	})
}

// A server, or an etcd, that cannot stream lists is no trouble.
func TestPages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		api := &fake{pages: true, objects: []runtime.Object{pod("p1")}}
		f := r.follow(t, "Pod", api)
		synctest.Wait()
		checkState(t, f, StateOn)
		api.tell(watch.Added, pod("p2"))
		synctest.Wait()
		check(t, "pods", r.pods(), "p1 p2")
		check(t, "log", r.log.take(), "")
		if api.lists.Load() != 1 {
			t.Errorf("%d lists", api.lists.Load())
		}
	})
}

// A server that takes requests and says nothing is noticed, and so is one that begins a list and does not end it.
func TestHang(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		api := &fake{hang: true, objects: []runtime.Object{pod("p1")}}
		f := r.follow(t, "Pod", api)
		pass(patience + time.Second)
		checkState(t, f, StateBroken)
		check(t, "err", f.status.feature().Err.Error(), "no answer within 1m30s")
		api.set(func() { api.hang, api.silent = false, true })
		pass(2*patience + time.Minute)
		checkState(t, f, StateOn) // by pages
		check(t, "pods", r.pods(), "p1")
	})
}

// A stream that outlives its time is ended, since the server that should have ended it may be no more.
func TestEndless(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		api := &fake{}
		r.follow(t, "Pod", api)
		pass(time.Hour)
		if api.streams.Load() < 5 || api.streams.Load() > 12 {
			t.Errorf("%d streams in an hour", api.streams.Load())
		}
		checkState(t, r.follower("Pod"), StateOn)
	})
}

// What a stream breaks with is told, but for its expiry; and a server that breaks every one is not asked without pauses.
func TestBreak(t *testing.T) {
	for _, c := range []struct {
		status metav1.Status
		state  State
	}{
		{apierrors.NewInternalError(errors.New("unable to decode")).Status(), StateBroken},
		{apierrors.NewResourceExpired("too old").Status(), StateOn},
	} {
		inBubble(t, func(t *testing.T) {
			r := newRig(nil)
			api := &fake{objects: []runtime.Object{pod("p1")}}
			f := r.follow(t, "Pod", api)
			synctest.Wait()
			api.tell(watch.Error, &c.status)
			synctest.Wait()
			checkState(t, f, c.state)
			pass(5 * time.Second)
			checkState(t, f, StateOn)
			check(t, "pods", r.pods(), "p1")
			for range 600 {
				api.tell(watch.Error, &c.status)
				pass(time.Second)
			}
			if api.requests.Load() > 80 {
				t.Errorf("%s: %d requests in ten minutes", c.status.Reason, api.requests.Load())
			}
		})
	}
}

// A stream that ends before it has said anything is a failure, however often it is opened.
func TestBrief(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		api := &fake{pages: true}
		f := r.follow(t, "Pod", api)
		for range 6000 {
			synctest.Wait()
			api.cut()
			pass(100 * time.Millisecond)
		}
		if api.requests.Load() > 80 {
			t.Errorf("%d requests in ten minutes", api.requests.Load())
		}
		checkState(t, f, StateBroken)
	})
}

// Cilium's endpoints tell of pods only while nothing else does, and single ones only where there are no slices.
func TestEndpoints(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		pods, batches, singles := &fake{err: forbidden}, &fake{err: missing}, &fake{}
		batch, single := r.follow(t, "CiliumEndpointSlice", batches), r.follow(t, "CiliumEndpoint", singles)
		r.follow(t, "Pod", pods)
		pass(time.Second / 2)
		checkState(t, batch, StateIdle)
		checkState(t, single, StateIdle)
		check(t, "why", single.status.feature().Err.Error(), "not needed: pods are watched")
		pass(10 * time.Second)
		checkState(t, batch, StateAbsent)
		checkState(t, single, StateOn)

		batches.set(func() { batches.err = nil })
		pass(3 * time.Minute)
		checkState(t, batch, StateOn)
		checkState(t, single, StateOn) // slices are there, and are not used
		batches.tell(watch.Added, &custom{ObjectMeta: metav1.ObjectMeta{Name: "ces-1"}, version: "cilium.io/v2alpha1", kind: "CiliumEndpointSlice", raw: []byte(`{"metadata":{"name":"ces-1"}}`)})
		synctest.Wait()
		checkState(t, single, StateIdle)

		pods.set(func() { pods.err = nil })
		pass(3 * time.Minute)
		checkState(t, r.follower("Pod"), StateOn)
		checkState(t, batch, StateIdle)
		if batch.status.feature().Objects != 0 {
			t.Error("what is not needed is still there")
		}
	})
}

// An object in which something cannot be read takes only itself away.
func TestReject(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		bad := pod("p2")
		bad.Status.PodIPs = []corev1.PodIP{{IP: "nonsense"}}
		api := &fake{objects: []runtime.Object{pod("p1"), bad}}
		r.follow(t, "Pod", api)
		synctest.Wait()
		check(t, "pods", r.pods(), "p1")
		worse := pod("p1")
		worse.Status.PodIPs = bad.Status.PodIPs
		api.tell(watch.Modified, worse)
		synctest.Wait()
		check(t, "pods", r.pods(), "")
		check(t, "log", r.log.take(), `"kubernetes object left out, as are others like it" Pod`)
	})
}

// A ConfigMap that was looked for and is not there is known to be absent, once all of them were looked for.
func TestConfigMaps(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		r := newRig(nil)
		m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "cilium-config"}}
		m.Data = map[string]string{"enable-ip-masq-agent": "true", "enable-ipv4": "true", "enable-bpf-masquerade": "true", "cluster-name": "blue"}
		config, masq := &fake{objects: []runtime.Object{m}}, &fake{err: refused}
		r.follow(t, "ConfigMap cilium-config", config)
		r.follow(t, "ConfigMap ip-masq-agent", masq)
		doubted := func() bool {
			synctest.Wait()
			c, err := r.store.Cluster()
			if err != nil || c.Name != "blue" {
				t.Errorf("cluster %+v, %v", c, err)
			}
			return strings.Contains(strings.Join(r.store.Doubts(), "\n"), "ip-masq-agent")
		}
		if !doubted() {
			t.Errorf("a ConfigMap that nobody has looked for is taken for absent")
		}
		masq.set(func() { masq.err = nil })
		pass(time.Minute)
		if doubted() {
			t.Errorf("a ConfigMap that is not there is not taken for absent: %v", r.store.Doubts())
		}
		config.tell(watch.Deleted, m)
		synctest.Wait()
		if c, _ := r.store.Cluster(); c.Name != "" {
			t.Errorf("the cluster is still called %s", c.Name)
		}
	})
}
