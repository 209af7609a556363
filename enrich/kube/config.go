package kube

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sextant/collector/verdict"
)

// A value of a configuration: what it is, and who said so. Unsure is one that may be another on the node in question.
type value struct {
	text   string
	from   string
	unsure bool
}

// values are a configuration by its keys; a key that is not there was not told.
type values map[string]value

// lay puts other values over these.
func (v values) lay(from string, over map[string]string) {
	for key, text := range over {
		v[key] = value{text: strings.TrimSpace(text), from: from} // the agent trims, too (pkg/option/config.go:2339)
	}
}

// prefixes reads the list of CIDRs of a key. None are known where the key is not told.
func (v values) prefixes(key string) (verdict.CIDRs, error) {
	value := v[key]
	if value.unsure {
		return verdict.CIDRs{}, nil
	}
	prefixes, err := parsePrefixes(key, words(value.text))
	if err != nil {
		return verdict.CIDRs{}, fmt.Errorf("%s: %w", value.from, err)
	}
	return verdict.CIDRs{List: prefixes, Known: true}, nil
}

// config is the cilium-config of a cluster, with what may be laid over it on a node.
type config struct {
	found     bool
	namespace string // Cilium's
	values    values
	overrides []override
}

// override is a CiliumNodeConfig that changes something somewhere.
type override struct {
	nodeConfig
	where string
}

const ciliumConfig = "cilium-config"

// takeConfigMap keeps what matters of two ConfigMaps, and of the others their names.
func (s *state) takeConfigMap(o *ConfigMap) {
	if n := o.Metadata.Name; n != ciliumConfig && n != ipMasqAgent {
		o.Data = nil
	}
	put(s, &s.configMaps, o.called(), o.Data)
}

// ConfigMap is a core v1 ConfigMap.
type ConfigMap struct {
	Meta `yaml:",inline"`
	Data map[string]string
}

// ciliumConfig finds the ConfigMap, the one in kube-system first, and the CiliumNodeConfigs beside it: those in other
// namespaces no agent reads (cilium-dbg/cmd/build-config.go:66). They go by name, so that the last wins (pkg/option/resolver).
func (s *state) ciliumConfig() config {
	c := config{values: values{}}
	var where string
	for _, n := range s.configMaps.names() {
		told := s.configMaps[n]
		switch {
		case n.name != ciliumConfig:
		case len(told.object) == 0:
			s.doubt("%s: has no data and is taken for absent", told.where)
		case !c.found || n.namespace == "kube-system":
			if c.found {
				s.doubt("%s: %s is used in its place", where, n)
			}
			c = config{found: true, namespace: n.namespace, values: values{}}
			where = told.where
			c.values.lay(where, told.object)
		default:
			s.doubt("%s: %s is used in its place", told.where, name{c.namespace, ciliumConfig})
		}
	}
	if !c.found {
		s.doubt("there is no ConfigMap cilium-config, so that every setting is unknown")
	}
	for _, n := range s.nodeConfigs.names() {
		told := s.nodeConfigs[n]
		switch {
		case !c.found || n.namespace != c.namespace:
			s.doubt("%s: is not beside the cilium-config in use, where alone agents look", told.where)
		case told.object.selector == nil || len(told.object.defaults) == 0: // selects no node, or changes nothing
		default:
			c.overrides = append(c.overrides, override{told.object, told.where})
		}
	}
	return c
}

// clusterName returns what the flows of the cluster call it.
func (s *state) clusterName(c config) string {
	if s.cfg.Cluster != "" {
		return s.cfg.Cluster
	}
	return c.clusterName()
}

func (c config) clusterName() string {
	switch value, told := c.values["cluster-name"]; {
	case !c.found:
		return ""
	case !told || value.text == "":
		return "default" // pkg/defaults/cluster.go:8
	default:
		return value.text
	}
}

// on returns the configuration of a node: ConfigMap, CiliumNodeConfigs, and the flags that its agent is run with.
func (c config) on(labels map[string]string, run command) values {
	v := maps.Clone(c.values)
	for _, o := range c.overrides {
		if o.selector.matches(labels) {
			v.lay(o.where, run.overridable(o.defaults))
		}
	}
	v.lay(run.where, run.flags)
	return v
}

// anywhere returns what is sure of a node without its labels and its agent.
func (c config) anywhere() values {
	v := maps.Clone(c.values)
	for _, o := range c.overrides {
		if o.selector.empty() {
			v.lay(o.where, o.defaults)
			continue
		}
		for key, text := range o.defaults {
			if before, told := v[key]; !told || before.text != strings.TrimSpace(text) {
				v[key] = value{from: o.where, unsure: true}
			}
		}
	}
	return v
}

// settings returns what a configuration makes of an agent. The VPC is that of its node.
func (s *state) settings(c config, v values, vpc netip.Prefix) (verdict.Settings, error) {
	if !c.found {
		return verdict.Settings{}, nil
	}
	a, err := s.settle(v, vpc)
	if err != nil {
		return verdict.Settings{}, err
	}
	a.NonMasquerade, err = s.nonMasquerade(c, a.IPMasqAgent)
	return a.Settings, err
}

// clusterPodCIDRs are those that the operator gives the nodes theirs from: in the mode cluster-pool from cilium-config, in
// multi-pool from the pools.
func (s *state) clusterPodCIDRs(c config) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, key := range []string{"cluster-pool-ipv4-cidr", "cluster-pool-ipv6-cidr"} {
		cidrs, err := c.values.prefixes(key)
		if err != nil {
			return nil, err
		}
		all = appendNew(all, cidrs.List...)
	}
	for _, n := range s.pools.names() {
		all = appendNew(all, s.pools[n].object.prefixes()...)
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return all, nil
}

// CiliumNodeConfig is a cilium.io/v2 CiliumNodeConfig.
type CiliumNodeConfig struct {
	Meta `yaml:",inline"`
	Spec struct {
		Defaults     map[string]string
		NodeSelector *Selector `yaml:"nodeSelector"`
	}
}

// nodeConfig is what a CiliumNodeConfig changes, and where. Without a selector, which is not an empty one, that is nowhere.
type nodeConfig struct {
	defaults map[string]string
	selector *Selector
}

func (s *state) takeNodeConfig(o *CiliumNodeConfig) error {
	if err := o.Spec.NodeSelector.check("spec.nodeSelector"); err != nil {
		return err
	}
	put(s, &s.nodeConfigs, o.called(), nodeConfig{o.Spec.Defaults, o.Spec.NodeSelector})
	return nil
}
