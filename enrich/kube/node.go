package kube

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"sextant/collector/verdict"
)

// node is what a Node or a CiliumNode tells.
type node struct {
	labels    map[string]string
	addresses []netip.Addr // InternalIP and ExternalIP
	router    []netip.Addr // CiliumInternalIP
	podCIDRs  []netip.Prefix
	vpc       netip.Prefix // the primary IPv4 prefix of the VPC, on AWS
}

// address takes an address by its type; names are no addresses.
func (n *node) address(field, kind, text string) error {
	var into *[]netip.Addr
	switch kind {
	case "InternalIP", "ExternalIP":
		into = &n.addresses
	case "CiliumInternalIP":
		into = &n.router
	default:
		return nil
	}
	addr, err := parseAddr(field, text)
	if err != nil {
		return err
	}
	*into = appendNew(*into, addr)
	return nil
}

// Node is a core v1 Node.
type Node struct {
	Meta `yaml:",inline"`
	Spec struct {
		PodCIDR  string   `yaml:"podCIDR"`
		PodCIDRs []string `yaml:"podCIDRs"`
	}
	Status struct {
		Addresses []struct{ Type, Address string }
	}
}

func (s *state) takeNode(o *Node) error {
	n := node{labels: s.shared.set(o.Metadata.Labels)}
	for i, a := range o.Status.Addresses {
		if err := n.address(fmt.Sprintf("status.addresses[%d].address", i), a.Type, a.Address); err != nil {
			return err
		}
	}
	var err error
	if n.podCIDRs, err = parsePrefixes("spec.podCIDRs", o.Spec.PodCIDRs); err != nil {
		return err
	}
	if len(n.podCIDRs) == 0 && o.Spec.PodCIDR != "" {
		prefix, err := parsePrefix("spec.podCIDR", o.Spec.PodCIDR)
		if err != nil {
			return err
		}
		n.podCIDRs = []netip.Prefix{prefix}
	}
	put(s, &s.nodes, o.called(), n)
	return nil
}

// CiliumNode is a cilium.io/v2 CiliumNode.
type CiliumNode struct {
	Meta `yaml:",inline"`
	Spec struct {
		Addresses []struct{ Type, IP string }
		IPAM      struct {
			PodCIDRs []string `yaml:"podCIDRs"`
			Pools    struct {
				Allocated []struct{ CIDRs []string }
			}
		}
	}
	Status struct {
		ENI struct {
			ENIs map[string]struct {
				VPC struct {
					PrimaryCIDR string `yaml:"primary-cidr" json:"primary-cidr"`
				}
			}
		}
	}
}

func (s *state) takeCiliumNode(o *CiliumNode) error {
	n := node{labels: s.shared.set(o.Metadata.Labels)}
	for i, a := range o.Spec.Addresses {
		if err := n.address(fmt.Sprintf("spec.addresses[%d].ip", i), a.Type, a.IP); err != nil {
			return err
		}
	}
	var err error
	if n.podCIDRs, err = parsePrefixes("spec.ipam.podCIDRs", o.Spec.IPAM.PodCIDRs); err != nil {
		return err
	}
	for i, pool := range o.Spec.IPAM.Pools.Allocated {
		prefixes, err := parsePrefixes(fmt.Sprintf("spec.ipam.pools.allocated[%d].cidrs", i), pool.CIDRs)
		if err != nil {
			return err
		}
		n.podCIDRs = appendNew(n.podCIDRs, prefixes...)
	}
	for _, id := range slices.Sorted(maps.Keys(o.Status.ENI.ENIs)) { // all of one VPC
		if text := o.Status.ENI.ENIs[id].VPC.PrimaryCIDR; text != "" && !n.vpc.IsValid() {
			if n.vpc, err = parsePrefix("status.eni.enis."+id+".vpc.primary-cidr", text); err != nil {
				return err
			}
		}
	}
	put(s, &s.ciliumNodes, o.called(), n)
	return nil
}

// joinNodes joins what both kinds tell of each node, and gives it its settings.
func (s *state) joinNodes(c config) ([]verdict.Node, error) {
	agents := s.agents(c)
	var nodes []verdict.Node
	for _, n := range s.nodeNames() {
		core, cilium := s.nodes.get(n), s.ciliumNodes.get(n)
		run := agents[n.name]
		labels := s.nodeLabels(n)
		v := c.on(labels, run)
		settings, err := s.settings(c, v, cilium.vpc)
		if err != nil {
			return nil, err
		}
		if !run.ordinary() {
			s.doubt("%s: takes its configuration from %s, so that its settings are unknown", run.where, run.build["source"])
			settings = verdict.Settings{}
		}
		nodes = append(nodes, verdict.Node{
			Name:      n.name,
			Labels:    labels,
			Addresses: appendNew(core.addresses, cilium.addresses...),
			Router:    appendNew(core.router, cilium.router...),
			PodCIDRs:  podCIDRs(core.podCIDRs, cilium.podCIDRs, v["ipam"].text, c.found),
			Settings:  settings,
		})
	}
	return nodes, nil
}

// nodeNames lists what either kind tells of.
func (s *state) nodeNames() []name {
	names := s.nodes.names()
	for n := range s.ciliumNodes {
		if !s.nodes.has(n) {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, name.compare)
	return names
}

// nodeLabels returns the labels of a Node, or those that its agent copied from it.
func (s *state) nodeLabels(n name) map[string]string {
	if told, ok := s.nodes[n]; ok {
		return told.object.labels
	}
	return s.ciliumNodes.get(n).labels
}

// The labels that say where a node is (k8s.io/api/core/v1, well_known_labels.go).
const (
	zoneLabel      = "topology.kubernetes.io/zone"
	regionLabel    = "topology.kubernetes.io/region"
	oldZoneLabel   = "failure-domain.beta.kubernetes.io/zone"
	oldRegionLabel = "failure-domain.beta.kubernetes.io/region"
)

// topology says where a node is.
func (s *state) topology(node string) (zone, region string) {
	labels := s.nodeLabels(name{"", node})
	zone, region = labels[zoneLabel], labels[regionLabel]
	if zone == "" {
		zone = labels[oldZoneLabel]
	}
	if region == "" {
		region = labels[oldRegionLabel]
	}
	return zone, region
}

// podCIDRs joins what both kinds tell of a node's pods. The controller manager may give every Node prefixes that Cilium
// never looks at: it does in the mode kubernetes alone (pkg/ipam/option/option.go:9).
func podCIDRs(core, cilium []netip.Prefix, ipam string, told bool) []netip.Prefix {
	if told && ipam != "kubernetes" {
		return cilium
	}
	return appendNew(core, cilium...)
}
