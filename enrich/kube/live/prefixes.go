package live

import (
	"net/netip"
	"sync"
	"time"

	"sextant/enrich/kube"
)

// prefixes are those that nodes give their pods addresses from. An address of the internet is nobody's pod, and to ask the
// API server for each of them would be a burden.
type prefixes struct {
	mu      sync.RWMutex
	of      map[object][]netip.Prefix // of a Node or CiliumNode
	counts  map[netip.Prefix]int      // of how many
	lengths map[int]int               // how many prefixes have a length: few are in use
}

func newPrefixes() *prefixes {
	return &prefixes{of: map[object][]netip.Prefix{}, counts: map[netip.Prefix]int{}, lengths: map[int]int{}}
}

// contain reports whether an address may be a pod's. Where no node tells a prefix, as with IPAM modes that take addresses
// of the cloud's network, any private one may.
func (p *prefixes) contain(addr netip.Addr) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if len(p.counts) == 0 {
		return addr.IsPrivate()
	}
	for length := range p.lengths {
		if prefix, err := addr.Prefix(length); err == nil && p.counts[prefix] > 0 {
			return true
		}
	}
	return false
}

// tell takes the prefixes of a node in place of those it had.
func (p *prefixes) tell(o object, texts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(o)
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil { // the store says so
			continue
		}
		prefix = prefix.Masked()
		p.of[o] = append(p.of[o], prefix)
		if p.counts[prefix]++; p.counts[prefix] == 1 {
			p.lengths[prefix.Bits()]++
		}
	}
}

func (p *prefixes) drop(o object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked(o)
}

func (p *prefixes) dropLocked(o object) {
	for _, prefix := range p.of[o] {
		if p.counts[prefix]--; p.counts[prefix] == 0 {
			delete(p.counts, prefix)
			if p.lengths[prefix.Bits()]--; p.lengths[prefix.Bits()] == 0 {
				delete(p.lengths, prefix.Bits())
			}
		}
	}
	delete(p.of, o)
}

// learning notes the prefixes of the nodes that a keeper gets.
type learning struct {
	keeper
	kind     kube.Kind
	prefixes *prefixes
}

func (k learning) replace(at time.Time, all []*item) error {
	k.clear()
	for _, i := range all {
		k.learn(i)
	}
	return k.keeper.replace(at, all)
}

func (k learning) put(at time.Time, i *item) error {
	k.learn(i)
	return k.keeper.put(at, i)
}

func (k learning) remove(at time.Time, i *item) {
	k.prefixes.drop(object{k.kind, i.key()})
	k.keeper.remove(at, i)
}

func (k learning) forget(at time.Time) {
	k.clear()
	k.keeper.forget(at)
}

func (k learning) clear() {
	for _, o := range k.prefixes.told(k.kind) {
		k.prefixes.drop(o)
	}
}

func (p *prefixes) told(kind kube.Kind) (all []object) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for o := range p.of {
		if o.kind == kind {
			all = append(all, o)
		}
	}
	return all
}

func (k learning) learn(i *item) {
	switch n := i.object.(type) {
	case *kube.Node:
		k.prefixes.tell(object{k.kind, i.key()}, append([]string{n.Spec.PodCIDR}, n.Spec.PodCIDRs...))
	case *kube.CiliumNode:
		cidrs := n.Spec.IPAM.PodCIDRs
		for _, pool := range n.Spec.IPAM.Pools.Allocated {
			cidrs = append(cidrs, pool.CIDRs...)
		}
		k.prefixes.tell(object{k.kind, i.key()}, cidrs)
	}
}
