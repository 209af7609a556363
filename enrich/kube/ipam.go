package kube

import (
	"net/netip"
	"slices"
	"strconv"
)

// PodIPPool is a cilium.io/v2 CiliumPodIPPool.
type PodIPPool struct {
	Meta `yaml:",inline"`
	Spec struct{ IPv4, IPv6 PoolCIDRs }
}

// PoolCIDRs are the prefixes of a pool, and the length of the part that a node gets.
type PoolCIDRs struct {
	CIDRs    []string
	MaskSize uint8 `yaml:"maskSize"`
}

type ipPool struct {
	v4, v6       []netip.Prefix
	node4, node6 int // lengths of a node's part
}

func (p ipPool) prefixes() []netip.Prefix { return slices.Concat(p.v4, p.v6) }

func (s *state) takePool(o *PodIPPool) error {
	v4, err := parsePrefixes("spec.ipv4.cidrs", o.Spec.IPv4.CIDRs)
	if err != nil {
		return err
	}
	v6, err := parsePrefixes("spec.ipv6.cidrs", o.Spec.IPv6.CIDRs)
	if err != nil {
		return err
	}
	put(s, &s.pools, o.called(), ipPool{v4, v6, int(o.Spec.IPv4.MaskSize), int(o.Spec.IPv6.MaskSize)})
	return nil
}

func (s *state) takeServiceCIDR(o *ServiceCIDR) error {
	cidrs, err := parsePrefixes("spec.cidrs", o.Spec.CIDRs)
	if err != nil {
		return err
	}
	put(s, &s.cidrs, o.called(), cidrs)
	return nil
}

// ipam returns the mode in which Cilium gives addresses to pods, empty where that is not known.
func (c config) ipam() string {
	switch value, told := c.values["ipam"]; {
	case !c.found:
		return ""
	case !told || value.text == "":
		return "cluster-pool" // as in settings
	default:
		return value.text
	}
}

// poolsOf returns the prefixes from which nodes get theirs: in the mode cluster-pool those of cilium-config, else those of
// the pools there are.
func (s *state) poolsOf(c config, ipam string) []Pool {
	var pools []Pool
	if ipam == "cluster-pool" {
		for _, key := range []struct{ prefixes, length string }{
			{"cluster-pool-ipv4-cidr", "cluster-pool-ipv4-mask-size"},
			{"cluster-pool-ipv6-cidr", "cluster-pool-ipv6-mask-size"},
		} {
			cidrs, err := c.values.prefixes(key.prefixes)
			if err != nil { // which whoever asks for the facts about the cluster is told
				continue
			}
			length, _ := strconv.ParseUint(c.values[key.length].text, 10, 8)
			pools = appendPools(pools, "", cidrs.List, int(length))
		}
	}
	for _, n := range s.pools.names() {
		p := s.pools.get(n)
		pools = appendPools(pools, n.name, p.v4, p.node4)
		pools = appendPools(pools, n.name, p.v6, p.node6)
	}
	return pools
}

func appendPools(pools []Pool, name string, prefixes []netip.Prefix, length int) []Pool {
	for _, prefix := range prefixes {
		pool := Pool{Name: name, Prefix: prefix}
		if length >= prefix.Bits() && length <= prefix.Addr().BitLen() {
			pool.NodeLength = length
		}
		pools = append(pools, pool)
	}
	return pools
}
