package kube

import "testing"

// Every key stands once in the table, with where its default comes from, and what is absent has a meaning.
func TestSettingsTable(t *testing.T) {
	seen := map[string]bool{"": true}
	for _, s := range settings {
		if seen[s.key] || s.old != "" && seen[s.old] {
			t.Errorf("%q stands twice", s.key)
		}
		seen[s.key], seen[s.old] = true, true
		if s.source == "" {
			t.Errorf("%s: nothing says where its default comes from", s.key)
		}
		var a agent
		for what, value := range map[string]string{"its default": s.absent, "the chart's": s.chart} {
			if (what == "its default" || value != "") && !s.set(&a, value) {
				t.Errorf("%s: %s, %q, has no meaning", s.key, what, value)
			}
		}
	}
}
