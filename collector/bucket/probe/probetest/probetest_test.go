package probetest_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/bucket/probe/probetest"
)

// puller pulls as a client of registries does: it asks, is sent for a token, and asks again.
type puller struct {
	t      *testing.T
	client *http.Client
}

func newPuller(t *testing.T, r *probetest.Registry) puller {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(r.CA()) {
		t.Fatal("no authority")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return puller{t, &http.Client{Transport: transport}}
}

// do returns the status, the header and the body of an answer.
func (p puller) do(method, url, token string) (int, http.Header, []byte) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := p.client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

// pull returns the status and the three header fields.
func (p puller) pull(r *probetest.Registry, method, host string, from ...string) string {
	p.t.Helper()
	status, header, _ := p.do(method, r.URL(host, "/v2/"), "")
	if got := header.Get("WWW-Authenticate"); status != 401 || got != `Bearer realm="`+r.URL(host, "/token")+`",service="registry.probetest"` {
		p.t.Fatalf("status %d, challenge %s", status, got)
	}
	_, _, body := p.do(http.MethodGet, r.URL(host, "/token")+"?service=registry.probetest&scope=repository:a/b:pull", "")
	var answer struct{ Token string }
	if err := json.Unmarshal(body, &answer); err != nil {
		p.t.Fatal(err)
	}
	url := r.URL(host, "/v2/a/b/manifests/1")
	if len(from) > 0 {
		url += "?from=" + from[0]
	}
	status, header, _ = p.do(method, url, answer.Token)
	return fmt.Sprintf("%d %s %s %s", status,
		header.Get("ratelimit-limit"), header.Get("ratelimit-remaining"), header.Get("docker-ratelimit-source"))
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Now()
	r, err := probetest.Start(probetest.Config{
		Limit: 2, Window: time.Hour, IPv4Bits: 24, IPv6Bits: 56,
		Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		},
		Seen: func(client netip.Addr, req *http.Request) netip.Addr {
			if from := req.URL.Query().Get("from"); from != "" {
				return netip.MustParseAddr(from)
			}
			return client
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	p := newPuller(t, r)
	var got []string
	pull := func(method, host string, from ...string) { got = append(got, p.pull(r, method, host, from...)) }
	pass := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}

	pull("HEAD", r.IPv4())
	pull("GET", r.IPv4())
	pass(30 * time.Minute)
	pull("GET", r.IPv4())
	pull("GET", r.IPv4())
	pull("HEAD", r.IPv4())
	pass(30 * time.Minute) // the first has left the window
	pull("GET", r.IPv4())
	pull("GET", r.IPv6())
	pull("GET", r.IPv6(), "2001:db8:0:1::5")
	pull("GET", r.IPv6(), "2001:db8:0:ff::6")
	pull("GET", r.IPv6(), "2001:db8:0:fe::6")
	pull("GET", r.IPv6(), "2001:db8:0:100::6")
	want := []string{
		"200 2;w=3600 2;w=3600 127.0.0.0",
		"200 2;w=3600 1;w=3600 127.0.0.0",
		"200 2;w=3600 0;w=3600 127.0.0.0",
		"429 2;w=3600 0;w=3600 127.0.0.0",
		"200 2;w=3600 0;w=3600 127.0.0.0",
		"200 2;w=3600 0;w=3600 127.0.0.0",
		"200 2;w=3600 1;w=3600 ::",
		"200 2;w=3600 1;w=3600 2001:db8::",
		"200 2;w=3600 0;w=3600 2001:db8::",
		"429 2;w=3600 0;w=3600 2001:db8::",
		"200 2;w=3600 1;w=3600 2001:db8:0:100::",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	used := map[string]int{}
	for prefix, n := range r.Used() {
		used[prefix.String()] = n
	}
	if diff := cmp.Diff(map[string]int{"127.0.0.0/24": 2, "::/56": 1, "2001:db8::/56": 2, "2001:db8:0:100::/56": 1}, used); diff != "" {
		t.Errorf("used (-want +got):\n%s", diff)
	}
	if n := r.Pull(netip.MustParseAddr("192.0.2.1"), 5); n != 2 {
		t.Errorf("%d of 5 pulls taken, the limit is 2", n)
	}
}
