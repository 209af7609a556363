// Package playback is a Hubble that plays recordings: one gRPC server a recorded node, each with the real Observer and
// Peer services, so that whatever follows a live cluster can follow this one. Times are shifted so that the recording
// ends now, and then it is played again and again, as fast as it was recorded, each time with new UUIDs.
//
// It refuses what a client of flows does not need: agent and debug events, filters on anything but Hubble's own ports,
// field masks. It is for the demo and for tests, not for measuring Hubble.
package playback

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	peerpb "github.com/cilium/cilium/api/v1/peer"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sextant/collector/hubble"
)

// Cluster plays the recordings of a cluster's nodes.
type Cluster struct {
	nodes []*node
	start time.Time     // when the first pass begins, shifted
	first time.Time     // when the recording began
	span  time.Duration // one pass, as it is played
	speed time.Duration // how many times faster than recorded
	ring  int           // most flows that a node holds; 0 is all
	once  bool
}

// Options is how a cluster plays.
type Options struct {
	Once  bool // the recording is played a single time and lies in the past from the start
	Live  bool // the first flow comes now, and not a pass ago: also one that is played once comes as time goes by
	Speed int  // how many times faster than recorded; 0 is as recorded
	Ring  int  // how many flows a node holds for who comes late; 0 is all
}

// New reads the recordings, one a node. It serves nothing yet.
func New(recordings []*hubble.Recording, opts Options) (*Cluster, error) {
	c := &Cluster{once: opts.Once, speed: time.Duration(max(1, opts.Speed)), ring: opts.Ring}
	var last time.Time
	for _, r := range recordings {
		n := &node{cluster: c}
		if err := n.read(r); err != nil {
			return nil, err
		}
		if len(n.flows) == 0 {
			return nil, errors.New("a recording holds no flows")
		}
		c.nodes = append(c.nodes, n)
		if begin := n.flows[0].time; c.first.IsZero() || begin.Before(c.first) {
			c.first = begin
		}
		if end := n.flows[len(n.flows)-1].time; end.After(last) {
			last = end
		}
	}
	c.span = (last.Sub(c.first) + time.Second) / c.speed // with a breath between two passes
	c.start = time.Now()
	if !opts.Live {
		c.start = c.start.Add(-c.span)
	}
	return c, nil
}

// Flows returns how many flows one pass has.
func (c *Cluster) Flows() int {
	total := 0
	for _, n := range c.nodes {
		total += len(n.flows)
	}
	return total
}

// Start returns the time of the first flow, as it is played.
func (c *Cluster) Start() time.Time { return c.start }

// Span returns how long one pass takes.
func (c *Cluster) Span() time.Duration { return c.span }

// Serve serves every node on a loopback port of its own until ctx ends. It calls ready with the addresses, one a node;
// the first is as good as any for the Peer service.
func (c *Cluster) Serve(ctx context.Context, ready func(addrs []string)) error {
	var listeners []net.Listener
	var addrs []string
	for range c.nodes {
		l, err := listenLoopback()
		if err != nil {
			for _, l := range listeners {
				l.Close()
			}
			return err
		}
		listeners = append(listeners, l)
		addrs = append(addrs, l.Addr().String())
	}
	var wg sync.WaitGroup
	errs := make([]error, len(c.nodes))
	for i, server := range c.Servers(addrs) {
		wg.Go(func() { errs[i] = server.Serve(listeners[i]) })
		context.AfterFunc(ctx, server.Stop)
	}
	ready(addrs)
	wg.Wait()
	return errors.Join(errs...)
}

// Servers returns a gRPC server a node, which is to serve at the address of the same index: the Peer service announces
// these.
func (c *Cluster) Servers(addrs []string) []*grpc.Server {
	servers := make([]*grpc.Server, 0, len(c.nodes))
	for i, n := range c.nodes {
		if n.addr != addrs[i] { // a handler of an earlier server may still read it
			n.addr = addrs[i]
		}
		server := grpc.NewServer()
		observerpb.RegisterObserverServer(server, n)
		peerpb.RegisterPeerServer(server, n)
		servers = append(servers, server)
	}
	return servers
}

// listenLoopback prefers IPv6, as its users do.
func listenLoopback() (net.Listener, error) {
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		return l, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	return l, nil
}

// node is one node's Hubble.
type node struct {
	observerpb.UnimplementedObserverServer
	peerpb.UnimplementedPeerServer
	cluster *Cluster
	name    string
	addr    string
	flows   []recorded
}

type recorded struct {
	time time.Time
	raw  []byte // a GetFlowsResponse
}

func (n *node) read(r *hubble.Recording) error {
	for {
		msg, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var resp observerpb.GetFlowsResponse
		if err := proto.Unmarshal(msg.Raw, &resp); err != nil {
			return err
		}
		if resp.GetFlow() == nil {
			continue
		}
		n.name = resp.GetNodeName()
		n.flows = append(n.flows, recorded{msg.Time, msg.Raw})
	}
}

// The flows a node will ever have are numbered from 0: flow i of pass p is number p*len(flows)+i.

// time returns the time at which a flow is played.
func (n *node) time(number int) time.Time {
	c := n.cluster
	pass, i := number/len(n.flows), number%len(n.flows)
	return c.start.Add(time.Duration(pass)*c.span + n.flows[i].time.Sub(c.first)/c.speed)
}

// end returns the number after the last flow, if there is a last one.
func (n *node) end() (int, bool) { return len(n.flows), n.cluster.once }

// seen returns how many flows were played until now.
func (n *node) seen(now time.Time) int { return n.search(0, now.Add(1)) }

// search returns the first number from lo on whose time is not before t. Recorded times are almost in order, so this
// is where a reader of a ring would start too.
func (n *node) search(lo int, t time.Time) int {
	number := max(lo, int(t.Sub(n.cluster.start)/n.cluster.span)*len(n.flows))
	end, ends := n.end()
	for (!ends || number < end) && n.time(number).Before(t) {
		number++
	}
	if ends {
		return min(number, end)
	}
	return number
}

// message returns a flow as it is played: at its new time, and with a UUID that is the recorded one in the first pass
// and differs in each further one.
func (n *node) message(number int) (*observerpb.GetFlowsResponse, error) {
	pass, i := number/len(n.flows), number%len(n.flows)
	resp := &observerpb.GetFlowsResponse{}
	if err := proto.Unmarshal(n.flows[i].raw, resp); err != nil {
		return nil, err
	}
	at := timestamppb.New(n.time(number))
	resp.Time, resp.GetFlow().Time = at, at
	resp.GetFlow().Uuid = passUUID(resp.GetFlow().GetUuid(), pass)
	return resp, nil
}

func passUUID(uuid string, pass int) string {
	if pass == 0 || len(uuid) < 8 {
		return uuid
	}
	var salt [4]byte
	binary.BigEndian.PutUint32(salt[:], uint32(pass))
	return fmt.Sprintf("%x", salt) + uuid[8:]
}
