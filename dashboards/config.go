package dashboards

import (
	"errors"
	"fmt"
	"time"
)

// Config is from when on alerts are given.
type Config struct {
	Window time.Duration `yaml:"window" doc:"stretch of time in which alerts count connections"`

	Completeness float64       `yaml:"completeness" doc:"least share, 0 to 1, of the nodes' time that must have been observed for alerts about traffic to be given; below it SextantBlind is given in their place"`
	NodeObserved float64       `yaml:"node_observed" doc:"least share, 0 to 1, of a single node's time"`
	InventoryAge time.Duration `yaml:"inventory_age" doc:"oldest inventory for which alerts about prefixes and services are given; beyond it SextantInventoryStale is given in their place"`

	Unexpected float64  `yaml:"unexpected_ipv4" doc:"unexpected IPv4 connections of a workload in a window that are still fine"`
	AllowIPv4  []string `yaml:"allow_ipv4" doc:"IPv4 that is expected for now, as in 'namespace=legacy workload=erp-client until=2027-03-31 why=vendor'; also name=*.example.org and prefix=198.51.100.0/24, which only alerts that Grafana makes of the history know"`

	ShareRise    float64       `yaml:"ipv4_share_rise" doc:"by how much a namespace's share of IPv4, 0 to 1, may rise"`
	ShareAgainst time.Duration `yaml:"ipv4_share_against" doc:"how long ago the share is compared with"`
	Connections  float64       `yaml:"connections" doc:"least connections in a window of which a share means anything"`

	LimitUsed      float64       `yaml:"rate_limit_used" doc:"share of a rate limit, 0 to 1, that may be used"`
	LimitExhausted time.Duration `yaml:"rate_limit_exhausted" doc:"how soon a rate limit may be exhausted at the present speed"`

	NAT64Failed  float64 `yaml:"nat64_failed" doc:"share of connections through NAT64, 0 to 1, that may fail"`
	Translations float64 `yaml:"translation_failures" doc:"packets in a window that may be dropped for the lack of a translation"`
	Fallbacks    float64 `yaml:"fallbacks" doc:"connections of a workload in a window that may fall back from IPv6 to IPv4"`

	PrefixUsed float64 `yaml:"prefix_used" doc:"share of a prefix, 0 to 1, that may be given out"`

	Lag      time.Duration `yaml:"lag" doc:"how old flows may be when they have come through"`
	SpoolAge time.Duration `yaml:"spool_age" doc:"how long rows may wait on disk"`
	Retries  float64       `yaml:"retries" doc:"writes in a window that may be tried again, for each sink"`

	Runbooks   string   `yaml:"runbooks" doc:"address of the page RUNBOOKS.md, for the annotation runbook_url"`
	Labels     []string `yaml:"labels" doc:"labels of the PrometheusRule object, as in release=prometheus, for the operator that looks for them"`
	Namespace  string   `yaml:"namespace" doc:"namespace of the PrometheusRule object"`
	Prometheus string   `yaml:"grafana_prometheus" doc:"uid of the Prometheus data source in Grafana that its alerts ask"`
	ClickHouse string   `yaml:"grafana_clickhouse" doc:"uid of the ClickHouse data source in Grafana that its alerts ask"`
	Folder     string   `yaml:"grafana_folder" doc:"folder in Grafana that holds the alerts"`
}

// Default returns thresholds to begin with.
func Default() Config {
	return Config{
		Window:       time.Hour,
		Completeness: 0.9, NodeObserved: 0.5, InventoryAge: 15 * time.Minute,
		Unexpected: 0,
		ShareRise:  0.05, ShareAgainst: 24 * time.Hour, Connections: 50,
		LimitUsed: 0.8, LimitExhausted: 30 * time.Minute,
		NAT64Failed: 0.1, Translations: 10, Fallbacks: 10,
		PrefixUsed: 0.9,
		Lag:        5 * time.Minute, SpoolAge: 15 * time.Minute, Retries: 20,
		Prometheus: "prometheus", ClickHouse: "clickhouse", Folder: "Sextant",
	}
}

// Validate returns all that is wrong, each with the key's path.
func (c Config) Validate() error {
	var errs []error
	complain := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("alerts."+key+": "+format, args...))
	}
	for key, share := range map[string]float64{
		"completeness": c.Completeness, "node_observed": c.NodeObserved, "ipv4_share_rise": c.ShareRise, "rate_limit_used": c.LimitUsed,
		"nat64_failed": c.NAT64Failed, "prefix_used": c.PrefixUsed,
	} {
		if !(share >= 0 && share <= 1) {
			complain(key, "must be between 0 and 1, is %v", share)
		}
	}
	for key, d := range map[string]time.Duration{
		"window": c.Window, "inventory_age": c.InventoryAge, "ipv4_share_against": c.ShareAgainst, "rate_limit_exhausted": c.LimitExhausted,
		"lag": c.Lag, "spool_age": c.SpoolAge,
	} {
		if d < time.Minute || d%time.Second != 0 {
			complain(key, "must be at least 1m and whole seconds, is %s", d)
		}
	}
	for key, n := range map[string]float64{
		"unexpected_ipv4": c.Unexpected, "connections": c.Connections, "translation_failures": c.Translations, "fallbacks": c.Fallbacks, "retries": c.Retries,
	} {
		if !(n >= 0 && n < 1e15) {
			complain(key, "must not be below 0, is %v", n)
		}
	}
	for i, text := range c.AllowIPv4 {
		if _, err := ParseAllow(text); err != nil {
			complain(fmt.Sprintf("allow_ipv4[%d]", i), "%w", err)
		}
	}
	for i, text := range c.Labels {
		if _, _, err := pair(text); err != nil {
			complain(fmt.Sprintf("labels[%d]", i), "%w", err)
		}
	}
	return errors.Join(errs...)
}

// allowed returns the entries of the allow-list, which are valid.
func (c Config) allowed() []Allow {
	var list []Allow
	for _, text := range c.AllowIPv4 {
		if a, err := ParseAllow(text); err == nil {
			list = append(list, a)
		}
	}
	return list
}
