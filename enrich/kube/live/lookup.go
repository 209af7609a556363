package live

import (
	"context"
	"net/netip"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/flowcontrol"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

const (
	// maxQuestions is how many questions may wait.
	maxQuestions = 1024
	// unheard is how long a question that was answered with nothing, or not at all, is not asked again: pods send before the
	// API server tells their addresses.
	unheard = 30 * time.Second
	// probe is a name that nothing has. Whether it is forbidden to ask for it, the API server says nevertheless.
	probe = "sextant-asks-whether-it-may"
)

// lookup asks for single pods that no watch tells of, and for owners of pods where these are not watched. What it holds is
// bounded, whatever flows name.
type lookup struct {
	cfg      Config
	metrics  *metrics
	prefixes *prefixes
	ways     map[way]*status
	queue    chan question
	answers  *answers
}

// way is how a question is asked, which is a permission of its own.
type way struct {
	kind      kube.Kind
	byAddress bool
}

// A question is for an object by its name, or for pods by an address.
type question struct {
	kind            kube.Kind
	namespace, name string
	addr            netip.Addr
}

func (q question) way() way { return way{q.kind, q.addr.IsValid()} }

// asker is who answers.
type asker interface {
	// named returns an object by its name.
	named(ctx context.Context, kind kube.Kind, namespace, name string) (kube.Object, error)
	// podsAt returns the pods whose first address this is.
	podsAt(ctx context.Context, addr netip.Addr) ([]kube.Object, error)
}

func (w *Watcher) newLookup() *lookup {
	l := &lookup{
		cfg: w.cfg, metrics: w.metrics, prefixes: w.prefixes,
		ways:  map[way]*status{},
		queue: make(chan question, maxQuestions),
	}
	for _, result := range []string{"found", "missing", "failed", "dropped"} {
		w.metrics.lookups.WithLabelValues(result)
	}
	l.answers = newAnswers(w.cfg, w.store, l.queue, w.metrics)
	add := func(of way, name, serves string, r rule) {
		l.ways[of] = w.newStatus(Feature{Name: name, Kind: of.kind, Serves: serves}, r)
	}
	if w.cfg.Remote == RemoteLookup {
		add(way{kind: kube.KindPod}, "Pod by name", "node and workload of other nodes' pods", rule{resource: "pods", verbs: []string{"get"}})
		add(way{kube.KindPod, true}, "Pod by address", "who is behind an address of another node that Hubble does not name", rule{resource: "pods", verbs: []string{"list"}})
	}
	add(way{kind: kube.KindReplicaSet}, "ReplicaSet by name", "the Deployment of a pod that has no label pod-template-hash", rule{group: "apps", resource: "replicasets", verbs: []string{"get"}})
	add(way{kind: kube.KindJob}, "Job by name", "the CronJob of a pod", rule{group: "batch", resource: "jobs", verbs: []string{"get"}})
	return l
}

// statuses are those of the ways of asking.
func (l *lookup) statuses() []*status {
	var all []*status
	for _, of := range []way{{kind: kube.KindPod}, {kube.KindPod, true}, {kind: kube.KindReplicaSet}, {kind: kube.KindJob}} {
		if s := l.ways[of]; s != nil {
			all = append(all, s)
		}
	}
	return all
}

// unresolved asks for a pod.
func (l *lookup) unresolved(addr netip.Addr, namespace, pod flow.Name) {
	switch {
	case l.cfg.Remote != RemoteLookup:
	case !pod.IsZero() && !namespace.IsZero():
		l.answers.want(question{kind: kube.KindPod, namespace: namespace.String(), name: pod.String()})
	case addr.IsValid() && l.prefixes.contain(addr):
		l.answers.want(question{kind: kube.KindPod, addr: addr})
	}
}

// run asks until ctx ends.
func (l *lookup) run(ctx context.Context, from asker) {
	limit := flowcontrol.NewTokenBucketRateLimiter(float32(l.cfg.LookupRate), max(1, int(l.cfg.LookupRate)))
	after := map[way]time.Time{} // before which asking that way is no use
	ask := func(q question) {
		s := l.ways[q.way()]
		if now := time.Now(); now.Before(after[q.way()]) {
			l.metrics.lookups.WithLabelValues("failed").Inc()
			return
		}
		if limit.Wait(ctx) != nil {
			return
		}
		found, err := l.ask(ctx, from, q)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.metrics.lookups.WithLabelValues("failed").Inc()
			s.fails(err)
			wait, _ := s.paused()
			after[q.way()] = time.Now().Add(wait)
			return
		case len(found) == 0:
			l.metrics.lookups.WithLabelValues("missing").Inc()
		default:
			l.metrics.lookups.WithLabelValues("found").Inc()
		}
		s.works()
		l.answers.take(time.Now(), q, found)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for of, s := range l.ways {
			if s.feature().State != StateOn && !time.Now().Before(after[of]) {
				ask(of.probe())
			}
		}
		select {
		case q := <-l.queue:
			ask(q)
		case <-tick.C:
			l.answers.sweep(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// probe is a question that nothing answers.
func (w way) probe() question {
	if w.byAddress {
		return question{kind: w.kind, addr: netip.IPv6Unspecified()}
	}
	return question{kind: w.kind, namespace: "default", name: probe}
}

// ask asks one question. What is not there is no error.
func (l *lookup) ask(ctx context.Context, from asker, q question) ([]kube.Object, error) {
	asked, cancel := context.WithTimeoutCause(ctx, patience, errNoAnswer)
	defer cancel()
	if q.addr.IsValid() {
		found, err := from.podsAt(asked, q.addr)
		return found, caused(asked, err)
	}
	found, err := from.named(asked, q.kind, q.namespace, q.name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, caused(asked, err)
	}
	return []kube.Object{found}, nil
}
