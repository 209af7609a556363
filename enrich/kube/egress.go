package kube

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sextant/collector/verdict"
)

// egressPolicy is a CiliumEgressGatewayPolicy.
type egressPolicy struct {
	selectors              []PodSelector
	destinations, excluded []netip.Prefix
	gateways               []gateway
	rejected               string // why an agent would not accept it, empty where it would
}

// PodSelector selects pods by their namespace, by themselves, or both. Its node selector does not belong to it: an agent
// wants one of all pod selectors and one of all node selectors to hold (pkg/egressgateway/policy.go:110).
type PodSelector struct {
	NamespaceSelector *Selector `yaml:"namespaceSelector"`
	PodSelector       *Selector `yaml:"podSelector"`
	NodeSelector      *Selector `yaml:"nodeSelector"`
}

type gateway struct {
	nodes *Selector
	ip    netip.Addr
}

// EgressGateway is which nodes are a gateway, and with which address.
type EgressGateway struct {
	NodeSelector *Selector `yaml:"nodeSelector"`
	Interface    string
	EgressIP     string `yaml:"egressIP"`
}

// EgressPolicy is a cilium.io/v2 CiliumEgressGatewayPolicy.
type EgressPolicy struct {
	Meta `yaml:",inline"`
	Spec struct {
		Selectors        []PodSelector
		DestinationCIDRs []string        `yaml:"destinationCIDRs"`
		ExcludedCIDRs    []string        `yaml:"excludedCIDRs"`
		EgressGateway    *EgressGateway  `yaml:"egressGateway"`
		EgressGateways   []EgressGateway `yaml:"egressGateways"`
	}
}

// takeEgressPolicy keeps to ParseCEGP of pkg/egressgateway/policy.go: what an agent rejects has no effect, and is doubted.
func (s *state) takeEgressPolicy(o *EgressPolicy) error {
	p := egressPolicy{selectors: o.Spec.Selectors}
	var err error
	if p.destinations, err = parsePrefixes("spec.destinationCIDRs", o.Spec.DestinationCIDRs); err != nil {
		return err
	}
	if p.excluded, err = parsePrefixes("spec.excludedCIDRs", o.Spec.ExcludedCIDRs); err != nil {
		return err
	}
	gateways := o.Spec.EgressGateways
	if len(gateways) == 0 && o.Spec.EgressGateway != nil {
		gateways = []EgressGateway{*o.Spec.EgressGateway}
	}
	for i, g := range gateways {
		field := fmt.Sprintf("spec.egressGateways[%d]", i)
		if len(o.Spec.EgressGateways) == 0 {
			field = "spec.egressGateway"
		}
		if err := g.NodeSelector.check(field + ".nodeSelector"); err != nil {
			return err
		}
		var ip netip.Addr
		if g.EgressIP != "" {
			if ip, err = parseAddr(field+".egressIP", g.EgressIP); err != nil {
				return err
			}
		}
		p.gateways = append(p.gateways, gateway{g.NodeSelector, ip})
	}
	for i, each := range p.selectors {
		field := fmt.Sprintf("spec.selectors[%d]", i)
		if err := errors.Join(each.NamespaceSelector.check(field+".namespaceSelector"),
			each.PodSelector.check(field+".podSelector"), each.NodeSelector.check(field+".nodeSelector")); err != nil {
			return err
		}
	}
	if p.rejected = rejected(o, gateways); p.rejected != "" {
		delete(s.policies, o.called()) // which it takes the place of without a doubt
	}
	put(s, &s.policies, o.called(), p)
	return nil
}

// rejected says why an agent has no use for a policy.
func rejected(o *EgressPolicy, gateways []EgressGateway) string {
	switch {
	case len(o.Spec.DestinationCIDRs) == 0:
		return "it has no destinationCIDRs"
	case len(gateways) == 0:
		return "it has no egressGateway"
	case slices.ContainsFunc(gateways, func(g EgressGateway) bool { return g.Interface != "" && g.EgressIP != "" }):
		return "a gateway has an interface and an egressIP"
	case slices.ContainsFunc(o.Spec.Selectors, func(p PodSelector) bool { return p.NamespaceSelector == nil && p.PodSelector == nil }):
		return "a selector has neither a namespaceSelector nor a podSelector"
	}
	return ""
}

// applyPolicies applies the selectors to the pods and nodes that are known.
func (s *state) applyPolicies(c *verdict.Cluster) []verdict.EgressPolicy {
	if len(s.policies) == 0 {
		return nil
	}
	nodes := map[string]map[string]string{}
	for _, n := range c.Nodes {
		nodes[n.Name] = n.Labels
	}
	labels := make([]map[string]string, len(c.Pods))
	for i := range c.Pods {
		labels[i] = s.identityLabels(c.Name, &c.Pods[i])
	}
	var policies []verdict.EgressPolicy
	for _, n := range s.policies.names() {
		told := s.policies[n]
		p := &told.object
		if p.rejected != "" {
			s.doubt("%s: no agent accepts it: %s", told.where, p.rejected)
			continue
		}
		policy := verdict.EgressPolicy{Name: n.name, Destinations: p.destinations, Excluded: p.excluded}
		policy.Gateways, policy.EgressIPs = p.leaves(c.Nodes)
		if len(policy.Gateways) == 0 {
			s.doubt("%s: no node that is known is its gateway", told.where)
		}
		byNamespace := slices.ContainsFunc(p.selectors, func(p PodSelector) bool { return p.NamespaceSelector != nil && !p.NamespaceSelector.empty() })
		selects := p.selector()
		for i := range c.Pods {
			pod := &c.Pods[i]
			if _, ok := s.namespaces[name{"", pod.Namespace}]; byNamespace && !ok {
				s.doubt("%s: selects by labels of namespaces, and %s is not there", told.where, pod.Namespace)
			}
			if !pod.HostNetwork && selects(labels[i], nodes[pod.Node]) {
				policy.Sources = append(policy.Sources, pod.IPs...)
			}
		}
		slices.SortFunc(policy.Sources, netip.Addr.Compare)
		policy.Sources = slices.Compact(policy.Sources)
		policies = append(policies, policy)
	}
	return policies
}

// selector returns what reports whether the policy is for a pod with these labels on such a node.
func (p *egressPolicy) selector() func(pod, node map[string]string) bool {
	type podSelector struct{ namespace, pod *Selector }
	var onNodes []*Selector
	var ofPods []podSelector
	for _, each := range p.selectors {
		if each.NodeSelector != nil {
			onNodes = append(onNodes, each.NodeSelector)
		}
		ofPods = append(ofPods, podSelector{byIdentity(each.NamespaceSelector, namespacePrefix), byIdentity(each.PodSelector, "")})
	}
	return func(pod, node map[string]string) bool {
		return slices.ContainsFunc(ofPods, func(s podSelector) bool { return s.namespace.matches(pod) && s.pod.matches(pod) }) &&
			(len(onNodes) == 0 || slices.ContainsFunc(onNodes, func(n *Selector) bool { return n.matches(node) }))
	}
}

// leaves returns the gateways of the policy, of each of its selectors the first node by name that has an IPv4 address, and
// the addresses they use where the policy says so.
func (p *egressPolicy) leaves(nodes []verdict.Node) (gateways []string, ips []netip.Addr) {
	for _, g := range p.gateways {
		i := slices.IndexFunc(nodes, func(n verdict.Node) bool {
			return byIdentity(g.nodes, "").matches(n.Labels) && slices.ContainsFunc(n.Addresses, netip.Addr.Is4)
		})
		if i < 0 {
			continue
		}
		gateways = appendNew(gateways, nodes[i].Name)
		if g.ip.IsValid() {
			ips = appendNew(ips, g.ip)
		}
	}
	return gateways, ips
}

// The labels that Cilium gives a pod beside its own (pkg/k8s/apis/cilium.io/const.go).
const (
	ciliumPrefix    = "io.cilium.k8s"
	namespacePrefix = ciliumPrefix + ".namespace.labels."
	namespaceLabel  = "io.kubernetes.pod.namespace"
	accountLabel    = ciliumPrefix + ".policy.serviceaccount"
	clusterLabel    = ciliumPrefix + ".policy.cluster"
)

// identityLabels returns the labels that policies see of a pod (pkg/k8s/utils/utils.go:224). Cilium leaves some out of an
// identity (its configuration's key labels); a policy that selects by one of those selects more here than there.
func (s *state) identityLabels(cluster string, p *verdict.Pod) map[string]string {
	labels := map[string]string{}
	for key, value := range p.Labels {
		if !strings.HasPrefix(key, ciliumPrefix) {
			labels[key] = value
		}
	}
	labels[namespaceLabel] = p.Namespace
	if cluster != "" {
		labels[clusterLabel] = cluster
	}
	if account := s.pods.get(name{p.Namespace, p.Name}).account; account != "" {
		labels[accountLabel] = account
	}
	for key, value := range p.NamespaceLabels {
		labels[namespacePrefix+key] = value
	}
	return labels
}

// byIdentity returns a selector as one of identity labels: a key may name its source (k8s:app, any:app), and those of a
// namespace have a prefix. None at all selects everything here.
func byIdentity(s *Selector, prefix string) *Selector {
	if s == nil {
		return &Selector{}
	}
	key := func(key string) string {
		return strings.TrimPrefix(strings.TrimPrefix(prefix+key, "k8s:"), "any:")
	}
	labels := map[string]string{}
	for k, v := range s.MatchLabels {
		labels[key(k)] = v
	}
	expressions := slices.Clone(s.MatchExpressions)
	for i := range expressions {
		expressions[i].Key = key(expressions[i].Key)
	}
	return &Selector{labels, expressions}
}
