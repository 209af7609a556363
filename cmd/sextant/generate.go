package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/alecthomas/kong"

	"sextant/dashboards"
	"sextant/dashboards/grafana"
	"sextant/dashboards/rules"
)

type generateCmd struct {
	kong.Plugins
	What string `arg:"" enum:"dashboards,rules,docs,all" default:"all" help:"What to write: dashboards (Grafana's JSON), rules (alerts for Prometheus, its operator and Grafana), docs (runbooks) or all."`
	Dir  string `help:"Folder to write to; none: dashboards/generated below this one." default:"dashboards/generated" placeholder:"DIR"`

	cfg      dashboards.Config
	settings sections
}

func (cmd *generateCmd) init() {
	cmd.cfg = dashboards.Default()
	cmd.settings = sections{newSection("alerts", false, &cmd.cfg)}
	cmd.Plugins = cmd.settings.plugins()
}

// Run writes the files. One that was there before and that is not written now stays.
func (cmd *generateCmd) Run(a *app) error {
	cmd.settings.apply()
	if err := cmd.cfg.Validate(); err != nil {
		return err
	}
	for _, text := range cmd.cfg.AllowIPv4 {
		entry, err := dashboards.ParseAllow(text)
		if err != nil {
			return fmt.Errorf("alerts.allow_ipv4: %w", err)
		}
		if !entry.Until.After(time.Now()) {
			a.logger.Warn("this entry has ended: what it allowed is alerted about", "entry", text)
		}
		if !entry.InMetrics() {
			a.logger.Warn("metrics have neither names nor addresses: only the alert that Grafana makes of the history heeds this entry", "entry", text)
		}
	}
	files, err := generated(cmd.What, cmd.cfg)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(cmd.Dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := os.WriteFile(path, files[name], 0o666); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		fmt.Fprintln(a.stdout, path)
	}
	return nil
}

// generated returns the files by their paths.
func generated(what string, c dashboards.Config) (map[string][]byte, error) {
	files := map[string][]byte{}
	for part, write := range map[string]func(map[string][]byte, dashboards.Config) error{
		"dashboards": dashboardFiles, "rules": ruleFiles, "docs": docFiles,
	} {
		if what == part || what == "all" {
			if err := write(files, c); err != nil {
				return nil, err
			}
		}
	}
	return files, nil
}

func dashboardFiles(files map[string][]byte, _ dashboards.Config) (err error) {
	for _, d := range dashboards.All() {
		if files["grafana/"+d.UID+".json"], err = grafana.JSON(d); err != nil {
			return err
		}
	}
	return nil
}

func ruleFiles(files map[string][]byte, c dashboards.Config) (err error) {
	if files["prometheus/recording.yaml"], err = rules.Recording(c).YAML(); err != nil {
		return err
	}
	if files["prometheus/alerts.yaml"], err = rules.Alerting(c).YAML(); err != nil {
		return err
	}
	if files["prometheus/prometheusrule.yaml"], err = rules.Object(c); err != nil {
		return err
	}
	files["grafana-alerts.yaml"], err = grafana.Provisioning(c)
	return err
}

func docFiles(files map[string][]byte, c dashboards.Config) error {
	files["RUNBOOKS.md"] = []byte(rules.Runbooks(c))
	files["DASHBOARDS.md"] = []byte(rules.Dashboards())
	return nil
}
