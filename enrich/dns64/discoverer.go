package dns64

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Discoverer asks a resolver for its NAT64 prefixes again and again. What it found stands while nobody answers: that DNS
// is down does not move the NAT64.
type Discoverer struct{ cfg DiscovererConfig }

// DiscovererConfig is whom to ask, how often, and whom to tell.
type DiscovererConfig struct {
	Resolver *net.Resolver // nil is this machine's, which in a pod is the one that pods use
	Interval time.Duration // between answers; it stands for their TTL, which Go's resolver does not tell
	Logger   *slog.Logger

	// OnChange is told the prefixes when the resolver answers for the first time, be they none, and whenever they are
	// others than before. It must not change the list.
	OnChange func([]netip.Prefix)
}

// Discovery times. One lookup is a handful of packets, so the bounds guard against mistakes, not load.
const (
	discoverEvery = 10 * time.Minute
	discoverLeast = time.Minute
	discoverMost  = 24 * time.Hour

	discoverTimeout = 10 * time.Second
	discoverRetry   = time.Second // after a failure, doubled with each further one up to the interval
)

// DefaultDiscoverer returns the configuration but for whom to tell.
func DefaultDiscoverer() DiscovererConfig { return DiscovererConfig{Interval: discoverEvery} }

// Validate returns what is wrong.
func (c DiscovererConfig) Validate() error {
	if c.Interval < discoverLeast || c.Interval > discoverMost {
		return fmt.Errorf("interval: must be from %s to %s, is %s", discoverLeast, discoverMost, c.Interval)
	}
	return nil
}

// NewDiscoverer returns a discoverer that has not asked yet. The configuration must be valid.
func NewDiscoverer(cfg DiscovererConfig) *Discoverer { return &Discoverer{cfg} }

// Run asks until ctx ends, and then returns nil. A resolver that does not answer is asked again, and the first failure of
// a row is logged.
func (d *Discoverer) Run(ctx context.Context) error {
	var last []netip.Prefix
	answered := false
	retry := discoverRetry
	for {
		wait := d.cfg.Interval
		switch prefixes, err := d.ask(ctx); {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if retry == discoverRetry {
				d.cfg.Logger.Warn("the NAT64 prefixes are not known; those known before are used on", "err", err)
			}
			wait = min(retry, d.cfg.Interval)
			retry = min(2*retry, d.cfg.Interval)
		default:
			retry = discoverRetry
			if !answered || !slices.Equal(prefixes, last) {
				d.cfg.Logger.Info("NAT64 prefixes discovered", "prefixes", prefixes)
				answered, last = true, prefixes
				d.cfg.OnChange(slices.Clone(prefixes))
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

func (d *Discoverer) ask(ctx context.Context) ([]netip.Prefix, error) {
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	return Discover(ctx, d.cfg.Resolver)
}
