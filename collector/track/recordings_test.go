package track_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
)

// tally counts connections: "tcp 10.201.1.137 > 198.51.100.10:8080" for one that a client made.
type tally map[string]int

// pods are the addresses of the rig that made recordings 01 to 44.
var pods = map[string]string{
	"client4": "10.201.1.137", "client6": "fd10:201:0:1::736a", "cart4": "10.201.1.1", "cart6": "fd10:201:0:1::5ab6",
	"locked4": "10.201.1.113", "locked6": "fd10:201:0:1::8b57", "DB4": "10.201.2.158", "DB6": "fd10:201:0:2::3f0b",
	"cil-w4": "172.31.250.254", "cil-w6": "2001:db8:a::fe",
	"CART4": "10.201.1.1", "CART6": "fd10:201:0:1::5ab6", "LOCKED4": "10.201.1.113", "LOCKED6": "fd10:201:0:1::8b57",
}

// behind says what a client's packets go to, where it is not what the client asked for, and where they then come from.
var behind = map[string]string{
	"fd10:96::100:80": "fd10:201:0:1::5ab6:8080", "10.96.0.100:80": "10.201.1.1:8080",
	"2001:db8:a::1:30080": "fd10:201:0:2::3f0b:8080", "172.31.250.1:30080": "10.201.2.158:8080",
}

// masked is the router's address, with which node-1 forwards what came to its NodePort.
var masked = map[string]string{"2001:db8:a::fe": "fd10:201:0:1::655c", "172.31.250.254": "10.201.1.226"}

var (
	podCommand  = regexp.MustCompile(`^(?:P|ip netns exec) (\S+) (?:timeout \d )?(.*)$`)
	dial        = regexp.MustCompile(`^\$T (tcp|udp) (\S+) (\d+) ?(\d*)$`)
	lookup      = regexp.MustCompile(`^\$T lookup (\S+) `)
	ping        = regexp.MustCompile(`^ping .* (\S+)$`)
	nodeDial    = regexp.MustCompile(`^(?:control pod .*: )?tcp (\S+) (\d+) -> (\S+) (\d+) ok$`)
	answeredRow = regexp.MustCompile(`^(tcp|udp) \S+ \d+ b'ok:hello' local \('(\S+)', (\d+)\)$`)
)

// made reads what the commands of a scenario had the clients do.
func made(t *testing.T, scenario string) tally {
	t.Helper()
	want := tally{}
	for command := range strings.SplitSeq(strings.TrimSpace(read(t, scenario+".cmds.txt")), "; ") {
		m := podCommand.FindStringSubmatch(command)
		if m == nil {
			t.Fatalf("not a command: %q", command)
		}
		client, program := m[1], m[2]
		add := func(protocol, to, port string, n int) {
			if a, ok := pods[strings.TrimPrefix(to, "$")]; ok {
				to = a
			}
			a, err := netip.ParseAddr(to)
			if err != nil {
				t.Fatal(err)
			}
			if a.IsMulticast() || a.Is6() && a.IsLinkLocalUnicast() {
				return // stays on the link
			}
			family := "6"
			if a.Is4() {
				family = "4"
			}
			from, to := pods[client+family], a.String()+":"+port
			if b, ok := behind[to]; ok {
				to = b
				if router, ok := masked[from]; ok {
					from = router
				}
			}
			want[fmt.Sprintf("%s %s > %s", protocol, from, to)] += n
		}
		if m := dial.FindStringSubmatch(program); m != nil {
			n := 1
			if m[4] != "" {
				n, _ = strconv.Atoi(m[4])
			}
			add(m[1], m[2], m[3], n)
		} else if m := lookup.FindStringSubmatch(program); m != nil {
			add("udp", m[1], "53", 1)
		} else if m := ping.FindStringSubmatch(program); m != nil {
			to, _, _ := strings.Cut(m[1], "%")
			protocol := "icmpv6"
			switch {
			case strings.Contains(program, "-s 3000"):
				protocol = "unknown" // fragments, in which Hubble finds no protocol
			case strings.Contains(program, "-4"):
				protocol = "icmp"
			}
			add(protocol, to, "0", 1)
		} else {
			t.Fatalf("what does %q do?", program)
		}
	}
	return want
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(recordings + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func found(connections []flow.Connection) tally {
	got := tally{}
	for i := range connections {
		c := &connections[i]
		if port := c.Destination.Port; port == 6443 || port == 4244 {
			continue // the rig's own
		}
		got[fmt.Sprintf("%s %s > %s:%d", c.Protocol, c.Source.IP, c.Destination.IP, c.Destination.Port)]++
	}
	return got
}

// checkCounts: every flow either counts or says why not, and as many count as there are connections.
func checkCounts(t *testing.T, out replayed) {
	t.Helper()
	counted := 0
	for i := range out.records {
		r := &out.records[i]
		if r.Counted {
			counted++
		}
		if r.Counted == !r.Duplicate.IsZero() {
			t.Errorf("flow %x: counted %t, duplicate %q", r.UUID, r.Counted, r.Duplicate)
		}
	}
	if counted != len(out.connections) {
		t.Errorf("%d flows counted, %d connections", counted, len(out.connections))
	}
}

// TestRecordings: of every recorded scenario the connections that its clients made, no more and no less, each with the
// outcome that the client saw.
func TestRecordings(t *testing.T) {
	t.Parallel()
	for _, scenario := range []string{
		"01-pod-to-pod-samenode-v6", "03-pod-to-pod-crossnode-vxlan-v6", "04-pod-to-pod-crossnode-vxlan-v4",
		"05-nat44-pod-to-world-v4-bpf-masq", "06-nat66-pod-to-world-v6-bpf-masq", "07-pod-to-nat64-prefix-64ff9b",
		"08-icmpv6-icmpv4-echo", "09-dns-l7-a-aaaa-then-connect", "10-policy-drops-v6-v4",
		"11-clusterip-service-socketlb-v6-v4", "14-world-to-pod-ingress-v6-v4", "15-transition-prefixes-6to4-teredo",
		"16-ipv6-fragments-and-errors", "20-iptables-masq-nat66-pod-to-world-v6",
		"22-clusterip-service-packetlb-hostns-only", "30-aggr-medium-nat66-pod-to-world-v6",
		"32-aggr-medium-pod-to-pod-v6-same-and-cross-node", "34-aggr-medium-happy-eyeballs-v6-refused-then-v4",
		"36-aggr-low-nat66-and-nat44-and-nat64", "41-nodeport-world-to-remote-backend-snat-v6-v4",
	} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			out := replay(t, files(t, scenario)...)
			checkCounts(t, out)
			if diff := cmp.Diff(made(t, scenario), found(out.connections)); diff != "" {
				t.Errorf("connections (-made +found):\n%s", diff)
			}
			if strings.HasPrefix(scenario, "41") {
				return // behind the NodePort the client's address is gone
			}
			byClient := map[string]*flow.Connection{}
			for i := range out.connections {
				c := &out.connections[i]
				byClient[fmt.Sprintf("%s %s %d", c.Protocol, c.Source.IP, c.Source.Port)] = c
			}
			missing := 0
			for line := range strings.Lines(read(t, scenario+".client-output.txt")) {
				m := answeredRow.FindStringSubmatch(strings.TrimSpace(line))
				if m == nil {
					continue
				}
				c := byClient[strings.Join(m[1:], " ")]
				switch {
				case c == nil:
					t.Errorf("not found: %s", line)
				case c.Late:
					t.Errorf("late: %s", show(c))
				case c.Outcome != flow.Answered:
					missing++
				}
			}
			if missing > 1 { // the last flow of a recording, which may be the last answer, is never returned
				t.Errorf("%d answers not seen", missing)
			}
		})
	}
}

// TestOwnOfNodes: connections that a node opens itself are counted where they show.
func TestOwnOfNodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scenario string
		shown    bool // else only those of the pod beside them
		late     bool
	}{
		{"61-node-pull-helm-default", false, false},
		{"62-node-pull-kpr-bpfmasq-aggr-medium", true, false},
		{"65-node-pull-kpr-hostfw-aggr-medium", true, true},
		{"67-node-pull-helm-default-plus-hostfw", true, false},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			t.Parallel()
			out := replay(t, files(t, c.scenario)...)
			checkCounts(t, out)
			want := tally{}
			for line := range strings.Lines(read(t, c.scenario+".client-output.txt")) {
				m := nodeDial.FindStringSubmatch(strings.TrimSpace(line))
				if m == nil {
					t.Fatalf("not a connection: %q", line)
				}
				if c.shown || strings.HasPrefix(line, "control") {
					want[fmt.Sprintf("tcp %s:%s > %s:%s", m[1], m[2], m[3], m[4])]++
				}
			}
			got := tally{}
			for i := range out.connections {
				k := &out.connections[i]
				if k.Protocol != flow.TCP {
					continue
				}
				got[fmt.Sprintf("tcp %s:%d > %s:%d", k.Source.IP, k.Source.Port, k.Destination.IP, k.Destination.Port)]++
				if k.Outcome != flow.Answered || k.Late != (c.late && k.View == flow.ViewNode) {
					t.Errorf("%s", show(k))
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("connections (-made +found):\n%s", diff)
			}
		})
	}
}

// TestMasqueradeOfRecordings: every connection that iptables masqueraded where the device shows it is proven to be, and
// none of those that are not.
func TestMasqueradeOfRecordings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scenario string
		proven   int
	}{
		{"20-iptables-masq-nat66-pod-to-world-v6", 6},
		{"67-node-pull-helm-default-plus-hostfw", 3}, // two connections and a ping of the pod
		{"09-dns-l7-a-aaaa-then-connect", 0},         // the DNS proxy's queries look alike
		{"34-aggr-medium-happy-eyeballs-v6-refused-then-v4", 0},
		{"22-clusterip-service-packetlb-hostns-only", 0},
		{"61-node-pull-helm-default", 0},
	} {
		proven := 0
		for _, k := range replay(t, files(t, c.scenario)...).connections {
			if k.SourceNATRule.String() == "masquerade_pair" {
				proven++
				if k.SourceNATEvidence != flow.Confirmed || k.EgressIPEvidence != flow.Confirmed {
					t.Errorf("%s: %s", c.scenario, show(&k))
				}
			}
		}
		if proven != c.proven {
			t.Errorf("%s: %d proven, want %d", c.scenario, proven, c.proven)
		}
	}
}

// truth is what the clients of the demo counted.
type clientTruth struct {
	Clients     []struct{ Pod, IPv4, IPv6 string }
	Connections []struct {
		Namespace, Workload, Node, Pod, Destination, Family, Transport, Outcome, Note, Placement string
		Port, Count                                                                              int
	}
}

func clientsTruth(t testing.TB) clientTruth {
	t.Helper()
	text, err := os.ReadFile(demo + "ground-truth.json")
	if err != nil {
		t.Fatal(err)
	}
	var g clientTruth
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func demoFiles() []string { return []string{demo + "node-1.jsonl.gz", demo + "node-2.jsonl.gz"} }

// services are the pods behind the names that the demo's clients used inside the cluster, and those pods' ports.
var services = map[string]string{
	"cart.shop.svc.cluster.local": "shop/cart 8080", "db.backend.svc.cluster.local": "backend/db 5432",
	"prometheus.monitoring.svc.cluster.local": "monitoring/prometheus 9090",
}

var (
	suffix   = regexp.MustCompile(`-[a-z0-9]+-[a-z0-9]{5}$|-\d+$|-[a-z0-9]{5}$`)
	outcomes = map[string]string{"ok": "answered", "refused": "refused"}
	erp      = netip.MustParseAddr("203.0.113.80")
)

// TestDemo: per client, destination, family, transport, port and outcome the connections are those that the clients
// counted, and so are the fallbacks.
func TestDemo(t *testing.T) {
	t.Parallel()
	out := replay(t, demoFiles()...)
	checkCounts(t, out)

	g := clientsTruth(t)
	nodes := map[netip.Addr]string{}
	for _, c := range g.Clients {
		if strings.HasPrefix(c.Pod, "node/") {
			nodes[netip.MustParseAddr(c.IPv4)], nodes[netip.MustParseAddr(c.IPv6)] = c.Pod, c.Pod
		}
	}
	want, fallbacks, forced := tally{}, tally{}, tally{}
	for _, c := range g.Connections {
		if c.Pod == "node/node-2" { // no flow shows them
			continue
		}
		destination, port := c.Destination, c.Port
		switch {
		case services[destination] != "":
			who, p, _ := strings.Cut(services[destination], " ")
			destination = who
			port, _ = strconv.Atoi(p)
		case strings.HasPrefix(destination, "pod/"):
			destination = suffix.ReplaceAllString(destination[4:], "")
		case strings.HasPrefix(destination, "nodeport/"):
			destination, port = "shop/web", 8080
		case destination == "www.example.com" && c.Note == "literal, denied by erp-egress":
			destination = "2001:db8:ffff::10"
		case destination == "ntp.example.org" && c.Family == "ipv6":
			destination = "2001:db8:ffff::123"
		case destination == "ntp.example.org":
			destination = "198.51.100.123"
		case strings.HasPrefix(c.Pod, "node/"): // whose lookups nobody sees
			destination = map[string]string{"registry-1.docker.io": "registry", "auth.docker.io": "registry"}[destination]
		case destination == erp.String(): // some clients use the name
			destination = "legacy-erp.example.net"
		}
		outcome := outcomes[c.Outcome]
		if outcome == "" { // the client only knows that nothing came
			outcome = "nothing"
		}
		pod := c.Pod
		if c.Namespace == "world" {
			pod = "world"
		}
		want[fmt.Sprintf("%s > %s %s %s %d %s", pod, destination, c.Family, c.Transport, port, outcome)] += c.Count
		if c.Note == "he-fallback" {
			fallbacks[fmt.Sprintf("%s > %s", c.Pod, c.Destination)] += c.Count
		}
		if c.Note == "v4-forced" {
			forced[fmt.Sprintf("%s > %s", c.Pod, c.Destination)] += c.Count
		}
	}

	got, retries, attempts, avoidable := tally{}, tally{}, tally{}, tally{}
	for i := range out.connections {
		c := &out.connections[i]
		source, destination := c.Source.Endpoint.Get(), c.Destination.Endpoint.Get()
		if c.Protocol != flow.TCP && c.Protocol != flow.UDP || c.Destination.Port == 53 || c.Destination.Port == 6443 {
			continue
		}
		from := strings.TrimPrefix(source.Namespace.String()+"/"+source.Pod.String(), "/")
		switch {
		case nodes[c.Source.IP] != "":
			from = nodes[c.Source.IP]
		case from == "":
			from = "world"
		}
		to := c.Destination.Name.String()
		switch {
		case !destination.Pod.IsZero():
			to = suffix.ReplaceAllString(destination.Namespace.String()+"/"+destination.Pod.String(), "")
		case strings.HasPrefix(from, "node/"):
			to = "registry"
		case c.Destination.IP == erp:
			to = "legacy-erp.example.net"
		case to == "" || c.Destination.Port == 123:
			to = c.Destination.IP.String()
		}
		outcome := c.Outcome.String()
		if c.Outcome == flow.Denied || c.Outcome == flow.Unanswered {
			outcome = "nothing"
		}
		got[fmt.Sprintf("%s > %s %s %s %d %s", from, to, c.Family, c.Protocol, c.Destination.Port, outcome)]++
		if c.Late {
			t.Errorf("late: %s", show(c))
		}
		pair := fmt.Sprintf("%s > %s", from, c.Destination.Name)
		if c.FallbackOf != (flow.UUID{}) {
			retries[pair]++
			if c.AvoidableIPv4 {
				t.Errorf("a fallback is not avoidable: %s", show(c))
			}
		}
		if c.FallenBack {
			attempts[pair]++
		}
		if c.AvoidableIPv4 {
			avoidable[pair]++
			if forced[pair] == 0 {
				t.Errorf("nobody forced this to IPv4: %s", show(c))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("connections (-made +found):\n%s", diff)
	}
	if diff := cmp.Diff(fallbacks, retries); diff != "" {
		t.Errorf("fallbacks (-made +found):\n%s", diff)
	}
	if diff := cmp.Diff(fallbacks, attempts); diff != "" {
		t.Errorf("failed attempts (-made +found):\n%s", diff)
	}
	// Of what was forced to IPv4 that is avoidable where the pod had been told an AAAA: catalog-sync never asked for one, and
	// batch asked only after its first attempt. Inside the cluster only node-2's replies tell the name's address.
	if diff := cmp.Diff(tally{
		"backend/batch-68b97c647c-zq5bg > www.example.com":         5,
		"ci/image-build-29398036-6s94l > registry-1.docker.io":     23,
		"shop/cart-fb58577d8-65mhj > db.backend.svc.cluster.local": 9,
		"shop/web-78757b9d54-smr75 > cart.shop.svc.cluster.local":  11,
	}, avoidable); diff != "" {
		t.Errorf("avoidable IPv4 (-want +found):\n%s", diff)
	}
}

// TestSharded: two collectors, each with one node, count the same flows as one with both.
func TestSharded(t *testing.T) {
	t.Parallel()
	counted := func(outs ...replayed) map[flow.UUID]bool {
		m := map[flow.UUID]bool{}
		for _, out := range outs {
			for i := range out.records {
				if out.records[i].Counted {
					m[out.records[i].UUID] = true
				}
			}
		}
		return m
	}
	scenarios := [][]string{demoFiles()}
	for _, s := range []string{"03", "04", "09", "14", "32", "41"} {
		scenarios = append(scenarios, files(t, s))
	}
	for _, paths := range scenarios {
		both := replay(t, paths...)
		var each []replayed
		for _, path := range paths {
			each = append(each, replay(t, path))
		}
		if diff := cmp.Diff(counted(both), counted(each...)); diff != "" {
			t.Errorf("%s: counted (-one collector +one each):\n%s", paths[0], diff)
		}
		// Rows of both collectors for one connection have one identifier, so that the store makes them one again.
		ids := map[flow.UUID]bool{}
		for _, out := range each {
			for i := range out.connections {
				ids[out.connections[i].ID] = true
			}
		}
		if extra := len(ids) - len(both.connections); extra < 0 || extra*500 > len(both.connections) { // a begin on the edge of a grain
			t.Errorf("%s: %d connections, of which collectors of one node each make %d", paths[0], len(both.connections), len(ids))
		}
	}
}
