// Package probe asks registries what they think of us: how many pulls are left, of how many, and by which address they
// count. It sends the HEAD request that Docker documents for this, which is no pull and uses nothing up, over IPv4 and over
// IPv6, and hands each answer on.
//
// What comes back is true of the address by which this process leaves. On the host's network that is the node's, and so the
// kubelet's. In a pod it is the pod's own way out, which is the node's only where pods are masqueraded. Through a proxy it
// is the proxy's, so none is used unless it is configured.
//
// The package refuses to log in: an account's limit says nothing about an address. It refuses to believe what cannot be, to
// ask more often than once a minute, and to send a token to another host than the registry. It judges no buckets: who shares
// one, and when it is full, is told elsewhere.
package probe

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
)

// Probe asks the registries of its configuration again and again.
type Probe struct {
	cfg     Config
	node    string
	log     *slog.Logger
	metrics *metrics

	mu   sync.Mutex // held while tell is called
	tell func(Answer)
}

// New returns a probe that has asked nobody yet. The configuration must be valid. Run calls tell with every answer, what is
// not known included, never twice at once; tell must not block for long.
func New(cfg Config, tell func(Answer), logger *slog.Logger, reg prometheus.Registerer) *Probe {
	node := cmp.Or(cfg.NodeName, os.Getenv("NODE_NAME"))
	return &Probe{cfg: cfg, node: node, tell: tell, log: logger, metrics: newMetrics(reg)}
}

// Ask asks one registry once over one address family, and tells nobody else. It takes as long as Config.Timeout at most.
func (p *Probe) Ask(ctx context.Context, t Target, f flow.Family) Answer {
	a, _ := p.count(ctx, t, f)
	return a
}

func (p *Probe) count(ctx context.Context, t Target, f flow.Family) (Answer, time.Duration) {
	a, retryAfter := p.question(ctx, t, f)
	if ctx.Err() == nil { // else it was us who gave up
		p.metrics.probes.WithLabelValues(t.Service, f.String(), a.Result.String()).Inc()
	}
	return a, retryAfter
}

// Run asks every registry over both families until ctx ends, and then returns nil. A disabled probe asks nobody.
func (p *Probe) Run(ctx context.Context) error {
	if !p.cfg.Enabled {
		<-ctx.Done()
		return nil
	}
	var wg sync.WaitGroup
	for _, t := range p.cfg.Targets[:min(len(p.cfg.Targets), mostTargets)] {
		for _, f := range []flow.Family{flow.FamilyIPv4, flow.FamilyIPv6} {
			wg.Go(func() { p.follow(ctx, t, f) })
		}
	}
	wg.Wait()
	<-ctx.Done()
	return nil
}

// follow asks one registry over one family until ctx ends.
func (p *Probe) follow(ctx context.Context, t Target, f flow.Family) {
	log := p.log.With("service", t.Service, "family", f.String())
	wait := rand.N(p.every() / 10) // a DaemonSet starts everywhere at once
	last, refusals := Unknown, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		a, retryAfter := p.count(ctx, t, f)
		if ctx.Err() != nil {
			return
		}
		if a.Result != last {
			report(log, a, last)
		}
		last = a.Result
		if a.Result == OK {
			refusals = 0
		} else {
			refusals++
		}
		p.mu.Lock()
		p.tell(a)
		p.mu.Unlock()
		wait = p.wait(refusals, retryAfter)
	}
}

// report logs an answer that is another one than before.
func report(log *slog.Logger, a Answer, last Result) {
	switch {
	case a.Err != nil:
		log.Warn("the registry's rate limit is not known", "result", a.Result.String(), "err", a.Err)
	case a.Result == Limited:
		log.Warn("the registry refuses pulls: the rate limit is used up", "source", a.Source, "limit", a.Limit)
	case last == Unknown:
		log.Info("the registry tells its rate limit", "source", a.Source, "limit", a.Limit, "remaining", a.Remaining, "window", a.Window)
	default:
		log.Info("the registry tells its rate limit again", "source", a.Source, "limit", a.Limit, "remaining", a.Remaining, "window", a.Window)
	}
}

// Waits. A registry that says nothing, or is not there, is asked less and less.
const (
	mostWait       = time.Hour
	mostRetryAfter = 24 * time.Hour // of what a registry says of Retry-After
)

func (p *Probe) every() time.Duration { return max(p.cfg.Every, leastEvery) }

// wait returns the pause after so many refusals and failures in a row: twice as long with each but the first, and never
// shorter than the registry asked for. Up to a tenth is added, so that the nodes of a cluster drift apart.
func (p *Probe) wait(refusals int, retryAfter time.Duration) time.Duration {
	d := p.every()
	for range refusals - 1 {
		if d >= mostWait {
			break
		}
		d = min(2*d, mostWait)
	}
	d = max(d, min(retryAfter, mostRetryAfter))
	return d + rand.N(d/10)
}
