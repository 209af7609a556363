package collector_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector"
	"sextant/collector/flow"
)

// teller is a stage that tells of two pulls, three things of the inventory, a heartbeat, a charge and two buckets whenever it is asked.
type teller struct{ r *rig }

func (teller) Process(*flow.Batch) {}

func (s teller) Flush(b *flow.Batch, _ bool) {
	other := s.r.others()
	b.Pulls, b.Items = append(b.Pulls, other.Pulls...), append(b.Items, other.Items...)
	b.Beats = append(b.Beats, other.Beats...)
	b.Charges, b.Buckets = append(b.Charges, other.Charges...), append(b.Buckets, other.Buckets...)
}

// others returns a batch of two pulls by node a at 1 and 2, three things of the inventory at 3, a heartbeat of node a,
// a charge of it at 2, and two buckets at 3.
func (r *rig) others() *flow.Batch {
	a := r.names.Name("a")
	b := r.batch()
	b.Pulls = append(b.Pulls, flow.Pull{Time: at(1), Node: a}, flow.Pull{Time: at(2), Node: a})
	for _, kind := range []flow.ItemKind{flow.ItemNode, flow.ItemService, flow.ItemNodePrefix} {
		b.Items = append(b.Items, flow.Item{Time: at(3), Kind: kind, Node: a})
	}
	b.Beats = append(b.Beats, flow.Beat{From: at(0), To: at(99), Node: a})
	b.Charges = append(b.Charges, flow.Charge{Time: at(2), Node: a})
	b.Buckets = append(b.Buckets, flow.Bucket{Time: at(3)}, flow.Bucket{Time: at(3)})
	return b
}

// Pulls, inventory, heartbeats, charges and buckets reach the sinks though no flow comes with them.
func TestOthersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{name: "s"}
		r := newRig(t, output(s))
		r.Tick, r.Stages = time.Minute, []collector.Stage{teller{r}}
		p := collector.New(r.Config)
		err := p.Run(t.Context(), source(func(context.Context, collector.Emit) error {
			time.Sleep(90 * time.Second)
			return nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		once := collector.Counts{Pulls: 2, Items: 3, Beats: 1, Charges: 1, Buckets: 2}
		if diff := cmp.Diff([]collector.Counts{once, once}, s.kinds); diff != "" { // at the minute and at the end
			t.Error(diff)
		}
		if got, want := p.Counts(), (collector.Counts{Pulls: 4, Items: 6, Beats: 2, Charges: 2, Buckets: 4}); got != want || got.Rows() != 18 {
			t.Errorf("%d rows were counted: %+v, want %+v", got.Rows(), got, want)
		}
		r.account(s, 18, 0, 0, 0)
		if pulls, items := r.value("sextant_collector_pulls_total"), r.value("sextant_collector_inventory_items_total"); pulls != 4 || items != 6 {
			t.Errorf("%v pulls and %v items counted", pulls, items)
		}
		if beats := r.value("sextant_collector_heartbeats_total"); beats != 2 {
			t.Errorf("%v heartbeats counted", beats)
		}
		if charges, buckets := r.value("sextant_collector_charges_total"), r.value("sextant_collector_buckets_total"); charges != 2 || buckets != 4 {
			t.Errorf("%v charges and %v buckets counted", charges, buckets)
		}
	})
}

// Every row takes room in a queue, and one that finds none is counted and told, whatever its kind. An item's node is not
// where something was missed, and a lost heartbeat is no gap: without it the time counts as not watched.
func TestLostRowsOfEveryKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closed := make(gate)
		s := &sink{name: "s", before: closed.before}
		r := newRig(t, output(s))
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			full := r.others()
			for range 3 {
				full.Items = append(full.Items, full.Items...) // 2 pulls and 24 items
			}
			all := r.others()
			all.Records = append(all.Records, flow.Record{Time: at(9), Node: r.names.Name("a")})
			all.Connections = append(all.Connections, flow.Connection{First: at(5), Last: at(8), Node: r.names.Name("a")})
			if err := emits(full, all)(ctx, emit); err != nil {
				return err
			}
			close(closed)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		s.holdsGaps(t, r.lost("", 3, 3, 5), r.lost("a", 1, 9, 5))
		r.account(s, 30+2, 11, 0, 0)
	})
}

func TestRejectedRowsOfEveryKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &sink{name: "s"}
		s.before = func(_ context.Context, d collector.Delivery) error {
			if d.Counts().Pulls > 0 {
				return collector.ErrRejected
			}
			return nil
		}
		r := newRig(t, output(s))
		r.Logger = slog.New(slog.NewTextHandler(&log, nil))
		err := r.run(func(ctx context.Context, emit collector.Emit) error {
			if err := emit(ctx, r.others()); err != nil {
				return err
			}
			time.Sleep(time.Minute)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(s.gaps) != 2 || s.gaps[0].Count.N+s.gaps[1].Count.N != 8 || s.gaps[0].Cause != flow.GapRejected {
			t.Errorf("gaps are %s", printed(s.gaps))
		}
		r.account(s, 2, 0, 9, 0)
		if want := "rows.flows=0 rows.connections=0 rows.gaps=0 rows.pulls=2 rows.inventory=3 rows.heartbeats=1 rows.charges=1 rows.buckets=2"; !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	})
}
