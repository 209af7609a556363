package inventory_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/enrich/kube"
	"sextant/enrich/kube/inventory"
)

var _ interface {
	collector.Stage
	collector.Flusher
} = (*inventory.Stage)(nil)

// told is a stage, and what it is told.
type told struct {
	*inventory.Stage
	view    kube.View
	ready   bool
	watched bool // so that every view is of now
	reg     *prometheus.Registry
}

func newStage(t *testing.T, cfg inventory.Config) *told {
	s := &told{view: view(t, setups["public_60"]), ready: true, reg: prometheus.NewPedanticRegistry()}
	s.Stage = inventory.New(cfg, func() (kube.View, bool) {
		if s.watched {
			s.view.Time = time.Now()
		}
		return s.view, s.ready
	}, flow.NewInterner(), s.reg)
	return s
}

// flush returns how many rows were told.
func (s *told) flush(end bool) int {
	var b flow.Batch
	s.Flush(&b, end)
	return len(b.Items)
}

// TestStage: the inventory is told as soon as it can be, and then every so often.
func TestStage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, inventory.Default())
		s.watched = true
		rows := len(inventory.Of(flow.NewInterner(), s.view))
		begin := time.Now()
		for _, c := range []struct {
			at    time.Duration
			ready bool
			end   bool
			want  int
		}{
			{0, false, false, 0},
			{time.Second, true, false, rows},
			{2 * time.Second, true, false, 0},
			{5 * time.Minute, true, false, 0},
			{5*time.Minute + time.Second, false, false, 0}, // late, but not gone
			{5*time.Minute + 2*time.Second, true, false, rows},
			{9 * time.Minute, true, true, 0}, // nothing is new
		} {
			time.Sleep(time.Until(begin.Add(c.at)))
			s.ready = c.ready
			s.Process(nil)
			if got := s.flush(c.end); got != c.want {
				t.Errorf("after %s: %d rows, want %d", c.at, got, c.want)
			}
		}
		s.view.Nodes[0].Zone = "another"
		if got := s.flush(true); got != rows {
			t.Errorf("at the end, with something new: %d rows, want %d", got, rows)
		}
		if got := len(s.Items()); got != rows {
			t.Errorf("%d rows are remembered, want %d", got, rows)
		}
	})
}

// TestStageEnd: a replay asks at its end alone.
func TestStageEnd(t *testing.T) {
	t.Parallel()
	s := newStage(t, inventory.Config{Every: time.Minute, MaxRows: 5})
	s.view.Time = time.Time{}
	var b flow.Batch
	b.Items = []flow.Item{{Kind: flow.ItemUnknown}} // of another stage
	s.Flush(&b, true)
	if len(b.Items) != 1+6 || b.Items[1].Kind != flow.ItemNode || time.Since(b.Items[1].Time) > time.Minute {
		t.Errorf("%d rows: %s", len(b.Items), briefs(b.Items))
	}
	for name, want := range map[string]float64{"sextant_inventory_rows": 6, "sextant_inventory_left_out_rows": 6} {
		if got := gauge(t, s.reg, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	s.ready = false
	if got := s.flush(true); got != 0 {
		t.Errorf("%d rows of a cluster that is not known", got)
	}
}

func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// TestNothing: of a cluster of which nothing was told there is nothing to say.
func TestNothing(t *testing.T) {
	t.Parallel()
	if items := inventory.Of(flow.NewInterner(), kube.View{}); len(items) != 0 {
		t.Errorf("%s", briefs(items))
	}
}
