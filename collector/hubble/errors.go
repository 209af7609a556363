package hubble

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// trouble is why a server cannot be followed: a sentence that names the address and the way out, and a word for metrics
// from a bounded set.
type trouble struct {
	reason string
	text   string
	err    error
}

func (t *trouble) Error() string { return t.text }
func (t *trouble) Unwrap() error { return t.err }

// reasonOf returns the word.
func reasonOf(err error) string {
	if t, ok := errors.AsType[*trouble](err); ok {
		return t.reason
	}
	return "other"
}

// explain makes a sentence of an error met on the way to a server. What the dial or handshake said is better than what
// gRPC made of it.
func (e endpoint) explain(err, noted error) error {
	if noted != nil {
		err = noted
	}
	say := func(reason, format string, args ...any) error {
		return &trouble{reason, e.target.String() + ": " + fmt.Sprintf(format, args...), err}
	}
	var file *fileError
	var shake *handshakeError
	var dns *net.DNSError
	var timeout net.Error
	unix := e.target.network == "unix"
	switch {
	case errors.As(err, &file):
		return say("tls_file", "cannot use the file of hubble.%s", file)
	case errors.As(err, &shake):
		reason, text := e.explainTLS(shake.err)
		return say(reason, "%s", text)
	case errors.As(err, &dns) && dns.IsNotFound:
		return say("dns", "the name %s is not known; check hubble.server or hubble.peers", dns.Name)
	case unix && errors.Is(err, fs.ErrNotExist):
		return say("no_socket", "the socket does not exist; turn Hubble on in this node's agent (hubble.enabled) and mount its directory into this pod")
	case unix && errors.Is(err, fs.ErrPermission):
		return say("no_socket", "no permission to use the socket; run as a user that may write to it")
	case unix && errors.Is(err, syscall.ECONNREFUSED):
		return say("refused", "nobody listens on the socket; the agent is down or restarts")
	case errors.Is(err, syscall.ECONNREFUSED):
		return say("refused", "nothing listens there; start Hubble Relay, run `cilium hubble port-forward`, or give another hubble.server")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return say("timeout", "no answer within %s; check the address and what lies between (routes, firewalls, network policies)", dialTimeout)
	case errors.Is(err, errClosed) && e.secure && e.certs.certFile == "":
		return say("client_certificate", "it closed the connection right after the TLS handshake; it may want a client certificate (hubble.tls_client_cert_file and hubble.tls_client_key_file), or be no Hubble server")
	case errors.Is(err, errClosed) && e.secure:
		return say("client_certificate", "it closed the connection right after the TLS handshake; it may refuse the certificate of hubble.tls_client_cert_file %s, or be no Hubble server", e.certs.certFile)
	case errors.Is(err, errClosed):
		return say("closed", "%v; if it wants TLS, set hubble.tls to true or write tls://", err)
	}
	return e.explainStatus(err)
}

func (e endpoint) explainTLS(err error) (reason, text string) {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown) && len(e.certs.caFiles) > 0:
		return "untrusted", fmt.Sprintf("its certificate is signed by none of the authorities in %s; put Hubble's own there (ca.crt of the secret hubble-relay-server-certs or hubble-server-certs)",
			strings.Join(e.certs.caFiles, ", "))
	case errors.As(err, &unknown):
		return "untrusted", "its certificate is signed by no authority that this machine trusts; name the file of Hubble's own in hubble.tls_ca_cert_files"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "expired", fmt.Sprintf("its certificate is valid from %s to %s only; renew it, or set this machine's clock right",
			invalid.Cert.NotBefore.Format(time.RFC3339), invalid.Cert.NotAfter.Format(time.RFC3339))
	case errors.As(err, &name):
		return "wrong_name", fmt.Sprintf("its certificate is for %s and not for %s; set hubble.tls_server_name to a name it holds", namesIn(name.Certificate), name.Host)
	case errors.As(err, &record):
		return "no_tls", "it does not speak TLS; set hubble.tls to false and leave tls:// out"
	case isAlert(err) && e.certs.certFile == "":
		return "client_certificate", fmt.Sprintf("it wants a client certificate (%v); give hubble.tls_client_cert_file and hubble.tls_client_key_file", err)
	case isAlert(err):
		return "client_certificate", fmt.Sprintf("it refuses the certificate of hubble.tls_client_cert_file %s (%v); take one that Hubble's authority has signed", e.certs.certFile, err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return "closed", "it closed the connection during the TLS handshake; does it speak TLS?"
	}
	return "tls", fmt.Sprintf("TLS handshake: %v", err)
}

// namesIn returns the first few names and addresses of a certificate.
func namesIn(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0:
		return "no name at all"
	case len(names) > 5:
		names = append(names[:5], "…")
	}
	return strings.Join(names, ", ")
}

// explainStatus makes a sentence of the error of a call.
func (e endpoint) explainStatus(err error) error {
	say := func(reason, format string, args ...any) error {
		return &trouble{reason, e.target.String() + ": " + fmt.Sprintf(format, args...), err}
	}
	if errors.Is(err, io.EOF) {
		return say("eof", "the stream ended")
	}
	s, ok := status.FromError(err)
	if !ok {
		return say("other", "%v", err)
	}
	switch s.Code() {
	case codes.Unimplemented:
		return say("unimplemented", "it speaks gRPC, but not what was asked for (%s); is it a Hubble server, and for hubble.peers an agent and not Relay?", s.Message())
	case codes.InvalidArgument:
		return say("invalid_argument", "it refuses the request (%s); check hubble.allowlist, denylist and field_mask", s.Message())
	case codes.Unauthenticated, codes.PermissionDenied:
		return say("denied", "it refuses us (%s)", s.Message())
	case codes.Unavailable:
		return say("unavailable", "the connection broke (%s)", s.Message())
	case codes.ResourceExhausted:
		return say("exhausted", "%s", s.Message())
	case codes.DeadlineExceeded:
		return say("timeout", "no answer in time")
	}
	return say("other", "%v: %s", s.Code(), s.Message())
}
