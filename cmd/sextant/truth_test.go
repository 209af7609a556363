package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

const demoDir = "../../deploy/demo/"

// judged replays the recorded cluster through all stages, as `sextant replay` does.
func judged(t *testing.T, state ...string) (records []flow.Record, connections []flow.Connection) {
	t.Helper()
	p := newPlant()
	p.verdictCfg.State = state
	stages, err := p.stages(&app{logger: slog.New(slog.DiscardHandler)}, false)
	if err != nil {
		t.Fatal(err)
	}
	files := hubble.NewFiles(hubble.FilesConfig{
		Paths: []string{demoDir + "node-1.jsonl.gz", demoDir + "node-2.jsonl.gz"}, Strict: true,
		Names: p.names, Pool: flow.NewPool(1024), Logger: slog.New(slog.DiscardHandler),
	})
	take := func(b *flow.Batch) {
		records = append(records, b.Records...)
		connections = append(connections, b.Connections...)
	}
	err = files.Run(t.Context(), func(_ context.Context, b *flow.Batch) error {
		for _, s := range stages {
			s.Process(b)
		}
		take(b)
		b.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var last flow.Batch
	for _, s := range stages {
		if f, ok := s.(interface{ Flush(*flow.Batch, bool) }); ok {
			f.Flush(&last, true)
		}
	}
	take(&last)
	return records, connections
}

// told is a kind of connection, as the clients counted them and as we do.
type told struct {
	client, destination, family, transport string
	port                                   int
	outcome                                string
}

// addressNames are the names of the world's addresses, for who connects without asking a name that we could see, and for
// literal addresses, which nothing tells from the name that has the same one.
var addressNames = map[string]string{
	"198.51.100.20": "registry-1.docker.io", "198.51.100.21": "registry-1.docker.io", "2001:db8:ffff:20::20": "registry-1.docker.io",
	"2001:db8:ffff:20::21": "registry-1.docker.io", "2001:db8:ffff:20::22": "auth.docker.io",
	"198.51.100.123": "ntp.example.org", "2001:db8:ffff::123": "ntp.example.org", "203.0.113.80": "legacy-erp.example.net",
	"2001:db8:ffff::10": "www.example.com",
}

// clientTold reads ground-truth.json: what the client programs counted themselves.
func clientTold(t *testing.T) map[told]int {
	t.Helper()
	raw, err := os.ReadFile(demoDir + "ground-truth.json")
	if err != nil {
		t.Fatal(err)
	}
	var truth struct {
		Connections []struct {
			Namespace, Workload, Node, Destination, Family, Transport, Outcome, Translation string
			Port, Count                                                                     int
		}
	}
	if err := json.Unmarshal(raw, &truth); err != nil {
		t.Fatal(err)
	}
	want := map[told]int{}
	for _, c := range truth.Connections {
		if c.Namespace == "node" && c.Node == "node-2" {
			continue // a node with Helm's defaults shows nothing of its own connections
		}
		k := told{c.Namespace + "/" + c.Workload, c.Destination, c.Family, c.Transport, c.Port, map[string]string{
			"ok": "answered", "refused": "refused", "timeout": "unanswered",
		}[c.Outcome]}
		if strings.Contains(c.Translation, "dropped by policy") {
			k.outcome = "denied"
		}
		if name, ok := addressNames[k.destination]; ok {
			k.destination = name
		}
		if service, ok := strings.CutSuffix(k.destination, ".svc.cluster.local"); ok { // the packets go to a pod of it
			name, namespace, _ := strings.Cut(service, ".")
			k.destination = namespace + "/" + name
		}
		if pod, ok := strings.CutPrefix(k.destination, "pod/"); ok {
			k.destination = podWorkload(pod)
		}
		if strings.HasPrefix(k.destination, "nodeport/") { // node-1 hands it to a pod of the service, on either node
			k.destination = "shop/web"
		}
		if k.destination == "shop/cart" || k.destination == "shop/web" {
			k.port = 8080
		}
		want[k] += c.Count
	}
	return want
}

// podWorkload turns "shop/web-78757b9d54-7tznz" into "shop/web".
func podWorkload(pod string) string {
	namespace, name, _ := strings.Cut(pod, "/")
	for _, w := range []string{"node-agent", "web", "cart", "db"} {
		if strings.HasPrefix(name, w+"-") {
			return namespace + "/" + w
		}
	}
	return pod
}

// weTold says the same of our connections. What no client program counted (DNS, pings, the API server) is left out.
func weTold(connections []flow.Connection) map[told]int {
	got := map[told]int{}
	for i := range connections {
		c := &connections[i]
		if c.Destination.Port == 53 || c.Destination.Port == 6443 || c.Protocol == flow.ICMP || c.Protocol == flow.ICMPv6 {
			continue
		}
		source, destination := c.Source.Endpoint.Get(), c.Destination.Endpoint.Get()
		k := told{
			client: source.Namespace.String() + "/" + source.Workload.String(), destination: c.Destination.Name.String(),
			family: c.Family.String(), transport: c.Protocol.String(), port: int(c.Destination.Port), outcome: c.Outcome.String(),
		}
		switch {
		case source.Pod.IsZero() && c.Source.Side == flow.SideHost:
			k.client = "node/kubelet"
		case source.Pod.IsZero():
			k.client = "world/internet-client"
		}
		switch {
		case !destination.Pod.IsZero():
			k.destination = destination.Namespace.String() + "/" + destination.Workload.String()
		case addressNames[c.Destination.IP.String()] != "":
			k.destination = addressNames[c.Destination.IP.String()]
		case k.destination == "":
			k.destination = c.Destination.IP.String()
		}
		got[k]++
	}
	return got
}

// TestTruth: our connections are those that the clients counted, no more and no fewer, and every one is judged right.
func TestTruth(t *testing.T) {
	t.Parallel()
	records, connections := judged(t, demoDir+"state")

	want, got := clientTold(t), weTold(connections)
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "client\tdestination\tfamily\ttransport\tport\toutcome\texpected\tgot")
	kinds := map[told]bool{}
	for k := range want {
		kinds[k] = true
	}
	for k := range got {
		kinds[k] = true
	}
	for _, k := range slices.SortedFunc(keys(kinds), func(a, b told) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }) {
		wrong := ""
		if want[k] != got[k] {
			wrong = "  <-"
			t.Errorf("%v: %d made, %d told", k, want[k], got[k])
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%d%s\n", k.client, k.destination, k.family, k.transport, k.port, k.outcome, want[k], got[k], wrong)
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())

	counted := 0
	for i := range records {
		if records[i].Counted {
			counted++
		}
	}
	if counted != len(connections) {
		t.Errorf("%d flows are counted, %d connections told", counted, len(connections))
	}
	checkFallbacks(t, connections)
	checkTranslations(t, records, connections)
}

func keys(m map[told]bool) func(func(told) bool) {
	return func(yield func(told) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// checkFallbacks: 17 attempts were refused and 12 met a black hole; each was retried over IPv4, and nothing else was.
func checkFallbacks(t *testing.T, connections []flow.Connection) {
	t.Helper()
	six, four := map[flow.UUID]string{}, map[string]int{}
	for i := range connections {
		if c := &connections[i]; c.FallenBack {
			six[c.ID] = c.Destination.Name.String() + " " + c.Outcome.String()
		}
	}
	for i := range connections {
		if c := &connections[i]; c.FallbackOf != (flow.UUID{}) {
			four[six[c.FallbackOf]]++
			if c.Family != flow.FamilyIPv4 || c.AvoidableIPv4 {
				t.Errorf("a fallback is %s, avoidable %t", c.Family, c.AvoidableIPv4)
			}
		}
	}
	if len(six) != 29 || four["api.partner.example refused"] != 17 || four["cdn.partner.example unanswered"] != 12 || len(four) != 2 {
		t.Errorf("%d attempts fell back, retried %v; want 17 that were refused and 12 unanswered", len(six), four)
	}
	avoidable := map[string]int{}
	for i := range connections {
		c := &connections[i]
		if c.AvoidableIPv4 {
			if c.Family != flow.FamilyIPv4 {
				t.Errorf("%s is avoidable IPv4", c.Family)
			}
			avoidable[c.Source.Endpoint.Get().Workload.String()+" "+c.Destination.Name.String()]++
		}
	}
	// The clients forced these to IPv4 though they had been answered AAAA; others that they forced never asked for one.
	if n := avoidable["image-build registry-1.docker.io"]; n != 23 {
		t.Errorf("%d of image-build's connections are avoidable, want 23", n)
	}
	for k := range avoidable {
		if strings.Contains(k, "api.github.com") || strings.Contains(k, "legacy-erp") || strings.Contains(k, "catalog-sync") {
			t.Errorf("%s is avoidable, but no AAAA was answered", k)
		}
	}
}

// checkTranslations: what the world saw. node-1 masquerades in BPF and tells, node-2 in iptables and does not.
func checkTranslations(t *testing.T, records []flow.Record, connections []flow.Connection) {
	t.Helper()
	for i := range records {
		r := &records[i]
		if r.SourceNATEvidence == flow.Observed && r.Node.String() == "node-2" {
			t.Fatalf("flow %s of node-2 is observed to be translated, where nothing shows it", r.UUID)
		}
	}
	egress := map[string]netip.Addr{
		"node-1 ipv6": netip.MustParseAddr("2001:db8:a::1"), "node-1 ipv4": netip.MustParseAddr("172.31.250.1"),
		"node-2 ipv6": netip.MustParseAddr("2001:db8:a::2"), "node-2 ipv4": netip.MustParseAddr("172.31.250.2"),
	}
	for i := range connections {
		c := &connections[i]
		if c.Source.Side != flow.SidePod || c.Destination.Side != flow.SideWorld || c.Outcome == flow.Denied {
			continue
		}
		want := flow.SourceNAT66
		if c.Family == flow.FamilyIPv4 {
			want = flow.SourceNAT44
		}
		if c.SourceNAT != want || c.SourceNATEvidence == flow.EvidenceNone {
			t.Errorf("%s -> %s: source_nat %s, %s", c.Source.IP, c.Destination.IP, c.SourceNAT, c.SourceNATEvidence)
		}
		// Behind a NAT64 the world sees the translator's IPv4 address, which nothing tells.
		if at := c.Node.String() + " " + c.Family.String(); c.EgressIP != egress[at] && c.Class != flow.NAT64 {
			t.Errorf("%s -> %s on %s: egress_ip %s, want %s", c.Source.IP, c.Destination.IP, at, c.EgressIP, egress[at])
		}
		if (c.Class == flow.NAT64) != (c.Destination.Name.String() == "nat64-only.example.net") {
			t.Errorf("%s -> %s: class %s", c.Source.IP, c.Destination.Name, c.Class)
		}
	}
}

// TestWithheld: without the cluster's state, what only its configuration tells is unknown.
func TestWithheld(t *testing.T) {
	t.Parallel()
	_, connections := judged(t)
	for i := range connections {
		c := &connections[i]
		if c.Source.Side != flow.SidePod || c.Destination.Side != flow.SideWorld {
			continue
		}
		if c.SourceNATEvidence == flow.Inferred {
			t.Fatalf("%s -> %s: source_nat %s inferred by %s, from nothing", c.Source.IP, c.Destination.IP, c.SourceNAT, c.SourceNATRule)
		}
		if c.SourceNATEvidence == flow.EvidenceNone && c.SourceNAT != flow.SourceNATUnknown {
			t.Fatalf("%s -> %s: source_nat %s without evidence", c.Source.IP, c.Destination.IP, c.SourceNAT)
		}
	}
}
