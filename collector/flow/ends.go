package flow

// Ends returns the ends of the connection that a flow belongs to, who began it first, and whether that is known. Hubble's
// reply bit tells where it is set (trace events with a connection tracking result, allowed policy verdicts, L7); else the
// TCP handshake does, the socket load-balancer's direction, the masquerade of a forward packet, or policy, which is only
// asked about what begins. A flow of which nobody knows is returned as it went.
func (r *Record) Ends() (initiator, responder *End, known bool) {
	forward, known := r.forward()
	if known && !forward {
		return &r.Destination, &r.Source, true
	}
	return &r.Source, &r.Destination, known
}

func (r *Record) forward() (forward, known bool) {
	switch {
	case r.TraceReason == ReasonRelated || r.icmpError(): // answers a packet of either side
		return true, false
	case r.IsReply == No:
		return true, true
	case r.IsReply == Yes:
		return false, true
	case r.Protocol == TCP && r.TCPFlags&SYN != 0:
		return r.TCPFlags&ACK == 0, true
	case r.SocketPoint == SocketPreForward || r.SocketPoint == SocketPostForward:
		return true, true
	case r.SocketPoint != SocketNone: // comes with every datagram received, of whoever began (bpf/bpf_sock.c, __sock6_xlate_rev)
		return true, false
	case r.EventType == EventPolicyVerdict, r.EventType == EventDrop && r.policyDenied():
		return true, true
	case r.Protocol == ICMPv6 && r.ICMPType == 128, r.Protocol == ICMP && r.ICMPType == 8: // echo request
		return true, true
	case r.Protocol == ICMPv6 && r.ICMPType == 129, r.Protocol == ICMP && r.ICMPType == 0: // echo reply
		return false, true
	case r.SourceTranslatedIP.IsValid() && (r.ObservationPoint == ToNetwork || r.ObservationPoint == ToOverlay || r.ObservationPoint == ToCrypto):
		return true, true // Cilium masquerades forward packets alone (bpf/lib/nat.h, SCOPE_FORWARD)
	}
	return true, false
}

// policyDenied reports whether policy is why the packet was dropped: denied, denied by a deny rule, or not authenticated
// (pkg/monitor/api/drop.go).
func (r *Record) policyDenied() bool {
	return r.DropCode == 133 || r.DropCode == 181 || r.DropCode == 189
}

func (r *Record) icmpError() bool {
	switch r.Protocol {
	case ICMPv6: // RFC 4443 section 2.1
		return r.ICMPType < 128
	case ICMP: // RFC 792
		return r.ICMPType == 3 || r.ICMPType == 4 || r.ICMPType == 5 || r.ICMPType == 11 || r.ICMPType == 12
	}
	return false
}
