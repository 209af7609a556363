package inventory

import (
	"reflect"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// Names of the metrics, for whoever asks for them.
const (
	MetricRows        = "sextant_inventory_rows"
	MetricLeftOutRows = "sextant_inventory_left_out_rows"
)

// Stage tells the inventory now and then, as a stage of the pipeline that looks at no flow.
type Stage struct {
	cfg   Config
	view  func() (kube.View, bool)
	names *flow.Interner

	rows    prometheus.Gauge
	leftOut prometheus.Gauge

	mu    sync.Mutex
	told  time.Time // when, by the clock here; zero before the first time
	items []flow.Item
}

// New returns a stage. The view's second value is false while not everything was told that is going to be: an inventory of
// half a cluster would find a lot.
func New(cfg Config, view func() (kube.View, bool), names *flow.Interner, registry prometheus.Registerer) *Stage {
	s := &Stage{
		cfg: cfg, view: view, names: names,
		rows: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: MetricRows,
			Help: "Rows of the latest inventory.",
		}),
		leftOut: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: MetricLeftOutRows,
			Help: "Rows that the latest inventory left out, as max_rows allows no more.",
		}),
	}
	registry.MustRegister(s.rows, s.leftOut)
	return s
}

// Process does nothing: what a cluster has does not follow from its flows.
func (s *Stage) Process(*flow.Batch) {}

// Flush appends the inventory to b when it is due: as soon as there is a view, then every so often whether or not it
// changed, and at the end if it did.
func (s *Stage) Flush(b *flow.Batch, end bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !end && !s.told.IsZero() && now.Sub(s.told) < s.cfg.Every {
		return
	}
	v, ok := s.view()
	if !ok {
		return
	}
	if v.Time.IsZero() {
		v.Time = now.UTC()
	}
	items, left := s.cfg.of(s.names, v)
	if end && !s.told.IsZero() && same(items, s.items) {
		return
	}
	s.told, s.items = now, items
	s.rows.Set(float64(len(items)))
	s.leftOut.Set(float64(left))
	b.Items = append(b.Items, items...)
}

// Items returns the inventory that was told last, which must not be changed.
func (s *Stage) Items() []flow.Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.items
}

// same reports whether two inventories differ in nothing but their time.
func same(a, b []flow.Item) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		one := a[i]
		one.Time = b[i].Time
		if !reflect.DeepEqual(one, b[i]) {
			return false
		}
	}
	return true
}
