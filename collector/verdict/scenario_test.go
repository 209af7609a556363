package verdict_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// TestScenarios holds the verdicts on recorded flows against what is true of them: by the README of the recordings, by what
// the clients did, and by the packets that a capture outside the nodes saw.
func TestScenarios(t *testing.T) {
	const (
		nat44, nat66     = "nat44 inferred, source nat44 inferred", "nat66 inferred, source nat66 inferred"
		nat44Obs         = "nat44 observed, source nat44 observed"
		nat66Obs         = "nat66 observed, source nat66 observed"
		native4, native6 = "native4 inferred, source none inferred", "native6 inferred, source none inferred"
		nothing          = "unknown none, source unknown none"
		nat64Obs         = "nat64 inferred, source nat66 observed"
		nat64            = "nat64 inferred, source nat66 inferred"
		tunnelObs        = "tunnel6 inferred, source nat66 observed"
		tunnel           = "tunnel6 inferred, source nat66 inferred"
	)
	var (
		untouched = check{"anything observed", observed, nil}
		text      bytes.Buffer
		table     = tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	)
	out := func(scenario string, prefixes ...string) int { return captured(t, scenario, prefixes...) }
	const v4, v6, v64, teredo, to4 = "198.51.100.0/24", "2001:db8:ffff::/48", "64:ff9b::/96", "2001::/32", "2002::/16"
	for _, c := range []struct {
		scenario string
		cluster  *verdict.Cluster
		checks   []check
	}{
		{"01", lab(bpf), []check{untouched, {"pod to pod", podPod, []count{all(native6)}}}},
		{"03", lab(bpf), []check{untouched, {"pod to pod", podPod, []count{all(native6)}}}},
		{"04", lab(bpf), []check{untouched, {"pod to pod", podPod, []count{all(native4)}}}},
		{"32", lab(bpf), []check{untouched, {"pod to pod", podPod, []count{all(native6)}}}},
		{"05", lab(bpf), []check{
			{"translated source told on the way out", toldOut, []count{{18, nat44Obs}}},
			{"anything observed", observed, []count{{out("05", v4), nat44Obs}}},
			{"pod to world, who began is known", podWorld, []count{all(nat44)}},
		}},
		{"06", lab(bpf), []check{
			{"translated source told on the way out", toldOut, []count{{20, nat66Obs}}},
			{"anything observed", observed, []count{{out("06", v6), nat66Obs}}},
			{"pod to world, who began is known", podWorld, []count{all(nat66)}},
		}},
		{"07", lab(bpf), []check{
			{"translated source told on the way out", toldOut, []count{{18, nat64Obs}}},
			{"anything observed", observed, []count{{out("07", v64), nat64Obs}}},
			{"pod to world, who began is known", podWorld, []count{all(nat64)}},
		}},
		{"08", lab(bpf), []check{
			{"anything observed", observed, []count{{out("08", v4), nat44Obs}, {out("08", v6), nat66Obs}}},
			{"pod to pod", podPod, []count{all(native4, native6)}},
			{"pod to world, who began is known", podWorld, []count{all(nat44, nat66)}},
		}},
		{"09", lab(bpf), []check{
			{"anything observed", observed, []count{{10, nat44Obs}, {10, nat66Obs}, {2, nat64Obs}}},
			{"queries of the dns proxy", proxyDNS, []count{{9, nothing}}},
			{"dns as the proxy tells it", dnsL7, []count{{4, nat44}, {14, nat66}}},
		}},
		{"10", lab(bpf), []check{
			untouched,
			{"dropped, pod to world", droppedWorld, []count{all(nat44, nat66, nat64)}},
			{"dropped, pod to pod", droppedPods, []count{{4, native4}, {4, native6}}},
		}},
		{"11", lab(bpf), []check{
			untouched,
			{"pod to pod", podPod, []count{all(native4, native6)}},
			{"to the service's address", toVIP, []count{{6, nothing}}},
			{"service_nat", serviceNAT, []count{{6, nothing}, {3, native4}, {3, native6}}},
		}},
		{"14", lab(bpf), []check{untouched, {"world to pod, who began is known", podWorld, []count{all(native4, native6)}}}},
		{"15", lab(bpf), []check{
			{"translated source told on the way out", toldOut, []count{{out("15", teredo, to4), tunnelObs}}},
			{"pod to world, who began is known", podWorld, []count{all(tunnel)}},
		}},
		{"16", lab(bpf), []check{{"fragments", fragments, []count{all(native6, nothing)}}}},
		{"20", lab(iptables), []check{
			untouched,
			{"pod to world, who began is known", podWorld, []count{all(nat66)}},
			{"after iptables", afterIptables, []count{{out("20", v6), nat66}}},
		}},
		{"22", lab(iptables), []check{
			untouched,
			{"service_nat on answers", serviceAnswers, []count{{13, native4}, {12, native6}}},
			{"pod to pod", podPod, []count{all(native4, native6)}},
		}},
		{"30", lab(bpf), []check{untouched, {"pod to world, who began is known", podWorld, []count{all(nat66)}}}},
		{"34", lab(bpf), []check{untouched, {"pod to world, who began is known", podWorld, []count{all(nat44, nat66)}}}},
		{"36", lab(bpf), []check{
			{"translated source told on the way out", toldOut, []count{{out("36", v4), nat44Obs}, {out("36", v6), nat66Obs}, {out("36", v64), nat64Obs}}},
		}},
		{"41", lab(only4), []check{
			untouched,
			{"client at a router's address", atRouter, []count{{22, nat44}, {22, nat66}}},
			{"answers to it", toRouter, []count{all(nothing)}},
		}},
		{"44", lab(bpf), []check{{"pod to pod", podPod, []count{all(native6)}}}},
		{"61", demo(bpf, defaults), []check{
			untouched,
			{"the node's own to the registry", nodeWorld, nil},
			{"pod to world, who began is known", podWorld, []count{all(nat44, nat66)}},
		}},
		{"62", demo(bpf, defaults), []check{untouched, {"the node's own to the registry", nodeWorld, []count{{79, native4}, {80, native6}}}}},
		{"65", demo(bpfHostFirewall, defaults), []check{untouched, {"the node's own to the registry", nodeWorld, []count{{20, native4}, {20, native6}}}}},
		{"67", demo(bpf, hostFirewall), []check{
			untouched,
			{"the node's own to the registry", nodeWorld, []count{{80, native4}, {80, native6}}},
			{"after iptables", afterIptables, []count{{4, nat44}, {5, nat66}}},
		}},
		{"demo", demo(bpf, defaults), []check{
			{"translated source told on the way out", toldOut, []count{{286, nat44Obs}, {832, nat66Obs}, {107, nat64Obs}}},
			{"pod to world, who began is known", podEgress, []count{all(nat44, nat66, nat64)}},
			{"world to pod, who began is known", podIngress, []count{all(native4, native6)}},
			{"pod to pod", podPod, []count{all(native4, native6)}},
			{"the node's own, who began is known", nodeWorld, []count{all(native4, native6)}},
			{"client at a router's address", atRouter, []count{all(nat44, nat66)}},
			{"a nodeport's answers", nodePortAnswers, []count{all(nothing)}},
			{"queries of the dns proxy", proxyDNS, []count{all(nothing)}},
		}},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			names := flow.NewInterner()
			b := record(t, names, recorded(t, c.scenario)...)
			stage := verdict.New(names, verdict.Prefixes{})
			stage.SetFacts(verdict.NewFacts(names, c.cluster))
			stage.Process(b)
			for _, check := range c.checks {
				want, got, ok := check.run(b)
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", c.scenario, check.what, want, got)
				if !ok {
					t.Errorf("%s: got %s, want %s", check.what, got, want)
				}
			}
		})
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("scenario, flows, expected, got:\n%s", text.String())
}

// A check is what the verdicts of some flows must be.
type check struct {
	what   string
	flows  func(*flow.Record) bool
	counts []count
}

// count is a number of flows with a verdict; n is anyNumber where only the set of verdicts is known.
type count struct {
	n       int
	verdict string
}

const anyNumber = -1

func all(verdicts ...string) count { return count{anyNumber, strings.Join(verdicts, " | ")} }

func (c check) run(b *flow.Batch) (want, got string, ok bool) {
	tally := map[string]int{}
	for i := range b.Records {
		if r := &b.Records[i]; c.flows(r) {
			tally[fmt.Sprintf("%s %s, source %s %s", r.Class, r.ClassEvidence, r.SourceNAT, r.SourceNATEvidence)]++
		}
	}
	var wants, gots []string
	ok = true
	for _, count := range c.counts {
		if count.n == anyNumber {
			verdicts := strings.Split(count.verdict, " | ")
			wants = append(wants, "all "+count.verdict)
			ok = ok && len(tally) == len(verdicts)
			for _, v := range verdicts {
				ok = ok && tally[v] > 0
			}
			continue
		}
		wants = append(wants, fmt.Sprintf("%d %s", count.n, count.verdict))
		ok = ok && tally[count.verdict] == count.n
	}
	for v, n := range tally {
		gots = append(gots, fmt.Sprintf("%d %s", n, v))
		ok = ok && slices.ContainsFunc(c.counts, func(c count) bool { return c.verdict == v || c.n == anyNumber })
	}
	slices.Sort(gots)
	if len(wants) == 0 {
		wants = []string{"none"}
	}
	if len(gots) == 0 {
		gots = []string{"none"}
	}
	return strings.Join(wants, "; "), strings.Join(gots, "; "), ok
}

// The flows that the checks are about, by nothing that the verdict itself decides.

func observed(r *flow.Record) bool {
	return r.ClassEvidence == flow.Observed || r.SourceNATEvidence == flow.Observed
}

func toldOut(r *flow.Record) bool {
	return r.SourceTranslatedIP.IsValid() && r.ObservationPoint == flow.ToNetwork
}

func podPod(r *flow.Record) bool {
	return isPod(r.Source.IP) && isPod(r.Destination.IP)
}

// podWorld leaves out the flow in which the datapath tells the translation.
func podWorld(r *flow.Record) bool {
	return r.IsReply != flow.Unknown && (isPod(r.Source.IP) && isWorld(r.Destination.IP) || isWorld(r.Source.IP) && isPod(r.Destination.IP))
}

func podEgress(r *flow.Record) bool {
	return podWorld(r) && (r.IsReply == flow.No) == isPod(r.Source.IP)
}

func podIngress(r *flow.Record) bool {
	return podWorld(r) && (r.IsReply == flow.No) == isPod(r.Destination.IP)
}

func nodeWorld(r *flow.Record) bool {
	return r.IsReply == flow.No && isNode(r.Source.IP) && r.Source.Endpoint.Get().Identity == 1 && isWorld(r.Destination.IP)
}

func proxyDNS(r *flow.Record) bool {
	return r.ObservationPoint == flow.ToNetwork && isNode(r.Source.IP) && r.Source.Endpoint.Get().Identity > 1 && r.Destination.Port == 53
}

func afterIptables(r *flow.Record) bool {
	return r.ObservationPoint == flow.ToNetwork && isNode(r.Source.IP) && r.Source.Endpoint.Get().Identity > 1 && r.Destination.Port != 53
}

func nodePortAnswers(r *flow.Record) bool {
	return r.ObservationPoint == flow.ToNetwork && isNode(r.Source.IP) && r.Source.Port == 30080 && r.IsReply == flow.Yes
}

func dnsL7(r *flow.Record) bool { return r.EventType == flow.EventL7 && !r.DNS.Query.IsZero() }

func droppedWorld(r *flow.Record) bool {
	return r.Verdict == flow.Dropped && isPod(r.Source.IP) && isWorld(r.Destination.IP)
}

func droppedPods(r *flow.Record) bool { return r.Verdict == flow.Dropped && podPod(r) }

func toVIP(r *flow.Record) bool { return isService(r.Destination.IP) }

func serviceNAT(r *flow.Record) bool { return r.ServiceNAT }

func serviceAnswers(r *flow.Record) bool { return r.ServiceNAT && r.IsReply == flow.Yes }

func fragments(r *flow.Record) bool {
	return r.Protocol == flow.ProtocolUnknown && r.Source.IP.IsValid()
}

// atRouter are the packets of a client that a node forwards with its router's address, the first ones and those with a
// reply bit.
func atRouter(r *flow.Record) bool {
	return isRouter(r.Source.IP) && r.TunnelProtocol == flow.TunnelNone && (r.IsReply == flow.No || r.TCPFlags == flow.SYN)
}

func toRouter(r *flow.Record) bool { return isRouter(r.Destination.IP) && r.IsReply == flow.Yes }

var (
	podCIDRs     = cidrs("10.201.0.0/16", "fd10:201::/32")
	serviceCIDRs = cidrs("10.96.0.0/16", "fd10:96::/64")
	worldCIDRs   = cidrs("198.51.100.0/24", "203.0.113.0/24", "2001:db8:ffff::/48", "64:ff9b::/96", "2002::/16", "2001::/32",
		"172.31.250.254/32", "2001:db8:a::fe/128") // the gateway stands in for a client
	nodeAddrs   = addrs("172.31.250.1", "172.31.250.2", "2001:db8:a::1", "2001:db8:a::2")
	routerAddrs = addrs("10.201.1.226", "fd10:201:0:1::655c", "10.201.2.155", "fd10:201:0:2::f6e4", "10.201.1.79",
		"fd10:201:0:1::1ee7", "10.201.2.37", "fd10:201:0:2::acf0")
)

func isPod(a netip.Addr) bool { return inAny(a, podCIDRs) && !isRouter(a) }

func isNode(a netip.Addr) bool { return slices.Contains(nodeAddrs, a) }

func isRouter(a netip.Addr) bool { return slices.Contains(routerAddrs, a) }

func isService(a netip.Addr) bool { return inAny(a, serviceCIDRs) }

func isWorld(a netip.Addr) bool { return inAny(a, worldCIDRs) }

func inAny(a netip.Addr, prefixes []netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// TestScenariosWithoutFacts: with the state withheld, only what the datapath told, what prefixes mean and what identities
// say is left. Nothing of it is another verdict than with facts.
func TestScenariosWithoutFacts(t *testing.T) {
	may := map[string]bool{}
	for _, name := range []string{
		"no_addresses", "on_link", "multicast", "nat64_wellknown_nonglobal", "nat64_prefix", "6to4_prefix", "teredo_prefix", // prefix
		"masquerade_observed",                                                    // told
		"in_cluster", "service_reply", "node_to_node", "pod_to_node", "node_own", // identity
		"service_frontend", "socket_event", "to_node_address", "forwarded", "node_or_hidden_client", "node_or_masqueraded_pod",
		"translation_unexpected", "who_began_unknown", "needs_cluster_facts", // unknown
	} {
		may[name] = true
	}
	fired := map[string]bool{}
	for scenario, c := range map[string]*verdict.Cluster{
		"01": lab(bpf), "03": lab(bpf), "04": lab(bpf), "05": lab(bpf), "06": lab(bpf), "07": lab(bpf), "08": lab(bpf), "09": lab(bpf),
		"10": lab(bpf), "11": lab(bpf), "14": lab(bpf), "15": lab(bpf), "16": lab(bpf), "20": lab(iptables), "22": lab(iptables),
		"30": lab(bpf), "32": lab(bpf), "34": lab(bpf), "36": lab(bpf), "41": lab(only4), "42": lab(bpf), "44": lab(bpf),
		"61": demo(bpf, defaults), "62": demo(bpf, defaults), "65": demo(bpfHostFirewall, defaults), "67": demo(bpf, hostFirewall),
		"demo": demo(bpf, defaults),
	} {
		names := flow.NewInterner()
		without := record(t, names, recorded(t, scenario)...)
		with := &flow.Batch{Records: slices.Clone(without.Records)}
		stage := verdict.New(names, verdict.Prefixes{})
		stage.Process(without)
		stage.SetFacts(verdict.NewFacts(names, c))
		stage.Process(with)
		for i := range without.Records {
			got, better := &without.Records[i], &with.Records[i]
			for _, rule := range []flow.Name{got.ClassRule, got.SourceNATRule} {
				if fired[rule.String()] = true; !may[rule.String()] {
					t.Fatalf("%s: %s fired without facts", scenario, rule)
				}
			}
			if got.Class != flow.ClassUnknown && (got.Class != better.Class || got.ClassEvidence != better.ClassEvidence) ||
				got.SourceNAT != flow.SourceNATUnknown && (got.SourceNAT != better.SourceNAT || got.SourceNATEvidence != better.SourceNATEvidence) {
				t.Errorf("%s: without facts %s, source %s by %s; with them %s, source %s by %s: %s", scenario, got.Class, got.SourceNAT,
					got.ClassRule, better.Class, better.SourceNAT, better.ClassRule, flow.AppendJSON(nil, "flow", flow.Fields, better))
			}
			if got.EgressIPEvidence == flow.Inferred && got.ClassRule.String() != "node_own" {
				t.Errorf("%s: egress address %s by %s without facts", scenario, got.EgressIP, got.ClassRule)
			}
		}
	}
	for _, name := range []string{"translation_unexpected", "forwarded", "multicast", "nat64_prefix"} { // not recorded
		delete(may, name)
	}
	if diff := cmp.Diff(may, fired); diff != "" {
		t.Errorf("rules without facts (-may +fired):\n%s", diff)
	}
}
