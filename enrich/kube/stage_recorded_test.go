package kube_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/collector/track"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
)

// recorded returns the flows of recordings, merged by time.
func recorded(t testing.TB, names *flow.Interner, paths ...string) *flow.Batch {
	t.Helper()
	all := &flow.Batch{}
	files := hubble.NewFiles(hubble.FilesConfig{Paths: paths, Strict: true, Names: names, Pool: flow.NewPool(1024), Logger: slog.New(slog.DiscardHandler)})
	err := files.Run(context.Background(), func(_ context.Context, b *flow.Batch) error {
		all.Records = append(all.Records, b.Records...)
		b.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// matching lists the files of a recording.
func matching(t testing.TB, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recording is %s: %v", pattern, err)
	}
	return paths
}

const demoFlows = "../../deploy/demo/node-*.jsonl.gz"

// playing returns a stage that knows the state of recordings.
func playing(t testing.TB, state ...string) *enricher {
	t.Helper()
	e := &enricher{rig: newRig(t, kube.Config{Labels: []string{"team"}}), registry: prometheus.NewRegistry()}
	if _, err := e.Load(state...); err != nil {
		t.Fatal(err)
	}
	e.Stage = kube.NewStage(e.names, e.registry)
	e.SetIndex(e.Index())
	return e
}

// ends are both ends of every flow.
func ends(b *flow.Batch) []*flow.End {
	all := make([]*flow.End, 0, 2*len(b.Records))
	for i := range b.Records {
		all = append(all, &b.Records[i].Source, &b.Records[i].Destination)
	}
	return all
}

// The rig that made the demo wrote down who had which address. Wherever Hubble tells of a pod, its workload or its node,
// the index agrees, but for what Hubble guesses.
func TestDemoEnds(t *testing.T) {
	var truth struct {
		Clients []struct {
			Pod, Workload, Node, IPv4, IPv6, Namespace string
			Kind                                       string `json:"hubble_workload_kind"`
		}
	}
	text, err := os.ReadFile("../../deploy/demo/ground-truth.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &truth); err != nil {
		t.Fatal(err)
	}
	zones := map[string]string{"node-1": "eu-lab-1a of eu-lab-1", "node-2": "eu-lab-1b of eu-lab-1"}
	teams := map[string]string{"shop": "storefront", "backend": "platform", "ci": "devex", "monitoring": "sre", "kube-system": "platform", "legacy": "erp"}
	want := map[netip.Addr]string{}
	for _, c := range truth.Clients {
		if c.IPv4 == "" || c.Pod == "" || !strings.Contains(c.Pod, "/") || c.Namespace == "" {
			continue
		}
		who := fmt.Sprintf("lab %s %s/%s on %s in %s team=%s", c.Pod, c.Kind, c.Workload, c.Node, zones[c.Node], teams[c.Namespace])
		want[addr(c.IPv4)], want[addr(c.IPv6)] = who, who
	}
	for node, texts := range map[string][]string{
		"node-1": {"172.31.250.1", "2001:db8:a::1", "10.201.1.79", "fd10:201:0:1::1ee7"},
		"node-2": {"172.31.250.2", "2001:db8:a::2", "10.201.2.37", "fd10:201:0:2::acf0"},
	} {
		for _, text := range texts {
			want[addr(text)] = fmt.Sprintf("on %s in %s", node, zones[node]) // Hubble may tell the namespace of the pod it stands for
		}
	}

	e := playing(t, demo)
	b := recorded(t, e.names, matching(t, demoFlows)...)
	guessed := 0.0 // the one Job is nobody's, but to Hubble a name that ends in digits is of a CronJob
	for _, end := range ends(b) {
		if end.Endpoint.Get().WorkloadKind.String() == "CronJob" {
			guessed++
		}
	}
	e.Process(b)
	seen, wrong := map[netip.Addr]bool{}, map[string]int{}
	for _, end := range ends(b) {
		_, got, _ := strings.Cut(endText(&flow.End{Endpoint: end.Endpoint}), " ")
		who, known := want[end.IP]
		switch {
		case known && !strings.HasSuffix(got, who):
			wrong[fmt.Sprintf("%s is %q, want %q", end.IP, got, who)]++
		case known:
			seen[end.IP] = true
		case end.Resolution != flow.ResolutionNone && !end.IP.IsLinkLocalUnicast():
			wrong[fmt.Sprintf("%s is %s %q, and nobody's", end.IP, end.Resolution, got)]++
		}
	}
	same(t, "what is wrong, and how often", wrong, map[string]int{})
	if len(seen) < 30 {
		t.Errorf("of only %d addresses there were flows", len(seen))
	}
	same(t, "disagreements", e.counted(t, "sextant_enrich_disagreements_total"), map[string]float64{"pod": 0, "namespace": 0, "workload": guessed, "node": 0, "service": 0})
	for result, least := range map[string]float64{"flow": 20_000, "cluster": 1_000, "none": 8_000} {
		if got := e.counted(t, "sextant_enrich_ends_total")[result]; got < least {
			t.Errorf("%v ends are %s", got, result)
		}
	}
	if got := e.counted(t, "sextant_enrich_ends_total")["unresolved"]; got > 20 {
		t.Errorf("%v ends are unresolved, beside those on the link", got)
	}
}

// What is served where, in the demo and in the recordings before it.
func TestRecordedServices(t *testing.T) {
	served := func(e *enricher, paths []string) []string {
		b := recorded(t, e.names, paths...)
		e.Process(b)
		found := map[string]bool{}
		for i := range b.Records {
			r := &b.Records[i]
			for _, end := range []*flow.End{&r.Source, &r.Destination} {
				if ep := end.Endpoint.Get(); !end.Service.IsZero() {
					found[fmt.Sprint(cmp.Or(ep.Workload.String(), ep.Pod.String(), ep.Node.String(), end.IP.String()), " ", r.Protocol, " ", end.Port, ": ", end.Service, " ", end.ServiceEvidence)] = true
				}
			}
		}
		return slices.Sorted(maps.Keys(found))
	}
	same(t, "demo", served(playing(t, demo), matching(t, demoFlows)), []string{
		"cart tcp 8080: shop/cart inferred",
		"cart tcp 80: shop/cart observed", // an answer with the service's port
		"coredns udp 53: kube-system/kube-dns inferred",
		"db tcp 5432: backend/db inferred",
		"db tcp 5432: backend/db observed",
		"node-1 tcp 30080: shop/web observed",
		"prometheus tcp 9090: monitoring/prometheus inferred",
		"prometheus tcp 9090: monitoring/prometheus observed",
		"web tcp 8080: shop/web inferred",
	})
	var early []string
	for _, path := range matching(t, "../../test/recordings/*.jsonl") {
		if name := filepath.Base(path); name < "5" && !strings.HasPrefix(name, "18") {
			early = append(early, path)
		}
	}
	same(t, "early recordings", served(playing(t, recordings+"/objects.yaml"), early), []string{
		"10.96.0.100 tcp 80: shop/cart none", // Hubble told
		"cart tcp 8080: shop/cart inferred",
		"cart tcp 80: shop/cart observed",
		"db tcp 8080: backend/db-np inferred",
		"fd10:96::100 tcp 80: shop/cart none",
		"node-1 tcp 30080: backend/db-np observed",
	})
}

// What the recordings' README says of the first rig, both families of each pod alike.
func TestRecordedEnds(t *testing.T) {
	want := map[string]string{
		"10.201.1.137": "client-7f9c8d5b4-xk2lp of client on node-1", "fd10:201:0:1::736a": "client-7f9c8d5b4-xk2lp of client on node-1",
		"10.201.1.1": "cart-7f9c8d5b4-q8zt4 of cart on node-1", "fd10:201:0:1::5ab6": "cart-7f9c8d5b4-q8zt4 of cart on node-1",
		"10.201.1.113": "locked-7f9c8d5b4-m4w9c of locked on node-1", "fd10:201:0:1::8b57": "locked-7f9c8d5b4-m4w9c of locked on node-1",
		"10.201.2.158": "db-0 of db on node-2", "fd10:201:0:2::3f0b": "db-0 of db on node-2",
		"172.31.250.1": " of  on node-1", "2001:db8:a::1": " of  on node-1", "10.201.1.226": " of  on node-1", "fd10:201:0:1::655c": " of  on node-1",
	}
	e := playing(t, recordings+"/objects.yaml")
	got := map[string]string{}
	for _, path := range matching(t, "../../test/recordings/*.jsonl") {
		if name := filepath.Base(path); name > "5" || strings.HasPrefix(name, "18") {
			continue
		}
		b := recorded(t, e.names, path)
		e.Process(b)
		for _, end := range ends(b) {
			ep, address := end.Endpoint.Get(), end.IP.String()
			who := fmt.Sprintf("%s of %s on %s", ep.Pod, ep.Workload, ep.Node)
			if _, known := want[address]; known && got[address] != who {
				got[address] += who // which must be one and the same in all flows
			}
		}
	}
	same(t, "ends", got, want)
	same(t, "disagreements", e.counted(t, "sextant_enrich_disagreements_total"), map[string]float64{"pod": 0, "namespace": 0, "workload": 0, "node": 0, "service": 0})
}

// Who the ends are changes no verdict on a flow, and no connection.
func TestVerdictsStand(t *testing.T) {
	scenarios := map[string][]string{"demo": matching(t, demoFlows)}
	for _, path := range matching(t, "../../test/recordings/*.jsonl*") {
		if scenario, _, _ := strings.Cut(filepath.Base(path), "-"); scenario != "18" && scenario != "73" { // of which there are no flows
			scenarios[scenario] = append(scenarios[scenario], path)
		}
	}
	for scenario, paths := range scenarios {
		state := []string{demo}
		if scenario < "6" {
			state = []string{recordings + "/objects.yaml", recordings + "/cilium-config-A.yaml"}
		}
		e := playing(t, state...)
		cluster, err := e.Cluster()
		if err != nil {
			t.Fatal(err)
		}
		judged := func(enrich bool) (verdicts, connections []string) {
			b := recorded(t, e.names, paths...)
			if enrich {
				e.Process(b)
			}
			judge := verdict.New(e.names, verdict.Prefixes{})
			judge.SetFacts(verdict.NewFacts(e.names, cluster))
			tracker := track.New(track.Default(), e.names)
			track.NewNames(e.names, track.DefaultNames()).Process(b)
			judge.Process(b)
			verdict.NewHidden(e.names, judge).Process(b)
			tracker.Process(b)
			tracker.Flush(b, true)
			for i := range b.Records {
				r := &b.Records[i]
				verdicts = append(verdicts, fmt.Sprint(r.Source.IP, r.Destination.IP, r.Source.Side, r.Destination.Side, r.Direction, r.Class, r.ClassRule, r.ClassEvidence,
					r.SourceNAT, r.SourceNATRule, r.SourceNATEvidence, r.ServiceNAT, r.EgressIP, r.EgressIPEvidence, r.Counted, r.Duplicate))
			}
			for i := range b.Connections {
				c := &b.Connections[i]
				connections = append(connections, fmt.Sprint(c.Source.IP, c.Source.Port, c.Destination.IP, c.Destination.Port, c.Protocol, c.Class, c.Outcome, c.AvoidableIPv4, c.View, c.FallbackOf))
			}
			slices.Sort(connections)
			return verdicts, connections
		}
		verdicts, connections := judged(false)
		enrichedVerdicts, enrichedConnections := judged(true)
		same(t, scenario+": verdicts", enrichedVerdicts, verdicts)
		same(t, scenario+": connections", enrichedConnections, connections)
	}
}
