package bucket

import (
	"net/netip"

	"sextant/collector/flow"
)

// Facts are what is known of a cluster. They never change. Nil facts know nothing.
type Facts struct {
	Cluster flow.Name
	Nodes   map[flow.Name]Node
}

// Node is one node.
type Node struct {
	// IPv4 and IPv6 are the addresses with which its own connections leave it, and those of pods that are masqueraded; zero
	// where it has none, or it is not known.
	IPv4, IPv6 netip.Addr
	PodCIDRs   []netip.Prefix
	Shows      flow.Tristate // whether its own connections show in its flows
	Masquerade flow.Tristate // whether its pods' IPv6 is masqueraded
}

func (f *Facts) address(node flow.Name, family flow.Family) netip.Addr {
	if f == nil {
		return netip.Addr{}
	}
	n := f.Nodes[node]
	switch family {
	case flow.FamilyIPv4:
		return n.IPv4
	case flow.FamilyIPv6:
		return n.IPv6
	}
	return netip.Addr{}
}

// unseen says whether what a node itself did can be seen, in its flows or, where they tell all of it, in events.
func (n *Node) unseen(events bool) flow.Unseen {
	switch {
	case events, n.Shows == flow.Yes:
		return flow.UnseenNothing
	case n.Shows == flow.No:
		return flow.UnseenNode
	}
	return flow.UnseenUnknown
}

// worse of two words about what could not be seen: that something is missing goes before that it is not known.
func worse(a, b flow.Unseen) flow.Unseen {
	rank := [...]int{flow.UnseenUnknown: 1, flow.UnseenNothing: 0, flow.UnseenNode: 2}
	if rank[b] > rank[a] {
		return b
	}
	return a
}
