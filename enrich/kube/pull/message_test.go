package pull_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sextant/enrich/kube"
)

// Messages as people pasted them into issues, and as the kubelet's source has them.
var messages = []struct{ reason, message, want string }{
	{"Pulling", `Pulling image "nginx"`, "unknown docker.io library/nginx:latest"},
	{"Pulling", `pulling image "hjacobs/kube-ops-view:0.8.1"`, "unknown docker.io hjacobs/kube-ops-view:0.8.1"},
	{"Pulling", `(combined from similar events): Pulling image "nginx"`, "unknown docker.io library/nginx:latest"},
	{"Pulling", `Pulling something else`, ""},

	{"Pulled", `Successfully pulled image "docker.io/library/fedora:32"`, "pulled docker.io library/fedora:32"},
	{"Pulled", `Successfully pulled image "busybox:latest" in 7.7143107s`, "pulled docker.io library/busybox:latest 7714ms"},
	{"Pulled", `Successfully pulled image "docker.m.daocloud.io/library/ubuntu:20.04" in 2m7.876426944s`, "pulled docker.m.daocloud.io library/ubuntu:20.04 127876ms"},
	{"Pulled", `Successfully pulled image "alpine" in 1.466729067s (3m53.352084967s including waiting)`, "pulled docker.io library/alpine:latest 1466ms 231885ms waiting"},
	{"Pulled", `Successfully pulled image "registry.k8s.io/echoserver:1.4" in 7.46s (7.46s including waiting)`, "pulled registry.k8s.io echoserver:1.4 7460ms 0ms waiting"},
	{"Pulled", `Successfully pulled image "zabbix/zabbix-web-nginx-pgsql:latest" in 717ms (718ms including waiting). Image size: 78005565 bytes.`, "pulled docker.io zabbix/zabbix-web-nginx-pgsql:latest 717ms 1ms waiting 78005565B"},
	{"Pulled", `Successfully pulled image "mongo" in 1m43.249s (1m43.249s including waiting). Image size: 950089143 bytes.`, "pulled docker.io library/mongo:latest 103249ms 0ms waiting 950089143B"},
	{"Pulled", `Successfully pulled image "nginx" in 1s (1s including waiting). Image size: 0 bytes.`, "pulled docker.io library/nginx:latest 1000ms 0ms waiting"},
	{"Pulled", `(combined from similar events): Successfully pulled image "nginx" in 300ms (300ms including waiting). Image size: 5 bytes.`, "pulled docker.io library/nginx:latest 300ms 0ms waiting 5B"},
	{"Pulled", `Successfully pulled image "nginx" in -3s (1s including waiting). Image size: -5 bytes.`, "pulled docker.io library/nginx:latest"},
	{"Pulled", `Successfully pulled image "nginx" in 9s (1s including waiting). Image size: 99999999999999999999 bytes.`, "pulled docker.io library/nginx:latest 9000ms"},
	{"Pulled", `Successfully pulled image "nginx" in a wink`, "pulled docker.io library/nginx:latest"},
	{"Pulled", `Successfully pulled image nginx in 1s`, ""},
	{"Pulled", `Container image "busybox:1.36" already present on machine`, "present docker.io library/busybox:1.36"},
	{"Pulled", `Container image "postgres:15-alpine" already present on machine and can be accessed by the pod`, "present docker.io library/postgres:15-alpine"},
	{"Pulled", `Container image "busybox:1.36" is somewhere`, ""},

	{"ErrImageNeverPull", `Container image "nginx" is not present with pull policy of Never`, ""},
	{"InspectFailed", `Failed to apply default image tag "NGINX": couldn't parse image name "NGINX": invalid reference format`, ""},
	{"InspectFailed", `Failed to inspect image "nginx": rpc error: code = Unknown desc = no such thing`, ""},
	{"BackOff", `Back-off pulling image "nginx"`, ""},
	{"BackOff", `Back-off restarting failed container web in pod web-0_shop(1-2)`, ""},
	{"Failed", `Error: ErrImagePull`, ""},
	{"Failed", `Error: ImagePullBackOff`, ""},
	{"Failed", `(combined from similar events): Error: ImagePullBackOff`, ""},
	{"Failed", `Error: couldn't find key user.name in ConfigMap default/user-configmap`, ""},
	{"Failed", `Failed to pull image "a.b.c/image-0.1": pull QPS exceeded`, ""},
	{"Created", `Created container: web`, ""},
	{"FailedPullImage", `Failed to pull image "nginx": x`, "failed docker.io library/nginx:latest"},
	{"Failed", `(combined from similar events): Failed to pull image "nginx": x`, "failed docker.io library/nginx:latest"},
	{"Failed", `Failed to pull image "nginx"`, "failed docker.io library/nginx:latest"},

	{"Pulled", `Successfully pulled image "index.docker.io/jaegertracing/all-in-one@sha256:8d0bff43db3ce5c528cb6f957520511d263d7cceee012696e4afdc9087919bb9" in 1s`, "pulled docker.io jaegertracing/all-in-one@sha256:8d0 1000ms"},
	{"Pulled", `Successfully pulled image "Not An Image" in 1s`, "pulled - - 1000ms"},
	{"Pulled", `Successfully pulled image "\"nginx\"" in 1s`, "pulled - - 1000ms"},
	{"Pulled", `Container image "sha256:8d0bff43db3ce5c528cb6f957520511d263d7cceee012696e4afdc9087919bb9" already present on machine`, "present - -"},
}

func TestMessages(t *testing.T) {
	for _, row := range messages {
		r := newRig()
		r.Add(noon, event(row.reason, row.message))
		got := ""
		for _, p := range r.flush(true) {
			got += text(p)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s: %s\n%s", row.reason, row.message, diff)
		}
	}
}

// A message in words that are not known shows as such, so that a new kubelet's cannot go unnoticed.
func TestMessagesAreCounted(t *testing.T) {
	r := newRig()
	for _, row := range messages {
		r.Add(noon, event(row.reason, row.message))
	}
	other := event("Pulling", `Pulling image "nginx"`)
	other.InvolvedObject.Kind = "Knative"
	r.Add(noon, other)
	undated := event("Pulling", `Pulling image "nginx"`)
	undated.FirstTimestamp, undated.LastTimestamp = undated.EventTime, undated.EventTime
	r.Add(noon, undated)

	got := map[string]float64{}
	for _, step := range []string{"begun", "pulled", "present", "failed", "held", "unread", "other"} {
		got[step] = r.metric(t, "sextant_pull_events_total", step)
	}
	want := map[string]float64{"begun": 3, "pulled": 15, "present": 3, "failed": 3, "held": 1, "unread": 4, "other": 11}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Whoever may run pods chooses what the kubelet quotes, and a registry what it answers.
func TestHostileMessages(t *testing.T) {
	long := strings.Repeat("я\x00\u202e\n<b>'; DROP TABLE pulls --", 64<<10/40)
	for _, message := range []string{
		`Failed to pull image "nginx": ` + long,
		`Failed to pull image "` + long + `": not found`,
		`Failed to pull image "` + strings.Repeat("a", 64<<10) + `": not found`,
		`Failed to pull image "` + strings.Repeat(`\n`, 4000) + `": not found`,
		`Failed to pull image "nginx": ` + strings.Repeat("я", 64<<10),
		`Failed to pull image "nginx": ` + "\xff\xfe\xfd",
		`Failed to pull image "nginx": ` + strings.Repeat("(Mirrors also failed: [", 10000),
		long,
	} {
		r := newRig()
		e := event("Failed", message)
		e.InvolvedObject.Namespace, e.InvolvedObject.Name, e.Source.Host = long, long, long
		r.Add(noon, e)
		for _, p := range r.flush(true) {
			for _, name := range []string{p.Detail.Get(), p.Namespace.Get(), p.Pod.Get(), p.Node.Get(), p.Registry.Get()} {
				if len(name) > 512 || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%d bytes: %.100q", len(name), name)
				}
			}
		}
	}
}

func TestDetail(t *testing.T) {
	for _, row := range []struct{ message, want string }{
		{`Failed to pull image "nginx": rpc error:` + "\n\tcode = Unknown ", "rpc error:  code = Unknown"},
		{`Failed to pull image "Not An Image": what?`, `"Not An Image" is no reference: what?`},
		{`Failed to pull image "a\u202eb": what?`, `"a b" is no reference: what?`},
	} {
		r := newRig()
		r.Add(noon, event("Failed", row.message))
		for _, p := range r.flush(true) {
			if diff := cmp.Diff(row.want, p.Detail.Get()); diff != "" {
				t.Error(diff)
			}
		}
		if len(r.pulls) != 1 {
			t.Errorf("%d pulls", len(r.pulls))
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, row := range messages {
		f.Add(row.reason, row.message)
	}
	for _, row := range refusals {
		f.Add("Failed", `Failed to pull image "`+row.image+`": `+row.why)
	}
	f.Fuzz(func(t *testing.T, reason, message string) {
		r := newRig()
		for range 2 {
			r.Add(noon, event(reason, message, func(e *kube.Event) { e.Source.Host = message }))
		}
		pulls := r.flush(true)
		if len(pulls) > 1 {
			t.Fatalf("one event, %d pulls", len(pulls))
		}
		for _, p := range pulls {
			for _, name := range []string{p.Detail.Get(), p.Node.Get(), p.Registry.Get(), p.Repository.Get(), p.Tag.Get(), p.Digest.Get()} {
				if len(name) > 512 || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("%d bytes: %.100q", len(name), name)
				}
			}
			if p.Registry.IsZero() && p.Detail.IsZero() {
				t.Error("neither a registry nor why there is none")
			}
		}
	})
}
