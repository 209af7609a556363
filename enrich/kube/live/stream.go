package live

import (
	"context"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// stream is a watch whose objects are made small as they come in, before the reflector has seen them: while it collects a
// list that is streamed, it collects small ones.
type stream struct {
	ctx     context.Context // whose end is the stream's, and no failure
	feed    *feed
	from    watch.Interface
	cancel  context.CancelFunc
	initial bool // a list comes first
	to      chan watch.Event
	stopped chan struct{}
	stop    sync.Once
}

// start begins to hand on what comes in, until the stream ends, is stopped, or has lasted for longer than it may.
func (s *stream) start(lifetime time.Duration) *stream {
	s.to, s.stopped = make(chan watch.Event), make(chan struct{})
	go s.run(lifetime)
	return s
}

// ResultChan implements watch.Interface.
func (s *stream) ResultChan() <-chan watch.Event { return s.to }

// Stop implements watch.Interface. It may be called more than once.
func (s *stream) Stop() { s.stop.Do(func() { close(s.stopped) }) }

func (s *stream) run(lifetime time.Duration) {
	defer close(s.to)
	defer s.cancel()
	defer s.from.Stop()
	start := time.Now()
	// The server ends a stream when its time is up. One that hangs does not, and would be listened to for ever.
	end := time.NewTimer(lifetime + patience)
	defer end.Stop()
	quiet := time.NewTimer(patience)
	defer quiet.Stop()
	if !s.initial {
		quiet.Stop() // a stream of changes may be silent
	}
	events := 0
	for {
		select {
		case e, ok := <-s.from.ResultChan():
			if !ok {
				if events == 0 && time.Since(start) < brief {
					s.feed.broke(s.ctx, errBrief)
				}
				return
			}
			events++
			if s.initial {
				quiet.Reset(patience)
			}
			switch s.take(&e) {
			case leaveOut:
				continue
			case endHere:
				return
			}
			select {
			case s.to <- e:
			case <-s.stopped:
				return
			}
			if e.Type == watch.Bookmark && endsList(e) {
				s.initial = false
				quiet.Stop()
			}
			if e.Type == watch.Error {
				return
			}
		case <-quiet.C:
			s.feed.cannotStream(errNoAnswer)
			return
		case <-end.C:
			return
		case <-s.stopped:
			return
		}
	}
}

// What is done with an event.
type verdict uint8

const (
	handOn verdict = iota
	leaveOut
	endHere
)

// take makes an event's object small.
func (s *stream) take(e *watch.Event) verdict {
	switch e.Type {
	case watch.Added, watch.Modified, watch.Deleted:
		i := s.feed.convert(e.Object)
		if i == nil {
			return leaveOut
		}
		if !s.initial {
			s.feed.metrics.events.WithLabelValues(s.feed.row.name).Inc()
		}
		e.Object = i
	case watch.Error:
		err := apierrors.FromObject(e.Object)
		s.feed.broke(s.ctx, err)
		if apierrors.IsTooManyRequests(err) { // for which a reflector would wait, deaf to the end of its context
			return endHere
		}
	}
	return handOn
}

// endsList reports whether a bookmark is the one after a list.
func endsList(e watch.Event) bool {
	m, err := meta.Accessor(e.Object)
	return err == nil && m.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
}
