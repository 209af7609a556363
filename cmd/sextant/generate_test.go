package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sextant/dashboards"
)

const generatedDir = "../../dashboards/generated"

// TestGenerated sees to it that the files are those that the definitions make, and no others.
func TestGenerated(t *testing.T) {
	want, err := generated("all", dashboards.Default())
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS(generatedDir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(generatedDir, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		if !bytes.Equal(text, want[name]) {
			t.Errorf("%s is not what the definitions make: run `make generate`, and remove what nothing makes", name)
		}
		delete(want, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		t.Errorf("%s is missing: run `make generate`", name)
	}
}

// TestGenerateParts sees to it that each part writes something, that all is the sum of them, and that settings reach rules.
func TestGenerateParts(t *testing.T) {
	var parts []string
	for _, what := range []string{"dashboards", "rules", "docs"} {
		files, err := generated(what, dashboards.Default())
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", what, len(files), err)
		}
		for name := range files {
			parts = append(parts, name)
		}
	}
	all, err := generated("all", dashboards.Default())
	if err != nil || len(all) != len(parts) {
		t.Fatalf("all: %d files, parts %d, %v", len(all), len(parts), err)
	}
	c := dashboards.Default()
	c.LimitUsed = 0.123
	c.AllowIPv4 = []string{"namespace=legacy workload=erp-client until=2027-03-31 why=the vendor has none", "name=*.example.org until=2027-01-01"}
	c.Labels = []string{"release=monitoring"}
	c.Runbooks = "https://runbooks.example/"
	files, err := generated("rules", c)
	if err != nil {
		t.Fatal(err)
	}
	for name, texts := range map[string][]string{
		"prometheus/alerts.yaml":         {"> 0.123", `{namespace="legacy",workload="erp-client"} and on () (vector(time()) < 1806537600)`, "https://runbooks.example/#sextantblind"},
		"prometheus/prometheusrule.yaml": {"release: monitoring", "kind: PrometheusRule", "> 0.123"},
		"grafana-alerts.yaml":            {"0.123", "endsWith(lower(destination), '.example.org')", "namespace = 'legacy'"},
	} {
		for _, text := range texts {
			if !strings.Contains(string(files[name]), text) {
				t.Errorf("%s does not hold %q", name, text)
			}
		}
	}
}
