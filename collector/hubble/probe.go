package hubble

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	peerpb "github.com/cilium/cilium/api/v1/peer"
	relaypb "github.com/cilium/cilium/api/v1/relay"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"sextant/collector/flow"
)

// Sight is what Hubble looked like for a moment.
type Sight struct {
	Server     string // as it was asked
	Socket     bool   // a unix socket, which needs no TLS
	TLS        bool   // spoken to with TLS
	Unverified bool   // … without looking at its certificate
	Relay      bool
	Peers      bool   // the nodes were asked themselves, as the Peer service named them
	Version    string // of Relay, in its own words
	Nodes      []NodeSight
	More       int // nodes beyond hubble.max_nodes
}

// NodeSight is what one agent looked like. Numbers are zero where nobody told them.
type NodeSight struct {
	Node, Cluster string // both empty of an agent that does not name itself
	Server        string // its address, where it was asked itself
	Err           error  // why nothing is known of it
	Version       string
	Uptime        time.Duration
	Held, Ring    uint64  // flows in its ring, and how many there may be
	Seen          uint64  // flows since it started
	Rate          float64 // flows a second, over the last minute
	Sample        Sample
}

// Sample is what some of a node's flows show: the last few that its ring held, and those that came while we looked.
type Sample struct {
	Flows          int
	Oldest, Newest time.Time // by the node's clock
	Events         map[flow.EventType]int
	DNS            int // questions and answers that Cilium's DNS proxy saw
	Named          int // flows with a DNS name at one of their ends
	Translated     int // flows that tell a translated source on its way out
	// Lost is what the agent itself says was lost, by cause. What its ring lost is not in it: that is about who reads.
	Lost map[flow.GapCause]uint64

	Live   int           // flows that came as time went by, not out of the ring
	Offset time.Duration // the node's clock less ours, at least; 0 without flows
}

const (
	sampleRing  = 100                 // flows of each ring
	sampleMost  = 10_000              // messages of each stream
	sampleNodes = 32                  // nodes that are asked at once
	liveAfter   = 3 * time.Second / 2 // Relay holds flows back for a second, to sort them
	peersPause  = time.Second         // a Peer service that is silent for so long has named all nodes
)

// Look asks Hubble, as cfg says, what it is and how it is, and watches its flows for a while. It follows nothing for long,
// and changes nothing: what it costs is one more reader. The error is a sentence that names the server and the way out;
// of a single node it stands in the NodeSight.
func Look(ctx context.Context, cfg Config, names *flow.Interner, watch time.Duration) (Sight, error) {
	if err := cfg.Validate(); err != nil {
		return Sight{}, err
	}
	template, _ := cfg.request()
	p := &probe{common: &common{cfg: cfg, template: template, names: names, logger: slog.New(slog.DiscardHandler)}, watch: watch}
	if cfg.peers() {
		return p.peers(ctx)
	}
	t, _ := parseTarget(cfg.Server)
	where := endpoint{target: t, secure: t.network != "unix" && (cfg.TLS || t.tls), certs: cfg.certificates(), serverName: cfg.TLSServerName, buffers: largeBuffers}
	sight := p.sight(where)
	err := p.server(ctx, where, &sight)
	return sight, err
}

// errLate is why nothing is known of a node beyond those that could be asked in time.
var errLate = errors.New("not asked, as the time was up; give it more")

type probe struct {
	*common
	watch time.Duration
}

func (p *probe) sight(where endpoint) Sight {
	return Sight{
		Server: where.target.String(), Socket: where.target.network == "unix", TLS: where.secure,
		Unverified: where.secure && p.cfg.TLSAllowInsecure,
	}
}

// server looks at one server, an agent or a Relay.
func (p *probe) server(ctx context.Context, where endpoint, into *Sight) error {
	l, err := where.connect(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	client := observerpb.NewObserverClient(l)
	asked, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	st, err := client.ServerStatus(asked, &observerpb.ServerStatusRequest{})
	if err != nil {
		return where.explain(err, l.noted())
	}
	into.Relay = st.GetNumConnectedNodes() != nil
	samples := map[NodeName]*Sample{}
	if !into.Relay {
		node := NodeSight{
			Server: where.target.String(), Version: clip(st.GetVersion()), Uptime: time.Duration(st.GetUptimeNs()),
			Held: st.GetNumFlows(), Ring: st.GetMaxFlows(), Seen: st.GetSeenFlows(), Rate: st.GetFlowsRate(),
		}
		if node.Held > 0 { // an empty ring answers nothing, and then counts losses that were none
			err = p.sample(ctx, where, l, samples)
		}
		for name, s := range samples {
			node.Node, node.Cluster, node.Sample = name.Node.String(), name.Cluster.String(), *s
		}
		into.Nodes = []NodeSight{node}
		return err
	}
	into.Version = clip(st.GetVersion())
	list, err := client.GetNodes(asked, &observerpb.GetNodesRequest{})
	if err != nil && status.Code(err) != codes.Unimplemented {
		return where.explain(err, l.noted())
	}
	into.More = max(0, len(list.GetNodes())-p.cfg.MaxNodes)
	for _, n := range list.GetNodes()[:len(list.GetNodes())-into.More] {
		into.Nodes = append(into.Nodes, p.behindRelay(n))
	}
	err = p.sample(ctx, where, l, samples)
	for name, s := range samples {
		if n := into.node(name, p.cfg.MaxNodes); n != nil {
			n.Sample = *s
		}
	}
	into.sort()
	return err
}

func (p *probe) behindRelay(n *observerpb.Node) NodeSight {
	name := splitNode(p.names, n.GetName())
	s := NodeSight{
		Node: name.Node.String(), Cluster: name.Cluster.String(), Version: clip(n.GetVersion()), Uptime: time.Duration(n.GetUptimeNs()),
		Held: n.GetNumFlows(), Ring: n.GetMaxFlows(), Seen: n.GetSeenFlows(),
	}
	switch n.GetState() {
	case relaypb.NodeState_NODE_CONNECTED, relaypb.NodeState_UNKNOWN_NODE_STATE:
	case relaypb.NodeState_NODE_UNAVAILABLE:
		s.Err = errors.New("Relay has no connection to it; see Relay's log, and whether port 4244 of the node is open to it") //nolint:staticcheck // a name
	default:
		s.Err = fmt.Errorf("Relay says %s", n.GetState()) //nolint:staticcheck // a name
	}
	return s
}

// node returns the entry of a node, a new one where there is none, and nil where there are too many already.
func (s *Sight) node(name NodeName, most int) *NodeSight {
	node, cluster := name.Node.String(), name.Cluster.String()
	for i := range s.Nodes {
		if s.Nodes[i].Node == node && s.Nodes[i].Cluster == cluster {
			return &s.Nodes[i]
		}
	}
	if len(s.Nodes) >= most {
		return nil
	}
	s.Nodes = append(s.Nodes, NodeSight{Node: node, Cluster: cluster})
	return &s.Nodes[len(s.Nodes)-1]
}

func (s *Sight) sort() {
	slices.SortFunc(s.Nodes, func(a, b NodeSight) int {
		return cmp.Or(strings.Compare(a.Cluster, b.Cluster), strings.Compare(a.Node, b.Node))
	})
}

// peers looks at all nodes that the Peer service names.
func (p *probe) peers(ctx context.Context) (Sight, error) {
	service := newPeers(p.common, nil)
	sight := p.sight(service.where)
	sight.Peers = true
	named, err := p.named(ctx, service.where)
	if err != nil {
		return sight, err
	}
	if sight.More = max(0, len(named)-p.cfg.MaxNodes); sight.More > 0 {
		named = named[:p.cfg.MaxNodes]
	}
	sight.Nodes = make([]NodeSight, len(named))
	turn := make(chan struct{}, sampleNodes)
	var wg sync.WaitGroup
	for i, change := range named {
		wg.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			sight.Nodes[i] = p.peer(ctx, change, service.endpoint(change))
		})
	}
	wg.Wait()
	sight.sort()
	return sight, nil
}

// peer looks at one node. What the Peer service calls it goes before what it calls itself.
func (p *probe) peer(ctx context.Context, change *peerpb.ChangeNotification, where endpoint) NodeSight {
	var alone Sight
	err := errLate
	if ctx.Err() == nil {
		err = p.server(ctx, where, &alone)
	}
	node := NodeSight{Server: where.target.String()}
	if len(alone.Nodes) > 0 {
		node = alone.Nodes[0]
	}
	name := splitNode(p.names, change.GetName())
	node.Node, node.Cluster, node.Err = name.Node.String(), name.Cluster.String(), err
	return node
}

// named returns the nodes that the Peer service names at once.
func (p *probe) named(ctx context.Context, where endpoint) ([]*peerpb.ChangeNotification, error) {
	l, err := where.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := peerpb.NewPeerClient(l).Notify(ctx, &peerpb.NotifyRequest{})
	if err != nil {
		return nil, where.explain(err, l.noted())
	}
	changes, ended := make(chan *peerpb.ChangeNotification), make(chan error, 1)
	go func() {
		for {
			change, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			select {
			case changes <- change:
			case <-ctx.Done():
				return
			}
		}
	}()
	nodes := map[string]*peerpb.ChangeNotification{}
	pause := time.NewTimer(statusTimeout)
	defer pause.Stop()
	for len(nodes) <= 2*p.cfg.MaxNodes {
		select {
		case change := <-changes:
			pause.Reset(peersPause)
			if name := clip(change.GetName()); change.GetType() == peerpb.ChangeNotificationType_PEER_DELETED {
				delete(nodes, name)
			} else {
				nodes[name] = change
			}
			continue
		case err := <-ended:
			if len(nodes) == 0 {
				return nil, where.explain(err, l.noted())
			}
		case <-pause.C:
		}
		break
	}
	list := make([]*peerpb.ChangeNotification, 0, len(nodes))
	for _, change := range nodes {
		list = append(list, change)
	}
	slices.SortFunc(list, func(a, b *peerpb.ChangeNotification) int { return strings.Compare(a.GetName(), b.GetName()) })
	return list, nil
}

// sample watches a server's flows for a while.
func (p *probe) sample(ctx context.Context, where endpoint, l *link, into map[NodeName]*Sample) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	defer time.AfterFunc(p.watch, cancel).Stop() // no deadline, of which the server would hear and say something
	cs, err := l.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, observerpb.Observer_GetFlows_FullMethodName, grpc.ForceCodecV2(rawCodec{}))
	if err == nil {
		err = cs.SendMsg(asks(p.template, position{number: sampleRing}, where.target, p.cfg.HubbleTraffic))
	}
	if err == nil {
		err = cs.CloseSend()
	}
	decoder, raw := NewDecoder(p.names), []byte(nil)
	var record flow.Record
	for n := 0; err == nil && n < sampleMost; n++ {
		if err = cs.RecvMsg(&raw); err != nil {
			break
		}
		record = flow.Record{}
		if ev, err := decoder.Decode(raw, &record); err == nil {
			take(into, p.cfg.MaxNodes, &ev, &record, time.Since(began), time.Now())
		}
	}
	if err == nil || errors.Is(err, io.EOF) || ctx.Err() != nil {
		return nil // seen enough
	}
	return where.explain(err, l.noted())
}

// take counts one message.
func take(into map[NodeName]*Sample, most int, ev *Event, r *flow.Record, after time.Duration, now time.Time) {
	if ev.Kind != KindFlow && ev.Kind != KindLost {
		return
	}
	name := NodeName{ev.Node, ev.Cluster}
	s := into[name]
	if s == nil {
		if len(into) >= most {
			return
		}
		s = &Sample{Events: map[flow.EventType]int{}, Lost: map[flow.GapCause]uint64{}}
		into[name] = s
	}
	if ev.Kind == KindLost {
		if ev.Lost.Cause != flow.GapLostRing {
			s.Lost[ev.Lost.Cause] += ev.Lost.Count
		}
		return
	}
	s.Events[r.EventType]++
	if offset := r.Time.Sub(now); s.Flows == 0 || offset > s.Offset {
		s.Offset = offset
	}
	if s.Flows == 0 || r.Time.Before(s.Oldest) {
		s.Oldest = r.Time
	}
	if r.Time.After(s.Newest) {
		s.Newest = r.Time
	}
	s.Flows++
	if after >= liveAfter {
		s.Live++
	}
	if !r.DNS.Query.IsZero() {
		s.DNS++
	}
	if r.Source.Names != (flow.Names{}) || r.Destination.Names != (flow.Names{}) {
		s.Named++
	}
	if r.SourceTranslatedIP.IsValid() && (r.ObservationPoint == flow.ToNetwork || r.ObservationPoint == flow.ToOverlay) && r.IsReply != flow.Yes {
		s.Translated++
	}
}
