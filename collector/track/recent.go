package track

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"sextant/collector/flow"
)

// recent recognises events that are delivered a second time, as relay does when a node comes back. It knows at least the
// last recentFlows of each part.
type recent struct {
	parts [64]struct {
		mu         sync.Mutex
		young, old map[uint64]struct{}
	}
}

const recentFlows = 2048

// again notes an event and reports whether it was known.
func (s *recent) again(id uint64) bool {
	p := &s.parts[id%uint64(len(s.parts))]
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.young[id]; ok {
		return true
	}
	if _, ok := p.old[id]; ok {
		return true
	}
	if p.young == nil {
		p.young, p.old = make(map[uint64]struct{}, recentFlows), make(map[uint64]struct{}, recentFlows)
	}
	if len(p.young) >= recentFlows {
		p.young, p.old = p.old, p.young
		clear(p.young)
	}
	p.young[id] = struct{}{}
	return false
}

// identity is what an event is recognised by: its uuid, or what it says where an old agent sent none.
func identity(v *sight) uint64 {
	r := v.r
	if r.UUID != (flow.UUID{}) {
		return spread(binary.NativeEndian.Uint64(r.UUID[:8]), binary.NativeEndian.Uint64(r.UUID[8:]))
	}
	what := uint64(r.Node.Number())<<32 | uint64(r.ObservationPoint)<<24 | uint64(r.EventType)<<16 | uint64(r.TCPFlags)
	ports := uint64(r.Source.Port)<<16 | uint64(r.Destination.Port)
	return spread(spread(v.hash, uint64(r.Time.UnixNano())), spread(what, ports))
}

// spread makes one number of two; either alone decides it.
func spread(a, b uint64) uint64 {
	return a*0x9e3779b97f4a7c15 ^ bits.RotateLeft64(b*0xd1b54a32d192ed03, 32)
}
