package bucket_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/bucket"
	"sextant/collector/flow"
)

// TestWhatIf holds what the same demand would do behind one IPv4, a /64 for each node, native pods and a NAT64.
func TestWhatIf(t *testing.T) {
	c, err := bucket.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	pods := func(service, node, pod string, uses uint64) bucket.Demand {
		return bucket.Demand{Service: service, Node: node, Pod: pod, Bucket: "2001:db8:a::/64", Family: flow.FamilyIPv6, Uses: uses}
	}
	host := func(service, node string, pull bool, uses uint64) bucket.Demand {
		return bucket.Demand{Service: service, Node: node, Bucket: "2001:db8:a::/64", Family: flow.FamilyIPv6, Host: true, Pull: pull, Uses: uses}
	}
	const acme = "acme-v02.api.letsencrypt.org"
	demand := []bucket.Demand{
		pods(hub, "node-1", "ci/a", 60), pods(hub, "node-1", "ci/b", 31), pods(hub, "node-2", "ci/c", 45),
		host(hub, "node-1", false, 14), host(hub, "node-1", true, 10), host(hub, "node-2", true, 15), // 14 and 15: seen twice, or once
		pods("api.github.com", "node-1", "ci/a", 50), pods("api.github.com", "node-2", "ci/c", 50),
		pods(acme, "node-1", "ci/a", 5), pods(acme, "node-1", "ci/b", 5), pods(acme+" /48", "node-1", "ci/a", 10), pods(acme+" /48", "node-2", "ci/c", 10),
		pods("gone.example", "node-1", "ci/a", 1),
	}
	got := []string{}
	for _, o := range bucket.WhatIf(demand, c) {
		got = append(got, fmt.Sprintf("%s %s: %d in the fullest of %d, %d over", o.Service, o.Scenario, o.Fullest, o.Buckets, o.Over))
	}
	want := []string{
		acme + " now: 10 in the fullest of 1, 0 over",
		acme + " one_ipv4: 10 in the fullest of 1, 0 over",
		acme + " prefix_per_node: 10 in the fullest of 1, 0 over",
		acme + " native_pods: 5 in the fullest of 2, 0 over", // by address
		acme + " nat64: 5 in the fullest of 2, 0 over",
		acme + " /48 now: 20 in the fullest of 1, 0 over",
		acme + " /48 one_ipv4: 0 in the fullest of 0, 0 over", // not for IPv4
		acme + " /48 prefix_per_node: 20 in the fullest of 1, 0 over",
		acme + " /48 native_pods: 20 in the fullest of 1, 0 over",
		acme + " /48 nat64: 20 in the fullest of 1, 0 over",
		"api.github.com now: 100 in the fullest of 1, 1 over",
		"api.github.com one_ipv4: 100 in the fullest of 1, 1 over",
		"api.github.com prefix_per_node: 100 in the fullest of 1, 1 over", // as now: it has no IPv6
		"api.github.com native_pods: 100 in the fullest of 1, 1 over",
		"api.github.com nat64: 100 in the fullest of 1, 1 over",
		hub + " now: 165 in the fullest of 1, 1 over",
		hub + " one_ipv4: 165 in the fullest of 1, 1 over",
		hub + " prefix_per_node: 105 in the fullest of 2, 1 over",
		hub + " native_pods: 91 in the fullest of 4, 0 over",
		hub + " nat64: 91 in the fullest of 4, 0 over",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestWarn holds what is said before anything is full.
func TestWarn(t *testing.T) {
	c, err := bucket.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	names := flow.NewInterner()
	nodes := func(all map[string]bucket.Node) *bucket.Facts {
		f := &bucket.Facts{Nodes: map[flow.Name]bucket.Node{}}
		for name, n := range all {
			f.Nodes[names.Name(name)] = n
		}
		return f
	}
	pod := func(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }
	for _, row := range []struct {
		name  string
		facts *bucket.Facts
		pools []string
		want  []string // words with what begins the text
	}{
		{"nothing known", nil, nil, nil},
		{"one node", nodes(map[string]bucket.Node{"a": {IPv6: ip("2001:db8::1"), IPv4: ip("10.0.0.1")}}), nil, nil},
		{"two nodes in one /64", nodes(map[string]bucket.Node{"a": {IPv6: ip("2001:db8::1")}, "b": {IPv6: ip("2001:db8::2")}}), nil, []string{
			"nodes_share_64 2 nodes (a, b) have addresses in 2001:db8::/64: registry-1.docker.io allows them 100 pulls in 6h together, 50 each, and",
		}},
		{"two nodes in two", nodes(map[string]bucket.Node{"a": {IPv6: ip("2001:db8::1")}, "b": {IPv6: ip("2001:db8:0:1::2")}}), nil, nil},
		{"pods of both in one /64", nodes(map[string]bucket.Node{
			"a": {PodCIDRs: pod("2001:db8:1::/120"), Masquerade: flow.No}, "b": {PodCIDRs: pod("2001:db8:1::100/120"), Masquerade: flow.No},
		}), nil, []string{"shares_64 pods of 2 nodes (a, b) have addresses in 2001:db8:1::/64 and are not translated: "}},
		{"… that are masqueraded", nodes(map[string]bucket.Node{
			"a": {PodCIDRs: pod("2001:db8:1::/120"), Masquerade: flow.Yes}, "b": {PodCIDRs: pod("2001:db8:1::100/120"), Masquerade: flow.Yes},
		}), nil, nil},
		{"private addresses", nodes(map[string]bucket.Node{"a": {IPv4: ip("10.0.0.1")}, "b": {IPv4: ip("100.64.0.1")}}), nil, []string{
			"outside_unknown 2 nodes (a, b) have private IPv4 addresses",
		}},
		{"… with a pool", nodes(map[string]bucket.Node{"a": {IPv4: ip("10.0.0.1")}, "b": {IPv4: ip("10.0.0.2")}}), []string{"10.0.0.0/8=203.0.113.1"}, []string{
			"one_address 2 nodes (a, b) leave the network with 203.0.113.1: registry-1.docker.io allows them 100 pulls",
		}},
		{"a NAT64", nodes(map[string]bucket.Node{"a": {IPv6: ip("2001:db8::1")}, "b": {IPv6: ip("2001:db8:0:1::2")}}), []string{"nat64=203.0.113.9"}, []string{
			"one_address 2 nodes (a, b) leave the network with 203.0.113.9: ",
		}},
	} {
		var got []string
		for i, w := range bucket.Warn(row.facts, c, bucket.Config{Pools: row.pools}) {
			line := w.Word + " " + w.Text
			if i < len(row.want) && strings.HasPrefix(line, row.want[i]) {
				line = row.want[i]
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s:\n%s", row.name, diff)
		}
	}
}
