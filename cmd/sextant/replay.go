package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/alecthomas/kong"
	"github.com/prometheus/common/expfmt"

	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/collector/sysdump"
	"sextant/sinks/stdout"
)

type replayCmd struct {
	kong.Plugins
	Files   []string `arg:"" help:"Recorded flows: exporter files or the output of hubble observe -o json or jsonpb, plain or gzip; zip archives of cilium sysdump, or folders; several are merged by time; - is standard input. Without --state a sysdump's own state is used." type:"string"`
	Sink    []string `help:"Where flows go: stdout, clickhouse or prometheus (the page of metrics at the end)." default:"stdout" placeholder:"SINK"`
	Only    []string `help:"Kinds of records that the stdout sink prints: flow, connection, gap, pull, inventory, heartbeat, bucket or charge; without it all but charge." placeholder:"KIND"`
	Strict  bool     `help:"End with an error at the first line that cannot be read."`
	DataDir string   `help:"Where to look for the engine of sextant demo when no --clickhouse is given." default:"${data_dir}" placeholder:"DIR"`

	plant    *plant
	settings sections
}

func (cmd *replayCmd) init() {
	cmd.plant = newPlant()
	cmd.plant.clickhouseCfg.Address = ""
	cmd.settings = cmd.plant.sections(false)
	cmd.Plugins = cmd.settings.plugins()
}

// Run replays the files once. A full queue holds the reading up; nothing is lost.
func (cmd *replayCmd) Run(a *app) error {
	cmd.settings.apply()
	p := cmd.plant
	if err := p.validate(); err != nil {
		return err
	}
	if slices.Contains(cmd.Sink, "clickhouse") {
		if err := findStore(&p.clickhouseCfg, cmd.DataDir); err != nil {
			return err
		}
	}
	tracer, stopTracing, err := newTracer(a.ctx, a.logger)
	if err != nil {
		return err
	}
	defer stopTracing()
	if len(p.verdictCfg.State) == 0 {
		if p.verdictCfg.State, err = ownState(cmd.Files); err != nil {
			return err
		}
	}
	plan := blueprint{sinks: cmd.Sink, lossless: true, print: stdout.Config{Out: a.stdout, Only: cmd.Only}}
	if err := p.build(a, plan, tracer); err != nil {
		return err
	}
	if err := p.nat64.discoverOnce(a.ctx, p.verdictCfg); err != nil {
		return err
	}
	files := hubble.NewFiles(hubble.FilesConfig{
		Paths: cmd.Files, Strict: cmd.Strict, Names: p.names, Pool: flow.NewPool(p.pipelineCfg.BatchRows), Logger: a.logger,
	})
	err = p.pipeline.Run(a.ctx, files)
	if p.printer != nil {
		err = errors.Join(err, p.printer.Close())
	}
	if p.store != nil {
		p.store.Close()
	}
	if slices.Contains(cmd.Sink, "prometheus") {
		err = errors.Join(err, cmd.printMetrics(a))
	}
	r := files.Report()
	a.logger.Info("replayed", "flows", r.Flows, "gaps", p.pipeline.Counts().Gaps, "other_lines", r.Other, "broken_lines", r.Broken, "flaws", r.Flaws)
	if a.ctx.Err() != nil {
		err = errors.Join(err, errors.New("interrupted: not all of the input was replayed"))
	}
	return err
}

func (cmd *replayCmd) printMetrics(a *app) error {
	families, err := cmd.plant.registry.Gather()
	if err != nil {
		return err
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(a.stdout, f); err != nil {
			return err
		}
	}
	return nil
}

// ownState returns those of the paths that hold the state of the cluster beside its flows.
func ownState(paths []string) ([]string, error) {
	var state []string
	for _, path := range paths {
		if !sysdump.Is(path) {
			continue
		}
		dump, err := sysdump.Open(path)
		if err != nil {
			return nil, fmt.Errorf("open recording: %w", err)
		}
		dump.Close()
		if dump.Whole {
			state = append(state, path)
		}
	}
	return state, nil
}
