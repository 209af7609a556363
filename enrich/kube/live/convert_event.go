package live

import (
	corev1 "k8s.io/api/core/v1"

	"sextant/enrich/kube"
)

// eventOf leaves out, for the scope of one node, what other nodes' kubelets tell: no field selector can.
func eventOf(cfg Config) func(*corev1.Event) (kube.Object, error) {
	return func(e *corev1.Event) (kube.Object, error) {
		o := &kube.Event{
			Meta:   metaOf(&e.ObjectMeta),
			Reason: e.Reason, Message: e.Message, Type: e.Type,
			Source:         kube.EventSource{Component: e.Source.Component, Host: e.Source.Host},
			FirstTimestamp: e.FirstTimestamp.Time, LastTimestamp: e.LastTimestamp.Time, EventTime: e.EventTime.Time,
			Count: uint32(max(e.Count, 0)),
		}
		if o.Source == (kube.EventSource{}) { // told by the newer API
			o.Source = kube.EventSource{Component: e.ReportingController, Host: e.ReportingInstance}
		}
		if cfg.Scope == ScopeNode && o.Source.Host != cfg.NodeName {
			return nil, nil
		}
		r := e.InvolvedObject
		o.InvolvedObject = kube.ObjectReference{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name, UID: string(r.UID), FieldPath: r.FieldPath}
		if e.Series != nil {
			o.Series.Count = uint32(max(e.Series.Count, 0))
			o.Series.LastObservedTime = e.Series.LastObservedTime.Time
		}
		return o, nil
	}
}
