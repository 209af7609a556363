package pull

import (
	"errors"
	"fmt"
	"time"
)

// Config says what is told and how much is remembered.
type Config struct {
	Lookback time.Duration `yaml:"lookback" doc:"how long before the start a pull may have ended to be told, as far as the API server still knows of it; 0 takes all it knows of"`
	Patience time.Duration `yaml:"patience" doc:"how long after a pull began its end is waited for; then it is told as one whose end is unknown"`
	Storm    int           `yaml:"storm" doc:"pulls of one image by one node for one workload in an hour that are still no storm"`
	Events   int           `yaml:"events" doc:"most events that are remembered, so that what a new list repeats is not told again"`
	Queue    int           `yaml:"queue" doc:"most pulls that wait to be told; beyond, they are lost and counted"`
}

// Default returns the configuration for one cluster: about 30 MB when all of it is in use.
func Default() Config {
	return Config{
		Lookback: time.Hour, // kube-apiserver --event-ttl
		Patience: 30 * time.Minute,
		Storm:    10, // a container that crashes all the time starts twelve times an hour: the kubelet waits 5 minutes at most
		Events:   1 << 16,
		Queue:    1 << 14,
	}
}

// Validate returns all that is wrong, each with the key's path.
func (c Config) Validate() error {
	var errs []error
	if c.Lookback < 0 || c.Lookback > 30*24*time.Hour {
		errs = append(errs, fmt.Errorf("pulls.lookback: must be from 0s to 720h, is %s", c.Lookback))
	}
	if c.Patience < time.Second || c.Patience > 24*time.Hour {
		errs = append(errs, fmt.Errorf("pulls.patience: must be from 1s to 24h, is %s", c.Patience))
	}
	for _, k := range []struct {
		key    string
		n, max int
	}{
		{"storm", c.Storm, 1 << 16},
		{"events", c.Events, 1 << 24},
		{"queue", c.Queue, 1 << 24},
	} {
		if k.n < 1 || k.n > k.max {
			errs = append(errs, fmt.Errorf("pulls.%s: must be from 1 to %d, is %d", k.key, k.max, k.n))
		}
	}
	return errors.Join(errs...)
}
