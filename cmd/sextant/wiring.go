package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/collector/track"
	"sextant/collector/verdict"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded"
	"sextant/sinks/prometheus"
	"sextant/sinks/spool"
	"sextant/sinks/stdout"
)

// plant is everything between a source and the outside: the settings of stages and sinks, and what is built from them.
type plant struct {
	pipelineCfg   pipelineConfig
	verdictCfg    verdictConfig
	clickhouseCfg clickhouse.Config
	spoolCfg      spool.Config
	prometheusCfg prometheus.Config
	trackCfg      track.Config
	clusterCfg    clusterConfig

	names    *flow.Interner
	registry *prom.Registry
	judge    *verdict.Stage
	nat64    *nat64
	cluster  *cluster
	pipeline *collector.Pipeline
	store    *clickhouse.Sink // nil without a clickhouse sink
	spool    *spool.Sink      // in front of it, nil without one
	printer  *stdout.Sink     // nil without a stdout sink
}

type pipelineConfig struct {
	BatchRows     int           `yaml:"batch_rows" doc:"flows that travel through the stages as one batch"`
	BatchWait     time.Duration `yaml:"batch_wait" doc:"longest time that a live flow waits for its batch to fill"`
	DeliveryRows  int           `yaml:"delivery_rows" doc:"rows that a sink is given at once; ClickHouse likes tens of thousands"`
	DeliveryWait  time.Duration `yaml:"delivery_wait" doc:"longest time that rows wait for a delivery to fill"`
	QueueRows     int           `yaml:"queue_rows" doc:"rows that may wait for each sink, at about 600 bytes each"`
	DrainDeadline time.Duration `yaml:"drain_deadline" doc:"how long the queues may empty after the end was asked for"`
}

func defaultPipeline() pipelineConfig {
	return pipelineConfig{
		BatchRows: 1024, BatchWait: 500 * time.Millisecond, DeliveryRows: 50_000, DeliveryWait: 2 * time.Second,
		QueueRows: 250_000, DrainDeadline: 15 * time.Second,
	}
}

func (c pipelineConfig) Validate() error {
	var errs []error
	if c.BatchRows > 1<<20 {
		errs = append(errs, fmt.Errorf("pipeline.batch_rows: must be at most %d, is %d", 1<<20, c.BatchRows))
	}
	for key, n := range map[string]int{"batch_rows": c.BatchRows, "delivery_rows": c.DeliveryRows, "queue_rows": c.QueueRows} {
		if n < 1 {
			errs = append(errs, fmt.Errorf("pipeline.%s: must be at least 1, is %d", key, n))
		}
	}
	for key, d := range map[string]time.Duration{"batch_wait": c.BatchWait, "delivery_wait": c.DeliveryWait, "drain_deadline": c.DrainDeadline} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("pipeline.%s: must be above 0, is %s", key, d))
		}
	}
	return errors.Join(errs...)
}

func newPlant() *plant {
	p := &plant{
		pipelineCfg: defaultPipeline(), verdictCfg: defaultVerdict(), trackCfg: track.Default(),
		clickhouseCfg: clickhouse.Default(), spoolCfg: spool.Default(), prometheusCfg: prometheus.Default(), clusterCfg: defaultCluster(),
		names: flow.NewInterner(), registry: prom.NewRegistry(),
	}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return p
}

// sections are the settings of a plant; those of a watch where a cluster is watched.
func (p *plant) sections(watch bool) sections {
	return append(sections{
		newSection("clickhouse", false, &p.clickhouseCfg),
		newSection("prometheus", false, &p.prometheusCfg),
		newSection("verdict", true, &p.verdictCfg),
		newSection("track", false, &p.trackCfg),
		newSection("pipeline", true, &p.pipelineCfg),
	}, p.clusterCfg.sections(watch)...)
}

// validate finds what is wrong with the settings, before anything is looked for or connected to.
func (p *plant) validate() error {
	return errors.Join(p.verdictCfg.Validate(), p.trackCfg.Validate(), p.pipelineCfg.Validate(), p.spoolCfg.Validate(), p.clusterCfg.validate())
}

// blueprint says what of a plant differs between commands.
type blueprint struct {
	sinks    []string
	lossless bool
	live     bool // flows come as time goes by, and connections are told when they are due
	watch    bool // a Kubernetes API server may be watched
	spool    bool // what ClickHouse does not take may wait on disk
	print    stdout.Config
}

// build makes the stages, sinks and the pipeline. Nothing runs or connects yet.
func (p *plant) build(a *app, plan blueprint, tracer trace.Tracer) error {
	if err := p.validate(); err != nil {
		return err
	}
	stages, err := p.stages(a, plan.watch)
	if err != nil {
		return err
	}
	cfg := collector.Config{
		Stages:   stages,
		Lossless: plan.lossless, Drain: p.pipelineCfg.DrainDeadline,
		Names: p.names, Logger: a.logger, Registry: p.registry, Tracer: tracer,
	}
	if plan.live {
		cfg.Tick = time.Second
	}
	for _, name := range plan.sinks {
		out := collector.Output{Name: name, Rows: p.pipelineCfg.DeliveryRows, Wait: p.pipelineCfg.DeliveryWait, Queue: p.pipelineCfg.QueueRows}
		switch name {
		case "clickhouse":
			if err := p.clickhouseCfg.Validate(); err != nil {
				return err
			}
			p.clickhouseCfg.Program = versionText()
			p.store = clickhouse.New(p.clickhouseCfg, a.logger.With("sink", name), p.registry)
			out.Sink = p.store
			if plan.spool && p.spoolCfg.Enabled() {
				if p.spool, err = spool.Open(p.spoolCfg, p.store, p.names, a.logger.With("sink", name), p.registry); err != nil {
					return err
				}
				out.Sink, out.Held = p.spool, p.spoolCfg.Held
			}
		case "prometheus":
			if err := p.prometheusCfg.Validate(); err != nil {
				return err
			}
			out.Sink = prometheus.New(p.prometheusCfg, p.registry)
			out.Rows, out.Wait = p.pipelineCfg.BatchRows, time.Second/10 // it only counts: a scrape should see what is there
		case "stdout":
			if p.printer, err = stdout.New(plan.print); err != nil {
				return err
			}
			out.Sink = p.printer
			out.Rows, out.Wait = p.pipelineCfg.BatchRows, time.Second/10
		default:
			return fmt.Errorf("sink %q does not exist: use clickhouse, prometheus or stdout", name)
		}
		cfg.Outputs = append(cfg.Outputs, out)
	}
	p.pipeline = collector.New(cfg)
	return nil
}

// stages returns the stages in their order. Who the ends are comes first, as verdicts ask for it. Names come before
// verdicts: that a name was answered for an address confirms the verdict on it. Connections come after them: they carry the
// verdicts of their flows. Rate limits come after connections and pulls, which are what uses them up.
func (p *plant) stages(a *app, watch bool) (stages []collector.Stage, err error) {
	if p.judge, p.nat64, err = newJudge(p.names, p.verdictCfg, a.logger); err != nil {
		return nil, err
	}
	if p.cluster, err = p.newCluster(a, watch); err != nil {
		return nil, err
	}
	namesCfg := track.DefaultNames()
	namesCfg.Synthetic = p.nat64.synthetic
	if p.verdictCfg.NAT64Learn {
		namesCfg.OnPrefix = p.nat64.learn
	}
	names := track.NewNames(p.names, namesCfg)
	connections := track.New(p.trackCfg, p.names)
	connections.AAAA = names
	c := p.cluster
	return []collector.Stage{c.stage, names, p.judge, verdict.NewHidden(p.names, p.judge), connections, c.pulls, c.limits, c.inventory}, nil
}

// newJudge returns the stage that judges, knowing the prefixes that the settings name.
func newJudge(names *flow.Interner, cfg verdictConfig, logger *slog.Logger) (*verdict.Stage, *nat64, error) {
	configured, err := cfg.configured()
	if err != nil {
		return nil, nil, err
	}
	judge := verdict.New(names, verdict.Prefixes{})
	return judge, newNAT64(configured, judge, logger), nil
}

// spooling sends what waits on disk until ctx ends. The function that it returns waits for that, and lets go of spool and
// store.
func (p *plant) spooling(ctx context.Context) (stop func() error) {
	ended := make(chan error, 1)
	if p.spool == nil {
		ended <- nil
	} else {
		go func() { ended <- p.spool.Run(ctx) }()
	}
	return func() error {
		err := <-ended
		if p.spool != nil {
			err = errors.Join(err, p.spool.Close())
		}
		if p.store != nil {
			p.store.Close()
		}
		return err
	}
}

// findStore points the settings at the engine that runs on this machine, unless they name a server themselves.
func findStore(cfg *clickhouse.Config, dir string) error {
	if cfg.Address != "" {
		return nil
	}
	state, err := embedded.Running(dir)
	if errors.Is(err, embedded.ErrNotRunning) {
		return fmt.Errorf("no ClickHouse: none runs here (%w); name a server with --clickhouse ADDR, or run `sextant demo` in another terminal", err)
	}
	if err != nil {
		return err
	}
	useEngine(cfg, state)
	return nil
}

// openStore finds the store that the settings mean, for questions.
func openStore(cfg *clickhouse.Config, dir string) (*clickhouse.DB, error) {
	if err := findStore(cfg, dir); err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return clickhouse.Open(*cfg)
}

func useEngine(cfg *clickhouse.Config, state embedded.State) {
	cfg.Address, cfg.Username, cfg.PasswordFile = state.Native, state.User, state.PasswordFile
	cfg.TLS = clickhouse.TLS{}
}

// dataDir is where the engine on this machine keeps its data.
func dataDir() string {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sextant")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".local", "state", "sextant")
}

// checkStore tries the store until it can be written to once, so that a service says early that it cannot store.
func checkStore(ctx context.Context, store *clickhouse.Sink) func() error {
	if store == nil {
		return func() error { return nil }
	}
	var last atomic.Pointer[error]
	pending := errors.New("not reached yet")
	last.Store(&pending)
	go func() {
		for {
			err := store.Check(ctx)
			last.Store(&err)
			if err == nil {
				return
			}
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() error {
		if err := *last.Load(); err != nil {
			return fmt.Errorf("sink clickhouse: %w", err)
		}
		return nil
	}
}
