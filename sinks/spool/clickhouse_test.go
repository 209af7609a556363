package spool_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

// A ClickHouse that is killed again and again while rows come, and a collector that starts anew in between, have each row
// once at the end.
func TestClickHouseKilled(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	engine := embeddedtest.Own(t)
	c := clickhouse.Default()
	c.Address, c.TTLFlows, c.StoreUUID = engine.Addr(), 0, true
	inner := func() *clickhouse.Sink {
		return clickhouse.New(c, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	}
	cfg, sink := config(t), inner()
	o := open(t, cfg, sink)
	o.run(t)

	const rows = 500
	number, most := 0, 0
	write := func(n int) {
		for range n {
			o.write(t, fmt.Sprintf("d-%d", number), numbered(o.names, fmt.Sprint("worker-", number%3), number, rows))
			number++
		}
	}
	write(3)
	for round := range 6 {
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
			engine.Kill()
		}()
		write(5)
		<-killed
		write(5)
		n, _ := o.Waiting()
		most = max(most, n)
		if round%2 == 1 {
			o.stop()
			sink.Close()
			sink = inner()
			o = open(t, cfg, sink)
			o.run(t)
			write(2)
		}
		if err := engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		write(1 + r.IntN(20))
	}
	o.drained(t)
	o.stop()
	sink.Close()

	db, err := clickhouse.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	answer, err := db.Query(t.Context(), "SELECT (SELECT count() FROM flows), (SELECT uniqExact(uuid) FROM flows), (SELECT count() FROM gaps)")
	if err != nil {
		t.Fatal(err)
	}
	for row, err := range answer.All() {
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(clickhouse.Text(row[0]), " ", clickhouse.Text(row[1]), " ", clickhouse.Text(row[2]))
		if want := fmt.Sprint(number*rows, " ", number*rows, " 0"); got != want {
			t.Errorf("flows, different ones, gaps: %s, want %s", got, want)
		}
	}
	if most < 5 {
		t.Errorf("at most %d deliveries waited on disk", most)
	}
}
