package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"sextant/collector/bucket"
	"sextant/collector/bucket/probe"
	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
	"sextant/enrich/kube/inventory"
	"sextant/enrich/kube/live"
	"sextant/enrich/kube/pull"
)

// clusterConfig are the settings of all that knows the cluster.
type clusterConfig struct {
	watch     live.Config
	enrich    enrichConfig
	pulls     pull.Config
	inventory inventory.Config
	limits    bucket.Config
	probe     probe.Config
}

type enrichConfig struct {
	Labels      []string `yaml:"labels" doc:"keys of labels that become tags of their pods and connections, such as team; the pod's own goes before its namespace's"`
	Annotations []string `yaml:"annotations" doc:"keys of annotations that become tags, too"`
	Cluster     string   `yaml:"cluster" doc:"the cluster's name as its flows tell it; none: cluster-name of its cilium-config"`
}

// maxTagKeys bounds the keys of either kind: each costs memory for every pod.
const maxTagKeys = 32

func (c enrichConfig) Validate() error {
	var errs []error
	for key, list := range map[string][]string{"labels": c.Labels, "annotations": c.Annotations} {
		if len(list) > maxTagKeys {
			errs = append(errs, fmt.Errorf("enrich.%s: must be at most %d keys, are %d", key, maxTagKeys, len(list)))
		}
	}
	return errors.Join(errs...)
}

func defaultCluster() clusterConfig {
	return clusterConfig{watch: live.Default(), pulls: pull.Default(), inventory: inventory.Default(), limits: bucket.Default(), probe: probe.Default()}
}

// sections are the settings of what is known of the cluster; those of the watch, and of asking others, where there can be one.
func (c *clusterConfig) sections(watch bool) sections {
	all := sections{newSection("enrich", false, &c.enrich), newSection("pulls", false, &c.pulls), newSection("inventory", false, &c.inventory), newSection("rate_limits", false, &c.limits)}
	if watch {
		all = append(all, newSection("kubernetes", false, &c.watch), newSection("rate_limits.probe", false, &c.probe))
	}
	return all
}

func (c *clusterConfig) validate() error {
	return errors.Join(c.watch.Validate(), c.enrich.Validate(), c.pulls.Validate(), c.inventory.Validate(), c.limits.Validate(), c.probe.Validate())
}

// cluster is what is known of the cluster, from a dump of its objects, from its API server, or both.
type cluster struct {
	names     *flow.Interner
	logger    *slog.Logger
	judge     *verdict.Stage
	store     *kube.Store
	stage     *kube.Stage
	pulls     *pull.Tracker
	inventory *inventory.Stage
	limits    *bucket.Stage
	watcher   *live.Watcher // nil where nothing is watched
	probe     *probe.Probe  // nil where nobody is asked
	index     atomic.Pointer[kube.Index]
	told      bool        // by a dump
	events    atomic.Bool // a dump holds events
	synced    atomic.Bool
	partial   bool // only this node's pods are watched: what would be told of the whole cluster would be wrong
}

// newCluster reads the dump, if one is named. Nothing runs or connects yet.
func (p *plant) newCluster(a *app, watch bool) (*cluster, error) {
	cfg := &p.clusterCfg
	c := &cluster{names: p.names, logger: a.logger, judge: p.judge, stage: kube.NewStage(p.names, p.registry)}
	c.pulls = pull.New(cfg.pulls, c.index.Load, p.names, p.registry)
	catalogue, err := bucket.ReadCatalogue(cfg.limits.Catalogue)
	if err != nil {
		return nil, fmt.Errorf("rate_limits.catalogue: %w", err)
	}
	c.limits = bucket.New(cfg.limits, catalogue, p.names, p.registry)
	c.limits.Live, c.limits.Events = watch, c.tellsPulls
	if watch && cfg.probe.Enabled {
		if err := c.newProbe(cfg.probe, catalogue, a.logger, p.registry); err != nil {
			return nil, err
		}
	}
	c.store = kube.NewStore(kube.Config{
		Labels: cfg.enrich.Labels, Annotations: cfg.enrich.Annotations, Cluster: cfg.enrich.Cluster, OnEvent: c.takeEvent,
	}, p.names, a.logger)
	if watch && cfg.watch.Enabled() {
		live.QuietClientGo(a.logger)
		watchCfg := cfg.watch
		watchCfg.Annotations = cfg.enrich.Annotations
		c.partial = watchCfg.Scope == live.ScopeNode
		c.watcher = live.New(watchCfg, c.store, a.logger, p.registry)
		if c.partial {
			c.stage.Unresolved = c.watcher.Unresolved
		}
	}
	c.inventory = inventory.New(cfg.inventory, c.view, p.names, p.registry)
	if len(p.verdictCfg.State) > 0 {
		if err := c.load(p.verdictCfg.State); err != nil {
			return nil, fmt.Errorf("verdict.state: %w", err)
		}
	}
	return c, nil
}

// load reads a dump, and gives the stages what it tells.
func (c *cluster) load(paths []string) error {
	report, err := c.store.Load(paths...)
	if err != nil {
		return err
	}
	facts, err := c.store.Cluster()
	if err != nil {
		return err
	}
	c.told = true
	c.update(c.store.Index(), facts)
	c.logger.Info("cluster known from its state", "files", report.Files, "nodes", len(facts.Nodes), "pods", len(facts.Pods), "services", len(facts.Services))
	if c.watcher == nil { // else the API server may know better
		for _, doubt := range c.store.Doubts() {
			c.logger.Warn("cluster state in doubt", "why", doubt)
		}
	}
	return nil
}

func (c *cluster) update(index *kube.Index, facts *verdict.Cluster) {
	c.index.Store(index)
	c.stage.SetIndex(index)
	c.judge.SetFacts(verdict.NewFacts(c.names, facts))
	c.limits.SetFacts(limitFacts(c.names, facts))
}

// takeEvent takes an event of the kubelet.
func (c *cluster) takeEvent(at time.Time, e *kube.Event) {
	if c.watcher == nil {
		c.events.Store(true)
	}
	c.pulls.Add(at, e)
}

// tellsPulls reports whether the events of all pulls come in: those of a dump, or those that are watched.
func (c *cluster) tellsPulls() bool {
	if c.watcher == nil {
		return c.events.Load()
	}
	for _, f := range c.watcher.Features() {
		if f.Kind == kube.KindEvent && f.State != live.StateOn {
			return false
		}
	}
	return true
}

// limitFacts is what rate limits have to know of a cluster.
func limitFacts(names *flow.Interner, c *verdict.Cluster) *bucket.Facts {
	if c == nil {
		return nil
	}
	f := &bucket.Facts{Cluster: names.Name(c.Name), Nodes: make(map[flow.Name]bucket.Node, len(c.Nodes))}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		shows := n.Settings.ShowsNode()
		switch n.Settings.Aggregation {
		case "none": // answers show what is not tracked, too
			shows = flow.Yes
		case "":
			if shows == flow.No {
				shows = flow.Unknown
			}
		}
		f.Nodes[names.Name(n.Name)] = bucket.Node{
			IPv4: n.Egress(flow.FamilyIPv4), IPv6: n.Egress(flow.FamilyIPv6), PodCIDRs: n.PodCIDRs,
			Shows: shows, Masquerade: n.Settings.MasqueradeIPv6,
		}
	}
	return f
}

// view returns the cluster for the inventory, once all is told that is going to be: never of a part of it.
func (c *cluster) view() (kube.View, bool) {
	if c.partial || c.watcher == nil && !c.told || c.watcher != nil && !c.watcher.Synced() {
		return kube.View{}, false
	}
	return c.store.View(), true
}

// newProbe makes what asks the services of the catalogue how much is left, and tells the buckets.
func (c *cluster) newProbe(cfg probe.Config, catalogue *bucket.Catalogue, logger *slog.Logger, registry prom.Registerer) error {
	for _, l := range catalogue.Limits() {
		if l.Probe.Manifest != "" {
			cfg.Targets = append(cfg.Targets, probe.Target{Service: l.Name, Manifest: l.Probe.Manifest, Token: l.Probe.Token})
		}
	}
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("rate_limits.catalogue: %w", err)
	}
	c.probe = probe.New(cfg, func(a probe.Answer) {
		if a.Err == nil {
			c.limits.Probed(probed(catalogue, cfg.Every, &a))
		}
	}, logger, registry)
	return nil
}

// probed is what an answer says to the buckets. Of the lengths that a prefix may have, those of the catalogue are likely.
func probed(catalogue *bucket.Catalogue, every time.Duration, a *probe.Answer) bucket.Told {
	l, _ := catalogue.Find(a.Service)
	prefix, _ := a.Prefix(l.Lengths(a.Source.Is6())...)
	return bucket.Told{
		Time: a.Time, Service: a.Service, Node: a.Node, Family: a.Family, Every: every,
		Limit: a.Limit, Remaining: a.Remaining, Window: a.Window, Limited: a.Limited, Prefix: prefix,
	}
}

// run watches the cluster, if one is to be watched, and gives the stages what changes; it asks services, if they are to be
// asked. It ends with ctx.
func (c *cluster) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	if c.probe != nil {
		asking.Go(func() { _ = c.probe.Run(ctx) }) // ends with ctx, and says nothing
	}
	if c.watcher == nil {
		<-ctx.Done()
		return nil
	}
	updated := make(chan error, 1)
	go func() {
		c.await(ctx)
		updated <- c.store.Run(ctx, c.update)
	}()
	err := c.watcher.Run(ctx)
	cancel()
	return errors.Join(err, <-updated)
}

// await waits until the watches have told what they can, but not for ever: of a cluster half told, much seems strange.
func (c *cluster) await(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstLists)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for !c.watcher.Synced() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// firstLists is how long the first lists may take before what there is of them is used. Ten thousand pods take seconds.
const firstLists = 30 * time.Second

// ready returns what is not known yet of the cluster. What was known once stays known while the API server is away.
func (c *cluster) ready() error {
	if c.watcher == nil || c.synced.Load() {
		return nil
	}
	err := c.watcher.Ready()
	c.synced.Store(err == nil)
	return err
}
