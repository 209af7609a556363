package kube

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// state is everything that was taken from the files, before it is put together.
type state struct {
	report  Report
	path    int    // which of the paths is being read
	where   string // file and place in it, for errors
	objects int

	nodes       table[node]
	ciliumNodes table[node]
	pods        table[pod]
	namespaces  table[map[string]string] // their labels
	services    table[verdict.Service]
	configMaps  table[map[string]string] // of the two that matter; of others only that they are there
	nodeConfigs table[nodeConfig]
	policies    table[egressPolicy]
	pools       table[[]netip.Prefix]
}

func newState() *state {
	return &state{
		report:      Report{Objects: map[string]int{}, Ignored: map[string]int{}},
		nodes:       table[node]{},
		ciliumNodes: table[node]{},
		pods:        table[pod]{},
		namespaces:  table[map[string]string]{},
		services:    table[verdict.Service]{},
		configMaps:  table[map[string]string]{},
		nodeConfigs: table[nodeConfig]{},
		policies:    table[egressPolicy]{},
		pools:       table[[]netip.Prefix]{},
	}
}

// kinds says which objects are taken, and how.
var kinds = map[string]func(*state, tree) error{
	"v1 ConfigMap":                           taker((*state).takeConfigMap),
	"v1 Namespace":                           taker((*state).takeNamespace),
	"v1 Node":                                taker((*state).takeNode),
	"v1 Pod":                                 taker((*state).takePod),
	"v1 Service":                             taker((*state).takeService),
	"cilium.io/v2 CiliumEgressGatewayPolicy": taker((*state).takeEgressPolicy),
	"cilium.io/v2 CiliumNode":                taker((*state).takeCiliumNode),
	"cilium.io/v2 CiliumNodeConfig":          taker((*state).takeNodeConfig),
	"cilium.io/v2alpha1 CiliumNodeConfig":    taker((*state).takeNodeConfig),
	"cilium.io/v2 CiliumPodIPPool":           taker((*state).takePool),
	"cilium.io/v2alpha1 CiliumPodIPPool":     taker((*state).takePool),
}

func (m Meta) called() name { return name{m.Metadata.Namespace, m.Metadata.Name} }

// taker decodes an object and hands it over. A YAML decoder needs a field's tag where its key has capitals.
func taker[T interface{ called() name }](take func(*state, T) error) func(*state, tree) error {
	return func(s *state, t tree) error {
		var object T
		if err := t.Decode(&object); err != nil {
			return err
		}
		if object.called().name == "" {
			return errors.New("metadata.name is empty")
		}
		s.where += " " + object.called().String()
		return take(s, object)
	}
}

// takeDocument takes the objects of a document: one, the items of a List, or a plain list of both. It returns false when
// there is none.
func (s *state) takeDocument(doc tree) (bool, error) {
	elements, isList := doc.list()
	if !isList {
		return s.takeObjects(doc)
	}
	place, any := s.where, false
	for i, element := range elements {
		s.where = fmt.Sprintf("%s, element %d", place, i+1)
		ok, err := s.takeObjects(element)
		if err != nil {
			return false, err
		}
		any = any || ok
	}
	return any, nil
}

func (s *state) takeObjects(doc tree) (bool, error) {
	apiVersion, kind, items := doc.head()
	if apiVersion == "" || kind == "" {
		return false, nil
	}
	of, isList := strings.CutSuffix(kind, "List")
	if !isList || items == nil {
		return true, s.takeObject(apiVersion, kind, doc)
	}
	place := s.where
	for i, item := range items {
		s.where = fmt.Sprintf("%s, item %d", place, i+1)
		itemVersion, itemKind, _ := item.head()
		if itemVersion == "" && itemKind == "" && of != "" { // as in a NodeList straight from the API
			itemVersion, itemKind = apiVersion, of
		}
		if err := s.takeObject(itemVersion, itemKind, item); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (s *state) takeObject(apiVersion, kind string, object tree) error {
	if s.objects++; s.objects > maxObjects {
		return fmt.Errorf("more than %d objects: dump only the kinds that matter", maxObjects)
	}
	full := strings.TrimSpace(apiVersion + " " + kind)
	if full == "" {
		full = "no kind"
	}
	take, ok := kinds[full]
	if !ok {
		count(s.report.Ignored, full)
		return nil
	}
	s.where += ": " + kind
	if err := take(s, object); err != nil {
		return err
	}
	count(s.report.Objects, full)
	return nil
}

// put keeps an object, in place of what was told before of one with its name.
func put[T any](s *state, into table[T], of name, object T) {
	if before, ok := into[of]; ok && before.path == s.path && !reflect.DeepEqual(before.object, object) {
		s.doubt("%s: differs from %s, and is used", s.where, before.where)
	}
	into[of] = told[T]{object, s.path, s.where}
}

type Namespace struct {
	Meta `yaml:",inline"`
}

func (s *state) takeNamespace(o Namespace) error {
	put(s, s.namespaces, o.called(), o.Metadata.Labels)
	return nil
}

type Service struct {
	Meta `yaml:",inline"`
	Spec struct {
		Type        string
		Selector    map[string]string
		ClusterIP   string   `yaml:"clusterIP"`
		ClusterIPs  []string `yaml:"clusterIPs"`
		ExternalIPs []string `yaml:"externalIPs"`
	}
	Status struct {
		LoadBalancer struct {
			Ingress []struct{ IP string }
		} `yaml:"loadBalancer"`
	}
}

func (s *state) takeService(o Service) error {
	var found []netip.Addr
	var err error
	add := func(field, text string) {
		if text == "" || text == "None" || err != nil { // headless
			return
		}
		var addr netip.Addr
		addr, err = parseAddr(field, text)
		found = appendNew(found, addr)
	}
	for i, ip := range o.Spec.ClusterIPs {
		add(fmt.Sprintf("spec.clusterIPs[%d]", i), ip)
	}
	add("spec.clusterIP", o.Spec.ClusterIP)
	for i, ip := range o.Spec.ExternalIPs {
		add(fmt.Sprintf("spec.externalIPs[%d]", i), ip)
	}
	for i, ingress := range o.Status.LoadBalancer.Ingress {
		add(fmt.Sprintf("status.loadBalancer.ingress[%d].ip", i), ingress.IP)
	}
	if err != nil {
		return err
	}
	external := flow.No
	if o.Spec.Type == "NodePort" || o.Spec.Type == "LoadBalancer" || len(o.Spec.ExternalIPs) > 0 {
		external = flow.Yes
	}
	put(s, s.services, o.called(), verdict.Service{Addresses: found, External: external, Selector: o.Spec.Selector})
	return nil
}

// cluster puts everything together.
func (s *state) cluster() (*verdict.Cluster, error) {
	config := s.ciliumConfig()
	c := &verdict.Cluster{Name: config.clusterName()}
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
	for _, n := range s.services.names() {
		service := s.services[n].object
		service.Namespace, service.Name = n.namespace, n.name
		c.Services = append(c.Services, service)
	}
	c.EgressPolicies = s.applyPolicies(c)
	return c, nil
}
