package prometheus

import (
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
)

const maxLabels = 8

// key is what tells series apart while counting: the rows' own handles and enums, so that no text is touched. A key holds
// its handles, therefore an equal name always comes with an equal handle.
type key struct {
	names [maxLabels]flow.Name
	words [maxLabels]uint16
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
	return &family[R]{metric: m, fields: labels, table: newTable(m.Name, m.Help, kind, m.Labels, limit)}
}

func (f *family[R]) countLocked(rows []R, now time.Duration) {
	for i := range rows {
		row := &rows[i]
		if f.metric.Add != nil {
			s := f.at(row)
			s.value += f.metric.Add(row)
			s.moved = now
		} else if v, ok := f.metric.Set(row); ok {
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
	for i, field := range f.fields {
		if field.Enum != nil {
			k.words[i] = field.Enum(row)
		} else {
			k.names[i] = field.Str(row)
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
	for i, field := range f.fields {
		if field.Enum == nil {
			values[i] = labelValue(k.names[i].String())
		} else if w := int(k.words[i]); w < len(field.Words) {
			values[i] = field.Words[w]
		} else {
			values[i] = field.Words[0]
		}
	}
	return values
}
