package live

import (
	"log/slog"
	"sync"
	"time"
)

// maxCauses bounds how many causes of one outage are told.
const maxCauses = 20

// outage is a time in which watches are broken. Most often they all are, and for the same reason: each reason is said once,
// and so is the end.
type outage struct {
	logger *slog.Logger
	alive  *changes // tells when the API server answers again

	mu      sync.Mutex
	woken   time.Time
	since   time.Time
	watches map[string]struct{}
	said    map[string]struct{}
}

func newOutage(logger *slog.Logger) *outage {
	return &outage{logger: logger, alive: newChanges(), watches: map[string]struct{}{}, said: map[string]struct{}{}}
}

// begins says that a watch is broken.
func (o *outage) begins(name string, t trouble) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.watches) == 0 {
		o.since = time.Now()
	}
	o.watches[name] = struct{}{}
	cause := t.err.Error()
	if _, said := o.said[cause]; said || len(o.said) >= maxCauses {
		return
	}
	o.said[cause] = struct{}{}
	o.logger.Warn("kubernetes watch broke, and is tried again", "watch", name, "remedy", t.remedy, "err", t.err)
}

// ends says that a watch is broken no more.
func (o *outage) ends(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, broken := o.watches[name]; !broken {
		return
	}
	delete(o.watches, name)
	if len(o.watches) == 0 {
		clear(o.said)
		o.logger.Info("kubernetes watches work again", "after", time.Since(o.since).Round(time.Millisecond))
	}
}

// answered says that the API server answers. Whoever waits because it did not need not wait any longer; but where streams
// open and break at once they would wake each other without end.
func (o *outage) answered() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.watches) == 0 || time.Since(o.woken) < time.Second {
		return
	}
	o.woken = time.Now()
	o.alive.tell()
}
