package bucket

import (
	"maps"
	"net/netip"
	"slices"

	"sextant/collector/flow"
)

// match is what a name was found to be. Nearly all names are no service's that limits: that must cost one look.
type match struct {
	name   flow.Name
	target *target
}

// nameLocked returns what a DNS name is, nil for one that the catalogue does not know.
func (s *Stage) nameLocked(name flow.Name) *target {
	m := &s.known[name.Number()%uint32(len(s.known))]
	if m.name != name {
		*m = match{name, s.catalogue.hosts.find(name.String())}
	}
	return m.target
}

// socket is where a service answers.
type socket = netip.AddrPort

func socketOf(e *flow.End) socket { return netip.AddrPortFrom(e.IP, e.Port) }

// lessons are what connections with names teach of those without.
type lessons struct {
	sockets recent[socket, *target]
	waiting []flow.Connection // of nodes, to where nobody knows yet what is there
	next    int               // in waiting
}

// copy returns some that can be added to and leave these as they are.
func (l *lessons) copy() lessons {
	c := *l
	c.sockets.young = maps.Clone(l.sockets.young) // the old ones never change
	c.waiting = slices.Clone(l.waiting)
	return c
}

// several stands for sockets that are reached under names of different kinds, as those of a CDN: nothing follows from them.
var several = &target{}

// learnLocked remembers which service answers at a connection's address and port, and charges those that went there before
// anybody knew.
func (s *Stage) learnLocked(b *flow.Batch, c *flow.Connection) {
	if c.Destination.Name.IsZero() || !leaves(c) {
		return
	}
	at := socketOf(&c.Destination)
	t := s.nameLocked(c.Destination.Name)
	before, known := s.sockets.get(at)
	switch {
	case !known && t == nil, known && (before == t || before == several):
		return
	case known:
		s.sockets.put(at, several)
		return
	}
	s.sockets.put(at, t)
	for i := range s.waiting {
		if w := &s.waiting[i]; socketOf(&w.Destination) == at {
			s.chargeConnectionLocked(b, w, t)
			*w = flow.Connection{}
		}
	}
}

// mostWaiting bounds the connections of nodes that wait for their address to be known.
const mostWaiting = 1 << 11

// ofLocked returns what a connection goes to, nil where nothing limits it.
func (s *Stage) ofLocked(c *flow.Connection) *target {
	if !c.Destination.Name.IsZero() {
		if t := s.nameLocked(c.Destination.Name); t != nil {
			return t
		}
	}
	a := c.Destination.IP
	if c.EmbeddedIPv4.IsValid() {
		a = c.EmbeddedIPv4
	}
	if t := s.catalogue.at(a); t != nil {
		return t
	}
	if !c.Destination.Name.IsZero() {
		return nil
	}
	t, known := s.sockets.get(socketOf(&c.Destination))
	if !known && ofHost(c) {
		if len(s.waiting) < mostWaiting {
			s.waiting = append(s.waiting, *c)
		} else {
			s.waiting[s.next] = *c
			s.next = (s.next + 1) % mostWaiting
		}
	}
	return t
}

// leaves reports whether a connection goes out of the cluster and can be a use of a service there.
func leaves(c *flow.Connection) bool {
	if c.Direction != flow.EgressDirection && c.Direction != flow.UnknownDirection {
		return false
	}
	return c.Protocol == flow.TCP || c.Protocol == flow.UDP || c.Protocol == flow.SCTP
}

// ofHost reports whether a node itself began a connection.
func ofHost(c *flow.Connection) bool {
	return c.Source.Side == flow.SideHost || c.Source.Side == flow.SideRemoteNode
}
