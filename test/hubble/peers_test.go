package hubbletest_test

import (
	"context"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	peerpb "github.com/cilium/cilium/api/v1/peer"
	hubbletest "sextant/test/hubble"
)

// notes receives one stream of the peer service until it ends.
type notes struct {
	t   *testing.T
	got chan *peerpb.ChangeNotification
	err error // why got was closed
}

func notify(t *testing.T, conn *grpc.ClientConn) *notes {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := peerpb.NewPeerClient(conn).Notify(ctx, &peerpb.NotifyRequest{}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatalf("notify: %v", err)
	}
	n := &notes{t: t, got: make(chan *peerpb.ChangeNotification, 1000)}
	go func() {
		defer close(n.got)
		for {
			note, err := stream.Recv()
			if err != nil {
				n.err = err
				return
			}
			n.got <- note
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range n.got {
		}
	})
	return n
}

type note struct{ Type, Name, Address, ServerName string }

func (n *notes) want(want ...note) {
	n.t.Helper()
	var got []note
	for range want {
		select {
		case p, ok := <-n.got:
			if !ok {
				n.t.Fatalf("stream ended: %v", n.err)
			}
			got = append(got, note{p.GetType().String(), p.GetName(), p.GetAddress(), p.GetTls().GetServerName()})
		case <-time.After(patience):
			n.t.Fatalf("got %v, then nothing; want %v", got, want)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		n.t.Errorf("-want +got\n%s", diff)
	}
}

func (n *notes) end() error {
	n.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case _, ok := <-n.got:
			if !ok {
				return n.err
			}
		case <-timeout:
			n.t.Fatal("stream does not end")
		}
	}
}

func TestPeers(t *testing.T) {
	peers := hubbletest.NewPeers(hubbletest.PeerOptions{Port: 4244, TLS: true})
	peers.Set("lab/node-1", "127.0.0.1", "2001:db8:a::1")
	peers.Set("lab/node-2.example", "2001:db8:a::2")
	agent := hubbletest.New(t, hubbletest.Options{Peers: peers})
	conn := dial(t, agent.ServeUnix(""), plain)

	node1 := note{"PEER_ADDED", "lab/node-1", "127.0.0.1:4244", "node-1.lab.hubble-grpc.cilium.io"}
	node2 := note{"PEER_ADDED", "lab/node-2.example", "[2001:db8:a::2]:4244", "node-2-example.lab.hubble-grpc.cilium.io"}
	stream := notify(t, conn)
	stream.want(node1, node2)

	peers.Set("lab/node-3", "127.0.0.3")
	peers.Set("lab/node-1", "127.0.0.1", "2001:db8:a::11") // no change to a client
	peers.Set("lab/node-3", "127.0.0.4")
	peers.Delete("lab/node-3")
	node3 := note{"PEER_ADDED", "lab/node-3", "127.0.0.3:4244", "node-3.lab.hubble-grpc.cilium.io"}
	moved, gone := node3, node3
	moved.Type, moved.Address = "PEER_UPDATED", "127.0.0.4:4244"
	gone.Type, gone.Address = "PEER_DELETED", "127.0.0.4:4244"
	stream.want(node3, moved, gone)

	peers.Cut()
	if err := stream.end(); err != io.EOF {
		t.Errorf("got %v, want end of stream", err)
	}
	peers.Set("lab/node-5")
	again := notify(t, conn)
	again.want(node1, node2, note{"PEER_ADDED", "lab/node-5", "", "node-5.lab.hubble-grpc.cilium.io"})
	agent.Kill()
	wantCode(t, again.end(), codes.Unavailable)
}

func TestPeersOfBothFamilies(t *testing.T) {
	peers := hubbletest.NewPeers(hubbletest.PeerOptions{PreferIPv6: true})
	peers.Set("node-1", "127.0.0.1", "2001:db8:a::1")
	agent := hubbletest.New(t, hubbletest.Options{Peers: peers})
	notify(t, dial(t, agent.ServeTCP(""), plain)).want(note{"PEER_ADDED", "node-1", "2001:db8:a::1", ""})
}

func TestNoPeers(t *testing.T) {
	conn := dial(t, hubbletest.New(t, hubbletest.Options{}).ServeUnix(""), plain)
	wantCode(t, notify(t, conn).end(), codes.Unimplemented)
}

// Several agents in one process are told apart by address and share a port, as on
// real nodes.
func TestCluster(t *testing.T) {
	ca := hubbletest.NewCA(t)
	client := ca.Client("*.hubble-relay.cilium.io")
	first := hubbletest.New(t, hubbletest.Options{Node: "lab/node-1"}).ServeMTLS("127.0.0.1:0", ca.Server("node-1.lab.hubble-grpc.cilium.io"))
	_, port, err := net.SplitHostPort(first.Addr())
	if err != nil {
		t.Fatal(err)
	}
	hubbletest.New(t, hubbletest.Options{Node: "lab/node-2"}).ServeMTLS("127.0.0.2:"+port, ca.Server("node-2.lab.hubble-grpc.cilium.io"))

	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	peers := hubbletest.NewPeers(hubbletest.PeerOptions{Port: number, TLS: true})
	peers.Set("lab/node-1", "127.0.0.1")
	peers.Set("lab/node-2", "127.0.0.2")
	stream := notify(t, dial(t, hubbletest.New(t, hubbletest.Options{Peers: peers}).ServeUnix(""), plain))
	for range 2 {
		p := <-stream.got
		conn, err := grpc.NewClient(p.GetAddress(), grpc.WithTransportCredentials(tlsCreds(t, client, client, p.GetTls().GetServerName())))
		if err != nil {
			t.Fatal(err)
		}
		serverStatus(t, conn)
		conn.Close()
	}
}
