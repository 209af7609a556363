package live

import (
	"errors"
	"sync"
	"time"

	"sextant/enrich/kube"
)

// configMaps joins the watches of single ConfigMaps. Once all have listed theirs the store is told that these are all that
// matter, so that it takes one that is not there for absent and not for untold.
type configMaps struct {
	store *kube.Store

	mu    sync.Mutex
	parts []*configMap
}

// configMap keeps what one of the watches tells: one ConfigMap, or none.
type configMap struct {
	maps   *configMaps
	listed bool
	items  map[key]*item
}

func (m *configMaps) part() *configMap {
	c := &configMap{maps: m, items: map[key]*item{}}
	m.parts = append(m.parts, c)
	return c
}

func (c *configMap) replace(at time.Time, all []*item) error {
	c.maps.mu.Lock()
	defer c.maps.mu.Unlock()
	c.items, c.listed = map[key]*item{}, true
	for _, i := range all {
		c.items[i.key()] = i
	}
	return c.maps.tellLocked(at)
}

func (c *configMap) put(at time.Time, i *item) error {
	if i.object == nil {
		c.remove(at, i)
		return nil
	}
	c.maps.mu.Lock()
	defer c.maps.mu.Unlock()
	c.items[i.key()] = i
	return c.maps.store.Put(at, i.object)
}

func (c *configMap) remove(at time.Time, i *item) {
	c.maps.mu.Lock()
	defer c.maps.mu.Unlock()
	delete(c.items, i.key())
	c.maps.store.Delete(at, kube.KindConfigMap, i.namespace, i.name)
}

func (c *configMap) forget(at time.Time) {
	c.maps.mu.Lock()
	defer c.maps.mu.Unlock()
	clear(c.items)
	c.listed = false
	_ = c.maps.tellLocked(at) // of what was taken once, nothing is left out
}

// tellLocked tells the store anew what all watches tell, and whether that is all.
func (m *configMaps) tellLocked(at time.Time) error {
	all := []kube.Object{}
	complete := true
	for _, p := range m.parts {
		complete = complete && p.listed
		for _, i := range p.items {
			all = append(all, i.object)
		}
	}
	if complete {
		return m.store.Replace(at, kube.KindConfigMap, all)
	}
	errs := []error{m.store.Replace(at, kube.KindConfigMap, nil)}
	for _, o := range all {
		errs = append(errs, m.store.Put(at, o))
	}
	return errors.Join(errs...)
}
