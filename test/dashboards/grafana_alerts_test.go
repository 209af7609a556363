package dashboardstest_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"sextant/dashboards"
	"sextant/dashboards/grafana"
	dashboardstest "sextant/test/dashboards"
)

// TestGrafanaAlerts holds the alerts that Grafana evaluates against the SDK's schema, and finds the same ones in the file for
// provisioning.
func TestGrafanaAlerts(t *testing.T) {
	c := settings()
	group, err := grafana.Alerts(c)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(group)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema(t, "alerting", "RuleGroup").Validate(doc); err != nil {
		t.Error(err)
	}

	text, err := grafana.Provisioning(c)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		APIVersion int `yaml:"apiVersion"`
		Groups     []struct {
			Name, Folder, Interval string
			Rules                  []struct {
				UID, Title, Condition, For string
				Annotations, Labels        map[string]string
				Data                       []struct {
					RefID         string `yaml:"refId"`
					DatasourceUID string `yaml:"datasourceUid"`
					Model         struct {
						Expr, RawSQL, Expression, Type string
						Conditions                     []struct {
							Evaluator struct {
								Type   string
								Params []float64
							}
						}
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(bytes.ReplaceAll(text, []byte("rawSql:"), []byte("rawsql:")), &file); err != nil {
		t.Fatal(err)
	}
	alerts := dashboards.Alerts(c)
	if file.APIVersion != 1 || len(file.Groups) != 1 || file.Groups[0].Folder != c.Folder || file.Groups[0].Interval != "60s" || len(file.Groups[0].Rules) != len(alerts) {
		t.Fatalf("%+v", file)
	}
	for i, r := range file.Groups[0].Rules {
		a := alerts[i]
		if r.Title != a.Name || r.Condition != "C" || r.Labels["severity"] != string(a.Severity) || len(r.Data) != 2 || len(r.UID) > 40 {
			t.Fatalf("%s: %+v", a.Name, r)
		}
		asks, compares := r.Data[0], r.Data[1]
		e := compares.Model.Conditions[0].Evaluator
		if e.Type != map[dashboards.Compare]string{dashboards.Above: "gt", dashboards.Below: "lt"}[a.Compare] || !slices.Equal(e.Params, []float64{a.Limit}) ||
			compares.Model.Expression != asks.RefID || compares.DatasourceUID != "__expr__" {
			t.Errorf("%s: compares %+v", a.Name, compares)
		}
		if sql := a.SQL != ""; sql != (asks.DatasourceUID == c.ClickHouse) || sql == (asks.Model.Expr != "") || sql != strings.Contains(asks.Model.RawSQL, "SELECT") {
			t.Errorf("%s: asks %+v", a.Name, asks)
		}
		if asks.Model.Expr != "" {
			if _, err := dashboardstest.Parse(asks.Model.Expr); err != nil {
				t.Errorf("%s: %v", a.Name, err)
			}
		}
		for key, text := range r.Annotations {
			if strings.Contains(text, "$value ") || strings.Contains(text, "${") {
				t.Errorf("%s: %s is not as Grafana writes it: %q", a.Name, key, text)
			}
		}
		if strings.Contains(asks.Model.RawSQL, "${") {
			t.Errorf("%s: an alert has no variables:\n%s", a.Name, asks.Model.RawSQL)
		}
	}
}
