package main

import (
	"net/netip"
	"time"

	"sextant/collector/flow"
)

// onlyAsk is a pod that asks for a name and does nothing with it that shows.
func (t *traffic) onlyAsk() {
	client := t.client()
	t.askFor(t.clock, client, pick(t, client.app.uses))
}

// askFor is a pod that asks for a host, and returns when it knows the answer. A name without the search domain before it is
// tried with that first, one time in three, and one time in three the cluster's DNS has to ask outside.
func (t *traffic) askFor(at time.Time, client *pod, h *host) time.Time {
	if t.rng.IntN(3) == 0 {
		searched := t.names.Name(h.name.String() + client.app.namespace + ".svc.cluster.local.")
		at = t.askBoth(at, client, searched, nil, nil, 3)
	}
	var v6, v4 []netip.Addr
	if h.ip.v6.IsValid() {
		v6 = []netip.Addr{h.ip.v6}
	}
	v4 = []netip.Addr{h.ip.v4}
	at = t.askBoth(at, client, h.name, v6, v4, 0)
	if t.rng.IntN(3) == 0 {
		p := t.new(t.peer(pick(t, t.dns.pods), false, 0), t.host(&t.resolver, false, 53, nil), false, flow.UDP)
		p.leave()
		t.exchange(at, p)
	}
	return at
}

// askBoth asks for both kinds of address, or for that alone which the program uses.
func (t *traffic) askBoth(at time.Time, client *pod, name flow.Name, v6, v4 []netip.Addr, code uint16) time.Time {
	later := t.ask(at, client, flow.DNS{Query: name, Types: t.types("A"), RCode: code, Answers: v4})
	if client.app.habit != bound {
		later = t.ask(at, client, flow.DNS{Query: name, Types: t.types("AAAA"), RCode: code, Answers: v6})
	}
	return later
}

func (t *traffic) types(name string) flow.Names {
	return t.names.Names([]flow.Name{t.names.Name(name)})
}

// ask is one question to the cluster's DNS.
func (t *traffic) ask(at time.Time, client *pod, answer flow.DNS) time.Time {
	v4 := client.app.habit == bound
	p := t.new(t.peer(client, v4, 0), t.peer(pick(t, t.dns.pods), v4, 53), v4, flow.UDP)
	p.service = netip.AddrPortFrom(t.dns.service.of(v4), 53)
	if client.app.filtered {
		p.egress = client.app.egress
		answer.Source = t.names.Name("proxy")
		question := flow.DNS{Query: answer.Query, Types: answer.Types, Source: answer.Source}
		if len(answer.Answers) > 0 {
			answer.TTL = 30
		}
		p.ask(uint16(30_000+client.node.index), question, answer, uint64(200_000+t.rng.IntN(3_000_000)))
	} else {
		p.cross()
	}
	return t.exchange(at, p)
}
