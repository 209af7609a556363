// Package bucket counts what a cluster uses of services that limit how much one address, or one prefix of addresses, may use
// them: who is about to be cut off, and whose doing that is.
//
// A catalogue says what is limited: hosts, how many of what in which window, and the length of the prefix that the service
// counts by in each family. A use is a connection to such a host, an HTTP request where requests can be seen, or an image
// pull that an event tells of. It is told as a charge, once for each limit of the host, and added to the bucket of what the
// outside sees of its source: the address as the verdict knows it, behind it a pool that the settings name, masked as the
// service masks it. Where that address is not known, all of a family is taken for one, and the bucket is said to be assumed.
//
// # What counts
//
// Connections that were answered, or of which nobody knows, as answers to a node's own do not always show. What got no
// answer or was dropped reached nobody, and what was refused made no request: it counts where the service counts
// connections. Where requests of a connection can be seen they count, and not the connection. What a node itself did shows
// twice, as its connections and as the pulls of events: of a service, a node and a window the larger number counts, never
// both. A connection whose name nobody knows, as a node's own, is taken for one to the service that others are known to
// reach at the same address and port.
//
// # Limits
//
// A connection may carry no use or many. What a container runtime does for one pull is not known; nor are mirrors but those
// of the settings. The window slides in steps (Grain), and what was used before the first flow was seen is not known
// (seen_seconds). What goes through a proxy goes to the proxy's name. Buckets that had to be let go of for want of memory begin anew, which is counted and told (lower_bound).
//
// It refuses to ask anybody: what services themselves say comes in by Probed. It stores nothing.
package bucket

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
)

// Stage appends charges to batches, and now and then the buckets that they fill. It is safe for concurrent use.
type Stage struct {
	// Set before the first batch:
	Live   bool        // flows come as time goes by: none is from the future
	Events func() bool // whether events tell of all pulls; nil: they do not

	cfg       Config
	catalogue *Catalogue
	mirrors   map[string]string
	pools     pools
	names     *flow.Interner
	services  map[*limit]flow.Name
	units     map[*limit]flow.Name
	metrics   *metrics
	facts     atomic.Pointer[Facts]
	clock     clock

	mu    sync.Mutex
	known [1 << 12]match // by name
	lessons
	seen    recent[ends, time.Time] // connections whose requests can be seen: when the last one was
	trial   bool                    // charges are told, and not counted
	told    map[asked]Told
	cluster flow.Name
	held    table
	last    time.Time // when buckets were told
	at      moment    // … and of what time
}

// New returns a stage that has seen nothing yet. The configuration must be valid.
func New(cfg Config, catalogue *Catalogue, names *flow.Interner, registry prometheus.Registerer) *Stage {
	s := &Stage{
		cfg: cfg, catalogue: catalogue, names: names,
		services: map[*limit]flow.Name{}, units: map[*limit]flow.Name{}, told: map[asked]Told{},
		lessons: lessons{sockets: recent[socket, *target]{limit: 1 << 13}}, seen: recent[ends, time.Time]{limit: 1 << 14},
	}
	s.mirrors, _ = parseMirrors(cfg.Mirrors) // Validate has seen them
	s.pools, _ = parsePools(cfg.Pools)
	for _, l := range catalogue.limits {
		s.services[l], s.units[l] = names.Name(l.Name), names.Name(l.Unit)
	}
	s.metrics = newMetrics(registry, s.stats)
	s.held = newTable(cfg.MemoryMB<<20, s.metrics.evicted)
	return s
}

// SetFacts gives what is known of the cluster from now on; nil is nothing.
func (s *Stage) SetFacts(f *Facts) { s.facts.Store(f) }

// Process charges what is finished in a batch: HTTP answers, and connections that were told early. For others it costs
// nothing but a look.
func (s *Stage) Process(b *flow.Batch) {
	if n := len(b.Records); n > 0 {
		s.clock.see(s, b.Records[0].Time)
		s.clock.see(s, b.Records[n-1].Time)
	}
	first := firstAnswer(b.Records)
	if first < 0 && len(b.Connections) == 0 && len(b.Pulls) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if first >= 0 {
		s.requestsLocked(b, first)
	}
	s.takeLocked(b)
}

// Flush charges the connections and pulls that earlier stages appended to the batch, and appends the buckets when they are
// due: those that have changed, those that were told long ago, and in the end all.
func (s *Stage) Flush(b *flow.Batch, end bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeLocked(b)
	wall := time.Now()
	if !end && (s.clock.newest.Load() == 0 || wall.Sub(s.last) < s.cfg.Every) {
		return
	}
	s.last = wall
	s.tellLocked(b, s.now(wall, end), wall, end)
}

// Held appends what Flush would charge for the connections that earlier stages appended to the batch. Nothing of it is
// counted or learnt: these connections come again, under the same identifiers.
func (s *Stage) Held(b *flow.Batch) {
	if len(b.Connections) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.lessons
	s.lessons, s.trial = before.copy(), true
	s.connectionsLocked(b)
	s.lessons, s.trial = before, false
}

func (s *Stage) takeLocked(b *flow.Batch) {
	for i := range b.Connections {
		s.clock.see(s, b.Connections[i].First)
		s.clock.see(s, b.Connections[i].Last)
	}
	s.connectionsLocked(b)
	for i := range b.Pulls {
		s.pullLocked(b, &b.Pulls[i])
	}
}

func (s *Stage) connectionsLocked(b *flow.Batch) {
	for i := range b.Connections {
		s.learnLocked(b, &b.Connections[i])
	}
	for i := range b.Connections {
		s.connectionLocked(b, &b.Connections[i])
	}
}

// clock is the time of what was seen.
type clock struct {
	first, newest atomic.Int64 // in nanoseconds; 0 before anything was seen
	heard         atomic.Int64 // when the newest came, in our time
}

// ahead is how far a node's clock may be ahead of ours before it is not believed.
const ahead = time.Minute

// see notes the time of something that flows showed.
func (c *clock) see(s *Stage, t time.Time) {
	if !c.hear(s, t) {
		return
	}
	if at, first := t.UnixNano(), c.first.Load(); first == 0 || at < first {
		c.first.Store(at)
	}
}

// hear notes a time that was told, and reports whether it can be. What is told may be from before anybody watched.
func (c *clock) hear(s *Stage, t time.Time) bool {
	at := t.UnixNano()
	if t.IsZero() || at <= 0 {
		return false
	}
	if newest := c.newest.Load(); at > newest {
		wall := time.Now()
		if s.Live && t.Sub(wall) > ahead {
			return false
		}
		c.newest.Store(at)
		c.heard.Store(wall.UnixNano())
	}
	return true
}

// now is the end of the window: the time of the newest flow, and what has passed since. In the end nothing has: a replay
// tells the same of the same flows. It never goes back.
func (s *Stage) now(wall time.Time, end bool) moment {
	newest := s.clock.newest.Load()
	if newest == 0 {
		newest = wall.UnixNano()
	} else if !end && s.Live {
		newest += max(0, wall.UnixNano()-s.clock.heard.Load())
	}
	s.at = max(s.at, momentOf(time.Unix(0, newest)))
	return s.at
}

// stats are numbers about the stage itself.
func (s *Stage) stats() (buckets, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held.buckets), s.held.bytes
}

// recent remembers what was put in last, at least as many as half its limit.
type recent[K comparable, V any] struct {
	young, old map[K]V
	limit      int
}

func (r *recent[K, V]) get(k K) (v V, ok bool) {
	if v, ok = r.young[k]; !ok {
		v, ok = r.old[k]
	}
	return v, ok
}

func (r *recent[K, V]) put(k K, v V) {
	if r.young == nil {
		r.young = map[K]V{}
	}
	if _, ok := r.young[k]; !ok && len(r.young) >= r.limit/2 {
		r.young, r.old = map[K]V{}, r.young
	}
	r.young[k] = v
}
