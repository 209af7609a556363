package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"

	"sextant/sinks/clickhouse"
)

type migrateCmd struct {
	kong.Plugins
	DryRun  bool   `help:"Print the statements and run none."`
	DataDir string `env:"SEXTANT_DATA_DIR" help:"Where to look for the engine of sextant demo when no --clickhouse is given." default:"${data_dir}" placeholder:"DIR"`

	cfg      clickhouse.Config
	settings sections
}

// Help implements kong.HelpProvider.
func (*migrateCmd) Help() string {
	return "sextant run does the same when it connects. This is for those who let another user make the tables, or want to see first what would be done: " +
		"the output of --dry-run is SQL, with comments where nothing is to do. It may be interrupted and repeated, and several may be at it at once; " +
		"rows are moved by days, while older collectors go on storing."
}

func (cmd *migrateCmd) init() {
	cmd.cfg = clickhouse.Default()
	cmd.cfg.Address = ""
	cmd.settings = sections{newSection("clickhouse", false, &cmd.cfg)}
	cmd.Plugins = cmd.settings.plugins()
}

// Run leads the schema to what this program needs and prints the statements that did it.
func (cmd *migrateCmd) Run(a *app) error {
	cmd.settings.apply()
	if err := findStore(&cmd.cfg, cmd.DataDir); err != nil {
		return err
	}
	if err := cmd.cfg.Validate(); err != nil {
		return err
	}
	cmd.cfg.Program = versionText()
	lead := cmd.cfg.Migrate
	if cmd.DryRun {
		lead = cmd.cfg.Plan
	}
	statements, err := lead(a.ctx)
	for _, statement := range statements {
		fmt.Fprintf(a.stdout, "%s;\n\n", strings.TrimSpace(statement))
	}
	if err != nil {
		return err
	}
	if len(statements) == 0 {
		fmt.Fprintf(a.stdout, "-- database %s at %s is as it should be\n", cmd.cfg.Database, cmd.cfg.Address)
	}
	return nil
}
