package live

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// believed is how often in a row a refusal must be heard. An API server that starts says of many things that they are
// forbidden, or not there, before it has read its own rules.
const believed = 3

// steady is how long a stream must have lasted for what comes after it to be a new misfortune.
const steady = 10 * time.Second

// status is the state of a watch, and the pauses between its requests. Those who ask the API server say how it went.
type status struct {
	rule    rule
	logger  *slog.Logger
	outage  *outage
	metrics *metrics
	changed func()
	recheck time.Duration
	maxWait time.Duration

	mu      sync.Mutex
	f       Feature
	said    State     // the latest that was logged: on, forbidden or absent
	refused int       // refusals in a row
	tries   int       // requests in a row that did not work
	expired int       // streams in a row that expired
	opened  time.Time // when the latest stream began
	wait    time.Duration
	lost    bool // the API server did not answer
}

// feature returns the state as others see it.
func (s *status) feature() Feature {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.f
}

// pause waits for as long as the state of things asks for, or until ctx ends.
func (s *status) pause(ctx context.Context) error {
	alive := s.outage.alive.after()
	d, lost := s.paused()
	if !lost {
		alive = nil
	}
	if d > 0 {
		select {
		case <-time.After(d):
		case <-alive:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// paused returns how long to wait before the next request, and takes it for done. Whether the API server was lost is said,
// too: then the wait may end earlier.
func (s *status) paused() (d time.Duration, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, s.wait = s.wait, 0
	return d, s.lost
}

// begins says that the API server answers a stream.
func (s *status) begins() {
	s.outage.answered()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = time.Now()
}

// works says that the store is up to date, and will be.
func (s *status) works() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = 0
	s.outage.ends(s.f.Name)
	if s.said.off() {
		s.logger.Info("kubernetes watch works now", "watch", s.f.Name, "for", s.f.Serves)
	}
	s.said = StateOn
	s.setLocked(StateOn, nil, "")
}

// fails says that a request, or a stream, did not work.
func (s *status) fails(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := explain(err, s.rule)
	s.metrics.failures.WithLabelValues(s.f.Name, t.reason).Inc()
	s.lost = t.lost
	s.settleLocked()
	s.wait = s.backOff(s.tries)
	s.tries++
	if !t.state.off() {
		s.refused = 0
		s.outage.begins(s.f.Name, t)
		s.setLocked(StateBroken, t.err, t.remedy)
		return
	}
	s.refused++
	if s.refused < believed {
		s.wait = min(time.Second<<(s.refused-1), s.recheck)
		return
	}
	s.wait = s.recheck + time.Duration(rand.Float64()*0.1*float64(s.recheck))
	s.outage.ends(s.f.Name)
	if s.said != t.state {
		level := slog.LevelWarn
		if t.state == StateAbsent {
			level = slog.LevelInfo // as on every cluster that does not use it
		}
		s.logger.Log(context.Background(), level, "kubernetes watch is off", "watch", s.f.Name, "unknown_now", s.f.Serves, "remedy", t.remedy, "err", t.err)
	}
	s.said = t.state
	s.setLocked(t.state, t.err, t.remedy)
}

// expires says that a list must be taken anew, which is nobody's fault but must not happen again and again without a pause.
func (s *status) expires() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = false
	s.settleLocked()
	s.wait = s.backOff(s.expired)
	s.expired++
}

// idles says that the watch is not needed, and why.
func (s *status) idles(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused, s.tries, s.expired, s.wait = 0, 0, 0, 0
	s.outage.ends(s.f.Name)
	s.f.Objects = 0
	s.setLocked(StateIdle, errors.New("not needed: "+why), "")
}

// waits says that the watch is needed after all.
func (s *status) waits() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(StateWaiting, nil, "")
}

// unusable says that nothing can be asked at all. Whoever tried says so.
func (s *status) unusable(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setLocked(StateBroken, err, "")
}

// counts takes the number of objects that the watch tells of.
func (s *status) counts(change func(int) int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.f.Objects
	s.f.Objects = change(before)
	s.metrics.objects.WithLabelValues(s.f.Name).Set(float64(s.f.Objects))
	if (before == 0) != (s.f.Objects == 0) {
		s.changed()
	}
}

// gone reports whether the refusal has outlasted a recheck, so that what the watch told is not true any more.
func (s *status) gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused > believed
}

// atLeast makes the next pause at least so long.
func (s *status) atLeast(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait = max(s.wait, d)
}

// settleLocked forgets old misfortunes when the latest stream was a long one.
func (s *status) settleLocked() {
	if !s.opened.IsZero() && time.Since(s.opened) >= steady {
		s.tries, s.expired = 0, 0
	}
	s.opened = time.Time{}
}

// backOff is how long to wait after so many misfortunes. Half of it is chance, so that one of many watches soon finds an API
// server that has come back, and wakes the others.
func (s *status) backOff(n int) time.Duration {
	d := min(time.Second<<min(n, 20), s.maxWait)
	return d/2 + time.Duration(rand.Float64()*float64(d/2))
}

func (s *status) setLocked(to State, err error, remedy string) {
	s.f.Err, s.f.Remedy = err, remedy
	if s.f.State == to {
		return
	}
	s.f.State, s.f.Since = to, time.Now()
	up := 0.0
	if to == StateOn {
		up = 1
	}
	s.metrics.up.WithLabelValues(s.f.Name).Set(up)
	s.changed()
}
