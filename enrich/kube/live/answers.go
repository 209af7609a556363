package live

import (
	"sync"
	"time"

	"sextant/enrich/kube"
)

// answers are what was asked lately, and what is in the store because of it.
type answers struct {
	cfg     Config
	store   *kube.Store
	queue   chan<- question
	metrics *metrics

	mu    sync.Mutex
	all   map[question]*answer
	held  map[object]int   // how many answers hold an object
	owned map[key]question // pods of this node, with the question for their owner
}

// object is an object of the store.
type object struct {
	kind kube.Kind
	key
}

// An answer ends when its time is up, unless pods of this node pin it.
type answer struct {
	until time.Time
	holds []object
	pins  int
}

func newAnswers(cfg Config, store *kube.Store, queue chan<- question, m *metrics) *answers {
	return &answers{
		cfg: cfg, store: store, queue: queue, metrics: m,
		all: map[question]*answer{}, held: map[object]int{}, owned: map[key]question{},
	}
}

// want lets a question be asked, unless it was lately.
func (a *answers) want(q question) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.wantLocked(time.Now(), q)
}

// wantLocked returns nil when too many questions wait.
func (a *answers) wantLocked(now time.Time, q question) *answer {
	if known := a.all[q]; known != nil && now.Before(known.until) {
		return known
	}
	select {
	case a.queue <- q:
	default:
		a.metrics.lookups.WithLabelValues("dropped").Inc()
		return nil
	}
	known := a.all[q]
	if known == nil {
		a.makeRoomLocked(now)
		known = &answer{}
		a.all[q] = known
		a.metrics.held.Set(float64(len(a.all)))
	}
	known.until = now.Add(unheard)
	return known
}

// take puts what was found into the store. Pods of this node are left out: they are watched.
func (a *answers) take(now time.Time, q question, found []kube.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.all[q]
	if known == nil { // pushed out while it waited, or a probe
		return
	}
	a.releaseLocked(now, known)
	for _, o := range found {
		if pod, ok := o.(*kube.Pod); ok {
			if pod.Spec.NodeName == a.cfg.NodeName {
				continue
			}
			if owner, ok := ownerOf(pod); ok {
				a.wantLocked(now, owner)
			}
		}
		if a.store.Put(now, o) == nil {
			known.holds = append(known.holds, nameOf(o))
			a.held[nameOf(o)]++
		}
	}
	if len(found) > 0 {
		known.until = now.Add(a.cfg.LookupTTL)
	}
}

// sweep forgets the answers whose time is up, and asks anew for those that are pinned.
func (a *answers) sweep(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for q, known := range a.all {
		switch {
		case now.Before(known.until):
		case known.pins > 0:
			a.wantLocked(now, q)
		default:
			a.dropLocked(now, q)
		}
	}
}

// pin holds the answer for the owner of a pod of this node for as long as the pod is there.
func (a *answers) pin(now time.Time, pod key, q question) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.owned[pod] == q {
		return
	}
	a.unpinLocked(pod)
	if known := a.wantLocked(now, q); known != nil {
		known.pins++
		a.owned[pod] = q
	}
}

// unpin lets go of it.
func (a *answers) unpin(pod key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unpinLocked(pod)
}

func (a *answers) unpinLocked(pod key) {
	if q, ok := a.owned[pod]; ok {
		delete(a.owned, pod)
		if known := a.all[q]; known != nil {
			known.pins--
		}
	}
}

// makeRoomLocked drops what would end first, until there is room for one more. The owners of this node's pods stay.
func (a *answers) makeRoomLocked(now time.Time) {
	for len(a.all) >= a.cfg.LookupPods {
		var first *question
		for q, known := range a.all {
			if known.pins == 0 && (first == nil || known.until.Before(a.all[*first].until)) {
				first = &q
			}
		}
		if first == nil {
			return
		}
		a.dropLocked(now, *first)
	}
}

func (a *answers) dropLocked(now time.Time, q question) {
	a.releaseLocked(now, a.all[q])
	delete(a.all, q)
	a.metrics.held.Set(float64(len(a.all)))
}

// releaseLocked takes from the store what no other answer holds.
func (a *answers) releaseLocked(now time.Time, known *answer) {
	for _, o := range known.holds {
		if a.held[o]--; a.held[o] == 0 {
			delete(a.held, o)
			a.store.Delete(now, o.kind, o.namespace, o.name)
		}
	}
	known.holds = nil
}

func nameOf(o kube.Object) object {
	switch o := o.(type) {
	case *kube.Pod:
		return object{o.Kind(), key{o.Metadata.Namespace, o.Metadata.Name}}
	case *kube.ReplicaSet:
		return object{o.Kind(), key{o.Metadata.Namespace, o.Metadata.Name}}
	case *kube.Job:
		return object{o.Kind(), key{o.Metadata.Namespace, o.Metadata.Name}}
	}
	return object{}
}

// ownerOf returns the question for the owner of a pod, where that is needed to know its workload: a label proves the
// Deployment of most pods that have a ReplicaSet.
func ownerOf(pod *kube.Pod) (question, bool) {
	for _, o := range pod.Metadata.Owners {
		if !o.Controller {
			continue
		}
		_, proven := pod.Metadata.Labels["pod-template-hash"]
		if kind := kube.Kind(o.Kind); kind == kube.KindJob || kind == kube.KindReplicaSet && !proven {
			return question{kind: kind, namespace: pod.Metadata.Namespace, name: o.Name}, true
		}
	}
	return question{}, false
}
