package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/collector/hubble/playback"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

// outages are how long the engine stays away after which fault.
var outages = map[int]time.Duration{3: time.Second, 7: 30 * time.Second}

// TestNothingLostOrDoubled plays the recorded cluster through the collector into a real ClickHouse, kills both Hubble
// servers ten times and the engine twice on the way, and compares the identifiers that were stored with the recorded
// ones.
func TestNothingLostOrDoubled(t *testing.T) {
	t.Parallel()
	engine := embeddedtest.Own(t)
	cluster, err := recordedCluster(playback.Options{Once: true})
	if err != nil {
		t.Fatal(err)
	}

	p := newPlant()
	useEngine(&p.clickhouseCfg, engine.State())
	p.clickhouseCfg.StoreUUID = true
	p.clickhouseCfg.TTLFlows = 0
	p.pipelineCfg.DeliveryRows, p.pipelineCfg.DeliveryWait = 1000, 50*time.Millisecond
	a := &app{ctx: t.Context(), logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if err := p.build(a, blueprint{sinks: []string{"clickhouse"}, lossless: true}, nil); err != nil {
		t.Fatal(err)
	}
	defer p.store.Close()

	hubbles := newKillable(t, cluster)
	cfg := hubble.Default()
	cfg.Peers, cfg.HubbleTraffic = hubbles.addrs[0], "include"
	cfg.Since = cluster.Start().Add(-time.Second).Format(time.RFC3339Nano)
	cfg.BatchRows, cfg.BatchWait = 256, 50*time.Millisecond
	client, err := hubble.New(cfg, p.names, a.logger, p.registry)
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.pipeline.Run(ctx, client) }()

	want := int64(cluster.Flows())
	faults := 0
	for deadline := time.Now().Add(6 * time.Minute); p.pipeline.Counts().Flows < want; {
		if time.Now().After(deadline) {
			t.Fatalf("only %d of %d flows arrived", p.pipeline.Counts().Flows, want)
		}
		time.Sleep(20 * time.Millisecond)
		// A fault at every eleventh of the way.
		for faults < 10 && p.pipeline.Counts().Flows > want*int64(faults+1)/11 {
			hubbles.restart(t)
			if away, ok := outages[faults]; ok {
				engine.Kill()
				time.Sleep(away)
				if err := engine.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			faults++
		}
	}
	// Who ends while a node is away does not know what it missed, and says so. A server that was killed a moment ago may
	// not be missed yet.
	for calm := 0; calm < 50; calm++ {
		time.Sleep(20 * time.Millisecond)
		if followed(t, p) != len(hubbles.addrs) {
			calm = 0
		}
	}
	cancel()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if faults < 10 {
		t.Errorf("only %d faults happened", faults)
	}
	db, err := clickhouse.Open(p.clickhouseCfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	compare(t, db, recordedUUIDs(t))
	gaps, err := ask(t.Context(), db, "SELECT * FROM gaps")
	if err != nil {
		t.Fatal(err)
	}
	for _, gap := range gaps {
		t.Errorf("a gap was told, but the rings held everything: %v", gap)
	}
}

// followed returns how many nodes are followed now.
func followed(t *testing.T, p *plant) int {
	t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "sextant_hubble_connected_nodes" {
			return int(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	t.Fatal("no metric tells how many nodes are followed")
	return 0
}

// compare holds the stored identifiers against those that should be there, each once.
func compare(t *testing.T, db *clickhouse.DB, want map[string]int) {
	t.Helper()
	rows, err := ask(t.Context(), db, "SELECT toString(uuid) AS uuid, count() AS n FROM flows GROUP BY uuid")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, r := range rows {
		var n int
		if _, err := fmt.Sscan(fmt.Sprint(r["n"]), &n); err != nil {
			t.Fatal(err)
		}
		got[r["uuid"].(string)] = n
	}
	if maps.Equal(want, got) {
		return
	}
	lost, doubled, foreign := 0, 0, 0
	for id, n := range want {
		switch {
		case got[id] < n:
			lost++
		case got[id] > n:
			doubled++
		}
	}
	for id := range got {
		if want[id] == 0 {
			foreign++
		}
	}
	t.Errorf("of %d flows %d are lost and %d doubled; %d are none of ours", len(want), lost, doubled, foreign)
}

func recordedUUIDs(t *testing.T) map[string]int {
	t.Helper()
	names := flow.NewInterner()
	files := hubble.NewFiles(hubble.FilesConfig{
		Paths: []string{"../../deploy/demo/node-1.jsonl.gz", "../../deploy/demo/node-2.jsonl.gz"}, Strict: true,
		Names: names, Pool: flow.NewPool(1024), Logger: slog.New(slog.DiscardHandler),
	})
	uuids := map[string]int{}
	err := files.Run(t.Context(), func(_ context.Context, b *flow.Batch) error {
		for i := range b.Records {
			uuids[b.Records[i].UUID.String()]++
		}
		b.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return uuids
}

// killable is the recorded cluster's Hubbles, which can be killed and come back at the same addresses.
type killable struct {
	cluster *playback.Cluster
	addrs   []string
	servers []*grpc.Server
	wg      sync.WaitGroup
}

func newKillable(t *testing.T, cluster *playback.Cluster) *killable {
	t.Helper()
	k := &killable{cluster: cluster, addrs: []string{"127.0.0.1:0", "127.0.0.1:0"}}
	k.start(t)
	t.Cleanup(k.kill)
	return k
}

func (k *killable) start(t *testing.T) {
	t.Helper()
	var listeners []net.Listener
	for i, addr := range k.addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		k.addrs[i] = l.Addr().String()
		listeners = append(listeners, l)
	}
	k.servers = k.cluster.Servers(slices.Clone(k.addrs))
	for i, s := range k.servers {
		k.wg.Go(func() { _ = s.Serve(listeners[i]) })
	}
}

func (k *killable) kill() {
	for _, s := range k.servers {
		s.Stop()
	}
	k.wg.Wait()
}

func (k *killable) restart(t *testing.T) {
	t.Helper()
	k.kill()
	k.start(t)
}
