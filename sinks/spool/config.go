package spool

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// Config is where the spool is and how much it holds.
type Config struct {
	Dir      string        `yaml:"dir" doc:"directory of the spool, for this collector alone; none: rows wait in memory, and are lost when the queue is full"`
	MaxBytes int64         `yaml:"max_bytes" doc:"bytes that the spool may hold; the oldest rows give way, and a gap tells of them"`
	Held     time.Duration `yaml:"held" doc:"how often connections under way are noted there: what a collector that is killed saw since then is asked of Hubble again"`
}

// Default returns the configuration without a spool.
func Default() Config { return Config{MaxBytes: 1 << 30, Held: 5 * time.Second} }

// Enabled says whether there is to be a spool.
func (c Config) Enabled() bool { return c.Dir != "" }

const leastBytes = 16 << 20 // a few deliveries

// Validate returns all that is wrong, each with the key's path.
func (c Config) Validate() error {
	var errs []error
	if c.Enabled() && !filepath.IsAbs(c.Dir) {
		errs = append(errs, fmt.Errorf("spool.dir: must be an absolute path, is %q", c.Dir))
	}
	if c.MaxBytes < leastBytes {
		errs = append(errs, fmt.Errorf("spool.max_bytes: must be at least %d, is %d", leastBytes, c.MaxBytes))
	}
	if c.Held < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("spool.held: must be at least 100ms, is %s", c.Held))
	}
	return errors.Join(errs...)
}
