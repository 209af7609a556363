// Sextant tells an IPv6 migration where it stands: it follows Cilium's Hubble, says of every flow which way it took and
// how that is known, and keeps the record in ClickHouse and Prometheus.
//
// This package is the command and its wiring: it is the only one that imports all the others, and it decides nothing
// about flows.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"

	"sextant/sinks/clickhouse/embedded"
)

type cli struct {
	Config  configFile       `env:"SEXTANT_CONFIG" help:"YAML file with settings. Every key is also a flag and a SEXTANT_… variable; a flag goes before a variable, a variable before the file." placeholder:"FILE"`
	Log     logSettings      `embed:"" prefix:"log-" group:"log"`
	Version kong.VersionFlag `help:"Print the version and exit."`

	Run     runCmd     `cmd:"" help:"Follow Hubble and store its flows: the service."`
	Replay  replayCmd  `cmd:"" help:"Send recorded flows to a sink."`
	Demo    demoCmd    `cmd:"" help:"Run the whole of Sextant on this machine, on a recorded cluster."`
	SQL     sqlCmd     `cmd:"" name:"sql" help:"Ask ClickHouse."`
	Report  reportCmd  `cmd:"" help:"Say which rate limits the cluster uses up, who does, what is not seen of it, and what another network would change."`
	Explain explainCmd `cmd:"" help:"Say what an address or a flow is, how that is known, and what would make it certain."`
	Check   checkCmd   `cmd:"" help:"Say what Hubble, the cluster and ClickHouse let Sextant see and say, and what would make it more."`
	Migrate migrateCmd `cmd:"" help:"Make what is missing of ClickHouse's tables, or say what is."`
	Docs    docsCmd    `cmd:"" help:"Print a reference page: settings, flows, connections, gaps, heartbeats, pulls, inventory, charges, buckets, limits or queries."`

	Generate generateCmd `cmd:"" help:"Write Grafana dashboards, alert rules and runbooks, from the definitions that the page shows too."`
}

type logSettings struct {
	Level  slog.Level `key:"log.level" env:"SEXTANT_LOG_LEVEL" help:"Least level that is logged: debug, info, warn or error." default:"info" placeholder:"LEVEL"`
	Format string     `key:"log.format" env:"SEXTANT_LOG_FORMAT" help:"Format of log lines: text or json." enum:"text,json" default:"text"`
}

// app is what every command gets.
type app struct {
	ctx            context.Context // ends with SIGINT or SIGTERM
	stdin          io.Reader
	stdout, stderr io.Writer
	logger         *slog.Logger
	log            logSettings
}

func main() {
	embedded.MaybeChild()
	os.Exit(run(os.Args[1:]))
}

// run is main with an exit code: 0 done, 1 something went wrong, 2 the command line or the settings are wrong.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once

	var c cli
	c.Run.init()
	c.Replay.init()
	c.Demo.init()
	c.SQL.init()
	c.Report.init()
	c.Explain.init()
	c.Check.init()
	c.Migrate.init()
	c.Generate.init()
	parser, err := newParser(&c, args)
	if err != nil {
		return fail(2, err)
	}
	cmd, err := parser.Parse(args)
	if err != nil {
		return fail(2, err)
	}
	a := &app{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, logger: newLogger(c.Log, os.Stderr), log: c.Log}
	if err := cmd.Run(a); err != nil {
		return fail(1, err)
	}
	return 0
}

func fail(code int, err error) int {
	if _, ok := errors.AsType[*kong.ParseError](err); ok {
		code = 2
	}
	fmt.Fprintf(os.Stderr, "sextant: %v\n", err)
	return code
}

func newLogger(s logSettings, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.Level}
	if s.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// version is set by the build (Makefile).
var version = ""

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
