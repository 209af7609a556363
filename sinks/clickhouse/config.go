package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is where ClickHouse is and how rows are kept there.
type Config struct {
	Address        string        `yaml:"address" flag:"clickhouse" doc:"address of the native protocol, host:port; an IPv6 address in brackets"`
	Database       string        `yaml:"database" doc:"database of the tables; made when it is missing"`
	Cluster        string        `yaml:"cluster" doc:"name of the ClickHouse cluster over whose servers the tables are spread, as in their remote_servers; none: one server has it all"`
	Username       string        `yaml:"username" doc:"user to log in as"`
	PasswordFile   string        `yaml:"password_file" doc:"file with the user's password, read at every login; none: no password"`
	TLS            TLS           `yaml:"tls"`
	TTLFlows       time.Duration `yaml:"ttl_flows" doc:"how long flows are kept; 0 is for ever"`
	TTLConnections time.Duration `yaml:"ttl_connections" doc:"how long connections are kept; 0 is for ever"`
	TTLGaps        time.Duration `yaml:"ttl_gaps" doc:"how long gaps and heartbeats are kept; 0 is for ever"`
	TTLPulls       time.Duration `yaml:"ttl_pulls" doc:"how long image pulls, and charges and buckets of rate limits, are kept; 0 is for ever"`
	TTLInventory   time.Duration `yaml:"ttl_inventory" doc:"how long the inventory of the cluster is kept; 0 is for ever"`
	StoreUUID      bool          `yaml:"store_uuid" doc:"store Hubble's identifier of every flow: 16 bytes a row that do not compress"`
	StoreLabels    bool          `yaml:"store_labels" doc:"store the labels of both ends of every flow, as Cilium tells them: about a third of a byte a row"`
	InsertTimeout  time.Duration `yaml:"insert_timeout" doc:"how long connecting, and one insert, may take"`
	Compression    string        `yaml:"compression" doc:"compression on the way to the server: lz4 or none"`

	Program string // version of this program, noted where it changes the schema

	distribute func(ctx context.Context, statement string) error // runs what is ON CLUSTER; nil: ClickHouse does
}

// TLS is how the connection is secured. Files are read again at every connection, so that renewed ones are used.
type TLS struct {
	Enabled    bool   `yaml:"enabled" doc:"speak TLS and verify the server's certificate"`
	CAFile     string `yaml:"ca_file" doc:"PEM file of the authorities to trust; none: the system's"`
	CertFile   string `yaml:"cert_file" doc:"PEM file of our own certificate, where the server asks for one"`
	KeyFile    string `yaml:"key_file" doc:"PEM file of its key"`
	ServerName string `yaml:"server_name" doc:"name the server's certificate must hold; none: the host of the address"`
}

// Default returns the configuration for a server on this machine.
func Default() Config {
	return Config{
		Address:        "localhost:9000",
		Database:       "sextant",
		Username:       "default",
		TTLFlows:       7 * day,
		TTLConnections: 90 * day,
		TTLGaps:        90 * day,
		TTLPulls:       90 * day,
		TTLInventory:   90 * day,
		InsertTimeout:  time.Minute,
		Compression:    "lz4",
	}
}

const day = 24 * time.Hour

var (
	identifier  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)
	clusterName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`)

	// default is a special database in some engines, and the others are the server's own.
	reserved = []string{"default", "system", "information_schema"}
)

// Validate returns all that is wrong, each with the key's path.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("clickhouse."+key+": "+format, args...))
	}
	if err := checkAddress(c.Address); err != nil {
		bad("address", "%w", err)
	}
	switch {
	case !identifier.MatchString(c.Database):
		bad("database", "must be letters, digits and underscores, is %q", c.Database)
	case slices.Contains(reserved, strings.ToLower(c.Database)):
		bad("database", "must be a database of its own, is %q", c.Database)
	}
	if c.Cluster != "" && !clusterName.MatchString(c.Cluster) {
		bad("cluster", "must be letters, digits, underscores, dots and hyphens, is %q", c.Cluster)
	}
	if c.Username == "" {
		bad("username", "must be set; ClickHouse's own is %q", Default().Username)
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		bad("tls.cert_file", "needs tls.key_file, and the other way round")
	}
	if !c.TLS.Enabled && c.TLS != (TLS{}) {
		bad("tls.enabled", "must be true for the other keys of tls to have an effect")
	}
	for _, ttl := range []struct {
		key   string
		value time.Duration
	}{
		{"ttl_flows", c.TTLFlows},
		{"ttl_connections", c.TTLConnections},
		{"ttl_gaps", c.TTLGaps},
		{"ttl_pulls", c.TTLPulls},
		{"ttl_inventory", c.TTLInventory},
	} {
		if ttl.value != 0 && (ttl.value < time.Hour || ttl.value%time.Second != 0) {
			bad(ttl.key, "must be 0 (for ever) or at least 1h, in whole seconds, is %s", ttl.value)
		}
	}
	if c.InsertTimeout < time.Second {
		bad("insert_timeout", "must be at least 1s, is %s", c.InsertTimeout)
	}
	if c.Compression != "lz4" && c.Compression != "none" {
		bad("compression", "must be lz4 or none, is %q", c.Compression)
	}
	return errors.Join(errs...)
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return fmt.Errorf("must be host:port, an IPv6 address in brackets, is %q", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("must have a port from 1 to 65535, is %q", address)
	}
	return nil
}
