package track

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sextant/collector/flow"
)

// Names is a stage that knows the DNS names under which pods know addresses. It learns them from the answers that Cilium's
// DNS proxy shows as L7 flows, keeps them longer than Hubble does, and writes them on both ends of every flow: an end's
// name is the one the other end was given for its address.
//
// A name is the name that was asked for; Hubble has already followed its CNAMEs. It belongs to one pod and one address,
// from the moment it was answered until it was answered too long ago or the same address was answered to the same pod
// under another name: the latest answer wins. Time is the flows' time. A flow that is older than the latest answer gets the
// name that held then, where that is still known. What Hubble itself puts on a flow is used only where Names remembers
// nothing: Hubble gives no age and lists all names of an address, in no order of time, so the first is as good as any.
//
// It refuses to guess. A flow that arrives before its answer, as one of another node's stream may, is not named afterwards.
// Names that pods ask for without the proxy are not seen. A pod that is told a service's address and whose packets show the
// backend's gets a name for it only on replies that tell the service's address, which socket load-balancing never does.
//
// It is safe for concurrent use, and its memory is bounded.
type Names struct {
	cfg       NamesConfig
	intern    *flow.Interner
	shards    [nameShards]nameShard
	strangers atomic.Bool // someone asked who is not a known pod; nobody does as a rule, and then most ends need no look
	found     namesPrefixes
	ask64     flow.Name // "ipv4only.arpa"
	askAAAA   flow.Name // "AAAA"
}

// NamesConfig is what Names keeps, and whom it asks and tells.
type NamesConfig struct {
	Keep  time.Duration // an answer counts for as long as its TTL says, and at least for this long
	Limit int           // most pairs of pod and address, and most pairs of pod and name, that are remembered

	// Synthetic says whether an IPv6 address was made up by a DNS64, so that a connection to it ends as IPv4. It is asked on
	// every stream at once. Nil takes 64:ff9b::/96 and 64:ff9b:1::/48 (RFC 6052, RFC 8215) for such addresses alone.
	Synthetic func(netip.Addr) bool

	// OnPrefix is told every NAT64 prefix that an answer for ipv4only.arpa reveals (RFC 7050), once each and 64 at most, by
	// whichever goroutine is in Process. The pod that asked chose whom it asked, so a prefix is as trustworthy as that.
	OnPrefix func(netip.Prefix)
}

// DefaultNames returns the configuration for one collector: about 50 MB when all of it is in use.
func DefaultNames() NamesConfig { return NamesConfig{Keep: time.Hour, Limit: 1 << 17} }

// Validate returns all that is wrong.
func (c NamesConfig) Validate() error {
	var errs []error
	if c.Keep < time.Second || c.Keep > 7*24*time.Hour {
		errs = append(errs, fmt.Errorf("names.keep: must be from 1s to 168h, is %s", c.Keep))
	}
	if c.Limit < nameShards || c.Limit > 1<<24 {
		errs = append(errs, fmt.Errorf("names.limit: must be from %d to %d, is %d", nameShards, 1<<24, c.Limit))
	}
	return errors.Join(errs...)
}

// NewNames returns a stage that remembers nothing yet. The configuration must be valid.
func NewNames(intern *flow.Interner, cfg NamesConfig) *Names {
	n := &Names{cfg: cfg, intern: intern, ask64: intern.Name("ipv4only.arpa"), askAAAA: intern.Name("AAAA")}
	if cfg.Synthetic == nil {
		n.cfg.Synthetic = wellKnown64
	}
	for i := range n.shards {
		n.shards[i].addresses = newNamesTable[addressKey, knownAs](cfg.Limit / nameShards)
		n.shards[i].native = newNamesTable[nameKey, native](cfg.Limit / nameShards)
	}
	return n
}

// nameShards is how many parts the memory has. A pod is in one of them, and can push out answers of that part alone.
const nameShards = 16

type nameShard struct {
	mu        sync.RWMutex
	addresses *namesTable[addressKey, knownAs]
	native    *namesTable[nameKey, native]
	evicted   uint64 // answers that still counted when they were pushed out
}

// addressKey is an address and who was told it.
type addressKey struct {
	asker
	address netip.Addr
}

// nameKey is a name and who asked for it.
type nameKey struct {
	asker
	name flow.Name
}

// Process learns from the answers in a batch and names both ends of its flows. It allocates nothing for what it knows
// already.
func (n *Names) Process(b *flow.Batch) {
	for i := range b.Records {
		r := &b.Records[i]
		n.learn(r)
		now := r.Time.UnixNano()
		n.name(&r.Source, requested(r), &r.Destination, now)
		n.name(&r.Destination, r.Destination.IP, &r.Source, now)
	}
}

// requested returns the address that the destination of a flow knows its source by. On its way back into the pod a reply of
// a service carries the address that the pod had sent its request to (bpf/bpf_lxc.c, reverse service NAT); the source is
// the backend's already.
func requested(r *flow.Record) netip.Addr {
	if r.SourceTranslatedIP.IsValid() && r.IsReply == flow.Yes &&
		(r.ObservationPoint == flow.ToEndpoint || r.ObservationPoint == flow.ToProxy) {
		return r.SourceTranslatedIP
	}
	return r.Source.IP
}

// name names an end that has this address for the other end.
func (n *Names) name(end *flow.End, address netip.Addr, other *flow.End, now int64) {
	end.Name, end.NameSource, end.NameAge = flow.Name{}, flow.NameSourceNone, 0
	if name, age, ok := n.lookup(other, address, now); ok {
		end.Name, end.NameSource, end.NameAge = name, flow.NameSourceDNS, age
	} else if list := end.Names.Get(); len(list) > 0 {
		if name := n.plain(list[0]); !name.IsZero() {
			end.Name, end.NameSource = name, flow.NameSourceHubble
		}
	}
}

func (n *Names) lookup(by *flow.End, address netip.Addr, now int64) (name flow.Name, age uint32, ok bool) {
	who, cluster := n.askerOf(by)
	if who == (asker{}) || !address.IsValid() {
		return flow.Name{}, 0, false
	}
	s := &n.shards[who.shard()]
	s.mu.RLock()
	defer s.mu.RUnlock()
	known := s.addresses.get(addressKey{who, address})
	if known == nil || !sameCluster(known.cluster, cluster) {
		return flow.Name{}, 0, false
	}
	return known.at(now)
}

// Usable reports whether IPv6 was open to a pod when it went to name over IPv4: at that time a AAAA answer for the name had
// reached it that held an IPv6 address of the name's own, not one made up by a DNS64, and no later answer had taken it
// back. As with names an answer counts for its TTL and at least for NamesConfig.Keep: programs hold on to what they
// resolved, and a pod that was once told of an IPv6 address and keeps asking for the IPv4 one has it to ask for.
func (n *Names) Usable(pod flow.Ref[flow.Endpoint], name flow.Name, at time.Time) bool {
	who, cluster := askerPod(pod.Get())
	if who == (asker{}) || name.IsZero() {
		return false
	}
	s := &n.shards[who.shard()]
	s.mu.RLock()
	known := s.native.get(nameKey{who, n.plain(name)})
	usable := known != nil && sameCluster(known.cluster, cluster) && known.open(at.UnixNano())
	var via netip.Addr
	if usable {
		via = known.via
	}
	s.mu.RUnlock()
	return usable && !n.cfg.Synthetic(via) // asked only now: the prefix may have become known after the answer
}

// NamesStats is what Names holds and has lost.
type NamesStats struct {
	Addresses int    // pairs of pod and address with a name
	Native    int    // pairs of pod and name with an IPv6 address
	Evicted   uint64 // answers forgotten for want of room though they still counted
	Prefixes  int    // NAT64 prefixes learned
}

// Stats returns the present numbers.
func (n *Names) Stats() NamesStats {
	var sum NamesStats
	for i := range n.shards {
		s := &n.shards[i]
		s.mu.RLock()
		sum.Addresses += s.addresses.len()
		sum.Native += s.native.len()
		sum.Evicted += s.evicted
		s.mu.RUnlock()
	}
	sum.Prefixes = n.found.len()
	return sum
}
