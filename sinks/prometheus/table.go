package prometheus

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	client "github.com/prometheus/client_golang/prometheus"
)

const (
	// other is the value of all labels of the series that counts for those which found no room.
	other = "~other"

	// maxValue bounds a label value in bytes: the longest name Kubernetes allows a node.
	maxValue = 253
)

// table holds the series of one family.
type table struct {
	name string
	desc *client.Desc
	kind client.ValueType

	histogram *client.HistogramVec // holds the numbers in place of the series, where it is one

	limit      int
	keys       map[key]*series
	series     map[string]*series // by label values; several keys may share one, where values differ only in what no label shows
	other      *series            // nil until it is needed
	overflowed uint64

	labels []string
	at     struct{ cluster, node, namespace, workload int } // of these labels; -1 where there is no such label
}

type series struct {
	labels   []string
	value    float64
	observer client.Observer // of a histogram
	moved    time.Duration   // when a row came last, since the sink began
}

// owner is whose series they are: a node's, a workload's or a namespace's. It is zero where that cannot be said.
type owner struct {
	kind                    ownerKind
	cluster, name, workload string
}

type ownerKind uint8

const (
	nobody ownerKind = iota
	aNode
	aNamespace
	aWorkload
)

func newTable(d Declaration, kind client.ValueType, limit int) table {
	t := table{
		name: d.Name, desc: client.NewDesc(d.Name, d.Help, d.Labels, nil), kind: kind,
		limit: limit, keys: map[key]*series{}, series: map[string]*series{}, labels: d.Labels,
	}
	t.at.cluster, t.at.node = slices.Index(d.Labels, LabelCluster), slices.Index(d.Labels, LabelNode)
	t.at.namespace, t.at.workload = slices.Index(d.Labels, LabelNamespace), slices.Index(d.Labels, LabelWorkload)
	return t
}

// open returns the series with the given label values, which are valid.
func (t *table) open(values []string) *series {
	id := strings.Join(values, "\xff") // a byte that no valid text has
	s := t.series[id]
	if s == nil {
		s = &series{labels: values}
		if t.histogram != nil {
			s.observer = t.histogram.WithLabelValues(values...)
		}
		t.series[id] = s
	}
	return s
}

func (t *table) overflow() *series {
	if t.other == nil {
		t.other = t.open(slices.Repeat([]string{other}, len(t.labels)))
	}
	return t.other
}

func (t *table) owner(s *series) owner {
	value := func(at int) string {
		if at < 0 {
			return ""
		}
		return s.labels[at]
	}
	o := owner{cluster: value(t.at.cluster), name: value(t.at.node)}
	switch {
	case s == t.other:
		return owner{}
	case o.name != "":
		o.kind = aNode
		return o
	}
	if o.name = value(t.at.namespace); o.name == "" {
		return owner{}
	}
	if t.at.workload < 0 {
		o.kind = aNamespace
		return o
	}
	o.kind, o.workload = aWorkload, value(t.at.workload)
	return o
}

// clearLocked removes all series. What found no room stays counted.
func (t *table) clearLocked() {
	clear(t.keys)
	clear(t.series)
	t.other = nil
}

func (t *table) forgetLocked(dead func(*series) bool) {
	for k, s := range t.keys {
		if dead(s) {
			delete(t.keys, k)
		}
	}
	for id, s := range t.series {
		if dead(s) {
			delete(t.series, id)
			if t.histogram != nil {
				t.histogram.DeleteLabelValues(s.labels...)
			}
		}
	}
}

// labelValue makes a name that came from outside fit for a page of metrics: valid UTF-8, and of bounded length.
func labelValue(name string) string {
	if len(name) <= maxValue && utf8.ValidString(name) {
		return name
	}
	name = strings.ToValidUTF8(name, "\ufffd")
	if len(name) > maxValue {
		name = strings.Clone(strings.ToValidUTF8(name[:maxValue], "")) // not half a character, and not the rest's memory
	}
	return name
}
