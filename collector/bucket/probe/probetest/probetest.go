// Package probetest gives tests a registry that counts pulls by address: a real HTTP server on the IPv4 and the IPv6 loopback
// address, which issues anonymous tokens, counts GETs of manifests by the client's prefix in a sliding window, lets HEADs
// pass uncounted, says so in Docker Hub's three header fields, and refuses with 429 what is too much. It can be told to be
// down, slow, or to lie.
//
// It refuses to store anything: every name and tag is the same small manifest, and there are no blobs.
package probetest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Manifest is the path that Docker documents for questions about the limit. Every other name and tag will do, too.
const Manifest = "/v2/ratelimitpreview/test/manifests/latest"

// TokenPath is the path of the token service.
const TokenPath = "/token"

// Config is what the registry counts. The zero value is Docker Hub's rule.
type Config struct {
	Limit    int           // pulls per window; 0: 100
	Window   time.Duration // in whole seconds; 0: six hours
	IPv4Bits int           // length of the prefix that shares a limit; 0: 32
	IPv6Bits int           // 0: 64

	Plain     bool     // speak HTTP, not HTTPS
	Hosts     []string // names that the certificate is good for, beside the loopback addresses and localhost
	TokenHost string   // host of the realm, with a port where it needs one; "": the host that was asked

	// Seen returns by which address a client is known, for tests that put a NAT in front, or many nodes behind one
	// address. nil: by its own.
	Seen func(client netip.Addr, r *http.Request) netip.Addr

	Now func() time.Time // nil: time.Now
}

// Registry is a running stand-in. Its methods are safe for concurrent use.
type Registry struct {
	cfg  Config
	port string
	pki  *pki
	srv  *http.Server

	mu       sync.Mutex
	lies     Lies
	pulls    map[netip.Prefix][]time.Time // of the last window
	tokens   map[string]bool
	requests []Request
}

// A Request is one that arrived, whatever the answer was.
type Request struct {
	Method, Host, Path string
	Query              string
	Client             netip.Addr
	Token              string // of the Authorization header
	UserAgent          string
}

// mostRequests and mostTokens bound what is remembered: a stand-in may run for as long as a demonstration.
const (
	mostRequests = 10_000
	mostTokens   = 10_000
)

// Start runs a registry until Close.
func Start(cfg Config) (*Registry, error) {
	cfg.Limit = or(cfg.Limit, 100)
	cfg.Window = or(cfg.Window, 6*time.Hour)
	cfg.IPv4Bits = or(cfg.IPv4Bits, 32)
	cfg.IPv6Bits = or(cfg.IPv6Bits, 64)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	r := &Registry{cfg: cfg, pulls: map[netip.Prefix][]time.Time{}, tokens: map[string]bool{}}
	listeners, err := r.listen()
	if err != nil {
		return nil, err
	}
	r.srv = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	if !cfg.Plain {
		if r.pki, err = newPKI(cfg.Hosts, r.wrongCertificate); err != nil {
			return nil, errors.Join(err, listeners[0].Close(), listeners[1].Close())
		}
		r.srv.TLSConfig = r.pki.server
	}
	for _, l := range listeners {
		go func() {
			if cfg.Plain {
				_ = r.srv.Serve(l) // ends with Close
				return
			}
			_ = r.srv.ServeTLS(l, "", "")
		}()
	}
	return r, nil
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// listen opens one port on both families.
func (r *Registry) listen() (both [2]net.Listener, err error) {
	for range 20 {
		var v4, v6 net.Listener
		if v4, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			return both, fmt.Errorf("listen: %w", err)
		}
		_, r.port, _ = net.SplitHostPort(v4.Addr().String())
		if v6, err = net.Listen("tcp6", "[::1]:"+r.port); err == nil {
			return [2]net.Listener{&gate{v4, r}, &gate{v6, r}}, nil
		}
		v4.Close() // the port is taken on the other side
	}
	return both, fmt.Errorf("listen on both families: %w", err)
}

// gate lets nobody in while the registry is down.
type gate struct {
	net.Listener
	r *Registry
}

// Accept implements net.Listener.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil || !g.r.lying().Down {
			return conn, err
		}
		conn.Close()
	}
}

// Close ends the registry and every connection to it.
func (r *Registry) Close() error { return r.srv.Close() }

// IPv4 returns host and port of the registry's IPv4 address.
func (r *Registry) IPv4() string { return net.JoinHostPort("127.0.0.1", r.port) }

// IPv6 returns host and port of the registry's IPv6 address.
func (r *Registry) IPv6() string { return net.JoinHostPort("::1", r.port) }

// URL returns the URL of a path on a host, which may be one of Config.Hosts, IPv4() or IPv6().
func (r *Registry) URL(host, path string) string {
	if r.cfg.Plain {
		return "http://" + host + path
	}
	return "https://" + host + path
}

// CA returns the authority to trust, as PEM. It is nil for a plain registry.
func (r *Registry) CA() []byte {
	if r.pki == nil {
		return nil
	}
	return r.pki.ca
}

// Dial connects to the registry whatever the address is, over the network tcp4 or tcp6. It is a dialer for clients that ask
// for one of Config.Hosts.
func (r *Registry) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	addr := r.IPv4()
	if network == "tcp6" {
		addr = r.IPv6()
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// Requests returns the requests that arrived, the oldest first.
func (r *Registry) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Request(nil), r.requests...)
}

// ServeHTTP implements http.Handler: what the registry says, without its listeners.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	client := clientOf(req)
	r.note(req, client)
	lies := r.lying()
	if lies.Wait > 0 {
		select {
		case <-time.After(lies.Wait):
		case <-req.Context().Done():
			return
		}
	}
	switch {
	case req.URL.Path == TokenPath && lies.Token != nil:
		lies.Token(w, req)
	case req.URL.Path == TokenPath:
		r.issue(w, req)
	case lies.Answer != nil:
		lies.Answer(w, req)
	case lies.Drip > 0:
		drip(w, lies.Drip)
	case !strings.HasPrefix(req.URL.Path, "/v2/"):
		http.NotFound(w, req)
	case !r.isIssued(bearerOf(req)):
		r.challenge(w, req, lies)
	case req.URL.Path == "/v2/":
		w.WriteHeader(http.StatusOK)
	case !strings.Contains(req.URL.Path, "/manifests/"):
		http.NotFound(w, req)
	case req.Method != http.MethodGet && req.Method != http.MethodHead:
		http.Error(w, "read only", http.StatusMethodNotAllowed)
	default:
		if r.cfg.Seen != nil {
			client = r.cfg.Seen(client, req)
		}
		r.manifest(w, req, r.prefixOf(client), lies)
	}
}

func clientOf(req *http.Request) netip.Addr {
	ap, _ := netip.ParseAddrPort(req.RemoteAddr)
	return ap.Addr().Unmap().WithZone("")
}

func (r *Registry) note(req *http.Request, client netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.requests) < mostRequests {
		r.requests = append(r.requests, Request{
			req.Method, req.Host, req.URL.Path, req.URL.RawQuery, client, bearerOf(req), req.UserAgent(),
		})
	}
}

// manifest answers for a manifest, and counts a GET.
func (r *Registry) manifest(w http.ResponseWriter, req *http.Request, from netip.Prefix, lies Lies) {
	used, taken := r.take(from, req.Method == http.MethodGet)
	h := w.Header()
	seconds := strconv.Itoa(int(r.cfg.Window / time.Second))
	h.Set("Ratelimit-Limit", strconv.Itoa(r.cfg.Limit)+";w="+seconds)
	h.Set("Ratelimit-Remaining", strconv.Itoa(r.cfg.Limit-used)+";w="+seconds)
	h.Set("Docker-Ratelimit-Source", from.Addr().String())
	refuse := req.Method == http.MethodGet && !taken || lies.RefuseHEAD && used == r.cfg.Limit
	if lies.tell(w, req) {
		return
	}
	if refuse {
		h.Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprint(w, `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit"}]}`)
		return
	}
	h.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	h.Set("Docker-Content-Digest", manifestDigest)
	h.Set("Content-Length", strconv.Itoa(len(manifest)))
	if req.Method == http.MethodGet {
		fmt.Fprint(w, manifest)
	}
}
