package kube

import (
	"net/netip"

	"sextant/collector/flow"
)

// socket is an address and port at which something is served.
type socket struct {
	addr     netip.Addr
	port     uint16 // 0 is every port
	protocol flow.Protocol
}

// served is whose a socket is. Without a name it is of several services.
type served struct {
	service  flow.Name
	evidence flow.Evidence // observed at a frontend, inferred at an endpoint
}

// addServices adds where services are served.
func (b *builder) addServices() {
	sockets := 0
	for _, told := range b.state.services {
		s := &told.object
		sockets += (len(s.cluster) + len(s.external) + len(s.balancers)) * len(s.ports)
	}
	for _, told := range b.slices {
		sockets += len(told.object.endpoints) * len(told.object.ports)
	}
	b.x.sockets, b.x.nodePorts = make(map[socket]served, sockets), map[socket]flow.Name{}
	shared := map[netip.Addr]bool{}
	for n, told := range b.state.services {
		s, of := &told.object, b.names.Name(n.String())
		for _, addrs := range [...][]netip.Addr{s.cluster, s.external, s.balancers} {
			for _, a := range addrs {
				b.addFrontend(a, of, s.ports, shared)
			}
		}
		for _, p := range s.ports {
			if p.nodePort == 0 {
				continue
			}
			key := socket{port: p.nodePort, protocol: p.protocol}
			if other, ok := b.x.nodePorts[key]; ok && other != of {
				b.x.nodePorts[key] = flow.Name{}
			} else {
				b.x.nodePorts[key] = of
			}
		}
	}
	for n, told := range b.slices {
		if told.object.service == "" {
			continue
		}
		of := b.names.Name(name{n.namespace, told.object.service}.String())
		for _, e := range told.object.endpoints {
			b.spot(e.addr, func(s *spot) { s.serves = true })
			for _, p := range told.object.ports {
				b.claimSocket(socket{e.addr, p.port, p.protocol}, served{of, flow.Inferred})
			}
		}
	}
}

// addFrontend gives an address to a service, unless another has it, too; its ports then tell which. The address of a node
// is a service's at its ports alone.
func (b *builder) addFrontend(a netip.Addr, of flow.Name, ports []servicePort, shared map[netip.Addr]bool) {
	b.spot(a, func(s *spot) {
		s.serves = true
		switch {
		case s.node != nil || shared[a] || s.service == of:
		case s.service.IsZero():
			s.service = of
		default:
			s.service, shared[a] = flow.Name{}, true
		}
	})
	for _, p := range ports {
		b.claimSocket(socket{a, p.port, p.protocol}, served{of, flow.Observed})
	}
}

// claimSocket gives a socket to a service, or to nobody where another claims it as well. A frontend goes before endpoints.
func (b *builder) claimSocket(key socket, by served) {
	other, ok := b.x.sockets[key]
	switch {
	case !ok || other.evidence < by.evidence:
	case other.evidence > by.evidence || other == by:
		return
	default:
		by.service = flow.Name{}
	}
	b.x.sockets[key] = by
}

// served returns the service of a socket: of a frontend at its port, or whatever the port where the address is its alone
// (ICMP has none), or at a port of every node; else the one that alone has an endpoint there.
func (x *Index) served(at *spot, key socket) (flow.Name, flow.Evidence) {
	var found served
	var ok bool
	if at.serves {
		if found, ok = x.sockets[key]; found.evidence == flow.Observed {
			return found.told()
		}
	}
	if at.node != nil {
		if service := x.nodePorts[socket{port: key.port, protocol: key.protocol}]; !service.IsZero() {
			return service, flow.Observed
		}
	}
	if !at.service.IsZero() {
		return at.service, flow.Observed
	}
	if at.serves && key.port != 0 {
		key.port = 0
		switch any, anyPort := x.sockets[key]; {
		case !anyPort:
		case !ok:
			found = any
		case found.service != any.service:
			found.service = flow.Name{}
		}
	}
	return found.told()
}

func (s served) told() (flow.Name, flow.Evidence) {
	if s.service.IsZero() {
		return flow.Name{}, flow.EvidenceNone
	}
	return s.service, s.evidence
}
