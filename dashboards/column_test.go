package dashboards_test

import (
	"fmt"
	"strings"
	"testing"

	"sextant/dashboards"
)

// TestColumns holds what tables say above their numbers to the units that they show them in.
func TestColumns(t *testing.T) {
	shown := map[string]string{}
	for _, d := range dashboards.All() {
		for _, p := range d.Panels() {
			for _, c := range p.Columns {
				shown[c.Name] = fmt.Sprintf("%s in %s", c.Title, c.Unit)
				for _, unit := range []string{"seconds", " ms", "percent"} {
					if strings.HasSuffix(c.Title, unit) {
						t.Errorf("%s/%d: column %q names a unit", d.UID, p.ID, c.Title)
					}
				}
			}
		}
	}
	for name, want := range map[string]string{
		"percent": "share in percent", "used_percent": "used share in percent", "lost_seconds": "time lost in s", "p95_ms": "p95 in ms", "bytes_per_day": "bytes per day in bytes",
	} {
		if shown[name] != want {
			t.Errorf("column %s: %q, want %q", name, shown[name], want)
		}
	}
}

// TestNodesHaveName sees to it that what nodes do themselves is not a row without a name.
func TestNodesHaveName(t *testing.T) {
	d, _ := dashboards.Find("sextant-standing")
	for _, p := range d.Panels() {
		for _, c := range p.Columns {
			if c.Name == "namespace" && c.Empty != "nodes" {
				t.Errorf("panel %d shows no namespace as %q, want nodes", p.ID, c.Empty)
			}
		}
	}
}
