package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/dashboards/page"
)

// TestPage asks the page about the recorded cluster, as a browser does.
func TestPage(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	p, err := page.New(page.Config{Store: stored(t), Live: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(p)
	since, until := recordedWindow(t)
	query := func(path, more string) string {
		return fmt.Sprintf("%s?since=%d&until=%d&step=60&%s", path, since.UnixMilli(), until.UnixMilli(), more)
	}
	type answer struct {
		Columns []struct{ Name, Type string }
		Rows    [][]any
		Error   string
	}
	ask := func(t *testing.T, path, more string) answer {
		t.Helper()
		response, err := http.Get(server.URL + query(path, more))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var a answer
		if err := json.NewDecoder(response.Body).Decode(&a); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s %s: %s %v %s", path, more, response.Status, err, a.Error)
		}
		return a
	}
	first := func(t *testing.T, more string) string {
		t.Helper()
		a := ask(t, "/api/panel", more)
		if len(a.Rows) == 0 {
			return "nothing"
		}
		return fmt.Sprint(a.Rows[0]...)
	}

	for question, want := range map[string]string{
		"dashboard=sextant-standing&panel=10":                                                                       "79.2",
		"dashboard=sextant-standing&panel=12":                                                                       "1961",
		"dashboard=sextant-standing&panel=12&namespace=shop":                                                        "784",
		"dashboard=sextant-standing&panel=12&namespace=" + url.QueryEscape("' OR 1 = 1 --"):                         "0",
		"dashboard=sextant-standing&panel=12&namespace=" + url.QueryEscape(`\`):                                     "0",
		"dashboard=sextant-flows&panel=10&search=" + url.QueryEscape("\x00\t\n"):                                    "0",
		"dashboard=sextant-workload&panel=10&namespace=nobody&workload=nothing":                                     "<nil>",
		"dashboard=sextant-standing&panel=12&limit=1)&since=1&unknown=" + strings.Repeat("x", 5000):                 "1961", // what comes second, and what nobody asked for, is not heard
		"dashboard=sextant-standing&panel=12&cluster=" + url.QueryEscape(strings.Repeat("\xff", 200)) + "&family=x": "0",
	} {
		if got := first(t, question); got != want {
			t.Errorf("%s: %s, not %s", question, got, want)
		}
	}
	share := ask(t, "/api/panel", "dashboard=sextant-standing&panel=20&target=75")
	if i := slices.IndexFunc(share.Columns, func(c struct{ Name, Type string }) bool { return c.Name == "target" }); i < 0 || share.Rows[0][i] != 75.0 {
		t.Errorf("the target that was chosen does not show: %v", share)
	}
	newest := ask(t, "/api/panel", "dashboard=sextant-flows&panel=30")
	if at, err := time.Parse(time.RFC3339, newest.Rows[0][0].(string)); err != nil || at.After(until) || len(newest.Rows) != 200 {
		t.Errorf("%d connections, the newest of %v (%v)", len(newest.Rows), at, err)
	}
	var namespaces []string
	for _, row := range ask(t, "/api/options", "name=namespace").Rows {
		namespaces = append(namespaces, row[0].(string))
	}
	if !slices.Contains(namespaces, "shop") || namespaces[0] != "" {
		t.Errorf("namespaces to choose: %q", namespaces)
	}
	ask(t, "/api/annotations", "name=Gaps")
	ask(t, "/api/annotations", "name=Deployments")

	t.Run("readers who leave", func(t *testing.T) { // the engine, which breaks of answers that nobody reads, lives on
		for range 20 {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", query("/api/panel", "dashboard=sextant-flows&panel=31"))
			time.Sleep(5 * time.Millisecond) // on its way
			conn.Close()
		}
		if got := first(t, "dashboard=sextant-standing&panel=12"); got != "1961" {
			t.Errorf("those who stay are told %s", got)
		}
	})
	server.Close()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if logged.Len() > 0 {
		t.Errorf("logged:\n%s", &logged)
	}
}
