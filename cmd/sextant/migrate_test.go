package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

// The dry run prints what is then done, and a second time there is nothing left to do.
func TestMigrateCommand(t *testing.T) {
	t.Parallel()
	engine := embeddedtest.Own(t).State()
	run := func(flags ...string) string {
		var c cli
		c.Migrate.init()
		args := append([]string{"migrate", "--clickhouse", engine.Native, "--clickhouse-password-file", engine.PasswordFile, "--clickhouse-username", engine.User}, flags...)
		parser, err := newParser(&c, args)
		if err != nil {
			t.Fatal(err)
		}
		cmd, err := parser.Parse(args)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := cmd.Run(&app{ctx: t.Context(), stdout: &out, stderr: t.Output(), logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	planned := run("--dry-run")
	if !strings.HasPrefix(planned, "CREATE DATABASE IF NOT EXISTS `sextant`;\n") || !strings.Contains(planned, "INSERT INTO `sextant`.`schema_version`") {
		t.Errorf("dry run: %.300s", planned)
	}
	if done := run(); done != planned {
		t.Errorf("done was something else than planned: %.300s", done)
	}
	for _, flags := range [][]string{nil, {"--dry-run"}} {
		if again, want := run(flags...), "-- database sextant at "+engine.Native+" is as it should be\n"; again != want {
			t.Errorf("again: %.300s, want %s", again, want)
		}
	}
}
