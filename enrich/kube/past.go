package kube

import (
	"net/netip"
	"slices"
	"time"
)

// How much is remembered of pods that are gone. Flows come late by as much as the ring of an agent holds, minutes on a busy
// node; a cluster that makes more pods in an hour than this remembers those of less than an hour.
const (
	pastAge = time.Hour
	maxPast = 1 << 15
)

// former is a pod that had addresses for a time.
type former struct {
	who          who
	ips          []netip.Addr
	since, until time.Time // zero since is since ever
}

// past are the pods that are gone, in the order in which they went. What is in it never changes.
type past struct{ list []former }

func (p *past) add(at time.Time, f former) {
	gone := 0
	for gone < len(p.list) && (p.list[gone].until.Before(at.Add(-pastAge)) || len(p.list)-gone >= maxPast) {
		gone++
	}
	p.list = append(p.list[gone:], f)
}

func (p *past) clone() past { return past{slices.Clip(p.list)} }
