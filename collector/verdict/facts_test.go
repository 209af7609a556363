package verdict_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

func TestFactsOf(t *testing.T) {
	names := flow.NewInterner()
	c := withPolicy(lab(bpf))
	c.PodCIDRs = cidrs("10.201.0.0/16", "fd10:201::/32")
	c.Pods = append(c.Pods, verdict.Pod{Name: "kube-proxy", Node: "node-1", IPs: addrs("172.31.250.1", "172.31.250.77"), HostNetwork: true},
		pod("shop", "lost", "node-9", "10.201.9.9"))
	c.Services = append(c.Services, verdict.Service{Namespace: "shop", Name: "on-node", Addresses: addrs("172.31.250.2", "203.0.113.5")})
	facts := verdict.NewFacts(names, c)
	for _, row := range []struct{ addr, kind, node, service string }{
		{"172.31.250.1", "node", "node-1", ""},
		{"2001:db8:a::2", "node", "node-2", ""},
		{"172.31.250.2", "node", "node-2", ""}, // and a service's external IP
		{"203.0.113.5", "service", "", "shop/on-node"},
		{"10.201.1.226", "router", "node-1", ""},
		{"fd10:201:0:2::f6e4", "router", "node-2", ""},
		{"10.201.1.137", "pod", "node-1", ""},
		{"fd10:201:0:2::3f0b", "pod", "node-2", ""},
		{"10.201.9.9", "pod", "", ""},
		{"10.201.2.200", "pod_cidr", "node-2", ""},
		{"fd10:201:0:1::1:1", "pod_cidr", "node-1", ""},
		{"10.201.77.1", "pod_cidr", "", ""},
		{"10.96.0.200", "service", "", "backend/db-np"},
		{gateway6, "egress_gateway", "", ""},
		{"10.202.0.1", "unknown", "", ""},
		{"172.31.250.77", "unknown", "", ""},      // of a pod on the host's network
		{"::ffff:10.96.0.200", "unknown", "", ""}, // addresses of records are unmapped
		{"", "unknown", "", ""},
	} {
		got := facts.Of(addr(row.addr))
		if got.Kind.String() != row.kind || got.Node.String() != row.node || got.Service.String() != row.service {
			t.Errorf("%s is %s of %s, service %s; want %s of %s, service %s", row.addr, got.Kind, got.Node, got.Service, row.kind, row.node, row.service)
		}
		var none *verdict.Facts
		if got := none.Of(addr(row.addr)); got != (verdict.Place{}) {
			t.Errorf("nil facts say that %s is %v", row.addr, got)
		}
	}
	if verdict.NewFacts(names, nil) != nil {
		t.Error("facts of no cluster are not nil")
	}
}

// TestEgressAddress: the first public address of the family, else the first.
func TestEgressAddress(t *testing.T) {
	for _, row := range []struct {
		addresses []string
		v4, v6    string
	}{
		{[]string{"10.0.0.1", "2001:db8::1"}, "10.0.0.1", "2001:db8::1"},
		{[]string{"fd00::1", "10.0.0.1", "192.168.0.1", "2600::1", "203.0.113.1"}, "203.0.113.1", "2600::1"},
		{[]string{"100.64.0.1", "10.0.0.1"}, "100.64.0.1", ""},
		{[]string{"fe80::1", "fd00::1", "fd00::2"}, "", "fd00::1"},
		{nil, "", ""},
	} {
		names := flow.NewInterner()
		c := lab(bpf)
		c.Nodes[0].Addresses = addrs(row.addresses...)
		stage := verdict.New(names, verdict.Prefixes{})
		stage.SetFacts(verdict.NewFacts(names, c))
		b := &flow.Batch{Records: []flow.Record{record1(names, cart, world, false), record1(names, cart, world, true)}}
		stage.Process(b)
		for i, want := range []string{row.v4, row.v6} {
			if got := b.Records[i].EgressIP; got != addr(want) || got.IsValid() != (b.Records[i].EgressIPEvidence == flow.Inferred) {
				t.Errorf("%v: masqueraded to %s (%s), want %q", row.addresses, got, b.Records[i].EgressIPEvidence, want)
			}
		}
	}
}

// TestWhoseSettings: the settings of the pod's own node decide, those of the cluster for a node that was not told, and
// none for another cluster's.
func TestWhoseSettings(t *testing.T) {
	names := flow.NewInterner()
	c := lab(bpf)
	c.Settings = defaults
	facts := verdict.NewFacts(names, c)
	for _, row := range []struct{ node, cluster, rule string }{
		{"node-1", "lab", "masquerade_bpf"},
		{"node-9", "lab", "masquerade_iptables"},
		{"node-1", "", "masquerade_bpf"},
		{"node-1", "other", "node_unknown"},
	} {
		stage := verdict.New(names, verdict.Prefixes{})
		stage.SetFacts(facts)
		r := record1(names, cart, world, true)
		r.Node, r.Cluster = names.Name(row.node), names.Name(row.cluster)
		b := &flow.Batch{Records: []flow.Record{r}}
		stage.Process(b)
		if got := b.Records[0].ClassRule.String(); got != row.rule {
			t.Errorf("%s of %q: %s, want %s", row.node, row.cluster, got, row.rule)
		}
	}
	var none *verdict.Facts
	if diff := cmp.Diff(verdict.Settings{}, *none.Settings(&flow.Record{})); diff != "" {
		t.Errorf("settings without facts: %s", diff)
	}
}

func TestEgressGatewayAddress(t *testing.T) {
	for _, row := range []struct {
		name     string
		policies []verdict.EgressPolicy
		rule     string
		want     string
	}{
		{"told", []verdict.EgressPolicy{{Sources: addrs(cart.v6), Destinations: cidrs("::/0"), EgressIPs: addrs(gateway4, gateway6)}}, "egress_gateway", gateway6},
		{"of the other family alone", []verdict.EgressPolicy{{Sources: addrs(cart.v6), Destinations: cidrs("::/0"), EgressIPs: addrs(gateway4)}}, "egress_gateway", ""},
		{"one of two", []verdict.EgressPolicy{{Sources: addrs(cart.v6), Destinations: cidrs("::/0"), EgressIPs: addrs(gateway6, "2001:db8:a::8")}}, "egress_gateway", ""},
		{"not told", []verdict.EgressPolicy{{Sources: addrs(cart.v6), Destinations: cidrs("::/0")}}, "egress_gateway", ""},
		{"of another pod", []verdict.EgressPolicy{{Sources: addrs(client.v6), Destinations: cidrs("::/0"), EgressIPs: addrs(gateway6)}}, "masquerade_bpf", node1.v6},
		{"on, but no policy was told", nil, "masquerade_bpf", ""},
	} {
		names := flow.NewInterner()
		c := lab(with(bpf, gateways))
		c.EgressPolicies = row.policies
		stage := verdict.New(names, verdict.Prefixes{})
		stage.SetFacts(verdict.NewFacts(names, c))
		b := &flow.Batch{Records: []flow.Record{record1(names, cart, world, true)}}
		stage.Process(b)
		if r := &b.Records[0]; r.EgressIP != addr(row.want) || r.ClassRule.String() != row.rule {
			t.Errorf("%s: %s by %s, want %q by %s", row.name, r.EgressIP, r.ClassRule, row.want, row.rule)
		}
	}
}

// TestExposure: a node that connects to a pod may hide a client, unless the services tell that none comes in.
func TestExposure(t *testing.T) {
	for _, row := range []struct {
		name     string
		services []verdict.Service
		rule     string
	}{
		{"no services told", nil, "node_or_hidden_client"},
		{"none lets in", []verdict.Service{{Namespace: "shop", External: flow.No, Selector: app("cart")}}, "node_to_pod"},
		{"this one lets in", []verdict.Service{{Namespace: "shop", External: flow.Yes, Selector: app("cart")}}, "node_or_hidden_client"},
		{"another lets in", []verdict.Service{{Namespace: "shop", External: flow.Yes, Selector: app("other")}}, "node_to_pod"},
		{"another namespace's lets in", []verdict.Service{{Namespace: "x", External: flow.Yes, Selector: app("cart")}}, "node_to_pod"},
		{"one selects nothing", []verdict.Service{{Namespace: "shop", External: flow.Yes}}, "node_to_pod"},
		{"one is not known", []verdict.Service{{Namespace: "x"}}, "node_or_hidden_client"},
	} {
		names := flow.NewInterner()
		c := lab(defaults)
		c.Services = row.services
		stage := verdict.New(names, verdict.Prefixes{})
		stage.SetFacts(verdict.NewFacts(names, c))
		b := &flow.Batch{Records: []flow.Record{record1(names, node1, cart, true)}}
		stage.Process(b)
		if got := b.Records[0].ClassRule.String(); got != row.rule {
			t.Errorf("%s: %s, want %s", row.name, got, row.rule)
		}
	}
}

func TestPostMasquerade(t *testing.T) {
	names := flow.NewInterner()
	facts := verdict.NewFacts(names, withPolicy(lab(iptables)))
	for _, row := range []struct {
		name    string
		from    who
		changes []change
		want    bool
	}{
		{"it", cartAtNode, nil, true},
		{"nobody knows who began", cartAtNode, []change{silent(flow.ToNetwork)}, true},
		{"at a gateway's address", cartAtNode, []change{from(gateway4, gateway6)}, true},
		{"the pod's own address", cart, nil, false},
		{"a stranger's address", cartAtNode, []change{from("203.0.113.1", "2600::1")}, false},
		{"the node's own", node1, nil, false},
		{"with a pod's name", who{node1.v4, node1.v6, 71196, 0, "cart"}, nil, false},
		{"before masquerade", cartAtNode, []change{at(flow.ToStack)}, false},
		{"an answer", cartAtNode, []change{func(r *flow.Record, _ bool) { r.IsReply = flow.Yes }}, false},
		{"an answer by its flags", cartAtNode, []change{silent(flow.ToNetwork), func(r *flow.Record, _ bool) { r.TCPFlags = flow.SYN | flow.ACK }}, false},
		{"told by the datapath", cartAtNode, []change{told("172.31.250.9", "2001:db8:a::9")}, false},
		{"around a tunnel", cartAtNode, []change{vxlan}, false},
	} {
		for _, six := range []bool{false, true} {
			r := record1(names, row.from, world, six)
			r.ObservationPoint = flow.ToNetwork
			for _, change := range row.changes {
				change(&r, six)
			}
			if got := facts.PostMasquerade(&r); got != row.want {
				t.Errorf("%s, ipv6 %v: %v, want %v", row.name, six, got, row.want)
			}
			var none *verdict.Facts
			if none.PostMasquerade(&r) {
				t.Errorf("%s: nil facts know", row.name)
			}
		}
	}
}

// TestShowsNode holds the rule against the settings under which recordings did, and did not, show a node's own connections.
func TestShowsNode(t *testing.T) {
	for _, row := range []struct {
		name     string
		settings verdict.Settings
		want     flow.Tristate
	}{
		{"Helm's defaults (61)", defaults, flow.No},
		{"kube-proxy replacement, BPF masquerade (62)", bpf, flow.Yes},
		{"host firewall (67)", hostFirewall, flow.Yes},
		{"iptables with kube-proxy replacement", iptables, flow.Yes},
		{"nothing known", verdict.Settings{}, flow.Unknown},
		{"one thing known", verdict.Settings{WireGuard: flow.Yes}, flow.Yes},
		{"one thing not known", with(defaults, func(s *verdict.Settings) { s.IPsec = flow.Unknown }), flow.Unknown},
	} {
		if got := row.settings.ShowsNode(); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

// TestWithoutNodes: a client may be a node, as long as the nodes' addresses are not known.
func TestWithoutNodes(t *testing.T) {
	names := flow.NewInterner()
	stage := verdict.New(names, verdict.Prefixes{})
	stage.SetFacts(verdict.NewFacts(names, &verdict.Cluster{Name: "lab", Settings: bpf}))
	b := &flow.Batch{Records: []flow.Record{record1(names, world, cart, true)}}
	stage.Process(b)
	if r := &b.Records[0]; r.Class != flow.ClassUnknown || r.ClassRule.String() != "nodes_unknown" {
		t.Errorf("class %s by %s, want unknown by nodes_unknown", r.Class, r.ClassRule)
	}
}
