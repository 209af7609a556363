package inventory

import (
	"errors"
	"fmt"
	"time"
)

// Config says how often the inventory is told, and how much of it.
type Config struct {
	Every   time.Duration `yaml:"every" doc:"how often the inventory is told, changed or not; never with kubernetes.scope node, which sees a part of the cluster"`
	MaxRows int           `yaml:"max_rows" doc:"most rows of one inventory; beyond, workloads are left out first, then services, and a last row says how many"`
}

// Default returns a configuration that is enough for a cluster of some thousand nodes.
func Default() Config { return Config{Every: 5 * time.Minute, MaxRows: 50_000} }

// Validate returns all that is wrong, each with the key's path.
func (c Config) Validate() error {
	var errs []error
	if c.Every < time.Second || c.Every > 24*time.Hour {
		errs = append(errs, fmt.Errorf("inventory.every: must be from 1s to 24h, is %s", c.Every))
	}
	if c.MaxRows < 1 || c.MaxRows > 1_000_000 {
		errs = append(errs, fmt.Errorf("inventory.max_rows: must be from 1 to 1000000, is %d", c.MaxRows))
	}
	return errors.Join(errs...)
}
