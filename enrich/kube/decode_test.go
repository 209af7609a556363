package kube_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
)

func TestDecode(t *testing.T) {
	for _, row := range []struct {
		apiVersion, kind, json string
		want                   string
	}{
		{"v1", "Pod", `{"metadata":{"name":"x","namespace":"y"}}`, "Pod <nil>"},
		{"v1", "Event", `{"metadata":{"name":"x"},"eventTime":null,"series":null}`, "Event <nil>"},
		{"events.k8s.io/v1", "Event", `{"metadata":{"name":"x"},"eventTime":"2026-11-24T12:00:00.123456Z"}`, "Event <nil>"},
		{"networking.k8s.io/v1beta1", "ServiceCIDR", `{"metadata":{"name":"x"}}`, "ServiceCIDR <nil>"},
		{"cilium.io/v2alpha1", "CiliumEndpointSlice", `{"metadata":{"name":"x"},"namespace":"y","endpoints":[{"name":"z","id":4711,"networking":{"addressing":[{"ipv4":"10.0.0.1"}]}}]}`, "CiliumEndpointSlice <nil>"},
		{"cilium.io/v2", "CiliumNodeConfig", `{"metadata":{"name":"x"}}`, "CiliumNodeConfig <nil>"},
		{"v1", "Secret", `{"metadata":{"name":"x"}}`, "nothing <nil>"},
		{"v2", "Pod", `{"metadata":{"name":"x"}}`, "nothing <nil>"},
		{"v1", "Pod", `{}`, "nothing Pod: metadata.name is empty"},
		{"v1", "Pod", `null`, "nothing Pod: metadata.name is empty"},
		{"v1", "Pod", `{`, "nothing Pod: unexpected end of JSON input"},
		{"v1", "Pod", `[]`, "nothing Pod: json: cannot unmarshal array into Go value of type kube.Pod"},
		{"discovery.k8s.io/v1", "EndpointSlice", `{"metadata":{"name":"x"},"ports":[{"port":70000}]}`, "nothing EndpointSlice: json: cannot unmarshal number 70000 into Go struct field "},
	} {
		o, err := kube.Decode(row.apiVersion, row.kind, []byte(row.json))
		kind := "nothing"
		if o != nil {
			kind = string(o.Kind())
		}
		if got := fmt.Sprint(kind, " ", err); !strings.HasPrefix(got, row.want) {
			t.Errorf("%s %s %s: %s, want %s", row.apiVersion, row.kind, row.json, got, row.want)
		}
	}
}

// A dump of a dual-stack cluster as people make it, `kubectl get KIND -A -o yaml` or `-o json` into a file for each kind,
// tells the same in either language.
func TestDualStackDump(t *testing.T) {
	files := matching(t, demo+"/*.yaml")
	asJSON := t.TempDir()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var list any
		if err := yaml.Unmarshal(text, &list); err != nil {
			t.Fatal(err)
		}
		text, err = json.MarshalIndent(list, "", "    ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(asJSON, strings.TrimSuffix(filepath.Base(file), ".yaml")+".json"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	type everything struct {
		report  map[string]int
		cluster *verdict.Cluster
		view    kube.View
		pods    map[string]string
	}
	read := func(path ...string) everything {
		r := newRig(t, kube.Config{Labels: []string{"team"}})
		report, err := r.Load(path...)
		if err != nil {
			t.Fatal(err)
		}
		cluster, err := r.Cluster()
		if err != nil {
			t.Fatal(err)
		}
		e := everything{report.Objects, cluster, r.View(), map[string]string{}}
		e.view.Time = time.Time{}
		x := r.Index()
		for _, p := range e.view.Pods {
			for _, a := range p.IPs {
				service, evidence := x.Service(a, 8080, flow.TCP)
				e.pods[a.String()] = fmt.Sprint(told(x.At(a, after(1e6))), " ", service, " ", evidence)
			}
		}
		return e
	}
	asYAML, got := read(files...), read(asJSON)
	same(t, "objects", got.report, asYAML.report)
	same(t, "cluster", got.cluster, asYAML.cluster)
	same(t, "view", got.view, asYAML.view)
	same(t, "pods", got.pods, asYAML.pods)
	same(t, "addresses", len(got.pods), 30)
	same(t, "one of them", got.pods["fd10:201:0:2::4840"], "shop/cart-fb58577d8-65mhj Deployment/cart on node-2 in eu-lab-1b team=storefront shop/cart inferred")
	same(t, "the same by the other family", got.pods["10.201.2.209"], got.pods["fd10:201:0:2::4840"])
	for _, kind := range []kube.Kind{kube.KindPod, kube.KindNode, kube.KindService, kube.KindEndpointSlice, kube.KindReplicaSet, kube.KindJob, kube.KindEndpoint, kube.KindIdentity} {
		if !got.view.Knows[kind] {
			t.Errorf("%s is not known", kind)
		}
	}
}

// Whatever the API server sends, taking it ends with an answer, and so does everything made of it.
func FuzzPut(f *testing.F) {
	var kinds [][2]string
	seen := map[string]bool{}
	for _, file := range matching(f, demo+"/*.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var list struct{ Items []map[string]any }
		if err := yaml.Unmarshal(text, &list); err != nil {
			f.Fatal(err)
		}
		for _, item := range list.Items {
			raw, err := json.Marshal(item)
			if err != nil {
				f.Fatal(err)
			}
			if name := fmt.Sprint(item["apiVersion"], " ", item["kind"]); !seen[name] {
				seen[name] = true
				f.Add(uint8(len(kinds)), raw)
				kinds = append(kinds, [2]string{item["apiVersion"].(string), item["kind"].(string)})
			}
		}
	}
	kinds = append(kinds, [2]string{"events.k8s.io/v1", "Event"}, [2]string{"cilium.io/v2alpha1", "CiliumEndpointSlice"}, [2]string{"networking.k8s.io/v1", "ServiceCIDR"})
	f.Add(uint8(len(kinds)-2), []byte(`{"metadata":{"name":"x"},"endpoints":[{"networking":{"addressing":[{"ipv4":"10.0.0.1"}]}},{}]}`))
	names := flow.NewInterner()
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		of := kinds[int(kind)%len(kinds)]
		s := kube.NewStore(kube.Config{Labels: []string{"team"}, Annotations: []string{"a"}, OnEvent: func(time.Time, *kube.Event) {}}, names, nil)
		o, err := kube.Decode(of[0], of[1], raw)
		if err != nil || o == nil {
			return
		}
		for i := range 2 {
			if err := s.Put(after(i), o); err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("%q", err)
			}
			v, x := s.View(), s.Index()
			for _, p := range v.Pods {
				x.Pod(p.Namespace, p.Name)
				for _, a := range p.IPs {
					who, ok := x.At(a, after(i))
					if ok && (p.HostNetwork || who.Pod.String() != p.Name) {
						t.Errorf("%s is %v's", a, who.Pod)
					}
				}
			}
			for _, n := range v.Nodes {
				for _, a := range n.Addresses {
					if _, ok := x.NodeAt(a); !ok {
						t.Errorf("%s is no node's", a)
					}
				}
			}
			_, _ = s.Cluster()
		}
		_ = s.Replace(after(3), o.Kind(), []kube.Object{o})
		_ = s.Replace(after(4), o.Kind(), []kube.Object{})
		if s.Index(); len(s.View().Pods) != 0 {
			t.Error("a pod is left")
		}
	})
}
