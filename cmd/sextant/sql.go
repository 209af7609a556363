package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"sextant/sinks/clickhouse"
)

type sqlCmd struct {
	kong.Plugins
	Query   string `arg:"" optional:"" help:"The query; without it, or with -, standard input is read."`
	Format  string `help:"Form of the answer: table, json (an object a line) or csv." enum:"table,json,csv" default:"table"`
	DataDir string `env:"SEXTANT_DATA_DIR" help:"Where to look for the engine of sextant demo when no --clickhouse is given." default:"${data_dir}" placeholder:"DIR"`

	cfg      clickhouse.Config
	settings sections
}

func (cmd *sqlCmd) init() {
	cmd.cfg = clickhouse.Default()
	cmd.cfg.Address = ""
	cmd.settings = sections{newSection("clickhouse", false, &cmd.cfg)}
	cmd.Plugins = cmd.settings.plugins()
}

// Run asks and prints the answer.
func (cmd *sqlCmd) Run(a *app) error {
	cmd.settings.apply()
	if cmd.Query == "" || cmd.Query == "-" {
		if f, ok := a.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return errors.New("no query: give one, as in sextant sql 'SELECT count() FROM flows'")
		}
		text, err := io.ReadAll(a.stdin)
		if err != nil {
			return fmt.Errorf("read query: %w", err)
		}
		cmd.Query = string(text)
	}
	if err := findStore(&cmd.cfg, cmd.DataDir); err != nil {
		return err
	}
	if err := cmd.cfg.Validate(); err != nil {
		return err
	}
	db, err := clickhouse.Open(cmd.cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.Query(a.ctx, strings.TrimRight(strings.TrimSpace(cmd.Query), ";"))
	if err != nil {
		return err
	}
	return rows.Write(a.stdout, cmd.Format)
}
