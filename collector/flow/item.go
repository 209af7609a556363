package flow

import (
	"net/netip"
	"time"
)

// Item is one row of the inventory: one thing of the cluster in one address family, as it was at a time. What has both
// families has two rows, and what lacks one has a row that says so.
type Item struct {
	Time    time.Time
	Cluster Name
	Kind    ItemKind
	Family  Family

	Namespace    Name
	Name         Name // of the node, service or workload; the prefix itself for prefixes
	WorkloadKind Name // of a workload
	Node         Name // whose a node prefix is
	Zone         Name // of the node

	Prefix        Name // of prefixes: "fd00::/64"
	PrefixLength  uint8
	Policy        Name     // ipFamilyPolicy of a service, the IPAM mode of prefixes
	Has           Tristate // whether it has the family: an address, an entry in ipFamilies, an address in each pod
	Addresses     []netip.Addr
	LoadBalancers []netip.Addr // addresses that a load-balancer gave the service
	Total         Count        // how many fit, or are there: node prefixes in a cluster prefix, addresses that can be given out in another, endpoints, pods
	Used          Count        // how many of these are given out, are ready, have the family
	Findings      Names        // what deserves attention, in words that do not change
	Detail        Name         // the same in a sentence for a person
}

// ItemKind is what an item is.
type ItemKind uint8

// Item kinds.
const (
	ItemUnknown ItemKind = iota
	ItemNode
	ItemClusterPrefix // node prefixes are cut from it
	ItemNodePrefix    // pods of a node have addresses of it
	ItemServicePrefix // services have cluster IPs of it
	ItemService
	ItemWorkload
)

var itemKindNames = []string{"unknown", "node", "cluster_prefix", "node_prefix", "service_prefix", "service", "workload"}

func (v ItemKind) String() string { return word(itemKindNames, v) }

// ItemFields is the one table of an inventory item's columns.
var ItemFields = []Field[Item]{
	{Name: "time", Doc: "when it was so (UTC)", Time: func(i *Item) time.Time { return i.Time }},
	{Name: "cluster", Doc: "cluster", Label: true, Str: func(i *Item) Name { return i.Cluster }},
	{Name: "kind", Doc: "what it is", Label: true, Words: itemKindNames, Enum: func(i *Item) uint16 { return uint16(i.Kind) }},
	{Name: "family", Doc: "address family that the row is about", Label: true, Words: familyNames, Enum: func(i *Item) uint16 { return uint16(i.Family) }},
	{Name: "namespace", Doc: "namespace of a service or workload", Label: true, Str: func(i *Item) Name { return i.Namespace }},
	{Name: "name", Doc: "name of the node, service or workload; of prefixes the prefix itself", Label: true, Str: func(i *Item) Name { return i.Name }},
	{Name: "workload_kind", Doc: "kind of a workload", Label: true, Str: func(i *Item) Name { return i.WorkloadKind }},
	{Name: "node", Doc: "node whose prefix it is", Label: true, Str: func(i *Item) Name { return i.Node }},
	{Name: "zone", Doc: "topology zone of a node", Label: true, Str: func(i *Item) Name { return i.Zone }},
	{Name: "prefix", Doc: "the prefix, of prefixes", Label: true, Str: func(i *Item) Name { return i.Prefix }},
	{Name: "prefix_length", Doc: "its length", U8: func(i *Item) uint8 { return i.PrefixLength }},
	{Name: "policy", Doc: "ipFamilyPolicy of a service; IPAM mode that a prefix is from", Label: true, Str: func(i *Item) Name { return i.Policy }},
	{Name: "has_family", Doc: "whether it has the family: a node an address, a service an entry in ipFamilies, a workload an address in each of its pods", Label: true, Words: tristateNames, Enum: func(i *Item) uint16 { return uint16(i.Has) }},
	{Name: "addresses", Doc: "addresses of a node; cluster and external IPs of a service", Addrs: func(i *Item) []netip.Addr { return i.Addresses }},
	{Name: "load_balancers", Doc: "addresses that a load-balancer gave a service", Addrs: func(i *Item) []netip.Addr { return i.LoadBalancers }},
	{Name: "total", Doc: "how many fit or are there: node prefixes in a cluster prefix, addresses that can be given out in the others, endpoints of a service, pods of a workload", Count: func(i *Item) Count { return i.Total }},
	{Name: "used", Doc: "how many of these are given out, are ready, or have the family", Count: func(i *Item) Count { return i.Used }},
	{Name: "findings", Doc: "what deserves attention", Strs: func(i *Item) Names { return i.Findings }},
	{Name: "detail", Doc: "the same in a sentence", Str: func(i *Item) Name { return i.Detail }},
}
