package hubble_test

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

// Whatever is wrong on the way to a server gives one sentence that names it, its address and the way out.
func TestTrouble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, other := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	good, stranger := write(t, t.TempDir(), ca, ca), write(t, t.TempDir(), ca, other)
	garbage := filepath.Join(dir, "garbage.crt")
	if err := os.WriteFile(garbage, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	withCA := func(f files) func(*hubble.Config) {
		return func(c *hubble.Config) { c.TLS, c.TLSCACertFiles = true, []string{f.ca} }
	}
	serve := func(s *fake) string { return s.serve("[::1]:0", nil).addr }

	for _, tt := range []struct {
		name   string
		target func(*fake) string // "": the fake's address
		edit   func(*hubble.Config)
		want   []string // beside the address
	}{
		{"refused", func(*fake) string { return nobody }, nil, []string{nobody, "nothing listens there", "hubble.server"}},
		{"unknown name", func(*fake) string { return "relay.invalid:4245" }, nil, []string{"relay.invalid", "not known", "hubble.server"}},
		{"no socket", func(*fake) string { return "unix://" + dir + "/hubble.sock" }, nil, []string{dir + "/hubble.sock", "does not exist", "hubble.enabled"}},
		{"wrong CA", func(s *fake) string { return s.serve("[::1]:0", other.server(hour, nil, "::1")).addr }, withCA(good), []string{good.ca, "authorities", "ca.crt"}},
		{"no CA", func(s *fake) string { return s.serve("[::1]:0", other.server(hour, nil, "::1")).addr }, func(c *hubble.Config) { c.TLS = true }, []string{"no authority", "hubble.tls_ca_cert_files"}},
		{"expired", func(s *fake) string {
			return s.serve("[::1]:0", ca.server(time.Now().Add(-time.Minute), nil, "::1")).addr
		}, withCA(good), []string{"valid from", "renew"}},
		{"wrong name", func(s *fake) string {
			return s.serve("[::1]:0", ca.server(hour, nil, "*.hubble-relay.cilium.io", "192.0.2.1")).addr
		}, withCA(good), []string{"*.hubble-relay.cilium.io, 192.0.2.1", "not for ::1", "hubble.tls_server_name"}},
		{"server without TLS", serve, withCA(good), []string{"does not speak TLS", "hubble.tls"}},
		{"server with TLS", func(s *fake) string { return s.serve("[::1]:0", ca.server(hour, nil, "::1")).addr }, nil, []string{"closed the connection", "hubble.tls to true"}},
		{"client certificate missing", func(s *fake) string { return s.serve("[::1]:0", ca.server(hour, ca, "::1")).addr }, withCA(good), []string{"a client certificate", "tls_client_cert_file"}},
		{
			"client certificate of another CA", func(s *fake) string { return s.serve("[::1]:0", ca.server(hour, ca, "::1")).addr },
			func(c *hubble.Config) { stranger.mutual(c); c.TLS = true },
			[]string{"the certificate of hubble.tls_client_cert_file " + stranger.cert},
		},
		{
			"CA file missing", func(s *fake) string { return s.serve("[::1]:0", ca.server(hour, nil, "::1")).addr },
			withCA(files{ca: dir + "/none.crt"}),
			[]string{"hubble.tls_ca_cert_files " + dir + "/none.crt", "no such file"},
		},
		{
			"CA file is none", func(s *fake) string { return s.serve("[::1]:0", ca.server(hour, nil, "::1")).addr },
			withCA(files{ca: garbage}),
			[]string{garbage, "no PEM certificate"},
		},
		{
			"key file missing", func(s *fake) string { return s.serve("[::1]:0", ca.server(hour, ca, "::1")).addr },
			func(c *hubble.Config) { good.mutual(c); c.TLS, c.TLSClientKeyFile = true, dir+"/none.key" },
			[]string{"hubble.tls_client_key_file " + dir + "/none.key", "no such file"},
		},
		{"refused request", func(s *fake) string {
			s.refuse = status.Error(codes.InvalidArgument, "unknown protocol: \"x\"")
			s.send(s.flow(0))
			return serve(s)
		}, nil, []string{"refuses the request", "unknown protocol", "hubble.allowlist"}},
		{"no Hubble", func(s *fake) string {
			l, err := net.Listen("tcp", "[::1]:0")
			if err != nil {
				t.Fatal(err)
			}
			server := grpc.NewServer()
			t.Cleanup(server.Stop)
			go func() { _ = server.Serve(l) }()
			return l.Addr().String()
		}, nil, []string{"speaks gRPC", "is it a Hubble server"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newFake(t, "lab/node-1")
			target := tt.target(server)
			r := start(t, target, tt.edit)
			var got string
			wait(t, "trouble", func() bool {
				err := r.client.Ready()
				if err == nil {
					return false
				}
				got = err.Error()
				return !strings.Contains(got, "not running") && !strings.Contains(got, "not connected yet")
			})
			want := tt.want
			if server.addr != "" {
				want = append(want, server.addr)
			}
			for _, part := range want {
				if !strings.Contains(got, part) {
					t.Errorf("%q does not say %q", got, part)
				}
			}
			if strings.Contains(got, "\n") || strings.Contains(got, "rpc error") {
				t.Errorf("no sentence: %q", got)
			}
			r.polls(3)
			if n := countIn(r.log.String(), "level=WARN"); n != 1 {
				t.Errorf("%d warnings:\n%s", n, r.log.String())
			}
		})
	}
}

// A server that accepts and says nothing is given up on.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := start(t, l.Addr().String(), nil)
	wait(t, "giving up", func() bool {
		err := r.client.Ready()
		return err != nil && strings.Contains(err.Error(), "no answer within")
	})
}

// Certificates are read anew for every connection, so renewed ones work without a restart.
func TestRotation(t *testing.T) {
	t.Parallel()
	before, after := newAuthority(t), newAuthority(t)
	hour := time.Now().Add(time.Hour)
	dir := t.TempDir()
	f := write(t, dir, before, before)
	server := newFake(t, "lab/node-1").serve("[::1]:0", before.server(hour, before, "::1"))
	server.send(server.flow(0))
	r := start(t, server.addr, func(c *hubble.Config) { f.mutual(c); c.TLS = true })
	r.waitFlows(ids(0, 1))

	addr := server.addr
	server.stop()
	server.serve(addr, after.server(hour, after, "::1"))
	wait(t, "the new certificate to be refused", func() bool {
		err := r.client.Ready()
		return err != nil && strings.Contains(err.Error(), "authorities")
	})
	write(t, dir, after, after)
	server.send(server.flow(1))
	r.waitFlows(ids(0, 2))
}

// New does nothing but look at the configuration.
func TestInert(t *testing.T) {
	t.Parallel()
	cfg := hubble.Default()
	cfg.TLS, cfg.TLSCACertFiles = true, []string{"/nowhere/ca.crt"}
	c, err := hubble.New(cfg, flow.NewInterner(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(); err == nil {
		t.Error("ready without running")
	}
	cfg.Server = "relay"
	if _, err := hubble.New(cfg, flow.NewInterner(), slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil {
		t.Error("a wrong configuration is accepted")
	}
}
