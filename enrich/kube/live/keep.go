package live

import (
	"errors"
	"time"

	"sextant/enrich/kube"
)

// A keeper puts what a watch tells into the store.
type keeper interface {
	replace(at time.Time, all []*item) error
	put(at time.Time, i *item) error
	remove(at time.Time, i *item)
	forget(at time.Time)
}

func (w *Watcher) newKeeper(r row, maps *configMaps) keeper {
	node := w.cfg.Scope == ScopeNode
	switch {
	case r.keep == keepMap:
		return maps.part()
	case r.keep == keepNothing:
		return passing{w.store}
	case node && r.kind == kube.KindPod:
		return local{&part{store: w.store, kind: r.kind, known: map[key]struct{}{}}, w.lookup.answers}
	case node && (r.kind == kube.KindNode || r.kind == kube.KindCiliumNode):
		return learning{whole{w.store, r.kind}, r.kind, w.prefixes}
	default:
		return whole{w.store, r.kind}
	}
}

// key is the name of an object.
type key struct{ namespace, name string }

func (i *item) key() key { return key{i.namespace, i.name} }

// whole tells all of a kind.
type whole struct {
	store *kube.Store
	kind  kube.Kind
}

func (k whole) replace(at time.Time, all []*item) error {
	return k.store.Replace(at, k.kind, objects(all))
}

func (k whole) put(at time.Time, i *item) error {
	if i.object == nil {
		k.remove(at, i)
		return nil
	}
	return k.store.Put(at, i.object)
}

func (k whole) remove(at time.Time, i *item) { k.store.Delete(at, k.kind, i.namespace, i.name) }

func (k whole) forget(at time.Time) { _ = k.store.Replace(at, k.kind, nil) } // nil is not none: nothing is known any more

// part tells some of a kind, and leaves alone what others tell of it.
type part struct {
	store *kube.Store
	kind  kube.Kind
	known map[key]struct{}
}

func (k *part) replace(at time.Time, all []*item) error {
	gone := k.known
	k.known = make(map[key]struct{}, len(all))
	var errs []error
	for _, i := range all {
		delete(gone, i.key())
		errs = append(errs, k.put(at, i))
	}
	for each := range gone {
		k.store.Delete(at, k.kind, each.namespace, each.name)
	}
	return errors.Join(errs...)
}

func (k *part) put(at time.Time, i *item) error {
	if i.object == nil {
		k.remove(at, i)
		return nil
	}
	k.known[i.key()] = struct{}{}
	return k.store.Put(at, i.object)
}

func (k *part) remove(at time.Time, i *item) {
	delete(k.known, i.key())
	k.store.Delete(at, k.kind, i.namespace, i.name)
}

func (k *part) forget(at time.Time) { _ = k.replace(at, nil) } // nothing is left out

// passing hands events on. What is listed anew is handed on anew: who counts pulls knows an event again.
type passing struct{ store *kube.Store }

func (k passing) replace(at time.Time, all []*item) error {
	var errs []error
	for _, i := range all {
		errs = append(errs, k.put(at, i))
	}
	return errors.Join(errs...)
}

func (k passing) put(at time.Time, i *item) error {
	if i.object == nil {
		return nil
	}
	return k.store.Put(at, i.object)
}

func (passing) remove(time.Time, *item) {}
func (passing) forget(time.Time)        {}
