package pull

import (
	"cmp"
	"slices"
	"time"

	"sextant/collector/flow"
)

// Storm is one image that one node pulls for one workload again and again: because the workload's policy is to pull always
// and it crashes or is run often, or because the pulls fail.
type Storm struct {
	Cluster, Node                     flow.Name
	Namespace, Workload, WorkloadKind flow.Name // of the pods it is pulled for
	Registry, Repository, Tag, Digest flow.Name
	Pulls                             int // in the last hour
}

// storms counts pulls by what a Storm is.
type storms struct {
	limit int
	hours map[Storm]*hour // Pulls is 0 in the keys
}

const (
	slots    = 12 // of five minutes
	slotTime = int64(time.Hour/time.Second) / slots
)

// hour is a number of pulls in each slot of an hour.
type hour struct {
	newest int64 // slot, since 1970
	counts [slots]uint32
}

func slotOf(t time.Time) int64 { return t.Unix() / slotTime }

func (h *hour) add(slot int64, n uint32) {
	if slot <= h.newest-slots {
		return
	}
	for h.newest < slot {
		h.newest = max(h.newest+1, slot-slots)
		h.counts[h.newest%slots] = 0
	}
	h.counts[slot%slots] += n
}

// pulls returns how many pulls there were in the hour that ends with a slot.
func (h *hour) pulls(now int64) (n int) {
	for slot := max(h.newest-slots, now-slots) + 1; slot <= min(h.newest, now); slot++ {
		n += int(h.counts[slot%slots])
	}
	return n
}

func (s *storms) add(p *flow.Pull) {
	key := Storm{
		Cluster: p.Cluster, Node: p.Node, Namespace: p.Namespace, Workload: p.Workload, WorkloadKind: p.WorkloadKind,
		Registry: p.Registry, Repository: p.Repository, Tag: p.Tag, Digest: p.Digest,
	}
	slot := slotOf(p.Time)
	h := s.hours[key]
	if h == nil {
		h = &hour{newest: slot}
		s.hours[key] = h
		if len(s.hours) > s.limit {
			s.forget(slot)
		}
	}
	h.add(slot, p.Count)
}

// forget makes room: what is quiet goes first, then what is pulled least.
func (s *storms) forget(now int64) {
	for few := 0; len(s.hours) > s.limit*3/4; few = 2*few + 1 {
		for key, h := range s.hours {
			if h.pulls(now) <= few && len(s.hours) > s.limit*3/4 {
				delete(s.hours, key)
			}
		}
	}
}

// above returns what was pulled more often than a number of times, most often first.
func (s *storms) above(number int, now time.Time) []Storm {
	var found []Storm
	for key, h := range s.hours {
		if key.Pulls = h.pulls(slotOf(now)); key.Pulls > number {
			found = append(found, key)
		}
	}
	slices.SortFunc(found, func(a, b Storm) int {
		return cmp.Or(
			cmp.Compare(b.Pulls, a.Pulls), cmp.Compare(a.Node.Get(), b.Node.Get()), cmp.Compare(a.Namespace.Get(), b.Namespace.Get()),
			cmp.Compare(a.Workload.Get(), b.Workload.Get()), cmp.Compare(a.Repository.Get(), b.Repository.Get()),
		)
	})
	return found
}
