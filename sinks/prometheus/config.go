package prometheus

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds the metrics.
type Config struct {
	MaxSeries      int           `yaml:"max_series" doc:"how many series one metric may have; what finds no room is counted on a series ~other"`
	NodeTTL        time.Duration `yaml:"node_ttl" doc:"after how long without any flow or gap the series of a node are forgotten; 0 is never"`
	WorkloadTTL    time.Duration `yaml:"workload_ttl" doc:"after how long without any connection the series of a workload or namespace are forgotten; 0 is never"`
	FullestBuckets int           `yaml:"fullest_buckets" doc:"how many rate-limit buckets of each service have series, the fullest ones; all count in the service's totals"`
}

// Default returns room for a few hundred nodes. The TTL of nodes is long because one that fell silent must not vanish from
// sight before somebody has looked; workloads come and go.
func Default() Config {
	return Config{MaxSeries: 10_000, NodeTTL: 24 * time.Hour, WorkloadTTL: 6 * time.Hour, FullestBuckets: 10}
}

// Validate returns all that is wrong, each with the key's path.
func (c Config) Validate() error {
	var errs []error
	if c.MaxSeries < 1 {
		errs = append(errs, fmt.Errorf("prometheus.max_series: must be at least 1, is %d", c.MaxSeries))
	}
	for _, ttl := range []struct {
		key   string
		value time.Duration
	}{{"node_ttl", c.NodeTTL}, {"workload_ttl", c.WorkloadTTL}} {
		if ttl.value != 0 && ttl.value < time.Minute {
			errs = append(errs, fmt.Errorf("prometheus.%s: must be 0 (never) or at least 1m, is %s", ttl.key, ttl.value))
		}
	}
	if c.FullestBuckets < 0 || c.FullestBuckets > 1000 {
		errs = append(errs, fmt.Errorf("prometheus.fullest_buckets: must be from 0 to 1000, is %d", c.FullestBuckets))
	}
	return errors.Join(errs...)
}
