package live

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

const (
	// patience is how long the API server may say nothing when it was asked something.
	patience = 90 * time.Second
	// page is how many objects are listed at once, where a list cannot be streamed.
	page = 500
	// brief is how long a stream without any event must last to be taken for one that works.
	brief = time.Second
	// unstreamed is for how long lists are not asked for as streams after that did not work.
	unstreamed = time.Hour
)

// feed is what a reflector asks. It stands between the reflector and the API server to keep the pauses, to notice how it
// goes, and to make what comes in small.
type feed struct {
	row     row
	source  source
	status  *status
	metrics *metrics
	logger  *slog.Logger
	streams atomic.Bool  // the latest list was, or is, a stream
	synced  atomic.Bool  // the store has a whole list
	plain   atomic.Int64 // until when lists are not streamed, in Unix seconds
	told    atomic.Bool  // that an object was left out
}

func (f *feed) listWatch() *cache.ListWatch {
	return &cache.ListWatch{ListWithContextFunc: f.list, WatchFuncWithContext: f.watch}
}

// list takes a page of a list.
func (f *feed) list(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	if err := f.status.pause(ctx); err != nil {
		return nil, err
	}
	o.FieldSelector = f.row.fields
	if o.ResourceVersion == "0" { // of any age, and then in one piece, whatever its size
		o.ResourceVersion = ""
	}
	f.streams.Store(false)
	asked, cancel := context.WithTimeoutCause(ctx, patience, errNoAnswer)
	defer cancel()
	list, err := f.source.list(asked, o)
	if err != nil {
		return nil, f.failed(ctx, asked, err)
	}
	small := &internalversion.List{}
	err = meta.EachListItem(list, func(o runtime.Object) error {
		if i := f.convert(o); i != nil {
			small.Items = append(small.Items, i)
		}
		return nil
	})
	if err != nil {
		return nil, f.failed(ctx, asked, err)
	}
	m, err := meta.ListAccessor(list)
	if err != nil {
		return nil, f.failed(ctx, asked, err)
	}
	small.ResourceVersion, small.Continue = m.GetResourceVersion(), m.GetContinue()
	return small, nil
}

// watch opens a stream. While the API server does not answer it does not return: the reflector would list anew, though the
// stream can go on where it ended.
func (f *feed) watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	o.FieldSelector = f.row.fields
	initial := o.SendInitialEvents != nil && *o.SendInitialEvents
	for {
		if initial && time.Now().Unix() < f.plain.Load() {
			return nil, errNoStream
		}
		if err := f.status.pause(ctx); err != nil {
			return nil, err
		}
		s, err := f.open(ctx, o, initial)
		switch {
		case err == nil:
			return s, nil
		case initial && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)): // a server that does not know, or an etcd that cannot
			f.cannotStream(err)
			return nil, err
		}
		if err = f.failed(ctx, ctx, err); ctx.Err() != nil || !again(err, initial) {
			return nil, err
		}
	}
}

// open asks for a stream, and waits for the head of the answer no longer than an answer may take.
func (f *feed) open(ctx context.Context, o metav1.ListOptions, initial bool) (watch.Interface, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(patience, func() { cancel(errNoAnswer) })
	from, err := f.source.watch(ctx, o)
	if !late.Stop() && err == nil {
		from.Stop()
		err = errNoAnswer
	}
	if err != nil {
		defer cancel(nil)
		if cause := context.Cause(ctx); errors.Is(cause, errNoAnswer) {
			return nil, errNoAnswer
		}
		return nil, err
	}
	f.metrics.opened.WithLabelValues(f.row.name).Inc()
	f.status.begins()
	if initial {
		f.streams.Store(true)
	} else if f.synced.Load() {
		f.status.works()
	}
	s := &stream{ctx: ctx, feed: f, from: from, cancel: func() { cancel(nil) }, initial: initial}
	return s.start(lifetime(o)), nil
}

// failed notes an error, unless it is but the end of ctx, and returns it with its cause.
func (f *feed) failed(ctx, asked context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = caused(asked, err)
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) {
		f.status.expires() // the reflector knows what to do
		return err
	}
	f.status.fails(err)
	return err
}

// caused returns the error that a request was given up for, or else its own.
func caused(asked context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(asked), errNoAnswer) {
		return errNoAnswer
	}
	return err
}

// broke notes the error that a stream ended with.
func (f *feed) broke(ctx context.Context, err error) { _ = f.failed(ctx, ctx, err) }

// cannotStream notes that lists must be taken page by page.
func (f *feed) cannotStream(err error) {
	f.plain.Store(time.Now().Add(unstreamed).Unix())
	f.logger.Debug("kubernetes list cannot be streamed, and is taken in pages", "watch", f.row.name, "err", err)
}

// convert makes an object small, or returns nil when there is nothing to make of it.
func (f *feed) convert(o runtime.Object) *item {
	i, err := newItem(o, f.row.convert)
	if err != nil {
		f.reject(err)
	}
	return i
}

// reject counts what is left out, and says so once.
func (f *feed) reject(err error) {
	if err == nil {
		return
	}
	n := 1
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		n = len(joined.Unwrap())
	}
	f.metrics.rejected.WithLabelValues(f.row.name).Add(float64(n))
	if !f.told.Swap(true) {
		f.logger.Warn("kubernetes object left out, as are others like it", "watch", f.row.name, "err", err)
	}
}
