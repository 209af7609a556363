package page_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/dashboards"
	"sextant/dashboards/page"
	"sextant/sinks/clickhouse"
)

// answer is what a question is answered with.
type answer struct {
	Columns []struct{ Name, Type string }
	Rows    [][]any
	Error   string
}

// inert returns a page whose store nobody answers for.
func inert(t *testing.T, registry prometheus.Gatherer) *page.Page {
	t.Helper()
	return over(t, page.Config{Live: registry})
}

func over(t *testing.T, cfg page.Config) *page.Page {
	t.Helper()
	if cfg.Live == nil {
		cfg.Live = prometheus.NewRegistry()
	}
	if cfg.Store.Address == "" {
		cfg.Store = clickhouse.Default()
		cfg.Store.Address = "127.0.0.1:1"
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	p, err := page.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func get[T any](t *testing.T, p *page.Page, path string, values url.Values) T {
	t.Helper()
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path+"?"+values.Encode(), nil))
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: %d %v\n%s", path, w.Code, err, w.Body)
	}
	return v
}

const window = "since=1000000&until=2000000&step=10"

// TestRefused asks what nobody may ask, and what cannot be answered: none of it reaches the store, which would be a 502.
func TestRefused(t *testing.T) {
	p := inert(t, nil)
	standing := "/api/panel?dashboard=sextant-standing&panel="
	for _, c := range []struct {
		name, method, target, host string
		status                     int
		says                       string
	}{
		{"no such dashboard", "GET", "/api/panel?dashboard=x&panel=1&" + window, "localhost", 404, `there is no dashboard "x"`},
		{"no such panel", "GET", standing + "999&" + window, "localhost", 404, `no panel "999"`},
		{"panel that is no number", "GET", standing + "01&" + window, "localhost", 404, "no panel"},
		{"no such variable", "GET", "/api/options?name=x&" + window, "localhost", 404, "no variable"},
		{"variable without values", "GET", "/api/options?name=search&" + window, "localhost", 404, "no variable"},
		{"no such annotations", "GET", "/api/annotations?name=x&" + window, "localhost", 404, "no annotations"},
		{"no time", "GET", standing + "1", "localhost", 400, "since and until"},
		{"times that are none", "GET", standing + "1&since=now&until=then", "localhost", 400, "since and until"},
		{"backwards", "GET", standing + "1&since=2000&until=1000", "localhost", 400, "must be before until"},
		{"before 1970", "GET", standing + "1&since=-1&until=1000", "localhost", 400, "must be before until"},
		{"beyond what a store can hold", "GET", standing + "1&since=9000000000000000000&until=9000000000000001000", "localhost", 400, "must be before until"},
		{"longer than ever", "GET", standing + "1&since=0&until=999999999999", "localhost", 400, "at most 3660 days"},
		{"no step", "GET", standing + "1&since=0&until=1000&step=0", "localhost", 400, "step"},
		{"negative step", "GET", standing + "1&since=0&until=1000&step=-9223372036", "localhost", 400, "step"},
		{"too many points", "GET", standing + "1&since=0&until=86400000&step=1", "localhost", 400, "step"},
		{"a live panel, too", "GET", "/api/panel?dashboard=sextant-itself&panel=10", "localhost", 400, "since and until"},
		{"long value", "GET", standing + "10&" + window + "&namespace=" + strings.Repeat("x", 257), "localhost", 400, "namespace: must be at most 256 bytes"},
		{"value that is no choice", "GET", standing + "20&" + window + "&target=1)", "localhost", 400, "target: must be one of"},
		{"POST", "POST", standing + "1&" + window, "localhost", 405, ""},
		{"DELETE", "DELETE", "/", "localhost", 405, ""},
		{"name of somebody else", "GET", "/api/dashboards", "rebound.example", 403, "not to rebound.example"},
		{"name with a port", "GET", "/", "rebound.example:9647", 403, "not to rebound.example:9647"},
		{"name that begins alike", "GET", "/", "localhost.rebound.example", 403, "not to"},
		{"no name", "GET", "/", "", 403, "not to"},
		{"no such file", "GET", "/page.go", "localhost", 404, ""},
		{"folder", "GET", "/uplot/", "localhost", 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, c.target, nil)
			r.Host = c.host
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), strings.ReplaceAll(c.says, `"`, `\"`)) {
				t.Errorf("%d %.200s, not %d with %q", w.Code, w.Body, c.status, c.says)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	closed, opened := inert(t, nil), over(t, page.Config{Open: true})
	for _, c := range []struct {
		host         string
		closed, open int
	}{
		{"localhost", 200, 200},
		{"localhost:9647", 200, 200},
		{"127.0.0.1:9647", 200, 200},
		{"[::1]:9647", 200, 200},
		{"[::1]", 200, 200},
		{"192.0.2.1:80", 200, 200}, // an address leads nowhere else
		{"sextant.example", 403, 200},
		{"[::1", 403, 200},
	} {
		for p, want := range map[*page.Page]int{closed: c.closed, opened: c.open} {
			r := httptest.NewRequest("GET", "/api/dashboards", nil)
			r.Host = c.host
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s: %d, not %d", c.host, w.Code, want)
			}
		}
	}
}

// TestPolicy sees to it that a browser loads from here alone, and that no file asks for more than the policy allows.
func TestPolicy(t *testing.T) {
	p := inert(t, nil)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/", nil))
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, ":") {
		t.Errorf("policy %q", policy)
	}
	if !strings.Contains(w.Body.String(), "<main") {
		t.Errorf("no page: %s", w.Body)
	}
	markup := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|<[a-z]+[^>]* (style|on[a-z]+)=`)
	elsewhere := regexp.MustCompile(`["'(]\s*(https?:)?//`)
	err := fs.WalkDir(os.DirFS("assets"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(path, "uplot/") {
			return err
		}
		text, err := os.ReadFile("assets/" + path)
		if found := markup.Find(text); found != nil {
			t.Errorf("%s has %s: what flows say must stay text", path, found)
		}
		text = bytes.ReplaceAll(text, []byte(`xmlns="http://www.w3.org/2000/svg"`), nil) // a name, which nobody asks for
		if found := elsewhere.Find(text); found != nil {
			t.Errorf("%s leads elsewhere: %s", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUplot holds the vendored files to the sums that stand beside them.
func TestUplot(t *testing.T) {
	sums, err := os.ReadFile("assets/uplot/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for line := range strings.Lines(string(sums)) {
		sum, file, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if strings.HasPrefix(line, "#") || !ok {
			continue
		}
		text, err := os.ReadFile("assets/uplot/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(text); hex.EncodeToString(got[:]) != sum {
			t.Errorf("%s is not what the package holds", file)
		}
		named++
	}
	files, err := os.ReadDir("assets/uplot")
	if err != nil {
		t.Fatal(err)
	}
	if named != len(files)-1 {
		t.Errorf("%d of %d files have a sum", named, len(files)-1)
	}
}

// TestDashboards is what the page is told of: all panels, and no SQL.
func TestDashboards(t *testing.T) {
	type told struct {
		History, Range string
		Dashboards     []struct {
			UID       string
			Rows      []struct{ Panels []struct{ ID int } }
			Variables []struct{ Name string }
		}
		Annotations []struct{ Name string }
	}
	for _, c := range []struct {
		first time.Duration
		want  string
	}{{0, "1h"}, {5 * time.Minute, "5m"}, {48 * time.Hour, "2d"}, {90 * time.Second, "90s"}, {time.Millisecond, "1s"}} {
		got := get[told](t, over(t, page.Config{Range: c.first, Database: "history"}), "/api/dashboards", nil)
		if got.Range != c.want || got.History != "history" || len(got.Annotations) != len(dashboards.Annotations) || len(got.Dashboards) != len(dashboards.All()) {
			t.Errorf("%+v", got)
		}
		for i, d := range dashboards.All() {
			panels := 0
			for _, row := range got.Dashboards[i].Rows {
				panels += len(row.Panels)
			}
			if got.Dashboards[i].UID != d.UID || panels != len(d.Panels()) || len(got.Dashboards[i].Variables) != len(d.Variables()) {
				t.Errorf("%s is told as %+v", d.UID, got.Dashboards[i])
			}
		}
	}
	w := httptest.NewRecorder()
	inert(t, nil).ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/api/dashboards", nil))
	if strings.Contains(w.Body.String(), "SELECT") {
		t.Error("the page is told queries: it must not need them")
	}
}

// TestStoreIsAway says so to the reader.
func TestStoreIsAway(t *testing.T) {
	w := httptest.NewRecorder()
	inert(t, nil).ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/api/panel?dashboard=sextant-standing&panel=1&"+window, nil))
	if w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "clickhouse.address") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestClose waits for questions that are being answered.
func TestClose(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	store := clickhouse.Default()
	store.Address = mute.Addr().String()
	p, err := page.New(page.Config{Store: store, Live: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	answered, closed := make(chan int, 1), make(chan error, 1)
	go func() {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/api/panel?dashboard=sextant-standing&panel=1&"+window, nil))
		answered <- w.Code
	}()
	asked, err := mute.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() { closed <- p.Close() }()
	select {
	case err := <-closed:
		t.Errorf("it closed while a question was open (%v)", err)
	case <-time.After(50 * time.Millisecond):
	}
	_ = mute.Close() // no second try
	_ = asked.(*net.TCPConn).SetLinger(0)
	_ = asked.Close()
	if code := <-answered; code != http.StatusBadGateway {
		t.Errorf("the question was answered with %d", code)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestFiles are read again only when they change.
func TestFiles(t *testing.T) {
	p := inert(t, nil)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/uplot/uPlot.esm.js", nil))
	tag := w.Header().Get("ETag")
	if n, _ := io.Copy(io.Discard, w.Body); n < 10_000 || tag == "" || !strings.Contains(w.Header().Get("Content-Type"), "javascript") {
		t.Fatalf("%d bytes, %v", n, w.Header())
	}
	r := httptest.NewRequest("GET", "http://localhost/uplot/uPlot.esm.js", nil)
	r.Header.Set("If-None-Match", tag)
	w = httptest.NewRecorder()
	p.ServeHTTP(w, r)
	if w.Code != http.StatusNotModified {
		t.Errorf("asked again: %d", w.Code)
	}
}
