package track_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/collector/track"
)

// nameRecordings runs recordings, merged by time, through Names and hands over each flow. What Hubble itself put on the
// flows is taken off before, if bare is set.
func nameRecordings(t *testing.T, bare bool, each func(*track.Names, *flow.Record), paths ...string) {
	t.Helper()
	intern := flow.NewInterner()
	names := track.NewNames(intern, track.DefaultNames())
	files := hubble.NewFiles(hubble.FilesConfig{
		Paths: paths, Strict: true, Names: intern, Pool: flow.NewPool(4096), Logger: slog.New(slog.DiscardHandler),
	})
	err := files.Run(t.Context(), func(_ context.Context, b *flow.Batch) error {
		for i := range b.Records {
			if bare {
				b.Records[i].Source.Names, b.Records[i].Destination.Names = flow.Names{}, flow.Names{}
			}
		}
		names.Process(b)
		for i := range b.Records {
			each(names, &b.Records[i])
		}
		b.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNamesOfRecording09: a pod looks names up over IPv4 and IPv6, among them one whose AAAA a DNS64 made up, and connects.
// Its flows, and the replies to it, have the name that was answered last for the address.
func TestNamesOfRecording09(t *testing.T) {
	t.Parallel()
	got := map[string]int{}
	usable := map[string]bool{}
	nameRecordings(t, false, func(names *track.Names, r *flow.Record) {
		initiator, responder, known := r.Ends()
		if r.EventType == flow.EventL7 || !known || initiator.Endpoint.Get().Pod.String() != "client-7f9c8d5b4-xk2lp" {
			return
		}
		if world := responder.IP.String(); strings.HasPrefix(world, "fd") || strings.HasPrefix(world, "ff") || responder.Port == 53 {
			return
		}
		got[fmt.Sprintf("%s %s %s reply=%s", responder.IP, responder.Name, responder.NameSource, r.IsReply)]++
		usable[responder.Name.String()] = names.Usable(initiator.Endpoint, responder.Name, r.Time)
	}, "../../test/recordings/09-dns-l7-a-aaaa-then-connect.node-1.jsonl")

	want := []string{
		"198.51.100.10 v4only.world.test dns reply=no",
		"198.51.100.10 v4only.world.test dns reply=unknown",
		"198.51.100.10 v4only.world.test dns reply=yes",
		"2001:db8:ffff::10 v6only.world.test dns reply=no",
		"2001:db8:ffff::10 v6only.world.test dns reply=unknown",
		"2001:db8:ffff::10 v6only.world.test dns reply=yes",
		"64:ff9b::c633:640a nat64.world.test dns reply=no",
		"64:ff9b::c633:640a nat64.world.test dns reply=unknown",
		"64:ff9b::c633:640a nat64.world.test dns reply=yes",
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	wantUsable := map[string]bool{"v4only.world.test": false, "v6only.world.test": true, "nat64.world.test": false}
	if diff := cmp.Diff(wantUsable, usable); diff != "" {
		t.Errorf("usable (-want +got):\n%s", diff)
	}
}

// demoTruth is what the clients of the demo counted themselves.
type demoTruth struct {
	Connections []struct {
		Pod, Node, Destination, Family, Transport, Placement, Note string
		Count                                                      int
	}
	Queries []struct {
		Pod, Name, Type string
		Answers         int
	} `json:"dns_queries"`
}

func readDemoTruth(t *testing.T) (truth demoTruth) {
	t.Helper()
	data, err := os.ReadFile("../../deploy/demo/ground-truth.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &truth); err != nil {
		t.Fatal(err)
	}
	return truth
}

// demoConnection is a TCP connection as its initiator knows it.
type demoConnection struct {
	pod, name, family string
	nat64             bool
	usable            bool
}

// demoConnections finds the connections that pods made, by the addresses and ports of their SYNs, with the name of the
// responder on any of their flows. Of a service's connection it knows only what the replies say.
func demoConnections(t *testing.T) []*demoConnection {
	t.Helper()
	found := map[string]*demoConnection{}
	backends := map[string]*demoConnection{} // by all but the responder's port, which a reply through a service has changed
	nameRecordings(t, true, func(names *track.Names, r *flow.Record) {
		initiator, responder, known := r.Ends()
		if r.EventType == flow.EventL7 || !known || r.Protocol != flow.TCP || initiator.Endpoint.Get().Pod.IsZero() {
			return
		}
		loose := fmt.Sprint(initiator.IP, initiator.Port, responder.IP)
		key := fmt.Sprint(loose, responder.Port)
		c := found[key]
		if c == nil && r.TCPFlags&(flow.SYN|flow.ACK) == flow.SYN {
			pod := initiator.Endpoint.Get()
			c = &demoConnection{
				pod: pod.Namespace.String() + "/" + pod.Pod.String(), family: r.Family.String(),
				nat64: netip.MustParsePrefix("64:ff9b::/96").Contains(responder.IP),
			}
			found[key], backends[loose] = c, c
		}
		if c == nil {
			c = backends[loose]
		}
		if c == nil || responder.Name.IsZero() {
			return
		}
		if responder.NameSource != flow.NameSourceDNS {
			t.Errorf("%s: the name %s is from %s", c.pod, responder.Name, responder.NameSource)
		}
		if name := responder.Name.String(); c.name != "" && c.name != name {
			t.Errorf("%s: one connection goes to %s and to %s", c.pod, c.name, name)
		}
		c.name = responder.Name.String()
		c.usable = c.usable || names.Usable(initiator.Endpoint, responder.Name, r.Time)
	}, "../../deploy/demo/node-1.jsonl.gz", "../../deploy/demo/node-2.jsonl.gz")
	return slices.Collect(maps.Values(found))
}

// TestNamesOfDemo holds the demo against what its clients counted themselves.
func TestNamesOfDemo(t *testing.T) {
	t.Parallel()
	truth, connections := readDemoTruth(t), demoConnections(t)
	t.Run("names", func(t *testing.T) { checkDemoNames(t, truth, connections) })
	t.Run("usable", func(t *testing.T) { checkDemoUsable(t, truth, connections) })
}

// checkDemoNames: for every pod that asks through the proxy, as many connections have a name as the pod itself counted.
//
// Two things no name can tell apart or know. A pod that is told an address and also has it written down makes connections
// of one kind: the name is what it was told. And on node-1 the socket load-balancer puts a service's backend into the
// packets before anybody sees them, so connections to services have no name there.
func checkDemoNames(t *testing.T, truth demoTruth, connections []*demoConnection) {
	want, got := map[string]int{}, map[string]int{}
	for _, c := range truth.Connections {
		named := strings.Contains(c.Destination, ".") && !strings.HasPrefix(c.Destination, "pod/") && !strings.Contains(c.Note, "literal")
		seen := c.Placement == "world" || c.Placement == "cluster" && c.Node == "node-2"
		if c.Transport == "tcp" && named && seen && !strings.HasPrefix(c.Pod, "node/") && !strings.HasPrefix(c.Pod, "world/") {
			want[c.Pod+" "+c.Destination+" "+c.Family] += c.Count
		}
	}
	const literal = "legacy/erp-client-556bd655bc-x9cnk legacy-erp.example.net ipv4"
	want[literal] += 24 // of the 25 to the address that is written down; the first is older than the first answer
	for _, c := range connections {
		if c.name != "" {
			got[c.pod+" "+c.name+" "+c.family]++
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("named connections (-counted by the clients +seen):\n%s", diff)
	}
}

// checkDemoUsable: IPv4 was avoidable where a pod had been answered a AAAA and went over IPv4 all the same, and where
// it fell back. catalog-sync never asks for AAAA, and api.github.com and legacy-erp have none.
func checkDemoUsable(t *testing.T, truth demoTruth, connections []*demoConnection) {
	asked := map[string]bool{}
	for _, q := range truth.Queries {
		asked[q.Pod+" "+strings.TrimSuffix(q.Name, ".")] = asked[q.Pod+" "+q.Name] || q.Type == "AAAA" && q.Answers > 0
	}
	got := map[string]int{}
	for _, c := range connections {
		if c.usable && c.nat64 {
			t.Errorf("%s: an address of %s made up by a DNS64 is usable", c.pod, c.name)
		}
		if c.usable && !asked[c.pod+" "+c.name] {
			t.Errorf("%s: no AAAA of %s was answered", c.pod, c.name)
		}
		if c.usable && c.family == "ipv4" {
			got[strings.SplitN(c.pod, "-", 2)[0]+" "+c.name]++
		}
	}
	want := map[string]int{
		"ci/image registry-1.docker.io":          23,
		"shop/checkout api.partner.example":      17, // refused, fell back
		"shop/web cdn.partner.example":           12, // unanswered, fell back
		"shop/cart db.backend.svc.cluster.local": 9,
		"shop/web cart.shop.svc.cluster.local":   11, // of the pod on node-2
		"backend/batch www.example.com":          5,  // of 6, all denied: the first was before the first AAAA
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("IPv4 though IPv6 was usable (-want +got):\n%s", diff)
	}
}
