package probetest

import (
	"crypto/tls"
	"net/http"
	"strings"
	"time"
)

// Lies are what is wrong with a registry. The zero value is an honest one.
type Lies struct {
	Down bool          // connections are closed as soon as they are made
	Wait time.Duration // pause before every answer
	Drip time.Duration // the answer for a manifest comes byte by byte, with this pause, and never ends

	RefuseHEAD bool                // when the limit is used up, refuse HEADs with 429, too
	Header     map[string][]string // header fields of manifests instead of the true ones; an empty list leaves one out
	Status     int                 // status of manifests, instead of the true one
	HTML       bool                // manifests are a page for people
	Huge       int                 // bytes of one more header field of manifests
	Redirect   string              // where manifests are said to be
	Realm      string              // where tokens are said to be had
	Challenge  string              // the whole of WWW-Authenticate

	Token  http.HandlerFunc // answers instead of the token service
	Answer http.HandlerFunc // answers instead of the registry, but for the token service

	// Certificate is what is shown instead of a good certificate.
	Certificate Certificate
}

// Certificate is a kind of certificate.
type Certificate uint8

// Certificates.
const (
	Good     Certificate = iota
	Expired              // was good until yesterday
	Stranger             // of an authority of its own
	Other                // for another host
)

// Lie makes the registry lie from the next connection and request on, or be honest again.
func (r *Registry) Lie(l Lies) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lies = l
}

func (r *Registry) lying() Lies {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lies
}

func (r *Registry) wrongCertificate() Certificate { return r.lying().Certificate }

// tell says what is not true about a manifest. It reports whether that was the whole answer.
func (l Lies) tell(w http.ResponseWriter, req *http.Request) bool {
	h := w.Header()
	for name, values := range l.Header {
		h.Del(name)
		for _, v := range values {
			h.Add(name, v)
		}
	}
	if l.Huge > 0 {
		h.Set("X-Huge", strings.Repeat("x", l.Huge))
	}
	switch {
	case l.Redirect != "":
		http.Redirect(w, req, l.Redirect, http.StatusTemporaryRedirect)
	case l.HTML:
		h.Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte("<html>Welcome to the hotel's network</html>"))
	case l.Status != 0:
		w.WriteHeader(l.Status)
	default:
		return false
	}
	return true
}

// drip answers byte by byte until nobody listens any more.
func drip(w http.ResponseWriter, pause time.Duration) {
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = buf.WriteString("HTTP/1.1 200 OK\r\nX-Slow: ")
	for buf.Flush() == nil {
		time.Sleep(pause)
		_ = buf.WriteByte('x')
	}
}

// showing returns the configuration of a TLS server that shows what which says.
func showing(certificates map[Certificate]*tls.Certificate, which func() Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificates[which()], nil },
	}
}
