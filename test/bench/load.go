package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded"
)

const (
	batchRows = 100_000
	perSecond = 2_800 // flows, so that ten million are an hour's
)

// loaded is what it took to store the flows.
type loaded struct {
	Flows       int       `json:"flows"`
	Connections int       `json:"connections"`
	Others      int       `json:"others"`  // rows of other kinds
	Newest      time.Time `json:"newest"`  // flow
	Seconds     float64   `json:"seconds"` // without making the flows up
	PerSecond   float64   `json:"flows_per_second"`
	// Microseconds of one processor, for each flow.
	Stages float64 `json:"stages_us"`
	Sink   float64 `json:"sink_us"`
	Engine float64 `json:"engine_us"` // merges that ran meanwhile among it
	// MiB of memory at most.
	CollectorMemory int `json:"collector_mib"`
	EngineMemory    int `json:"engine_mib"`
}

// load stores flows of the time until now.
func load(ctx context.Context, o options, state embedded.State) (l loaded, err error) {
	names := flow.NewInterner()
	begin := time.Now().UTC().Add(-time.Duration(o.rows) * time.Second / perSecond)
	t := newTraffic(names, o.seed, begin, medium, perSecond)
	stages, err := newStages(names, t.cluster)
	if err != nil {
		return l, err
	}
	sink := clickhouse.New(config(state), slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), prometheus.NewRegistry())
	defer sink.Close()
	if err := sink.Check(ctx); err != nil {
		return l, err
	}
	before := cpuOf(state.PID)
	var making, staging, storing stopwatch
	for l.Flows < o.rows {
		b := &flow.Batch{Records: make([]flow.Record, 0, batchRows)}
		making.run(func() { t.fill(b, min(batchRows, o.rows-l.Flows)) })
		l.Flows, l.Newest = l.Flows+len(b.Records), b.Records[len(b.Records)-1].Time
		staging.run(func() { stages.process(b, l.Flows >= o.rows) })
		l.Connections += len(b.Connections)
		l.Others += b.Len() - len(b.Records) - len(b.Connections)
		storing.run(func() {
			err = sink.Write(ctx, collector.Delivery{Token: fmt.Sprintf("bench-%d-%d", o.seed, l.Flows), Batches: []*flow.Batch{b}})
		})
		if err != nil {
			return l, err
		}
	}
	flows := float64(l.Flows)
	l.Seconds = (staging.wall + storing.wall).Seconds()
	l.PerSecond = flows / l.Seconds
	l.Stages, l.Sink = staging.cpu.Seconds()*1e6/flows, storing.cpu.Seconds()*1e6/flows
	l.Engine = (cpuOf(state.PID) - before).Seconds() * 1e6 / flows
	l.CollectorMemory, l.EngineMemory = peakOf(os.Getpid()), peakOf(state.PID)
	return l, nil
}

func config(state embedded.State) clickhouse.Config {
	cfg := clickhouse.Default()
	cfg.Address, cfg.Username, cfg.PasswordFile = state.Native, state.User, state.PasswordFile
	return cfg
}

// stopwatch adds up what parts of the work take, garbage collection included that falls into them.
type stopwatch struct{ wall, cpu time.Duration }

func (s *stopwatch) run(part func()) {
	begin, before := time.Now(), ownCPU()
	part()
	s.wall += time.Since(begin)
	s.cpu += ownCPU() - before
}

func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuOf returns what a process has used so far, 0 where Linux's /proc does not tell (proc_pid_stat(5)).
func cpuOf(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * time.Second / 100
}

// peakOf returns a process's largest resident size in MiB, 0 where nobody tells.
func peakOf(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	line, _, _ := strings.Cut(after, "kB")
	kib, _ := strconv.Atoi(strings.TrimSpace(line))
	return kib >> 10
}
