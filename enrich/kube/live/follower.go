package live

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/tools/cache"

	"sextant/enrich/kube"
)

// follower keeps the store up to date with one row of the table. To its reflector it is a store itself, one that keeps
// nothing.
type follower struct {
	row     row
	parent  *Watcher
	feed    *feed
	status  *status
	keeper  keeper
	metrics *metrics
}

func (w *Watcher) newFollower(r row, maps *configMaps) *follower {
	s := w.newStatus(Feature{Name: r.name, Kind: r.kind, Serves: r.serves}, r.rule())
	for _, zero := range []*prometheus.CounterVec{w.metrics.events, w.metrics.lists, w.metrics.opened, w.metrics.rejected} {
		zero.WithLabelValues(r.name)
	}
	return &follower{
		row: r, parent: w, status: s, metrics: w.metrics,
		keeper: w.newKeeper(r, maps),
		feed:   &feed{row: r, status: s, metrics: w.metrics, logger: w.logger},
	}
}

func (w *Watcher) newStatus(f Feature, r rule) *status {
	f.State, f.Since = StateWaiting, time.Now()
	w.metrics.up.WithLabelValues(f.Name).Set(0)
	w.metrics.objects.WithLabelValues(f.Name).Set(0)
	return &status{
		f: f, rule: r, logger: w.logger, outage: w.outage, metrics: w.metrics, changed: w.changes.tell,
		recheck: w.cfg.Recheck, maxWait: w.cfg.MaxWait,
	}
}

// run watches, whenever that is needed, until ctx ends.
func (w *follower) run(ctx context.Context, from source) {
	w.feed.source = from
	for w.untilNeeded(ctx) {
		w.follow(ctx)
	}
}

func (w *follower) needed() (bool, string) {
	if w.row.needed == nil {
		return true, ""
	}
	return w.row.needed(w.parent)
}

// untilNeeded returns true when the watch is needed, and false when ctx has ended.
func (w *follower) untilNeeded(ctx context.Context) bool {
	for ctx.Err() == nil {
		change := w.parent.changes.after()
		needed, why := w.needed()
		if needed {
			return true
		}
		w.status.idles(why)
		select {
		case <-change:
		case <-ctx.Done():
		}
	}
	return false
}

// whileNeeded ends the returned context when the watch is not needed any more.
func (w *follower) whileNeeded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if w.row.needed == nil {
		return ctx, cancel
	}
	go func() {
		defer cancel()
		for {
			change := w.parent.changes.after()
			if needed, _ := w.needed(); !needed {
				return
			}
			select {
			case <-change:
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, cancel
}

// follow watches as long as that is needed.
func (w *follower) follow(parent context.Context) {
	ctx, cancel := w.whileNeeded(parent)
	defer cancel()
	w.status.waits()
	r := cache.NewReflectorWithOptions(w.feed.listWatch(), nil, w, cache.ReflectorOptions{Name: w.row.name, TypeDescription: w.row.rule().full()})
	r.WatchListPageSize = page
	for ctx.Err() == nil {
		_ = r.ListAndWatchWithContext(ctx) // the feed knows of every error, and of those that do not come out here
		w.status.atLeast(time.Second)
		if w.status.gone() {
			w.forget()
		}
	}
	if parent.Err() == nil {
		w.forget()
	}
}

// forget takes back what the watch told, since nobody tells any more whether it is still true.
func (w *follower) forget() {
	if !w.feed.synced.Swap(false) {
		return
	}
	w.keeper.forget(time.Now())
	w.status.counts(func(int) int { return 0 })
}

// Add implements cache.ReflectorStore, as do the following.
func (w *follower) Add(o any) error {
	if i, ok := o.(*item); ok && i.object != nil {
		w.status.counts(func(n int) int { return n + 1 })
	}
	return w.Update(o)
}

func (w *follower) Update(o any) error {
	if i, ok := o.(*item); ok {
		w.feed.reject(w.keeper.put(time.Now(), i))
	}
	return nil
}

func (w *follower) Delete(o any) error {
	if i, ok := o.(*item); ok {
		w.keeper.remove(time.Now(), i)
		if i.object != nil && w.row.keep != keepNothing {
			w.status.counts(func(n int) int { return max(n-1, 0) })
		}
	}
	return nil
}

// Replace takes a whole list.
func (w *follower) Replace(list []any, _ string) error {
	items := make([]*item, 0, len(list))
	for _, o := range list {
		if i, ok := o.(*item); ok && i.object != nil {
			items = append(items, i)
		}
	}
	w.metrics.lists.WithLabelValues(w.row.name).Inc()
	w.feed.reject(w.keeper.replace(time.Now(), items))
	w.feed.synced.Store(true)
	w.status.counts(func(n int) int {
		if w.row.keep == keepNothing {
			return n + len(items)
		}
		return len(items)
	})
	if w.feed.streams.Load() {
		w.status.works()
	}
	return nil
}

// Resync has nothing to do: it is for stores that forget.
func (w *follower) Resync() error { return nil }

var _ cache.ReflectorStore = (*follower)(nil)

// objects are those of items; none, but not nil, when there are none.
func objects(items []*item) []kube.Object {
	all := make([]kube.Object, len(items))
	for i, each := range items {
		all[i] = each.object
	}
	return all
}
