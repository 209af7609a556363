package preflight

import (
	"fmt"
	"slices"
	"strings"
)

// Watch is one kind of objects that Sextant watches at a Kubernetes API server, and how that goes.
type Watch struct {
	Name    string // "Pod", "Event Failed"
	Serves  string // what is not known without it
	State   WatchState
	Why     string // why it is not on
	Remedy  string // what to do about that
	Objects int
}

// WatchState is how a watch does.
type WatchState uint8

// Watch states.
const (
	WatchUnknown   WatchState = iota // nothing was answered yet
	WatchOn                          // up to date
	WatchIdle                        // not needed
	WatchAbsent                      // the API server has no such resource
	WatchForbidden                   // it may not be read
	WatchBroken                      // it does not work for another reason
)

// Watches judges what a Kubernetes API server lets us see.
func Watches(all []Watch) []Line {
	var on []string
	var lines []Line
	for _, w := range all {
		a := answer{text: w.Why, remedy: w.Remedy}
		if w.Serves != "" {
			a.means = "Not known without it: " + w.Serves + "."
		}
		switch w.State {
		case WatchOn:
			on = append(on, fmt.Sprintf("%s %d", w.Name, w.Objects))
			continue
		case WatchIdle:
			continue
		case WatchAbsent:
			a.verdict, a.text = Note, "not there: "+a.text
		case WatchForbidden:
			a.verdict, a.text = Warn, "forbidden: "+a.text
		case WatchBroken:
			a.verdict, a.text = Fail, "does not work: "+a.text
		default:
			a.verdict, a.text = Unknown, "no answer yet"
		}
		lines = append(lines, a.line(TopicKubernetes, w.Name))
	}
	slices.SortStableFunc(lines, func(a, b Line) int { return int(b.Verdict) - int(a.Verdict) })
	if len(on) > 0 {
		lines = append([]Line{answer{verdict: OK, text: "objects known: " + strings.Join(on, ", ")}.line(TopicKubernetes, "watches")}, lines...)
	}
	return lines
}
