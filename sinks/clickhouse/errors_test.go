package clickhouse_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

// authority makes certificates for a name, each signed by itself, and writes them as PEM files.
func certificate(t *testing.T, name string) (certFile, keyFile string, cert tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	file(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	file(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	cert, err = tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return certFile, keyFile, cert
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTLS(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	serverCA, _, serverCert := certificate(t, "clickhouse.example")
	ours, oursKey, oursCert := certificate(t, "sextant")
	trusted := x509.NewCertPool()
	trusted.AddCert(oursCert.Leaf)
	c.Address = proxy(t, tls.NewListener(listen(t), &tls.Config{
		Certificates: []tls.Certificate{serverCert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted,
	}), c.Address, func(client, server net.Conn) {
		// The handshake comes first: what a failed one leaves behind must not reach the engine, which would die of it.
		if client.(*tls.Conn).Handshake() == nil {
			forward(client, server)
		}
		client.Close()
		server.Close()
	})
	c.TLS = clickhouse.TLS{Enabled: true, CAFile: serverCA, CertFile: ours, KeyFile: oursKey, ServerName: "clickhouse.example"}
	write(t, sink(t, c), "1", batch(full(in)))
	if got := query(t, c, "SELECT node FROM flows"); got != ".Node" {
		t.Errorf("got %q", got)
	}

	for _, test := range []struct {
		break_ func(*clickhouse.Config)
		want   string
	}{
		{
			func(c *clickhouse.Config) { c.TLS.CAFile = ours },
			"certificate not trusted: x509: certificate signed by unknown authority; check clickhouse.tls.ca_file and clickhouse.tls.server_name",
		},
		{
			func(c *clickhouse.Config) { c.TLS.ServerName = "other.example" },
			"certificate not trusted: x509: certificate is valid for clickhouse.example, not other.example; check clickhouse.tls.ca_file and clickhouse.tls.server_name",
		},
		{
			func(c *clickhouse.Config) { c.TLS.CertFile, c.TLS.KeyFile = "", "" },
			"refuses the TLS connection: tls: certificate required; check clickhouse.tls.cert_file",
		},
		{
			func(c *clickhouse.Config) { c.TLS = clickhouse.TLS{} },
			"login broke off: EOF; check that clickhouse.address has the port of the native protocol (9000, with TLS 9440) and clickhouse.tls.enabled",
		},
	} {
		c := c
		test.break_(&c)
		refused(t, c, "clickhouse at "+c.Address+": "+test.want)
	}
}

// refused fails unless sink and DB say what is wrong in the same sentence, and the sink's rows may wait.
func refused(t *testing.T, c clickhouse.Config, want string) {
	t.Helper()
	err := sink(t, c).Write(t.Context(), collector.Delivery{Token: "1", Batches: []*flow.Batch{batch(flow.Record{})}})
	if err == nil || err.Error() != want || errors.Is(err, collector.ErrRejected) {
		t.Errorf("sink\n got %v\nwant %s", err, want)
	}
	db, err := clickhouse.Open(c)
	if err == nil {
		defer db.Close()
		_, err = db.Query(t.Context(), "SELECT 1")
	}
	if err == nil || err.Error() != want {
		t.Errorf("query\n got %v\nwant %s", err, want)
	}
}

// The engine's own HTTP port is no good for this: half a request ends an engine of this kind.
func TestWrongAddress(t *testing.T) {
	c := clickhouse.Default()
	closed := listen(t)
	closed.Close()
	c.Address = closed.Addr().String()
	refused(t, c, "clickhouse at "+c.Address+": connect: connection refused; check clickhouse.address and that the server runs")
	c.Address = "clickhouse.invalid:9000" // what the resolver says differs from place to place
	if err := sink(t, c).Check(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "clickhouse at clickhouse.invalid:9000: ") ||
		!strings.HasSuffix(err.Error(), "; check clickhouse.address") {
		t.Errorf("error %v", err)
	}

	web := listen(t)
	defer web.Close()
	go func() {
		for {
			conn, err := web.Accept()
			if err != nil {
				return
			}
			_, err = conn.Read(make([]byte, 1000))
			if err == nil {
				_, err = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			}
			if err != nil {
				t.Error(err)
			}
			conn.Close()
		}
	}()
	c.Address = web.Addr().String()
	const check = "; check that clickhouse.address has the port of the native protocol (9000, with TLS 9440) and clickhouse.tls.enabled"
	refused(t, c, "clickhouse at "+c.Address+": login broke off: the answer is HTTP"+check)
	c.TLS.Enabled = true
	refused(t, c, "clickhouse at "+c.Address+": does not speak TLS; check the port in clickhouse.address (with TLS usually 9440) and clickhouse.tls.enabled")
}

func TestWrongFiles(t *testing.T) {
	c, dir := config(t), t.TempDir()
	none, empty := filepath.Join(dir, "none"), file(t, filepath.Join(dir, "empty"), "\n")
	c.PasswordFile = none
	refused(t, c, "read clickhouse.password_file: open "+none+": no such file or directory")
	c.PasswordFile = ""
	c.TLS = clickhouse.TLS{Enabled: true, CAFile: none}
	refused(t, c, "read clickhouse.tls.ca_file: open "+none+": no such file or directory")
	c.TLS.CAFile = empty
	refused(t, c, "read clickhouse.tls.ca_file: "+empty+" holds no certificate in PEM")
	c.TLS = clickhouse.TLS{Enabled: true, CertFile: empty, KeyFile: none}
	refused(t, c, "read clickhouse.tls.cert_file and key_file: open "+none+": no such file or directory")
}

// Each try costs an engine of this kind its life.
func TestWrongUser(t *testing.T) {
	c := clickhouse.Default()
	c.Username = "nobody"
	for _, try := range []func(clickhouse.Config) error{
		func(c clickhouse.Config) error { return sink(t, c).Check(t.Context()) },
		func(c clickhouse.Config) error { _, err := open(t, c).Query(t.Context(), "SELECT 1"); return err },
	} {
		server, _ := own(t)
		c.Address = server.Address
		want := "clickhouse at " + c.Address + `: login as "nobody" refused; check clickhouse.username and clickhouse.password_file`
		if err := try(c); err == nil || err.Error() != want {
			t.Errorf("\n got %v\nwant %s", err, want)
		}
	}
}

func TestPasswordIsReadAtEveryLogin(t *testing.T) {
	in, c, server := flow.NewInterner(), config(t), embeddedtest.Start(t).State()
	secret, err := os.ReadFile(server.PasswordFile)
	if err != nil {
		t.Fatal(err)
	}
	c.Username, c.PasswordFile = server.User, filepath.Join(t.TempDir(), "password")
	s, d := sink(t, c), collector.Delivery{Token: "1", Batches: []*flow.Batch{batch(full(in))}}
	if err := s.Write(t.Context(), d); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want that there is no file", err)
	}
	file(t, c.PasswordFile, strings.TrimSpace(string(secret))+"\r\n")
	write(t, s, "1", d.Batches...)
	if got := query(t, c, "SELECT currentUser(), count() FROM flows"); got != server.User+"\t1" {
		t.Errorf("got %q", got)
	}
}

func TestValidate(t *testing.T) {
	if err := clickhouse.Default().Validate(); err != nil {
		t.Error(err)
	}
	good := clickhouse.Default()
	good.Address, good.TTLFlows = "[2001:db8::1]:9440", 0
	good.TLS = clickhouse.TLS{Enabled: true}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	bad := clickhouse.Config{
		Address: "2001:db8::1:9000", Database: "a`; DROP", TLS: clickhouse.TLS{CertFile: "x"}, TTLFlows: time.Minute, TTLConnections: 1, TTLGaps: -1, TTLPulls: -day, TTLInventory: 90*time.Minute + 1, Compression: "zip",
	}
	want := []string{
		`clickhouse.address: must be host:port, an IPv6 address in brackets, is "2001:db8::1:9000"`,
		"clickhouse.database: must be letters, digits and underscores, is \"a`; DROP\"",
		`clickhouse.username: must be set; ClickHouse's own is "default"`,
		`clickhouse.tls.cert_file: needs tls.key_file, and the other way round`,
		`clickhouse.tls.enabled: must be true for the other keys of tls to have an effect`,
		`clickhouse.ttl_flows: must be 0 (for ever) or at least 1h, in whole seconds, is 1m0s`,
		`clickhouse.ttl_connections: must be 0 (for ever) or at least 1h, in whole seconds, is 1ns`,
		`clickhouse.ttl_gaps: must be 0 (for ever) or at least 1h, in whole seconds, is -1ns`,
		`clickhouse.ttl_pulls: must be 0 (for ever) or at least 1h, in whole seconds, is -24h0m0s`,
		`clickhouse.ttl_inventory: must be 0 (for ever) or at least 1h, in whole seconds, is 1h30m0.000000001s`,
		`clickhouse.insert_timeout: must be at least 1s, is 0s`,
		`clickhouse.compression: must be lz4 or none, is "zip"`,
	}
	if got := bad.Validate(); got == nil || got.Error() != strings.Join(want, "\n") {
		t.Errorf("got\n%v\nwant\n%s", got, strings.Join(want, "\n"))
	}
	for key, bad := range map[string]clickhouse.Config{
		"address: must have a port": with(func(c *clickhouse.Config) { c.Address = "h:99999" }),
		"address: must be":          with(func(c *clickhouse.Config) { c.Address = ":9000" }),
		"database: must be a":       with(func(c *clickhouse.Config) { c.Database = "Default" }),
	} {
		if err := bad.Validate(); err == nil || !strings.HasPrefix(err.Error(), "clickhouse."+key) {
			t.Errorf("error %v, want %s", err, key)
		}
	}
}

func with(change func(*clickhouse.Config)) clickhouse.Config {
	c := clickhouse.Default()
	change(&c)
	return c
}
