package kube

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// Config is what a Store is asked to do.
type Config struct {
	// Labels and Annotations are the keys that become tags, of the pod, or else of its namespace.
	Labels, Annotations []string
	// Cluster is the cluster's name as its flows tell it, in place of the one in cilium-config.
	Cluster string
	// OnEvent is called for every Event that is put; the store keeps none. It may be called concurrently, and must not call
	// the store. The time is zero for an Event of a dump.
	OnEvent func(at time.Time, e *Event)
}

// Store holds the objects of a cluster, whether a dump or a watch told them, and makes of them what others ask for. It is
// safe for concurrent use.
type Store struct {
	cfg     Config
	names   *flow.Interner
	logger  *slog.Logger
	changed chan struct{}

	mu     sync.Mutex
	state  *state
	doubts []string // of the latest Cluster
}

// NewStore returns an empty store, whose names come from the interner.
func NewStore(cfg Config, names *flow.Interner, logger *slog.Logger) *Store {
	return &Store{cfg: cfg, names: names, logger: logger, changed: make(chan struct{}, 1), state: newState(cfg)}
}

// Changed is signalled after any change, once for all of those that happened since it was last received from.
func (s *Store) Changed() <-chan struct{} { return s.changed }

func (s *Store) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Put takes an object that was told at a time, in place of the one that had its name. An error names the object and the
// field, and leaves neither in the store. Who puts must not change the object afterwards.
func (s *Store) Put(at time.Time, o Object) error {
	if e, ok := o.(*Event); ok {
		if s.cfg.OnEvent != nil {
			s.cfg.OnEvent(at, e)
		}
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	return s.state.putAt(at, o)
}

// Delete forgets an object. What it says of addresses stays true of the time before.
func (s *Store) Delete(at time.Time, kind Kind, namespace, of string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	s.state.deleteAt(at, kind, name{namespace, of})
}

// Replace takes all objects of a kind anew: those that are not among them are gone. The errors of objects that were left
// out are joined. Nil, unlike an empty list, says that nothing is known of the kind any more.
//
// All ConfigMaps are those that matter: cilium-config and ip-masq-agent.
func (s *Store) Replace(at time.Time, kind Kind, all []Object) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	return s.state.replaceAt(at, kind, all)
}

// Load takes the objects of files and directories, as LoadState does, over what is there. What was taken before an error
// stays.
func (s *Store) Load(paths ...string) (Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	return s.state.loadAll(paths)
}

// Cluster returns the facts about the cluster for verdicts.
func (s *Store) Cluster() (*verdict.Cluster, error) {
	return s.clusterOf(s.snapshot())
}

// View returns the cluster as plain values.
func (s *Store) View() View { return s.snapshot().view() }

// Index returns an index of who has, and had, which address.
func (s *Store) Index() *Index { return s.snapshot().index(s.names) }

// Doubts says what makes the facts of the latest Cluster less certain, or other, than whoever wrote the latest dump, or set
// the cluster up, may think.
func (s *Store) Doubts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Concat(s.state.report.Doubts, s.doubts)
}

func (s *Store) snapshot() *state {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.snapshot()
}

func (s *Store) clusterOf(snapshot *state) (*verdict.Cluster, error) {
	cluster, err := snapshot.cluster()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubts = snapshot.report.Doubts
	return cluster, err
}
