package verdict

import (
	"net/netip"

	"sextant/collector/flow"
)

// masquerade finds what the settings say of a pod's connection that leaves its node. The rules then decide in the order
// in which the datapath does (bpf/lib/nat.h, __snat_v6_needs_masquerade; pkg/datapath/iptables/iptables.go,
// installMasqueradeRules).
func (s *sight) masquerade(f *Facts) {
	s.node = s.decider(f)
	if s.node == nil {
		return
	}
	s.signs |= nodeKnown
	set := &s.node.settings
	to := s.to.IP

	s.put(chained, set.Chained == flow.Yes)
	masq, exclude := set.of(s.family)
	s.ask(masqYes, masqNo, masq)
	s.ask(byBPF, byIptables, set.BPFMasquerade)
	if s.signs&toOutside != 0 { // what stays in the cluster goes through no gateway
		s.policy = f.policy(s.from.IP, to)
		s.put(gateway, s.policy != nil && set.EgressGateway != flow.No)
		s.put(gatewayYes, set.EgressGateway == flow.Yes)
		s.put(gatewayBlind, set.EgressGateway == flow.Yes && len(f.policies) == 0)
	}
	s.put(excludeKnown, exclude.Known)
	s.put(excluded, contains(exclude.List, to))
	if set.BPFMasquerade != flow.No { // it is part of BPF masquerade
		agent := set.IPMasqAgent
		s.put(agentUnknown, agent == flow.Unknown || agent == flow.Yes && !set.NonMasquerade.Known)
		s.put(spared, agent == flow.Yes && contains(set.NonMasquerade.List, to))
	}
	s.ask(remoteYes, remoteNo, set.RemoteNodeMasquerade)
	s.ask(tunnelYes, tunnelNo, set.Tunnel)
	s.put(somePorts, len(set.MasqueradeInterfaces) > 0 && set.BPFMasquerade != flow.Yes)
	s.put(ulaOut, s.from.Kind == flow.KindULA && routable(s.to.Kind))
}

// of returns whether a family is masqueraded, and what is spared.
func (s *Settings) of(family flow.Family) (masquerade flow.Tristate, spared *CIDRs) {
	if family == flow.FamilyIPv4 {
		return s.MasqueradeIPv4, &s.NativeRoutingIPv4
	}
	return s.MasqueradeIPv6, &s.NativeRoutingIPv6
}

// masquerades reports whether a node may masquerade to an address, as far as the family and the native-routing prefixes
// tell.
func (s *Settings) masquerades(family flow.Family, to netip.Addr) bool {
	masquerade, spared := s.of(family)
	return masquerade != flow.No && !contains(spared.List, to)
}

// decider returns the node of the pod that began, nil where that is not known.
func (s *sight) decider(f *Facts) *node {
	if s.from.local {
		return f.node(s.Record)
	}
	return s.from.at().node
}

// routable reports whether an IPv6 kind is one that somebody far away may have. The documentation prefix stands for such
// addresses in tests and examples.
func routable(kind flow.AddressKind) bool {
	switch kind {
	case flow.KindGUA, flow.KindDocumentation, flow.Kind6to4, flow.KindTeredo:
		return true
	}
	return false
}

// leavesNative reports whether a pod's connection to a pod on another node leaves its own without a tunnel, and may be
// masqueraded on the way. Only the pod's own node sees that: where the packet arrives, its source tells.
func (s *sight) leavesNative(f *Facts) bool {
	if f == nil || !s.from.local || s.to.local {
		return false
	}
	n := f.node(s.Record)
	return n != nil && n.settings.Tunnel == flow.No && s.to.at().node != n && n.settings.masquerades(s.family, s.to.IP)
}

// isEgressIP reports whether one of the policies for a source has the egress IP. It may be a node's own address, too.
func (f *Facts) isEgressIP(source, a netip.Addr) bool {
	if f == nil {
		return false
	}
	for _, policy := range f.policies[source] {
		for _, ip := range policy.EgressIPs {
			if plain(ip) == a {
				return true
			}
		}
	}
	return false
}

// egressIP returns the address of a family that a policy's traffic leaves with, where one alone can be meant.
func (p *EgressPolicy) egressIP(family flow.Family) netip.Addr {
	var found netip.Addr
	for _, a := range p.EgressIPs {
		if a = plain(a); a.Is4() == (family == flow.FamilyIPv4) {
			if found.IsValid() && found != a {
				return netip.Addr{}
			}
			found = a
		}
	}
	return found
}
