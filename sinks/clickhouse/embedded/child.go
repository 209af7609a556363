package embedded

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
)

// childEnv carries a job from the program to the second copy of itself.
const childEnv = "SEXTANT_ENGINE_CHILD"

// job is what an engine process has to do.
type job struct {
	Engine Engine
	Config string // path of the engine's configuration file
}

// MaybeChild must be the first call in main, and in TestMain of tests that use an
// engine. In a process that a [Server] started it runs the engine and never
// returns; in every other process it does nothing.
func MaybeChild() {
	spec := os.Getenv(childEnv)
	if spec == "" {
		return
	}
	if err := runChild(spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runChild(spec string) error {
	// Only the end of standard input ends the engine: a service manager signals
	// all our processes at once, while the parent still has batches to write.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	var j job
	if err := json.Unmarshal([]byte(spec), &j); err != nil {
		return fmt.Errorf("read %s: %w", childEnv, err)
	}
	if j.Engine.Library {
		return runLibrary(j.Engine.Path, j.Config)
	}
	return runBinary(j.Engine.Path, j.Config)
}

// runBinary runs a clickhouse binary until standard input ends.
func runBinary(path, config string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin) // its end or its failure, the parent is gone
	}()
	args := []string{"--config-file=" + config}
	if filepath.Base(path) != "clickhouse-server" {
		args = append([]string{"server"}, args...)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("run %s: %s", path, describe(err, ""))
}
