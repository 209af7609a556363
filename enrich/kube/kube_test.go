package kube_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
)

// dump writes files below a new directory: names and texts by turns.
func dump(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t testing.TB, paths ...string) (*verdict.Cluster, kube.Report) {
	t.Helper()
	cluster, report, err := kube.LoadState(paths...)
	if err != nil {
		t.Fatal(err)
	}
	return cluster, report
}

func addr(text string) netip.Addr { return netip.MustParseAddr(text) }

func addrs(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		list = append(list, addr(text))
	}
	return list
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// known are values that compare by ==.
var known = cmp.Options{cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })}

func same(t testing.TB, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, known); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const (
	nodeA = `{"apiVersion":"v1","kind":"Node","metadata":{"name":"a","labels":{"zone":"1"}},
		"spec":{"podCIDRs":["10.0.1.7/24"]},"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.1"},{"type":"Hostname","address":"a"}]}}`
	podX = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","namespace":"shop","labels":{"app":"x"}},
		"spec":{"nodeName":"a"},"status":{"podIPs":[{"ip":"10.0.1.5"},{"ip":"::ffff:10.0.1.6"}]}}`
	serviceY = `{"apiVersion":"v1","kind":"Service","metadata":{"name":"y","namespace":"shop"},
		"spec":{"type":"ClusterIP","selector":{"app":"x"},"clusterIPs":["fd00::1","10.96.0.1"],"clusterIP":"fd00::1","externalIPs":["198.51.100.1"]},
		"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.9"},{"hostname":"lb.example"}]}}}`
)

// Whatever shape a dump has, the cluster is the same.
func TestShapes(t *testing.T) {
	want := &verdict.Cluster{
		Nodes: []verdict.Node{{
			Name: "a", Labels: map[string]string{"zone": "1"},
			Addresses: addrs("192.0.2.1"), PodCIDRs: prefixes("10.0.1.0/24"),
		}},
		Pods: []verdict.Pod{{
			Namespace: "shop", Name: "x", Node: "a", IPs: addrs("10.0.1.5", "10.0.1.6"),
			Labels: map[string]string{"app": "x"}, NamespaceLabels: map[string]string{"kubernetes.io/metadata.name": "shop"},
		}},
		Services: []verdict.Service{{Namespace: "shop", Name: "y", Addresses: addrs("fd00::1", "10.96.0.1", "198.51.100.1", "203.0.113.9"), External: flow.Yes, Selector: map[string]string{"app": "x"}}},
	}
	list := `{"apiVersion":"v1","kind":"List","items":[` + nodeA + "," + podX + "," + serviceY + "]}"
	other := strings.ReplaceAll(strings.Replace(list, `"name":"a"`, `"name":"a","annotations":{"x":"\ud83d\ude00","x":""}`, 1), ",", ",\n\t")
	itemless := strings.NewReplacer(`"apiVersion":"v1","kind":"Node",`, "", `"apiVersion":"v1","kind":"Pod",`, "").Replace
	for _, shape := range []struct {
		name  string
		files []string
	}{
		{"a list", []string{"all.json", list}},
		{"a list as YAML", []string{"all.yaml", toYAML(t, list)}},
		{"JSON in a YAML file", []string{"all.yml", list}},
		{"JSON as YAML takes it", []string{"all.yaml", "# comment\n" + list}},
		{"a plain list", []string{"all.json", "[" + nodeA + "," + podX + "," + serviceY + "]"}},
		{"a plain list as YAML", []string{"all.yaml", toYAML(t, "["+nodeA+","+podX+","+serviceY+"]")}},
		{"JSON as other programs write it", []string{"all.json", other}},
		{"one after the other", []string{"all.json", nodeA + "\n" + podX + serviceY}},
		{"documents", []string{"all.yaml", "---\n" + toYAML(t, nodeA) + "---\n# nothing\n---\n" + toYAML(t, podX) + "---\n" + toYAML(t, serviceY) + "...\n---\n"}},
		{"a file each", []string{"z/n.json", nodeA, "p.YAML", toYAML(t, podX), "b/c/s.yml", toYAML(t, serviceY)}},
		{"a list of lists", []string{"all.json", "[" + list + "]"}},
		{"typed lists, as the API answers", []string{
			"n.json", `{"kind":"NodeList","apiVersion":"v1","metadata":{},"items":[` + itemless(nodeA) + "]}",
			"p.yaml", toYAML(t, `{"kind":"PodList","apiVersion":"v1","items":[`+itemless(podX)+"]}"), "s.json", serviceY,
		}},
		{"Windows", []string{"all.yaml", "\ufeff" + strings.ReplaceAll(toYAML(t, list), "\n", "\r\n")}},
		{"a mark before JSON", []string{"all.json", "\ufeff" + other}},
		{"UTF-16, as PowerShell writes it", []string{"all.json", utf16(list)}},
		{"what else is there", []string{
			"all.json", list, ".git/config.yaml", "{", ".hidden.yaml", "{", "README.md", "{", "flows.jsonl", "{",
			"p.json", `[1,"a",{"kind":"Pod"},null]`, "empty.yaml", "", "comment.yaml", "# nothing\n", "job.yaml", "apiVersion: batch/v1\nkind: CronJob\nspec: [1]\n",
		}},
		{"aliases", []string{"all.yaml", "a: &node " + nodeA + "\n---\napiVersion: v1\nkind: List\nitems:\n- &p " + podX + "\n- *p\n- " + serviceY + "\n---\n" + nodeA}},
	} {
		t.Run(shape.name, func(t *testing.T) {
			got, report := load(t, dump(t, shape.files...))
			same(t, "cluster", got, want)
			if got := report.Doubts; len(got) != 1 || !strings.HasPrefix(got[0], "there is no ConfigMap cilium-config") {
				t.Errorf("doubts: %q", got)
			}
		})
	}
}

// toYAML writes JSON as kubectl writes YAML, one key a line.
func toYAML(t testing.TB, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(block(v, 0), "\n")
}

func block(v any, depth int) string {
	indent := "\n" + strings.Repeat("  ", depth)
	var b strings.Builder
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			fmt.Fprintf(&b, "%s%s:%s", indent, key, block(value, depth+1))
		}
	case []any:
		for _, value := range v {
			fmt.Fprintf(&b, "%s-%s", indent, block(value, depth+1))
		}
	default:
		return fmt.Sprintf(" %q", v)
	}
	if depth == 0 {
		b.WriteString("\n")
	}
	return b.String()
}

func utf16(text string) string {
	out := "\xff\xfe"
	for _, r := range text {
		out += string([]byte{byte(r), byte(r >> 8)})
	}
	return out
}

func TestReport(t *testing.T) {
	dir := dump(t,
		"a.json", nodeA,
		"b.yaml", "apiVersion: batch/v1\nkind: CronJob\n---\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret}, {apiVersion: v1, kind: Secret}, {apiVersion: v1, kind: List, items: []}]\n",
		"c.json", `{"spec":{},"status":{}}`,
		"d.yaml", "x: 1\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
		"e.yaml", "",
		"g.yaml", "---\n# nothing\n---\nnull\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ci}\n---\n",
		"f.json", `["a",{"kind":"Pod","apiVersion":null}]`,
	)
	_, got := load(t, dir)
	same(t, "report", got, kube.Report{
		Files:   7,
		Objects: map[string]int{"v1 Node": 1, "v1 Namespace": 2},
		Ignored: map[string]int{"batch/v1 CronJob": 1, "v1 Secret": 2, "v1 List": 1},
		Skipped: []string{
			dir + "/c.json: no Kubernetes objects, they have an apiVersion and a kind",
			dir + "/d.yaml: 1 of 2 documents are no Kubernetes objects, they have an apiVersion and a kind",
			dir + "/e.yaml: empty",
			dir + "/f.json: no Kubernetes objects, they have an apiVersion and a kind",
		},
		Doubts: []string{"there is no ConfigMap cilium-config, so that every setting is unknown"},
	})
}

// The number of lines of a report is bounded, whatever is in a dump.
func TestReportBounds(t *testing.T) {
	var kinds, nodes strings.Builder
	files := []string{"node.json", nodeA}
	for i := range 500 {
		fmt.Fprintf(&kinds, "{\"apiVersion\":\"v1\",\"kind\":\"K%d\"}\n", i)
		fmt.Fprintf(&nodes, "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n%d\",\"labels\":{\"x\":\"%%s\"}}}\n", i)
		files = append(files, fmt.Sprintf("skip/%d.yaml", i), "a: b")
	}
	files = append(files, "kinds.json", kinds.String(), "m.json", nodes.String(), "n.json", strings.ReplaceAll(nodes.String(), "%s", "other"))
	_, report := load(t, dump(t, files...))
	for what, got := range map[string]int{"ignored": len(report.Ignored), "skipped": len(report.Skipped), "doubts": len(report.Doubts)} {
		if got != 101 {
			t.Errorf("%d %s, want 100 and one for the others", got, what)
		}
	}
	if got := report.Ignored["others"]; got != 400 {
		t.Errorf("%d others, want 400", got)
	}
}

func TestLaterPathWins(t *testing.T) {
	pod := func(ip string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: shop}\nstatus: {podIPs: [{ip: " + ip + "}]}\n"
	}
	one, two := dump(t, "z.yaml", pod("10.0.0.1")), dump(t, "a.yaml", pod("10.0.0.2"))
	for _, row := range []struct {
		paths []string
		want  string
	}{
		{[]string{one, two}, "10.0.0.2"},
		{[]string{two, one}, "10.0.0.1"},
		{[]string{one, filepath.Join(two, "a.yaml")}, "10.0.0.2"},
		{[]string{one, two, one}, "10.0.0.1"},
	} {
		cluster, report := load(t, row.paths...)
		same(t, fmt.Sprint(row.paths), cluster.Pods[0].IPs, addrs(row.want))
		same(t, "doubts", len(report.Doubts), 1)
	}

	// Within a path nobody said which is right.
	dir := dump(t, "a.yaml", pod("10.0.0.1"), "b.yaml", pod("10.0.0.2")+"---\n"+pod("10.0.0.2"))
	cluster, report := load(t, dir)
	same(t, "the last file", cluster.Pods[0].IPs, addrs("10.0.0.2"))
	same(t, "doubts", report.Doubts, []string{
		dir + "/b.yaml: document 1: Pod shop/x: differs from " + dir + "/a.yaml: document 1: Pod shop/x, and is used",
		"there is no ConfigMap cilium-config, so that every setting is unknown",
	})
}

// A mounted ConfigMap is links to files in a hidden directory behind a hidden link.
func TestLinks(t *testing.T) {
	dir := dump(t, "..2026/node.json", nodeA, "far/pod.json", podX)
	link := func(from, to string) {
		if err := os.Symlink(from, filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	link("..2026", "..data")
	link("..data/node.json", "node.json")
	link(".", "loop")
	link("far", "near.yaml")
	cluster, report := load(t, dir)
	if len(cluster.Nodes) != 1 || len(cluster.Pods) != 1 || report.Files != 2 {
		t.Errorf("%d nodes, %d pods from %d files", len(cluster.Nodes), len(cluster.Pods), report.Files)
	}
}

// Addresses that a finished pod had before are its own unless another has them now.
func TestEndedPods(t *testing.T) {
	pod := func(name, phase, ips string) string {
		return "---\napiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: ci}\nstatus: {phase: " + phase + ", podIPs: [" + ips + "]}\n"
	}
	cluster, _ := load(t, dump(t, "pods.yaml",
		pod("job-1", "Succeeded", "{ip: 10.0.0.1}, {ip: 'fd00::1'}")+
			pod("job-2", "Failed", "{ip: 10.0.0.2}, {ip: 'fd00::2'}")+
			pod("live", "Running", "{ip: 10.0.0.1}, {ip: 'fd00::3'}")+
			pod("waits", "Pending", "")+
			"---\napiVersion: v1\nkind: Pod\nmetadata: {name: host, namespace: ci}\nspec: {hostNetwork: true}\nstatus: {podIP: 10.0.0.2}\n"))
	got := map[string][]netip.Addr{}
	for _, p := range cluster.Pods {
		got[p.Name] = p.IPs
		if p.HostNetwork != (p.Name == "host") {
			t.Errorf("%s: host network %t", p.Name, p.HostNetwork)
		}
	}
	same(t, "addresses", got, map[string][]netip.Addr{
		"job-1": addrs("fd00::1"), "job-2": addrs("10.0.0.2", "fd00::2"), "live": addrs("10.0.0.1", "fd00::3"), "waits": nil, "host": addrs("10.0.0.2"),
	})
}

func TestNodes(t *testing.T) {
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\n"
	const nodes = `---
apiVersion: v1
kind: Node
metadata: {name: both, labels: {from: node}}
spec: {podCIDR: 10.244.0.0/24, podCIDRs: [10.244.0.0/24, "fd00:244::/64"]}
status: {addresses: [{type: InternalIP, address: 192.0.2.1}, {type: ExternalIP, address: 198.51.100.1}, {type: InternalDNS, address: x.internal}]}
---
apiVersion: cilium.io/v2
kind: CiliumNode
metadata: {name: both, labels: {from: cilium}}
spec:
  addresses: [{type: InternalIP, ip: 192.0.2.1}, {type: InternalIP, ip: "2001:db8::1"}, {type: CiliumInternalIP, ip: 10.0.0.9}, {type: CiliumInternalIP, ip: "fd00::9"}]
  ipam: {podCIDRs: [10.0.0.0/24], pools: {allocated: [{pool: default, cidrs: [10.0.0.0/24, 10.8.0.0/27]}, {pool: blue, cidrs: ["fd08::/112"]}]}}
---
apiVersion: v1
kind: Node
metadata: {name: core}
spec: {podCIDR: 10.244.1.0/24}
---
apiVersion: cilium.io/v2
kind: CiliumNode
metadata: {name: cilium, labels: {from: cilium}}
spec: {ipam: {podCIDRs: [10.0.2.0/24]}}
`
	ciliums := prefixes("10.0.0.0/24", "10.8.0.0/27", "fd08::/112")
	all := append(prefixes("10.244.0.0/24", "fd00:244::/64"), ciliums...)
	for _, row := range []struct {
		config     string
		both, core []netip.Prefix
	}{
		{"", all, prefixes("10.244.1.0/24")},
		{config + "data: {ipam: kubernetes}\n", all, prefixes("10.244.1.0/24")},
		{config + "data: {ipam: cluster-pool}\n", ciliums, nil}, // the controller manager's are not Cilium's
		{config + "data: {debug: 'false'}\n", ciliums, nil},     // cluster-pool is the agent's default
	} {
		cluster, _ := load(t, dump(t, "all.yaml", row.config+nodes))
		for i := range cluster.Nodes {
			cluster.Nodes[i].Settings = verdict.Settings{}
		}
		same(t, row.config, cluster.Nodes, []verdict.Node{
			{
				Name: "both", Labels: map[string]string{"from": "node"}, Addresses: addrs("192.0.2.1", "198.51.100.1", "2001:db8::1"),
				Router: addrs("10.0.0.9", "fd00::9"), PodCIDRs: row.both,
			},
			{Name: "cilium", Labels: map[string]string{"from": "cilium"}, PodCIDRs: prefixes("10.0.2.0/24")},
			{Name: "core", PodCIDRs: row.core},
		})
	}
}

func TestClusterPodCIDRs(t *testing.T) {
	cluster, _ := load(t, dump(t, "all.yaml", `apiVersion: v1
kind: ConfigMap
metadata: {name: cilium-config, namespace: kube-system}
data: {cluster-name: lab, cluster-pool-ipv4-cidr: "10.0.0.0/8 10.0.0.0/8", cluster-pool-ipv6-cidr: "fd00::/104,fd01::/104"}
---
apiVersion: cilium.io/v2alpha1
kind: CiliumPodIPPool
metadata: {name: blue}
spec: {ipv4: {cidrs: [10.8.0.0/16], maskSize: 27}}
---
apiVersion: cilium.io/v2
kind: CiliumPodIPPool
metadata: {name: green}
spec: {ipv6: {cidrs: ["fd08::/48"]}}
`))
	same(t, "name", cluster.Name, "lab")
	same(t, "pod CIDRs", cluster.PodCIDRs, prefixes("10.0.0.0/8", "10.8.0.0/16", "fd00::/104", "fd01::/104", "fd08::/48"))
}
