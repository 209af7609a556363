package main

import (
	"cmp"
	"context"
	"errors"

	"github.com/alecthomas/kong"

	"sextant/collector/hubble"
	"sextant/sinks/stdout"
)

type runCmd struct {
	kong.Plugins
	Sink []string `help:"Where flows go: clickhouse, prometheus or stdout." default:"clickhouse,prometheus" placeholder:"SINK"`

	plant     *plant
	hubbleCfg hubble.Config
	httpCfg   httpConfig
	uiCfg     uiConfig
	settings  sections
}

func (cmd *runCmd) init() {
	cmd.plant, cmd.hubbleCfg, cmd.httpCfg, cmd.uiCfg = newPlant(), hubble.Default(), defaultHTTP(), defaultUI()
	cmd.plant.verdictCfg.NAT64Discovery = "system"
	cmd.settings = append(sections{newSection("hubble", true, &cmd.hubbleCfg), newSection("http", true, &cmd.httpCfg), newSection("ui", false, &cmd.uiCfg), newSection("spool", false, &cmd.plant.spoolCfg)}, cmd.plant.sections(true)...)
	cmd.Plugins = cmd.settings.plugins()
}

// Run follows Hubble until a signal comes.
func (cmd *runCmd) Run(a *app) error {
	cmd.settings.apply()
	p := cmd.plant
	cmd.hubbleCfg.BatchRows, cmd.hubbleCfg.BatchWait = p.pipelineCfg.BatchRows, p.pipelineCfg.BatchWait
	if err := cmd.hubbleCfg.Validate(); err != nil {
		return err
	}
	tracer, stopTracing, err := newTracer(a.ctx, a.logger)
	if err != nil {
		return err
	}
	defer stopTracing()
	if err := p.build(a, blueprint{sinks: cmd.Sink, live: true, watch: true, spool: true, print: stdout.Config{Out: a.stdout, Live: true}}, tracer); err != nil {
		return err
	}
	client, err := hubble.New(cmd.hubbleCfg, p.names, a.logger, p.registry)
	if err != nil {
		return err
	}
	if p.spool != nil {
		client.Resume(p.spool.Marks())
	}
	if err := p.discover(a); err != nil {
		return err
	}
	stored := checkStore(a.ctx, p.store)
	ready := func() error {
		return errors.Join(client.Ready(), p.cluster.ready(), cmp.Or(stored(), p.pipeline.Healthy()))
	}
	addr, stopHTTP, err := serveHTTP(cmd.httpCfg, p.registry, ready)
	if err != nil {
		return err
	}
	defer stopHTTP()
	uiAddr, stopUI, err := serveUI(cmd.uiCfg, p.clickhouseCfg, p.registry, a.logger)
	if err != nil {
		return err
	}
	defer stopUI()

	a.logger.Info("sextant starts", "version", versionText(), "sinks", cmd.Sink, "http", addr, "ui", uiAddr)
	ctx, cancel := context.WithCancelCause(a.ctx)
	watched := make(chan error, 1)
	go func() {
		err := p.cluster.run(ctx)
		if err != nil {
			cancel(err)
		}
		watched <- err
	}()
	stopSpool := p.spooling(ctx)
	err = p.pipeline.Run(ctx, client)
	cancel(nil)
	err = errors.Join(err, <-watched, stopSpool())
	told := p.pipeline.Counts()
	a.logger.Info("stopped", "flows", told.Flows, "connections", told.Connections, "gaps", told.Gaps, "pulls", told.Pulls, "inventory", told.Items, "heartbeats", told.Beats, "charges", told.Charges, "buckets", told.Buckets, "stored_all", err == nil)
	return err
}
