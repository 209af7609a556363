package live

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// rig is a watcher of which a test runs single watches, against an API server that does what the test says, in a bubble
// of synctest where an hour is nothing.
type rig struct {
	*Watcher
	store *kube.Store
	log   *lines
}

func newRig(change func(*Config)) *rig {
	cfg := Default()
	if change != nil {
		change(&cfg)
	}
	log := &lines{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	store := kube.NewStore(kube.Config{}, flow.NewInterner(), logger)
	return &rig{New(cfg, store, logger, prometheus.NewRegistry()), store, log}
}

// follow runs a watch until the test ends.
func (r *rig) follow(t *testing.T, name string, from source) *follower {
	t.Helper()
	f := r.follower(name)
	ctx, cancel := context.WithCancel(withLog(t.Context(), r.logger))
	done := make(chan struct{})
	go func() { f.run(ctx, from); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

// pods are the names of the pods in the store.
func (r *rig) pods() string {
	var names []string
	for _, p := range r.store.View().Pods {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// lines is what was logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// take returns what was logged since it was called last, of each line the message and the watch.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var short []string
	for line := range strings.Lines(l.text.String()) {
		_, line, _ = strings.Cut(line, "msg=")
		msg := line
		for _, attr := range []string{" after=", " watch=", " text="} {
			msg, _, _ = strings.Cut(msg, attr)
		}
		_, watch, ok := strings.Cut(line, " watch=")
		if ok {
			watch, _, _ = strings.Cut(watch, " ")
			msg += " " + watch
		}
		short = append(short, strings.TrimSpace(msg))
	}
	l.text.Reset()
	return strings.Join(short, "\n")
}

// fake is one resource of an API server.
type fake struct {
	mu      sync.Mutex
	objects []runtime.Object
	err     error // what every request gets
	hang    bool  // every request gets nothing
	silent  bool  // streams open, and then nothing comes
	pages   bool  // lists cannot be streamed
	expired bool  // streams cannot go on where they ended
	open    []*watch.FakeWatcher

	lists, streams, requests atomic.Int32
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// tell sends an event to all who listen, and keeps the resource in step.
func (f *fake) tell(kind watch.EventType, o runtime.Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch kind {
	case watch.Added:
		f.objects = append(f.objects, o)
	case watch.Deleted:
		f.objects = slices.DeleteFunc(f.objects, func(each runtime.Object) bool { return nameIn(each) == nameIn(o) })
	}
	f.open = slices.DeleteFunc(f.open, (*watch.FakeWatcher).IsStopped)
	for _, w := range f.open {
		w.Action(kind, o)
	}
}

// cut ends all streams.
func (f *fake) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.open {
		w.Stop()
	}
	f.open = nil
}

func nameIn(o runtime.Object) string { return o.(metav1.Object).GetName() }

func (f *fake) ask(ctx context.Context) error {
	f.mu.Lock()
	f.requests.Add(1)
	err, hang := f.err, f.hang
	f.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (f *fake) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	if err := f.ask(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists.Add(1)
	list := &metav1.List{ListMeta: metav1.ListMeta{ResourceVersion: "5"}}
	for _, each := range f.objects {
		list.Items = append(list.Items, runtime.RawExtension{Object: each})
	}
	return list, nil
}

func (f *fake) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	if err := f.ask(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	initial := o.SendInitialEvents != nil && *o.SendInitialEvents
	switch {
	case initial && f.pages:
		return nil, apierrors.NewInvalid(schema.GroupKind{}, "", nil)
	case f.expired && o.ResourceVersion != "":
		f.expired = false
		return nil, apierrors.NewResourceExpired("too old")
	}
	f.streams.Add(1)
	w := watch.NewFakeWithChanSize(len(f.objects)+100, false)
	if initial && !f.silent {
		for _, each := range f.objects {
			w.Add(each)
		}
		w.Action(watch.Bookmark, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			ResourceVersion: "5", Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
		}})
	}
	f.open = append(f.open, w)
	return w, nil
}

func pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, ResourceVersion: "6"}}
}

// pass lets time go by, and all that happens in it happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// inBubble runs a test with a fake clock.
func inBubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}
