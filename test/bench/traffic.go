package main

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"sextant/collector/flow"
)

// traffic is what a cluster's agents tell as time goes by. The same seed gives the same flows.
type traffic struct {
	*cluster
	rng     *rand.Rand
	clock   time.Time     // when the next thing is done
	step    time.Duration // mean time between two
	coming  events
	spare   []*flow.Record
	made    uint64
	port    uint16
	path    path // of the connection that is being made
	words   words
	popular *rand.Zipf // of apps
	known   *rand.Zipf // of visitors

	connections int // that showed
	beats       time.Time
	gap         time.Time
	pull        time.Time
}

// newTraffic returns traffic of about so many flows a second.
func newTraffic(names *flow.Interner, seed uint64, begin time.Time, s size, perSecond int) *traffic {
	rng := rand.New(rand.NewPCG(seed, 0))
	t := &traffic{
		cluster: newCluster(rng, names, s), rng: rng, clock: begin, step: perDeed * time.Second / time.Duration(perSecond),
		words: words{names.Name("eth0"), names.Name("cilium_vxlan"), names.Name("POLICY_DENIED")},
		beats: begin, gap: begin, pull: begin,
	}
	t.popular, t.known = rand.NewZipf(rng, 1.1, 8, uint64(s.apps-1)), rand.NewZipf(rng, 1.1, 50, uint64(s.visitors-1))
	return t
}

// perDeed is how many flows a deed makes, measured.
const perDeed = 16

// deeds are what happens in the cluster, and how often of a thousand times. They are the recorded cluster's connections
// (deploy/demo) in round numbers, with two changes: it asks its DNS for every connection, where programs here remember
// answers, and it has no kubelet, whose probes no cluster lacks.
var deeds = []struct {
	often int
	do    func(*traffic)
}{
	{300, (*traffic).callWorld},
	{330, (*traffic).callPod},
	{70, (*traffic).onlyAsk},
	{120, (*traffic).probe},
	{80, (*traffic).visit},
	{35, (*traffic).nodeOwn},
	{10, (*traffic).watch},
	{15, (*traffic).ping},
	{20, (*traffic).denied},
	{5, (*traffic).fallBack},
	{15, (*traffic).neighbours},
}

// fill adds n flows in the order of their time.
func (t *traffic) fill(b *flow.Batch, n int) {
	for range n {
		for t.coming.Len() == 0 || t.clock.Before(t.coming[0].at) {
			t.deed()
			t.clock = t.clock.Add(time.Duration(t.rng.ExpFloat64() * float64(t.step)))
		}
		t.next(b)
	}
	t.others(b)
}

// end adds the flows of what is under way. Nothing new begins.
func (t *traffic) end(b *flow.Batch) {
	for t.coming.Len() > 0 {
		t.next(b)
	}
}

func (t *traffic) next(b *flow.Batch) {
	e := heap.Pop(&t.coming).(event)
	r := b.Next()
	*r = *e.record
	r.Time = e.at
	binary.BigEndian.PutUint64(r.UUID[:8], t.rng.Uint64())
	binary.BigEndian.PutUint64(r.UUID[8:], t.rng.Uint64())
	t.spare = append(t.spare, e.record)
}

func (t *traffic) deed() {
	n := t.rng.IntN(1000)
	for _, d := range deeds {
		if n -= d.often; n < 0 {
			d.do(t)
			return
		}
	}
}

// new begins a path.
func (t *traffic) new(from, to peer, v4 bool, protocol flow.Protocol) *path {
	opens, out, back := t.path.opens[:0], t.path.out[:0], t.path.back[:0]
	t.path = path{from: from, to: to, v4: v4, protocol: protocol, cluster: t.name, words: &t.words, opens: opens, out: out, back: back}
	return &t.path
}

// peer is a pod, as an end of a connection with a new port, or with the given one.
func (t *traffic) peer(p *pod, v4 bool, port uint16) peer {
	return peer{ip: p.ip.of(v4), port: t.portOr(port), node: p.node, here: p.here, away: p.away, veth: p.veth}
}

// host is somebody in the world. Only programs whose DNS goes through the proxy are told by name.
func (t *traffic) host(h *host, v4 bool, port uint16, to *app) peer {
	p := peer{ip: h.ip.of(v4), port: t.portOr(port), away: h.who}
	if to != nil && to.filtered && to.habit != literal {
		p.names = h.names
	} else {
		p.away = t.world(v4)
	}
	return p
}

func (t *traffic) world(v4 bool) flow.Ref[flow.Endpoint] {
	return t.names.Endpoint(flow.Endpoint{Identity: map[bool]uint32{true: 9, false: 10}[v4]})
}

func (t *traffic) portOr(port uint16) uint16 {
	if port != 0 {
		return port
	}
	t.port = (t.port + uint16(1+t.rng.IntN(9))) % 28_232
	return 32_768 + t.port
}

// client is a pod of an app that many talk to, too: busy ones are busy in both ways.
func (t *traffic) client() *pod { return pick(t, t.apps[t.popular.Uint64()].pods) }

func pick[T any](t *traffic, list []T) T { return list[t.rng.IntN(len(list))] }

// chance is true in so many of a hundred cases.
func (t *traffic) chance(percent int) bool { return t.rng.IntN(100) < percent }

// put schedules what one packet makes, where it shows.
func (t *traffic) put(at time.Time, views []flow.Record, flags flow.TCPFlags, first bool) {
	for i := range views {
		at = at.Add(time.Duration(3_000 + t.rng.IntN(12_000)))
		if i > 0 && views[i].Node != views[i-1].Node {
			at = at.Add(time.Duration(50_000 + t.rng.IntN(150_000)))
		}
		if views[i].L7Type == flow.L7Response {
			at = at.Add(100 * time.Microsecond)
		}
		var r *flow.Record
		if last := len(t.spare) - 1; last >= 0 {
			r, t.spare = t.spare[last], t.spare[:last]
		} else {
			r = new(flow.Record)
		}
		*r = views[i]
		r.TCPFlags = flags
		if r.TraceReason == flow.ReasonNew && !first {
			r.TraceReason = flow.ReasonEstablished
		}
		t.made++
		heap.Push(&t.coming, event{at, t.made, r})
	}
}

type event struct {
	at     time.Time
	order  uint64
	record *flow.Record
}

// events are a heap.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(v any)   { *e = append(*e, v.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	v := (*e)[last]
	*e = (*e)[:last]
	return v
}
