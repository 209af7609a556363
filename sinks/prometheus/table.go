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

	limit      int
	keys       map[key]*series
	series     map[string]*series // by label values; several keys may share one, where values differ only in what no label shows
	other      *series            // nil until it is needed
	overflowed uint64

	labels                  []string
	clusterLabel, nodeLabel int // positions; -1 where there is no such label
}

type series struct {
	labels []string
	value  float64
	moved  time.Duration // when a row came last, since the sink began
}

// node is whose series they are; its name is empty where that cannot be said.
type node struct{ cluster, name string }

func newTable(name, help string, kind client.ValueType, labels []string, limit int) table {
	return table{
		name: name, desc: client.NewDesc(name, help, labels, nil), kind: kind,
		limit: limit, keys: map[key]*series{}, series: map[string]*series{},
		labels: labels, clusterLabel: slices.Index(labels, "cluster"), nodeLabel: slices.Index(labels, "node"),
	}
}

// open returns the series with the given label values, which are valid.
func (t *table) open(values []string) *series {
	id := strings.Join(values, "\xff") // a byte that no valid text has
	s := t.series[id]
	if s == nil {
		s = &series{labels: values}
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

func (t *table) node(s *series) node {
	var n node
	if t.nodeLabel >= 0 {
		n.name = s.labels[t.nodeLabel]
	}
	if t.clusterLabel >= 0 {
		n.cluster = s.labels[t.clusterLabel]
	}
	return n
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
