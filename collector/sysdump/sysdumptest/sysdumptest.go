// Package sysdumptest makes for tests what `cilium sysdump` would have written of a cluster: the same folder, the same names,
// the same shape of what is in the files (cilium-cli/sysdump: constants.go, writers.go, zipDirectory), and some of the files
// that tell nothing. It asks no cluster.
package sysdumptest

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	stamp = "20261124-033000"
	// Folder is the one that all files lie in.
	Folder = "cilium-sysdump-" + stamp
)

// Files are the files of a dump by their names, which begin with Folder.
type Files map[string][]byte

// lists are the kinds that cilium-cli asks for, of those that matter here, and what it calls their files.
var lists = map[string]string{
	"Node": "k8s-nodes", "Namespace": "k8s-namespaces", "Pod": "k8s-pods", "Service": "k8s-services",
	"EndpointSlice": "k8s-endpointslices", "Event": "k8s-events",
	"CiliumNode": "ciliumnodes", "CiliumNodeConfig": "ciliumnodeconfigs", "CiliumEndpoint": "ciliumendpoints",
	"CiliumIdentity": "ciliumidentities", "CiliumNetworkPolicy": "ciliumnetworkpolicies",
	"CiliumEgressGatewayPolicy": "ciliumegressgatewaypolicies", "CiliumPodIPPool": "ciliumpodippools",
}

// New returns the dump of a cluster whose objects are those in the files below state that match one of the patterns, lists
// as kubectl writes them. Kinds that cilium-cli does not ask for, ReplicaSets for one, are not in it.
func New(state fs.FS, patterns ...string) (Files, error) {
	files := noise()
	byKind := map[string][]map[string]any{}
	for _, pattern := range patterns {
		names, err := fs.Glob(state, pattern)
		if err != nil || len(names) == 0 {
			return nil, errors.Join(fmt.Errorf("no file is named %s", pattern), err)
		}
		for _, name := range names {
			objects, err := read(state, name)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			for _, o := range objects {
				kind := fmt.Sprint(o["kind"])
				byKind[kind] = append(byKind[kind], o)
			}
		}
	}
	for kind, objects := range byKind {
		if kind == "ConfigMap" {
			files.add("cilium-configmap-"+stamp+".yaml", text(objects[len(objects)-1]))
		}
		if name := lists[kind]; name != "" {
			files.add(name+"-"+stamp+".yaml", text(list(kind, objects)))
		}
	}
	return files, nil
}

// AddFlows adds what `hubble observe -o jsonpb` printed in an agent's pod.
func (f Files) AddFlows(pod string, lines []byte) {
	f.add("hubble-flows-"+pod+"-"+stamp+".json", lines)
	f.add("hubble-observe-"+pod+"-"+stamp+".log", []byte(`time="2026-11-24T03:30:05Z" level=debug msg="Sending GetFlows request"`+"\n"))
}

func (f Files) add(name string, text []byte) { f[Folder+"/"+name] = text }

// Zip returns the archive.
func (f Files) Zip() ([]byte, error) {
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(2026, 11, 24, 3, 30, 0, 0, time.UTC)}
		header.SetMode(0o600)
		member, err := w.CreateHeader(header)
		if err == nil {
			_, err = member.Write(f[name])
		}
		if err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return archive.Bytes(), err
}

// Unpack writes the files below a directory.
func (f Files) Unpack(dir string) error {
	for name, text := range f {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// list is a List as Go's types hold it: those of Kubernetes itself have lost what kind their items are.
func list(kind string, objects []map[string]any) map[string]any {
	version := fmt.Sprint(objects[0]["apiVersion"])
	if !strings.HasPrefix(version, "cilium.io/") {
		for _, o := range objects {
			delete(o, "apiVersion")
			delete(o, "kind")
		}
	}
	return map[string]any{"apiVersion": version, "items": objects, "kind": kind + "List", "metadata": map[string]any{"resourceVersion": "4711"}}
}

func read(state fs.FS, name string) ([]map[string]any, error) {
	content, err := fs.ReadFile(state, name)
	if err != nil {
		return nil, err
	}
	var objects []map[string]any
	for decoder := yaml.NewDecoder(bytes.NewReader(content)); ; {
		var doc map[string]any
		if err := decoder.Decode(&doc); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		items, ok := doc["items"].([]any)
		if !ok {
			objects = append(objects, doc)
		}
		for _, item := range items {
			objects = append(objects, item.(map[string]any))
		}
	}
}

// text prints as sigs.k8s.io/yaml does: keys in order, lists no deeper than their keys.
func text(object map[string]any) []byte {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	encoder.CompactSeqIndent()
	if err := encoder.Encode(object); err != nil {
		panic(err) // it was decoded from the same
	}
	return b.Bytes()
}

// noise are files of a dump that tell nothing here, the worst of them: what is named as objects are and is none.
func noise() Files {
	files := Files{}
	for name, text := range map[string]string{
		"cilium-sysdump.log":                                                           "🔍 Collecting Kubernetes nodes\n",
		"k8s-version-" + stamp + ".txt":                                                "v1.36.1",
		"k8s-pods-" + stamp + ".txt":                                                   "NAMESPACE   NAME\n",
		"k8s-events-" + stamp + ".html":                                                "<!DOCTYPE html>\n<html>\n",
		"k8s-metrics-" + stamp + ".yaml":                                               "# HELP a_total A {count}: of things.\n# TYPE a_total counter\na_total{version=\"v1\",kind=\"Pod\"} 1\n",
		"cilium-operator-pod-x-metrics-" + stamp + ".yaml":                             "# HELP b_total: B\nb_total{a=\"b: c\"} 1\n",
		"cilium-helm-values-" + stamp + ".yaml":                                        "USER-SUPPLIED VALUES:\n\thubble: {enabled: true}\n",
		"cilium-helm-metadata-" + stamp + ".yaml":                                      "appVersion: 1.20.2\nchart: cilium\n",
		"cilium-daemonset-" + stamp + ".yaml":                                          "apiVersion: apps/v1\nitems:\n- metadata:\n    name: cilium\nkind: DaemonSetList\nmetadata: {}\n",
		"ciliumlocalredirectpolicies-" + stamp + ".yaml":                               "apiVersion: cilium.io/v2\nitems: []\nkind: CiliumLocalRedirectPolicyList\nmetadata: {}\n",
		"hubble-relay-configmap-" + stamp + ".yaml":                                    "apiVersion: v1\ndata:\n  config.yaml: |\n    cluster-name: lab\n    - odd\nkind: ConfigMap\nmetadata:\n  name: hubble-relay-config\n  namespace: kube-system\n",
		"kvstore-nodes.json":                                                           "{cilium/state/nodes: not JSON at all\n",
		"cilium-spire-server-entries-x-" + stamp + ".json":                             "",
		"logs-cilium-4qk7d-cilium-agent-" + stamp + ".log":                             "2026-11-24T03:30:00Z apiVersion: [\n",
		"gops-cilium-4qk7d-cilium-agent-" + stamp + "-stack.txt":                       "goroutine 1 [running]:\n",
		"cilium-bugtool-cilium-4qk7d-" + stamp + "/cmd/cilium-dbg-status--o-json.json": "{\"cilium\": \n",
		"cilium-bugtool-cilium-4qk7d-" + stamp + "/cmd/pods.yaml":                      "\tno: yaml",
		"cilium-bugtool-cilium-4qk7d-" + stamp + "/cmd/ip--6-n.md":                     "# ip -6 n\n",
		"cilium-bugtool-cilium-x7k2p-" + stamp + ".tar.gz":                             "\x1f\x8b",
	} {
		files[path.Join(Folder, name)] = []byte(text)
	}
	return files
}
