// Package pull makes rows of image pulls out of the kubelet's events about pods.
//
// A row is one attempt at one image: pulled, failed and why, present, or begun without a known end. Events tell of
// attempts in two ways, and each attempt is told once. Its end is an event of its own, and that is the row. Its beginning
// is another, which is kept until the end comes and told when none does. What the kubelet says again afterwards
// (ErrImagePull, ImagePullBackOff, Back-off pulling image) is no attempt.
//
// An event that happens again is the same event with a higher number. Each number is a row of its own, with an identifier
// made of the pod, the event's name and the number, so it does not matter who saw which of the event's states, in which
// order, or how often: collectors that watch the same cluster tell the same rows, and so does one that starts anew. Where
// a number was skipped, the time of its row is estimated.
//
// What a row is not: a request that a registry counts. An attempt asks the registry for the manifest of the tag, with
// imagePullPolicy Always even when the image is there already, and the event is the same "Successfully pulled", with the
// image's size, whether anything was transferred or not. Docker Hub counts requests that GET a manifest and not those that
// ask for its HEAD (docs.docker.com/docker-hub/usage/pulls). containerd asks for the HEAD, and GETs what its content store
// lacks (core/remotes/docker/resolver.go, core/remotes/handlers.go), so that repeated pulls of an image that has not
// changed are not counted. People saw the same of Docker since 20.10 (rpardini/docker-registry-proxy#114). CRI-O GETs the
// manifest each time (containers/image#1078), and is counted. So rows are an upper bound. An image for several platforms
// takes two requests, for the index and the manifest, and counts as one pull. present rows are no request.
//
// A pull that ends later than its end is waited for has two rows, of which the first says that its end is unknown.
//
// It refuses to guess: the policy of the container is not in an event, and a mirror that the runtime is set up with is not
// seen at all, so that the registry is the one of the image's reference. Not told, because there is no event of it: the
// pods' sandbox image, and what is pulled on a node by others than the kubelet.
package pull

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// Bounds of what one event can tell.
const (
	longestRun    = 1024 // occurrences; one a second for a quarter of an hour
	longestName   = 253  // of anything in Kubernetes
	longestDetail = 512
)

// settling is how long a pull is kept until its pod is known: events and pods are watched apart.
const settling = 10 * time.Second

// stormLimit is how many images, nodes and workloads are watched for storms.
const stormLimit = 1 << 15

// Tracker is a stage that turns events into pulls and leaves records alone. It is safe for concurrent use.
type Tracker struct {
	cfg     Config
	index   func() *kube.Index
	names   *flow.Interner
	metrics *metrics

	mu       sync.Mutex
	began    time.Time // when the first event came in
	memory   memory
	attempts attempts
	queue    []waiting
	storms   storms
}

// waiting is a pull that is not told yet.
type waiting struct {
	row   flow.Pull
	heard time.Time
}

// New returns a tracker that knows of no event. It asks the index for pods and nodes when it is flushed, and not while Add
// is called. The configuration must be valid.
func New(cfg Config, index func() *kube.Index, names *flow.Interner, reg prometheus.Registerer) *Tracker {
	t := &Tracker{
		cfg: cfg, index: index, names: names,
		memory:   memory{limit: cfg.Events, told: map[series]told{}},
		attempts: attempts{patience: cfg.Patience, limit: cfg.Events, sites: map[site]*pulls{}},
		storms:   storms{limit: stormLimit, hours: map[Storm]*hour{}},
	}
	t.metrics = newMetrics(reg, func(now time.Time) int { return len(t.Storms(now)) })
	t.memory.forgotten = func(events int) { t.metrics.forgotten.Add(float64(events)) }
	return t
}

// Add takes an event, or a later state of one, that came in at a time. The time is zero for an event of a dump, of which all
// is told; of others nothing is told that was longer than Config.Lookback before the first of them came in. It keeps
// nothing of the event.
func (t *Tracker) Add(at time.Time, e *kube.Event) {
	n := read(e)
	known, dated := spanOf(at, e)
	if !dated && n.step != other {
		n.step = unread
	}
	t.metrics.events.WithLabelValues(stepNames[n.step]).Inc()
	if n.step == other || n.step == unread {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addLocked(at, e, &n, known)
}

func (t *Tracker) addLocked(at time.Time, e *kube.Event, n *notice, known span) {
	if t.began.IsZero() {
		t.began = at
	}
	var start time.Time
	if !at.IsZero() && t.cfg.Lookback > 0 {
		start = t.began.Add(-t.cfg.Lookback)
	}
	s := seriesOf(e)
	tell := run{known.since(start), known.latest.number}
	key := s
	switch {
	case tell.from == 0:
		return
	case n.combined:
		// It quotes the latest, and the others may be anything. So each number is on its own.
		key = series(s.id(tell.to))
		tell.from = tell.to
	case n.step == begun && (at.IsZero() || known.first.time.Before(t.began)):
		// When the others began, and whether their ends are still told, cannot be said.
		tell.from = tell.to
	}
	below, above, before := t.memory.add(key, tell, known.latest.time)
	where := site(digest("site", e.InvolvedObject.UID, e.InvolvedObject.Namespace, e.InvolvedObject.Name, n.image))
	defer t.attempts.refine(where, s, known.latest)
	if below.from == 0 && above.from == 0 {
		t.metrics.repeated.Inc()
		return
	}
	marks := []mark{known.first, known.latest}
	if before.number > 0 {
		marks = append(marks, before)
	}
	row := t.row(e, n)
	for _, r := range []run{below, above} {
		for number := t.bounded(r); number != 0 && number <= r.to; number++ {
			row.ID, row.Time = s.id(number), timeOf(number, marks)
			t.occurredLocked(n.step, where, s, number, marks, waiting{row, at})
			if number == r.to { // which may be the highest there is
				break
			}
		}
	}
}

// bounded returns the first number of a run that is told.
func (t *Tracker) bounded(r run) uint32 {
	if r.from == 0 || r.to-r.from < longestRun {
		return r.from
	}
	from := r.to - longestRun + 1
	t.metrics.lost.WithLabelValues(lostSeries).Add(float64(from - r.from))
	return from
}

// occurredLocked takes one occurrence, of a series of which some times are known.
func (t *Tracker) occurredLocked(what step, where site, s series, number uint32, known []mark, w waiting) {
	before, after := around(number, known)
	switch what {
	case begun:
		if !t.attempts.begin(where, begin{series: s, number: number, from: before.time, heard: w.heard, row: w.row}) {
			t.metrics.lost.WithLabelValues(lostPending).Inc()
		}
		return
	case pulled, failed, held:
		t.attempts.end(where, end{series: s, number: number, until: after.time, heard: w.heard})
	}
	if what != held {
		t.enqueueLocked(w)
	}
}

func (t *Tracker) enqueueLocked(w waiting) {
	if len(t.queue) >= t.cfg.Queue {
		t.metrics.lost.WithLabelValues(lostQueue).Inc()
		return
	}
	t.queue = append(t.queue, w)
}

// row returns what an event says, without time and identifier.
func (t *Tracker) row(e *kube.Event, n *notice) flow.Pull {
	p := flow.Pull{
		Node:      t.names.Name(plain(e.Source.Host, longestName)),
		Namespace: t.names.Name(plain(e.InvolvedObject.Namespace, longestName)),
		Pod:       t.names.Name(plain(e.InvolvedObject.Name, longestName)),
		Container: t.names.Name(plain(container(e.InvolvedObject.FieldPath), longestName)),
		Count:     1,
	}
	detail := ""
	switch n.step {
	case pulled:
		p.Result = flow.Pulled
	case present:
		p.Result = flow.PullPresent
	case failed:
		why := primary(n.why)
		p.Result = classify(n.image, why)
		detail = why
	}
	if ref, err := ParseReference(n.image); err == nil {
		p.Registry, p.Repository = t.names.Name(ref.Registry), t.names.Name(ref.Repository)
		p.Tag, p.Digest = t.names.Name(ref.Tag), t.names.Name(ref.Digest)
	} else {
		detail = strconv.Quote(plain(n.image, longestDetail/2)) + " is no reference: " + detail
	}
	p.Detail = t.names.Name(plain(detail, longestDetail))
	if n.took >= 0 {
		p.DurationMs = flow.Count{N: uint64(n.took.Milliseconds()), Known: true}
	}
	if n.waited >= 0 {
		p.WaitMs = flow.Count{N: uint64(n.waited.Milliseconds()), Known: true}
	}
	if n.bytes > 0 {
		p.Bytes = flow.Count{N: n.bytes, Known: true}
	}
	return p
}

// container returns the name in "spec.containers{name}", and "" where a path is none of a container's.
func container(path string) string {
	kind, name, ok := strings.Cut(strings.TrimSuffix(path, "}"), "{")
	if !ok || !strings.HasSuffix(strings.ToLower(kind), "containers") {
		return ""
	}
	return name
}

// Process implements collector.Stage. It does nothing.
func (t *Tracker) Process(*flow.Batch) {}

// Flush implements collector.Flusher. It tells what has ended and whose pod is known or was waited for, and what has not
// ended in time.
func (t *Tracker) Flush(b *flow.Batch, end bool) {
	now := time.Now()
	t.mu.Lock()
	t.attempts.settle(now, end, func(p flow.Pull) { t.enqueueLocked(waiting{row: p}) })
	queue := t.queue
	t.queue = nil
	t.mu.Unlock()
	if len(queue) == 0 {
		return
	}

	index := t.index() // takes a lock that may be held while Add is called
	first := len(b.Pulls)
	left := queue[:0]
	for _, w := range queue {
		if known := enrich(index, t.names, &w.row); !known && !end && now.Sub(w.heard) < settling {
			left = append(left, w)
			continue
		}
		b.Pulls = append(b.Pulls, w.row)
	}

	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range b.Pulls[first:] {
		if p := &b.Pulls[first+i]; p.Result != flow.PullPresent {
			t.storms.add(p)
		}
	}
	t.queue = append(left, t.queue...) // by a little more than it may have where Add was quick
}

// enrich fills in what is known of the pod and the node, and reports whether the pod is known. The node is the one that
// the event comes from: a pod of the same name may be on another one by now.
func enrich(x *kube.Index, names *flow.Interner, p *flow.Pull) bool {
	who, known := x.Pod(p.Namespace.Get(), p.Pod.Get())
	if p.Node.IsZero() {
		p.Node = who.Node
	}
	if node, ok := x.Node(p.Node); ok {
		p.Zone = node.Zone
	} else if p.Node == who.Node {
		p.Zone = who.Zone
	}
	p.Cluster = x.Cluster()
	p.Policy = names.Name(x.PullPolicy(p.Namespace.Get(), p.Pod.Get(), p.Container.Get()))
	p.Workload, p.WorkloadKind, p.Tags = who.Workload, who.WorkloadKind, who.Tags
	return known
}

// Storms returns what was pulled too often in the hour before a time, most often first: by one node, for one workload, of
// one image, more than Config.Storm times. Of at most 32,768 of these the pulls are counted, and those with the fewest are
// forgotten first.
func (t *Tracker) Storms(now time.Time) []Storm {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.storms.above(t.cfg.Storm, now)
}
