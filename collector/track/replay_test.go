package track_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/collector/track"
)

const (
	recordings = "../../test/recordings/"
	demo       = "../../deploy/demo/"
)

// replayed is what a replay gave.
type replayed struct {
	records     []flow.Record
	connections []flow.Connection
}

// replay runs recordings through the names and the connections, as one collector that follows all nodes would.
func replay(t testing.TB, paths ...string) replayed {
	t.Helper()
	var out replayed
	intern := flow.NewInterner()
	names := track.NewNames(intern, track.DefaultNames())
	stage := track.New(track.Default(), intern)
	stage.AAAA = names
	files := hubble.NewFiles(hubble.FilesConfig{
		Paths: paths, Strict: true, Names: intern, Pool: flow.NewPool(256), Logger: slog.New(slog.DiscardHandler),
	})
	err := files.Run(t.Context(), func(_ context.Context, b *flow.Batch) error {
		names.Process(b)
		stage.Process(b)
		out.records = append(out.records, b.Records...)
		out.connections = append(out.connections, b.Connections...)
		b.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var last flow.Batch
	stage.Flush(&last, true)
	out.connections = append(out.connections, last.Connections...)
	slices.SortStableFunc(out.connections, func(a, b flow.Connection) int {
		return cmp.Or(a.First.Compare(b.First), slices.Compare(a.ID[:], b.ID[:]))
	})
	return out
}

// files are the recordings of a scenario.
func files(t testing.TB, scenario string) []string {
	t.Helper()
	paths, err := filepath.Glob(recordings + scenario + "*.jsonl*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recordings of %s: %v", scenario, err)
	}
	return paths
}

// show is a connection for a person.
func show(c *flow.Connection) string {
	end := func(e *flow.End) string {
		ep := e.Endpoint.Get()
		who := strings.Trim(ep.Namespace.String()+"/"+ep.Pod.String(), "/")
		if who == "" {
			who = fmt.Sprint(ep.Identity)
		}
		return fmt.Sprintf("%s:%d[%s]", e.IP, e.Port, who)
	}
	s := fmt.Sprintf("%s %-6s %-11s %-4s %s > %s %s %s late=%t flows=%d", c.First.Format("15:04:05.000"), c.Node, c.View, c.Protocol, end(&c.Source), end(&c.Destination), c.Destination.Name, c.Outcome, c.Late, c.Flows)
	if !c.DropReason.IsZero() {
		s += " " + c.DropReason.String()
	}
	if c.FallenBack {
		s += fmt.Sprintf(" FALLEN %d", c.FallbackMs)
	}
	if c.FallbackOf != (flow.UUID{}) {
		s += fmt.Sprintf(" RETRY %d", c.FallbackMs)
	}
	if c.AvoidableIPv4 {
		s += " AVOIDABLE"
	}
	if c.ServiceNAT {
		s += " svc"
	}
	if c.EgressIP.IsValid() {
		s += " egress=" + c.EgressIP.String() + "/" + c.EgressIPEvidence.String()
	}
	return s
}
