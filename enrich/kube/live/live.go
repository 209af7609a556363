// Package live watches a Kubernetes API server and keeps a [kube.Store] up to date with it.
//
// Each kind has a watch of its own, made of one of client-go's reflectors. What the server sends is made small before
// anything keeps it, also while a list is still coming in, so that there is never a second copy of the cluster: the store's
// is the only one. A watch that lacks a permission or a resource switches off what needs it and nothing else, says so once,
// and comes back by itself.
//
// It refuses to write anything to the cluster, to read Secrets, and to give up: an API server that is away, from the first
// connection on, is asked again for ever. It makes no sense of what it reads; package kube does.
package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// Watcher keeps a store up to date. Its methods are safe for concurrent use.
type Watcher struct {
	cfg     Config
	store   *kube.Store
	logger  *slog.Logger
	metrics *metrics
	watches []*follower
	changes *changes
	outage  *outage

	// Where only the pods of one node are watched:
	lookup   *lookup
	prefixes *prefixes
}

// New returns a watcher that does nothing until it is run. Its metrics are registered at once.
func New(cfg Config, store *kube.Store, logger *slog.Logger, reg prometheus.Registerer) *Watcher {
	w := &Watcher{
		cfg: cfg, store: store, logger: logger,
		metrics: newMetrics(reg),
		changes: newChanges(),
		outage:  newOutage(logger),
	}
	if cfg.Scope == ScopeNode {
		w.prefixes = newPrefixes()
		w.lookup = w.newLookup()
	}
	together := &configMaps{store: store}
	for _, row := range table(cfg) {
		w.watches = append(w.watches, w.newFollower(row, together))
	}
	return w
}

// Run watches until ctx ends, and then returns nil. An error says that there is nothing to connect to, since the
// configuration of the client cannot be used, and names the way out; an API server that does not answer is no error.
func (w *Watcher) Run(ctx context.Context) error {
	c, err := w.connect()
	if err != nil {
		for _, s := range w.statuses() {
			s.unusable(err)
		}
		return err
	}
	defer c.close()
	ctx = withLog(ctx, w.logger)
	var all sync.WaitGroup
	for _, each := range w.watches {
		all.Go(func() { each.run(ctx, c.source(each.row)) })
	}
	if w.lookup != nil {
		all.Go(func() { w.lookup.run(ctx, c) })
	}
	all.Go(func() { w.sayWhenSettled(ctx) })
	all.Wait()
	return nil
}

// Features returns all watches as they are now, in an order that never changes.
func (w *Watcher) Features() []Feature {
	var all []Feature
	for _, s := range w.statuses() {
		all = append(all, s.feature())
	}
	return all
}

func (w *Watcher) statuses() []*status {
	var all []*status
	for _, each := range w.watches {
		all = append(all, each.status)
	}
	if w.lookup != nil {
		all = append(all, w.lookup.statuses()...)
	}
	return all
}

// Synced reports whether all that can be known is in the store: every watch is on, or off for a reason that was stated.
func (w *Watcher) Synced() bool { return w.Ready() == nil }

// Ready returns nil when Synced, and otherwise an error that names what is missing, and each cause once.
func (w *Watcher) Ready() error {
	var causes []string
	missing := map[string][]string{}
	for _, f := range w.Features() {
		var cause string
		switch f.State {
		case StateBroken:
			cause = f.Err.Error()
		case StateWaiting:
			cause = "their first lists have not come yet"
		default:
			continue
		}
		if missing[cause] == nil {
			causes = append(causes, cause)
		}
		missing[cause] = append(missing[cause], f.Name)
	}
	var errs []error
	for _, cause := range causes {
		errs = append(errs, fmt.Errorf("kubernetes: watches of %s: %s", strings.Join(missing[cause], ", "), cause))
	}
	return errors.Join(errs...)
}

// Unresolved asks for a pod that no watch tells of: by its name when that is known, and otherwise by its address. It never
// blocks, and may be called for every flow: what was asked lately is not asked again. Where all pods are watched it does
// nothing.
func (w *Watcher) Unresolved(addr netip.Addr, namespace, pod flow.Name) {
	if w.lookup != nil {
		w.lookup.unresolved(addr, namespace, pod)
	}
}

// sayWhenSettled says once what the watches found.
func (w *Watcher) sayWhenSettled(ctx context.Context) {
	start := time.Now()
	for change := w.changes.after(); w.Ready() != nil; change = w.changes.after() {
		select {
		case <-change:
		case <-ctx.Done():
			return
		}
	}
	var off []string
	attrs := []any{"after", time.Since(start).Round(time.Millisecond)}
	for _, f := range w.Features() {
		switch {
		case f.State.off():
			off = append(off, f.Name)
		case f.Name == "Pod" || f.Name == "Node" || f.Name == "Service":
			attrs = append(attrs, f.Name, f.Objects)
		}
	}
	w.logger.Info("cluster is watched", append(attrs, "off", off)...)
}
