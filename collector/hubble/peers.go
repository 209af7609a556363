package hubble

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v7"
	peerpb "github.com/cilium/cilium/api/v1/peer"

	"sextant/collector/flow"
)

// peers follows all nodes of a cluster, each by a stream of its own, as the Peer service of one agent announces them.
//
// An agent announces all nodes when asked and then what changes; whether a node was announced for the first time or
// again it does not say, nor where the first ones end. So after a reconnect nodes that are not announced again within
// a grace period are gone, and a node announced soon after the very first connection was there before us.
type peers struct {
	*common
	where    endpoint
	batchers []*batcher
	logger   *slog.Logger

	wg   sync.WaitGroup
	errs chan error // of streams, when emit takes no more

	mu       sync.Mutex
	state    error
	nodes    map[string]*peer                      // by announced name
	epoch    int                                   // counts connections to the service
	settled  bool                                  // nodes announced from now on are new
	refused  map[string]*peerpb.ChangeNotification // nodes beyond the most there may be; itself at most as many
	refusing time.Time                             // until when that was told
	active   int                                   // nodes that are here
	next     int                                   // batcher of the next node
	begin    position
}

// peer is a node. It is kept for a while after it has gone, as it may come back and then resumes.
type peer struct {
	name       string
	where      target
	secure     bool
	serverName string
	epoch      int // in which it was announced last
	stream     *stream
	cancel     context.CancelFunc // nil once it is gone
	done       chan struct{}      // closed when its stream has ended
	left       time.Time          // zero while it is here
}

func newPeers(c *common, batchers []*batcher) *peers {
	addr := c.cfg.Server
	if c.cfg.peersElsewhere() {
		addr = c.cfg.Peers
	}
	t, _ := parseTarget(addr) // checked by Validate
	return &peers{
		common: c, batchers: batchers, logger: c.logger.With("peers", t.String()),
		where: endpoint{
			target: t, secure: t.network != "unix" && (c.cfg.TLS || t.tls), certs: c.cfg.certificates(),
			// What Relay expects of it (pkg/hubble/relay/server), in a cluster without a name of its own.
			serverName: cmp.Or(c.cfg.TLSServerName, "hubble-peer.default.hubble-grpc.cilium.io"), buffers: smallBuffers,
			quiet: true,
		},
		begin: c.cfg.position(time.Now()), errs: make(chan error, 1), state: errNotYet, nodes: map[string]*peer{}, refused: map[string]*peerpb.ChangeNotification{},
	}
}

// trouble returns nil while at least one node is followed.
func (p *peers) trouble() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var first error
	for _, n := range p.nodes {
		if n.cancel == nil {
			continue
		}
		err := n.stream.trouble()
		if err == nil {
			return nil
		}
		if first == nil || errors.Is(first, errNotYet) {
			first = err
		}
	}
	switch {
	case p.state != nil:
		return p.state
	case first == nil:
		return fmt.Errorf("%s: no node was announced yet", p.where.target)
	}
	return fmt.Errorf("no node can be followed, as this one: %w", first)
}

// run follows the Peer service and the nodes until ctx ends (nil) or emit takes no more.
func (p *peers) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer p.wg.Wait()
	defer cancel()
	retry := backoff.NewExponentialBackOff()
	retry.InitialInterval, retry.MaxInterval = p.times.retryFirst, p.times.retryMost
	for {
		began := time.Now()
		err := p.notified(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if stop := new(stopError); errors.As(err, &stop) {
			return stop.err
		}
		p.down(err)
		if time.Since(began) > p.times.steady() {
			retry.Reset()
		}
		select {
		case <-time.After(retry.NextBackOff()):
		case err := <-p.errs:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// notified is one connection to the Peer service. The nodes' streams outlive it, under ctx.
func (p *peers) notified(ctx context.Context) error {
	l, err := p.where.connect(ctx)
	if err != nil {
		return err
	}
	defer l.Close()
	callCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := peerpb.NewPeerClient(l).Notify(callCtx, &peerpb.NotifyRequest{})
	if err != nil {
		return p.where.explain(err, l.noted())
	}
	p.mu.Lock()
	p.epoch++
	clear(p.refused) // they are announced again
	p.mu.Unlock()

	changes, ended := make(chan *peerpb.ChangeNotification), make(chan error, 1)
	receiver := make(chan struct{})
	go func() {
		defer close(receiver)
		for {
			change, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			select {
			case changes <- change:
			case <-callCtx.Done():
			}
		}
	}()
	defer func() { cancel(); <-receiver }()

	settle, grace := time.After(p.times.settle), time.After(p.times.grace)
	tick := time.NewTicker(p.times.slice)
	defer tick.Stop()
	for {
		select {
		case change := <-changes:
			p.up()
			p.change(ctx, change)
		case <-settle:
			p.up()
			p.mu.Lock()
			p.settled = true
			p.mu.Unlock()
		case <-grace:
			p.sweep(ctx)
		case <-tick.C:
			if err := p.housekeeping(); err != nil {
				return err
			}
		case err := <-p.errs:
			return &stopError{err}
		case err := <-ended:
			return p.where.explain(err, nil)
		}
	}
}

func (p *peers) up() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != nil {
		p.logger.Info("following the Peer service")
	}
	p.state = nil
}

func (p *peers) down(err error) {
	p.metrics.reconnects.WithLabelValues(reasonOf(err)).Inc()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state == nil || reasonOf(p.state) != reasonOf(err) {
		p.logger.Warn("not following the Peer service; the nodes known are followed on", "err", err)
	}
	p.state = err
}

// change takes what the service says of one node.
func (p *peers) change(ctx context.Context, c *peerpb.ChangeNotification) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.GetType() != peerpb.ChangeNotificationType_PEER_DELETED {
		p.hereLocked(ctx, c)
		return
	}
	name := clip(c.GetName())
	delete(p.refused, name)
	if n := p.nodes[name]; n != nil {
		p.stopLocked(n)
		p.fillLocked(ctx)
	}
}

// hereLocked takes that a node is there.
func (p *peers) hereLocked(ctx context.Context, c *peerpb.ChangeNotification) {
	name := clip(c.GetName())
	n := p.nodes[name]
	if (n == nil || n.cancel == nil) && p.active >= p.cfg.MaxNodes {
		p.refuseLocked(name, c)
		return
	}
	if n == nil {
		if len(p.nodes) >= 2*p.cfg.MaxNodes {
			p.forgetLocked(0)
		}
		begin := p.begin
		if p.settled {
			begin = position{number: wholeRing} // what a new node has seen is all new
		}
		n = &peer{name: name, stream: newStream(p.common, endpoint{}, splitNode(p.names, name), begin, p.batchers[p.next%len(p.batchers)])}
		p.next++
		p.nodes[name] = n
	}
	n.epoch = p.epoch
	where := p.endpoint(c)
	if n.cancel != nil && n.where == where.target && n.secure == where.secure && n.serverName == where.serverName {
		return
	}
	if n.cancel != nil {
		n.cancel() // it has moved
	}
	p.startLocked(ctx, n, where)
}

// endpoint returns how a node is spoken to.
func (p *peers) endpoint(c *peerpb.ChangeNotification) endpoint {
	e := endpoint{certs: p.cfg.certificates(), buffers: smallBuffers, secure: p.cfg.TLS || c.GetTls() != nil}
	if e.secure {
		e.serverName = cmp.Or(c.GetTls().GetServerName(), tlsName(c.GetName()))
	}
	if c.GetAddress() == "" {
		e.bad = &trouble{reason: "no_address", text: "the Peer service announces the node without an address"}
		return e
	}
	t, err := parseTarget(withPort(c.GetAddress()))
	if err != nil {
		e.bad = &trouble{reason: "bad_address", text: "the Peer service announces an address that is none: " + err.Error(), err: err}
	}
	e.target = t
	return e
}

// tlsName is the name that a node's certificate holds (pkg/hubble/peer/handler.go TLSServerName).
func tlsName(node string) string {
	cluster, name, found := strings.Cut(node, "/")
	if !found {
		cluster, name = "default", cluster
	}
	return strings.ReplaceAll(name, ".", "-") + "." + strings.ReplaceAll(cluster, ".", "-") + ".hubble-grpc.cilium.io"
}

func (p *peers) startLocked(ctx context.Context, n *peer, where endpoint) {
	ctx, cancel := context.WithCancel(ctx)
	if n.cancel == nil {
		p.active++
	}
	before, done := n.done, make(chan struct{})
	n.cancel, n.done, n.left = cancel, done, time.Time{}
	n.where, n.secure, n.serverName = where.target, where.secure, where.serverName
	p.wg.Go(func() {
		defer close(done)
		defer cancel()
		if before != nil {
			<-before
		}
		n.stream.aim(where)
		if err := n.stream.run(ctx); err != nil {
			select {
			case p.errs <- err:
			default: // one is enough
			}
		}
	})
}

// stopLocked ends the stream of a node that has gone. What is known of it is kept for a while.
func (p *peers) stopLocked(n *peer) {
	if n.cancel == nil {
		return
	}
	p.logger.Info("node gone", "node", n.name)
	n.stream.gone.Store(true)
	n.cancel()
	n.cancel, n.left = nil, time.Now()
	p.active--
}

func (p *peers) refuseLocked(name string, c *peerpb.ChangeNotification) {
	if len(p.refused) == 0 {
		p.refusing = time.Now()
		p.logger.Error("more nodes than hubble.max_nodes; the rest is not followed", "max_nodes", p.cfg.MaxNodes)
	}
	if len(p.refused) < p.cfg.MaxNodes {
		p.refused[name] = c
	}
}

// fillLocked takes in nodes that were refused, as far as there is room now.
func (p *peers) fillLocked(ctx context.Context) {
	for name, c := range p.refused {
		if p.active >= p.cfg.MaxNodes {
			return
		}
		delete(p.refused, name)
		p.hereLocked(ctx, c)
	}
}

// sweep lets go of the nodes that were not announced again.
func (p *peers) sweep(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.nodes {
		if n.epoch != p.epoch {
			p.stopLocked(n)
		}
	}
	p.fillLocked(ctx)
}

// forgetLocked forgets the nodes that left longer ago than age.
func (p *peers) forgetLocked(age time.Duration) {
	for name, n := range p.nodes {
		if n.cancel == nil && time.Since(n.left) > age {
			n.stream.forget()
			delete(p.nodes, name)
		}
	}
}

// housekeeping forgets nodes that left long ago and tells of those there is no room for.
func (p *peers) housekeeping() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetLocked(forgetNode)
	if len(p.refused) == 0 {
		return nil
	}
	now := time.Now()
	g := flow.Gap{
		From: p.refusing.UTC(), To: now.UTC(), Cause: flow.GapNodeUnavailable,
		Detail: p.names.Name(fmt.Sprintf("%d or more nodes beyond hubble.max_nodes (%d) are not followed", len(p.refused), p.cfg.MaxNodes)),
	}
	p.refusing = now
	if err := p.batchers[0].gap(g); err != nil {
		return &stopError{err}
	}
	return nil
}
