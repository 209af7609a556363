package bucket

import (
	"cmp"
	"slices"

	"sextant/collector/flow"
)

// Demand is uses of a limit in its window, which have all this in common.
type Demand struct {
	Service, Node, Pod string      // the name of the limit; the pod with its namespace
	Bucket             string      // in which they are now
	Family             flow.Family // towards the service
	Host               bool        // what the node itself did
	Pull               bool        // told by an event: what it did shows as its connections, too
	Uses               uint64
}

// Scenario is a way in which a cluster can reach the outside.
type Scenario struct{ Name, Doc string }

// Scenarios are the ways that are looked at, in the order in which outlooks come.
var Scenarios = []Scenario{
	{"now", "as it is"},
	{"one_ipv4", "everything behind one IPv4 address, of a NAT44 or a NAT64"},
	{"prefix_per_node", "IPv6, each node with a /64 of its own and its pods masqueraded behind it"},
	{"native_pods", "IPv6, each node with a /64 of its own and another one for its pods, which are not masqueraded"},
	{"nat64", "IPv6 alone, as native_pods, and what has no IPv6 through a NAT64 with one address"},
}

// Outlook is how full the buckets of a limit would be.
type Outlook struct {
	Service, Scenario string
	Buckets           int    // in use
	Fullest           uint64 // uses of the fullest
	Limit             uint64 // 0 is unknown
	Over              int    // buckets that exceed it
}

// WhatIf says how the same demand would fill the buckets of each limit in each scenario. What a node itself did counts as the
// larger number of its connections and its pulls. A service without IPv6 is reached as now where the scenario does not say
// how.
func WhatIf(demand []Demand, c *Catalogue) []Outlook {
	demand = once(demand)
	var services []string
	of := map[string][]Demand{}
	for _, d := range demand {
		if len(of[d.Service]) == 0 {
			services = append(services, d.Service)
		}
		of[d.Service] = append(of[d.Service], d)
	}
	slices.Sort(services)
	var all []Outlook
	for _, service := range services {
		l := c.byName[service]
		if l == nil {
			continue
		}
		for _, s := range Scenarios {
			all = append(all, l.outlook(s.Name, of[service], c.main(l)))
		}
	}
	return all
}

// once leaves of what nodes themselves did the larger number: their connections, and the pulls that exceed them.
func once(demand []Demand) []Demand {
	type host struct{ service, node string }
	connections, pulls := map[host]uint64{}, map[host]uint64{}
	for _, d := range demand {
		switch {
		case d.Pull:
			pulls[host{d.Service, d.Node}] += d.Uses
		case d.Host:
			connections[host{d.Service, d.Node}] += d.Uses
		}
	}
	var left []Demand
	most := map[host]Demand{} // the bucket in which most of the pulls are
	byBucket := map[Demand]uint64{}
	for _, d := range demand {
		if !d.Pull {
			left = append(left, d)
			continue
		}
		k := Demand{Service: d.Service, Node: d.Node, Bucket: d.Bucket, Family: d.Family, Host: true, Pull: true}
		byBucket[k] += d.Uses
		h := host{d.Service, d.Node}
		if before := most[h]; k != before && (byBucket[k] > byBucket[before] || byBucket[k] == byBucket[before] && (!before.Pull || k.Bucket < before.Bucket)) {
			most[h] = k
		}
	}
	for h, d := range most {
		if pulls[h] > connections[h] {
			d.Uses = pulls[h] - connections[h]
			left = append(left, d)
		}
	}
	slices.SortFunc(left, func(a, b Demand) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.Bucket, b.Bucket))
	})
	return left
}

func (l *limit) outlook(scenario string, demand []Demand, main *limit) Outlook {
	o := Outlook{Service: l.Name, Scenario: scenario}
	if !l.Indirect {
		o.Limit = l.Allowed
	}
	ipv6 := len(main.Hosts) == 0
	for _, host := range main.Hosts {
		ipv6 = ipv6 || l.HasIPv6(host)
	}
	buckets := map[string]uint64{}
	for _, d := range demand {
		if name, ok := l.inScenario(scenario, &d, ipv6); ok {
			buckets[name] += d.Uses
		}
	}
	o.Buckets = len(buckets)
	for _, n := range buckets {
		o.Fullest = max(o.Fullest, n)
		if o.Limit > 0 && n > o.Limit {
			o.Over++
		}
	}
	return o
}

// inScenario names the bucket of a use; ok is false where the limit is not for the family it then has.
func (l *limit) inScenario(scenario string, d *Demand, ipv6 bool) (name string, ok bool) {
	const oneIPv4 = "one"
	now := d.Family.String() + " " + d.Bucket
	switch {
	case scenario == "now":
		return now, true
	case scenario == "one_ipv4", scenario == "nat64" && !ipv6:
		return oneIPv4, l.IPv4Length > 0
	case !ipv6:
		return now, true
	case l.IPv6Length == 0:
		return "", false
	case l.IPv6Length < 64: // the nodes of a cluster are in one prefix of a site
		return "site", true
	case scenario == "prefix_per_node", d.Host:
		return "node " + d.Node, true
	case l.IPv6Length == 64:
		return "pods of " + d.Node, true
	}
	return "pod " + d.Pod, true
}
