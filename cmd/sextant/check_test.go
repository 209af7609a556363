package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"sextant/cmd/sextant/preflight"
	"sextant/collector/hubble/playback"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

// checked runs `sextant check` and returns what it found, by topic and subject, and its error.
func checked(t *testing.T, args ...string) (map[string]preflight.Line, error) {
	t.Helper()
	var c cli
	c.Run.init()
	c.Replay.init()
	c.Demo.init()
	c.SQL.init()
	c.Explain.init()
	c.Check.init()
	args = append([]string{"check", "--format", "json", "--watch", "2s"}, args...)
	parser, err := newParser(&c, args)
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := parser.Parse(args)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	checkErr := cmd.Run(&app{ctx: t.Context(), stdout: &out, stderr: t.Output(), logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	var report preflight.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	found := map[string]preflight.Line{}
	for _, l := range report.Lines {
		found[l.Topic+", "+l.Subject] = l
	}
	return found, checkErr
}

// told fails where a line is missing, or says something else.
func (w wanted) told(t *testing.T, found map[string]preflight.Line) {
	t.Helper()
	l, ok := found[w.what]
	if !ok || l.Verdict != w.verdict || !strings.Contains(l.Text, w.text) || !strings.Contains(l.Remedy, w.remedy) {
		t.Errorf("%s: got %+v, want %s with %q and %q", w.what, l, w.verdict, w.text, w.remedy)
	}
}

type wanted struct {
	what         string
	verdict      preflight.Verdict
	text, remedy string
}

// TestCheckLive checks the recorded cluster while it plays, and a real ClickHouse, before and after the tables are made.
func TestCheckLive(t *testing.T) {
	t.Parallel()
	engine := embeddedtest.Own(t).State()
	recorded, err := recordedCluster(playback.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served, addrs := make(chan error, 1), make(chan []string, 1)
	go func() { served <- recorded.Serve(ctx, func(a []string) { addrs <- a }) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	nodes := <-addrs
	args := []string{"--peers", nodes[0], "--clickhouse", engine.Native, "--clickhouse-password-file", engine.PasswordFile, "--clickhouse-username", engine.User, "--state", demoDir + "state"}

	found, err := checked(t, args...)
	if err != nil {
		t.Error(err)
	}
	for _, w := range []wanted{
		{"hubble, server", preflight.OK, "the Peer service names 2 nodes", ""},
		{"hubble, encryption", preflight.OK, "to this machine", ""},
		{"hubble, version", preflight.Unknown, "played recording", ""},
		{"hubble, nodes", preflight.OK, "all reached: 2 nodes", ""},
		{"hubble, ring", preflight.OK, "node-1 keeps ", ""},
		{"hubble, lost events", preflight.OK, "none among the newest ", ""},
		{"hubble, seen flows", preflight.OK, " trace", ""},
		{"cluster, state", preflight.OK, "cluster lab: 2 nodes", ""},
		{"clickhouse, server", preflight.OK, engine.Native + ": ClickHouse ", ""},
		{"clickhouse, schema", preflight.Note, "there is no database sextant yet", ""},
		{"clickhouse, rights", preflight.OK, "CREATE TABLE", ""},
		{"clocks, clickhouse", preflight.OK, "within a second of ours", ""},
	} {
		w.told(t, found)
	}
	if l := found["clickhouse, disk"]; !strings.Contains(l.Text, " free of ") { // how full it is, is not the test's
		t.Errorf("disk: %+v", l)
	}
	if l := found["dns names, names"]; l.Verdict != preflight.OK && l.Verdict != preflight.Unknown { // whether somebody asks just now depends on when it is played
		t.Errorf("names: %+v", l)
	}
	cfg := clickhouse.Default()
	useEngine(&cfg, engine)
	if rows := query(t, cfg, "SELECT name FROM system.databases WHERE name = 'sextant'"); len(rows) != 0 {
		t.Errorf("the database was made: %v", rows)
	}

	p := newPlant()
	useEngine(&p.clickhouseCfg, engine)
	if err := p.build(&app{ctx: t.Context(), logger: slog.New(slog.DiscardHandler)}, blueprint{sinks: []string{"clickhouse"}}, nil); err != nil {
		t.Fatal(err)
	}
	defer p.store.Close()
	if err := p.store.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, err = checked(t, args...)
	if err != nil {
		t.Error(err)
	}
	wanted{"clickhouse, schema", preflight.OK, "is as it should be", ""}.told(t, found)
	wanted{"clickhouse, rights", preflight.OK, "the user may INSERT, SELECT", ""}.told(t, found)
	query(t, cfg, "ALTER TABLE sextant.flows DROP COLUMN egress_ip")
	query(t, cfg, "DROP TABLE sextant.gaps SYNC")
	found, _ = checked(t, args...)
	wanted{"clickhouse, schema", preflight.Note, "is not as this program makes it: 2 statements to run", "sextant migrate --dry-run prints them"}.told(t, found)

	// One agent tells of itself alone; the wrong TLS of nothing.
	found, err = checked(t, "--server", nodes[1], "--state", demoDir+"state")
	if err != nil {
		t.Error(err)
	}
	wanted{"hubble, server", preflight.OK, "one agent, of node-2", ""}.told(t, found)
	wanted{"hubble, nodes", preflight.Note, "not followed", "--peers"}.told(t, found)
	found, err = checked(t, "--server", "tls://"+nodes[1])
	if err == nil {
		t.Error("TLS where there is none does not fail")
	}
	wanted{"hubble, server", preflight.Fail, "it does not speak TLS", "hubble.tls to false"}.told(t, found)
}

func query(t *testing.T, cfg clickhouse.Config, sql string) []map[string]any {
	t.Helper()
	db, err := clickhouse.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := ask(t.Context(), db, sql)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// A login that is refused costs an engine of this kind its life.
func TestCheckLoginRefused(t *testing.T) {
	t.Parallel()
	engine := embeddedtest.Own(t).State()
	found, err := checked(t, "--clickhouse", engine.Native, "--clickhouse-username", "nobody")
	if err == nil {
		t.Error("a login that is refused does not fail")
	}
	wanted{"clickhouse, server", preflight.Fail, `login as "nobody" refused`, "clickhouse.username and clickhouse.password_file"}.told(t, found)
}

// The engine of `sextant demo` is found without being named.
func TestCheckFindsTheEngine(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "engine")
	server := embedded.New(embedded.Config{Dir: dir, Engine: embeddedtest.Engine(t)})
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	found, err := checked(t, "--data-dir", dir)
	if err != nil {
		t.Error(err)
	}
	wanted{"clickhouse, server", preflight.OK, server.State().Native, ""}.told(t, found)
}
