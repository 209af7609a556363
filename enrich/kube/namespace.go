package kube

// Namespace is a core v1 Namespace.
type Namespace struct {
	Meta `yaml:",inline"`
}

type namespace described

func (s *state) takeNamespace(o *Namespace) error {
	put(s, &s.namespaces, o.called(), namespace{s.shared.set(o.Metadata.Labels), s.asked(o.Metadata.Annotations)})
	return nil
}
