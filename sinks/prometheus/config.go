package prometheus

import (
	"errors"
	"fmt"
	"time"
)

// Config bounds the metrics.
type Config struct {
	MaxSeries int           `yaml:"max_series" doc:"how many series one metric may have; what finds no room is counted on a series ~other"`
	NodeTTL   time.Duration `yaml:"node_ttl" doc:"after how long without any flow or gap the series of a node are forgotten; 0 is never"`
}

// Default returns room for a few hundred nodes. The TTL is long because a node that fell silent must not vanish from
// sight before somebody has looked.
func Default() Config { return Config{MaxSeries: 10_000, NodeTTL: 24 * time.Hour} }

// Validate returns all that is wrong, each with the key's path.
func (c Config) Validate() error {
	var errs []error
	if c.MaxSeries < 1 {
		errs = append(errs, fmt.Errorf("prometheus.max_series: must be at least 1, is %d", c.MaxSeries))
	}
	if c.NodeTTL != 0 && c.NodeTTL < time.Minute {
		errs = append(errs, fmt.Errorf("prometheus.node_ttl: must be 0 (never) or at least 1m, is %s", c.NodeTTL))
	}
	return errors.Join(errs...)
}
