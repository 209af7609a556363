package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Budgets that the history is to keep to.
const (
	bytesPerFlow = 20  // on disk, all included
	milliseconds = 300 // of an answer
)

// report is all that was found.
type report struct {
	Seed       uint64   `json:"seed"`
	ClickHouse string   `json:"clickhouse"`
	Load       loaded   `json:"load"`
	Tables     []bytes  `json:"tables"`
	Columns    []bytes  `json:"columns"`
	Queries    []answer `json:"queries"` // of tables as they are while flows come in
	Merged     []answer `json:"merged"`  // the same of tables that are merged
}

// total is what a flow takes on disk, in all tables.
func (r *report) total() (merged, unmerged float64) {
	for _, t := range r.Tables {
		merged += t.PerFlow
		unmerged += t.Before
	}
	return merged, unmerged
}

// broken returns the budgets that the options ask to hold and that do not.
func (r *report) broken(o options) error {
	var errs []error
	if total, _ := r.total(); (o.check || o.strict) && total > bytesPerFlow {
		errs = append(errs, fmt.Errorf("a flow takes %.1f bytes, and may take %d", total, bytesPerFlow))
	}
	for i, a := range r.Queries {
		a.Fault = cmp.Or(a.Fault, r.Merged[i].Fault)
		switch time := max(a.time(), r.Merged[i].time()); {
		case a.Fault != "" && (o.check || o.strict):
			errs = append(errs, fmt.Errorf("%s: %s", a.Name, a.Fault))
		case time >= milliseconds && o.strict:
			errs = append(errs, fmt.Errorf("%s: takes %d ms, and is to take less than %d", a.Name, time, milliseconds))
		}
	}
	return errors.Join(errs...)
}

func (r *report) write(w io.Writer, format string) error {
	if format == "json" {
		out := json.NewEncoder(w)
		out.SetIndent("", "  ")
		return out.Encode(r)
	}
	var text strings.Builder
	r.text(&text)
	_, err := io.WriteString(w, text.String())
	return err
}

func (r *report) text(w *strings.Builder) {
	l := r.Load
	fmt.Fprintf(w, "seed %d, ClickHouse %s: %d flows, %d connections, %d other rows\n", r.Seed, r.ClickHouse, l.Flows, l.Connections, l.Others)
	fmt.Fprintf(w, "stored in %.0f s, %.0f flows/s; a flow takes %.1f µs in the stages, %.1f µs in the sink, %.1f µs in the engine; at most %d MiB here, %d MiB there\n\n",
		l.Seconds, l.PerSecond, l.Stages, l.Sink, l.Engine, l.CollectorMemory, l.EngineMemory)

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "rows\tbytes a flow\tunmerged\t\t  table")
	for _, b := range r.Tables {
		fmt.Fprintf(t, "%d\t%.2f\t%.2f\t\t  %s\n", b.Rows, b.PerFlow, b.Before, b.Name)
	}
	merged, unmerged := r.total()
	fmt.Fprintf(t, "\t%.2f\t%.2f\t%s\t  all, budget %d\n", merged, unmerged, judge(merged <= bytesPerFlow), bytesPerFlow)
	_ = t.Flush() // a strings.Builder takes everything

	fmt.Fprintln(t, "\nbytes a flow\t  column")
	for _, b := range r.Columns {
		fmt.Fprintf(t, "%.3f\t  %s %.40s\n", b.PerFlow, b.Name, b.Type)
	}
	_ = t.Flush()

	fmt.Fprintln(t, "\nbest ms\tworst ms\tcpu ms\tmerged ms\tmerged cpu\tread rows\tread MB\tmemory MB\tresult\t\t  question")
	var failed []answer
	for i, a := range r.Queries {
		if a.Fault != "" {
			failed = append(failed, a)
			continue
		}
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%.1f\t%d\t%s\t  %s\n",
			a.Best, a.Worst, a.CPU, r.Merged[i].Best, r.Merged[i].CPU, a.Rows, float64(a.Bytes)/1e6, float64(a.Memory)/1e6, a.Result, outcome(a, r.Merged[i]), a.Name)
	}
	_ = t.Flush()
	for _, a := range failed {
		fmt.Fprintf(w, "\nFAILED %s: %s\n", a.Name, a.Fault)
	}
}

func judge(ok bool) string {
	if ok {
		return "ok"
	}
	return "OVER"
}

// outcome holds against the budget what an answer takes, and tells where it holds for one kind of tables alone.
func outcome(unmerged, merged answer) string {
	switch before, after := unmerged.time() < milliseconds, merged.time() < milliseconds; {
	case after && !before:
		return "merged"
	case before && !after:
		return "unmerged"
	default:
		return judge(after)
	}
}
