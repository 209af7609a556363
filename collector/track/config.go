package track

import (
	"errors"
	"fmt"
	"time"
)

// Config says how long flows are waited for. Times are those of the flows.
type Config struct {
	Capacity      int           `yaml:"capacity" doc:"most connections that are held at once; beyond, the one that was silent longest is told early"`
	MergeWindow   time.Duration `yaml:"merge_window" doc:"how much later than its fellows a flow may arrive: two nodes' clocks and streams differ"`
	TCPIdle       time.Duration `yaml:"tcp_idle" doc:"a TCP connection of which nothing is seen for so long is taken for ended; what comes later is told as one that began unseen"`
	UDPIdle       time.Duration `yaml:"udp_idle" doc:"packets of the same addresses and ports after so long a silence are a new connection; Cilium's own memory is 60s"`
	ICMPWindow    time.Duration `yaml:"icmp_window" doc:"pings from one address to another within this time are one connection: nothing tells them apart"`
	DeniedWindow  time.Duration `yaml:"denied_window" doc:"dropped datagrams of the same addresses and ports within this time are one denied connection"`
	HappyEyeballs time.Duration `yaml:"happy_eyeballs" doc:"IPv4 that a pod begins within this time after IPv6 to the same name failed is its fallback"`
}

// Default returns the configuration that suits Cilium's own defaults.
func Default() Config {
	return Config{
		Capacity:      1 << 18,
		MergeWindow:   5 * time.Second,
		TCPIdle:       5 * time.Minute,
		UDPIdle:       time.Minute, // bpf-ct-timeout-regular-any
		ICMPWindow:    time.Minute,
		DeniedWindow:  time.Minute,
		HappyEyeballs: 10 * time.Second, // RFC 8305 waits 250 ms, a program without it as long as its connect timeout
	}
}

// Lifetimes that follow Cilium's connection tracking (bpf-ct-timeout-regular-tcp-syn and -fin), in which an entry's end is
// what lets its ports be used anew.
const (
	openingIdle = time.Minute // of a TCP connection that nobody has answered; SYNs are repeated after 32 s at most
	endedIdle   = 10 * time.Second
)

// Validate returns all that is wrong, each with the key's path.
func (c Config) Validate() error {
	var errs []error
	if c.Capacity < 1 || c.Capacity > 1<<26 {
		errs = append(errs, fmt.Errorf("track.capacity: must be from 1 to %d, is %d", 1<<26, c.Capacity))
	}
	for _, k := range []struct {
		key      string
		d        time.Duration
		min, max time.Duration
	}{
		{"merge_window", c.MergeWindow, 0, time.Minute},
		{"tcp_idle", c.TCPIdle, time.Second, 24 * time.Hour},
		{"udp_idle", c.UDPIdle, time.Second, 24 * time.Hour},
		{"icmp_window", c.ICMPWindow, time.Second, 24 * time.Hour},
		{"denied_window", c.DeniedWindow, time.Second, 24 * time.Hour},
		{"happy_eyeballs", c.HappyEyeballs, 0, 5 * time.Minute},
	} {
		if k.d < k.min || k.d > k.max {
			errs = append(errs, fmt.Errorf("track.%s: must be from %s to %s, is %s", k.key, k.min, k.max, k.d))
		}
	}
	return errors.Join(errs...)
}
