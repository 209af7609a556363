package hubble

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Config is where Hubble is, what to ask it for and from which moment on. Names follow the flags of Hubble's own CLI.
type Config struct {
	Server            string   `yaml:"server" flag:"server" doc:"Hubble Relay or one agent: host:port, [IPv6 address]:port, tls://host:port or unix:///path"`
	Peers             string   `yaml:"peers" flag:"peers" doc:"follow every node of the cluster directly: the address of the Peer service (unix:///var/run/cilium/hubble.sock on a node, hubble-peer.kube-system.svc.cluster.local.:443 in a pod), or true for the one at server; false: follow server alone"`
	MaxNodes          int      `yaml:"max_nodes" doc:"most nodes that are followed at once; the rest is told as a gap"`
	TLS               bool     `yaml:"tls" flag:"tls" doc:"speak TLS and verify the server's certificate; with peers, nodes that announce TLS are spoken to with TLS in any case"`
	TLSAllowInsecure  bool     `yaml:"tls_allow_insecure" flag:"tls-allow-insecure" doc:"do not verify the server's certificate"`
	TLSCACertFiles    []string `yaml:"tls_ca_cert_files" flag:"tls-ca-cert-files" doc:"PEM files of the authorities to trust, read at every connection; none: the system's"`
	TLSClientCertFile string   `yaml:"tls_client_cert_file" flag:"tls-client-cert-file" doc:"PEM file of our own certificate, read at every connection"`
	TLSClientKeyFile  string   `yaml:"tls_client_key_file" flag:"tls-client-key-file" doc:"PEM file of its key, read at every connection"`
	TLSServerName     string   `yaml:"tls_server_name" flag:"tls-server-name" doc:"name that the certificate of server (or of the Peer service) must hold; none: the host of the address, for the Peer service hubble-peer.default.hubble-grpc.cilium.io"`
	Since             string   `yaml:"since" flag:"since" doc:"begin with flows of this age (10m) or from this time on (2026-11-24T05:00:00Z), as far as the rings reach back; none: begin now"`
	Last              uint64   `yaml:"last" flag:"last" doc:"begin with the last so many flows of each node; 0: begin now"`
	Allowlist         []string `yaml:"allowlist" flag:"allowlist" doc:"let Hubble send only flows that match one of these FlowFilters, each a JSON object"`
	Denylist          []string `yaml:"denylist" flag:"denylist" doc:"let Hubble leave out flows that match one of these FlowFilters, each a JSON object"`
	FieldMask         []string `yaml:"field_mask" flag:"field-mask" doc:"let Hubble send only these fields of each flow (source.namespace, IP, …); time, node_name, uuid and l4 always come; none: all"`
	HubbleTraffic     string   `yaml:"hubble_traffic" flag:"hubble-traffic" doc:"flows of Hubble's own ports 4244 and 4245: exclude or include; watching them can feed on itself"`

	BatchRows int           // a batch goes on when it has this many flows …
	BatchWait time.Duration // … or when its first flow has waited this long

	StatusWait time.Duration // between two questions for an agent's numbers (ServerStatus); Relay is asked half as often
}

// Values of Config.HubbleTraffic.
const (
	exclude = "exclude"
	include = "include"
)

// Default returns the configuration for a Relay on this machine, as `cilium hubble port-forward` gives one.
func Default() Config {
	return Config{
		Server:        "localhost:4245",
		MaxNodes:      5000,
		HubbleTraffic: exclude,
		BatchRows:     4096,
		BatchWait:     time.Second,
		StatusWait:    10 * time.Second,
	}
}

// Validate returns all that is wrong, each with the key's path. It reads no files: certificates may come later.
func (c Config) Validate() error {
	var errs []error
	bad := func(key string, err error) { errs = append(errs, fmt.Errorf("hubble.%s: %w", key, err)) }

	if _, err := parseTarget(c.Server); err != nil && !c.peersElsewhere() {
		bad("server", err)
	}
	if c.peersElsewhere() {
		if _, err := parseTarget(c.Peers); err != nil {
			bad("peers", fmt.Errorf("%w; or true, or false", err))
		}
	}
	if c.MaxNodes < 1 || c.MaxNodes > 50_000 {
		bad("max_nodes", fmt.Errorf("must be from 1 to 50000, is %d", c.MaxNodes))
	}
	if (c.TLSClientCertFile == "") != (c.TLSClientKeyFile == "") {
		bad("tls_client_cert_file", errors.New("needs tls_client_key_file, and the other way round"))
	}
	if t, err := parseTarget(c.Server); err == nil && !c.peers() {
		switch {
		case t.network == "unix" && (c.TLS || c.wantsTLS()):
			bad("tls", errors.New("a unix socket speaks no TLS: leave all keys of tls out"))
		case c.wantsTLS() && !c.TLS && !t.tls:
			bad("tls", errors.New("must be true for the other keys of tls to have an effect"))
		}
	}
	if _, err := c.since(time.Now()); err != nil {
		bad("since", err)
	}
	if c.Since != "" && c.Last != 0 {
		bad("last", errors.New("cannot go with since: give one of them"))
	}
	if c.HubbleTraffic != exclude && c.HubbleTraffic != include {
		bad("hubble_traffic", fmt.Errorf("must be exclude or include, is %q", c.HubbleTraffic))
	}
	if c.StatusWait < 10*time.Millisecond {
		bad("status_wait", fmt.Errorf("must be at least 10ms, is %s", c.StatusWait))
	}
	_, problems := c.request()
	for _, p := range problems {
		bad(p.key, p.err)
	}
	return errors.Join(errs...)
}

// peers says whether the nodes are followed directly.
func (c Config) peers() bool {
	on, err := strconv.ParseBool(c.Peers)
	return c.Peers != "" && (err != nil || on)
}

// peersElsewhere says whether the Peer service has an address of its own.
func (c Config) peersElsewhere() bool {
	_, err := strconv.ParseBool(c.Peers)
	return c.Peers != "" && err != nil
}

func (c Config) wantsTLS() bool {
	return c.TLSAllowInsecure || c.TLSServerName != "" || c.TLSClientCertFile != "" || len(c.TLSCACertFiles) > 0
}

// since returns the time that Since means, zero for none.
func (c Config) since(now time.Time) (time.Time, error) {
	if c.Since == "" {
		return time.Time{}, nil
	}
	if age, err := time.ParseDuration(c.Since); err == nil {
		if age < 0 {
			return time.Time{}, fmt.Errorf("must not be negative, is %s", c.Since)
		}
		return now.Add(-age), nil
	}
	t, err := time.Parse(time.RFC3339, c.Since)
	if err != nil {
		return time.Time{}, fmt.Errorf("must be an age like 10m or a time like 2026-11-24T05:00:00Z, is %q", c.Since)
	}
	return t, nil
}

// ownPorts are the ports of Hubble itself: the agents' and Relay's (pkg/hubble/defaults).
var ownPorts = []uint16{4244, 4245}

// defaultPort is the agents' port, for announced addresses that have none.
var defaultPort = strconv.Itoa(int(ownPorts[0]))

func withPort(addr string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	return net.JoinHostPort(addr, defaultPort)
}
