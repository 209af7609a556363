// Bench measures what the history costs: it stores flows of an invented cluster in a ClickHouse of its own, through the
// stages and the sink of the product, and then asks every view and every query of the cookbook. It prints what a flow takes
// on disk and of the processors, how long each answer takes, and which of the budgets that leaves unmet.
//
// It refuses to be a model of any real cluster: deeds and their shares are written down beside the code, and everything
// follows from the seed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"sextant/sinks/clickhouse/embedded"
)

// options are the flags.
type options struct {
	rows   int
	seed   uint64
	dir    string
	keep   bool
	format string
	check  bool
	strict bool
}

func main() {
	embedded.MaybeChild()
	var o options
	flag.IntVar(&o.rows, "rows", 10_000_000, "flows to store")
	flag.Uint64Var(&o.seed, "seed", 1, "what the flows follow from")
	flag.StringVar(&o.dir, "dir", "", "folder for the data, in a new folder of its own; none: that of temporary files")
	flag.BoolVar(&o.keep, "keep", false, "leave the data where they are, and say where")
	flag.StringVar(&o.format, "format", "text", "text or json")
	flag.BoolVar(&o.check, "check", false, "end with an error when a flow takes too many bytes or a query fails; times only with -strict, as machines differ")
	flag.BoolVar(&o.strict, "strict", false, "end with an error when a query takes too long, too")
	flag.Parse()
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o options) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if o.rows < batchRows || o.format != "text" && o.format != "json" {
		return fmt.Errorf("-rows must be at least %d and -format text or json", batchRows)
	}
	dir, err := os.MkdirTemp(o.dir, "sextant-bench-")
	if err != nil {
		return err
	}
	if o.keep {
		fmt.Fprintln(os.Stderr, "data:", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	r, err := measure(ctx, o, dir)
	if err != nil {
		return err
	}
	if err := r.write(os.Stdout, o.format); err != nil {
		return err
	}
	return r.broken(o)
}

// measure loads, asks, and returns what it found. It asks twice: of tables as they are while flows come in, and of merged
// ones. The budget is for both.
func measure(ctx context.Context, o options, dir string) (r *report, err error) {
	engine, err := embedded.Find(os.Getenv("SEXTANT_ENGINE"))
	if err != nil {
		return nil, err
	}
	server := embedded.New(embedded.Config{Engine: engine, Dir: dir})
	if err := server.Start(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	state := server.State()
	r = &report{Seed: o.seed, ClickHouse: state.Version}
	if r.Load, err = load(ctx, o, state); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	db, err := open(state)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if r.Queries, err = ask(ctx, db, "unmerged", r.Load.Newest); err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	if r.Tables, r.Columns, err = weigh(ctx, db, r.Load.Flows); err != nil {
		return nil, fmt.Errorf("ask for the size: %w", err)
	}
	if r.Merged, err = ask(ctx, db, "merged", r.Load.Newest); err != nil {
		return nil, fmt.Errorf("ask again: %w", err)
	}
	return r, nil
}
