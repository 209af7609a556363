package kube_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sextant/collector/sysdump/sysdumptest"
	"sextant/enrich/kube"
)

// A sysdump tells of the cluster what kubectl told, as an archive and unpacked, however Go's types printed it.
func TestSysdump(t *testing.T) {
	for _, row := range []struct{ name, dir, pattern string }{
		{"demo", demo, "*.yaml"},
		{"recordings", recordings, "objects.yaml"},
		{"recordings with a configuration", recordings, "*[sC].yaml"},
	} {
		names, err := filepath.Glob(filepath.Join(row.dir, row.pattern))
		if err != nil {
			t.Fatal(err)
		}
		want, _ := load(t, names...)
		files, err := sysdumptest.New(os.DirFS(row.dir), row.pattern)
		if err != nil {
			t.Fatal(err)
		}
		dir, packed := t.TempDir(), archive(t, files)
		if err := files.Unpack(dir); err != nil {
			t.Fatal(err)
		}
		got, report := load(t, packed)
		same(t, row.name, got, want)
		unpacked, unpackedReport := load(t, dir)
		same(t, row.name+", unpacked", unpacked, want)
		same(t, row.name+", reports", strings.ReplaceAll(text(unpacked, unpackedReport), dir, packed), text(got, report))
	}
}

// What lies in a sysdump beside objects is left alone, and told.
func TestSysdumpReport(t *testing.T) {
	files, err := sysdumptest.New(os.DirFS(demo), "nodes.yaml", "pods.yaml", "cilium-config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files.AddFlows("cilium-4qk7d", []byte("{\"flow\":\n"))
	files[sysdumptest.Folder+"/cni-configmap-20261124-033000.yaml"] = nil
	path := archive(t, files)
	_, report := load(t, path)
	in := path + "/" + sysdumptest.Folder + "/"
	const byName = ": no Kubernetes objects, by its name"
	same(t, "report", report, kube.Report{
		Files:   7,
		Objects: map[string]int{"v1 ConfigMap": 2, "v1 Node": 2, "v1 Pod": 15},
		Ignored: map[string]int{"apps/v1 DaemonSet": 1},
		Skipped: []string{
			in + "cilium-helm-metadata-20261124-033000.yaml" + byName, in + "cilium-helm-values-20261124-033000.yaml" + byName,
			in + "cilium-operator-pod-x-metrics-20261124-033000.yaml" + byName, in + "cilium-spire-server-entries-x-20261124-033000.json" + byName,
			in + "k8s-metrics-20261124-033000.yaml" + byName, in + "kvstore-nodes.json" + byName,
			in + "cni-configmap-20261124-033000.yaml: empty",
		},
		Doubts: report.Doubts,
	})
}

// Several archives are several paths, of which the later wins.
func TestSysdumps(t *testing.T) {
	first := archive(t, sysdumptest.Files{"a/pods.json": []byte(podX), "nodes.json": []byte(nodeA)})
	second := archive(t, sysdumptest.Files{"pods.yaml": []byte(strings.ReplaceAll(podX, "10.0.1.5", "10.0.1.9"))})
	cluster, report := load(t, first, second)
	same(t, "addresses", cluster.Pods[0].IPs, addrs("10.0.1.9", "10.0.1.6"))
	cluster, _ = load(t, second, first, dump(t, "services.json", serviceY))
	same(t, "addresses", cluster.Pods[0].IPs, addrs("10.0.1.5", "10.0.1.6"))
	same(t, "services", len(cluster.Services), 1)
	same(t, "files", report.Files, 3)
}

func TestSysdumpErrors(t *testing.T) {
	good := sysdumptest.Files{"d/pods.json": []byte(podX), "d/nodes.json": bytes.Repeat([]byte(nodeA), 50)}
	damaged := archive(t, good)
	content, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	content[bytes.Index(content, []byte("d/nodes.json"))+60] ^= 0xff
	if err := os.WriteFile(damaged, content, 0o600); err != nil {
		t.Fatal(err)
	}
	var large bytes.Buffer
	w := zip.NewWriter(&large)
	member, err := w.CreateRaw(&zip.FileHeader{Name: "d/pods.json", Method: zip.Deflate, UncompressedSize64: 256<<20 + 1, CompressedSize64: 2 << 20})
	if err == nil {
		_, err = member.Write(make([]byte, 2<<20)) // nobody looks
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ path, want string }{
		{damaged, "load the cluster's state: " + damaged + "/d/nodes.json: unpack: "},
		{archive(t, sysdumptest.Files{"d/pods.json": []byte(`{"apiVersion": "v1"`)}), "PATH/d/pods.json: document 1: json: line 1: unexpected EOF"},
		{archive(t, sysdumptest.Files{"d/readme.txt": nil, "d/sysdump.zip": nil}), "load the cluster's state from PATH: there is no file named *.yaml, *.yml or *.json that may hold Kubernetes objects; what lies in PATH/d/sysdump.zip is not looked at: unpack that, and name it"},
		{archive(t, sysdumptest.Files{"../pods.json": []byte(podX)}), `load the cluster's state: PATH: holds a file named "../pods.json", which leads out of it: no sysdump does`},
		{archive(t, sysdumptest.Files{"pods.json": []byte("[]")}), "no object that tells about a cluster in PATH (1 files): "},
		{filepath.Join(dump(t, "x.zip", large.String()), "x.zip"), "load the cluster's state: PATH/d/pods.json has more than 256 MiB: dump fewer kinds at a time, each into a file"},
		{filepath.Join(dump(t, "x.zip", "kind: Pod"), "x.zip"), "load the cluster's state: PATH: is no zip archive, or one that was cut short or damaged: copy it once more"},
	} {
		_, _, err := kube.LoadState(row.path)
		if want := strings.ReplaceAll(row.want, "PATH", row.path); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

func archive(t testing.TB, files sysdumptest.Files) string {
	t.Helper()
	content, err := files.Zip()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sysdump.zip")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// kubectl cluster-info dump --output-directory writes a folder for each namespace: lists in JSON, whose items have lost their
// kind, and the logs of containers. It asks for no configuration and for nothing of Cilium's.
func TestClusterInfoDump(t *testing.T) {
	lists := map[string][]map[string]any{} // by file
	for _, row := range []struct{ source, kind, file string }{
		{"nodes.yaml", "Node", "nodes.json"},
		{"pods.yaml", "Pod", "pods.json"},
		{"services.yaml", "Service", "services.json"},
		{"replicasets.yaml", "ReplicaSet", "replicasets.json"},
		{"workloads.yaml", "Deployment", "deployments.json"},
	} {
		text, err := os.ReadFile(filepath.Join(demo, row.source))
		if err != nil {
			t.Fatal(err)
		}
		var list struct{ Items []map[string]any }
		if err := yaml.Unmarshal(text, &list); err != nil {
			t.Fatal(err)
		}
		for _, item := range list.Items {
			if item["kind"] != row.kind {
				continue
			}
			namespace, _ := item["metadata"].(map[string]any)["namespace"].(string)
			file := filepath.Join(namespace, row.file)
			lists[file] = append(lists[file], item)
		}
	}
	files := []string{
		"kube-system/events.json", `{"kind":"EventList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":"x.1","namespace":"kube-system"},"involvedObject":{"kind":"Pod"},"reason":"Pulled","firstTimestamp":null,"lastTimestamp":"2026-11-24T03:30:00Z","eventTime":null,"count":2}]}`,
		"kube-system/daemonsets.json", `{"kind":"DaemonSetList","apiVersion":"apps/v1","metadata":{},"items":[]}`,
		"shop/web-78757b9d54-7tznz/logs.txt", "==== START logs for container main of pod shop/web-78757b9d54-7tznz ====\n",
	}
	for file, items := range lists {
		version, kind := items[0]["apiVersion"], items[0]["kind"].(string)
		for _, item := range items {
			delete(item, "apiVersion")
			delete(item, "kind")
		}
		text, err := json.MarshalIndent(map[string]any{"apiVersion": version, "kind": kind + "List", "items": items}, "", "    ")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file, string(text))
	}
	want, _ := load(t, filepath.Join(demo, "nodes.yaml"), filepath.Join(demo, "pods.yaml"), filepath.Join(demo, "services.yaml"), filepath.Join(demo, "replicasets.yaml"))
	got, report := load(t, dump(t, files...))
	same(t, "cluster", got, want)
	same(t, "skipped", report.Skipped, []string(nil))
	same(t, "pods", report.Objects["v1 Pod"], 15)
	same(t, "events", report.Objects["v1 Event"], 1)
}
