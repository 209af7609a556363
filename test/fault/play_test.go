package fault_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sextant/collector/hubble"
	"sextant/collector/hubble/playback"
	"sextant/deploy/demo"
)

// play serves the recorded cluster, whose first flow comes now. A ring holds so many flows.
func play(t *testing.T, speed, ring int) (cluster *playback.Cluster, peers []string) {
	t.Helper()
	var recordings []*hubble.Recording
	for _, name := range demo.Nodes {
		f, err := demo.Files.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := hubble.NewRecording(name, f)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		recordings = append(recordings, r)
	}
	cluster, err := playback.New(recordings, playback.Options{Once: true, Live: true, Speed: speed, Ring: ring})
	if err != nil {
		t.Fatal(err)
	}
	ready, served := make(chan []string, 1), make(chan error, 1)
	go func() { served <- cluster.Serve(t.Context(), func(addrs []string) { ready <- addrs }) }()
	t.Cleanup(func() {
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	select {
	case peers = <-ready:
	case err := <-served:
		t.Fatal(err)
	}
	return cluster, peers
}

// played is a flow that a Hubble has played.
type played struct {
	node string
	at   time.Time
}

// recorder follows each Hubble from the first flow on, undisturbed.
type recorder struct {
	files []string // one a node
	flows map[string]played
	err   chan error
}

// record writes what the Hubbles play into files, until they have played it all.
func record(t *testing.T, cluster *playback.Cluster, peers []string) *recorder {
	t.Helper()
	r := &recorder{flows: map[string]played{}, err: make(chan error, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	responses, ended := make(chan *observerpb.GetFlowsResponse), make(chan error, len(peers))
	for i, addr := range peers {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("node-%d.jsonl", i+1))
		r.files = append(r.files, path)
		go func() { ended <- recordNode(ctx, addr, cluster.Start(), path, responses) }()
	}
	go func() {
		defer cancel()
		for len(r.flows) < cluster.Flows() {
			select {
			case resp := <-responses:
				_, node, _ := strings.Cut(resp.GetNodeName(), "/")
				r.flows[resp.GetFlow().GetUuid()] = played{node, resp.GetTime().AsTime()}
			case err := <-ended:
				r.err <- errors.Join(err, errors.New("a Hubble ended before its recording"))
				return
			}
		}
		cancel()
		var err error
		for range peers {
			err = errors.Join(err, <-ended)
		}
		r.err <- err
	}()
	return r
}

// recordNode writes flows into a file until ctx ends.
func recordNode(ctx context.Context, addr string, since time.Time, path string, responses chan<- *observerpb.GetFlowsResponse) error {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := observerpb.NewObserverClient(conn).GetFlows(ctx, &observerpb.GetFlowsRequest{Follow: true, Since: timestamppb.New(since.Add(-time.Second))})
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	for {
		resp, err := stream.Recv()
		if ctx.Err() != nil {
			return w.Flush()
		}
		if err != nil {
			return err
		}
		line, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(resp)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s\n", line); err != nil {
			return err
		}
		responses <- resp
	}
}
