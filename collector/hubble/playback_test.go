package hubble_test

import (
	"context"
	"testing"
	"time"

	"sextant/collector/hubble"
	"sextant/collector/hubble/playback"
)

// What plays recordings is watched like any cluster, from the first flow that its rings have held.
func TestWatchedPlayback(t *testing.T) {
	t.Parallel()
	var recorded []*hubble.Recording
	for _, node := range []string{"node-1", "node-2"} {
		r, err := hubble.OpenRecording("../../deploy/demo/" + node + ".jsonl.gz")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		recorded = append(recorded, r)
	}
	cluster, err := playback.New(recorded, playback.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan []string, 1), make(chan error, 1)
	go func() { done <- cluster.Serve(ctx, func(addrs []string) { ready <- addrs }) }()
	r := startSlicing(t, (<-ready)[0], slice, func(c *hubble.Config) { c.Peers, c.Since = "true", "1h" })
	for _, node := range []string{"node-1", "node-2"} {
		r.waitBeats(node)
		if from, _ := whole(t, r.allBeats(node), nil); from.Sub(cluster.Start()).Abs() > time.Second {
			t.Errorf("%s was watched from %s on, its first flow came at about %s", node, from, cluster.Start())
		}
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(r.allGaps()) > 0 {
		t.Errorf("gaps %s", gapTexts(r.allGaps()))
	}
}
