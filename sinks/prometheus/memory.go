package prometheus

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"sextant/collector/flow"
)

// memory is what DNS answers and connections have said, as far as causes need it. A view judges a window by all that was
// said in it; a counter cannot take back what it has counted, so that the first connections of a collector's life may have a
// cause that is not known yet. What is not said again is forgotten after one to two spans.
type memory struct {
	turned    time.Duration // when the older half was let go of, since the sink began
	young     facts
	old       facts
	forgotten uint64 // for want of room
}

const (
	// memorySpan is long enough for what is asked three times a day.
	memorySpan = 12 * time.Hour

	// memoryLimit bounds each map of facts.
	memoryLimit = 1 << 15
)

// facts are kept by handles, which keep their names alive; of one that was never seen before there is nothing to know.
type facts struct {
	names  map[question]answers
	askers map[workload]struct{}
	denied map[wish]struct{}
}

type question struct {
	cluster flow.Name
	name    string // in lower case, without the last dot
}

type answers struct {
	own   time.Time // of the first one with an IPv6 address of the name's own
	none  bool      // there was one without an IPv6 address, or with one that a DNS64 had made up
	nat64 bool      // somebody reached the name through NAT64
}

type workload struct{ cluster, namespace, workload flow.Name }

// wish is a name that a workload wanted to reach.
type wish struct {
	workload
	name flow.Name
}

func newMemory() memory { return memory{young: newFacts(), old: newFacts()} }

func newFacts() facts {
	return facts{map[question]answers{}, map[workload]struct{}{}, map[wish]struct{}{}}
}

// ageLocked lets go of the older half when it is time.
func (m *memory) ageLocked(now time.Duration) {
	if now-m.turned >= memorySpan {
		m.turnLocked(now)
	}
}

func (m *memory) turnLocked(now time.Duration) { m.old, m.young, m.turned = m.young, newFacts(), now }

// roomLocked makes room for one fact more.
func (m *memory) roomLocked(held int, now time.Duration) {
	if held >= memoryLimit {
		m.forgotten += uint64(len(m.old.names) + len(m.old.askers) + len(m.old.denied))
		m.turnLocked(now)
	}
}

// learnLocked takes what an answer says that reached a pod.
func (m *memory) learnLocked(r *flow.Record, now time.Duration) {
	if r.L7Type != flow.L7Response || r.DNS.Query.IsZero() || r.DNS.RCode != noError && r.DNS.RCode != noSuchName {
		return
	}
	pod := r.Destination.Endpoint.Get()
	if pod.Namespace.IsZero() {
		return
	}
	m.askLocked(workload{r.Cluster, pod.Namespace, pod.Workload}, now)

	six := slices.ContainsFunc(r.DNS.Answers, isIPv6)
	own := slices.ContainsFunc(r.DNS.Answers, func(a netip.Addr) bool { return isIPv6(a) && !isMadeUp(a) })
	switch {
	case own:
		m.updateLocked(r.Cluster, r.DNS.Query, now, func(a answers) answers {
			if a.own.IsZero() || r.Time.Before(a.own) {
				a.own = r.Time
			}
			return a
		})
	case six, r.DNS.RCode == noError && asksAAAA(r):
		m.updateLocked(r.Cluster, r.DNS.Query, now, func(a answers) answers { a.none = true; return a })
	}
}

// Response codes of RFC 1035 section 4.1.1.
const (
	noError    = 0
	noSuchName = 3
)

func asksAAAA(r *flow.Record) bool {
	return slices.ContainsFunc(r.DNS.Types.Get(), func(n flow.Name) bool { return n.String() == "AAAA" })
}

func isIPv6(a netip.Addr) bool { return a.Is6() && !a.Is4In6() }

// isMadeUp reports whether a DNS64 made up an address (RFC 6052, RFC 8215), as the table of names in ClickHouse has it.
func isMadeUp(a netip.Addr) bool { return wellKnown64.Contains(a) || local64.Contains(a) }

var wellKnown64, local64 = netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48")

// noticeLocked takes what a connection says of others.
func (m *memory) noticeLocked(c *flow.Connection, now time.Duration) {
	name := c.Destination.Name
	if c.Direction != flow.EgressDirection || name.IsZero() {
		return
	}
	if c.Class == flow.NAT64 {
		m.updateLocked(c.Cluster, name, now, func(a answers) answers { a.nat64 = true; return a })
	}
	if c.Family == flow.FamilyIPv6 && c.Outcome == flow.Denied {
		m.denyLocked(wish{whoseIs(c), name}, now)
	}
}

// causeLocked says why a connection was not made over IPv6, if it needed IPv4.
func (m *memory) causeLocked(j *Judged) Cause {
	if !j.needsIPv4() {
		return CauseUnknown
	}
	name, who := j.Destination.Name, whoseIs(j.Connection)
	said := m.answersLocked(j.Cluster, name)
	return CauseOf(j.Connection, Known{
		Denied: knows(m.young.denied, m.old.denied, wish{who, name}),
		NAT64:  said.nat64,
		Asks:   knows(m.young.askers, m.old.askers, who),
		AAAA:   !said.own.IsZero() && !said.own.After(j.Last),
		NoAAAA: said.none,
	})
}

func whoseIs(c *flow.Connection) workload {
	pod := c.Source.Endpoint.Get()
	return workload{c.Cluster, pod.Namespace, pod.Workload}
}

func knows[K comparable](young, old map[K]struct{}, k K) bool {
	_, ok := young[k]
	if !ok {
		_, ok = old[k]
	}
	return ok
}

func (m *memory) askLocked(who workload, now time.Duration) {
	if _, ok := m.young.askers[who]; !ok {
		m.roomLocked(len(m.young.askers), now)
		m.young.askers[who] = struct{}{}
	}
}

func (m *memory) denyLocked(what wish, now time.Duration) {
	if _, ok := m.young.denied[what]; !ok {
		m.roomLocked(len(m.young.denied), now)
		m.young.denied[what] = struct{}{}
	}
}

func (m *memory) answersLocked(cluster, name flow.Name) answers {
	q := questionOf(cluster, name)
	a, ok := m.young.names[q]
	if !ok {
		a = m.old.names[q]
	}
	return a
}

func (m *memory) updateLocked(cluster, name flow.Name, now time.Duration, change func(answers) answers) {
	q := questionOf(cluster, name)
	if len(q.name) > maxValue {
		return
	}
	a, ok := m.young.names[q]
	if !ok {
		m.roomLocked(len(m.young.names), now)
		a = m.old.names[q]
	}
	if changed := change(a); !ok || changed != a {
		m.young.names[q] = changed
	}
}

func questionOf(cluster, name flow.Name) question {
	return question{cluster, strings.ToLower(strings.TrimRight(name.String(), "."))}
}
