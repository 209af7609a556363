package bucket_test

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/bucket"
)

func shipped(t *testing.T) *bucket.Catalogue {
	t.Helper()
	c, err := bucket.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestShipped: every limit that is shipped says where it is from, when, and how far it can be relied on.
func TestShipped(t *testing.T) {
	c := shipped(t)
	if n := len(c.Limits()); n < 20 {
		t.Errorf("only %d limits", n)
	}
	for _, l := range c.Limits() {
		source, err := url.Parse(l.Source)
		if err != nil || source.Scheme != "https" || l.Date == "" || l.Confidence == "" || l.Title == "" || l.Scope == "" {
			t.Errorf("%s: source %q, date %q, confidence %q, title %q, scope %q", l.Name, l.Source, l.Date, l.Confidence, l.Title, l.Scope)
		}
		if l.Of == "" && len(l.Hosts) > 0 && !slices.Contains(l.Hosts, l.Name) && !slices.Contains(l.Hosts, "*."+l.Name) {
			t.Errorf("%s is not called after a host of it: %v", l.Name, l.Hosts)
		}
		if l.Of != "" && !strings.HasPrefix(l.Name, l.Of+" ") {
			t.Errorf("%s is not called after %s, to which it belongs", l.Name, l.Of)
		}
	}
	hub, _ := c.Find(hub)
	if hub.Allowed != 100 || hub.Window != 6*time.Hour || hub.IPv4Length != 32 || hub.IPv6Length != 64 || hub.Unit != "pulls" || hub.Probe.Manifest == "" {
		t.Errorf("Docker Hub: %+v", hub)
	}
}

// TestMatch holds which limits hosts and registries have.
func TestMatch(t *testing.T) {
	c := shipped(t)
	for host, want := range map[string][]string{
		hub: {hub, hub + " abuse"}, "auth.docker.io": nil, "docker.io": nil, "quay.io": {"quay.io"}, "x.quay.io": nil,
		"europe-west1-docker.pkg.dev": {"pkg.dev"}, "pkg.dev": nil, "mirror.gcr.io": nil, "us.gcr.io.": {"gcr.io", "gcr.io day"}, "": nil, "com": nil,
	} {
		if got, _ := c.Match(host); !slices.Equal(got, want) {
			t.Errorf("host %q: %q, want %q", host, got, want)
		}
	}
	for registry, want := range map[string][]string{
		"docker.io": {hub, hub + " abuse"}, "index.docker.io": {hub, hub + " abuse"}, "ghcr.io": {"ghcr.io"}, "localhost:5000": nil,
		"harbor.example.com": nil, "public.ecr.aws": {"public.ecr.aws", "public.ecr.aws rate"}, "": nil, "a.pkg.dev": {"pkg.dev"},
	} {
		if got := c.MatchRegistry(registry); !slices.Equal(got, want) {
			t.Errorf("registry %q: %q, want %q", registry, got, want)
		}
	}
	if _, known := c.Match("auth.docker.io"); !known {
		t.Error("the token service of Docker Hub is not known as one that is not limited")
	}
}

// TestOwnCatalogue: a file adds limits and changes what it names of those that are known.
func TestOwnCatalogue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "limits.yaml")
	err := os.WriteFile(path, []byte(`# ours
limits:
  - name: registry-1.docker.io
    limit: 200
    ipv6_length: 48
    hosts: [registry-1.docker.io, registry-2.docker.io]
  - name: quay.io
    off: true
  - name: api.example.com
    hosts: [api.example.com, "*.api.example.com"]
    addresses: [192.0.2.0/24, "2001:db8::/32"]
    unit: requests
    limit: 10
    window: 1m30s
  - name: api.example.com logins
    of: api.example.com
    requests: [POST /login]
    requests_only: true
    unit: requests
    window: 24h
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	c, err := bucket.ReadCatalogue(path)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := c.Find(hub)
	want, _ := shipped(t).Find(hub)
	want.Allowed, want.IPv6Length, want.Hosts = 200, 48, []string{"registry-1.docker.io", "registry-2.docker.io"}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b interface{ IsSingleIP() bool }) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if names, _ := c.Match("quay.io"); names != nil {
		t.Errorf("quay.io has the limits %q, and is off", names)
	}
	if names, _ := c.Match("v2.api.example.com"); !slices.Equal(names, []string{"api.example.com", "api.example.com logins"}) {
		t.Errorf("v2.api.example.com has the limits %q", names)
	}
	own, _ := c.Find("api.example.com")
	if own.IPv4Length != 32 || own.IPv6Length != 64 {
		t.Errorf("lengths %d and %d, want 32 and 64", own.IPv4Length, own.IPv6Length)
	}
	if _, err := bucket.ReadCatalogue(path + ".not"); err == nil {
		t.Error("a file that is not there is taken")
	}
}

// TestRefused holds what is wrong with a catalogue, with its line.
func TestRefused(t *testing.T) {
	const good = "limits:\n- name: a.example\n  hosts: [a.example]\n  unit: requests\n  window: 1h\n"
	with := func(line string) string { return good + "  " + line + "\n" }
	for _, row := range []struct{ text, want string }{
		{"limits:\n- name: a.example\n  hosts: [a.example]\n  unit: pull\n  window: 1h\n", `f.yaml:4: unit of "a.example": must be one of pulls, requests`},
		{"limits:\n- name: a.example\n  hosts: [a.example]\n  unit: requests\n", `f.yaml:2: window of "a.example": must be whole seconds from 1s`},
		{"limits:\n- name: a.example\n  hosts: [a.example]\n  unit: requests\n  window: 0s\n", `f.yaml:5: window of`},
		{"limits:\n- name: a.example\n  hosts: [a.example]\n  unit: requests\n  window: 1500ms\n", `f.yaml:5: window of`},
		{"limits:\n- name: a.example\n  hosts: [a.example]\n  unit: requests\n  window: soon\n", "f.yaml:5: cannot unmarshal"},
		{with("ipv6_length: 129"), `f.yaml:6: ipv6_length of "a.example": must be from 0 to 128, is 129`},
		{with("ipv4_length: 33"), `f.yaml:6: ipv4_length of "a.example": must be from 0 to 32, is 33`},
		{with("ipv4_length: -1"), `f.yaml:6: ipv4_length of`},
		{with("ipv6_seen: [56, 0]"), `f.yaml:6: ipv6_seen of`},
		{with("ipv4_length: 0\n  ipv6_length: 0"), `the limit would be for nobody`},
		{with("limit: -5"), "f.yaml:6: cannot unmarshal"},
		{with("addresses: [192.0.2.1/24]"), `f.yaml:6: addresses of "a.example": must be a prefix without bits behind its length, is 192.0.2.1/24`},
		{with("addresses: [192.0.2]"), "f.yaml"},
		{with("exempt: [a_b!.example]"), `f.yaml:6: exempt of "a.example": must be a DNS name`},
		{with("exempt: [b.example, b.example]"), `"b.example" stands twice`},
		{with("registries: [docker.io]"), `f.yaml:6: registries of "a.example": "docker.io" has another limit already`},
		{with("requests: [/login]"), `f.yaml:6: requests of`},
		{with("windows: 1h"), `f.yaml:6: unknown key "windows"`},
		{with("window: 2h"), `f.yaml:6: key "window" is set twice`},
		{with("date: yesterday"), `f.yaml:6: date of`},
		{with("confidence: sure"), `f.yaml:6: confidence of`},
		{with("probe: {url: x}"), `f.yaml:6: unknown key "url"`},
		{with("probe: {manifest: 'ftp://x'}"), `f.yaml:6: probe of`},
		{with("of: b.example"), `f.yaml:6: of of "a.example": is for the hosts of "b.example"`},
		{good + "- name: a.example\n  hosts: [b.example]\n  unit: requests\n  window: 1h\n", `f.yaml:6: the limit "a.example" stands in line 2 already`},
		{good + "- name: b.example\n  hosts: [a.example]\n  unit: requests\n  window: 1h\n", `f.yaml:7: hosts of "b.example": "a.example" has another limit already`},
		{good + "- name: b.example\n  hosts: [quay.io]\n  unit: requests\n  window: 1h\n", `f.yaml:7: hosts of "b.example": "quay.io" has another limit already`},
		{good + "- name: b\n  of: c\n  unit: requests\n  window: 1h\n", `f.yaml:7: of of "b": there is no limit "c"`},
		{good + "- name: b\n  unit: requests\n  window: 1h\n", `f.yaml:6: hosts of "b": must name hosts`},
		{good + "- name: b\n  hosts: [b.example]\n  unit: bytes\n  window: 1h\n", `f.yaml:6: indirect of "b": must be true`},
		{good + "- hosts: [b.example]\n", `f.yaml:6: name: must not be empty`},
		{good + "- name: \"a\\nb\"\n", `f.yaml:6: name: must be letters`},
		{good + "- text\n", `f.yaml:6: must be a mapping`},
		{"limit: []\n", `f.yaml:1: unknown key "limit"`},
		{"limits: {a: b}\n", `f.yaml:1: limits must be a list`},
		{"- a\n", `f.yaml:1: must be a mapping with the key limits`},
		{"limits: [\n", "f.yaml: yaml: line"},
		{strings.Repeat("#", 1<<20+1), "must be at most 1 MiB"},
	} {
		_, err := bucket.ParseCatalogue("f.yaml", []byte(row.text))
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%.200s\nerror %v, want one with %q", row.text, err, row.want)
		}
	}
	for _, text := range []string{"", "# nothing\n", "limits:\n", "limits: []\n", good} {
		if _, err := bucket.ParseCatalogue("f.yaml", []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestConfig holds what settings are refused.
func TestConfig(t *testing.T) {
	for _, row := range []struct {
		edit func(*bucket.Config)
		want string
	}{
		{func(*bucket.Config) {}, ""},
		{func(c *bucket.Config) { c.Mirrors = []string{"docker.io"} }, "rate_limits.mirrors: must be a registry and the host"},
		{func(c *bucket.Config) { c.Mirrors = []string{"docker.io=https://mirror"} }, "rate_limits.mirrors:"},
		{func(c *bucket.Config) { c.Mirrors = []string{"docker.io=mirror.example.com:5000"} }, ""},
		{func(c *bucket.Config) { c.Pools = []string{"nat64=2001:db8::1"} }, "rate_limits.pools: a NAT64 has IPv4 addresses"},
		{func(c *bucket.Config) { c.Pools = []string{"nat64=192.0.2.1", "nat64=192.0.2.2"} }, "stands twice"},
		{func(c *bucket.Config) { c.Pools = []string{"ipv4=2001:db8::1"} }, "one family"},
		{func(c *bucket.Config) { c.Pools = []string{"10.0.0.0/8=2001:db8::1"} }, "one family"},
		{func(c *bucket.Config) { c.Pools = []string{"node-1=192.0.2.1"} }, "must begin with nat64, ipv4, ipv6, an address or a prefix"},
		{func(c *bucket.Config) { c.Pools = []string{"10.0.0.0/8"} }, "must be FROM=ADDRESS"},
		{func(c *bucket.Config) { c.Every = 0 }, "rate_limits.every"},
		{func(c *bucket.Config) { c.MemoryMB = 0 }, "rate_limits.memory_mb"},
	} {
		c := bucket.Default()
		row.edit(&c)
		err := c.Validate()
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%+v: error %v, want %q", c, err, row.want)
		}
	}
}

// TestGrain: a window is cut into 72 steps, of whole seconds.
func TestGrain(t *testing.T) {
	for window, want := range map[time.Duration]time.Duration{
		time.Second: time.Second, time.Minute: time.Second, 5 * time.Minute: 4 * time.Second, 10 * time.Minute: 8 * time.Second,
		time.Hour: 50 * time.Second, 6 * time.Hour: 5 * time.Minute, 24 * time.Hour: 20 * time.Minute, 168 * time.Hour: 8400 * time.Second,
	} {
		if got := bucket.Grain(window); got != want {
			t.Errorf("%s: %s, want %s", window, got, want)
		}
	}
}
