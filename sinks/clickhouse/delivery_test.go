package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded"
)

// numbered returns n records that can be told apart, and one gap.
func numbered(in *flow.Interner, n int) *flow.Batch {
	b := &flow.Batch{Gaps: []flow.Gap{{Cause: flow.GapQueueFull, Detail: in.Name("full")}}}
	for i := range n {
		b.Records = append(b.Records, flow.Record{
			Time: at("2026-11-24T00:00:00Z").Add(time.Duration(i) * time.Millisecond), AggregatedFlows: uint32(i),
			UUID: flow.UUID{byte(i), byte(i >> 8), byte(i >> 16), 1}, Node: in.Name(fmt.Sprint("node-", i%100)),
		})
	}
	return b
}

const counts = "SELECT (SELECT count() FROM flows), (SELECT uniqExact(uuid) FROM flows), (SELECT count() FROM gaps)"

func TestRepeatedDelivery(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	s := sink(t, c)
	b := numbered(in, 1000)
	write(t, s, "a", b)
	write(t, s, "a", b)
	write(t, sink(t, c), "a", b) // another process after a crash
	if got, want := query(t, c, counts), "1000\t1000\t1"; got != want {
		t.Errorf("flows, uuids, gaps: %s, want %s", got, want)
	}
	write(t, s, "b", b) // in another delivery
	if got, want := query(t, c, counts), "1000\t1000\t1"; got != want {
		t.Errorf("flows, uuids, gaps: %s, want %s", got, want)
	}
	write(t, s, "c", &flow.Batch{Records: b.Records[1:], Gaps: []flow.Gap{{}}}) // a block of other rows is another
	if got, want := query(t, c, counts), "1999\t1000\t2"; got != want {
		t.Errorf("flows, uuids, gaps: %s, want %s", got, want)
	}
}

func TestMetrics(t *testing.T) {
	in, c, registry := flow.NewInterner(), config(t), prometheus.NewRegistry()
	var log strings.Builder
	s := clickhouse.New(c, slog.New(slog.NewTextHandler(&log, nil)), registry)
	write(t, s, "a", numbered(in, 1000))
	write(t, s, "b", numbered(in, 1000))
	s.Close()
	write(t, s, "c", numbered(in, 1000))
	s.Close()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		switch v := f.GetMetric()[0].GetCounter().GetValue(); f.GetName() {
		case "sextant_clickhouse_connections_total":
			if v != 2 {
				t.Errorf("%v connections, want 2", v)
			}
		case "sextant_clickhouse_sent_bytes_total":
			if v < 3*1000*10 || v > 3*1000*100 {
				t.Errorf("%v bytes for 3,000 rows", v)
			}
		case "sextant_clickhouse_burnt_tokens_total":
			if v != 0 {
				t.Errorf("%v burnt tokens, want none", v)
			}
		default:
			t.Errorf("unexpected metric %s", f.GetName())
		}
	}
	if len(families) != 3 {
		t.Errorf("%d metrics, want 3", len(families))
	}
	if n := strings.Count(log.String(), "schema changed"); n < 9 || !strings.Contains(log.String(), "`"+c.Database+"`.`inventory`") {
		t.Errorf("the log tells of %d new tables:\n%s", n, log.String())
	}
}

// The same pull comes from several collectors, and from one that has started anew. They may know more or less of it, and
// estimate its time; who knows whose it was is believed.
func TestPullShowsOnce(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	pull := func(id byte, when, workload string) flow.Pull {
		return flow.Pull{
			Time: at(when), ID: flow.UUID{id}, Registry: in.Name("registry.example"), Node: in.Name("worker-1"),
			Workload: in.Name(workload), Result: flow.Pulled, Count: 1,
		}
	}
	const before, after = "2026-11-30T23:59:59.999999999Z", "2026-12-01T00:00:00.000000001Z" // of a month's end, and of the partition's
	write(t, sink(t, c), "one", &flow.Batch{Pulls: []flow.Pull{pull(1, after, "web"), pull(2, after, ""), pull(1, after, "web")}})
	write(t, sink(t, c), "other", &flow.Batch{Pulls: []flow.Pull{pull(1, after, ""), pull(2, before, "db"), pull(3, before, "")}})
	write(t, sink(t, c), "started anew", &flow.Batch{Pulls: []flow.Pull{pull(3, before, ""), pull(2, after, ""), pull(1, before, "")}})
	want := "01 web\n02 db\n03 "
	for range 2 {
		if got := query(t, c, "SELECT concat(substring(toString(id), 1, 2), ' ', workload) FROM pulls FINAL ORDER BY id"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		query(t, c, "OPTIMIZE TABLE pulls FINAL")
	}
	if got, want := query(t, c, "SELECT id, count() AS n FROM pulls GROUP BY id, toYYYYMM(time) HAVING n > 1"), ""; got != want {
		t.Errorf("rows of one pull that were not merged: %s", got)
	}
}

// The same use of a limit comes from several collectors. Who knows best which bucket it fills is believed, and of those who
// know the same, one that does not depend on who came first.
func TestChargeShowsOnce(t *testing.T) {
	in := flow.NewInterner()
	charge := func(id byte, evidence flow.BucketEvidence, bucket, workload, when string) flow.Charge {
		return flow.Charge{
			Time: at(when), ID: flow.UUID{id}, Service: in.Name("registry.example"), Evidence: evidence, Bucket: in.Name(bucket),
			Workload: in.Name(workload), Uses: 1,
		}
	}
	const before, after = "2026-11-30T23:59:59.999999999Z", "2026-12-01T00:00:00.000000001Z" // of a day's end, and of the partition's
	other := charge(4, flow.BucketObserved, "a", "web", before)
	other.Service = in.Name("registry.example abuse")
	deliveries := [][]flow.Charge{
		{charge(1, flow.BucketAssumed, "", "web", before), charge(2, flow.BucketInferred, "b", "web", before), charge(3, flow.BucketInferred, "x", "web", before)},
		{charge(1, flow.BucketObserved, "a", "", after), charge(2, flow.BucketInferred, "c", "", before), charge(3, flow.BucketInferred, "y", "web", before)},
		{charge(1, flow.BucketConfirmed, "c", "web", after), charge(4, flow.BucketObserved, "a", "web", before), other},
	}
	answers := map[string]bool{}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 0, 2}} {
		c := config(t)
		for _, i := range order {
			write(t, sink(t, c), fmt.Sprint(i), &flow.Batch{Charges: deliveries[i]})
		}
		for range 2 {
			answers[query(t, c, "SELECT concat(substring(toString(id), 1, 2), ' ', bucket, ' ', service) FROM charges FINAL ORDER BY id, service")] = true
			query(t, c, "OPTIMIZE TABLE charges FINAL")
		}
	}
	for got := range answers {
		if want := "01 a registry.example\n02 b registry.example\n"; !strings.HasPrefix(got, want) || len(answers) != 1 ||
			!strings.HasSuffix(got, "\n04 a registry.example\n04 a registry.example abuse") {
			t.Errorf("%d answers, of which one is\n%s\nwant one, and in it %s", len(answers), got, want)
		}
	}
}

func TestRepeatedPullsAndInventory(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	b := &flow.Batch{}
	for i := range 10 {
		b.Pulls = append(b.Pulls, flow.Pull{Time: at("2026-11-24T00:00:00Z"), ID: flow.UUID{byte(i)}, Node: in.Name("worker-1")})
		b.Items = append(b.Items, flow.Item{Time: at("2026-11-24T00:00:00Z"), Kind: flow.ItemNode, Name: in.Name(fmt.Sprint("worker-", i))})
	}
	const stored = "SELECT (SELECT count() FROM pulls FINAL), (SELECT count() FROM inventory)"
	s := sink(t, c)
	write(t, s, "a", b)
	write(t, s, "a", b)
	write(t, sink(t, c), "a", b)
	if got, want := query(t, c, stored), "10\t10"; got != want {
		t.Errorf("pulls, items: %s, want %s", got, want)
	}
	write(t, s, "b", b)
	if got, want := query(t, c, stored), "10\t10"; got != want {
		t.Errorf("pulls, items: %s, want %s", got, want)
	}
}

func TestGapsAlone(t *testing.T) {
	c := config(t)
	write(t, sink(t, c), "a", &flow.Batch{Gaps: make([]flow.Gap, 3)}, &flow.Batch{})
	if got, want := query(t, c, counts), "0\t0\t3"; got != want {
		t.Errorf("flows, uuids, gaps: %s, want %s", got, want)
	}
}

// A day is a partition, and an insert is atomic in each partition alone: the repetition must fill in what is missing.
func TestDeliveryAcrossMidnight(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	b := numbered(in, 2000)
	for i := range b.Records {
		b.Records[i].Time = at("2026-11-23T23:59:59Z").Add(time.Duration(i) * time.Millisecond)
	}
	s := sink(t, c)
	write(t, s, "a", b)
	write(t, s, "a", b)
	if got, want := query(t, c, "SELECT toDate(time), count() FROM flows GROUP BY 1 ORDER BY 1"), "2026-11-23\t1000\n2026-11-24\t1000"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// lossy is a proxy that breaks connections after so many bytes, or lets no answer through after so many bytes sent.
type lossy struct{ up, down, mute atomic.Int64 }

const endless = 1 << 40

func (l *lossy) set(up, down, mute int64) {
	l.up.Store(up)
	l.down.Store(down)
	l.mute.Store(mute)
}

func (l *lossy) forward(client, server net.Conn) {
	go l.copy(client, server, func(n int64) (int64, bool) {
		if l.mute.Load() <= 0 {
			return 0, false
		}
		return take(&l.down, n)
	})
	l.copy(server, client, func(n int64) (int64, bool) {
		l.mute.Add(-n)
		return take(&l.up, n)
	})
}

func (l *lossy) copy(dst, src net.Conn, pass func(int64) (n int64, last bool)) {
	defer dst.Close()
	defer src.Close()
	buf := make([]byte, 4096)
	for {
		n, err := src.Read(buf)
		passed, last := pass(int64(n))
		if _, err := dst.Write(buf[:passed]); err != nil || last {
			return
		}
		if err != nil {
			return
		}
	}
}

func take(left *atomic.Int64, n int64) (int64, bool) {
	after := left.Add(-n)
	return max(0, n+min(0, after)), after <= 0
}

// revive starts an engine that has died: one of this kind may do so when a client leaves in the middle of a query.
func revive(t *testing.T, server *embedded.Server) {
	t.Helper()
	select {
	case <-server.Done():
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	case <-time.After(100 * time.Millisecond):
	}
}

// The connection breaks after every fifth of what travels in each direction, and when everything was sent and stored but
// the answer got lost: whatever had arrived by then, the next try leaves every row stored once.
func TestConnectionBreaks(t *testing.T) {
	in := flow.NewInterner()
	c, server := own(t)
	b := numbered(in, 5000)
	b.Gaps = nil
	write(t, sink(t, c), "tables", b)
	direct, link := c, new(lossy)
	c.Address = proxy(t, listen(t), c.Address, link.forward)
	deliver := func(ctx context.Context, n int) error {
		s := sink(t, c)
		defer s.Close()
		own := &flow.Batch{Records: slices.Clone(b.Records)}
		for i := range own.Records {
			own.Records[i].ProxyPort = uint16(n)
		}
		return s.Write(ctx, collector.Delivery{Token: fmt.Sprintf("token-%04d", n), Batches: []*flow.Batch{own}})
	}
	check := func(n int) {
		t.Helper()
		link.set(endless, endless, endless)
		for try := 0; ; try++ {
			err := deliver(t.Context(), n)
			if err == nil {
				break
			}
			if try == 10 || errors.Is(err, collector.ErrRejected) {
				t.Fatal(err)
			}
			revive(t, server)
		}
		if got, want := query(t, direct, counts), fmt.Sprintf("%d\t5000\t0", 5000*(n+1)); got != want {
			t.Errorf("delivery %d: flows, uuids, gaps: %s, want %s", n, got, want)
		}
	}
	n := 1
	check(n)
	up, down := endless-link.up.Load(), endless-link.down.Load()

	for fifth := int64(1); fifth < 5; fifth++ {
		for _, limit := range [][2]int64{{up * fifth / 5, endless}, {endless, down * fifth / 5}} {
			n++
			// Not during the login: an engine of this kind never survives that.
			link.set(max(500, limit[0]), max(500, limit[1]), endless)
			if err := deliver(t.Context(), n); err == nil || errors.Is(err, collector.ErrRejected) {
				t.Fatalf("broken after %v: error %v, want one that says to try again", limit, err)
			}
			check(n)
		}
	}

	n++
	link.set(endless, endless, up)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- deliver(ctx, n) }()
	for stored := fmt.Sprint(5000 * (n + 1)); query(t, direct, "SELECT count() FROM flows") != stored; {
		select {
		case err := <-result:
			t.Fatalf("error %v though no answer came", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	check(n)
}

func TestEngineRestarts(t *testing.T) {
	in := flow.NewInterner()
	c, server := own(t)
	s, b := sink(t, c), numbered(in, 1000)
	write(t, s, "a", b)
	server.Kill()
	d := collector.Delivery{Token: "a", Batches: []*flow.Batch{b}}
	if err := s.Write(t.Context(), d); err == nil || errors.Is(err, collector.ErrRejected) {
		t.Errorf("without an engine: error %v, want one that says to try again", err)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, s, "a", b)
	if got, want := query(t, c, counts), "1000\t1000\t1"; got != want {
		t.Errorf("flows, uuids, gaps: %s, want %s", got, want)
	}
}

func TestDroppedTableComesBack(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	s, b := sink(t, c), numbered(in, 10)
	write(t, s, "a", b)
	query(t, c, "DROP TABLE flows SYNC")
	d := collector.Delivery{Token: "b", Batches: []*flow.Batch{b}}
	if err := s.Write(t.Context(), d); err == nil || errors.Is(err, collector.ErrRejected) || !strings.Contains(err.Error(), "flows") {
		t.Errorf("error %v, want one that names the table and says to try again", err)
	}
	write(t, s, "b", b)
	if got, want := query(t, c, counts), "10\t10\t1"; got != want {
		t.Errorf("flows, uuids, gaps: %s, want %s", got, want)
	}
}

func TestRefusedRows(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	s := sink(t, c)
	write(t, s, "a", numbered(in, 1))
	days := &flow.Batch{}
	for i := range 200 {
		days.Records = append(days.Records, flow.Record{Time: at("2026-01-01T00:00:00Z").AddDate(0, 0, i)})
	}
	query(t, c, "ALTER TABLE flows ADD CONSTRAINT few CHECK aggregated_flows < 10")
	for want, b := range map[string]*flow.Batch{"Constraint `few`": numbered(in, 11), "Too many partitions": days} {
		err := s.Write(t.Context(), collector.Delivery{Token: want, Batches: []*flow.Batch{b}})
		if !errors.Is(err, collector.ErrRejected) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want a rejection that says %q", err, want)
		}
	}
	write(t, s, "c", numbered(in, 10))
}

// A server that stops answering holds a delivery up for the time that is set and no longer, and not beyond the end.
func TestSilentServer(t *testing.T) {
	in := flow.NewInterner()
	c, server := own(t)
	var silent atomic.Bool
	c.Address = proxy(t, listen(t), c.Address, func(client, server net.Conn) {
		go io.Copy(server, client)
		buf := make([]byte, 4096)
		for {
			n, err := server.Read(buf)
			if err != nil {
				client.Close()
				return
			}
			if silent.Load() {
				continue
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	deliver := func(connected bool, timeout time.Duration, cancelAfter time.Duration) error {
		revive(t, server)
		silent.Store(false)
		c := c
		c.InsertTimeout = timeout
		s := sink(t, c)
		if connected {
			write(t, s, fmt.Sprint(connected, timeout), numbered(in, 1))
		}
		silent.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		time.AfterFunc(cancelAfter, cancel)
		result := make(chan error)
		go func() {
			result <- s.Write(ctx, collector.Delivery{Token: "b", Batches: []*flow.Batch{numbered(in, 1)}})
		}()
		select {
		case err := <-result:
			return err
		case <-time.After(20 * time.Second):
			t.Fatal("the delivery goes on")
			return nil
		}
	}
	for _, connected := range []bool{true, false} {
		err := deliver(connected, time.Second, time.Minute)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "insert_timeout is 1s") {
			t.Errorf("connected %v: error %v, want one that names insert_timeout", connected, err)
		}
		if err := deliver(connected, time.Minute, 100*time.Millisecond); !errors.Is(err, context.Canceled) {
			t.Errorf("connected %v: error %v, want context.Canceled", connected, err)
		}
	}
}
