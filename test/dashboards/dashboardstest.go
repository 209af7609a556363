// Package dashboardstest holds what is needed to check dashboards and alerts with what will read them: the schemas of
// Grafana's own SDK, and Prometheus' engine on virtual time. It is a module of its own, because Prometheus brings a hundred
// modules along that the product does not need.
package dashboardstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
)

// Prometheus scrapes one exporter over HTTP, evaluates rules, and answers queries, all at a time that the test gives.
type Prometheus struct {
	Registry *client.Registry // what is scraped

	t       testing.TB
	server  *httptest.Server
	storage *teststorage.TestStorage
	engine  *promql.Engine
	parser  parser.Parser
	groups  []*rules.Group
	fired   map[string]Fired
}

// Fired is an alert that was given.
type Fired struct{ Labels, Annotations map[string]string }

// New returns a Prometheus with the rules of the given files' texts, in this order.
func New(t testing.TB, files ...[]byte) *Prometheus {
	t.Helper()
	p := &Prometheus{Registry: client.NewRegistry(), t: t, parser: parser.NewParser(parser.Options{}), fired: map[string]Fired{}}
	p.server = httptest.NewServer(promhttp.HandlerFor(p.Registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	t.Cleanup(p.server.Close)
	p.storage = teststorage.New(t)
	p.engine = promql.NewEngine(promql.EngineOpts{MaxSamples: 5e6, Timeout: time.Minute, EnableAtModifier: true, Parser: p.parser})
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(p.engine, p.storage), AppendableV2: p.storage, Queryable: p.storage,
		Context: t.Context(), Logger: slog.New(slog.DiscardHandler), Parser: p.parser,
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
	})
	for i, text := range files {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("rules-%d.yaml", i))
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, path)
		if len(errs) > 0 {
			t.Fatal(errors.Join(errs...))
		}
		for _, g := range groups {
			for _, r := range g.AlertingRules() {
				r.SetRestored(true) // there is nothing to restore; before that no series ALERTS are stored
			}
			p.groups = append(p.groups, g)
		}
	}
	return p
}

// Tick scrapes and evaluates the rules at a time.
func (p *Prometheus) Tick(now time.Time) {
	p.t.Helper()
	p.scrape(now)
	for _, g := range p.groups {
		g.Eval(p.t.Context(), now)
		for _, r := range g.Rules() {
			if err := r.LastError(); err != nil {
				p.t.Fatalf("rule %s: %v", r.Name(), err)
			}
		}
		for _, r := range g.AlertingRules() {
			for _, a := range r.ActiveAlerts() {
				if a.State == rules.StateFiring {
					p.fired[r.Name()] = Fired{a.Labels.Map(), a.Annotations.Map()}
				}
			}
		}
	}
}

// Fired returns the alerts that were given so far, by name: of each the one that was given last.
func (p *Prometheus) Fired() map[string]Fired { return p.fired }

// Forget forgets what was given so far.
func (p *Prometheus) Forget() { clear(p.fired) }

func (p *Prometheus) scrape(now time.Time) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.server.URL, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		p.t.Fatalf("scrape: %s %v\n%s", answer.Status, err, page)
	}
	if err := p.Store(page, now); err != nil {
		p.t.Fatal(err)
	}
}

// Store takes a page of metrics as if it had been scraped then.
func (p *Prometheus) Store(page []byte, now time.Time) error {
	reader, err := textparse.New(page, "text/plain; version=0.0.4", labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return fmt.Errorf("read page of metrics: %w", err)
	}
	appender := p.storage.AppenderV2(p.t.Context())
	for {
		entry, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return appender.Commit()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read page of metrics: %w", err), appender.Rollback())
		}
		if entry != textparse.EntrySeries {
			continue
		}
		_, _, value := reader.Series()
		var series labels.Labels
		reader.Labels(&series)
		b := labels.NewBuilder(series)
		b.Set("job", "sextant").Set("instance", "sextant-0")
		if _, err := appender.Append(0, b.Labels(), 0, now.UnixMilli(), value, nil, nil, storage.AOptions{}); err != nil {
			return errors.Join(fmt.Errorf("store %s: %w", series, err), appender.Rollback())
		}
	}
}

// Range asks for a stretch of time and returns how many points the answer has.
func (p *Prometheus) Range(expr string, from, to time.Time, step time.Duration) (int, error) {
	q, err := p.engine.NewRangeQuery(p.t.Context(), p.storage, nil, expr, from, to, step)
	if err != nil {
		return 0, err
	}
	defer q.Close()
	result := q.Exec(p.t.Context())
	if result.Err != nil {
		return 0, result.Err
	}
	matrix, err := result.Matrix()
	if err != nil {
		return 0, err
	}
	points := 0
	for _, series := range matrix {
		points += len(series.Floats) + len(series.Histograms)
	}
	return points, nil
}

// At asks for one moment.
func (p *Prometheus) At(expr string, now time.Time) (promql.Vector, error) {
	q, err := p.engine.NewInstantQuery(p.t.Context(), p.storage, nil, expr, now)
	if err != nil {
		return nil, err
	}
	defer q.Close()
	result := q.Exec(p.t.Context())
	if result.Err != nil {
		return nil, result.Err
	}
	return result.Vector()
}

// Parse returns the parsed expression.
func Parse(expr string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(expr)
}
