package probe_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/bucket/probe"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	good := probe.Target{Service: "hub", Manifest: "https://registry.example/v2/a/b/manifests/latest", Token: "https://auth.example/token"}
	targets := func(change func(*probe.Target)) func(*probe.Config) {
		return func(c *probe.Config) {
			c.Targets = []probe.Target{good}
			change(&c.Targets[0])
		}
	}
	for _, tt := range []struct {
		change func(*probe.Config)
		want   string
	}{
		{func(*probe.Config) {}, ""},
		{targets(func(*probe.Target) {}), ""},
		{targets(func(t *probe.Target) { t.Token = "" }), ""},
		{func(c *probe.Config) { c.Every = time.Second }, "rate_limits.probe.every: must be from 1m0s to 24h0m0s, is 1s"},
		{func(c *probe.Config) { c.Timeout = time.Hour }, "rate_limits.probe.timeout: must be from 1s to 1m0s, is 1h0m0s"},
		{func(c *probe.Config) { c.Proxy = "proxy:3128" }, "rate_limits.probe.proxy: must be http://host:port"},
		{func(c *probe.Config) { c.Proxy = "http://me:secret@proxy:3128" }, "rate_limits.probe.proxy: must be without a user and password, which settings do not keep"},
		{func(c *probe.Config) { c.Proxy = "http://proxy:3128" }, ""},
		{func(c *probe.Config) { c.Targets = []probe.Target{good, good} }, `rate_limits.probe.targets[1].service: must be a name of its own, is "hub"`},
		{func(c *probe.Config) { c.Targets = make([]probe.Target, 17) }, "rate_limits.probe.targets: must be at most 16, are 17"},
		{targets(func(t *probe.Target) { t.Manifest = "http://registry.example/v2/a/manifests/1" }), `rate_limits.probe.targets[0].manifest: must be https, is "http://registry.example/v2/a/manifests/1"`},
		{targets(func(t *probe.Target) { t.Manifest = "http://127.0.0.1/v2/a/manifests/1" }), `rate_limits.probe.targets[0].manifest: must be https, is "http://127.0.0.1/v2/a/manifests/1"`},
		{targets(func(t *probe.Target) { t.Manifest = "https://registry.example/v2/" }), `rate_limits.probe.targets[0].manifest: must end in /v2/name/manifests/tag, is "https://registry.example/v2/"`},
		{targets(func(t *probe.Target) { t.Manifest = "https:/v2/a/manifests/1" }), `rate_limits.probe.targets[0].manifest: must be a URL https://host/path, is "https:/v2/a/manifests/1"`},
		{targets(func(t *probe.Target) { t.Token = "https://me:secret@auth.example/" }), "rate_limits.probe.targets[0].token: must be a URL without a user and password"},
		{targets(func(t *probe.Target) { t.Token = "ftp://auth.example/" }), `rate_limits.probe.targets[0].token: must be https, is "ftp://auth.example/"`},
	} {
		cfg := probe.Default()
		tt.change(&cfg)
		got := ""
		if err := cfg.Validate(); err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n")
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	cfg := probe.Default()
	cfg.Loopback = true
	for manifest, fine := range map[string]bool{
		"http://127.0.0.1:5000/v2/a/manifests/1": true, "http://[::1]:5000/v2/a/manifests/1": true,
		"http://localhost/v2/a/manifests/1": false, "http://198.51.100.1/v2/a/manifests/1": false,
	} {
		cfg.Targets = []probe.Target{{Service: "hub", Manifest: manifest}}
		if err := cfg.Validate(); (err == nil) != fine {
			t.Errorf("%s: %v", manifest, err)
		}
	}
}

// TestNodeName: the name of the settings stands before the one of the environment.
func TestNodeName(t *testing.T) {
	t.Setenv("NODE_NAME", "of-the-environment")
	cfg := probe.Default()
	target := probe.Target{Service: "hub", Manifest: "https://192.0.2.1/v2/a/manifests/1"}
	for name, want := range map[string]string{"": "of-the-environment", "of-the-settings": "of-the-settings"} {
		cfg.NodeName, cfg.CAFile = name, "/nowhere" // so that nobody is asked
		p := probe.New(cfg, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if got := p.Ask(t.Context(), target, v4); got.Node != want {
			t.Errorf("node %q, want %q", got.Node, want)
		}
	}
}

// TestAskPlainly: a target that Validate would refuse is not asked, whoever hands it over.
func TestAskPlainly(t *testing.T) {
	t.Parallel()
	p := probe.New(probe.Default(), nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	got := p.Ask(t.Context(), probe.Target{Service: "hub", Manifest: "http://192.0.2.1/v2/a/manifests/1"}, v4)
	if got.Result != probe.Unreachable || got.Err == nil || !strings.Contains(got.Err.Error(), "must be https") {
		t.Errorf("%s: %v", got.Result, got.Err)
	}
}
