package kube

import (
	"net/netip"

	"sextant/collector/verdict"
)

// cluster puts the facts for verdicts together, and says its doubts in the report.
func (s *state) cluster() (*verdict.Cluster, error) {
	config := s.ciliumConfig()
	c := &verdict.Cluster{Name: s.clusterName(config)}
	var err error
	if c.Nodes, err = s.joinNodes(config); err != nil {
		return nil, err
	}
	if c.Settings, err = s.settings(config, config.anywhere(), netip.Prefix{}); err != nil {
		return nil, err
	}
	if c.PodCIDRs, err = s.clusterPodCIDRs(config); err != nil {
		return nil, err
	}
	c.Pods = s.joinPods()
	c.Services = s.joinServices()
	c.EgressPolicies = s.applyPolicies(c)
	return c, nil
}
