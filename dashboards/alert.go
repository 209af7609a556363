package dashboards

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Alert is what wakes somebody. It is given when the value is beyond the threshold for some time and the guard holds.
type Alert struct {
	Name     string // CamelCase, with the prefix Sextant
	Severity Severity
	Value    string // PromQL; what it is compared with stands apart, for those who write that down apart
	Compare  Compare
	Limit    float64
	For      time.Duration
	Guard    Guard
	About    []string // labels that tell apart what it is about

	// SQL, where it is there, asks the history the same: for Grafana, which can evaluate it. It returns a number and texts,
	// which are the labels, has the guard in it, and takes no variables.
	SQL SQL

	Summary     string // one line; {{ $labels.x }} and {{ $value }} as in Prometheus
	Description string

	Means     string   // runbook: what has happened, and whom it hurts
	Do        []string // what to look at and to do, in that order
	Queries   []string // named queries that tell more
	Dashboard string   // uid of the dashboard that shows it
}

// Severity says how soon somebody should look.
type Severity string

// Severities.
const (
	Critical Severity = "critical" // now: something is lost or cut off
	Warn     Severity = "warning"  // today
	Info     Severity = "info"     // when there is time
)

// Compare is how a value is compared with the threshold.
type Compare string

// Comparisons.
const (
	Above Compare = ">"
	Below Compare = "<"
)

// Guard is what must hold for an alert to be given. What does not hold is an alert of its own, so that silence is never
// taken for good news.
type Guard int

// Guards.
const (
	Unguarded Guard = iota // it is about Sextant itself
	Observed               // enough of the cluster was observed: else SextantBlind
	Fresh                  // the inventory is not too old: else SextantInventoryStale
)

// Guarded returns the value where the guard holds, and nothing where it does not.
func (a Alert) Guarded(c Config) string {
	switch a.Guard {
	case Observed:
		return "(" + a.Value + ") and on (cluster) " + completenessRecord + " >= " + number(c.Completeness)
	case Fresh:
		return "(" + a.Value + ") and on (cluster) " + inventoryAgeRecord + " <= " + number(c.InventoryAge.Seconds())
	default:
		return a.Value
	}
}

// Expr returns the whole expression.
func (a Alert) Expr(c Config) string {
	a.Value = "(" + a.Value + ") " + string(a.Compare) + " " + number(a.Limit)
	return a.Guarded(c)
}

// Anchor is the name of the alert's section in the runbooks.
func (a Alert) Anchor() string { return strings.ToLower(a.Name) }

// Record is a recording rule.
type Record struct {
	Name string
	Expr string
	Doc  string
}

// promDuration writes a duration of whole seconds as PromQL takes it.
func promDuration(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// grown returns by how much a counter has grown within a window. A series that was not there before the window has grown
// by all that it is: to increase() its first value is the one that it grows from, so that a single connection of a
// workload that made none before would never show.
func grown(counter string, window time.Duration) string {
	w := promDuration(window)
	return fmt.Sprintf("(%s unless %s offset %s or increase(%s[%s]))", counter, counter, w, counter, w)
}

func number(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
