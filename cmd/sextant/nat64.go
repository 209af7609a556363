package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sextant/collector/verdict"
	"sextant/enrich/dns64"
)

type verdictConfig struct {
	State          []string `yaml:"state" flag:"state" doc:"files, folders or archives of cilium sysdump with the cluster's Kubernetes objects as kubectl get -o yaml writes them: nodes, pods, services, cilium-config …; without them, and without an API server to ask, what only the configuration tells is unknown"`
	NAT64Prefixes  []string `yaml:"nat64_prefixes" flag:"nat64-prefix" doc:"NAT64 prefixes of the network beside the well-known 64:ff9b::/96 (RFC 6052: /32, /40, /48, /56, /64 or /96)"`
	NAT64Learn     bool     `yaml:"nat64_learn" doc:"also take the prefixes that DNS answers for ipv4only.arpa reveal to pods (RFC 7050)"`
	NAT64Discovery string   `yaml:"nat64_discovery" doc:"resolver that is asked for ipv4only.arpa (RFC 7050), now and then by a service: system, an address of one, or off; ask the one that the pods use"`
}

func defaultVerdict() verdictConfig { return verdictConfig{NAT64Learn: true, NAT64Discovery: "off"} }

func (c verdictConfig) configured() ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range c.NAT64Prefixes {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("verdict.nat64_prefixes: %w", err)
		}
		list = append(list, p)
	}
	if _, err := verdict.NewPrefixes(list...); err != nil {
		return nil, fmt.Errorf("verdict.nat64_prefixes: %w", err)
	}
	return list, nil
}

// resolver returns whom to ask; ok is false where nobody is.
func (c verdictConfig) resolver() (resolver *net.Resolver, ok bool, err error) {
	switch c.NAT64Discovery {
	case "", "off":
		return nil, false, nil
	case "system":
		return nil, true, nil
	}
	server, err := netip.ParseAddrPort(c.NAT64Discovery)
	if err != nil {
		addr, addrErr := netip.ParseAddr(c.NAT64Discovery)
		if addrErr != nil {
			return nil, false, fmt.Errorf("verdict.nat64_discovery: must be off, system or the address of a resolver, is %q", c.NAT64Discovery)
		}
		server = netip.AddrPortFrom(addr, 53)
	}
	return dns64.ResolverAt(server), true, nil
}

func (c verdictConfig) Validate() error {
	_, err := c.configured()
	_, _, resolverErr := c.resolver()
	return errors.Join(err, resolverErr)
}

// nat64 gathers the NAT64 prefixes from all that tell of them, and passes them on when they change.
type nat64 struct {
	logger *slog.Logger
	stage  *verdict.Stage

	mu                              sync.Mutex
	configured, learned, discovered []netip.Prefix
	now                             verdict.Prefixes
}

func newNAT64(configured []netip.Prefix, stage *verdict.Stage, logger *slog.Logger) *nat64 {
	n := &nat64{logger: logger, stage: stage, configured: configured}
	n.updateLocked()
	return n
}

// learn takes a prefix that a pod was told.
func (n *nat64) learn(p netip.Prefix) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.logger.Info("NAT64 prefix learned from a pod's DNS answer", "prefix", p)
	n.learned = append(n.learned, p)
	n.updateLocked()
}

// discover takes what our own resolver said.
func (n *nat64) discover(list []netip.Prefix) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.logger.Info("NAT64 prefixes discovered", "prefixes", list)
	n.discovered = slices.Clone(list)
	n.updateLocked()
}

func (n *nat64) updateLocked() {
	var all []netip.Prefix
	for _, p := range slices.Concat(n.configured, n.discovered, n.learned) {
		if _, err := verdict.NewPrefixes(p); err == nil { // one that is none must not take the others with it
			all = append(all, p)
		}
	}
	if prefixes, err := verdict.NewPrefixes(all...); err == nil {
		n.now = prefixes
		n.stage.SetPrefixes(prefixes)
	}
}

// synthetic reports whether an address was made up by a DNS64.
func (n *nat64) synthetic(a netip.Addr) bool {
	n.mu.Lock()
	prefixes := n.now
	n.mu.Unlock()
	_, _, ok := prefixes.Embedded(a)
	return ok
}

// discoverOnce asks the resolver that the settings name, if they name one, for what is done in a moment.
func (n *nat64) discoverOnce(ctx context.Context, cfg verdictConfig) error {
	resolver, ask, err := cfg.resolver()
	if err != nil || !ask {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	prefixes, err := dns64.Discover(ctx, resolver)
	if err != nil {
		return fmt.Errorf("verdict.nat64_discovery %s: %w", cfg.NAT64Discovery, err)
	}
	n.discover(prefixes)
	return nil
}

// discover asks the resolver for prefixes until the end.
func (p *plant) discover(a *app) error {
	resolver, ask, err := p.verdictCfg.resolver()
	if err != nil || !ask {
		return err
	}
	cfg := dns64.DefaultDiscoverer()
	cfg.Resolver, cfg.Logger, cfg.OnChange = resolver, a.logger, p.nat64.discover
	go func() { _ = dns64.NewDiscoverer(cfg).Run(a.ctx) }() // ends with ctx, and says nothing
	return nil
}
