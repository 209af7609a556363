package verdict_test

import (
	"testing"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

func TestSides(t *testing.T) {
	const none, hubble = "", "shop/cart"
	for _, row := range []struct {
		name     string
		addr     string
		id       uint32
		labels   []string
		service  string
		tunnel   bool
		pod      string
		without  flow.Side // without facts
		withFact flow.Side
	}{
		{"host", "2001:db8:a::1", 1, nil, none, false, "", flow.SideHost, flow.SideHost},
		{"world", "2600::1", 2, nil, none, false, "", flow.SideWorld, flow.SideWorld},
		{"world-ipv4", "198.51.100.1", 9, nil, none, false, "", flow.SideWorld, flow.SideWorld},
		{"world-ipv6", "2600::1", 10, nil, none, false, "", flow.SideWorld, flow.SideWorld},
		{"unmanaged", "fd10:201:0:1::99", 3, nil, none, false, "", flow.SideUnmanaged, flow.SideUnmanaged},
		{"health", "fd10:201:0:1::99", 4, nil, none, false, "", flow.SideHealth, flow.SideHealth},
		{"init", "fd10:201:0:1::99", 5, nil, none, false, "", flow.SideInit, flow.SideInit},
		{"remote node", "2001:db8:a::2", 6, nil, none, false, "", flow.SideRemoteNode, flow.SideRemoteNode},
		{"api server on a node", "2001:db8:a::2", 7, nil, none, false, "", flow.SideKubeAPIServer, flow.SideKubeAPIServer},
		{"ingress", "fd10:201:0:1::99", 8, nil, none, false, "", flow.SideIngress, flow.SideIngress},
		{"pod", "fd10:201:0:1::5ab6", 71196, nil, none, false, "", flow.SidePod, flow.SidePod},
		{"pod of another cluster", "fd09::1", 3<<16 + 300, nil, none, false, "", flow.SidePod, flow.SidePod},
		{"cidr", "2600::1", 1<<24 + 5, []string{"cidr:2600--/16", "reserved:world-ipv6"}, none, false, "", flow.SideWorld, flow.SideWorld},
		{"fqdn", "2600::1", 1<<24 + 6, []string{"fqdn:example.com"}, none, false, "", flow.SideWorld, flow.SideWorld},
		{"api server outside", "2600::1", 1<<24 + 7, []string{"cidr:2600--/16", "reserved:kube-apiserver", "reserved:world-ipv6"}, none, false, "", flow.SideKubeAPIServer, flow.SideKubeAPIServer},
		{"remote node by cidr", "2001:db8:a::2", 2<<24 + 1, nil, none, false, "", flow.SideRemoteNode, flow.SideRemoteNode},
		{"frontend, says hubble", "fd10:96::100", 10, nil, hubble, false, "", flow.SideService, flow.SideService},
		{"frontend, say the facts", "fd10:96::100", 10, nil, none, false, "", flow.SideWorld, flow.SideService},
		{"backend with a frontend's name", "fd10:201:0:1::5ab6", 71196, nil, hubble, false, "", flow.SidePod, flow.SidePod},
		{"link-local", "fe80::1", 10, nil, none, false, "", flow.SideLocal, flow.SideLocal},
		{"a pod's link-local", "fe80::1", 71196, nil, none, false, "", flow.SideLocal, flow.SideLocal},
		{"cloud metadata", "169.254.169.254", 9, nil, none, false, "", flow.SideLocal, flow.SideLocal},
		{"a pod with AWS's host-local address", "169.254.172.2", 71196, nil, none, false, "", flow.SidePod, flow.SidePod},
		{"multicast", "ff02::1", 10, nil, none, false, "", flow.SideLocal, flow.SideLocal},
		{"broadcast", "255.255.255.255", 9, nil, none, false, "", flow.SideLocal, flow.SideLocal},
		{"unspecified", "::", 10, nil, none, false, "", flow.SideLocal, flow.SideLocal},

		{"no identity", "2600::1", 0, nil, none, false, "", flow.SideUnknown, flow.SideUnknown},
		{"no identity, labels", "2600::1", 0, []string{"k8s:a=b", "reserved:world-ipv6"}, none, false, "", flow.SideWorld, flow.SideWorld},
		{"no identity, a pod", "fd10:201:0:1::5ab6", 0, nil, none, false, "", flow.SideUnknown, flow.SidePod},
		{"no identity, in a pod CIDR", "fd10:201:0:1::99", 0, nil, none, false, "", flow.SideUnknown, flow.SidePod},
		{"no identity, the node", "2001:db8:a::1", 0, nil, none, false, "", flow.SideUnknown, flow.SideHost},
		{"no identity, another node", "172.31.250.2", 0, nil, none, false, "", flow.SideUnknown, flow.SideRemoteNode},
		{"no identity, a router", "10.201.2.155", 0, nil, none, false, "", flow.SideUnknown, flow.SideRemoteNode},
		{"no identity, a frontend", "10.96.0.200", 0, nil, none, false, "", flow.SideUnknown, flow.SideService},
		{"an identity of the future", "2600::1", 200, nil, none, false, "", flow.SideUnknown, flow.SideUnknown},

		{"in a tunnel, a pod", "fd10:201:0:1::5ab6", 1, []string{"reserved:host"}, none, true, "", flow.SideUnknown, flow.SidePod},
		{"in a tunnel, a pod by name", "fd10:201:0:2::1", 6, nil, none, true, "db", flow.SidePod, flow.SidePod},
		{"in a tunnel, a router", "fd10:201:0:2::f6e4", 6, nil, none, true, "", flow.SideUnknown, flow.SideRemoteNode},
		{"in a tunnel, a pod by identity", "fd10:201:0:2::1", 119525, nil, none, true, "", flow.SidePod, flow.SidePod},
	} {
		names := flow.NewInterner()
		var labels []flow.Name
		for _, l := range row.labels {
			labels = append(labels, names.Name(l))
		}
		end := flow.End{IP: addr(row.addr), Service: names.Name(row.service), Endpoint: names.Endpoint(flow.Endpoint{
			Identity: row.id, Labels: names.Names(labels), Pod: names.Name(row.pod),
		})}
		r := flow.Record{Node: names.Name("node-1"), Cluster: names.Name("lab"), Source: end, Destination: end}
		if row.tunnel {
			r.TunnelProtocol = flow.VXLAN
		}
		stage := verdict.New(names, verdict.Prefixes{})
		for _, facts := range []*verdict.Facts{nil, verdict.NewFacts(names, lab(bpf))} {
			want := row.without
			if facts != nil {
				want = row.withFact
			}
			stage.SetFacts(facts)
			b := &flow.Batch{Records: []flow.Record{r}}
			stage.Process(b)
			if got := &b.Records[0]; got.Source.Side != want || got.Destination.Side != want {
				t.Errorf("%s, facts %v: source %s, destination %s, want %s", row.name, facts != nil, got.Source.Side, got.Destination.Side, want)
			}
		}
	}
}

// TestDirection: as the connection goes, not the packet; never by Hubble's traffic_direction.
func TestDirection(t *testing.T) {
	outsideAPI := who{"203.0.113.66", "2600::66", 1<<24 + 9, 0, ""}
	for _, row := range []struct {
		name     string
		from, to who
		change   change
		want     flow.Direction
	}{
		{"pod to world", cart, world, at(flow.ToStack), flow.EgressDirection},
		{"pod to world, answer", cart, world, back(flow.ToEndpoint), flow.EgressDirection},
		{"pod and world", cart, world, silent(flow.FromEndpoint), flow.UnknownDirection},
		{"world to pod", world, cart, at(flow.ToEndpoint), flow.IngressDirection},
		{"world to pod, answer", world, cart, back(flow.ToStack), flow.IngressDirection},
		{"pod to pod", cart, db, at(flow.ToEndpoint), flow.InternalDirection},
		{"pod and pod", cart, db, silent(flow.FromEndpoint), flow.InternalDirection},
		{"pod to service", cart, vip, at(flow.FromEndpoint), flow.InternalDirection},
		{"world to service", world, vip, at(flow.FromNetwork), flow.IngressDirection},
		{"node to world", node1, world, at(flow.ToNetwork), flow.EgressDirection},
		{"node to node", node1, node2, at(flow.ToNetwork), flow.InternalDirection},
		{"node and pod", node2, db, silent(flow.ToOverlay), flow.UnknownDirection},
		{"pod to api server on a node", cart, apiserver, at(flow.ToStack), flow.InternalDirection},
		{"pod to api server outside", cart, outsideAPI, at(flow.ToStack), flow.EgressDirection},
		{"world to world", world, cidrWorld, silent(flow.FromNetwork), flow.ForwardedDirection},
		{"pod to metadata", cart, who{v4: "169.254.169.254", v6: "fe80::1"}, at(flow.ToStack), flow.InternalDirection},
		{"world to link", world, who{v4: "169.254.1.1", v6: "fe80::1"}, at(flow.ToStack), flow.UnknownDirection},
		{"pod to nobody", cart, nobody, at(flow.ToStack), flow.UnknownDirection},
		{"pod to world, denied", cart, world, dropped(133), flow.EgressDirection},
		{"pod to world, dropped", cart, world, dropped(151), flow.UnknownDirection},
	} {
		for _, said := range []flow.TrafficDirection{flow.DirectionUnknown, flow.Ingress, flow.Egress} {
			for _, six := range []bool{false, true} {
				names := flow.NewInterner()
				r := record1(names, row.from, row.to, six)
				row.change(&r, six)
				r.TrafficDirection = said
				stage := verdict.New(names, verdict.Prefixes{})
				if row.to == outsideAPI {
					r.Destination.Endpoint = names.Endpoint(flow.Endpoint{Identity: outsideAPI.id, Labels: names.Names([]flow.Name{names.Name("reserved:kube-apiserver")})})
				}
				stage.SetFacts(verdict.NewFacts(names, lab(bpf)))
				b := &flow.Batch{Records: []flow.Record{r}}
				stage.Process(b)
				if got := b.Records[0].Direction; got != row.want {
					t.Errorf("%s, ipv6 %v, Hubble says %s: %s, want %s", row.name, six, said, got, row.want)
				}
			}
		}
	}
}

// TestServiceName: the facts name a service by its address where Hubble does not.
func TestServiceName(t *testing.T) {
	for _, row := range []struct {
		name   string
		from   who
		to     who
		change change
		want   string
		nat    bool
	}{
		{"to the frontend", cart, vip, at(flow.FromEndpoint), "shop/cart", true},
		{"to the frontend, socket", cart, vip, sock(flow.SocketPreForward, flow.Traced), "shop/cart", true},
		{"to the frontend, dropped", cart, vip, dropped(158), "shop/cart", false},
		{"to the backend, socket", cart, db, sock(flow.SocketPostForward, flow.Translated), "", true},
		{"the backend's answer", client, cart, func(r *flow.Record, six bool) {
			back(flow.ToEndpoint)(r, six)
			told("10.96.0.100", "fd10:96::100")(r, six)
		}, "shop/cart", true},
		{"the backend's answer, plain", client, cart, back(flow.ToEndpoint), "", false},
		{"named by Hubble", cart, vip, func(r *flow.Record, _ bool) { r.Destination.Service = r.Node }, "node-1", true},
	} {
		for _, six := range []bool{false, true} {
			names := flow.NewInterner()
			r := record1(names, row.from, row.to, six)
			row.change(&r, six)
			stage := verdict.New(names, verdict.Prefixes{})
			stage.SetFacts(verdict.NewFacts(names, lab(iptables)))
			b := &flow.Batch{Records: []flow.Record{r}}
			stage.Process(b)
			got := &b.Records[0]
			_, responder, _ := got.Ends()
			if responder.Service.String() != row.want || got.ServiceNAT != row.nat {
				t.Errorf("%s, ipv6 %v: service %q, service_nat %v; want %q, %v", row.name, six, responder.Service, got.ServiceNAT, row.want, row.nat)
			}
		}
	}
}
