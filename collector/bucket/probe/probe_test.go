package probe_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"sextant/collector/bucket/probe"
	"sextant/collector/bucket/probe/probetest"
	"sextant/collector/flow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const v4, v6 = flow.FamilyIPv4, flow.FamilyIPv6

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
)

// The registry and its token service have names of their own, as Docker Hub's do.
const (
	registryHost = "registry.example"
	tokenHost    = "auth.example"
)

// hub starts a registry that is asked by name. Clients seem to come from the public addresses of one node.
func hub(t *testing.T, cfg probetest.Config) *probetest.Registry {
	t.Helper()
	cfg.Hosts, cfg.TokenHost = []string{registryHost, tokenHost}, tokenHost
	if cfg.Seen == nil {
		cfg.Seen = func(client netip.Addr, _ *http.Request) netip.Addr {
			if client.Is4() {
				return addr("198.51.100.7")
			}
			return addr("2001:db8:a:1::5")
		}
	}
	r, err := probetest.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// settings are those with which hub is asked.
func settings(t *testing.T, r *probetest.Registry) probe.Config {
	t.Helper()
	cfg := probe.Default()
	cfg.Enabled, cfg.NodeName, cfg.Dial = true, "node-1", r.Dial
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(cfg.CAFile, r.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Targets = []probe.Target{{
		Service: "hub", Manifest: r.URL(registryHost, probetest.Manifest), Token: r.URL(tokenHost, probetest.TokenPath),
	}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func ask(t *testing.T, cfg probe.Config, f flow.Family) probe.Answer {
	t.Helper()
	p := probe.New(cfg, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	return p.Ask(t.Context(), cfg.Targets[0], f)
}

// same compares answers but for their time and the text of their error.
func same(want, got probe.Answer) string {
	return cmp.Diff(want, got, cmpopts.IgnoreFields(probe.Answer{}, "Time", "Err"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }))
}

func TestAsk(t *testing.T) {
	t.Parallel()
	r := hub(t, probetest.Config{})
	r.Pull(addr("198.51.100.7"), 24)
	r.Pull(addr("2001:db8:a:1::99"), 60) // another node in the same /64
	r.Pull(addr("2001:db8:a:2::5"), 100)
	used := r.Used()
	cfg := settings(t, r)
	reg := prometheus.NewRegistry()
	p := probe.New(cfg, nil, slog.New(slog.DiscardHandler), reg)

	got4, got6 := p.Ask(t.Context(), cfg.Targets[0], v4), p.Ask(t.Context(), cfg.Targets[0], v6)
	if diff := same(probe.Answer{
		Service: "hub", Node: "node-1", Family: v4, Limit: 100, Remaining: 76, Window: 6 * time.Hour,
		Source: addr("198.51.100.7"), SourceBits: 32, SourceLeast: 32, SourceMost: 32, Local: addr("127.0.0.1"), Result: probe.OK,
	}, got4); diff != "" {
		t.Errorf("IPv4 (-want +got):\n%s%v", diff, got4.Err)
	}
	if diff := same(probe.Answer{
		Service: "hub", Node: "node-1", Family: v6, Limit: 100, Remaining: 40, Window: 6 * time.Hour,
		Source: addr("2001:db8:a:1::"), SourceLeast: 64, SourceMost: 128, Local: addr("::1"), Result: probe.OK,
	}, got6); diff != "" {
		t.Errorf("IPv6 (-want +got):\n%s%v", diff, got6.Err)
	}
	if got, _ := got6.Prefix(64, 128); got != prefix("2001:db8:a:1::/64") {
		t.Errorf("prefix %s", got)
	}
	if age := time.Since(got4.Time); age < 0 || age > time.Minute {
		t.Errorf("time %s", got4.Time)
	}
	if diff := cmp.Diff(used, r.Used(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("asking used the limit up (-before +after):\n%s", diff)
	}

	var dance []string
	for _, req := range r.Requests() {
		dance = append(dance, fmt.Sprintf("%s %s %s%s token=%t", req.Client, req.Method, req.Host, req.Path, req.Token != ""))
	}
	var want []string
	for _, from := range []string{"127.0.0.1", "::1"} {
		want = append(want, from+" HEAD registry.example"+probetest.Manifest+" token=false", from+" GET auth.example/token token=false",
			from+" HEAD registry.example"+probetest.Manifest+" token=true")
	}
	if diff := cmp.Diff(want, dance); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"hub ipv4 ok": 1, "hub ipv6 ok": 1}, counted(t, reg)); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// counted returns the counter's values by service, family and result.
func counted(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "sextant_rate_limit_probes_total" {
				counts[labels["service"]+" "+labels["family"]+" "+labels["result"]] = m.GetCounter().GetValue()
			}
		}
	}
	return counts
}

// TestAskByAddress uses no name and no dialer of the test: the family is the one that was asked for, or none.
func TestAskByAddress(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{false, true} {
		r, err := probetest.Start(probetest.Config{Plain: plain})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		r.Pull(addr("127.0.0.1"), 1)
		r.Pull(addr("::1"), 2)
		for _, tt := range []struct {
			host string
			f    flow.Family
			want probe.Answer
		}{
			{r.IPv4(), v4, probe.Answer{Remaining: 99, Source: addr("127.0.0.1"), SourceBits: 32, SourceLeast: 32, SourceMost: 32, Local: addr("127.0.0.1"), Result: probe.OK}},
			{r.IPv6(), v6, probe.Answer{Remaining: 98, Source: addr("::"), SourceMost: 127, Local: addr("::1"), Result: probe.OK}},
			{r.IPv4(), v6, probe.Answer{Result: probe.Unreachable}},
			{r.IPv6(), v4, probe.Answer{Result: probe.Unreachable}},
		} {
			cfg := probe.Default()
			cfg.Loopback = plain
			cfg.Targets = []probe.Target{{Service: "hub", Manifest: r.URL(tt.host, probetest.Manifest)}}
			if err := cfg.Validate(); err != nil {
				t.Fatal(err)
			}
			if !plain {
				cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
				if err := os.WriteFile(cfg.CAFile, r.CA(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			tt.want.Service, tt.want.Family = "hub", tt.f
			if tt.want.Result == probe.OK {
				tt.want.Limit, tt.want.Window = 100, 6*time.Hour
			}
			got := ask(t, cfg, tt.f)
			if diff := same(tt.want, got); diff != "" {
				t.Errorf("%s over %s (-want +got):\n%s%v", tt.host, tt.f, diff, got.Err)
			}
		}
	}
}

// TestAnswers are the shapes that an answer can have that is none of Docker Hub's everyday ones.
func TestAnswers(t *testing.T) {
	t.Parallel()
	told := func(limit, remaining, source string) probetest.Lies {
		return probetest.Lies{Header: map[string][]string{
			"Ratelimit-Limit": {limit}, "Ratelimit-Remaining": {remaining}, "Docker-Ratelimit-Source": {source},
		}}
	}
	hours := 6 * time.Hour
	for _, tt := range []struct {
		name string
		lies probetest.Lies
		f    flow.Family
		want probe.Answer
	}{
		{
			"a whole address", told("100;w=21600", "0;w=21600", "2001:db8:a:1::5"), v6,
			probe.Answer{Limit: 100, Window: hours, Source: addr("2001:db8:a:1::5"), SourceBits: 128, SourceLeast: 128, SourceMost: 128},
		},
		{
			"a prefix in CIDR notation", told("100;w=21600", "7;w=21600", "2001:db8:a::5/56"), v6,
			probe.Answer{Limit: 100, Remaining: 7, Window: hours, Source: addr("2001:db8:a::"), SourceBits: 56, SourceLeast: 56, SourceMost: 56},
		},
		{
			"an IPv4 network", told("100;w=21600", "7;w=21600", "198.51.100.0/24"), v4,
			probe.Answer{Limit: 100, Remaining: 7, Window: hours, Source: addr("198.51.100.0"), SourceBits: 24, SourceLeast: 24, SourceMost: 24},
		},
		{
			"IPv4-mapped", told("100;w=21600", "7;w=21600", "::ffff:198.51.100.7"), v4,
			probe.Answer{Limit: 100, Remaining: 7, Window: hours, Source: addr("198.51.100.7"), SourceBits: 32, SourceLeast: 32, SourceMost: 32},
		},
		{
			"IPv4-mapped network", told("100;w=21600", "7;w=21600", "::ffff:198.51.100.7/120"), v4,
			probe.Answer{Limit: 100, Remaining: 7, Window: hours, Source: addr("198.51.100.0"), SourceBits: 24, SourceLeast: 24, SourceMost: 24},
		},
		{
			"behind a NAT64", told("100;w=21600", "7;w=21600", "203.0.113.64"), v6,
			probe.Answer{Limit: 100, Remaining: 7, Window: hours, Source: addr("203.0.113.64"), SourceLeast: 26, SourceMost: 32},
		},
		{
			"one window, other parameters", told(`200 ; comment="x" ; w=3600`, "7", "198.51.100.7"), v4,
			probe.Answer{Limit: 200, Remaining: 7, Window: time.Hour, Source: addr("198.51.100.7"), SourceBits: 32, SourceLeast: 32, SourceMost: 32},
		},
		{
			"no source",
			probetest.Lies{Header: map[string][]string{"Docker-Ratelimit-Source": nil}},
			v4,
			probe.Answer{Limit: 100, Remaining: 0, Window: hours},
		},
		{
			"limited",
			probetest.Lies{RefuseHEAD: true},
			v4,
			probe.Answer{Limit: 100, Window: hours, Limited: true, Source: addr("198.51.100.7"), SourceBits: 32, SourceLeast: 32, SourceMost: 32, Result: probe.Limited},
		},
		{"limited without a word", probetest.Lies{Answer: status(http.StatusTooManyRequests, "")}, v4, probe.Answer{Limited: true, Result: probe.Limited}},
		{
			"limited, and a remainder",
			probetest.Lies{RefuseHEAD: true, Header: map[string][]string{"Ratelimit-Remaining": {"3;w=21600"}}},
			v4,
			probe.Answer{Limit: 100, Window: hours, Limited: true, Source: addr("198.51.100.7"), SourceBits: 32, SourceLeast: 32, SourceMost: 32, Result: probe.Limited},
		},
		{
			"limited, and nonsense",
			probetest.Lies{RefuseHEAD: true, Header: map[string][]string{"Ratelimit-Limit": {"lots"}, "Docker-Ratelimit-Source": {"ff02::1"}}},
			v6,
			probe.Answer{Limited: true, Result: probe.Limited},
		},
		{
			"a redirect on the same host",
			probetest.Lies{Answer: moved("https://registry.example:443/v2/other/manifests/1", status(200, "100;w=60", "5;w=60", "198.51.100.7"))},
			v4,
			probe.Answer{Limit: 100, Remaining: 5, Window: time.Minute, Source: addr("198.51.100.7"), SourceBits: 32, SourceLeast: 32, SourceMost: 32},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := hub(t, probetest.Config{})
			r.Pull(addr("198.51.100.7"), 100)
			r.Pull(addr("2001:db8:a:1::5"), 100)
			r.Lie(tt.lies)
			tt.want.Service, tt.want.Node, tt.want.Family, tt.want.Local = "hub", "node-1", tt.f, addr("127.0.0.1")
			if tt.f == v6 {
				tt.want.Local = addr("::1")
			}
			if tt.want.Result == probe.Unknown {
				tt.want.Result = probe.OK
			}
			got := ask(t, settings(t, r), tt.f)
			if diff := same(tt.want, got); diff != "" || got.Err != nil {
				t.Errorf("(-want +got):\n%s%v", diff, got.Err)
			}
		})
	}
}

// status answers with a status and, where they are given, the three header fields.
func status(code int, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i, value := range fields {
			if value != "" {
				w.Header().Set([]string{"Ratelimit-Limit", "Ratelimit-Remaining", "Docker-Ratelimit-Source"}[i], value)
			}
		}
		w.WriteHeader(code)
	}
}

// moved sends whoever asks for the manifest to another URL, where then answers.
func moved(to string, then http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(to, req.URL.Path) {
			then(w, req)
			return
		}
		http.Redirect(w, req, to, http.StatusFound)
	}
}

func TestProxy(t *testing.T) {
	r := hub(t, probetest.Config{})
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connects := 0
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { // requests come one after the other
		connects++
		tunnel(t, r, w, req)
	})}
	go func() { _ = srv.Serve(l) }() // ends with Close
	defer srv.Close()

	for _, variable := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"} {
		t.Setenv(variable, "http://"+l.Addr().String())
	}
	cfg := settings(t, r)
	if got := ask(t, cfg, v4); got.Result != probe.OK || got.Local != addr("127.0.0.1") || connects != 0 {
		t.Errorf("a proxy of the environment: result %s, local %s, %d connections through it: %v", got.Result, got.Local, connects, got.Err)
	}
	cfg.Proxy, cfg.Dial = "http://"+l.Addr().String(), nil
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, cfg, v4); got.Result != probe.OK || got.Local.IsValid() || connects != 3 {
		t.Errorf("a proxy of the settings: result %s, local %s, %d connections through it: %v", got.Result, got.Local, connects, got.Err)
	}
	r.Lie(probetest.Lies{Header: map[string][]string{"Docker-Ratelimit-Source": {"10.0.0.1"}}})
	if got := ask(t, cfg, v4); got.Result != probe.Impossible {
		t.Errorf("a private source through a proxy: result %s", got.Result)
	}
}

// tunnel serves a CONNECT.
func tunnel(t *testing.T, r *probetest.Registry, w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodConnect {
		t.Errorf("the proxy is asked for %s", req.Method)
		return
	}
	there, err := r.Dial(context.WithoutCancel(req.Context()), "tcp6", "")
	if err != nil {
		t.Error(err)
		return
	}
	here, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	fmt.Fprint(here, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		io.Copy(there, here)
		there.Close()
	}()
	io.Copy(here, there)
	here.Close()
}
