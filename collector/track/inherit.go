package track

import "sextant/collector/flow"

// inherit gives a flow that does not tell who began, and so has no verdict of its own, the verdict of the connection under
// way that has its addresses and ports. That is a conclusion and no observation, whatever the connection's evidence is.
func (s *Stage) inherit(v *sight) {
	r := v.r
	if r.Class != flow.ClassUnknown && r.SourceNAT != flow.SourceNATUnknown {
		return
	}
	for range 2 {
		v.hash = s.hash(&v.key)
		sh := s.shard(v.hash)
		sh.mu.Lock()
		e := sh.find(v, &s.cfg)
		if e != nil && e.View != flow.ViewUnknown {
			s.bequeath(r, e)
			sh.mu.Unlock()
			return
		}
		sh.mu.Unlock()
		v.turn()
	}
}

func (s *Stage) bequeath(r *flow.Record, e *entry) {
	if r.Class == flow.ClassUnknown && e.Class != flow.ClassUnknown {
		r.Class, r.ClassEvidence, r.ClassRule = e.Class, flow.Inferred, s.say.inherited
	}
	if r.SourceNAT == flow.SourceNATUnknown && e.SourceNAT != flow.SourceNATUnknown {
		r.SourceNAT, r.SourceNATEvidence, r.SourceNATRule = e.SourceNAT, flow.Inferred, s.say.inherited
	}
	if r.Direction == flow.UnknownDirection {
		r.Direction = e.Direction
	}
	if !r.EgressIP.IsValid() && e.EgressIP.IsValid() {
		r.EgressIP, r.EgressIPEvidence = e.EgressIP, flow.Inferred
	}
	if !r.EmbeddedIPv4.IsValid() {
		r.EmbeddedIPv4 = e.EmbeddedIPv4
	}
}
