package rules_test

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sextant/dashboards"
	"sextant/dashboards/rules"
)

// TestRunbooks sees to it that every alert leads to a section of its own.
func TestRunbooks(t *testing.T) {
	c := dashboards.Default()
	page := rules.Runbooks(c)
	sections := map[string]bool{}
	for line := range strings.Lines(page) {
		if name, is := strings.CutPrefix(line, "## "); is {
			sections[strings.ToLower(strings.TrimSpace(name))] = true
		}
	}
	for _, address := range []string{"", "https://runbooks.example/page"} {
		c.Runbooks = address
		for _, a := range dashboards.Alerts(c) {
			list := rules.Annotations(c, a)
			where, anchor, _ := strings.Cut(list["runbook"]+list["runbook_url"], "#")
			if !sections[anchor] || where != address && where != "RUNBOOKS.md" {
				t.Errorf("%s leads to %s#%s, which is not there", a.Name, where, anchor)
			}
			if list["summary"] == "" || list["description"] == "" {
				t.Errorf("%s says nothing", a.Name)
			}
		}
	}
	for _, r := range dashboards.Records(c) {
		if !strings.Contains(page, r.Name) || r.Doc == "" {
			t.Errorf("nobody says what %s is", r.Name)
		}
	}
}

// TestObject sees the same rules in the operator's object as in the files.
func TestObject(t *testing.T) {
	c := dashboards.Default()
	c.Namespace, c.Labels = "monitoring", []string{"release=stack"}
	text, err := rules.Object(c)
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct {
			Name, Namespace string
			Labels          map[string]string
		}
		Spec rules.File
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	if object.APIVersion != "monitoring.coreos.com/v1" || object.Kind != "PrometheusRule" || object.Metadata.Namespace != "monitoring" || object.Metadata.Labels["release"] != "stack" {
		t.Errorf("%+v", object)
	}
	got := 0
	for _, g := range object.Spec.Groups {
		got += len(g.Rules)
	}
	if want := len(rules.Recording(c).Groups[0].Rules) + len(rules.Alerting(c).Groups[0].Rules); got != want || want < 20 {
		t.Errorf("%d rules, want %d", got, want)
	}
}
