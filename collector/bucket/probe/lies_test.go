package probe_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sextant/collector/bucket/probe"
	"sextant/collector/bucket/probe/probetest"
	"sextant/collector/flow"
)

// TestLies asks registries that are broken or lie. Nothing of what they say is taken over, and the reason is told.
func TestLies(t *testing.T) {
	t.Parallel()
	field := func(name string, values ...string) probetest.Lies {
		return probetest.Lies{Header: map[string][]string{name: values}}
	}
	limit := func(values ...string) probetest.Lies { return field("Ratelimit-Limit", values...) }
	remaining := func(values ...string) probetest.Lies { return field("Ratelimit-Remaining", values...) }
	source := func(values ...string) probetest.Lies { return field("Docker-Ratelimit-Source", values...) }
	token := func(code int, body string) probetest.Lies {
		return probetest.Lies{Token: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}}
	}
	challenge := func(text string) probetest.Lies { return probetest.Lies{Challenge: text} }

	rows := []struct {
		name string
		lies probetest.Lies
		f    flow.Family
		want probe.Result
		err  string
	}{
		{"down", probetest.Lies{Down: true}, v4, probe.Unreachable, `ask "registry.example": `},
		{"slow", probetest.Lies{Wait: time.Minute}, v4, probe.Timeout, "deadline exceeded"},
		{"byte by byte", probetest.Lies{Drip: 20 * time.Millisecond}, v6, probe.Timeout, "deadline exceeded"},
		{"expired certificate", probetest.Lies{Certificate: probetest.Expired}, v4, probe.TLS, "expired"},
		{"stranger's certificate", probetest.Lies{Certificate: probetest.Stranger}, v6, probe.TLS, "unknown authority"},
		{"another host's certificate", probetest.Lies{Certificate: probetest.Other}, v4, probe.TLS, "registry.example"},

		{"error", probetest.Lies{Status: 500}, v4, probe.Status, `"registry.example" answers with status 500`},
		{"not there", probetest.Lies{Status: 404}, v6, probe.Status, "status 404"},
		{"a page", probetest.Lies{HTML: true}, v4, probe.Status, "a page"},
		{"a 1 MB header", probetest.Lies{Huge: 1 << 20}, v4, probe.Malformed, "exceeded"},
		{"no HTTP", probetest.Lies{Answer: raw("SSH-2.0-OpenSSH_10.0\r\n\r\n")}, v4, probe.Malformed, "malformed"},
		{"no HTTP, and much of it", probetest.Lies{Answer: raw(strings.Repeat("x", 8<<10) + "\r\n\r\n")}, v4, probe.Malformed, "malformed"},
		{"a header that ends", probetest.Lies{Answer: raw("HTTP/1.1 200 OK\r\nRatelimit-Limit: 100;w=1")}, v4, probe.Malformed, "EOF"},
		{"a body to a HEAD", probetest.Lies{Answer: raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + strings.Repeat("x", 1<<16))}, v4, probe.Silent, ""},
		{"endless early hints", probetest.Lies{Answer: raw(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1<<12))}, v4, probe.Malformed, ""},
		{"a redirect elsewhere", probetest.Lies{Redirect: "https://elsewhere.example/"}, v4, probe.Redirect, "redirected"},
		{"a redirect to plain HTTP", probetest.Lies{Redirect: "http://registry.example/"}, v4, probe.Redirect, "redirected"},
		{"a redirect to another port", probetest.Lies{Redirect: "https://registry.example:8443/"}, v4, probe.Redirect, "redirected"},
		{"a redirect in circles", probetest.Lies{Redirect: probetest.Manifest}, v6, probe.Redirect, "redirected"},

		{"no numbers", probetest.Lies{Header: map[string][]string{"Ratelimit-Limit": nil, "Ratelimit-Remaining": nil}}, v4, probe.Silent, "says nothing"},
		{"no limit", limit(), v4, probe.Malformed, "ratelimit-limit stands 0 times"},
		{"no remainder", remaining(), v4, probe.Malformed, "ratelimit-remaining stands 0 times"},
		{"two limits", limit("100;w=21600", "200;w=21600"), v4, probe.Malformed, "stands 2 times"},
		{"negative", remaining("-1;w=21600"), v4, probe.Malformed, `"-1;w=21600"`},
		{"a fraction", remaining("0.5;w=21600"), v4, probe.Malformed, `"0.5`},
		{"another base", limit("0x64;w=21600"), v4, probe.Malformed, `"0x64`},
		{"a word", limit("unlimited"), v4, probe.Malformed, `"unlimited"`},
		{"absurd", limit("4000000000;w=21600"), v4, probe.Malformed, "no number up to"},
		{"too large for any number", limit("99999999999999999999999;w=21600"), v4, probe.Malformed, "no number up to"},
		{"a limit of nothing", probetest.Lies{Header: map[string][]string{"Ratelimit-Limit": {"0;w=1"}, "Ratelimit-Remaining": {"0;w=1"}}}, v4, probe.Malformed, "allows nothing"},
		{"more than all", remaining("101;w=21600"), v4, probe.Malformed, "101 remaining of 100"},
		{"window 0", limit("100;w=0"), v4, probe.Malformed, "no window"},
		{"window negative", limit("100;w=-5"), v4, probe.Malformed, "no window"},
		{"window of a century", limit("100;w=3153600000"), v4, probe.Malformed, "no window"},
		{"two windows", limit("100;w=60;w=70"), v4, probe.Malformed, "no window"},
		{"windows that differ", remaining("50;w=3600"), v4, probe.Malformed, "two windows"},
		{"no window", probetest.Lies{Header: map[string][]string{"Ratelimit-Limit": {"100"}, "Ratelimit-Remaining": {"50"}}}, v4, probe.Malformed, "no window"},
		{"a long number", limit(strings.Repeat("0", 200) + "100;w=21600"), v4, probe.Malformed, "characters"},

		{"an account's UUID", source("186e63fa-abf0-4deb-a711-0dbd34c4a821"), v4, probe.Account, "account"},
		{"an account's name", source("somebody"), v6, probe.Account, "account"},
		{"private", source("10.1.2.3"), v4, probe.Impossible, "10.1.2.3 is a private address, which 192.0.2.1 cannot have seen"},
		{"unique local", source("fd00::1"), v6, probe.Impossible, "private"},
		{"multicast", source("ff02::1"), v6, probe.Impossible, "nobody's"},
		{"link-local", source("fe80::1"), v6, probe.Impossible, "nobody's"},
		{"with a zone", source("fe80::1%eth0"), v6, probe.Malformed, "neither"},
		{"no family", source("0.0.0.0"), v4, probe.Impossible, "nobody's"},
		{"broadcast", source("255.255.255.255"), v4, probe.Impossible, "nobody's"},
		{"of no registry", source("4000::1"), v6, probe.Impossible, "nobody's"},
		{"the other family", source("2001:db8::1"), v4, probe.Impossible, "over IPv4"},
		{"everybody", source("::/0"), v6, probe.Malformed, "more than one network"},
		{"half of everybody", source("128.0.0.0/1"), v4, probe.Malformed, "more than one network"},
		{"IPv4-mapped everybody", source("::ffff:0:0/96"), v4, probe.Malformed, "more than one network"},
		{"almost an address", source("198.51.100.300"), v4, probe.Malformed, "neither"},
		{"two sources", source("198.51.100.7", "198.51.100.8"), v4, probe.Malformed, "stands 2 times"},
		{"a list of sources", source("198.51.100.7, 198.51.100.8"), v4, probe.Malformed, "neither"},
		{"markup", source("<script>alert(1)</script>"), v4, probe.Malformed, "neither"},
		{"an empty source", source(""), v4, probe.Malformed, "neither"},

		{"a login", challenge(`Basic realm="registry"`), v4, probe.Token, "not a Bearer token"},
		{"a challenge without a realm", challenge(`Bearer service="x"`), v4, probe.Token, "realm"},
		{"an endless challenge", challenge(`Bearer realm="` + strings.Repeat("x", 5000)), v4, probe.Token, "4096"},
		{"plain HTTP for tokens", probetest.Lies{Realm: "http://auth.example/token"}, v4, probe.Token, "must be https"},
		{"plain HTTP to ourselves", probetest.Lies{Realm: "http://127.0.0.1/token"}, v4, probe.Token, "must be https"},
		{"tokens from elsewhere", probetest.Lies{Realm: "https://169.254.169.254/latest/meta-data"}, v4, probe.Token, "neither its own host"},
		{"tokens from a similar host", probetest.Lies{Realm: "https://auth.example.org/token"}, v4, probe.Token, "neither its own host"},
		{"tokens with a password", probetest.Lies{Realm: "https://me:secret@auth.example/token"}, v4, probe.Token, "without a user"},
		{"no tokens", token(503, "later"), v4, probe.Token, `"auth.example" answers with status 503`},
		{"a page for a token", token(200, "<html>"), v4, probe.Token, "not a JSON object"},
		{"an empty token", token(200, "{}"), v4, probe.Token, "no token"},
		{"a token that is two lines", token(200, `{"token":"a\r\nX-Evil: 1"}`), v4, probe.Token, "no token"},
		{"a token without an end", token(200, `{"token":"`+strings.Repeat("x", 1<<20)), v4, probe.Token, "more than"},
		{"a token that is not taken", token(200, `{"access_token":"abc"}`), v4, probe.Token, "does not take"},
		{"tokens from where a redirect leads", probetest.Lies{Token: http.RedirectHandler("https://elsewhere.example/", http.StatusFound).ServeHTTP}, v4, probe.Redirect, "auth.example"},
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := hub(t, probetest.Config{Seen: publicly})
			r.Lie(tt.lies)
			cfg := settings(t, r)
			cfg.Timeout = 20 * time.Second
			if tt.want == probe.Timeout {
				cfg.Timeout = time.Second
			}
			before := len(r.Requests())
			cfg.Dial = publicDial(r)
			got := ask(t, cfg, tt.f)
			want := probe.Answer{Service: "hub", Node: "node-1", Family: tt.f, Local: got.Local, Result: tt.want}
			if diff := same(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Err == nil || !strings.Contains(got.Err.Error(), tt.err) || len(got.Err.Error()) > 310 {
				t.Errorf("error %v, want one with %q", got.Err, tt.err)
			}
			requests := r.Requests()[before:]
			if len(requests) > 6 {
				t.Errorf("%d requests for one question", len(requests))
			}
			hosts := []string{"registry.example", "auth.example"}
			for _, req := range requests {
				if !slices.Contains(hosts, req.Host) || req.Token != "" && req.Host != hosts[0] {
					t.Errorf("a request for %s went to %s, token %t", req.Path, req.Host, req.Token != "")
				}
			}
		})
	}
	covered := map[probe.Result]bool{probe.Unknown: true, probe.OK: true, probe.Limited: true}
	for _, tt := range rows {
		covered[tt.want] = true
	}
	for r := probe.OK; r.String() != "unknown"; r++ {
		if !covered[r] {
			t.Errorf("no row ends with %s", r)
		}
	}
}

func publicly(client netip.Addr, _ *http.Request) netip.Addr {
	if client.Is4() {
		return netip.MustParseAddr("198.51.100.7")
	}
	return netip.MustParseAddr("2001:db8:a:1::5")
}

// TestAuthorities: what cannot be read is said, and the system's authorities do not know the registry's.
func TestAuthorities(t *testing.T) {
	t.Parallel()
	r := hub(t, probetest.Config{})
	cfg := settings(t, r)
	none := filepath.Join(t.TempDir(), "none.pem")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"": "certificate", none: "no such file", empty: "holds no PEM certificate"} {
		cfg.CAFile = file
		if got := ask(t, cfg, v4); got.Result != probe.TLS || got.Err == nil || !strings.Contains(got.Err.Error(), want) {
			t.Errorf("%q: %s: %v", file, got.Result, got.Err)
		}
	}
}

// TestSilent: a server that takes a connection and never says a word is left when the time is over.
func TestSilent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	left := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			left <- err
			return
		}
		defer conn.Close()
		_, err = io.Copy(io.Discard, conn) // until we are left
		left <- err
	}()
	cfg := probe.Default()
	cfg.Timeout = 100 * time.Millisecond
	cfg.Targets = []probe.Target{{Service: "hub", Manifest: "https://" + l.Addr().String() + probetest.Manifest}}
	if got := ask(t, cfg, v4); got.Result != probe.Timeout {
		t.Errorf("%s: %v", got.Result, got.Err)
	}
	if err := <-left; err != nil {
		t.Error(err)
	}
}
