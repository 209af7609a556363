package hubbletest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A CA signs certificates for one test.
type CA struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// NewCA returns a certificate authority of its own: two of them do not trust each
// other, though they have the same name.
func NewCA(t testing.TB) *CA {
	t.Helper()
	ca := &CA{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: serial(t), Subject: pkix.Name{CommonName: "Cilium CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &ca.key.PublicKey, ca.key)
	check(t, "create CA", err)
	ca.cert, err = x509.ParseCertificate(der)
	check(t, "parse CA", err)
	ca.pem = encode("CERTIFICATE", der)
	return ca
}

// Server returns a certificate for a server with these DNS names or addresses,
// as a rule "*.lab.hubble-grpc.cilium.io".
func (ca *CA) Server(names ...string) *Certificate {
	ca.t.Helper()
	return ca.issue(names, x509.ExtKeyUsageServerAuth)
}

// Client returns a certificate for a client, as a rule "*.hubble-relay.cilium.io".
func (ca *CA) Client(names ...string) *Certificate {
	ca.t.Helper()
	return ca.issue(names, x509.ExtKeyUsageClientAuth)
}

func (ca *CA) issue(names []string, usage x509.ExtKeyUsage) *Certificate {
	ca.t.Helper()
	dir := ca.t.TempDir()
	c := &Certificate{
		CAFile: filepath.Join(dir, "ca.crt"), CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"),
		dir: dir, names: names, usage: usage,
	}
	c.Rotate(ca)
	return c
}

// A Certificate is a key pair and the CA beside it in files, laid out and replaced
// as the kubelet does with a Secret: the files are links into a directory that is
// exchanged as a whole.
type Certificate struct {
	CAFile, CertFile, KeyFile string

	dir     string
	names   []string
	usage   x509.ExtKeyUsage
	version int
}

// Rotate replaces the files by a new key pair for the same names, signed by ca.
func (c *Certificate) Rotate(ca *CA) {
	ca.t.Helper()
	c.replace(ca, time.Now().Add(time.Hour))
}

// Expire replaces the files by a new key pair that was valid until a minute ago.
func (c *Certificate) Expire(ca *CA) {
	ca.t.Helper()
	c.replace(ca, time.Now().Add(-time.Minute))
}

func (c *Certificate) replace(ca *CA, until time.Time) {
	ca.t.Helper()
	key := newKey(ca.t)
	template := &x509.Certificate{
		SerialNumber: serial(ca.t), Subject: pkix.Name{CommonName: c.names[0]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{c.usage},
	}
	for _, name := range c.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	check(ca.t, "create certificate", err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	check(ca.t, "marshal key", err)
	c.write(ca.t, map[string][]byte{
		"ca.crt": ca.pem, "tls.crt": encode("CERTIFICATE", der), "tls.key": encode("PRIVATE KEY", keyDER),
	})
}

func (c *Certificate) write(t testing.TB, files map[string][]byte) {
	t.Helper()
	c.version++
	data := fmt.Sprintf("..%d", c.version)
	check(t, "make directory", os.Mkdir(filepath.Join(c.dir, data), 0o700))
	for name, content := range files {
		check(t, "write file", os.WriteFile(filepath.Join(c.dir, data, name), content, 0o600))
	}
	check(t, "link directory", os.Symlink(data, filepath.Join(c.dir, "..data.new")))
	check(t, "exchange directory", os.Rename(filepath.Join(c.dir, "..data.new"), filepath.Join(c.dir, "..data")))
	if c.version > 1 {
		check(t, "remove old files", os.RemoveAll(filepath.Join(c.dir, fmt.Sprintf("..%d", c.version-1))))
		return
	}
	for name := range files {
		check(t, "link file", os.Symlink(filepath.Join("..data", name), filepath.Join(c.dir, name)))
	}
}

// serverConfig reads the files at each handshake, as an agent has read the newest
// ones by then (pkg/crypto/certloader).
func (c *Certificate) serverConfig(mutual bool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			pair, pool, err := c.load()
			if err != nil {
				return nil, err
			}
			config := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
			if mutual {
				config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
			}
			return config, nil
		},
	}
}

func (c *Certificate) load() (tls.Certificate, *x509.CertPool, error) {
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return pair, nil, err
	}
	ca, err := os.ReadFile(c.CAFile)
	if err != nil {
		return pair, nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return pair, nil, fmt.Errorf("no certificate in %s", c.CAFile)
	}
	return pair, pool, nil
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, "generate key", err)
	return key
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	check(t, "generate serial number", err)
	return n
}

func encode(typ string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
}

func check(t testing.TB, step string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", step, err)
	}
}
