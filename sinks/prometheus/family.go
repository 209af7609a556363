package prometheus

import (
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
)

// How many labels of a metric may be names, and how many words: a key is compared with each row.
const (
	maxNames = 6
	maxWords = 8
)

// key is what tells series apart while counting: the rows' own handles and enums, so that no text is touched. A key holds
// its handles, therefore an equal name always comes with an equal handle.
type key struct {
	names [maxNames]flow.Name // of the labels that are names, in their order
	words [maxWords]uint16    // of the others
}

// family is a metric and its series.
type family[R any] struct {
	table
	metric *Metric[R]
	fields []*flow.Field[R] // of the labels
}

func newFamily[R any](m *Metric[R], fields []flow.Field[R], limit int) *family[R] {
	labels, err := m.Fields(fields)
	if err != nil {
		panic(err) // the tables are constant
	}
	kind := client.CounterValue
	if m.Set != nil {
		kind = client.GaugeValue
	}
	f := &family[R]{metric: m, fields: labels, table: newTable(m.Declare(), kind, limit)}
	if m.Observe != nil {
		f.histogram = newHistogram(m.Declare(), m.Buckets)
	}
	return f
}

// newHistogram returns a histogram that shows native buckets, a tenth apart, to who can read them, and others to the rest.
func newHistogram(d Declaration, buckets []float64) *client.HistogramVec {
	return client.NewHistogramVec(client.HistogramOpts{
		Name: d.Name, Help: d.Help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}, d.Labels)
}

func (f *family[R]) countLocked(rows []R, now time.Duration) {
	for i := range rows {
		f.takeLocked(&rows[i], now)
	}
}

func (f *family[R]) takeLocked(row *R, now time.Duration) {
	m := f.metric
	if m.Where != nil && !m.Where(row) {
		return
	}
	switch {
	case m.Add != nil:
		s := f.at(row)
		s.value += m.Add(row)
		s.moved = now
	case m.Observe != nil:
		s := f.at(row)
		s.observer.Observe(m.Observe(row))
		s.moved = now
	default:
		if v, ok := m.Set(row); ok {
			s := f.at(row)
			s.value = v
			s.moved = now
		}
	}
}

// sumLocked adds what the row would set a gauge to.
func (f *family[R]) sumLocked(row *R) {
	if v, ok := f.metric.Set(row); ok {
		f.at(row).value += v
	}
}

func (f *family[R]) at(row *R) *series {
	var k key
	names, words := 0, 0
	for _, field := range f.fields {
		if field.Enum != nil {
			k.words[words] = field.Enum(row)
			words++
		} else {
			k.names[names] = field.Str(row)
			names++
		}
	}
	if s := f.keys[k]; s != nil {
		return s
	}
	if len(f.keys) >= f.limit {
		f.overflowed++
		return f.overflow()
	}
	s := f.open(f.values(&k))
	f.keys[k] = s
	return s
}

func (f *family[R]) values(k *key) []string {
	values := make([]string, len(f.fields))
	names, words := k.names[:], k.words[:]
	for i, field := range f.fields {
		if field.Enum == nil {
			values[i], names = labelValue(names[0].String()), names[1:]
			continue
		}
		w := int(words[0])
		if w >= len(field.Words) {
			w = 0
		}
		values[i], words = field.Words[w], words[1:]
	}
	return values
}
