package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"syscall"

	"sextant/collector/flow"
)

// Dialer connects to an address over tcp4 or tcp6, as net.Dialer's DialContext does.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// visit is one question's way to a registry: a few requests, each over a connection of its own, so that none is sent twice
// and all use the routes and certificates of now.
type visit struct {
	cfg             Config
	registry, token *url.URL // of the target; token is empty where it names none
	client          *http.Client

	mu       sync.Mutex // the transport may still be at it when a request has ended
	way      way        // of the last connection
	answered bool       // a first byte has come over it
}

// mostHeader bounds the header of an answer. Docker's has about 1 kB.
const mostHeader = 32 << 10

var errRedirect = errors.New("redirected to another host, or twice")

// newVisit prepares a visit that lasts until ctx ends. It opens no connection.
func newVisit(ctx context.Context, cfg Config, t Target, f flow.Family) (*visit, error) {
	registry, err := parseURL(t.Manifest, cfg.Loopback)
	if err != nil {
		return nil, failed(Unreachable, fmt.Errorf("manifest: %w", err))
	}
	token := &url.URL{}
	if t.Token != "" {
		if token, err = parseURL(t.Token, cfg.Loopback); err != nil {
			return nil, failed(Token, fmt.Errorf("token: %w", err))
		}
	}
	roots, err := authorities(cfg.CAFile)
	if err != nil {
		return nil, failed(TLS, err)
	}
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	network := "tcp4"
	if f == flow.FamilyIPv6 {
		network = "tcp6"
	}
	transport := &http.Transport{
		DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
			// A transport dials and shakes hands on when nobody waits any more. Here all ends with the visit.
			conn, err := dial(ctx, network, addr)
			if err == nil {
				context.AfterFunc(ctx, func() { conn.Close() })
			}
			return conn, err
		},
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		MaxResponseHeaderBytes: mostHeader,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
	if cfg.Proxy != "" {
		proxy, err := url.Parse(cfg.Proxy)
		if err != nil {
			return nil, failed(Unreachable, fmt.Errorf("proxy: %w", err))
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	v := &visit{cfg: cfg, registry: registry, token: token}
	v.client = &http.Client{Transport: transport, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > 1 || !sameHost(req.URL, via[0].URL) {
			return errRedirect
		}
		return nil
	}}
	return v, nil
}

// authorities reads whom to trust, nil for the system's. It is read at every question: such files are renewed under a
// running program.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s: holds no PEM certificate", file)
	}
	return pool, nil
}

// do sends a request and says why there is no answer. Its context bounds the reading of the body, too.
func (v *visit) do(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", "sextant")
	trace := &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.answered = false
			if v.cfg.Proxy == "" { // else its ends say nothing of the registry
				v.way = way{addrOf(info.Conn.LocalAddr()), addrOf(info.Conn.RemoteAddr())}
			}
		},
		GotFirstResponseByte: func() {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.answered = true
		},
	}
	resp, err := v.client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err != nil {
		return nil, v.explain(req, err)
	}
	return resp, nil
}

// ends returns the two ends of the last connection.
func (v *visit) ends() way {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.way
}

func addrOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}

// explain makes a failure of what went wrong on the way.
func (v *visit) explain(req *http.Request, err error) *failure {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the URL, whose query is long
	}
	v.mu.Lock()
	answered := v.answered
	v.mu.Unlock()
	result := Unreachable
	switch {
	case errors.Is(err, errRedirect):
		result = Redirect
	case isTimeout(err):
		result = Timeout
	case isTLS(err):
		result = TLS
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
	case answered:
		result = Malformed
	}
	return failed(result, fmt.Errorf("ask %s: %w", quote(req.URL.Host), err))
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && e.Timeout()
}

func isTLS(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	return certificate || record || alert || errors.Is(err, http.ErrSchemeMismatch) || isAlert(err)
}

// isAlert says whether err is what the other side said in a TLS alert; crypto/tls has no better sign over TCP.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}
