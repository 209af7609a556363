package kube

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// endpoint is a pod as Cilium tells of it, for where nobody else does.
type endpoint struct {
	namespace, pod string
	ips            []netip.Addr
	node           netip.Addr // an address of its node
	since          time.Time  // zero is since ever
}

func (s *state) takeEndpoint(at time.Time, o *CiliumEndpoint) error {
	n := o.Status.Networking
	e, err := s.endpoint("status.networking", o.called(), n.Addressing, n.Node)
	if err != nil {
		return err
	}
	e.since = o.Metadata.Created
	s.follow(at, s.endpoints.get(o.called()), &e)
	put(s, &s.endpoints, o.called(), e)
	return nil
}

// takeBatch takes the endpoints of a CiliumEndpointSlice, which does not tell since when they are there.
func (s *state) takeBatch(at time.Time, o *CiliumEndpointSlice) error {
	before := map[string]endpoint{}
	for _, e := range s.batches.get(o.called()) {
		before[e.pod] = e
	}
	batch := make([]endpoint, 0, len(o.Endpoints))
	for i, each := range o.Endpoints {
		n := each.Networking
		e, err := s.endpoint(fmt.Sprintf("endpoints[%d].networking", i), name{o.Namespace, each.Name}, n.Addressing, n.Node)
		if err != nil {
			return err
		}
		s.follow(at, before[e.pod], &e)
		delete(before, e.pod)
		batch = append(batch, e)
	}
	for _, gone := range before {
		s.leave(at, gone)
	}
	put(s, &s.batches, o.called(), batch)
	return nil
}

func (s *state) endpoint(field string, of name, addressing []AddressPair, node string) (endpoint, error) {
	e := endpoint{namespace: s.shared.text(of.namespace), pod: of.name}
	var err error
	add := func(field, text string) (addr netip.Addr) {
		if text != "" && err == nil {
			addr, err = parseAddr(field, text)
		}
		return addr
	}
	for i, pair := range addressing {
		for _, addr := range [...]netip.Addr{
			add(fmt.Sprintf("%s.addressing[%d].ipv4", field, i), pair.IPv4),
			add(fmt.Sprintf("%s.addressing[%d].ipv6", field, i), pair.IPv6),
		} {
			if addr.IsValid() {
				e.ips = appendNew(e.ips, addr)
			}
		}
	}
	e.node = add(field+".node", node)
	return e, err
}

// follow compares an endpoint with what was told of it before, which may be nothing. One that comes up later than the
// first list has its addresses since then.
func (s *state) follow(at time.Time, before endpoint, e *endpoint) {
	switch {
	case before.pod == "":
		if e.since.IsZero() && s.whole[KindEndpointBatch] {
			e.since = at
		}
	case slices.Equal(before.ips, e.ips):
		e.since = before.since
	default:
		s.leave(at, before)
		if !e.since.After(before.since) {
			e.since = at
		}
	}
}

// leave remembers an endpoint that is gone.
func (s *state) leave(at time.Time, e endpoint) {
	if len(e.ips) > 0 && !at.IsZero() {
		who := who{namespace: e.namespace, pod: e.pod, node: s.nodeOf(e.node), thin: true}
		who.zone, _ = s.topology(who.node)
		s.past.add(at, former{who: who, ips: e.ips, since: e.since, until: at})
	}
}

// nodeOf returns the name of the node with an address. Of few endpoints is it asked.
func (s *state) nodeOf(a netip.Addr) string {
	for _, t := range []table[node]{s.ciliumNodes, s.nodes} {
		for n, told := range t {
			if slices.Contains(told.object.addresses, a) {
				return n.name
			}
		}
	}
	return ""
}

// namespacePrefixed is the label of an identity that tells its pods' namespace.
const namespacePrefixed = "k8s:" + namespaceLabel

func (s *state) takeIdentity(o *CiliumIdentity) {
	put(s, &s.identities, o.called(), s.shared.text(strings.TrimSpace(o.Labels[namespacePrefixed])))
}
