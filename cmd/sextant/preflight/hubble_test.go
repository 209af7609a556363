package preflight_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sextant/cmd/sextant/preflight"
	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/collector/verdict"
)

// agent is a node in good health, changed.
func agent(name string, change func(*hubble.NodeSight)) hubble.NodeSight {
	n := hubble.NodeSight{
		Node: name, Cluster: "lab", Version: "cilium v1.20.2+gabc", Uptime: time.Hour, Held: 4095, Ring: 4095, Seen: 360_000, Rate: 20,
		Sample: hubble.Sample{Flows: 100, Events: map[flow.EventType]int{flow.EventTrace: 90, flow.EventL7: 10}, Live: 20, Offset: -20 * time.Millisecond},
	}
	if change != nil {
		change(&n)
	}
	return n
}

func relay(nodes ...hubble.NodeSight) *hubble.Sight {
	return &hubble.Sight{Server: "relay.kube-system:80", Relay: true, Version: "hubble-relay v1.20.2+gabc", TLS: true, Nodes: nodes}
}

func cluster(nodes ...string) *preflight.Cluster {
	c := &preflight.Cluster{}
	for _, name := range nodes {
		c.Nodes = append(c.Nodes, verdict.Node{Name: name})
	}
	return c
}

func TestHubble(t *testing.T) {
	many := relay()
	for i := range 60 {
		many.Nodes = append(many.Nodes, agent(fmt.Sprintf("n%02d", i), nil))
	}
	refused := func(n *hubble.NodeSight) {
		n.Err = errors.New("192.0.2.1:4244: nothing listens there; start it")
		n.Server = "192.0.2.1:4244"
	}
	type sight = hubble.Sight
	for _, row := range []struct {
		name     string
		subjects string
		sight    *sight
		c        *preflight.Cluster
		want     []string
	}{
		{"all well", "", relay(agent("a", nil), agent("b", nil)), cluster("a", "b"), []string{
			"server | ok | relay.kube-system:80: Relay, of 2 nodes",
			"encryption | ok | TLS, with a certificate that was verified",
			"version | ok | cilium v1.20.2; Relay hubble-relay v1.20.2",
			"nodes | ok | all reached: 2 nodes",
			"ring | ok | a keeps 4095 flows, 3 min at 20 a second; b keeps 4095 flows, 3 min at 20 a second",
			"lost events | ok | none among the newest 200 flows",
			"seen flows | ok | 720000 since the agents started; of the newest 200 there are 180 trace, 20 l7",
		}},
		{"a Relay for many", "server", many, nil, []string{"server | note | relay.kube-system:80: Relay, of 60 nodes"}},
		{"a Relay for none", "", relay(), nil, []string{
			"server | fail | relay.kube-system:80: Relay, of 0 nodes", "encryption | ok | TLS, with a certificate that was verified", "version | unknown | no agent told its version",
		}},
		{"too many", "server", &sight{Server: "x:1", Peers: true, More: 3, Nodes: []hubble.NodeSight{agent("a", nil)}}, nil, []string{"server | warn | x:1: the Peer service names 1 node"}},
		{"one agent", "server nodes", &sight{Server: "unix:///s", Socket: true, Nodes: []hubble.NodeSight{agent("a", nil)}}, cluster("a", "b", "c"), []string{
			"server | ok | unix:///s: one agent, of a", "nodes | note | not followed: one agent tells of its own node alone | b c",
		}},
		{"one agent, the only one", "nodes", &sight{Nodes: []hubble.NodeSight{agent("a", nil)}}, cluster("a"), nil},

		{"a socket", "encryption", &sight{Server: "unix:///s", Socket: true, Nodes: []hubble.NodeSight{agent("a", nil)}}, nil, []string{"encryption | ok | a unix socket: nothing travels"}},
		{"this machine", "encryption", &sight{Server: "[::1]:4245", Nodes: []hubble.NodeSight{agent("a", nil)}}, nil, []string{"encryption | ok | not encrypted, to this machine"}},
		{"plain", "encryption", &sight{Server: "192.0.2.1:4244", Nodes: []hubble.NodeSight{agent("a", nil)}}, nil, []string{"encryption | note | not encrypted"}},
		{"unverified", "encryption", &sight{Server: "192.0.2.1:4244", TLS: true, Unverified: true, Nodes: []hubble.NodeSight{agent("a", nil)}}, nil, []string{"encryption | warn | TLS, and nobody looks at the certificate"}},

		{"old", "version", relay(agent("a", nil), agent("b", func(n *hubble.NodeSight) { n.Version = "v1.15.10" })), nil, []string{"version | warn | cilium v1.20.2 on 1 node, v1.15.10 on 1 node; Relay hubble-relay v1.20.2"}},
		{"odd", "version", &sight{Nodes: []hubble.NodeSight{agent("a", func(n *hubble.NodeSight) { n.Version = "cilium" })}}, nil, []string{"version | unknown | cilium"}},
		{"the next major", "version", &sight{Nodes: []hubble.NodeSight{agent("a", func(n *hubble.NodeSight) { n.Version = "2.0.0" })}}, nil, []string{"version | ok | 2.0.0"}},

		{"some away", "nodes", relay(agent("a", nil), agent("b", refused), agent("c", refused)), cluster("a", "b", "c", "d"), []string{
			"nodes | warn | not reached: nothing listens there | b c", "nodes | warn | nodes of the cluster that Hubble does not name | d",
		}},
		{"all away", "", relay(agent("b", refused)), nil, []string{
			"server | ok | relay.kube-system:80: Relay, of 1 node", "encryption | ok | TLS, with a certificate that was verified",
			"version | unknown | no agent told its version", "nodes | fail | not reached: nothing listens there | b",
		}},

		{"small ring", "ring", relay(agent("a", nil), agent("b", func(n *hubble.NodeSight) { n.Rate = 1000 })), nil, []string{
			"ring | warn | b keeps 4095 flows, 4 s at 1000 a second; a keeps 4095 flows, 3 min at 20 a second",
		}},
		{"smallish ring", "ring", relay(agent("a", func(n *hubble.NodeSight) { n.Rate, n.Seen, n.Uptime = 0, 100*3600, time.Hour })), nil, []string{"ring | note | a keeps 4095 flows, 41 s at 100 a second"}},
		{"four rings, and one untold", "ring", relay(agent("a", nil), agent("b", nil), agent("c", nil), agent("d", func(n *hubble.NodeSight) { n.Rate = 0.25 }), agent("e", func(n *hubble.NodeSight) { n.Ring = 0 })), nil, []string{
			"ring | ok | a keeps 4095 flows, 3 min at 20 a second; b keeps 4095 flows, 3 min at 20 a second; c keeps 4095 flows, 3 min at 20 a second; 1 other longer; 1 node told nothing",
		}},
		{"no ring", "ring", relay(agent("a", func(n *hubble.NodeSight) { n.Ring = 0 })), nil, []string{"ring | unknown | no agent told its ring's size and rate"}},

		{"losses", "lost events", relay(agent("a", func(n *hubble.NodeSight) {
			n.Sample.Lost = map[flow.GapCause]uint64{flow.GapLostQueue: 4646, flow.GapLostPerfRing: 3}
		})), nil, []string{"lost events | warn | 3 between kernel and agent, 4646 between agent and Hubble lost on a, beside the newest 100 flows"}},
		{"nothing came", "lost events", relay(agent("a", func(n *hubble.NodeSight) { n.Sample = hubble.Sample{} })), nil, []string{"lost events | unknown | no flow came while we looked"}},
		{"nothing seen", "seen flows", relay(agent("a", nil), agent("b", func(n *hubble.NodeSight) { n.Seen, n.Sample = 0, hubble.Sample{} })), nil, []string{
			"seen flows | warn | none on b; 360000 since the agents started; of the newest 100 there are 90 trace, 10 l7",
		}},
		{"no traces", "seen flows", relay(agent("a", func(n *hubble.NodeSight) { n.Sample.Events = map[flow.EventType]int{flow.EventDrop: 100} })), nil, []string{
			"seen flows | fail | 360000 since the agents started; of the newest 100 there are 100 drop",
		}},
		{"translations", "seen flows", relay(agent("a", func(n *hubble.NodeSight) { n.Sample.Translated = 5 })), nil, []string{
			"seen flows | ok | 360000 since the agents started; of the newest 100 there are 90 trace, 10 l7; 5 tell a translated source",
		}},
	} {
		var got []preflight.Line
		for _, l := range preflight.Hubble(row.sight, nil, true, row.c) {
			if row.subjects == "" || strings.Contains(row.subjects, l.Subject) {
				got = append(got, l)
			}
		}
		lines(t, row.name, got, row.want...)
	}
	// What was named and is not there fails; what was only looked for is unknown.
	err := errors.New("localhost:4245: nothing listens there; start Hubble Relay")
	named, looked := preflight.Hubble(nil, err, true, nil), preflight.Hubble(nil, err, false, nil)
	lines(t, "named", named, "server | fail | localhost:4245: nothing listens there")
	lines(t, "looked for", looked, "server | unknown | localhost:4245: nothing listens there")
	if named[0].Remedy != "start Hubble Relay" || !strings.Contains(looked[0].Remedy, "--server") {
		t.Errorf("remedies %q and %q", named[0].Remedy, looked[0].Remedy)
	}
}

func TestNodeClocks(t *testing.T) {
	off := func(by time.Duration, live int) func(*hubble.NodeSight) {
		return func(n *hubble.NodeSight) { n.Sample.Offset, n.Sample.Live = by, live }
	}
	fine, quiet := agent("fine", nil), agent("quiet", off(-time.Hour, 0))
	for _, row := range []struct {
		name  string
		nodes []hubble.NodeSight
		want  []string
	}{
		{"fine", []hubble.NodeSight{fine}, []string{"nodes | ok | 1 node within a second of ours"}},
		{"one quiet", []hubble.NodeSight{fine, quiet}, []string{"nodes | ok | 1 node within a second of ours, 1 too quiet to tell"}},
		{"all quiet", []hubble.NodeSight{quiet}, []string{"nodes | unknown | too few flows came while we looked"}},
		{"away", []hubble.NodeSight{agent("away", func(n *hubble.NodeSight) { n.Err = errors.New("x") })}, nil},
		{"ahead", []hubble.NodeSight{agent("b", off(time.Hour, 0)), agent("a", off(time.Hour, 9)), fine}, []string{
			"nodes | warn | ahead of ours by 60 min or more | a b", "nodes | ok | 1 node within a second of ours",
		}},
		{"behind", []hubble.NodeSight{agent("a", off(-3*time.Second, 9))}, []string{"nodes | note | behind ours by 3 s, or its flows come that late | a"}},
	} {
		lines(t, row.name, preflight.NodeClocks(relay(row.nodes...)), row.want...)
	}
	lines(t, "nothing", preflight.NodeClocks(nil))
}

func TestNames(t *testing.T) {
	seen := relay(agent("a", func(n *hubble.NodeSight) { n.Sample.DNS, n.Sample.Named = 4, 30 }), agent("b", nil))
	off := with(nil, "enable-l7-proxy", "false")
	lines(t, "seen", preflight.Names(nil, seen), "names | ok | visible: 4 DNS questions and answers, and names on 30 of 200 flows, on a")
	lines(t, "not seen", preflight.Names(with(nil), relay(agent("a", nil))), "names | unknown | none among 100 flows")
	lines(t, "nobody looked", preflight.Names(nil, nil), "names | unknown | not known: no flow was looked at")
	lines(t, "off", preflight.Names(off, nil), "proxy | warn | off (enable-l7-proxy)", "names | warn | not visible: the proxy is off")
	off.Nodes = append(off.Nodes, helm("b"))
	lines(t, "off on one of two", preflight.Names(off, nil), "proxy | warn | off (enable-l7-proxy) | a", "names | unknown | not known: no flow was looked at")
	lines(t, "opaque", preflight.Names(with(func(_ *preflight.Cluster, s *verdict.Settings) { s.TransparentDNSProxy = flow.No }), nil),
		"names | unknown | not known: no flow was looked at", "transparent mode | note | off (dnsproxy-enable-transparent-mode)")
}

func TestNAT64(t *testing.T) {
	gateway := with(func(_ *preflight.Cluster, s *verdict.Settings) { s.NAT46x64Gateway = flow.Yes })
	own := parsed("2001:db8:64::/96")
	lines(t, "nobody asked", preflight.NAT64(preflight.Pref64{}, nil), "discovery | unknown | no resolver was asked (RFC 7050)")
	lines(t, "configured", preflight.NAT64(preflight.Pref64{Configured: own}, nil),
		"prefixes | ok | configured: 2001:db8:64::/96, beside 64:ff9b::/96", "discovery | unknown | no resolver was asked (RFC 7050)")
	lines(t, "no answer", preflight.NAT64(preflight.Pref64{Asked: "system", Err: errors.New("discover NAT64 prefixes: lookup ipv4only.arpa.: i/o timeout")}, nil),
		"discovery | unknown | this machine's resolver does not say: lookup ipv4only.arpa.: i/o timeout")
	lines(t, "none", preflight.NAT64(preflight.Pref64{Asked: "192.0.2.53"}, nil), "discovery | note | 192.0.2.53 is no DNS64")
	lines(t, "found", preflight.NAT64(preflight.Pref64{Asked: "system", Discovered: own, Configured: own}, gateway),
		"prefixes | ok | configured: 2001:db8:64::/96, beside 64:ff9b::/96", "discovery | ok | this machine's resolver is a DNS64 for 2001:db8:64::/96",
		"gateway | note | Cilium's own is on (enable-nat46x64-gateway), for 64:ff9b::/96")
	lines(t, "another", preflight.NAT64(preflight.Pref64{Asked: "system", Discovered: parsed("64:ff9b::/96"), Configured: own}, nil),
		"prefixes | ok | configured: 2001:db8:64::/96, beside 64:ff9b::/96", "discovery | note | this machine's resolver is a DNS64 for 64:ff9b::/96")
}
