package kube

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"
)

// maxObjects bounds what a dump may hold, and what a store keeps.
const maxObjects = 1 << 20

// state is everything that was taken, before it is put together: of each object what somebody asks for, in values that
// never change once they are in a table.
type state struct {
	cfg     Config
	report  Report
	paths   int    // read so far
	path    int    // which of them is being read; 0 for what a watch told
	where   string // the object's place, for errors and doubts
	objects int    // of dumps, those that were not taken among them

	tables
	past   past
	known  map[Kind]bool // kinds of which a dump told something, or a watch everything
	whole  map[Kind]bool // kinds of which a watch told everything
	shared shared
}

// tables are the objects by their kinds.
type tables struct {
	pods        table[pod]
	nodes       table[node]
	ciliumNodes table[node]
	namespaces  table[namespace]
	services    table[service]
	slices      table[slice]
	replicaSets table[owner] // whose they are
	jobs        table[owner]
	endpoints   table[endpoint]
	batches     table[[]endpoint]
	identities  table[string]            // their namespaces
	configMaps  table[map[string]string] // of the two that matter; of others only that they are there
	nodeConfigs table[nodeConfig]
	policies    table[egressPolicy]
	pools       table[ipPool]
	cidrs       table[[]netip.Prefix] // of ServiceCIDRs
}

func newState(cfg Config) *state {
	return &state{cfg: cfg, report: newReport(), known: map[Kind]bool{}, whole: map[Kind]bool{}}
}

// of returns the table of a kind, nil where nothing of it is kept.
func (t *tables) of(kind Kind) anyTable {
	switch kind {
	case KindPod:
		return t.pods
	case KindNode:
		return t.nodes
	case KindCiliumNode:
		return t.ciliumNodes
	case KindNamespace:
		return t.namespaces
	case KindService:
		return t.services
	case KindEndpointSlice:
		return t.slices
	case KindReplicaSet:
		return t.replicaSets
	case KindJob:
		return t.jobs
	case KindEndpoint:
		return t.endpoints
	case KindEndpointBatch:
		return t.batches
	case KindIdentity:
		return t.identities
	case KindConfigMap:
		return t.configMaps
	case KindNodeConfig:
		return t.nodeConfigs
	case KindEgressPolicy:
		return t.policies
	case KindPodIPPool:
		return t.pools
	case KindServiceCIDR:
		return t.cidrs
	}
	return nil
}

// stored are the kinds that are kept.
var stored = []Kind{
	KindPod, KindNode, KindCiliumNode, KindNamespace, KindService, KindEndpointSlice, KindReplicaSet, KindJob, KindEndpoint,
	KindEndpointBatch, KindIdentity, KindConfigMap, KindNodeConfig, KindEgressPolicy, KindPodIPPool, KindServiceCIDR,
}

// len returns how many objects there are.
func (t *tables) len() int {
	n := 0
	for _, kind := range stored {
		n += t.of(kind).len()
	}
	return n
}

func (t *tables) clone() tables {
	return tables{
		pods:        maps.Clone(t.pods),
		nodes:       maps.Clone(t.nodes),
		ciliumNodes: maps.Clone(t.ciliumNodes),
		namespaces:  maps.Clone(t.namespaces),
		services:    maps.Clone(t.services),
		slices:      maps.Clone(t.slices),
		replicaSets: maps.Clone(t.replicaSets),
		jobs:        maps.Clone(t.jobs),
		endpoints:   maps.Clone(t.endpoints),
		batches:     maps.Clone(t.batches),
		identities:  maps.Clone(t.identities),
		configMaps:  maps.Clone(t.configMaps),
		nodeConfigs: maps.Clone(t.nodeConfigs),
		policies:    maps.Clone(t.policies),
		pools:       maps.Clone(t.pools),
		cidrs:       maps.Clone(t.cidrs),
	}
}

// snapshot returns what is there now, to be put together at leisure.
func (s *state) snapshot() *state {
	return &state{cfg: s.cfg, report: newReport(), tables: s.tables.clone(), past: s.past.clone(), known: maps.Clone(s.known), whole: maps.Clone(s.whole)}
}

// A told object is what was taken of it, and where it stood.
type told[T any] struct {
	object T
	path   int    // which of the paths, 0 for what a watch told
	where  string // file and place in it, or kind and name
}

// A table holds the objects of a kind. Their number makes pointers worth it: a table is copied for each look at it.
type table[T any] map[name]*told[T]

// anyTable is a table of whatever kind.
type anyTable interface {
	len() int
	has(name) bool
	all() []name
	remove(name)
}

func (t table[T]) len() int        { return len(t) }
func (t table[T]) has(n name) bool { _, ok := t[n]; return ok }
func (t table[T]) remove(n name)   { delete(t, n) }

func (t table[T]) all() []name { return slices.Collect(maps.Keys(t)) }

// get returns what was taken of an object, zero where there is none.
func (t table[T]) get(n name) T {
	if told := t[n]; told != nil {
		return told.object
	}
	var zero T
	return zero
}

func (t table[T]) names() []name { return slices.SortedFunc(maps.Keys(t), name.compare) }

// put keeps an object, in place of what was told before of one with its name.
func put[T any](s *state, into *table[T], of name, object T) {
	if *into == nil {
		*into = table[T]{}
	}
	if before, ok := (*into)[of]; ok && s.path > 0 && before.path == s.path && !reflect.DeepEqual(before.object, object) {
		s.doubt("%s: differs from %s, and is used", s.where, before.where)
	}
	(*into)[of] = &told[T]{object, s.path, s.where}
}

// take keeps what matters of an object that was told at a time, or, at the zero time, stands in a dump.
func (s *state) take(at time.Time, o Object) error {
	kind := o.Kind()
	if t := s.of(kind); t != nil && !t.has(o.called()) && s.len() >= maxObjects {
		return fmt.Errorf("more than %d objects", maxObjects)
	}
	if s.path > 0 {
		s.known[kind] = true
	}
	switch o := o.(type) {
	case *Pod:
		return s.takePod(at, o)
	case *Node:
		return s.takeNode(o)
	case *Namespace:
		return s.takeNamespace(o)
	case *Service:
		return s.takeService(o)
	case *EndpointSlice:
		return s.takeSlice(o)
	case *ReplicaSet:
		put(s, &s.replicaSets, o.called(), s.ownerOf(o.Metadata))
	case *Job:
		put(s, &s.jobs, o.called(), s.ownerOf(o.Metadata))
	case *Event:
		if s.cfg.OnEvent != nil {
			s.cfg.OnEvent(at, o)
		}
	case *ConfigMap:
		s.takeConfigMap(o)
	case *ServiceCIDR:
		return s.takeServiceCIDR(o)
	case *CiliumNode:
		return s.takeCiliumNode(o)
	case *CiliumNodeConfig:
		return s.takeNodeConfig(o)
	case *EgressPolicy:
		return s.takeEgressPolicy(o)
	case *PodIPPool:
		return s.takePool(o)
	case *CiliumEndpoint:
		return s.takeEndpoint(at, o)
	case *CiliumEndpointSlice:
		return s.takeBatch(at, o)
	case *CiliumIdentity:
		s.takeIdentity(o)
	default:
		return fmt.Errorf("%T is not taken", o)
	}
	return nil
}

// putAt takes what a watch told.
func (s *state) putAt(at time.Time, o Object) error {
	n := o.called()
	if n.name == "" {
		return fmt.Errorf("%s: metadata.name is empty", o.Kind())
	}
	s.path, s.where = 0, fmt.Sprintf("%s %s", o.Kind(), n)
	if err := s.take(at, o); err != nil {
		s.deleteAt(at, o.Kind(), n)
		return fmt.Errorf("%s %s: %w", o.Kind(), n, err)
	}
	return nil
}

func (s *state) deleteAt(at time.Time, kind Kind, n name) {
	switch kind {
	case KindPod:
		s.leavePod(at, n)
	case KindEndpoint:
		s.leave(at, s.endpoints.get(n))
	case KindEndpointBatch:
		for _, e := range s.batches.get(n) {
			s.leave(at, e)
		}
	}
	if t := s.of(kind); t != nil {
		t.remove(n)
	}
}

func (s *state) replaceAt(at time.Time, kind Kind, all []Object) error {
	there := make(map[name]bool, len(all))
	for _, o := range all {
		there[o.called()] = true
	}
	if t := s.of(kind); t != nil {
		for _, n := range t.all() {
			if !there[n] {
				s.deleteAt(at, kind, n)
			}
		}
	}
	var errs []error
	for _, o := range all {
		if o.Kind() != kind {
			errs = append(errs, fmt.Errorf("%s %s is none of the kind %s", o.Kind(), o.called(), kind))
			continue
		}
		errs = append(errs, s.putAt(at, o))
	}
	s.known[kind], s.whole[kind] = all != nil, all != nil
	return errors.Join(errs...)
}
