package hubble

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc/credentials"
)

// certificates are what a TLS connection is made with. The files are read at every handshake: Cilium renews its
// certificates, and the kubelet exchanges the files under a running program.
type certificates struct {
	caFiles           []string
	certFile, keyFile string
	insecure          bool
}

func (c Config) certificates() certificates {
	return certificates{c.TLSCACertFiles, c.TLSClientCertFile, c.TLSClientKeyFile, c.TLSAllowInsecure}
}

// fileError is a certificate file that cannot be used.
type fileError struct {
	key, file string
	err       error
}

func (e *fileError) Error() string { return fmt.Sprintf("%s %s: %v", e.key, e.file, e.err) }
func (e *fileError) Unwrap() error { return e.err }

func (c certificates) config(serverName string) (*tls.Config, error) {
	config := &tls.Config{ServerName: serverName, MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.insecure} //nolint:gosec // only when the setting asks for it
	for _, file := range c.caFiles {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, &fileError{"tls_ca_cert_files", file, pathless(err)}
		}
		if config.RootCAs == nil {
			config.RootCAs = x509.NewCertPool()
		}
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &fileError{"tls_ca_cert_files", file, errors.New("holds no PEM certificate")}
		}
	}
	if c.certFile == "" {
		return config, nil
	}
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return nil, &fileError{"tls_client_cert_file", c.certFile, pathless(err)}
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return nil, &fileError{"tls_client_key_file", c.keyFile, pathless(err)}
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, &fileError{"tls_client_cert_file", c.certFile, fmt.Errorf("with key %s: %w", c.keyFile, err)}
	}
	// Given this way and not in Certificates, it is sent even when the server's list of authorities does not name its
	// issuer: the server's own word about it is clearer than silence.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return config, nil
}

// pathless takes the path out of a file error, where it stands already.
func pathless(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}

// handshaker is gRPC's TLS with a configuration made anew for every handshake. It notes the error of a handshake,
// which gRPC would make a text of.
type handshaker struct {
	credentials.TransportCredentials // for the methods that say what this is
	certs                            certificates
	serverName                       string
	note                             func(error)
}

func newHandshaker(certs certificates, serverName string, note func(error)) *handshaker {
	return &handshaker{credentials.NewTLS(&tls.Config{ServerName: serverName}), certs, serverName, note}
}

// ClientHandshake implements credentials.TransportCredentials.
func (h *handshaker) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config, err := h.certs.config(h.serverName)
	if err != nil {
		h.note(err)
		return nil, nil, err
	}
	conn, info, err := credentials.NewTLS(config).ClientHandshake(ctx, authority, raw)
	if err != nil {
		h.note(&handshakeError{err})
		return nil, nil, err
	}
	return &alertConn{conn, h.note}, info, nil
}

// Clone implements credentials.TransportCredentials.
func (h *handshaker) Clone() credentials.TransportCredentials {
	return newHandshaker(h.certs, h.serverName, h.note)
}

// alertConn notes what the server says after the handshake. In TLS 1.3 it tells only then that it refuses the client's
// certificate.
type alertConn struct {
	net.Conn
	note func(error)
}

func (c *alertConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if isAlert(err) {
		c.note(&handshakeError{err})
	}
	return n, err
}

// isAlert says whether err is what the other side said in a TLS alert.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" // crypto/tls has no better sign
}

// handshakeError is an error of the TLS handshake itself.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }
