package verdict

import "sextant/collector/flow"

// noiseOf splits off what hosts and routers say for the network's own upkeep.
//
// IPv4 link-local addresses are no noise: cloud metadata, node-local DNS caches and CNIs live there.
func noiseOf(r *flow.Record) flow.Noise {
	if !r.Source.IP.IsValid() && !r.Destination.IP.IsValid() {
		if r.Protocol == flow.ProtocolUnknown && r.EventType != flow.EventL7 && r.EventType != flow.EventSock {
			return flow.NoiseARP // Hubble gives no addresses for frames that are not IP
		}
		return flow.NoiseNone
	}
	if r.Protocol == flow.ICMPv6 {
		switch r.ICMPType {
		case 130, 131, 132, 143: // RFC 2710, RFC 3810
			return flow.NoiseMLD
		case 133, 134: // RFC 4861 section 4
			return flow.NoiseRSRA
		case 135:
			if r.Source.IP.IsUnspecified() { // RFC 4862 section 5.4.2
				return flow.NoiseDAD
			}
			return flow.NoiseNDP
		case 136, 137:
			return flow.NoiseNDP
		}
	}
	switch {
	case manyListen(r.Destination.Kind) || manyListen(r.Source.Kind):
		return flow.NoiseMulticast
	case onLink6(&r.Source) || onLink6(&r.Destination):
		return flow.NoiseLinkLocal
	}
	return flow.NoiseNone
}

func manyListen(kind flow.AddressKind) bool {
	return kind == flow.KindMulticast || kind == flow.KindBroadcast
}

// onLink6 reports whether an end has an IPv6 address that no router forwards (RFC 4291 section 2.5.6).
func onLink6(e *flow.End) bool { return e.IP.Is6() && e.IP.IsLinkLocalUnicast() }

// staysOnLink reports whether no router forwards a record that is noise of some kind: neighbour and router discovery say
// so by their hop limit of 255 (RFC 4861 section 3.1), MLD by one of 1 (RFC 3810 section 5), the others by address.
func staysOnLink(r *flow.Record) bool {
	switch r.Noise {
	case flow.NoiseNDP, flow.NoiseRSRA, flow.NoiseDAD, flow.NoiseMLD, flow.NoiseLinkLocal:
		return true
	case flow.NoiseMulticast:
		return onLink6(&r.Source) || r.Destination.IP.IsLinkLocalMulticast() || r.Destination.Kind == flow.KindBroadcast
	}
	return false
}
