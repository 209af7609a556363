package track

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// DNS response codes (RFC 1035 section 4.1.1). Any other than these two says nothing about the name.
const (
	noError  = 0
	nxDomain = 3 // the name has no records of any type
)

// longestTTL is how long an answer counts at most (RFC 8767 section 4).
const longestTTL = 7 * 24 * time.Hour

// learn takes in a DNS answer that reached who asked.
func (n *Names) learn(r *flow.Record) {
	if r.L7Type != flow.L7Response || r.DNS.Query.IsZero() || r.Time.IsZero() {
		return
	}
	if r.Verdict == flow.Dropped || r.Verdict == flow.Errored || r.DNS.RCode != noError && r.DNS.RCode != nxDomain {
		return
	}
	name := n.plain(r.DNS.Query)
	if name.IsZero() {
		return
	}
	asked, _, known := r.Ends()
	if !known {
		asked = &r.Destination // an answer goes to who asked
	}
	who, cluster := askerPod(asked.Endpoint.Get())
	if who == (asker{}) {
		if who.address = asked.IP; !who.address.IsValid() {
			return
		}
		n.strangers.Store(true)
	}
	n.remember(r, name, who, cluster)
	if name == n.ask64 && n.cfg.OnPrefix != nil && r.DNS.RCode == noError {
		n.reveal(r.DNS.Answers)
	}
}

func (n *Names) remember(r *flow.Record, name flow.Name, who asker, cluster flow.Name) {
	answers := r.DNS.Answers
	if r.DNS.RCode == nxDomain {
		answers = nil
	}
	via := n.own(answers)
	at := r.Time.UnixNano()
	ttl := min(time.Duration(r.DNS.TTL)*time.Second, longestTTL)
	until := at + int64(max(ttl, n.cfg.Keep))

	s := &n.shards[who.shard()]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, address := range answers {
		known, state := s.addresses.put(addressKey{who, address})
		if state == tableEvicted && known.last.until >= at {
			s.evicted++
		}
		if state != tableFound || !sameCluster(known.cluster, cluster) {
			*known = knownAs{cluster: cluster}
		}
		known.answered(name, at, until)
	}

	key := nameKey{who, name}
	if via.IsValid() {
		known, state := s.native.put(key)
		if state == tableEvicted && known.last.until >= at {
			s.evicted++
		}
		if state != tableFound || !sameCluster(known.cluster, cluster) {
			*known = native{cluster: cluster}
		}
		known.answered(via, at, until)
	} else if r.DNS.RCode == nxDomain || slices.Contains(r.DNS.Types.Get(), n.askAAAA) {
		if known := s.native.get(key); known != nil && sameCluster(known.cluster, cluster) {
			known.withdrawn(at)
		}
	}
}

// own returns an IPv6 address among the answers that the name itself has, as far as is known yet.
func (n *Names) own(answers []netip.Addr) netip.Addr {
	for _, a := range answers {
		if a.Is6() && !a.Is4In6() && a.IsGlobalUnicast() && !n.cfg.Synthetic(a) { // "::" and the like mean that the name is blocked
			return a
		}
	}
	return netip.Addr{}
}

// plain returns a name as it is printed: in lower case (RFC 4343: ASCII alone) and without the trailing dot. What is longer
// than a DNS name can be is none.
func (n *Names) plain(name flow.Name) flow.Name {
	text := name.Get()
	if len(text) > longestName {
		return flow.Name{}
	}
	short := lower(strings.TrimSuffix(text, "."))
	if short == text {
		return name
	}
	return n.intern.Name(short)
}

// longestName is the length of the longest DNS name with every byte written as \DDD, and its trailing dot.
const longestName = 61*4 + 1 + 63*4 + 1 + 63*4 + 1 + 63*4 + 1

// lower does not copy a text that is in lower case.
func lower(text string) string {
	for i := range len(text) {
		if isUpper(text[i]) {
			b := []byte(text)
			for ; i < len(b); i++ {
				if isUpper(b[i]) {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return text
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

// mostPrefixes bounds the NAT64 prefixes that are told. Networks have a handful.
const mostPrefixes = 64

// namesPrefixes are the prefixes that were told.
type namesPrefixes struct {
	mu   sync.Mutex
	list []netip.Prefix
}

func (p *namesPrefixes) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.list)
}

func (p *namesPrefixes) add(prefix netip.Prefix) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.list) >= mostPrefixes || slices.Contains(p.list, prefix) {
		return false
	}
	p.list = append(p.list, prefix)
	return true
}

// reveal tells the NAT64 prefixes in answers for ipv4only.arpa. No other name is trusted to hold 192.0.0.170 or
// 192.0.0.171: ipv4only.arpa has no AAAA of its own (RFC 8880), so only a DNS64 can have answered, while the owner of any
// other name could make a prefix out of addresses of its choice.
func (n *Names) reveal(answers []netip.Addr) {
	for _, a := range answers {
		if prefix, ok := verdict.Pref64(a); ok && n.found.add(prefix) {
			n.cfg.OnPrefix(prefix)
		}
	}
}

func wellKnown64(a netip.Addr) bool { return prefix64.Contains(a) || prefix64Local.Contains(a) }

var (
	prefix64      = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052 section 2.1
	prefix64Local = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
)
