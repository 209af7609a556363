package dashboardstest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sextant/dashboards"
	"sextant/dashboards/grafana"
)

// schemas returns the folder of the SDK's schemas. They are in its root module, which has no Go and so cannot be required.
var schemas = sync.OnceValues(func() (string, error) {
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", sdk+"/go").Output()
	if err != nil {
		return "", fmt.Errorf("find the SDK's version: %w", err)
	}
	out, err := exec.Command("go", "mod", "download", "-json", sdk+"@"+strings.TrimSpace(string(version))).Output()
	if err != nil {
		return "", fmt.Errorf("download the SDK's schemas: %w: %s", err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	return filepath.Join(module.Dir, "jsonschema"), nil
})

const sdk = "github.com/grafana/grafana-foundation-sdk"

// schema returns a definition of one of them.
func schema(t *testing.T, kind, definition string) *jsonschema.Schema {
	t.Helper()
	dir, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, kind+".jsonschema.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(kind+".json", open(doc)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(kind + ".json#/definitions/" + definition)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open makes what may be anything so: the SDK's generator writes an object for it.
func open(doc any) any {
	switch doc := doc.(type) {
	case map[string]any:
		if extra, ok := doc["additionalProperties"].(map[string]any); ok && doc["type"] == "object" && len(extra) == 0 && doc["properties"] == nil {
			return map[string]any{}
		}
		for k, v := range doc {
			doc[k] = open(v)
		}
	case []any:
		for i, v := range doc {
			doc[i] = open(v)
		}
	}
	return doc
}

// TestSchemas holds the dashboards against the schemas of Grafana's SDK: the dashboard itself, and of each panel what its
// kind adds.
func TestSchemas(t *testing.T) {
	whole := schema(t, "dashboard", "Dashboard")
	prometheus := schema(t, "prometheus", "Dataquery")
	options, custom := map[string]*jsonschema.Schema{}, map[string]*jsonschema.Schema{}
	for _, kind := range []string{"timeseries", "stat", "table", "bargauge"} {
		options[kind] = schema(t, kind, "Options")
	}
	for _, kind := range []string{"timeseries", "table"} {
		custom[kind] = schema(t, kind, "FieldConfig")
	}
	check := func(t *testing.T, what string, s *jsonschema.Schema, value any) {
		t.Helper()
		if err := s.Validate(value); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, d := range dashboards.All() {
		t.Run(d.UID, func(t *testing.T) {
			text, err := grafana.JSON(d)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			check(t, "dashboard", whole, doc)
			for _, p := range doc.(map[string]any)["panels"].([]any) {
				p := p.(map[string]any)
				kind, title := p["type"].(string), p["title"].(string)
				if kind == "row" {
					continue
				}
				if options[kind] == nil {
					t.Errorf("%s: no schema for %s", title, kind)
					continue
				}
				check(t, title+": options", options[kind], p["options"])
				if s := custom[kind]; s != nil {
					check(t, title+": custom", s, p["fieldConfig"].(map[string]any)["defaults"].(map[string]any)["custom"])
				}
				for _, target := range p["targets"].([]any) {
					if from := target.(map[string]any)["datasource"].(map[string]any); from["type"] == "prometheus" {
						check(t, title+": target", prometheus, target)
					}
				}
			}
		})
	}
}

// TestRoundTrip reads the dashboards as a program with the SDK does: nothing is unknown to it, and nothing is lost.
//
//nolint:staticcheck // the SDK calls this form deprecated
func TestRoundTrip(t *testing.T) {
	grafana.Register()
	for _, d := range dashboards.All() {
		text, err := grafana.JSON(d)
		if err != nil {
			t.Fatal(err)
		}
		var read dashboard.Dashboard
		if err := json.Unmarshal(text, &read); err != nil {
			t.Errorf("%s: %v", d.UID, err)
			continue
		}
		again, err := json.MarshalIndent(read, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(text), string(again)+"\n"); diff != "" {
			t.Errorf("%s (-written +read and written again)\n%s", d.UID, diff)
		}
		// A strict decode that finds nothing returns an empty list of errors in place of none (v0.0.18).
		var strict dashboard.Dashboard
		var found cog.BuildErrors
		if err := strict.UnmarshalJSONStrict(text); err != nil && (!errors.As(err, &found) || len(found) > 0) {
			t.Errorf("%s: %v", d.UID, err)
		}
	}
}
