package flow

// Ends returns the ends of the connection that a flow belongs to, who began it first, and whether that is known. Hubble's
// reply bit tells where it is set (trace events with a connection tracking result, allowed policy verdicts, L7); else the
// TCP handshake does, the socket load-balancer's direction, or the masquerade of a forward packet. A flow of which nobody
// knows is returned as it went.
func (r *Record) Ends() (initiator, responder *End, known bool) {
	forward, known := r.forward()
	if known && !forward {
		return &r.Destination, &r.Source, true
	}
	return &r.Source, &r.Destination, known
}

func (r *Record) forward() (forward, known bool) {
	switch {
	case r.IsReply == No:
		return true, true
	case r.IsReply == Yes:
		return false, true
	case r.Protocol == TCP && r.TCPFlags&SYN != 0:
		return r.TCPFlags&ACK == 0, true
	case r.SocketPoint == SocketPreForward || r.SocketPoint == SocketPostForward:
		return true, true
	case r.SocketPoint == SocketPreReverse || r.SocketPoint == SocketPostReverse:
		return false, true
	case r.EventType == EventPolicyVerdict: // a denied one: policy is asked about what begins
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
