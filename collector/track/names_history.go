package track

import (
	"net/netip"
	"time"

	"sextant/collector/flow"
)

// knownAs is what one pod was told about one address: the name it has and the one it had before. Times are nanoseconds
// since 1970.
type knownAs struct {
	cluster      flow.Name
	last, before namedSpan
}

// namedSpan is the time in which an address had a name. It was answered at both ends of it, if not in between, and the
// name counts until a while after the latest answer.
type namedSpan struct {
	name   flow.Name
	first  int64
	latest int64
	until  int64
}

// answered takes in an answer. One that comes late, after a newer answer, finds its place among the two names; what it
// makes doubtful is forgotten.
func (k *knownAs) answered(name flow.Name, at, until int64) {
	answer := namedSpan{name: name, first: at, latest: at, until: until}
	switch last := &k.last; {
	case at >= last.latest && name == last.name && at <= last.until:
		last.latest, last.until = at, max(last.until, until)
	case at >= last.latest:
		k.before, k.last = *last, answer
	case name == last.name && at >= last.first:
	case at >= last.first: // another name within the span: from there to the latest answer either may have held
		last.first = last.latest
		k.before = namedSpan{first: last.latest, latest: last.latest} // a span of no name, which keeps later comers out
	case at >= k.before.latest:
		k.before = answer
	case name != k.before.name && at >= k.before.first:
		k.before.first = k.before.latest
	}
}

// at returns the name that held at a time, and its age in seconds, which is 0 where it is unknown because the name was
// answered again since.
func (k *knownAs) at(now int64) (name flow.Name, age uint32, ok bool) {
	span := &k.last
	if now < span.first {
		span = &k.before
	}
	if span.name.IsZero() || now < span.first || now > span.until {
		return flow.Name{}, 0, false
	}
	return span.name, uint32(max(0, now-span.latest) / int64(time.Second)), true
}

// native is what one pod was told about a name's own IPv6 addresses: the times in which it had a usable one.
type native struct {
	cluster      flow.Name
	via          netip.Addr // one of them, the latest
	seen         int64      // the latest answer; older ones are ignored
	last, before openSpan
}

// openSpan is a time from an answer until it no longer counts or was taken back.
type openSpan struct{ from, until int64 }

func (s openSpan) holds(at int64) bool { return s.from <= at && at < s.until }

func (n *native) answered(via netip.Addr, at, until int64) {
	if at < n.seen {
		return
	}
	n.seen, n.via = at, via
	if at >= n.last.until {
		n.before, n.last = n.last, openSpan{at, until}
	} else {
		n.last.until = max(n.last.until, until)
	}
}

func (n *native) withdrawn(at int64) {
	if at < n.seen {
		return
	}
	n.seen = at
	n.last.until = min(n.last.until, at)
}

func (n *native) open(at int64) bool {
	return n.last.holds(at) || n.before.holds(at)
}
