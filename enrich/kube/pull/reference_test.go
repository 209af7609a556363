package pull_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/enrich/kube/pull"
)

const (
	sum256 = "sha256:7cc4b5aefd1d0cadf8d97d4350462ba51c694ebca145b08d7d41b41acc8db5aa"
	sum512 = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

var references = []struct {
	text string
	want pull.Reference // without a registry where it is none
}{
	{"nginx", pull.Reference{Registry: "docker.io", Repository: "library/nginx", Tag: "latest"}},
	{"nginx:1.27", pull.Reference{Registry: "docker.io", Repository: "library/nginx", Tag: "1.27"}},
	{"grafana/tempo", pull.Reference{Registry: "docker.io", Repository: "grafana/tempo", Tag: "latest"}},
	{"docker.io/nginx", pull.Reference{Registry: "docker.io", Repository: "library/nginx", Tag: "latest"}},
	{"Docker.IO/nginx", pull.Reference{Registry: "docker.io", Repository: "library/nginx", Tag: "latest"}},
	{"index.docker.io/nginx", pull.Reference{Registry: "docker.io", Repository: "library/nginx", Tag: "latest"}},
	{"registry-1.docker.io/library/nginx", pull.Reference{Registry: "docker.io", Repository: "library/nginx", Tag: "latest"}},
	{"registry-1.docker.io/nginx", pull.Reference{Registry: "docker.io", Repository: "library/nginx", Tag: "latest"}},
	{"registry.hub.docker.com/library/nginx", pull.Reference{Registry: "registry.hub.docker.com", Repository: "library/nginx", Tag: "latest"}},
	{"docker.io:443/library/nginx", pull.Reference{Registry: "docker.io:443", Repository: "library/nginx", Tag: "latest"}},
	{"Quay.io/prometheus/busybox:v1", pull.Reference{Registry: "quay.io", Repository: "prometheus/busybox", Tag: "v1"}},
	{"mirror.example/docker.io/library/nginx", pull.Reference{Registry: "mirror.example", Repository: "docker.io/library/nginx", Tag: "latest"}},
	{"LOCAL/a", pull.Reference{Registry: "LOCAL", Repository: "a", Tag: "latest"}},
	{"localhost/a", pull.Reference{Registry: "localhost", Repository: "a", Tag: "latest"}},
	{"localhost:5000/a:b", pull.Reference{Registry: "localhost:5000", Repository: "a", Tag: "b"}},
	{"registry:5000/a", pull.Reference{Registry: "registry:5000", Repository: "a", Tag: "latest"}},
	{"registry/a", pull.Reference{Registry: "docker.io", Repository: "registry/a", Tag: "latest"}},
	{"nginx@" + sum256, pull.Reference{Registry: "docker.io", Repository: "library/nginx", Digest: sum256}},
	{"nginx:1.27@" + sum256, pull.Reference{Registry: "docker.io", Repository: "library/nginx", Tag: "1.27", Digest: sum256}},
	{"nginx@" + sum512, pull.Reference{Registry: "docker.io", Repository: "library/nginx", Digest: sum512}},
	{"192.0.2.1:5000/a", pull.Reference{Registry: "192.0.2.1:5000", Repository: "a", Tag: "latest"}},
	{"[2001:db8::1]:5000/app", pull.Reference{Registry: "[2001:db8::1]:5000", Repository: "app", Tag: "latest"}},
	{"[2001:DB8:0:0::1]/app:1", pull.Reference{Registry: "[2001:db8::1]", Repository: "app", Tag: "1"}},
	{"[:::]:5000/app", pull.Reference{}},
	{"[fe80::1%25eth0]:5000/app", pull.Reference{}},
	{"2001:db8::1/app", pull.Reference{}},
	{"", pull.Reference{}},
	{"/", pull.Reference{}},
	{":", pull.Reference{}},
	{"@", pull.Reference{}},
	{"NGINX", pull.Reference{}},
	{"a b", pull.Reference{}},
	{"nginx:", pull.Reference{}},
	{"nginx@sha256:12", pull.Reference{}},
	{"https://docker.io/nginx", pull.Reference{}},
	{strings.Repeat("a", 256), pull.Reference{}},
	{strings.Repeat("a", 1<<20), pull.Reference{}},
	{sum256, pull.Reference{}},
	{sum256[len("sha256:"):], pull.Reference{}},
}

func TestParseReference(t *testing.T) {
	for _, row := range references {
		got, err := pull.ParseReference(row.text)
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%.100s: %s", row.text, diff)
		}
		if (err != nil) != (row.want == pull.Reference{}) {
			t.Errorf("%.100s: error %v", row.text, err)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, row := range references {
		f.Add(row.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := pull.ParseReference(text)
		if err != nil {
			if r != (pull.Reference{}) {
				t.Fatalf("%+v with %v", r, err)
			}
			return
		}
		if r.Registry == "" || r.Repository == "" || r.Tag+r.Digest == "" {
			t.Fatalf("%+v", r)
		}
		// What was read is in full, so that it reads the same.
		full := r.Registry + "/" + r.Repository
		if r.Tag != "" {
			full += ":" + r.Tag
		}
		if r.Digest != "" {
			full += "@" + r.Digest
		}
		again, err := pull.ParseReference(full)
		if diff := cmp.Diff(r, again); diff != "" || err != nil {
			t.Fatalf("%v %s", err, diff)
		}
	})
}
