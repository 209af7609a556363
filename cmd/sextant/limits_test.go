package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

const dockerHub = "registry-1.docker.io"

// limited replays recordings through all stages, and returns what was used up in the end.
func limited(t *testing.T, paths, state []string, set func(*plant)) *flow.Batch {
	t.Helper()
	b := &flow.Batch{}
	p := newPlant()
	p.verdictCfg.State = state
	if set != nil {
		set(p)
	}
	if err := p.validate(); err != nil {
		t.Fatal(err)
	}
	stages, err := p.stages(&app{logger: slog.New(slog.DiscardHandler)}, false)
	if err != nil {
		t.Fatal(err)
	}
	files := hubble.NewFiles(hubble.FilesConfig{
		Paths: paths, Strict: true, Names: p.names, Pool: flow.NewPool(1024), Logger: slog.New(slog.DiscardHandler),
	})
	take := func(from *flow.Batch) {
		b.Charges, b.Buckets = append(b.Charges, from.Charges...), append(b.Buckets, from.Buckets...)
	}
	err = files.Run(t.Context(), func(_ context.Context, batch *flow.Batch) error {
		for _, s := range stages {
			s.Process(batch)
		}
		take(batch)
		batch.Release()
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
	return b
}

// bucketLine is a bucket, and what of it pods and nodes used.
type bucketLine struct {
	family, bucket, evidence string
	pods, nodes, used        int
	unseen                   string
}

// linesOf returns the buckets of a service.
func linesOf(b *flow.Batch, service string) []bucketLine {
	var lines []bucketLine
	for i := range b.Buckets {
		row := &b.Buckets[i]
		if row.Service.String() != service {
			continue
		}
		line := bucketLine{row.Family.String(), row.Bucket.String(), row.Evidence.String(), 0, 0, int(row.Used), row.Unseen.String()}
		for j := range b.Charges {
			c := &b.Charges[j]
			if c.Service != row.Service || c.Bucket != row.Bucket || c.Family != row.Family {
				continue
			}
			if c.Side == flow.SideHost {
				line.nodes += int(c.Uses)
			} else {
				line.pods += int(c.Uses)
			}
		}
		lines = append(lines, line)
	}
	slices.SortFunc(lines, func(a, b bucketLine) int { return strings.Compare(a.family+a.bucket, b.family+b.bucket) })
	return lines
}

// rewritten copies the demo recording and its state with other words in it: addresses of pods that a service on the internet
// may see, no masquerade, destinations behind a NAT64.
func rewritten(t *testing.T, edits ...func(text string) string) (paths, state []string) {
	t.Helper()
	dir := t.TempDir()
	edit := func(text string) string {
		for _, e := range edits {
			text = e(text)
		}
		return text
	}
	for _, name := range []string{"node-1.jsonl", "node-2.jsonl"} {
		f, err := os.Open(demoDir + name + ".gz")
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err = errorsOf(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(edit(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	to := filepath.Join(dir, "state")
	if err := os.CopyFS(to, os.DirFS(demoDir+"state")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(to, e.Name())
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(edit(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths, []string{to}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

var translatedSource = regexp.MustCompile(`,?"source_xlated":\s*"[0-9a-f]*:[0-9a-f:]*"`)

var masquerades = regexp.MustCompile(`(enable-ipv6-masquerade"?: *['"]?)true`)

// publicPods gives pods IPv6 addresses that begin so and are not translated.
func publicPods(prefix string) func(string) string {
	return func(text string) string {
		text = translatedSource.ReplaceAllString(text, "")
		text = strings.ReplaceAll(text, "fd10:201:0:", prefix)
		return masquerades.ReplaceAllString(text, "${1}false")
	}
}

// noIPv6 makes the registry one without IPv6, which is reached through a NAT64.
func noIPv6(text string) string {
	return strings.NewReplacer("2001:db8:ffff:20::20", "64:ff9b::c633:6414", "2001:db8:ffff:20::21", "64:ff9b::c633:6415").Replace(text)
}

// TestRegistryLimit: the buckets of the recorded registry are those that its clients filled. What node-2 pulled itself shows
// nowhere, and is told as not seen.
func TestRegistryLimit(t *testing.T) {
	t.Parallel()
	demo, state := []string{demoDir + "node-1.jsonl.gz", demoDir + "node-2.jsonl.gz"}, []string{demoDir + "state"}
	rewrite := func(edits ...func(string) string) func() ([]string, []string) {
		return func() ([]string, []string) { return rewritten(t, edits...) }
	}
	recorded := func() ([]string, []string) { return demo, state }
	pool := func(list ...string) func(*plant) {
		return func(p *plant) { p.clusterCfg.limits.Pools = list }
	}
	hidden := bucketLine{"ipv4", "172.31.250.2", "inferred", 0, 0, 0, "node"} // 4 pulls of node-2
	node1 := bucketLine{"ipv4", "172.31.250.1", "observed", 23, 4, 27, "nothing"}
	nodes64 := bucketLine{"ipv6", "2001:db8:a::/64", "inferred", 0, 14, 14, "node"} // and 15 pulls of node-2
	none64 := bucketLine{"ipv6", "2001:db8:a::/64", "inferred", 0, 0, 0, "node"}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "cluster\tfamily\tbucket\tevidence\tpods\tnodes\tused\tof 100\tunseen\tas expected")
	for _, row := range []struct {
		name  string
		files func() (paths, state []string)
		set   func(*plant)
		want  []bucketLine
	}{
		{"as recorded: masqueraded behind nodes in one /64", recorded, nil, []bucketLine{
			node1, hidden, {"ipv6", "2001:db8:a::/64", "observed", 91 + 45, 14, 150, "node"},
		}},
		{"masquerade off, a /64 for each node's pods", rewrite(publicPods("2001:db8:c:")), nil, []bucketLine{
			node1, hidden, nodes64,
			{"ipv6", "2001:db8:c:1::/64", "inferred", 91, 0, 91, "nothing"},
			{"ipv6", "2001:db8:c:2::/64", "inferred", 45, 0, 45, "nothing"},
		}},
		{"masquerade off, all pods in one /64", rewrite(publicPods("2001:db8:c:0:")), nil, []bucketLine{
			node1, hidden, nodes64, {"ipv6", "2001:db8:c::/64", "inferred", 91 + 45, 0, 136, "nothing"},
		}},
		{"NAT64, its address not known", rewrite(noIPv6), nil, []bucketLine{
			{"ipv4", "", "assumed", 91 + 45, 14, 150, "node"}, node1, hidden, none64,
		}},
		{"NAT64 with one address", rewrite(noIPv6), pool("nat64=203.0.113.64"), []bucketLine{
			node1, hidden, {"ipv4", "203.0.113.64", "inferred", 91 + 45, 14, 150, "node"}, none64,
		}},
		{"NAT44 behind the nodes with one address", recorded, pool("ipv4=203.0.113.1"), []bucketLine{
			{"ipv4", "203.0.113.1", "inferred", 23, 4, 27, "node"}, {"ipv6", "2001:db8:a::/64", "observed", 91 + 45, 14, 150, "node"},
		}},
	} {
		paths, state := row.files()
		b := limited(t, paths, state, row.set)
		got := linesOf(b, dockerHub)
		if diff := cmp.Diff(row.want, got, cmp.AllowUnexported(bucketLine{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
		for i, line := range got {
			verdict := "no"
			if i < len(row.want) && row.want[i] == line {
				verdict = "yes"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%t\t%s\t%s\n", row.name, line.family, line.bucket, line.evidence, line.pods, line.nodes, line.used, line.used > 100, line.unseen, verdict)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
}

// TestRegistryTruth: the recorded clients' own numbers, less what node-2 pulled itself, are what we tell, and no single
// workload is over the limit that they exceed together.
func TestRegistryTruth(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(demoDir + "ground-truth.json")
	if err != nil {
		t.Fatal(err)
	}
	var truth struct {
		Limit struct {
			Limit int
			Keys  []struct {
				Key, Family string
				Connections int
			} `json:"connections_by_key"`
			ByClient []struct {
				Workload, Node, Family string
				Egress                 string `json:"egress_address"`
				Connections            int
			} `json:"by_client"`
		} `json:"registry_rate_limit"`
	}
	if err := json.Unmarshal(raw, &truth); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	for _, k := range truth.Limit.Keys {
		want[k.Key] = k.Connections
	}
	for _, c := range truth.Limit.ByClient {
		if c.Workload == "node/kubelet" && c.Node == "node-2" { // shows in no flow
			key := c.Egress
			if c.Family == "ipv6" {
				key = "2001:db8:a::/64"
			}
			want[key] -= c.Connections
		}
	}
	b := limited(t, []string{demoDir + "node-1.jsonl.gz", demoDir + "node-2.jsonl.gz"}, []string{demoDir + "state"}, nil)
	got := map[string]int{}
	for i := range b.Buckets {
		row := &b.Buckets[i]
		if row.Service.String() != dockerHub {
			continue
		}
		got[row.Bucket.String()] = int(row.Used)
		if row.Limit.N != uint64(truth.Limit.Limit) {
			t.Errorf("%s: limit %d, want %d", row.Bucket, row.Limit.N, truth.Limit.Limit)
		}
		if row.Bucket.String() != "2001:db8:a::/64" {
			continue
		}
		if row.Nodes != 2 || row.Unseen != flow.UnseenNode || int(row.Used) <= truth.Limit.Limit {
			t.Errorf("%s: %d used by %d nodes, unseen %s; want more than %d by 2 and node", row.Bucket, row.Used, row.Nodes, row.Unseen, truth.Limit.Limit)
		}
		workloads := map[string]int{}
		for j := range b.Charges {
			if c := &b.Charges[j]; c.Service == row.Service && c.Bucket == row.Bucket {
				workloads[c.Namespace.String()+"/"+c.Workload.String()] += int(c.Uses)
			}
		}
		for w, n := range workloads {
			if n > truth.Limit.Limit {
				t.Errorf("%s alone is over the limit with %d", w, n)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNodePulls: 20 connections of a node itself over each family are counted where they show, and told as not seen where
// they do not. A pod's control connection goes beside them in some.
func TestNodePulls(t *testing.T) {
	t.Parallel()
	const recordings = "../../test/recordings/"
	limits := filepath.Join(t.TempDir(), "limits.yaml")
	text := "limits: [{name: " + dockerHub + ", addresses: [2001:db8:ffff:20::/64, 198.51.100.20/32]}]\n" // nobody asked for names
	if err := os.WriteFile(limits, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, file, config string
		nodes, pods        int // of each family
		unseen             string
	}{
		{"Helm's defaults", "61-node-pull-helm-default.node-2.jsonl", "61", 0, 1, "node"},
		{"kube-proxy replacement and BPF masquerade", "62-node-pull-kpr-bpfmasq-aggr-medium.node-1.jsonl", "62", 20, 0, "nothing"},
		{"host firewall", "65-node-pull-kpr-hostfw-aggr-medium.node-1.jsonl", "65", 20, 1, "nothing"},
		{"host firewall, else Helm's defaults", "67-node-pull-helm-default-plus-hostfw.node-2.jsonl", "67", 20, 1, "nothing"},
	} {
		b := limited(t, []string{recordings + row.file}, []string{recordings + "state/objects.yaml", recordings + "state/cilium-config-" + row.config + ".yaml"},
			func(p *plant) { p.clusterCfg.limits.Catalogue = limits })
		nodes, pods := map[string]int{}, map[string]int{}
		for i := range b.Charges {
			c := &b.Charges[i]
			switch {
			case c.Service.String() != dockerHub:
			case c.Side == flow.SideHost:
				nodes[c.Family.String()] += int(c.Uses)
			default:
				pods[c.Family.String()] += int(c.Uses)
			}
		}
		for _, family := range []string{"ipv4", "ipv6"} {
			if nodes[family] != row.nodes || pods[family] != row.pods {
				t.Errorf("%s: %d uses of nodes and %d of pods over %s, want %d and %d", row.name, nodes[family], pods[family], family, row.nodes, row.pods)
			}
		}
		for _, line := range linesOf(b, dockerHub) {
			if line.unseen != row.unseen || line.used != line.pods+line.nodes {
				t.Errorf("%s: %+v, want unseen %s", row.name, line, row.unseen)
			}
		}
	}
}
