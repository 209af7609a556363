package kube

// Configurations returns the nodes' cilium-config by its keys, with the CiliumNodeConfigs and the flags of its agent laid
// over it there. That of "" is of nodes that were not told. A key that may be another on the node is left out, and so is a
// node whose agent takes its configuration from somewhere else. It is empty without a cilium-config.
func (s *Store) Configurations() map[string]map[string]string { return s.snapshot().configurations() }

func (s *state) configurations() map[string]map[string]string {
	config := s.ciliumConfig()
	if !config.found {
		return nil
	}
	all := map[string]map[string]string{"": config.anywhere().texts()}
	agents := s.agents(config)
	for _, n := range s.nodeNames() {
		if run := agents[n.name]; run.ordinary() {
			all[n.name] = config.on(s.nodeLabels(n), run).texts()
		}
	}
	return all
}

// texts returns the values that are sure.
func (v values) texts() map[string]string {
	texts := map[string]string{}
	for key, value := range v {
		if !value.unsure {
			texts[key] = value.text
		}
	}
	return texts
}
