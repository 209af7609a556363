// Package inventory says what a cluster has of each address family, as rows: its nodes, the prefixes of nodes, pods and
// services with what is left in them, the families of services and workloads, and what about each deserves attention.
//
// It judges a kube.View and nothing else: it asks nobody, knows no traffic (which is joined to the rows where both are
// stored), and refuses to guess. What a view does not tell is unknown, and the row says so.
package inventory

import (
	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// Of returns the inventory of a cluster, as much of it as Default allows.
func Of(names *flow.Interner, v kube.View) []flow.Item { return Default().Of(names, v) }

// Of returns the inventory of a cluster: a row for each thing in each family, in an order that does not depend on the
// view's. They are nodes, the prefixes of the cluster, of services and of nodes, services, and workloads. A thing has a row
// for each family that it has, that it asks for, or that it could have in this cluster. Beyond MaxRows the rows at the end
// are left out, and one more says how many.
func (c Config) Of(names *flow.Interner, v kube.View) []flow.Item {
	items, _ := c.of(names, v)
	return items
}

// of returns how many rows were left out, too.
func (c Config) of(names *flow.Interner, v kube.View) (items []flow.Item, left int) {
	s := survey(&v)
	rows := &rows{max: c.MaxRows, names: names, time: v.Time.UTC(), cluster: names.Name(v.Cluster)}
	s.addNodes(rows)
	s.addClusterPrefixes(rows)
	s.addServicePrefixes(rows)
	s.addNodePrefixes(rows)
	s.addServices(rows)
	s.addWorkloads(rows)
	rows.addLeftOut()
	return rows.items, rows.left
}
