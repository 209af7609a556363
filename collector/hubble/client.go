package hubble

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime"
	"sync"
	"time"

	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"sextant/collector/flow"
)

// Client is the live source: it follows one server, or all nodes that the Peer service names, until it is stopped.
// Servers that go away are waited for; what was missed meanwhile is told as gaps.
//
// A gap is told when it is certain. What cannot be seen is not told: a ring that overruns silently where flows cannot be
// counted (see account); a ring that wrapped while Relay, not we, had lost a node, or on a server that tells no numbers
// or not its oldest flow; an agent behind Relay whose ring is empty when Relay asks it, which stays silent until its ring
// has filled once; what the datapath itself leaves out (aggregation, rate limits). And a node that cannot be reached is
// told as a gap after a minute, while its flows may yet come from its ring.
type Client struct {
	common
	pool *flow.Pool

	mu     sync.Mutex
	source interface{ trouble() error } // nil while Run does not run
}

// Resume has nodes followed from where another run stopped, as far as their rings reach back; a gap tells where they do
// not. It must be called before Run.
func (c *Client) Resume(marks []flow.Mark) {
	c.marks = map[NodeName]flow.Mark{}
	for _, m := range marks {
		c.marks[NodeName{c.names.Name(m.Node.String()), c.names.Name(m.Cluster.String())}] = m
	}
}

// common is what all streams share.
type common struct {
	cfg       Config
	template  *observerpb.GetFlowsRequest
	stampMask *fieldmaskpb.FieldMask
	names     *flow.Interner
	logger    *slog.Logger
	metrics   *metrics
	times     times
	seed      maphash.Seed
	marks     map[NodeName]flow.Mark // where another run stopped
	dialing   chan struct{}          // holds one token for each connection under way

	undecodable, unaccounted sync.Once // said once in the log
}

// times are how long things take. Tests have less patience.
type times struct {
	poll       time.Duration // between questions for an agent's numbers
	relayPoll  time.Duration // the same for Relay, which asks all its nodes
	accept     time.Duration // a request that was not refused for so long is accepted
	retryFirst time.Duration
	retryMost  time.Duration
	slice      time.Duration // an outage that lasts is told as often
	settle     time.Duration // nodes announced so soon were there before us
	grace      time.Duration // nodes not announced again for so long are gone
}

func (c Config) times() times {
	return times{
		poll: c.StatusWait, relayPoll: 2 * c.StatusWait, accept: time.Second, retryFirst: 200 * time.Millisecond, retryMost: 10 * time.Second,
		slice: slice, settle: 5 * time.Second, grace: 2 * time.Minute,
	}
}

// steady is how long a stream must live to make the next retry quick.
func (t times) steady() time.Duration { return t.poll / 10 }

// New returns a client. Nothing is connected yet, and no file read. The error names all that is wrong in cfg.
func New(cfg Config, names *flow.Interner, logger *slog.Logger, reg prometheus.Registerer) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	template, _ := cfg.request() // Validate found nothing wrong with it
	return &Client{
		common: common{
			cfg: cfg, template: template, stampMask: &fieldmaskpb.FieldMask{Paths: []string{"time", "node_name"}},
			names: names, logger: logger, metrics: newMetrics(reg), times: cfg.times(), seed: maphash.MakeSeed(),
			dialing: make(chan struct{}, 32),
		},
		pool: flow.NewPool(cfg.BatchRows),
	}, nil
}

// Run follows until ctx ends, and then returns nil, or until emit takes no more. Before it returns all connections are
// closed and all batches handed over.
func (c *Client) Run(ctx context.Context, emit Emit) error {
	var source interface {
		trouble() error
		run(context.Context) error
	}
	var batchers []*batcher
	if c.cfg.peers() {
		// Streams share batchers: one for each would hold a batch of memory for each node.
		for range runtime.GOMAXPROCS(0) {
			batchers = append(batchers, newBatcher(ctx, c.pool, emit, c.cfg.BatchWait))
		}
		source = newPeers(&c.common, batchers)
	} else {
		batchers = append(batchers, newBatcher(ctx, c.pool, emit, c.cfg.BatchWait))
		t, _ := parseTarget(c.cfg.Server)
		where := endpoint{target: t, secure: t.network != "unix" && (c.cfg.TLS || t.tls), certs: c.cfg.certificates(), serverName: c.cfg.TLSServerName, buffers: largeBuffers}
		source = newStream(&c.common, where, NodeName{}, c.cfg.position(time.Now()), batchers[0])
	}
	c.setSource(source)
	defer c.setSource(nil)
	err := source.run(ctx)
	for _, b := range batchers {
		if flushErr := b.flush(); err == nil && ctx.Err() == nil {
			err = flushErr
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *Client) setSource(source interface{ trouble() error }) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.source = source
}

// Ready returns nil while a source is followed, and else a sentence that says what keeps it from being.
func (c *Client) Ready() error {
	c.mu.Lock()
	source := c.source
	c.mu.Unlock()
	if source == nil {
		return fmt.Errorf("hubble: not running")
	}
	if err := source.trouble(); err != nil {
		return fmt.Errorf("hubble: %w", err)
	}
	return nil
}

// position is where following begins.
func (c Config) position(at time.Time) position {
	if since, _ := c.since(at); !since.IsZero() {
		return position{since: since}
	}
	if c.Last > 0 {
		return position{number: c.Last}
	}
	return newest
}
