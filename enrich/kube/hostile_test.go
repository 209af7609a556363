package kube_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sextant/enrich/kube"
)

// Each is wrong in one way, and the error says where and how.
func TestErrors(t *testing.T) {
	object := func(kind, rest string) string {
		return "apiVersion: v1\nkind: " + kind + "\nmetadata: {name: x, namespace: shop}\n" + rest
	}
	cilium := func(kind, rest string) string {
		return strings.Replace(object(kind, rest), "apiVersion: v1", "apiVersion: cilium.io/v2", 1)
	}
	config := func(data string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata: " + data + "\n"
	}
	policy := "  destinationCIDRs: [0.0.0.0/0]\n  egressGateway: {nodeSelector: {}}\n"
	for _, row := range []struct{ file, text, want string }{
		{"a.yaml", "a: b\n---\na: [b\n", "a.yaml: document 2: yaml: line 2: did not find expected ',' or ']'"},
		{"a.yaml", "\tkind: Pod", "a.yaml: document 1: yaml: found character that cannot start any token"},
		{"a.yaml", "a: *nothing", "a.yaml: document 1: yaml: unknown anchor 'nothing' referenced"},
		{"a.yaml", "a: \xff", "a.yaml: document 1: yaml: invalid leading UTF-8 octet"},
		{"a.json", "{\"a\": 1,\n\n  oops}", "a.json: document 1: json: line 3: invalid character 'o' looking for beginning of object key string"},
		{"a.json", nodeA + "\n{\"kind\":", "a.json: document 2: json: line 3: unexpected EOF"},
		{"a.yaml", object("Pod", "status: {podIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.256}]}"), `a.yaml: document 1: Pod shop/x: status.podIPs[1].ip: "10.0.0.256" is no IP address`},
		{"a.yaml", object("Pod", "status: {podIP: pod}"), `a.yaml: document 1: Pod shop/x: status.podIP: "pod" is no IP address`},
		{"a.yaml", object("Pod", "status: running"), "a.yaml: document 1: Pod: yaml: line 4: cannot unmarshal !!str `running` into struct { "},
		{"a.yaml", object("Pod", "status: {phase: a}\nstatus: {phase: b}"), `a.yaml: document 1: Pod: yaml: line 5: mapping key "status" already defined at line 4`},
		{"a.json", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":["x"]}}`, "a.json: document 1: Pod: json: cannot unmarshal array into Go struct field "},
		{"a.yaml", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n- " + strings.ReplaceAll(object("Pod", "x: 1"), "\n", "\n  "), "a.yaml: document 1, item 1: Pod: metadata.name is empty"},
		{"a.yaml", "- a\n- {apiVersion: v1, kind: Node}\n", "a.yaml: document 1, element 2: Node: metadata.name is empty"},
		{"a.json", `{"apiVersion":"v1","kind":"PodList","items":[null]}`, "a.json: document 1, item 1: Pod: metadata.name is empty"},
		{"a.yaml", object("Node", "spec: {podCIDRs: [10.0.0.0/8, 10.0.0.0]}"), `a.yaml: document 1: Node shop/x: spec.podCIDRs[1]: "10.0.0.0" is no CIDR`},
		{"a.yaml", object("Node", "spec: {podCIDR: x}"), `a.yaml: document 1: Node shop/x: spec.podCIDR: "x" is no CIDR`},
		{"a.yaml", object("Node", "status: {addresses: [{type: ExternalIP, address: ''}]}"), `a.yaml: document 1: Node shop/x: status.addresses[0].address: "" is no IP address`},
		{"a.yaml", object("Service", "spec: {clusterIPs: [None], externalIPs: [x]}"), `a.yaml: document 1: Service shop/x: spec.externalIPs[0]: "x" is no IP address`},
		{"a.yaml", object("Service", "status: {loadBalancer: {ingress: [{hostname: x}, {ip: x}]}}"), `status.loadBalancer.ingress[1].ip: "x" is no IP address`},
		{"a.yaml", cilium("CiliumNode", "spec: {addresses: [{type: CiliumInternalIP, ip: x}]}"), `CiliumNode shop/x: spec.addresses[0].ip: "x" is no IP address`},
		{"a.yaml", cilium("CiliumNode", "spec: {ipam: {podCIDRs: [x]}}"), `spec.ipam.podCIDRs[0]: "x" is no CIDR`},
		{"a.yaml", cilium("CiliumNode", "spec: {ipam: {pools: {allocated: [{cidrs: [x]}]}}}"), `spec.ipam.pools.allocated[0].cidrs[0]: "x" is no CIDR`},
		{"a.yaml", cilium("CiliumNode", "status: {eni: {enis: {eni-1: {vpc: {primary-cidr: x}}}}}"), `status.eni.enis.eni-1.vpc.primary-cidr: "x" is no CIDR`},
		{"a.yaml", cilium("CiliumPodIPPool", "spec: {ipv4: {cidrs: [x]}}"), `CiliumPodIPPool shop/x: spec.ipv4.cidrs[0]: "x" is no CIDR`},
		{"a.yaml", cilium("CiliumPodIPPool", "spec: {ipv6: {cidrs: [x]}}"), `spec.ipv6.cidrs[0]: "x" is no CIDR`},
		{"a.yaml", config(`{ipv6-native-routing-cidr: "fd00::/129"}`), `a.yaml: document 1: ConfigMap kube-system/cilium-config: ipv6-native-routing-cidr[0]: "fd00::/129" is no CIDR`},
		{"a.yaml", config(`{cluster-pool-ipv4-cidr: "10.0.0.0/8 x"}`), `ConfigMap kube-system/cilium-config: cluster-pool-ipv4-cidr[1]: "x" is no CIDR`},
		{"a.yaml", config(`[a, b]`), "a.yaml: document 1: ConfigMap: yaml: line 4: cannot unmarshal !!seq into map[string]string"},
		{
			"a.yaml", config("{enable-ip-masq-agent: 'true'}") + "---\n" + strings.Replace(config("{config: 'nonMasqueradeCIDRs: [x]'}"), "cilium-config", "ip-masq-agent", 1),
			`document 2: ConfigMap kube-system/ip-masq-agent: data.config: nonMasqueradeCIDRs[0]: "x" is no CIDR`,
		},
		{
			"a.yaml", config("{enable-ip-masq-agent: 'true'}") + "---\n" + strings.Replace(config("{config: '['}"), "cilium-config", "ip-masq-agent", 1),
			`document 2: ConfigMap kube-system/ip-masq-agent: data.config: yaml: line 1: did not find expected node content`,
		},
		{
			"a.yaml", cilium("CiliumNodeConfig", "spec: {nodeSelector: {matchExpressions: [{key: a, operator: Gt, values: ['1']}]}}"),
			`CiliumNodeConfig shop/x: spec.nodeSelector.matchExpressions[0]: the operator "Gt" is none of In, NotIn, Exists and DoesNotExist`,
		},
		{"a.yaml", cilium("CiliumNodeConfig", "spec: {nodeSelector: {matchExpressions: [{key: a, operator: In}]}}"), `spec.nodeSelector.matchExpressions[0]: In with 0 values`},
		{"a.yaml", cilium("CiliumNodeConfig", "spec: {nodeSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}"), `spec.nodeSelector.matchExpressions[0]: Exists with 1 values`},
		{"a.yaml", cilium("CiliumNodeConfig", "spec: {nodeSelector: {matchExpressions: [{operator: Exists}]}}"), `spec.nodeSelector.matchExpressions[0]: the key is empty`},
		{"a.yaml", cilium("CiliumEgressGatewayPolicy", "spec: {destinationCIDRs: [x]}"), `CiliumEgressGatewayPolicy shop/x: spec.destinationCIDRs[0]: "x" is no CIDR`},
		{"a.yaml", cilium("CiliumEgressGatewayPolicy", "spec: {excludedCIDRs: [x]}"), `spec.excludedCIDRs[0]: "x" is no CIDR`},
		{"a.yaml", cilium("CiliumEgressGatewayPolicy", "spec: {egressGateway: {egressIP: x}}"), `spec.egressGateway.egressIP: "x" is no IP address`},
		{
			"a.yaml", cilium("CiliumEgressGatewayPolicy", "spec: {egressGateways: [{}, {nodeSelector: {matchExpressions: [{key: a, operator: x}]}}]}"),
			`spec.egressGateways[1].nodeSelector.matchExpressions[0]: the operator "x" is none of`,
		},
		{
			"a.yaml", cilium("CiliumEgressGatewayPolicy", "spec:\n"+policy+"  selectors: [{podSelector: {matchExpressions: [{key: a, operator: x}]}}]"),
			`spec.selectors[0].podSelector.matchExpressions[0]: the operator "x" is none of`,
		},
	} {
		dir := dump(t, row.file, row.text)
		_, _, err := kube.LoadState(dir)
		if err == nil {
			t.Errorf("%q: no error, want %s", row.text, row.want)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), dir+"/", ""); !strings.Contains(got, row.want) || strings.Contains(got, "\n") || !strings.HasPrefix(got, row.file) {
			t.Errorf("%q:\n got %s\nwant %s", row.text, got, row.want)
		}
	}
}

func TestPathErrors(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo.yaml")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(t.TempDir(), "large.json")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 256<<20+1); err != nil { // a hole, not written
		t.Fatal(err)
	}
	empty, useless := dump(t), dump(t, "a.json", "[]", "b.yaml", "apiVersion: v1\nkind: Secret\n")
	for _, row := range []struct {
		paths []string
		want  string
	}{
		{nil, "no file or directory with the cluster's state was named"},
		{[]string{"/nowhere/at/all"}, "load the cluster's state: stat /nowhere/at/all: no such file or directory"},
		{[]string{fifo}, "load the cluster's state: " + fifo + " is neither a file nor a directory"},
		{[]string{large}, "load the cluster's state: " + large + " has more than 256 MiB: dump fewer kinds at a time, each into a file"},
		{[]string{empty}, "load the cluster's state from " + empty + ": there is no file named *.yaml, *.yml or *.json"},
		{[]string{useless}, "no object that tells about a cluster in " + useless + " (2 files): "},
	} {
		if _, _, err := kube.LoadState(row.paths...); err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%q: %v, want %s", row.paths, err, row.want)
		}
	}
	// Below a directory, what is no file holds nothing up.
	if err := os.WriteFile(filepath.Join(filepath.Dir(fifo), "node.json"), []byte(nodeA), 0o600); err != nil {
		t.Fatal(err)
	}
	load(t, filepath.Dir(fifo))
}

// What would take a decoder hours or gigabytes ends at once, with an error or because nobody looks at it.
func TestBombs(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 {k: v}\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	var keys, jsonKeys strings.Builder
	for i := range 300_000 {
		fmt.Fprintf(&keys, "  k%d: v\n", i)
		fmt.Fprintf(&jsonKeys, `"k%d":"v",`, i)
	}
	pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: y}\n"
	self := "apiVersion: v1\nkind: List\nitems: &items\n"
	for _, row := range []struct{ name, file, text, want string }{
		{"laughs where nobody looks", "a.yaml", pod + laughs.String(), ""},
		{"laughs as addresses", "a.yaml", pod + laughs.String() + "status: {podIPs: *a11}\n", "line 14: cannot unmarshal !!seq into struct"},
		{"laughs of the right shape", "a.yaml", pod + "spec: {containers: [&c {args: [" + strings.Repeat("a, ", 2000) + "]}," + strings.Repeat("*c, ", 2000) + "]}\n", "document contains excessive aliasing"},
		{"laughs as labels", "a.yaml", laughs.String() + "apiVersion: v1\nkind: Namespace\nmetadata: {name: x, labels: {a: *a11}}\n", "cannot unmarshal !!seq"},
		{"laughs as items", "a.yaml", laughs.String() + "apiVersion: v1\nkind: List\nitems: *a11\n", "no object that tells about a cluster"},
		{"lists in lists", "a.yaml", "apiVersion: v1\nkind: List\nitems:\n- &l {apiVersion: v1, kind: List, items: [" + strings.Repeat("{}, ", 1000) + "{}]}\n" + strings.Repeat("- *l\n", 1000), "no object that tells about a cluster"},
		{"more objects than any cluster", "a.yaml", "- &l {apiVersion: v1, kind: List, items: [" + strings.Repeat("{apiVersion: v1, kind: X},", 1100) + "]}\n" + strings.Repeat("- *l\n", 1000), "more than 1048576 objects"},
		{"an anchor in itself", "a.yaml", pod + "status: &s {podIPs: [*s]}\n", `status.podIPs[0].ip: "" is no IP address`},
		{"a list in itself", "a.yaml", self + "- *items\n- " + strings.ReplaceAll(pod, "\n", "\n  ") + "\n", ""},
		{"keys where nobody looks", "a.yaml", pod + "spec2:\n" + keys.String(), "a mapping of 300000 keys, more than 20000"},
		{"keys in what is ignored", "a.yaml", "apiVersion: v1\nkind: Secret\ndata:\n" + keys.String() + "---\n" + pod, ""},
		{"keys as data", "a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config}\ndata:\n" + keys.String(), "line 5: a mapping of 300000 keys, more than 20000"},
		{"keys through an alias", "a.yaml", "- apiVersion: v1\n  kind: Secret\n  data: &x\n" + strings.ReplaceAll(keys.String(), "  k", "    k") + "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: cilium-config}\n  data: *x\n", "more than 20000"},
		{"keys of JSON", "a.json", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"cilium-config"},"data":{` + jsonKeys.String() + `"k":"v"}}`, ""},
		{"deep YAML", "a.yaml", strings.Repeat("[", 1_000_000), "exceeded max depth of 10000"},
		{"deep JSON", "a.json", strings.Repeat("[", 1_000_000), "exceeded max depth"},
		{"a long line", "a.json", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"x","annotations":{"a":"` + strings.Repeat("x", 32<<20) + `"}}}`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, _, err := kube.LoadState(dump(t, row.file, row.text))
			switch {
			case row.want == "" && err != nil:
				t.Errorf("%.300s", err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("%.300s, want %s", fmt.Sprint(err), row.want)
			}
		})
	}
}

// Whatever a file holds, loading it ends with an answer, and the same one every time.
func FuzzLoadState(f *testing.F) {
	for _, text := range []string{nodeA, podX, serviceY, "[" + nodeA + "]", "apiVersion: v1\nkind: List\nitems:\n- " + nodeA + "\n- &x " + podX + "\n- *x\n"} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	for _, file := range []string{"ciliumnodeconfigs.yaml", "ciliumnodes.yaml", "cilium-config.yaml"} {
		text, err := os.ReadFile(filepath.Join("../../deploy/demo/state", file))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text []byte, isJSON bool) {
		name := map[bool]string{true: "x.json", false: "x.yaml"}[isJSON]
		dir := dump(t, name, string(text))
		cluster, report, err := kube.LoadState(dir)
		again, reportAgain, errAgain := kube.LoadState(dir)
		same(t, "cluster", again, cluster)
		same(t, "report", reportAgain, report)
		same(t, "error", fmt.Sprint(errAgain), fmt.Sprint(err))
		if cluster == nil {
			return
		}
		for _, p := range cluster.Pods {
			for _, ip := range p.IPs {
				if ip.Is4In6() || ip.Zone() != "" {
					t.Errorf("%s has %s", p.Name, ip)
				}
			}
		}
	})
}
