package main

import (
	"net/netip"
	"time"

	"sextant/collector/flow"
)

// callWorld is a pod that speaks to a host of the world over TLS.
func (t *traffic) callWorld() {
	client := t.client()
	h := pick(t, client.app.uses)
	v4 := t.choose(client.app, h)
	at := t.clock
	if client.app.habit != literal && t.chance(25) {
		at = t.askFor(at, client, h)
	}
	if h.trouble != fine && !v4 {
		v4 = true // its program has learnt
	}
	p := t.outward(client, h, v4)
	t.speak(at, p)
}

// outward is the way from a pod to a host.
func (t *traffic) outward(client *pod, h *host, v4 bool) *path {
	p := t.new(t.peer(client, v4, 0), t.host(h, v4, 443, client.app), v4, flow.TCP)
	if client.app.filtered {
		p.egress = client.app.egress
	}
	p.leave()
	return p
}

// choose says whether an app takes IPv4 to a host.
func (t *traffic) choose(a *app, h *host) bool {
	switch a.habit {
	case either:
		return !h.ip.v6.IsValid() || t.chance(50)
	case bound, literal:
		return true
	}
	return !h.ip.v6.IsValid()
}

// callPod is a pod that speaks to another one, through a service.
func (t *traffic) callPod() {
	client := t.client()
	to := pick(t, client.app.calls)
	v4 := to.single || client.app.habit == bound || client.app.habit == literal || client.app.habit == either && t.chance(50)
	at := t.clock
	if t.chance(10) {
		v6 := []netip.Addr{to.service.v6}
		if to.single {
			v6 = nil
		}
		at = t.askBoth(at, client, to.name, v6, []netip.Addr{to.service.v4}, 0)
	}
	p := t.new(t.peer(client, v4, 0), t.peer(pick(t, to.pods), v4, 8080), v4, flow.TCP)
	p.service = netip.AddrPortFrom(to.service.of(v4), 80)
	if client.app.filtered {
		p.egress = client.app.egress
	}
	if to.filtered {
		p.ingress = to.ingress
	}
	p.cross()
	t.speak(at, p)
}

// probe is a kubelet that asks a pod whether it is well.
func (t *traffic) probe() {
	pod := t.client()
	v4 := t.chance(10)
	p := t.new(peer{ip: pod.node.router.of(v4), port: t.portOr(0), node: pod.node, here: pod.node.here}, t.peer(pod, v4, 8080), v4, flow.TCP)
	p.probe()
	t.tcp(t.clock, p, brief)
}

// visit is somebody in the world who comes to a pod.
func (t *traffic) visit() {
	to := t.client()
	h := &t.visitors[t.known.Uint64()]
	v4 := t.chance(55)
	from := t.host(h, v4, 0, nil)
	p := t.new(from, t.peer(to, v4, 8080), v4, flow.TCP)
	if to.app.filtered {
		p.ingress = to.app.ingress
	}
	p.enter()
	t.speak(t.clock, p)
}

// nodeOwn is a node that pulls an image, or asks for a name.
func (t *traffic) nodeOwn() {
	n := pick(t, t.nodes)
	from := peer{ip: n.ip.v6, port: t.portOr(0), node: n, here: n.here}
	if t.chance(50) {
		p := t.new(from, t.host(&t.resolver, false, 53, nil), false, flow.UDP)
		p.own()
		t.exchange(t.clock, p)
		return
	}
	p := t.new(from, t.host(t.hosts[t.rng.IntN(5)], false, 443, nil), false, flow.TCP)
	p.own()
	t.speak(t.clock, p)
}

// watch is a controller that watches the API server, on a node with the host's network.
func (t *traffic) watch() {
	client := t.client()
	server := t.nodes[t.rng.IntN(3)]
	p := t.new(t.peer(client, false, 0), peer{ip: server.ip.v6, port: 6443, away: t.names.Endpoint(flow.Endpoint{Identity: 7})}, false, flow.TCP)
	p.leave()
	t.tcp(t.clock, p, kept)
}

// ping is a pod that pings another.
func (t *traffic) ping() {
	client, to := t.client(), t.client()
	v4 := t.chance(20)
	protocol := flow.ICMPv6
	if v4 {
		protocol = flow.ICMP
	}
	p := t.new(t.peer(client, v4, 1), t.peer(to, v4, 1), v4, protocol)
	p.from.port, p.to.port = 0, 0
	p.cross()
	t.exchange(t.clock, p)
}

// denied is a pod that speaks to whom a policy forbids it to, and tries again.
func (t *traffic) denied() {
	client := t.client()
	v4 := t.chance(40)
	if t.chance(60) {
		p := t.new(t.peer(client, v4, 0), t.host(pick(t, client.app.uses), v4, 443, client.app), v4, flow.TCP)
		if !p.to.ip.IsValid() {
			return
		}
		p.deny(client.node, flow.Egress)
		t.retry(t.clock, p)
		return
	}
	to := pick(t, pick(t, t.apps).pods)
	p := t.new(t.peer(client, v4, 0), t.peer(to, v4, 8080), v4, flow.TCP)
	p.carry(false)
	p.out = p.out[:len(p.out)-1] // it does not arrive
	p.deny(to.node, flow.Ingress)
	t.retry(t.clock, p)
}

// fallBack is a pod whose IPv6 to a host fails, and that takes IPv4 then: at once when it is refused, and otherwise after
// as long as the program waits, between happy eyeballs' quarter of a second and a timeout.
func (t *traffic) fallBack() {
	client := t.client()
	if client.app.habit == bound || client.app.habit == literal {
		return
	}
	h := t.hosts[24+50*t.rng.IntN(max(1, len(t.hosts)/50/20))] // 24 refuses
	if t.chance(40) {
		h = t.hosts[45+50*t.rng.IntN(max(1, len(t.hosts)/50/20))]
	}
	at := t.askFor(t.clock, client, h)
	p := t.outward(client, h, false)
	later := at.Add(time.Duration(1+t.rng.IntN(4)) * time.Millisecond)
	if h.trouble == refuses {
		t.tcp(at, p, refused)
	} else {
		t.tcp(at, p, unanswered)
		later = at.Add([]time.Duration{250 * time.Millisecond, time.Second, 3 * time.Second}[t.rng.IntN(3)])
	}
	t.speak(later, t.outward(client, h, true))
}

// neighbours is what IPv6 and Ethernet say for their own upkeep, as far as low aggregation shows it.
func (t *traffic) neighbours() {
	n, other := pick(t, t.nodes), pick(t, t.nodes)
	if !n.bpf {
		return
	}
	link := addr6(0xfe80000000000000, uint64(n.index)+1)
	p := t.new(peer{ip: link, node: n, here: n.here}, peer{ip: other.ip.v6, node: other, away: other.away}, false, flow.ICMPv6)
	r := p.trace(n, flow.ToNetwork, flow.ReasonUnknown, t.words.eth0, false)
	r.ICMPType = 135
	if t.chance(10) { // ARP has no addresses that Hubble reads
		r.Family, r.Protocol, r.ICMPType, r.Source, r.Destination = flow.FamilyNone, flow.ProtocolUnknown, 0, flow.End{}, flow.End{}
	}
	t.put(t.clock, []flow.Record{r}, 0, true)
}
