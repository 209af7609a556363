package live_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
	"sextant/enrich/kube"
	"sextant/enrich/kube/live"
)

// What a real API server does is tested against a real one (test/kube). Here is what none would do.

// badServer answers as its mode says: an API server that speaks JSON alone, streams no lists and has nothing but pods, or
// something worse.
type badServer struct {
	mode    atomic.Pointer[string]
	watches atomic.Int32
}

func (s *badServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	say := func(code int, kind, text string) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		fmt.Fprint(w, text)
	}
	status := func(code int, reason string) {
		say(code, "application/json", fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"told so"}`, reason, code))
	}
	watching := r.URL.Query().Get("watch") != ""
	switch mode := *s.mode.Load(); {
	case r.URL.Path != "/api/v1/pods":
		status(404, "NotFound")
	case mode == "500":
		say(500, "text/plain", "no")
	case mode == "401":
		status(401, "Unauthorized")
	case mode == "login page":
		say(200, "text/html", "<html>who are you?</html>")
	case r.URL.Query().Get("sendInitialEvents") != "":
		status(422, "Invalid")
	case mode == "garbage":
		say(200, "application/vnd.kubernetes.protobuf", "k8s\x00\xff\xff\xff\xff\xff")
	case watching && mode == "garbage later":
		say(200, "application/vnd.kubernetes.protobuf;stream=watch", "\x00\x00\x00\x02\x07\x00")
	case watching && mode == "gone" && s.watches.Add(1) == 1:
		say(200, "application/json", `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410,"message":"too old"}}`)
	case watching:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	default:
		pod := fmt.Sprintf("p%d", s.watches.Load())
		say(200, "application/json", fmt.Sprintf(`{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[{"metadata":{"namespace":"a","name":%q}}]}`, pod))
	}
}

func (s *badServer) be(mode string) { s.mode.Store(&mode) }

func kubeconfig(t *testing.T, cluster string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a, user: {token: t}}]\nclusters: [{name: a, cluster: {" + cluster + "}}]\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func start(t *testing.T, cluster string) (*live.Watcher, *kube.Store) {
	t.Helper()
	cfg := live.Default()
	cfg.Kubeconfig = kubeconfig(t, cluster)
	logger := slog.New(slog.DiscardHandler)
	store := kube.NewStore(kube.Config{}, flow.NewInterner(), logger)
	w := live.New(cfg, store, logger, prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w, store
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 30s", what)
		}
	}
}

func pods(w *live.Watcher) live.Feature { return w.Features()[0] }

func TestBadServers(t *testing.T) {
	for mode, want := range map[string]string{
		"500":           "",
		"401":           "the API server does not know who asks",
		"login page":    "",
		"garbage":       "",
		"garbage later": "unable to decode an event from the watch stream",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			api := &badServer{}
			api.be(mode)
			server := httptest.NewServer(api)
			t.Cleanup(server.Close)
			w, store := start(t, "server: "+server.URL)
			until(t, "broken", func() bool {
				f := pods(w)
				return f.State == live.StateBroken && strings.Contains(f.Err.Error(), want)
			})
			if w.Synced() {
				t.Error("synced, though broken")
			}
			api.be("good")
			until(t, "good", func() bool { return pods(w).State == live.StateOn && len(store.View().Pods) == 1 })
		})
	}
}

// A watch that has expired is followed by a new list.
func TestExpired(t *testing.T) {
	api := &badServer{}
	api.be("gone")
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	_, store := start(t, "server: "+server.URL)
	until(t, "listed anew", func() bool { v := store.View(); return len(v.Pods) == 1 && v.Pods[0].Name != "p0" })
}

func TestUntrusted(t *testing.T) {
	server := httptest.NewUnstartedServer(&badServer{})
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.StartTLS()
	t.Cleanup(server.Close)
	w, _ := start(t, "server: "+server.URL)
	until(t, "broken", func() bool { return pods(w).State == live.StateBroken })
	if f := pods(w); !strings.Contains(f.Remedy, "certificate-authority") {
		t.Errorf("remedy %q of %v", f.Remedy, f.Err)
	}
	if err := w.Ready(); err == nil || strings.Count(err.Error(), "\n") > 1 {
		t.Errorf("every watch says it: %v", err)
	}
}

// A configuration that cannot be used is an error at once.
func TestUnusable(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	there := kubeconfig(t, `server: "https://[::1]:1"`)
	for want, cfg := range map[string]live.Config{
		"does not run in a cluster: give --kubeconfig FILE": {},
		"no such file or directory":                         {Kubeconfig: there + "x"},
		`has no context "b": it has a`:                      {Kubeconfig: there, Context: "b"},
		"unable to load root certificates":                  {Kubeconfig: kubeconfig(t, `server: "https://[::1]:1", certificate-authority-data: eA==`)},
	} {
		logger := slog.New(slog.DiscardHandler)
		w := live.New(cfg, kube.NewStore(kube.Config{}, flow.NewInterner(), logger), logger, prometheus.NewRegistry())
		err := w.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "kubernetes") {
			t.Errorf("%v, want %q", err, want)
		}
		if f := pods(w); f.State != live.StateBroken || f.Err == nil {
			t.Errorf("%+v", f)
		}
	}
}
