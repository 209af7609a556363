package dashboardstest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/prometheus"
)

const shipped = "../../dashboards/generated/prometheus"

// program returns a program of Debian's.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("there is no %s: run test/tools/debian.sh prometheus prometheus-alertmanager", name)
	}
	return path
}

// TestPromtool lets Debian's promtool (2.42) read the shipped rules.
func TestPromtool(t *testing.T) {
	for _, file := range []string{"recording.yaml", "alerts.yaml"} {
		out, err := exec.CommandContext(t.Context(), program(t, "promtool"), "check", "rules", "--lint=all", "--lint-fatal", filepath.Join(shipped, file)).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "SUCCESS") {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

// TestDelivery lets Debian's Prometheus and Alertmanager load the shipped rules, scrape the real sink, and deliver an alert
// that is guarded by completeness to a webhook. Only how often rules are evaluated is another.
func TestDelivery(t *testing.T) {
	registry := client.NewRegistry()
	sink := prometheus.New(prometheus.Default(), registry)
	registry.MustRegister(alive())
	exporter := loopback(t, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	delivered := make(chan message, 100)
	webhook := loopback(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case delivered <- m:
		default:
		}
	}))

	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, file := range []string{"recording.yaml", "alerts.yaml"} {
		text, err := os.ReadFile(filepath.Join(shipped, file))
		if err != nil {
			t.Fatal(err)
		}
		write(file, strings.ReplaceAll(string(text), "interval: 1m\n", "interval: 1s\n"))
	}
	manager, server := free(t), free(t)
	start(t, "prometheus-alertmanager", "--config.file="+write("alertmanager.yaml", fmt.Sprintf(`route:
  receiver: hook
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
receivers:
  - name: hook
    webhook_configs: [{url: %q}]
`, webhook)), "--storage.path="+filepath.Join(dir, "alertmanager"), "--web.listen-address="+manager, "--cluster.listen-address=")
	start(t, "prometheus", "--config.file="+write("prometheus.yaml", fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s/recording.yaml, %s/alerts.yaml]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs: [{job_name: sextant, static_configs: [{targets: [%q]}]}]
`, dir, dir, manager, strings.TrimPrefix(exporter, "http://"))), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+server)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := time.Now(); ; {
		now := time.Now()
		b := &flow.Batch{Beats: []flow.Beat{{Cluster: name("lab"), Node: name("node-1"), From: last, To: now}}}
		refused(1, true)(0, now, b)
		last = now
		if err := sink.Write(ctx, collector.Delivery{Batches: []*flow.Batch{b}}); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-delivered:
			for _, a := range m.Alerts {
				if a.Labels["alertname"] == "SextantRateLimited" && a.Status == "firing" {
					if a.Labels["service"] != "registry-1.docker.io" || a.Labels["severity"] != "critical" || a.Annotations["summary"] != "registry-1.docker.io refuses this cluster" {
						t.Errorf("delivered: %+v", a)
					}
					return
				}
			}
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("nothing was delivered: %s", ask(t, server))
		}
	}
}

// message is what Alertmanager posts to a webhook.
type message struct {
	Alerts []struct {
		Status      string
		Labels      map[string]string
		Annotations map[string]string
	}
}

// loopback serves on IPv6's loopback and returns the URL.
func loopback(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// free returns an address on IPv6's loopback on which nobody listens just now.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func start(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(program(t, name), args...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, log.String())
		}
	})
}

// ask returns what Prometheus says of its alerts, for who has to find out why nothing came.
func ask(t *testing.T, server string) string {
	t.Helper()
	u := url.URL{Scheme: "http", Host: server, Path: "/api/v1/rules"}
	answer, err := http.Get(u.String()) //nolint:noctx // the test ends here
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	text := make([]byte, 20_000)
	n, _ := answer.Body.Read(text)
	return string(text[:n])
}
