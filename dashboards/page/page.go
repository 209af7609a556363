// Package page serves the dashboards to a browser, as Sextant's own page: no Grafana is needed, and nothing is asked of any
// other host.
//
// It shows and never changes: it answers GET alone, SQL comes from the definitions in dashboards, and what a reader chooses
// goes to ClickHouse as bound parameters. It knows no users: whoever reaches its address reads the history, so it listens
// on loopback unless told otherwise.
package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/dashboards"
	"sextant/sinks/clickhouse"
)

//go:embed assets
var assets embed.FS

// file answers with one of the page's files. Which it is stands in its tag: they have no time that could tell.
func file(w http.ResponseWriter, r *http.Request) {
	name := path.Join("assets", r.URL.Path)
	if r.URL.Path == "/" {
		name = "assets/index.html"
	}
	text, err := assets.ReadFile(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(text))))
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}

// Config says what the page shows, and to whom.
type Config struct {
	Store    clickhouse.Config   // where the history is
	Live     prometheus.Gatherer // metrics of this process
	Open     bool                // answers whatever name it is called by: it listens on more than loopback
	Database string              // what to call the history, beside the title
	Range    time.Duration       // stretch of time that a reader sees first; 0 is an hour
	Logger   *slog.Logger
}

const (
	connections  = 3                // to the store, as a page asks for all its panels at once
	patience     = 30 * time.Second // of one question
	maxRows      = 10_000           // of one answer; the queries have limits of their own
	maxText      = 256              // bytes of a chosen value
	maxPoints    = 2_000            // of a chart
	longest      = 3660 * 24 * time.Hour
	latest       = 7_258_118_400_000 // in milliseconds since 1970: the year 2200
	everySample  = 5 * time.Second
	keptSamples  = 720
	maxLiveNames = 100
)

// Page is an http.Handler.
type Page struct {
	cfg     Config
	mux     *http.ServeMux
	dbs     chan *clickhouse.DB // each answers one question at a time
	opened  int                 // how many there are of them
	sampler *sampler
}

// New returns a page that asks nobody until it is asked. Run keeps an eye on the metrics of this process.
func New(cfg Config) (*Page, error) {
	p := &Page{cfg: cfg, mux: http.NewServeMux(), dbs: make(chan *clickhouse.DB, connections), sampler: newSampler(cfg.Live)}
	for range connections {
		db, err := clickhouse.Open(cfg.Store)
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		p.dbs <- db
		p.opened++
	}
	p.mux.HandleFunc("GET /", file)
	p.mux.HandleFunc("GET /api/dashboards", p.dashboards)
	p.mux.HandleFunc("GET /api/options", p.options)
	p.mux.HandleFunc("GET /api/annotations", p.annotations)
	p.mux.HandleFunc("GET /api/panel", p.panel)
	return p, nil
}

// Run looks at the metrics of this process now and then until ctx ends.
func (p *Page) Run(ctx context.Context) error {
	ticker := time.NewTicker(everySample)
	defer ticker.Stop()
	for {
		if err := p.sampler.look(time.Now()); err != nil {
			p.cfg.Logger.Warn("read own metrics for the page", "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Close lets go of the store, once every question is answered.
func (p *Page) Close() error {
	var errs []error
	for range p.opened {
		errs = append(errs, (<-p.dbs).Close())
	}
	return errors.Join(errs...)
}

// ServeHTTP serves the page, its files and its answers.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if !p.cfg.Open && !local(r.Host) {
		// A page of somebody else, whose name leads to a loopback address, must not read the history through a reader's browser.
		refuse(w, http.StatusForbidden, errors.New("this page answers to localhost and to addresses, not to "+r.Host+"; ui.listen on another address than loopback opens it"))
		return
	}
	p.mux.ServeHTTP(w, r)
}

// local reports whether a Host header is that of this machine, or an address, which no name service can redirect.
func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if host == "localhost" {
		return true
	}
	if n := len(host); n > 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// dashboards answers with what there is to draw.
func (p *Page) dashboards(w http.ResponseWriter, _ *http.Request) {
	s := shown{History: p.cfg.Database, Range: rangeText(p.cfg.Range)}
	for _, d := range dashboards.All() {
		s.Dashboards = append(s.Dashboards, show(d))
	}
	for _, a := range dashboards.Annotations {
		s.Annotations = append(s.Annotations, shownAnnotation{a.Name, string(a.Colour)})
	}
	respond(w, s)
}

func respond(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a reader who went away is told nothing
}

func refuse(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}
