package page

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"sextant/dashboards"
)

// sampler remembers what panels ask of the metrics of this process, as nobody else may have looked at them.
type sampler struct {
	from   prometheus.Gatherer
	series map[string][]*liveSeries // by metric

	mu    sync.Mutex
	times []time.Time // of the samples, the oldest first
}

// liveSeries is one dashboards.Series and its samples.
type liveSeries struct {
	dashboards.Series
	dashboard string
	panel     int
	index     int                 // among the panel's
	samples   []map[string]sample // beside sampler.times, by what tells the lines apart
}

// sample is a value, or the buckets of a histogram.
type sample struct {
	value  float64
	counts map[float64]float64 // by upper bound, cumulative
}

func newSampler(from prometheus.Gatherer) *sampler {
	s := &sampler{from: from, series: map[string][]*liveSeries{}}
	for _, d := range dashboards.All() {
		for _, p := range d.Panels() {
			for i, l := range p.Live {
				s.series[l.Metric] = append(s.series[l.Metric], &liveSeries{Series: l, dashboard: d.UID, panel: p.ID, index: i})
			}
		}
	}
	return s
}

// look takes a sample of every series.
func (s *sampler) look(now time.Time) error {
	families, err := s.from.Gather()
	byName := map[string]*dto.MetricFamily{}
	for _, f := range families {
		byName[f.GetName()] = f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	drop := 0
	if len(s.times) == keptSamples {
		drop = 1
	}
	s.times = append(s.times[drop:], now)
	for metric, list := range s.series {
		for _, l := range list {
			l.samples = append(l.samples[min(drop, len(l.samples)):], l.take(byName[metric]))
		}
	}
	return err
}

// take adds up a family's metrics line by line.
func (l *liveSeries) take(f *dto.MetricFamily) map[string]sample {
	lines := map[string]sample{}
	for _, m := range f.GetMetric() {
		name := l.name(m)
		have, ok := lines[name]
		if !ok && len(lines) == maxLiveNames {
			continue
		}
		if l.Quantile > 0 {
			if have.counts == nil {
				have.counts = map[float64]float64{math.Inf(1): 0}
			}
			for _, b := range m.GetHistogram().GetBucket() {
				have.counts[b.GetUpperBound()] += float64(b.GetCumulativeCount())
			}
			have.counts[math.Inf(1)] += float64(m.GetHistogram().GetSampleCount())
		}
		v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue() // one of them is there
		if l.Largest && ok {
			have.value = max(have.value, v)
		} else {
			have.value += v
		}
		lines[name] = have
	}
	return lines
}

// name returns the legend of a metric's line.
func (l *liveSeries) name(m *dto.Metric) string {
	name := l.Legend
	for _, by := range l.By {
		value := ""
		if i := slices.IndexFunc(m.Label, func(p *dto.LabelPair) bool { return p.GetName() == by }); i >= 0 {
			value = m.Label[i].GetValue()
		}
		name = strings.ReplaceAll(name, "{{"+by+"}}", value)
	}
	return name
}

// answer returns the lines of a panel as a query would.
func (s *sampler) answer(dashboard string, panel int, w window) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := answer{Columns: []answerColumn{{"time", "DateTime64(3, 'UTC')"}, {"name", "String"}, {"value", "Float64"}}, Rows: [][]any{}}
	for _, list := range s.series {
		for _, l := range list {
			if l.dashboard == dashboard && l.panel == panel {
				a.Rows = l.draw(a.Rows, s.times, w)
			}
		}
	}
	slices.SortFunc(a.Rows, func(x, y []any) int {
		return cmp.Or(strings.Compare(x[0].(string), y[0].(string)), strings.Compare(x[1].(string), y[1].(string)))
	})
	return a
}

func (l *liveSeries) draw(rows [][]any, times []time.Time, w window) [][]any {
	offset := len(times) - len(l.samples)
	for i, now := range l.samples {
		at := times[offset+i]
		if at.Before(w.since) || at.After(w.until) {
			continue
		}
		for name, v := range now {
			value := v.value
			if l.Rate || l.Quantile > 0 {
				if i == 0 {
					continue // growth needs two
				}
				before := l.samples[i-1][name]
				if l.Quantile > 0 {
					value = quantile(l.Quantile, v.counts, before.counts)
				} else {
					value = growth(v.value, before.value) / at.Sub(times[offset+i-1]).Seconds()
				}
			}
			if !math.IsNaN(value) {
				rows = append(rows, []any{at.UTC().Format("2006-01-02T15:04:05.000Z"), name, value})
			}
		}
	}
	return rows
}

// growth is by how much a counter grew, which began anew if it is less than before.
func growth(now, before float64) float64 {
	if now < before {
		return now
	}
	return now - before
}

// quantile estimates one of what was counted between two samples of a histogram, as Prometheus's histogram_quantile does: by
// a straight line within a bucket. It is not a number where nothing was counted.
func quantile(q float64, now, before map[float64]float64) float64 {
	var bounds []float64
	for b := range now {
		bounds = append(bounds, b)
	}
	slices.Sort(bounds)
	grown := func(b float64) float64 { return now[b] - before[b] }
	rank := q * grown(math.Inf(1))
	if rank <= 0 {
		return math.NaN()
	}
	lower, below := 0.0, 0.0
	for _, b := range bounds {
		if n := grown(b); n >= rank {
			if math.IsInf(b, 1) {
				return lower
			}
			return lower + (b-lower)*(rank-below)/(n-below)
		}
		lower, below = b, grown(b)
	}
	return lower
}
