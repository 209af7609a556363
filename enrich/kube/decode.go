package kube

import (
	"errors"
	"fmt"
	"time"
)

// kinds says which objects are taken, and how they are decoded.
var kinds = map[string]func(tree) (Object, error){
	"v1 ConfigMap":                           decode[ConfigMap],
	"v1 Event":                               decode[Event],
	"v1 Namespace":                           decode[Namespace],
	"v1 Node":                                decode[Node],
	"v1 Pod":                                 decode[Pod],
	"v1 Service":                             decode[Service],
	"apps/v1 ReplicaSet":                     decode[ReplicaSet],
	"batch/v1 Job":                           decode[Job],
	"discovery.k8s.io/v1 EndpointSlice":      decode[EndpointSlice],
	"events.k8s.io/v1 Event":                 decodeEvent,
	"networking.k8s.io/v1 ServiceCIDR":       decode[ServiceCIDR],
	"networking.k8s.io/v1beta1 ServiceCIDR":  decode[ServiceCIDR],
	"cilium.io/v2 CiliumEgressGatewayPolicy": decode[EgressPolicy],
	"cilium.io/v2 CiliumEndpoint":            decode[CiliumEndpoint],
	"cilium.io/v2 CiliumIdentity":            decode[CiliumIdentity],
	"cilium.io/v2 CiliumNode":                decode[CiliumNode],
	"cilium.io/v2 CiliumNodeConfig":          decode[CiliumNodeConfig],
	"cilium.io/v2 CiliumPodIPPool":           decode[PodIPPool],
	"cilium.io/v2alpha1 CiliumEndpointSlice": decode[CiliumEndpointSlice],
	"cilium.io/v2alpha1 CiliumNodeConfig":    decode[CiliumNodeConfig],
	"cilium.io/v2alpha1 CiliumPodIPPool":     decode[PodIPPool],
}

func (m Meta) called() name { return name{m.Metadata.Namespace, m.Metadata.Name} }

// Decode reads an object as JSON. It returns nil for one of a kind that is not taken.
func Decode(apiVersion, kind string, json []byte) (Object, error) {
	decode, ok := kinds[apiVersion+" "+kind]
	if !ok {
		return nil, nil
	}
	o, err := decode(jsonTree(json))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return o, nil
}

// decode reads an object of one kind. A YAML decoder needs a field's tag where its key has capitals.
func decode[T any, P interface {
	*T
	Object
}](t tree) (Object, error) {
	object := P(new(T))
	if err := t.Decode(object); err != nil {
		return nil, err
	}
	if object.called().name == "" {
		return nil, errors.New("metadata.name is empty")
	}
	return object, nil
}

// newEvent is an events.k8s.io/v1 Event: the core Event, some of it by other names.
type newEvent struct {
	Event     `yaml:",inline"`
	Regarding ObjectReference
	Note      string
	Component string      `yaml:"reportingController" json:"reportingController"`
	Instance  string      `yaml:"reportingInstance" json:"reportingInstance"` // of the kubelet, its node
	OldSource EventSource `yaml:"deprecatedSource" json:"deprecatedSource"`
	First     time.Time   `yaml:"deprecatedFirstTimestamp" json:"deprecatedFirstTimestamp"`
	Last      time.Time   `yaml:"deprecatedLastTimestamp" json:"deprecatedLastTimestamp"`
	OldCount  uint32      `yaml:"deprecatedCount" json:"deprecatedCount"`
}

func decodeEvent(t tree) (Object, error) {
	o, err := decode[newEvent](t)
	if err != nil {
		return nil, err
	}
	n := o.(*newEvent)
	e := n.Event
	e.InvolvedObject, e.Message, e.Source = n.Regarding, n.Note, n.OldSource
	e.FirstTimestamp, e.LastTimestamp, e.Count = n.First, n.Last, n.OldCount
	if e.Source == (EventSource{}) {
		e.Source = EventSource{Component: n.Component, Host: n.Instance}
	}
	return &e, nil
}
