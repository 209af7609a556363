package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	prom "github.com/prometheus/client_golang/prometheus"

	"sextant/collector/bucket"
	"sextant/collector/bucket/probe"
	"sextant/collector/bucket/probe/probetest"
	"sextant/collector/flow"
)

// TestProbedRegistry: what a registry that counts by prefix says of itself over both families becomes the buckets of the node
// that asked, whatever was assumed of its address. One that is down or lies changes nothing.
func TestProbedRegistry(t *testing.T) {
	t.Parallel()
	node := map[bool]netip.Addr{true: netip.MustParseAddr("198.51.100.7"), false: netip.MustParseAddr("2001:db8:a:1::5")} // as the registry sees it
	registry, err := probetest.Start(probetest.Config{
		Hosts: []string{dockerHub, "auth.docker.io"}, TokenHost: "auth.docker.io", IPv6Bits: 56,
		Seen: func(client netip.Addr, _ *http.Request) netip.Addr { return node[client.Is4()] },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	registry.Pull(node[true], 24)
	registry.Pull(node[false], 60)

	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	catalogue, err := bucket.ReadCatalogue(write("limits.yaml", fmt.Sprintf("limits: [{name: %s, ipv6_length: 56, probe: {manifest: %q, token: %q}}]\n",
		dockerHub, registry.URL(dockerHub, probetest.Manifest), registry.URL("auth.docker.io", probetest.TokenPath))))
	if err != nil {
		t.Fatal(err)
	}
	cfg := probe.Default()
	cfg.Enabled, cfg.NodeName, cfg.Dial, cfg.CAFile = true, "node-1", registry.Dial, write("ca.pem", string(registry.CA()))
	l, _ := catalogue.Find(dockerHub)
	cfg.Targets = []probe.Target{{Service: dockerHub, Manifest: l.Probe.Manifest, Token: l.Probe.Token}}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	asking := probe.New(cfg, nil, slog.New(slog.DiscardHandler), prom.NewRegistry())

	names := flow.NewInterner()
	told := func(answers ...probe.Answer) []string {
		stage := bucket.New(bucket.Default(), catalogue, names, prom.NewRegistry())
		stage.SetFacts(&bucket.Facts{Nodes: map[flow.Name]bucket.Node{names.Name("node-1"): {
			IPv4: netip.MustParseAddr("10.0.0.1"), IPv6: netip.MustParseAddr("fd00::1"), Shows: flow.No,
		}}})
		for i := range answers {
			if answers[i].Err == nil {
				stage.Probed(probed(catalogue, cfg.Every, &answers[i]))
			}
		}
		b := &flow.Batch{}
		for _, own := range []string{"10.0.0.1", "fd00::1"} {
			a := netip.MustParseAddr(own)
			c := flow.Connection{
				ID: flow.UUID{byte(len(own))}, First: time.Now(), Last: time.Now(), Node: names.Name("node-1"), Protocol: flow.TCP, Direction: flow.EgressDirection,
				Outcome: flow.Answered, Family: flow.FamilyIPv6, EgressIP: a, EgressIPEvidence: flow.Observed, Destination: flow.End{Name: names.Name(dockerHub), Port: 443},
			}
			if a.Is4() {
				c.Family = flow.FamilyIPv4
			}
			b.Connections = append(b.Connections, c)
		}
		stage.Flush(b, true)
		var lines []string
		for i := range b.Buckets {
			if row := &b.Buckets[i]; row.Service.String() == dockerHub {
				lines = append(lines, fmt.Sprintf("%s %s %d/%d %s %s %s", row.Family, row.Bucket, row.Used, row.Limit.N, row.Evidence, row.UsedEvidence, row.Unseen))
			}
		}
		return lines
	}
	ask := func() []string {
		return told(asking.Ask(t.Context(), cfg.Targets[0], flow.FamilyIPv4), asking.Ask(t.Context(), cfg.Targets[0], flow.FamilyIPv6))
	}
	want := []string{"ipv6 2001:db8:a::/56 60/100 probed probed nothing", "ipv4 198.51.100.7 24/100 probed probed nothing"}
	if diff := cmp.Diff(want, ask()); diff != "" {
		t.Errorf("asked:\n%s", diff)
	}
	registry.Pull(node[false], 40)
	want[0] = "ipv6 2001:db8:a::/56 100/100 probed probed nothing"
	if diff := cmp.Diff(want, ask()); diff != "" {
		t.Errorf("used up:\n%s", diff)
	}
	assumed := []string{"ipv4 10.0.0.1 1/100 observed counted node", "ipv6 fd00::/56 1/100 observed counted node"}
	for name, lies := range map[string]probetest.Lies{"down": {Down: true}, "lies": {Header: map[string][]string{"Ratelimit-Remaining": {"1000;w=21600"}}}} {
		registry.Lie(lies)
		if diff := cmp.Diff(assumed, ask()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}
