package preflight

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// Cluster is what is known of the cluster. A nil Cluster is one of which nobody told.
type Cluster struct {
	verdict.Cluster
	// Values are the nodes' configurations, by name; that of "" is the configuration of nodes that were not told. A node
	// without an entry has one that is not known.
	Values map[string]Values
	Source string   // who told: "the files in state/"
	Doubts []string // what makes the facts less certain, or other, than whoever told them may think
}

// Values are a node's cilium-config by its keys, with everything that is laid over it there.
type Values map[string]string

// node is a node with its configuration.
type node struct {
	verdict.Node
	values Values
	told   bool // values are known
}

// value returns what a key is, and what the agent takes where it is absent.
func (n *node) value(key, absent string) string {
	if v, ok := n.values[key]; ok {
		return strings.TrimSpace(v)
	}
	return absent
}

// is says whether a switch has a value, as viper reads it.
func (n *node) is(key, absent string, want bool) bool {
	if !n.told {
		return false
	}
	switch n.value(key, absent) {
	case "1", "t", "T", "true", "TRUE", "True":
		return want
	case "0", "f", "F", "false", "FALSE", "False":
		return !want
	}
	return false
}

// nodes returns the nodes, or the one that stands for those that were not told.
func (c *Cluster) nodes() []node {
	var list []node
	for _, n := range c.Nodes {
		values, told := c.Values[n.Name]
		list = append(list, node{n, values, told})
	}
	if len(list) == 0 {
		values, told := c.Values[""]
		list = append(list, node{verdict.Node{Settings: c.Settings, PodCIDRs: c.PodCIDRs}, values, told})
	}
	return list
}

// perNode asks of every node, and makes one line of equal answers: where all are equal a single one, else the worst first.
// An answer without a text is none.
func (c *Cluster) perNode(topic, subject string, ask func(*node) answer) []Line {
	nodes := c.nodes()
	groups := map[answer][]string{}
	for i := range nodes {
		if a := ask(&nodes[i]); a.text != "" {
			groups[a] = append(groups[a], nodes[i].Name)
		}
	}
	answers := slices.SortedFunc(maps.Keys(groups), func(a, b answer) int {
		return cmp.Or(cmp.Compare(b.verdict, a.verdict), cmp.Compare(len(groups[b]), len(groups[a])), strings.Compare(groups[a][0], groups[b][0]))
	})
	var lines []Line
	for _, a := range answers {
		l := a.line(topic, subject)
		if len(groups[a]) < len(nodes) {
			l.Nodes = groups[a]
		}
		lines = append(lines, l)
	}
	return lines
}

// What to do where the cluster is not known, and where some of its settings are not.
const (
	howTold = "mkdir state; kubectl get nodes,namespaces,pods,services,endpointslices,ciliumnodes,ciliumnodeconfigs -A -o yaml > state/objects.yaml; " +
		"kubectl -n kube-system get configmaps -o yaml > state/config.yaml; then give --state state"
	settingsTold = "give cilium-config, and the CiliumNodeConfigs and agents' pods beside it, with --state"
)

// Known says what is known of the cluster, or why nothing is, and what is in doubt. Failed is an error of something that
// the user named.
func Known(c *Cluster, failed error) []Line {
	switch {
	case failed != nil:
		return []Line{answer{
			Fail, failed.Error(), "What only the cluster's settings and objects tell stays unknown, and so does which way most connections went.",
			howTold,
		}.line(TopicCluster, "state")}
	case c == nil:
		return []Line{answer{
			Unknown, "nothing was told of the cluster's settings and objects", "Whether traffic is translated, and what Hubble shows of that, cannot be said.", howTold,
		}.line(TopicCluster, "state")}
	}
	text := fmt.Sprintf("%s, %s, %s", number(len(c.Nodes), "node"), number(len(c.Pods), "pod"), number(len(c.Services), "service"))
	if c.Name != "" {
		text = "cluster " + c.Name + ": " + text
	}
	if c.Source != "" {
		text += ", told by " + c.Source
	}
	a := answer{verdict: OK, text: text}
	switch {
	case len(c.Nodes) == 0:
		a.verdict, a.means = Warn, "Without nodes nobody knows which addresses are theirs: clients that a node hides and masqueraded packets are not recognised, and settings that differ between nodes are not seen."
		a.remedy = "add the nodes: kubectl get nodes,ciliumnodes -o yaml"
	case len(c.Pods) == 0:
		a.verdict, a.means = Warn, "Without pods an address is not told from others of its node's prefix; connections whose flows come from another node than the pod's stay unknown."
		a.remedy = "add the pods: kubectl get pods -A -o yaml"
	}
	lines := []Line{a.line(TopicCluster, "state")}
	for _, doubt := range c.Doubts {
		lines = append(lines, answer{Warn, doubt, "", ""}.line(TopicCluster, "doubt"))
	}
	return lines
}

// Settings judges what the cluster's settings let Hubble show.
func Settings(c *Cluster) []Line {
	if c == nil {
		return nil
	}
	if c.blank() {
		return []Line{answer{
			Unknown, "none is known", "Which traffic shows, whether it is translated, and what Hubble tells of that cannot be said.", howTold,
		}.line(TopicFlows, "settings")}
	}
	return slices.Concat(c.flows(), c.masquerade(), c.exceptions(), c.services(), c.nodeTraffic())
}

// blank says that not one setting of a node is known.
func (c *Cluster) blank() bool {
	for _, n := range c.nodes() {
		if n.told || !reflect.DeepEqual(n.Settings, verdict.Settings{}) {
			return false
		}
	}
	return true
}

var familyWords = map[flow.Family]string{flow.FamilyIPv4: "IPv4", flow.FamilyIPv6: "IPv6"}
