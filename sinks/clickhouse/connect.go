package clickhouse

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	dialTimeout  = 10 * time.Second
	loginTimeout = 20 * time.Second
)

// conn is one connection, on which one thing happens at a time.
type conn struct {
	cfg    *Config
	client *ch.Client
	have   state // of the server when it was connected
}

// connect dials and logs in. What is sent need not be counted.
func connect(ctx context.Context, cfg *Config, sent prometheus.Counter) (*conn, error) {
	password, err := cfg.password()
	if err != nil {
		return nil, err
	}
	raw, err := cfg.dial(ctx)
	if err != nil {
		return nil, err
	}
	compression := ch.CompressionDisabled
	if cfg.Compression == "lz4" {
		compression = ch.CompressionLZ4
	}
	client, err := ch.Connect(ctx, counted{raw, sent}, ch.Options{
		// The session stays in the database default, and tables are named in full: ours may not exist yet.
		User: cfg.Username, Password: password, Compression: compression, ClientName: "sextant",
		HandshakeTimeout: loginTimeout, ReadTimeout: ch.NoTimeout, // ctx has a deadline
		Settings: cfg.settings(),
	})
	if err != nil {
		raw.Close()
		return nil, cfg.explainLogin(ctx, err)
	}
	return &conn{cfg: cfg, client: client}, nil
}

// do runs one query. After an error the connection is in no known state and must be closed.
func (c *conn) do(ctx context.Context, q ch.Query) error {
	// The client looks at ctx only between packets.
	stop := context.AfterFunc(ctx, func() { c.client.Close() })
	defer stop()
	if err := c.client.Do(ctx, q); err != nil {
		return c.cfg.explain(ctx, err)
	}
	return nil
}

func (c *conn) close() { c.client.Close() }

// dial opens the transport, with TLS where that is asked for.
func (c *Config) dial(ctx context.Context) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !c.TLS.Enabled {
		raw, err := dialer.DialContext(ctx, "tcp", c.Address)
		if err != nil {
			return nil, c.explainDial(ctx, err)
		}
		return raw, nil
	}
	config, err := c.TLS.load()
	if err != nil {
		return nil, &fault{err.Error(), err}
	}
	secure, err := (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", c.Address)
	if err != nil {
		return nil, c.explainDial(ctx, err)
	}
	return secure, nil
}

func (t TLS) load() (*tls.Config, error) {
	config := &tls.Config{ServerName: t.ServerName, MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read clickhouse.tls.ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read clickhouse.tls.ca_file: %s holds no certificate in PEM", t.CAFile)
		}
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read clickhouse.tls.cert_file and key_file: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}

func (c *Config) password() (string, error) {
	if c.PasswordFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("read clickhouse.password_file: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// counted counts what is sent.
type counted struct {
	net.Conn
	sent prometheus.Counter
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if c.sent != nil {
		c.sent.Add(float64(n))
	}
	return n, err
}
