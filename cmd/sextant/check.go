package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/term"

	"sextant/cmd/sextant/preflight"
	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/enrich/dns64"
	"sextant/enrich/kube"
	"sextant/enrich/kube/inventory"
	"sextant/enrich/kube/live"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded"
)

type checkCmd struct {
	kong.Plugins
	Format  string        `help:"Form of the answer: text or json (one object)." enum:"text,json" default:"text"`
	Strict  bool          `help:"Also a warning makes the exit code 1."`
	Timeout time.Duration `help:"How long Hubble, ClickHouse and a resolver may take, each." default:"30s"`
	Watch   time.Duration `help:"How long flows are looked at." default:"3s"`
	DataDir string        `env:"SEXTANT_DATA_DIR" help:"Where to look for the engine of sextant demo when no --clickhouse is given." default:"${data_dir}" placeholder:"DIR"`

	hubbleCfg     hubble.Config
	clickhouseCfg clickhouse.Config
	verdictCfg    verdictConfig
	watchCfg      live.Config
	settings      sections

	hubbleNamed, storeNamed bool // by the user, so that it fails when it is not there
}

// Help implements kong.HelpProvider.
func (*checkCmd) Help() string {
	return "It looks at Hubble (--server or --peers), the cluster (--kubeconfig, or --state for a dump) and ClickHouse (--clickhouse), and says of each thing " +
		"how it is (ok, note, warn, fail, unknown), what follows for what Sextant can say, and what to do. It changes nothing, " +
		"and what is not named it looks for where it usually is. With --state alone it judges the settings of a cluster offline.\n\n" +
		"Exit code: 0 nothing fails; 1 something does, or with --strict warns; 2 the command line or the settings are wrong."
}

func (cmd *checkCmd) init() {
	cmd.hubbleCfg, cmd.clickhouseCfg, cmd.verdictCfg = hubble.Default(), clickhouse.Default(), defaultVerdict()
	cmd.watchCfg = live.Default()
	cmd.hubbleCfg.Server, cmd.clickhouseCfg.Address, cmd.verdictCfg.NAT64Discovery = "", "", ""
	cmd.settings = sections{
		newSection("hubble", true, &cmd.hubbleCfg), newSection("clickhouse", false, &cmd.clickhouseCfg), newSection("verdict", true, &cmd.verdictCfg),
		newSection("kubernetes", false, &cmd.watchCfg),
	}
	cmd.Plugins = cmd.settings.plugins()
}

// Validate is called by kong, so that what is wrong with the settings is an error of the command line.
func (cmd *checkCmd) Validate() error {
	cmd.settings.apply()
	cmd.hubbleNamed = cmd.hubbleCfg.Server != "" || cmd.hubbleCfg.Peers != ""
	cmd.storeNamed = cmd.clickhouseCfg.Address != ""
	if cmd.hubbleCfg.Server == "" {
		cmd.hubbleCfg.Server = hubble.Default().Server
	}
	store := cmd.clickhouseCfg
	if !cmd.storeNamed {
		store.Address = clickhouse.Default().Address
	}
	errs := []error{cmd.hubbleCfg.Validate(), store.Validate(), cmd.verdictCfg.Validate(), cmd.watchCfg.Validate()}
	if cmd.Watch <= 0 || cmd.Timeout < cmd.Watch {
		errs = append(errs, fmt.Errorf("--watch must be above 0 and at most --timeout, is %s with %s", cmd.Watch, cmd.Timeout))
	}
	return errors.Join(errs...)
}

// Run looks at everything at once, and tells it in order.
func (cmd *checkCmd) Run(a *app) error {
	var (
		all       sync.WaitGroup
		known     clusterFacts
		sight     *hubble.Sight
		store     *preflight.Store
		pref64    preflight.Pref64
		hubbleErr error
		storeErr  error
	)
	names := flow.NewInterner()
	all.Go(func() { known = cmd.cluster(a, names) })
	all.Go(func() {
		sight, hubbleErr = cmd.look(a.ctx, names)
		pref64 = cmd.pref64(a.ctx, sight != nil)
	})
	all.Go(func() { store, storeErr = cmd.askStore(a.ctx) })
	all.Wait()
	if a.ctx.Err() != nil {
		return errors.New("interrupted")
	}
	report := preflight.New(slices.Concat(
		preflight.Hubble(sight, hubbleErr, cmd.hubbleNamed, known.cluster),
		preflight.Known(known.cluster, known.err),
		preflight.Settings(known.cluster),
		preflight.Names(known.cluster, sight),
		preflight.NAT64(pref64, known.cluster),
		preflight.Prefixes(inventory.Of(names, known.view), known.view.IPAM),
		preflight.Watches(known.watches),
		preflight.ClickHouse(store, storeErr, cmd.storeNamed),
		preflight.NodeClocks(sight),
		preflight.StoreClock(store),
	))
	if err := cmd.write(a.stdout, report); err != nil {
		return err
	}
	return cmd.verdict(report)
}

func (cmd *checkCmd) write(w io.Writer, report preflight.Report) error {
	if cmd.Format == "json" {
		return report.WriteJSON(w)
	}
	var style preflight.Style
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		style.Color = os.Getenv("NO_COLOR") == ""
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			style.Width = width
		}
	}
	report.WriteText(w, style)
	return nil
}

// verdict returns an error where the exit code is not to be 0.
func (cmd *checkCmd) verdict(report preflight.Report) error {
	s := report.Summary
	switch {
	case s.Fail > 0:
		return fmt.Errorf("check: %d of %d lines fail", s.Fail, len(report.Lines))
	case s.Warn > 0 && cmd.Strict:
		return fmt.Errorf("check: %d of %d lines warn (--strict)", s.Warn, len(report.Lines))
	}
	return nil
}

// clusterFacts is what is known of the cluster.
type clusterFacts struct {
	cluster *preflight.Cluster // nil where nothing is
	view    kube.View
	watches []preflight.Watch
	err     error // of something that the user named
}

// cluster reads the dump that the settings name, or else asks the API server. Whatever fills the store, factsOf makes the
// same of it.
func (cmd *checkCmd) cluster(a *app, names *flow.Interner) clusterFacts {
	store := kube.NewStore(kube.Config{}, names, a.logger)
	switch {
	case len(cmd.verdictCfg.State) > 0:
		report, err := store.Load(cmd.verdictCfg.State...)
		if err != nil {
			return clusterFacts{err: fmt.Errorf("verdict.state: %w", err)}
		}
		return factsOf(store, "verdict.state", strings.Join(cmd.verdictCfg.State, ", "), report.Doubts)
	case cmd.watchCfg.Enabled():
		return cmd.ask(a, store)
	}
	return clusterFacts{}
}

// ask fills the store from the API server, as far as that answers in time.
func (cmd *checkCmd) ask(a *app, store *kube.Store) clusterFacts {
	ctx, cancel := context.WithTimeout(a.ctx, cmd.Timeout)
	defer cancel()
	live.QuietClientGo(a.logger)
	watcher := live.New(cmd.watchCfg, store, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	var unusable error // the configuration of the client
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		unusable = watcher.Run(ctx)
	}()
	for !watcher.Synced() {
		select {
		case <-time.After(50 * time.Millisecond):
			continue
		case <-ctx.Done():
		case <-ended:
			if unusable != nil {
				return clusterFacts{err: unusable}
			}
		}
		break
	}
	features := watcher.Features()
	missing := watcher.Ready()
	cancel()
	<-ended
	if !slices.ContainsFunc(features, func(f live.Feature) bool { return f.State == live.StateOn }) {
		return clusterFacts{watches: watches(features), err: missing}
	}
	facts := factsOf(store, "kubernetes", "the API server", nil)
	facts.watches = watches(features)
	return facts
}

func watches(features []live.Feature) []preflight.Watch {
	states := map[live.State]preflight.WatchState{
		live.StateOn: preflight.WatchOn, live.StateIdle: preflight.WatchIdle, live.StateAbsent: preflight.WatchAbsent,
		live.StateForbidden: preflight.WatchForbidden, live.StateBroken: preflight.WatchBroken,
	}
	var all []preflight.Watch
	for _, f := range features {
		w := preflight.Watch{Name: f.Name, Serves: f.Serves, State: states[f.State], Remedy: f.Remedy, Objects: f.Objects}
		if f.Err != nil {
			w.Why = f.Err.Error()
		}
		all = append(all, w)
	}
	return all
}

// factsOf makes facts of a store that the settings of a section let somebody fill.
func factsOf(store *kube.Store, section, source string, doubts []string) clusterFacts {
	cluster, err := store.Cluster()
	if err != nil {
		return clusterFacts{err: fmt.Errorf("%s: %w", section, err)}
	}
	known := &preflight.Cluster{Cluster: *cluster, Source: source, Values: map[string]preflight.Values{}}
	for node, values := range store.Configurations() {
		known.Values[node] = values
	}
	for _, doubt := range slices.Concat(doubts, store.Doubts()) {
		if !slices.Contains(known.Doubts, doubt) {
			known.Doubts = append(known.Doubts, doubt)
		}
	}
	return clusterFacts{cluster: known, view: store.View()}
}

// look looks at Hubble.
func (cmd *checkCmd) look(ctx context.Context, names *flow.Interner) (*hubble.Sight, error) {
	ctx, cancel := context.WithTimeout(ctx, cmd.Timeout)
	defer cancel()
	sight, err := hubble.Look(ctx, cmd.hubbleCfg, names, cmd.Watch)
	if err != nil {
		return nil, err
	}
	return &sight, nil
}

// pref64 says which NAT64 prefixes are known. Where nobody says whom to ask, this machine's resolver is asked as `run` does,
// but only in reach of a cluster: beside a dump it tells of another network.
func (cmd *checkCmd) pref64(ctx context.Context, inReach bool) preflight.Pref64 {
	p := preflight.Pref64{}
	p.Configured, _ = cmd.verdictCfg.configured() // Validate found nothing wrong with it
	cfg := cmd.verdictCfg
	if cfg.NAT64Discovery == "" && inReach {
		cfg.NAT64Discovery = "system"
	}
	resolver, ask, err := cfg.resolver()
	if err != nil || !ask {
		return p
	}
	ctx, cancel := context.WithTimeout(ctx, min(cmd.Timeout, 5*time.Second))
	defer cancel()
	p.Asked = cfg.NAT64Discovery
	p.Discovered, p.Err = dns64.Discover(ctx, resolver)
	if p.Discovered == nil {
		p.Discovered = []netip.Prefix{}
	}
	return p
}

// askStore asks ClickHouse, or the engine that runs on this machine.
func (cmd *checkCmd) askStore(ctx context.Context) (*preflight.Store, error) {
	cfg := cmd.clickhouseCfg
	if !cmd.storeNamed {
		state, err := embedded.Running(cmd.DataDir)
		if err != nil {
			return nil, fmt.Errorf("none runs on this machine (%w)", err)
		}
		useEngine(&cfg, state)
	}
	ctx, cancel := context.WithTimeout(ctx, cmd.Timeout)
	defer cancel()
	return askStore(ctx, cfg)
}
