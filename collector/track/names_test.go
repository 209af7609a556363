package track_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/track"
)

// namesRig makes flows and puts them through Names one by one.
type namesRig struct {
	intern *flow.Interner
	names  *track.Names
	keep   time.Duration
	told   []netip.Prefix
}

func newNamesRig(change func(*track.NamesConfig)) *namesRig {
	rig := &namesRig{intern: flow.NewInterner()}
	cfg := track.DefaultNames()
	cfg.OnPrefix = func(p netip.Prefix) { rig.told = append(rig.told, p) }
	if change != nil {
		change(&cfg)
	}
	rig.keep = cfg.Keep
	rig.names = track.NewNames(rig.intern, cfg)
	return rig
}

// namesEpoch is second 0 of these tests.
var namesEpoch = time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)

func namesTime(second float64) time.Time {
	return namesEpoch.Add(time.Duration(second * float64(time.Second)))
}

// pod is the endpoint of "namespace/pod", or of the cluster's "cluster:namespace/pod". The ID and labels are what changes
// between two nodes' views of it.
func (rig *namesRig) pod(name string, id uint32) flow.Ref[flow.Endpoint] {
	ep := flow.Endpoint{ID: id, Identity: 10}
	if cluster, rest, ok := strings.Cut(name, ":"); ok {
		ep.Cluster, name = rig.intern.Name(cluster), rest
	}
	if namespace, pod, ok := strings.Cut(name, "/"); ok {
		ep.Identity, ep.Namespace, ep.Pod = 4711, rig.intern.Name(namespace), rig.intern.Name(pod)
		ep.Labels = rig.intern.Names([]flow.Name{rig.intern.Name(fmt.Sprint("seen-as=", id))})
	}
	return rig.intern.Endpoint(ep)
}

func (rig *namesRig) process(r flow.Record) flow.Record {
	b := flow.Batch{Records: []flow.Record{r}}
	rig.names.Process(&b)
	return b.Records[0]
}

// answer is a DNS answer that reaches a pod. Data are addresses; a bare word among them is a CNAME.
func (rig *namesRig) answer(second float64, pod, query, kind string, ttl, rcode uint, data ...string) flow.Record {
	r := flow.Record{
		Time: namesTime(second), EventType: flow.EventL7, L7Type: flow.L7Response, IsReply: flow.Yes, Verdict: flow.Forwarded,
		Source:      flow.End{IP: netip.MustParseAddr("2001:db8:ffff::53"), Port: 53, Endpoint: rig.pod("", 0)},
		Destination: flow.End{IP: netip.MustParseAddr("fd10::1"), Port: 40000, Endpoint: rig.pod(pod, 7)},
		DNS: flow.DNS{
			Query: rig.intern.Name(query), Types: rig.intern.Names([]flow.Name{rig.intern.Name(kind)}),
			RCode: uint16(rcode), TTL: uint32(ttl),
		},
	}
	var chain []flow.Name
	for _, d := range data {
		if a, err := netip.ParseAddr(d); err == nil {
			r.DNS.Answers = append(r.DNS.Answers, a)
		} else {
			chain = append(chain, rig.intern.Name(d))
		}
	}
	r.DNS.CNAMEs = rig.intern.Names(chain)
	return r
}

// learn puts an answer through.
func (rig *namesRig) learn(second float64, pod, query, kind string, ttl uint, data ...string) {
	rig.process(rig.answer(second, pod, query, kind, ttl, 0, data...))
}

// packet is a flow from a pod to an address, as a node that has given the pod this ID sees it.
func (rig *namesRig) packet(second float64, pod string, id uint32, address string, hubble ...string) flow.Record {
	var list []flow.Name
	for _, h := range hubble {
		list = append(list, rig.intern.Name(h))
	}
	return flow.Record{
		Time: namesTime(second), EventType: flow.EventTrace, IsReply: flow.No, Protocol: flow.TCP, TCPFlags: flow.SYN,
		Source:      flow.End{IP: netip.MustParseAddr("fd10::1"), Port: 40001, Endpoint: rig.pod(pod, id)},
		Destination: flow.End{IP: netip.MustParseAddr(address), Port: 443, Endpoint: rig.pod("", 0), Names: rig.intern.Names(list)},
	}
}

// named is a flow's destination name as "name source age".
func (rig *namesRig) named(second float64, pod string, id uint32, address string, hubble ...string) string {
	r := rig.process(rig.packet(second, pod, id, address, hubble...))
	return namesText(r.Destination)
}

func namesText(e flow.End) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %d", e.Name, e.NameSource, e.NameAge))
}

func TestNames(t *testing.T) {
	t.Parallel()
	const nothing = "none 0"
	long := strings.Repeat("a", 2000)
	for _, c := range []struct {
		what string
		do   func(*namesRig) string
		want string
	}{
		{"the name asked for, without dot", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "www.example.com.", "AAAA", 30, "2001:db8::1", "2001:db8::2")
			return rig.named(12.9, "shop/web", 7, "2001:db8::2")
		}, "www.example.com dns 12"},
		{"behind a CNAME chain", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "www.example.com.", "A", 30, "edge.cdn.example.", "e7.cdn.example.", "192.0.2.1")
			return rig.named(1, "shop/web", 7, "192.0.2.1")
		}, "www.example.com dns 1"},
		{"lower case, but only of ASCII", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "WWW.Exämple.COM.", "A", 30, "192.0.2.1")
			return rig.named(0, "shop/web", 7, "192.0.2.1")
		}, "www.exämple.com dns 0"},
		{"a hostile name is kept as it is", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "</script>\\\"';--\x00.\\255\\.example.", "A", 30, "192.0.2.1")
			return rig.named(0, "shop/web", 7, "192.0.2.1")
		}, "</script>\\\"';--\x00.\\255\\.example dns 0"},
		{"text longer than a DNS name is none", func(rig *namesRig) string {
			rig.learn(0, "shop/web", long, "A", 30, "192.0.2.1")
			return rig.named(0, "shop/web", 7, "192.0.2.1", long)
		}, nothing},
		{"the root is no name", func(rig *namesRig) string {
			rig.learn(0, "shop/web", ".", "A", 30, "192.0.2.1")
			return rig.named(0, "shop/web", 7, "192.0.2.1")
		}, nothing},
		{"a service's name is a name", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "db.backend.svc.cluster.local.", "AAAA", 5, "fd10:96::200")
			return rig.named(0, "shop/web", 7, "fd10:96::200")
		}, "db.backend.svc.cluster.local dns 0"},

		{"longer than its TTL, for an hour", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 30, "192.0.2.1")
			return rig.named(3600, "shop/web", 7, "192.0.2.1")
		}, "a.example dns 3600"},
		{"not longer than an hour", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 30, "192.0.2.1")
			return rig.named(3601, "shop/web", 7, "192.0.2.1")
		}, nothing},
		{"a longer TTL counts", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 7200, "192.0.2.1")
			return rig.named(7200, "shop/web", 7, "192.0.2.1")
		}, "a.example dns 7200"},
		{"but no longer than a week", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 1<<32-1, "192.0.2.1")
			return rig.named(7*86400+1, "shop/web", 7, "192.0.2.1")
		}, nothing},
		{"asked again, the age is that of the latest answer", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 30, "192.0.2.1")
			rig.learn(3000, "shop/web", "a.example.", "A", 30, "192.0.2.1")
			return rig.named(3005, "shop/web", 7, "192.0.2.1")
		}, "a.example dns 5"},

		{"the latest answer wins", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 300, "192.0.2.1")
			rig.learn(5, "shop/web", "b.example.", "A", 30, "192.0.2.1")
			return rig.named(6, "shop/web", 7, "192.0.2.1")
		}, "b.example dns 1"},
		{"also when its TTL is over and that of the earlier one is not", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 300, "192.0.2.1")
			rig.learn(5, "shop/web", "b.example.", "A", 30, "192.0.2.1")
			return rig.named(100, "shop/web", 7, "192.0.2.1", "a.example")
		}, "b.example dns 95"},
		{"and when it is forgotten, the earlier one is not back", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 80000, "192.0.2.1")
			rig.learn(5, "shop/web", "b.example.", "A", 30, "192.0.2.1")
			return rig.named(4000, "shop/web", 7, "192.0.2.1")
		}, nothing},
		{"a flow from before it, late, has the earlier name", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 300, "192.0.2.1")
			rig.learn(5, "shop/web", "b.example.", "A", 30, "192.0.2.1")
			return rig.named(4, "shop/web", 0, "192.0.2.1")
		}, "a.example dns 4"},
		{"between two answers of one name the age is unknown", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 300, "192.0.2.1")
			rig.learn(5, "shop/web", "a.example.", "A", 300, "192.0.2.1")
			return rig.named(4, "shop/web", 0, "192.0.2.1")
		}, "a.example dns 0"},
		{"an answer names nothing before it", func(rig *namesRig) string {
			rig.learn(5, "shop/web", "a.example.", "A", 300, "192.0.2.1")
			return rig.named(4.999, "shop/web", 0, "192.0.2.1")
		}, nothing},
		{"an answer that comes late does not go before a newer one", func(rig *namesRig) string {
			rig.learn(5, "shop/web", "new.example.", "A", 300, "192.0.2.1")
			rig.learn(0, "shop/web", "old.example.", "A", 300, "192.0.2.1")
			return rig.named(6, "shop/web", 0, "192.0.2.1") + ", " + rig.named(3, "shop/web", 0, "192.0.2.1")
		}, "new.example dns 1, old.example dns 3"},
		{"what a late answer makes doubtful is not said", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 300, "192.0.2.1")
			rig.learn(9, "shop/web", "a.example.", "A", 300, "192.0.2.1")
			rig.learn(5, "shop/web", "b.example.", "A", 300, "192.0.2.1")
			return rig.named(7, "shop/web", 0, "192.0.2.1") + ", " + rig.named(9, "shop/web", 0, "192.0.2.1")
		}, nothing + ", a.example dns 0"},
		{"nor what it makes doubtful of the name before", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 300, "192.0.2.1")
			rig.learn(4, "shop/web", "a.example.", "A", 300, "192.0.2.1")
			rig.learn(9, "shop/web", "b.example.", "A", 300, "192.0.2.1")
			rig.learn(2, "shop/web", "c.example.", "A", 300, "192.0.2.1")
			return rig.named(3, "shop/web", 0, "192.0.2.1") + ", " + rig.named(5, "shop/web", 0, "192.0.2.1")
		}, nothing + ", a.example dns 1"},
		{"between two answers that do not reach each other", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 30, "192.0.2.1")
			rig.learn(5000, "shop/web", "a.example.", "A", 30, "192.0.2.1")
			return rig.named(4000, "shop/web", 0, "192.0.2.1") + ", " + rig.named(3000, "shop/web", 0, "192.0.2.1")
		}, nothing + ", a.example dns 3000"},

		{"not for another pod", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 30, "192.0.2.1")
			return rig.named(1, "shop/cart", 7, "192.0.2.1")
		}, nothing},
		{"not for a pod of that name in another namespace", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 30, "192.0.2.1")
			return rig.named(1, "ci/web", 7, "192.0.2.1")
		}, nothing},
		{"not for a pod of that name in another cluster", func(rig *namesRig) string {
			rig.learn(0, "lab:shop/db-0", "a.example.", "A", 30, "192.0.2.1")
			return rig.named(1, "prod:shop/db-0", 0, "192.0.2.1")
		}, nothing},
		{"but where the flow does not tell the cluster", func(rig *namesRig) string {
			rig.learn(0, "lab:shop/db-0", "a.example.", "A", 30, "192.0.2.1")
			return rig.named(1, "shop/db-0", 0, "192.0.2.1")
		}, "a.example dns 1"},
		{"one pod on two nodes, whatever ID and labels", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "a.example.", "A", 30, "192.0.2.1")
			return rig.named(1, "shop/web", 0, "192.0.2.1")
		}, "a.example dns 1"},
		{"who is no known pod is known by address", func(rig *namesRig) string {
			rig.learn(0, "", "a.example.", "A", 30, "192.0.2.1")
			return rig.named(1, "", 0, "192.0.2.1")
		}, "a.example dns 1"},

		{"Hubble's name where nothing is remembered", func(rig *namesRig) string {
			return rig.named(1, "shop/web", 7, "192.0.2.1", "H.example.")
		}, "h.example hubble 0"},
		{"Hubble lists more than one: the first", func(rig *namesRig) string {
			return rig.named(1, "shop/web", 7, "192.0.2.1", "a.example", "b.example")
		}, "a.example hubble 0"},
		{"ours before Hubble's", func(rig *namesRig) string {
			rig.learn(0, "shop/web", "b.example.", "A", 30, "192.0.2.1")
			return rig.named(1, "shop/web", 7, "192.0.2.1", "a.example", "b.example")
		}, "b.example dns 1"},
		{"Hubble's for a flow from before our answer", func(rig *namesRig) string {
			rig.learn(5, "shop/web", "b.example.", "A", 30, "192.0.2.1")
			return rig.named(1, "shop/web", 7, "192.0.2.1", "a.example")
		}, "a.example hubble 0"},

		{"an answer that did not reach the pod names nothing", func(rig *namesRig) string {
			r := rig.answer(0, "shop/web", "a.example.", "A", 30, 0, "192.0.2.1")
			r.Verdict = flow.Errored
			rig.process(r)
			return rig.named(1, "shop/web", 7, "192.0.2.1")
		}, nothing},
		{"nor does the request", func(rig *namesRig) string {
			r := rig.answer(0, "shop/web", "a.example.", "A", 30, 0, "192.0.2.1")
			r.Source, r.Destination, r.IsReply, r.L7Type = r.Destination, r.Source, flow.No, flow.L7Request
			rig.process(r)
			return rig.named(1, "shop/web", 7, "192.0.2.1")
		}, nothing},
		{"nor a server's failure", func(rig *namesRig) string {
			rig.process(rig.answer(0, "shop/web", "a.example.", "A", 30, 2, "192.0.2.1"))
			return rig.named(1, "shop/web", 7, "192.0.2.1")
		}, nothing},
		{"nor NXDOMAIN, whatever it holds", func(rig *namesRig) string {
			rig.process(rig.answer(0, "shop/web", "a.example.", "A", 30, 3, "192.0.2.1"))
			return rig.named(1, "shop/web", 7, "192.0.2.1")
		}, nothing},
		{"an answer without reply bit is for who receives it", func(rig *namesRig) string {
			r := rig.answer(0, "shop/web", "a.example.", "A", 30, 0, "192.0.2.1")
			r.IsReply = flow.Unknown
			rig.process(r)
			return rig.named(1, "shop/web", 7, "192.0.2.1")
		}, "a.example dns 1"},
		{"an answer without time is not taken in", func(rig *namesRig) string {
			r := rig.answer(0, "shop/web", "a.example.", "A", 30, 0, "192.0.2.1")
			r.Time = time.Time{}
			rig.process(r)
			return rig.named(1, "shop/web", 7, "192.0.2.1")
		}, nothing},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			if got := c.do(newNamesRig(nil)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestNamesBothEnds: an end has the name under which the other end knows it, whichever way the packet goes.
func TestNamesBothEnds(t *testing.T) {
	t.Parallel()
	rig := newNamesRig(nil)
	rig.learn(0, "shop/web", "db.backend.svc.cluster.local.", "AAAA", 30, "fd10::2")
	rig.learn(0, "backend/db-0", "web.shop.svc.cluster.local.", "AAAA", 30, "fd10::1")

	forward := rig.packet(1, "shop/web", 7, "fd10::2")
	forward.Destination.Endpoint = rig.pod("backend/db-0", 0)
	reply := forward
	reply.Source, reply.Destination, reply.IsReply = forward.Destination, forward.Source, flow.Yes
	for _, r := range []flow.Record{forward, reply} {
		got := rig.process(r)
		want := []string{"web.shop.svc.cluster.local dns 1", "db.backend.svc.cluster.local dns 1"}
		if r.IsReply == flow.Yes {
			want[0], want[1] = want[1], want[0]
		}
		if diff := cmp.Diff(want, []string{namesText(got.Source), namesText(got.Destination)}); diff != "" {
			t.Errorf("is_reply %s: source, destination (-want +got):\n%s", r.IsReply, diff)
		}
	}
}

// TestNamesOfServices: a reply from a service's backend has the name of the service's address, which it carries.
func TestNamesOfServices(t *testing.T) {
	t.Parallel()
	rig := newNamesRig(nil)
	rig.learn(0, "shop/web", "cart.shop.svc.cluster.local.", "AAAA", 30, "fd10:96::100")
	for _, c := range []struct {
		point flow.ObservationPoint
		reply flow.Tristate
		want  string
	}{
		{flow.ToEndpoint, flow.Yes, "cart.shop.svc.cluster.local dns 1"},
		{flow.ToEndpoint, flow.No, "none 0"},
		{flow.ToNetwork, flow.Unknown, "none 0"}, // there it is the masquerade's address
	} {
		r := rig.packet(1, "shop/web", 7, "fd10::2")
		r.Source, r.Destination = r.Destination, r.Source
		r.SourceTranslatedIP, r.ObservationPoint, r.IsReply = netip.MustParseAddr("fd10:96::100"), c.point, c.reply
		if got := namesText(rig.process(r).Source); got != c.want {
			t.Errorf("%s, is_reply %s: got %q, want %q", c.point, c.reply, got, c.want)
		}
	}
}

func TestNamesUsable(t *testing.T) {
	t.Parallel()
	translator := netip.MustParsePrefix("2001:db8:64::/96")
	known := false // whether the network's own prefix is known yet
	for _, c := range []struct {
		what string
		do   func(*namesRig)
		at   float64
		want bool
	}{
		{"answered", func(rig *namesRig) { rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1") }, 1, true},
		{"as soon as answered", func(rig *namesRig) { rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1") }, 0, true},
		{"not before", func(rig *namesRig) { rig.learn(2, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1") }, 1, false},
		{"after its TTL", func(rig *namesRig) { rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1") }, 3599, true},
		{"not for ever", func(rig *namesRig) { rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1") }, 3601, false},
		{"a ULA is usable", func(rig *namesRig) { rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "fd10::1") }, 1, true},
		{"any type of question", func(rig *namesRig) { rig.learn(0, "shop/web", "a.example.", "ANY", 30, "192.0.2.1", "2001:db8::1") }, 1, true},
		{"A alone", func(rig *namesRig) { rig.learn(0, "shop/web", "a.example.", "A", 30, "192.0.2.1") }, 1, false},
		{"another pod", func(rig *namesRig) { rig.learn(0, "shop/cart", "a.example.", "AAAA", 30, "2001:db8::1") }, 1, false},
		{"another name", func(rig *namesRig) { rig.learn(0, "shop/web", "b.example.", "AAAA", 30, "2001:db8::1") }, 1, false},
		{"who is no known pod", func(rig *namesRig) { rig.learn(0, "", "a.example.", "AAAA", 30, "2001:db8::1") }, 1, false},

		{"DNS64", func(rig *namesRig) { rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "64:ff9b::c000:201") }, 1, false},
		{"DNS64 beside one of its own", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "64:ff9b::c000:201", "2001:db8::1")
		}, 1, true},
		{"a network's own DNS64, unknown as yet", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8:64::c000:201")
		}, 1, true},
		{"and known", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8:64::c000:201")
			known = true
		}, 1, false},
		{"blocked by ::", func(rig *namesRig) { rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "::") }, 1, false},
		{"mapped IPv4", func(rig *namesRig) { rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "::ffff:192.0.2.1") }, 1, false},

		{"taken back by no data", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
			rig.learn(2, "shop/web", "a.example.", "AAAA", 1<<32-1)
		}, 3, false},
		{"but open until then", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
			rig.learn(2, "shop/web", "a.example.", "AAAA", 1<<32-1)
		}, 1.9, true},
		{"taken back by a DNS64 answer", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
			rig.learn(2, "shop/web", "a.example.", "AAAA", 30, "64:ff9b::c000:201")
		}, 3, false},
		{"and open until then", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
			rig.learn(2, "shop/web", "a.example.", "AAAA", 30, "64:ff9b::c000:201")
		}, 1, true},
		{"taken back by NXDOMAIN for any type", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
			rig.process(rig.answer(2, "shop/web", "a.example.", "A", 30, 3))
		}, 3, false},
		{"not by no data of another type", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
			rig.learn(2, "shop/web", "a.example.", "A", 30)
		}, 3, true},
		{"not by a server's failure", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
			rig.process(rig.answer(2, "shop/web", "a.example.", "AAAA", 30, 2))
		}, 3, true},
		{"answered again", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
			rig.learn(2, "shop/web", "a.example.", "AAAA", 30)
			rig.learn(4, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
		}, 5, true},
		{"both times count", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
			rig.learn(2, "shop/web", "a.example.", "AAAA", 30)
			rig.learn(4, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
		}, 1, true},
		{"but not the time between", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
			rig.learn(2, "shop/web", "a.example.", "AAAA", 30)
			rig.learn(4, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
		}, 3, false},
		{"an answer delivered again does not undo the newer one", func(rig *namesRig) {
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
			rig.learn(2, "shop/web", "a.example.", "AAAA", 30)
			rig.learn(0, "shop/web", "a.example.", "AAAA", 30, "2001:db8::1")
		}, 3, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			known = false
			rig := newNamesRig(func(cfg *track.NamesConfig) {
				cfg.Synthetic = func(a netip.Addr) bool {
					return netip.MustParsePrefix("64:ff9b::/96").Contains(a) || known && translator.Contains(a)
				}
			})
			c.do(rig)
			for _, name := range []string{"a.example", "A.example."} {
				if got := rig.names.Usable(rig.pod("shop/web", 0), rig.intern.Name(name), namesTime(c.at)); got != c.want {
					t.Errorf("%s: got %v, want %v", name, got, c.want)
				}
			}
		})
	}
	if newNamesRig(nil).names.Usable(flow.Ref[flow.Endpoint]{}, flow.Name{}, namesEpoch) {
		t.Error("nobody has a usable answer for nothing")
	}
}

func TestNamesPrefixes(t *testing.T) {
	t.Parallel()
	rig := newNamesRig(nil)
	for _, r := range []flow.Record{
		rig.answer(0, "shop/web", "www.example.com.", "AAAA", 30, 0, "2001:db8:bad::c000:aa"), // anyone can own such a name
		rig.answer(0, "shop/web", "ipv4only.arpa.", "A", 30, 0, "192.0.0.170", "192.0.0.171"),
		rig.answer(0, "shop/web", "ipv4only.arpa.", "AAAA", 30, 0),
		rig.answer(0, "shop/web", "ipv4only.arpa.", "AAAA", 30, 3, "2001:db8:bad::c000:aa"),
		rig.answer(0, "shop/web", "IPv4only.arpa.", "AAAA", 30, 0, "2001:db8:64::c000:aa", "2001:db8:64::c000:ab"),
		rig.answer(0, "ci/runner", "ipv4only.arpa.", "AAAA", 30, 0, "2001:db8:64::c000:ab", "2001:db8::1", "2001:db8:122:c000:0:aa00::"),
	} {
		rig.process(r)
	}
	want := []string{"2001:db8:64::/96", "2001:db8:122::/48"}
	if diff := cmp.Diff(want, namesStrings(rig.told)); diff != "" {
		t.Errorf("prefixes (-want +got):\n%s", diff)
	}
	for i := range 1000 {
		rig.learn(1, "shop/web", "ipv4only.arpa.", "AAAA", 30, fmt.Sprintf("2001:db8:%x::c000:aa", 0x1000+i))
	}
	if len(rig.told) != 64 || rig.names.Stats().Prefixes != 64 {
		t.Errorf("told %d prefixes, stats %+v; want 64", len(rig.told), rig.names.Stats())
	}
}

func namesStrings[T fmt.Stringer](list []T) []string {
	var text []string
	for _, v := range list {
		text = append(text, v.String())
	}
	return text
}

// TestNamesForgetOldest: where room is short, what was answered longest ago goes first.
func TestNamesForgetOldest(t *testing.T) {
	t.Parallel()
	rig := newNamesRig(func(cfg *track.NamesConfig) { cfg.Limit = 32 }) // two addresses for this pod
	for second, address := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"} {
		rig.learn(float64(second), "shop/web", "a.example.", "A", 30, address)
	}
	got := []string{rig.named(9, "shop/web", 7, "192.0.2.1"), rig.named(9, "shop/web", 7, "192.0.2.2"), rig.named(9, "shop/web", 7, "192.0.2.3")}
	if diff := cmp.Diff([]string{"a.example dns 7", "none 0", "a.example dns 6"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(track.NamesStats{Addresses: 2, Evicted: 1}, rig.names.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

func TestNamesConfig(t *testing.T) {
	t.Parallel()
	if err := track.DefaultNames().Validate(); err != nil {
		t.Error(err)
	}
	err := track.NamesConfig{Keep: -1, Limit: 1}.Validate()
	if err == nil || !strings.Contains(err.Error(), "names.keep: must be from 1s to 168h, is -1ns") || !strings.Contains(err.Error(), "names.limit: must be from 16 to") {
		t.Errorf("got %v", err)
	}
}
