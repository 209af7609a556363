package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"sextant/collector/hubble"
	"sextant/collector/hubble/playback"
	"sextant/deploy/demo"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded"
)

type demoCmd struct {
	kong.Plugins
	Once    bool   `help:"Ingest the recording once, print the answers, and end."`
	Format  string `help:"With --once, form of the answers: text or json." enum:"text,json" default:"text"`
	Engine  string `env:"SEXTANT_ENGINE" help:"ClickHouse engine to run: a clickhouse binary or libchdb.so; without it, it is looked for." placeholder:"PATH"`
	DataDir string `env:"SEXTANT_DATA_DIR" help:"Where the engine keeps its data; with --once, a folder that is removed in the end." default:"${data_dir}" placeholder:"DIR"`

	plant     *plant
	httpCfg   httpConfig
	uiCfg     uiConfig
	settings  sections
	ownEngine bool // and no server that the settings name
}

func (cmd *demoCmd) init() {
	cmd.plant, cmd.httpCfg, cmd.uiCfg = newPlant(), defaultHTTP(), defaultUI()
	cmd.uiCfg.Enabled, cmd.uiCfg.Range = true, 5*time.Minute // the recording lasts hardly longer
	cmd.httpCfg.Listen = "localhost:9646"
	cmd.plant.clickhouseCfg.Address = ""
	cmd.plant.clickhouseCfg.StoreUUID = true
	cmd.settings = append(sections{newSection("http", true, &cmd.httpCfg), newSection("ui", false, &cmd.uiCfg)}, cmd.plant.sections(false)...)
	cmd.Plugins = cmd.settings.plugins()
}

// onceDeadline bounds demo --once. The recording takes seconds.
const onceDeadline = 55 * time.Second

// Run plays the recorded cluster to the same collector that `sextant run` is.
func (cmd *demoCmd) Run(a *app) error {
	cmd.settings.apply()
	if enrich := &cmd.plant.clusterCfg.enrich; len(enrich.Labels) == 0 {
		enrich.Labels = []string{"team"} // of the recorded namespaces
	}
	if onTerminal(a) && !cmd.Once && a.log.Level == slog.LevelInfo { // the line of progress says enough
		a.log.Level = slog.LevelWarn
		a.logger = newLogger(a.log, a.stderr)
	}
	ctx, cancel := context.WithCancel(a.ctx)
	defer cancel()
	began := time.Now()

	// The engine ends last, after the collector has drained into it.
	engineDone, stopEngine, err := cmd.startEngine(a)
	if err != nil {
		return err
	}
	defer stopEngine()
	if err := cmd.freshDatabase(ctx); err != nil {
		return err
	}
	cluster, err := recordedCluster(playback.Options{Once: cmd.Once})
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	peers := make(chan []string, 1)
	served := make(chan error, 1)
	group.Go(func() { served <- cluster.Serve(ctx, func(addrs []string) { peers <- addrs }) })

	p := cmd.plant
	state, removeState, err := recordedState()
	if err != nil {
		return err
	}
	p.verdictCfg.State = append([]string{state}, p.verdictCfg.State...)
	err = p.build(a, blueprint{sinks: []string{"clickhouse", "prometheus"}, lossless: true, live: !cmd.Once}, nil)
	removeState()
	if err != nil {
		return err
	}
	defer p.store.Close()
	var addrs []string
	select {
	case addrs = <-peers:
	case err := <-served:
		return fmt.Errorf("serve the recorded cluster: %w", err)
	}
	cfg := hubble.Default()
	cfg.Peers = addrs[0]
	cfg.HubbleTraffic = "include" // the recording holds none of it
	cfg.Since = cluster.Start().Add(-time.Second).Format(time.RFC3339Nano)
	cfg.BatchRows, cfg.BatchWait = p.pipelineCfg.BatchRows, p.pipelineCfg.BatchWait
	client, err := hubble.New(cfg, p.names, a.logger, p.registry)
	if err != nil {
		return err
	}
	ready := func() error { return errors.Join(client.Ready(), p.pipeline.Healthy()) }
	if cmd.Once {
		cmd.httpCfg.Listen = "localhost:0" // beside a demo that runs
		cmd.uiCfg.Enabled = false
	}
	httpAddr, stopHTTP, err := serveHTTP(cmd.httpCfg, p.registry, ready)
	if err != nil {
		return err
	}
	defer stopHTTP()
	uiAddr, stopUI, err := serveUI(cmd.uiCfg, p.clickhouseCfg, p.registry, a.logger)
	if err != nil {
		return err
	}
	defer stopUI()

	ran := make(chan error, 1)
	group.Go(func() { ran <- p.pipeline.Run(ctx, client) })
	if cmd.Once {
		return cmd.once(a, cancel, ran, cluster, began)
	}
	fmt.Fprint(a.stdout, cmd.welcome(cluster, addrs, httpAddr, uiAddr))
	progress := newProgress(a, p)
	defer progress.end()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			progress.show()
		case err := <-engineDone:
			cancel()
			return errors.Join(fmt.Errorf("the ClickHouse engine ended: %w", err), <-ran)
		case err := <-ran:
			return err
		}
	}
}

// once waits until the store holds every flow of the recording, and answers.
func (cmd *demoCmd) once(a *app, cancel context.CancelFunc, ran <-chan error, cluster *playback.Cluster, began time.Time) error {
	db, err := clickhouse.Open(cmd.plant.clickhouseCfg)
	if err != nil {
		return err
	}
	defer db.Close()
	deadline := time.After(onceDeadline - time.Since(began))
	for want := int64(cluster.Flows()); cmd.plant.pipeline.Counts().Flows < want; {
		select {
		case <-time.After(20 * time.Millisecond):
		case err := <-ran:
			return errors.Join(err, a.ctx.Err())
		case <-deadline:
			cancel()
			return errors.Join(fmt.Errorf("only %d of %d flows had arrived after %s", cmd.plant.pipeline.Counts().Flows, want, onceDeadline), <-ran)
		}
	}
	cancel() // drains
	if err := <-ran; err != nil {
		return err
	}
	if a.ctx.Err() != nil {
		return errors.New("interrupted")
	}
	result := onceResult{FlowsRead: cmd.plant.pipeline.Counts().Flows}
	return result.print(a.ctx, a.stdout, db, cmd.Format, began)
}

// startEngine runs the engine, or uses the server that the settings name.
func (cmd *demoCmd) startEngine(a *app) (done <-chan error, stop func(), err error) {
	cfg := &cmd.plant.clickhouseCfg
	if cfg.Address != "" {
		if cfg.Database == clickhouse.Default().Database {
			cfg.Database = "sextant_demo" // the demo starts with an empty database: never one that somebody fills
		}
		return nil, func() {}, nil
	}
	engine, err := embedded.Find(cmd.Engine)
	if err != nil {
		return nil, nil, err
	}
	dir, remove := cmd.DataDir, func() {}
	if cmd.Once {
		if dir, err = os.MkdirTemp("", "sextant-demo-"); err != nil {
			return nil, nil, err
		}
		remove = func() { os.RemoveAll(dir) }
	}
	server := embedded.New(embedded.Config{Dir: filepath.Clean(dir), Engine: engine, Logger: a.logger})
	if err := server.Start(a.ctx); err != nil {
		remove()
		return nil, nil, err
	}
	useEngine(cfg, server.State())
	cmd.ownEngine = true
	ctx, cancel := context.WithCancel(context.WithoutCancel(a.ctx))
	ended := make(chan error, 1)
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		ended <- server.Run(ctx)
	}()
	return ended, func() {
		cancel()
		<-exited
		remove()
	}, nil
}

// freshDatabase drops what an earlier demo left.
func (cmd *demoCmd) freshDatabase(ctx context.Context) error {
	db, err := clickhouse.Open(cmd.plant.clickhouseCfg)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Query(ctx, "DROP DATABASE IF EXISTS "+cmd.plant.clickhouseCfg.Database+" SYNC") // an identifier, by Validate
	return err
}

func recordedCluster(opts playback.Options) (*playback.Cluster, error) {
	var recordings []*hubble.Recording
	for _, name := range demo.Nodes {
		f, err := demo.Files.Open(name)
		if err != nil {
			return nil, err
		}
		r, err := hubble.NewRecording(name, f)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		recordings = append(recordings, r)
	}
	return playback.New(recordings, opts)
}

// recordedState lays out the Kubernetes objects of the recorded cluster.
func recordedState() (dir string, remove func(), err error) {
	if dir, err = os.MkdirTemp("", "sextant-state-"); err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	if err := os.CopyFS(dir, demo.State); err != nil {
		remove()
		return "", nil, err
	}
	return dir, remove, nil
}

// where returns the flags by which the other commands find the demo's store, none where they look for it there anyway.
func (cmd *demoCmd) where() string {
	cfg := cmd.plant.clickhouseCfg
	switch {
	case cmd.ownEngine && cmd.DataDir == dataDir():
		return ""
	case cmd.ownEngine:
		return " --data-dir " + cmd.DataDir
	}
	return " --clickhouse " + cfg.Address + " --clickhouse-database " + cfg.Database
}

func (cmd *demoCmd) welcome(cluster *playback.Cluster, peers []string, httpAddr, uiAddr string) string {
	cfg := cmd.plant.clickhouseCfg
	_, port, _ := net.SplitHostPort(httpAddr)
	ui := "not served: ui.enabled is false"
	if _, port, err := net.SplitHostPort(uiAddr); err == nil {
		ui = "http://localhost:" + port + "/"
	}
	login := ""
	if cmd.ownEngine {
		login = fmt.Sprintf(", user %s, password in %s", cfg.Username, cfg.PasswordFile)
	}
	var text strings.Builder
	fmt.Fprintf(&text, `
Sextant runs. It follows a recorded two-node Cilium cluster, which plays %s again and again:
  dashboards   %s
  Hubble       %s and %s (real gRPC)
  ClickHouse   %s, database %s%s
  metrics      http://localhost:%s/metrics

Three questions to ask in another terminal:
`, cluster.Span().Round(time.Second), ui, peers[0], peers[1], cfg.Address, cfg.Database, login, port)
	for _, q := range questions[:3] {
		fmt.Fprintf(&text, "\n  # %s\n  %s sql %q%s\n", q.Question, os.Args[0], q.oneLine(), cmd.where())
	}
	text.WriteString("\nsextant sql takes any ClickHouse SQL on the tables flows, connections, gaps, heartbeats, pulls, inventory, charges and buckets. Ctrl-C ends the demo.\n\n")
	return text.String()
}
