package page

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"sextant/dashboards"
	"sextant/sinks/clickhouse"
)

// answer is what the browser draws.
type answer struct {
	Columns []answerColumn `json:"columns"`
	Rows    [][]any        `json:"rows"`
	Cut     bool           `json:"cut,omitempty"` // there were more rows
}

type answerColumn struct {
	Name string `json:"name"`
	Type string `json:"type"` // in ClickHouse's words
}

// errAsked is of who asks for what there is not.
var errAsked = errors.New("no such question")

func (p *Page) panel(w http.ResponseWriter, r *http.Request) {
	d, panel, err := find(r.URL.Query())
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	if len(panel.Live) > 0 {
		window, err := windowOf(r.URL.Query())
		if err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		respond(w, p.sampler.answer(d.UID, panel.ID, window))
		return
	}
	p.ask(w, r, panel.SQL, panel.RowLimit())
}

func find(q url.Values) (dashboards.Dashboard, dashboards.Panel, error) {
	d, ok := dashboards.Find(q.Get("dashboard"))
	if !ok {
		return d, dashboards.Panel{}, fmt.Errorf("%w: there is no dashboard %q", errAsked, q.Get("dashboard"))
	}
	for _, panel := range d.Panels() {
		if strconv.Itoa(panel.ID) == q.Get("panel") {
			return d, panel, nil
		}
	}
	return d, dashboards.Panel{}, fmt.Errorf("%w: dashboard %s has no panel %q", errAsked, d.UID, q.Get("panel"))
}

// options answers with the values that a variable may have.
func (p *Page) options(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	i := slices.IndexFunc(dashboards.Variables, func(v dashboards.Variable) bool { return v.Name == name && v.SQL != "" })
	if i < 0 {
		refuse(w, http.StatusNotFound, fmt.Errorf("%w: there is no variable %q with values to choose from", errAsked, name))
		return
	}
	p.ask(w, r, dashboards.Variables[i].SQL, dashboards.DefaultLimit)
}

// annotations answers with what is marked in charts.
func (p *Page) annotations(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	i := slices.IndexFunc(dashboards.Annotations, func(a dashboards.Annotation) bool { return a.Name == name })
	if i < 0 {
		refuse(w, http.StatusNotFound, fmt.Errorf("%w: there are no annotations %q", errAsked, name))
		return
	}
	p.ask(w, r, dashboards.Annotations[i].SQL, dashboards.DefaultLimit)
}

// ask puts a question with the values of a request to the store.
func (p *Page) ask(w http.ResponseWriter, r *http.Request, sql dashboards.SQL, limit int) {
	values, err := valuesOf(r.URL.Query(), sql, limit)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	// A reader who goes away does not end the question: the store would be left with half an answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), patience)
	defer cancel()
	var db *clickhouse.DB
	select {
	case db = <-p.dbs:
	case <-ctx.Done():
		refuse(w, http.StatusServiceUnavailable, errors.New("too many questions at once: this one had no turn"))
		return
	case <-r.Context().Done():
		return
	}
	a, err := fetch(clickhouse.WithParameters(ctx, values), db, string(sql))
	p.dbs <- db // before the answer goes out: a reader may be slow
	switch {
	case err != nil && ctx.Err() != nil:
		refuse(w, http.StatusGatewayTimeout, fmt.Errorf("no answer within %s: choose a shorter time", patience))
	case err != nil:
		refuse(w, http.StatusBadGateway, err)
	default:
		respond(w, a)
	}
}

func fetch(ctx context.Context, db *clickhouse.DB, sql string) (answer, error) {
	rows, err := db.Query(ctx, sql)
	if err != nil {
		return answer{}, err
	}
	a := answer{Rows: [][]any{}}
	for _, c := range rows.Columns {
		a.Columns = append(a.Columns, answerColumn{c.Name, c.Type})
	}
	for row, err := range rows.All() {
		if err != nil {
			return answer{}, err
		}
		if len(a.Rows) == maxRows {
			a.Cut = true // and is read to its end
			continue
		}
		row = slices.Clone(row)
		for i, v := range row {
			row[i] = sendable(v)
		}
		a.Rows = append(a.Rows, row)
	}
	return a, nil
}

// sendable returns a value as JSON can hold it, and a browser read it, without loss.
func sendable(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
	case float32:
		if sendable(float64(v)) == nil {
			return nil
		}
	case uint64:
		if v > exact {
			return strconv.FormatUint(v, 10)
		}
	case int64:
		if v > exact || v < -exact {
			return strconv.FormatInt(v, 10)
		}
	case []any:
		for i := range v {
			v[i] = sendable(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = sendable(v[key])
		}
	}
	return v
}

// exact is up to where whole numbers are, in JavaScript.
const exact = 1 << 53

// window is what stretch of time is looked at.
type window struct {
	since, until time.Time
	step         time.Duration // that one point of a chart stands for
}

// windowOf reads since and until, milliseconds since 1970, and step, seconds.
func windowOf(q url.Values) (window, error) {
	since, errSince := strconv.ParseInt(q.Get("since"), 10, 64)
	until, errUntil := strconv.ParseInt(q.Get("until"), 10, 64)
	step, errStep := strconv.ParseInt(cmp.Or(q.Get("step"), "60"), 10, 32)
	w := window{time.UnixMilli(since), time.UnixMilli(until), time.Duration(step) * time.Second}
	switch {
	case errors.Join(errSince, errUntil) != nil:
		return w, errors.New("since and until: must be milliseconds since 1970")
	case since < 0 || since >= until || until > latest || w.until.Sub(w.since) > longest:
		return w, fmt.Errorf("since: must be before until, by at most %d days", longest/(24*time.Hour))
	case errStep != nil || step < 1 || w.until.Sub(w.since)/w.step > maxPoints:
		return w, fmt.Errorf("step: must be seconds, and at most %d of them in the window", maxPoints)
	}
	return w, nil
}

// valuesOf returns a value for each parameter of a query.
func valuesOf(q url.Values, sql dashboards.SQL, limit int) (map[string]string, error) {
	w, err := windowOf(q)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, name := range sql.Params() {
		switch name {
		case "since":
			values[name] = clickhouse.TimeParameter(w.since)
		case "until":
			values[name] = clickhouse.TimeParameter(w.until)
		case "step":
			values[name] = strconv.Itoa(int(w.step / time.Second))
		case "limit":
			values[name] = strconv.Itoa(limit)
		default:
			if values[name], err = chosen(q, name); err != nil {
				return nil, err
			}
		}
	}
	return values, nil
}

// chosen returns the value of a variable, its default where none was chosen.
func chosen(q url.Values, name string) (string, error) {
	i := slices.IndexFunc(dashboards.Variables, func(v dashboards.Variable) bool { return v.Name == name })
	if i < 0 {
		return "", fmt.Errorf("%s: no such variable", name)
	}
	v := dashboards.Variables[i]
	value := q.Get(name)
	if !q.Has(name) {
		value = v.Default
	}
	switch {
	case len(value) > maxText:
		return "", fmt.Errorf("%s: must be at most %d bytes", name, maxText)
	case v.Choices != nil && !slices.Contains(v.Choices, value):
		return "", fmt.Errorf("%s: must be one of %q", name, v.Choices)
	}
	return value, nil
}
