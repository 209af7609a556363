package probetest

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
	"time"
)

// pki is an authority that exists in memory alone, and what it has signed.
type pki struct {
	ca     []byte // PEM
	server *tls.Config
}

// authority is an authority with its key.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newPKI(hosts []string, which func() Certificate) (*pki, error) {
	ours, err := newAuthority("probetest")
	if err != nil {
		return nil, err
	}
	stranger, err := newAuthority("stranger")
	if err != nil {
		return nil, err
	}
	hosts = append([]string{"localhost"}, hosts...)
	now := time.Now()
	certificates := map[Certificate]*tls.Certificate{}
	for kind, leaf := range map[Certificate]struct {
		by    *authority
		hosts []string
		until time.Time
	}{
		Good:     {ours, hosts, now.Add(24 * time.Hour)},
		Expired:  {ours, hosts, now.Add(-24 * time.Hour)},
		Stranger: {stranger, hosts, now.Add(24 * time.Hour)},
		Other:    {ours, nil, now.Add(24 * time.Hour)},
	} {
		if certificates[kind], err = leaf.by.sign(leaf.hosts, leaf.until); err != nil {
			return nil, err
		}
	}
	return &pki{
		ca:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.cert.Raw}),
		server: showing(certificates, which),
	}, nil
}

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-48 * time.Hour),
		NotAfter:              time.Now().Add(48 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make an authority: %w", err)
	}
	return &authority{cert, key}, nil
}

// sign makes a certificate for hosts and the loopback addresses, or for another host when there are none.
func (a *authority) sign(hosts []string, until time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: service},
		NotBefore:    time.Now().Add(-47 * time.Hour),
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     hosts,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if len(hosts) == 0 {
		template.DNSNames, template.IPAddresses = []string{"elsewhere.example"}, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
