package bucket

import (
	"net/netip"
	"time"

	"sextant/collector/flow"
)

// Told is what a service itself said of a limit, when it was asked from a node over a family.
type Told struct {
	Time    time.Time
	Service string // name of the limit
	Node    string
	Family  flow.Family   // in which it was asked: IPv6 though a NAT64 may have been on the way
	Every   time.Duration // how often it is asked

	Limit, Remaining uint32
	Window           time.Duration
	Limited          bool         // the question itself was refused as too many
	Prefix           netip.Prefix // by which it counts; not valid where it did not say
}

type asked struct {
	limit  *limit
	node   flow.Name
	family flow.Family
}

// mostTold bounds the answers that are remembered.
const mostTold = 1 << 16

// Probed takes what a service said. Until it is old it stands in place of what was assumed of the prefix of that node's
// address, and of what was counted for it. What cannot be is left out.
func (s *Stage) Probed(t Told) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.catalogue.byName[t.Service]
	if l == nil || t.Remaining > t.Limit || t.Limit == 0 && !t.Limited || t.Family != flow.FamilyIPv4 && t.Family != flow.FamilyIPv6 {
		return
	}
	if t.Prefix.IsValid() {
		t.Prefix = t.Prefix.Masked()
	}
	k := asked{l, s.names.Name(t.Node), t.Family}
	if before, ok := s.told[k]; ok && before.Time.After(t.Time) || !ok && len(s.told) >= mostTold {
		return
	}
	s.told[k] = t
	s.clock.hear(s, t.Time)
}

// fresh reports whether an answer still says something.
func (t *Told) fresh(l *limit, at time.Time) bool {
	age := at.Sub(t.Time)
	return age < l.Window && (t.Every <= 0 || age < 3*t.Every)
}

// probedLocked puts what the service said in place of what was assumed: the prefix it counts by for what leaves with the
// node's own address, or nobody knows which, and its length for what leaves with another.
func (s *Stage) probedLocked(l *limit, row *flow.Charge, p place, w way, family flow.Family) place {
	t, ok := s.told[asked{l, row.Node, family}]
	if !ok || !t.Prefix.IsValid() || !t.fresh(l, row.Time) {
		return p
	}
	own := row.Side == flow.SideHost || !w.address.IsValid() || w.is(s.facts.Load().address(row.Node, family))
	switch {
	case own, t.Prefix.Contains(w.address):
		return place{t.Prefix, flow.FamilyOf(t.Prefix.Addr()), flow.BucketProbed}
	case flow.FamilyOf(w.address) == flow.FamilyOf(t.Prefix.Addr()):
		if masked, err := w.address.Prefix(t.Prefix.Bits()); err == nil {
			p.prefix = masked
		}
	}
	return p
}

// answersLocked returns the newest answer for each bucket, and forgets those that are old.
func (s *Stage) answersLocked(at moment) map[key]Told {
	answers := map[key]Told{}
	facts := s.facts.Load()
	for k, t := range s.told {
		if !t.fresh(k.limit, at.time()) {
			delete(s.told, k)
			continue
		}
		p := place{prefix: t.Prefix, family: flow.FamilyOf(t.Prefix.Addr())}
		if !t.Prefix.IsValid() {
			var ok bool
			a := facts.address(k.node, k.family)
			if p, ok = k.limit.place(s.out(a, flow.Inferred, k.family, false)); !ok || !p.prefix.IsValid() {
				continue // nobody knows of which bucket it is
			}
		}
		cluster := s.cluster
		if facts != nil && !facts.Cluster.IsZero() {
			cluster = facts.Cluster
		}
		of := key{k.limit, cluster, p.prefix, p.family}
		if before, ok := answers[of]; !ok || before.Time.Before(t.Time) {
			answers[of] = t
		}
		h := s.held.hold(of, s.names)
		if t.Prefix.IsValid() {
			h.evidence = flow.BucketProbed
		} else {
			h.evidence = max(h.evidence, p.evidence)
		}
	}
	return answers
}
