package embedded

import (
	"context"
	"time"
)

// Run keeps the engine running until ctx ends: it starts the engine unless Start
// has done so, starts it again whenever it ends by itself, and stops it at the
// end. Writers should be drained before ctx ends. It returns nil after a regular
// stop; an error when the first start fails or the engine would not stop.
//
// A restart keeps the addresses and is tried for ever, at growing intervals.
func (s *Server) Run(ctx context.Context) error {
	if !s.running() {
		if err := s.Start(ctx); err != nil {
			return err
		}
	}
	var wait backoff
	for {
		p := s.process()
		select {
		case <-ctx.Done():
		case <-p.done:
		}
		if ctx.Err() != nil {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
			defer cancel()
			return s.Stop(stop)
		}
		delay := wait.next(time.Since(p.started))
		s.log.Warn("engine ended, starting it again", "dir", s.cfg.Dir, "in", delay, "err", p.err)
		select {
		case <-ctx.Done():
			continue
		case <-time.After(delay):
		}
		s.relaunch(ctx)
	}
}

// relaunch tries one restart. When that fails the dead child it leaves makes Run
// try again.
func (s *Server) relaunch(ctx context.Context) {
	s.mu.Lock()
	s.restarts++
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.launch(ctx); err != nil {
		s.log.Error("engine does not start", "dir", s.cfg.Dir, "err", err)
		return
	}
	s.log.Info("engine started again", "native", s.Addr(), "restarts", s.Restarts())
}

const (
	firstDelay = 100 * time.Millisecond
	lastDelay  = 10 * time.Second
	healthy    = time.Minute // an engine that lived this long starts afresh
)

// backoff is the delay before the last restart.
type backoff time.Duration

// next returns how long to wait before starting an engine again that lived for
// the given time.
func (b *backoff) next(lived time.Duration) time.Duration {
	if d := time.Duration(*b); d == 0 || lived >= healthy {
		*b = backoff(firstDelay)
	} else {
		*b = backoff(min(2*d, lastDelay))
	}
	return time.Duration(*b)
}
