package preflight

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sextant/collector/hubble"
)

// Hubble judges the source. A nil sight was not to be had, for the reason in err; named says whether the user asked for it.
func Hubble(sight *hubble.Sight, err error, named bool, c *Cluster) []Line {
	if sight == nil {
		return []Line{unreached(err, named)}
	}
	lines := []Line{source(sight), secure(sight), version(sight)}
	lines = append(lines, reached(sight, c)...)
	var alive []hubble.NodeSight
	for _, n := range sight.Nodes {
		if n.Err == nil {
			alive = append(alive, n)
		}
	}
	if len(alive) == 0 {
		return lines
	}
	return append(lines, ring(alive), losses(alive), seen(alive))
}

func unreached(err error, named bool) Line {
	l := Line{Topic: TopicHubble, Subject: "server", Verdict: Fail, Means: "No flow can be read."}
	l.Text, l.Remedy = cause(err)
	if !named {
		l.Verdict = Unknown
		l.Remedy = "name Hubble with --server, or with --peers; `cilium hubble port-forward` brings Relay to localhost:4245"
	}
	return l
}

// cause splits an error that is a sentence with a way out into the two.
func cause(err error) (text, remedy string) {
	if err == nil {
		return "not asked", ""
	}
	text, remedy, _ = strings.Cut(strings.Join(strings.Fields(err.Error()), " "), "; ")
	return text, remedy
}

func source(s *hubble.Sight) Line {
	a := answer{verdict: OK}
	switch {
	case s.Peers:
		a.text = fmt.Sprintf("%s: the Peer service names %s", s.Server, number(len(s.Nodes), "node"))
	case s.Relay:
		a.text = fmt.Sprintf("%s: Relay, of %s", s.Server, number(len(s.Nodes), "node"))
		if len(s.Nodes) > 50 {
			a.verdict, a.means = Note, "All flows of all nodes go through one Relay, which drops when it cannot keep up, and resumes all nodes from the slowest one's time."
			a.remedy = "follow the nodes themselves: --peers"
		}
	default:
		a.text = s.Server + ": one agent"
		if len(s.Nodes) == 1 && s.Nodes[0].Node != "" {
			a.text += ", of " + s.Nodes[0].Node
		}
	}
	switch {
	case len(s.Nodes) == 0:
		a.verdict, a.means, a.remedy = Fail, "There is no node to follow.", "turn Hubble on in the agents: hubble.enabled=true, and a hubble.listenAddress"
	case s.More > 0:
		a.verdict, a.means, a.remedy = Warn, number(s.More, "node")+" beyond hubble.max_nodes would not be followed.", "raise hubble.max_nodes, or let replicas share the nodes"
	}
	return a.line(TopicHubble, "server")
}

func secure(s *hubble.Sight) Line {
	a := answer{verdict: OK, text: "TLS, with a certificate that was verified"}
	switch {
	case s.Socket:
		a.text = "a unix socket: nothing travels"
	case s.Unverified:
		a.verdict, a.text, a.means = Warn, "TLS, and nobody looks at the certificate", "Who answers may be anyone."
		a.remedy = "give hubble.tls_ca_cert_files, and leave hubble.tls_allow_insecure out"
	case !s.TLS && loopback(s.Server):
		a.text = "not encrypted, to this machine"
	case !s.TLS:
		a.verdict, a.text, a.means = Note, "not encrypted", "Flows name who talks to whom: who is on the way can read them, and make them up."
		a.remedy = "hubble.relay.tls.server.enabled=true for Relay, hubble.tls.enabled=true for the nodes, and hubble.tls with hubble.tls_ca_cert_files here"
	}
	return a.line(TopicHubble, "encryption")
}

func loopback(server string) bool {
	addr, err := netip.ParseAddrPort(server)
	return err == nil && addr.Addr().IsLoopback() || strings.HasPrefix(server, "localhost:")
}

var versionNumber = regexp.MustCompile(`\bv?(\d+)\.(\d+)(\.\d+)?`)

// oldest is the first version whose flows tell translated sources, and why a trace was sent (api/v1/flow/flow.proto).
const oldestMajor, oldestMinor = 1, 16

// version compares the agents' versions with what the flows must tell.
func version(s *hubble.Sight) Line {
	have := map[string][]string{}
	for _, n := range s.Nodes {
		if n.Err == nil {
			have[short(n.Version)] = append(have[short(n.Version)], cmp.Or(n.Node, "the agent"))
		}
	}
	a := answer{verdict: OK}
	var words, old, odd []string
	for v := range have {
		words = append(words, v)
	}
	slices.Sort(words)
	for i, v := range words {
		m := versionNumber.FindStringSubmatch(v)
		switch {
		case m == nil:
			odd = append(odd, have[v]...)
		case before(m[1], m[2]):
			old = append(old, have[v]...)
		}
		if len(words) > 1 {
			words[i] = v + " on " + number(len(have[v]), "node")
		}
	}
	a.text = some(words)
	if s.Relay && s.Version != "" {
		a.text = strings.TrimSuffix(a.text+"; Relay "+short(s.Version), "; ")
	}
	switch {
	case len(words) == 0:
		a.verdict, a.text = Unknown, "no agent told its version"
	case len(old) > 0:
		a.verdict, a.means = Warn, "Before Cilium 1.16 flows tell no translated source and no reason: translations are inferred, and where a connection began is an estimate. That holds for "+some(old)+"."
		a.remedy = "upgrade Cilium"
	case len(odd) > 0:
		a.verdict, a.means = Unknown, "The version is not understood, so whether its flows tell translated sources cannot be said: Cilium 1.16 and later do."
	}
	return a.line(TopicHubble, "version")
}

func before(major, minor string) bool {
	x, _ := strconv.Atoi(major) // digits, by the expression
	y, _ := strconv.Atoi(minor)
	return x < oldestMajor || x == oldestMajor && y < oldestMinor
}

// short leaves out the revision: "cilium v1.20.2+g63aa1b8" is "cilium v1.20.2".
func short(version string) string {
	version, _, _ = strings.Cut(version, "+")
	return cmp.Or(version, "unknown")
}

// reached says which nodes are followed, of those that Hubble names and those that the cluster has.
func reached(s *hubble.Sight, c *Cluster) []Line {
	why := map[answer][]string{}
	hears := map[string]bool{}
	for _, n := range s.Nodes {
		hears[n.Node] = true
		if n.Err == nil {
			continue
		}
		text, remedy := cause(n.Err)
		text = strings.TrimPrefix(text, n.Server+": ")
		a := answer{Warn, "not reached: " + text, "Of these nodes nothing is seen, and a gap says so.", remedy}
		why[a] = append(why[a], cmp.Or(n.Node, n.Server))
	}
	lines := make([]Line, 0, len(why)+1)
	bad := 0
	for a, nodes := range why {
		bad += len(nodes)
		l := a.line(TopicHubble, "nodes")
		slices.Sort(nodes)
		l.Nodes = nodes
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b Line) int { return strings.Compare(a.Nodes[0], b.Nodes[0]) })
	if bad > 0 && bad == len(s.Nodes) {
		for i := range lines {
			lines[i].Verdict = Fail
		}
	}
	all := s.Peers || s.Relay
	var missing []string
	if c != nil {
		for _, n := range c.Nodes {
			if !hears[n.Name] {
				missing = append(missing, n.Name)
			}
		}
	}
	switch {
	case len(missing) > 0 && all:
		lines = append(lines, Line{
			Topic: TopicHubble, Subject: "nodes", Verdict: Warn, Nodes: missing, Text: "nodes of the cluster that Hubble does not name",
			Means: "Of these nodes nothing is seen.", Remedy: "see whether the agent runs there with hubble.enabled=true; and whether the state is the one of this cluster",
		})
	case len(missing) > 0 && !hears[""]:
		lines = append(lines, Line{
			Topic: TopicHubble, Subject: "nodes", Verdict: Note, Nodes: missing, Text: "not followed: one agent tells of its own node alone",
			Means: "That is as it should be where every node has a Sextant of its own.", Remedy: "else follow Relay, or every node with --peers",
		})
	case bad == 0 && all && len(s.Nodes) > 0:
		lines = append(lines, answer{verdict: OK, text: "all reached: " + number(len(s.Nodes), "node")}.line(TopicHubble, "nodes"))
	}
	return lines
}
