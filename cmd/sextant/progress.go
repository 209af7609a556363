package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/term"
)

// progress shows on a terminal, in one line that is written over, that something happens; elsewhere it logs a line now
// and then.
type progress struct {
	app      *app
	plant    *plant
	terminal bool
	began    time.Time
	logged   time.Time
	last     int64
}

// logEvery is how often progress is logged where there is no terminal.
const logEvery = 30 * time.Second

func newProgress(a *app, p *plant) *progress {
	return &progress{app: a, plant: p, terminal: onTerminal(a), began: time.Now(), logged: time.Now()}
}

func onTerminal(a *app) bool {
	f, ok := a.stdout.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// show is called once a second.
func (p *progress) show() {
	told := p.plant.pipeline.Counts()
	rate := told.Flows - p.last
	p.last = told.Flows
	state := "all is well"
	if err := p.plant.pipeline.Healthy(); err != nil {
		state = "ClickHouse is away, rows wait"
	}
	if p.terminal {
		fmt.Fprintf(p.app.stdout, "\r\x1b[K%s  %d flows, %d in the last second, %d gaps  %s",
			time.Since(p.began).Round(time.Second), told.Flows, rate, told.Gaps, state)
		return
	}
	if time.Since(p.logged) >= logEvery {
		p.logged = time.Now()
		p.app.logger.Info("demo runs", "flows", told.Flows, "gaps", told.Gaps, "state", state)
	}
}

// end leaves the line.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprintln(p.app.stdout)
	}
}
