package kube

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"
)

// nobody is the pod of an address that no pod has.
const nobody int32 = -1

// How far the time of a flow and those of pods may be apart, which are told by several clocks and in whole seconds, and
// how long after its end a pod is still spoken to, and of, as long as nobody else has its address.
const (
	slack = 5 * time.Second
	grace = 3 * time.Minute
)

// holders tell which pod had an address at a time: the spans of each address, in the order of their begin, of which each
// lasts until the next begins at the latest.
type holders []span

// run are the spans of one address.
type run struct{ first, n int32 }

// span is a time, in nanoseconds since 1970, in which a pod had an address.
type span struct {
	from, until int64
	who         int32 // into the index's pods; nobody where two claim it at the same time
}

const (
	always = math.MinInt64
	open   = math.MaxInt64
)

// claim is what was told of an address.
type claim struct {
	span
	addr  netip.Addr
	ended bool // the pod has ended, though it may not be known when
}

func newClaim(who int32, a netip.Addr, since, until time.Time, ended bool) claim {
	c := claim{span: span{always, open, who}, addr: a, ended: ended}
	if !since.IsZero() {
		c.from = nanoseconds(since)
	}
	if !until.IsZero() {
		c.until = max(nanoseconds(until), c.from)
	}
	return c
}

// newHolders puts claims together. Of two that overlap the later one holds from its begin on: nobody gets an address that
// another still has, but who had it may be told to be gone only later. Of two that begin at the same time, or of which
// neither tells when it began, one that has ended gives way; else neither is believed. It tells where the spans of each
// address are.
func newHolders(claims []claim, tell func(netip.Addr, run)) holders {
	h := make(holders, 0, len(claims))
	slices.SortFunc(claims, compareClaims)
	for begin := 0; begin < len(claims); {
		addr, first := claims[begin].addr, len(h)
		for begin < len(claims) && claims[begin].addr == addr {
			same := begin + 1
			for same < len(claims) && claims[same].addr == addr && claims[same].from == claims[begin].from {
				same++
			}
			h, begin = append(h, believed(claims[begin:same])), same
		}
		tell(addr, run{int32(first), int32(len(h) - first)})
	}
	return h
}

func compareClaims(a, b claim) int {
	return cmp.Or(a.addr.Compare(b.addr), cmp.Compare(a.from, b.from), compareBools(a.ended, b.ended))
}

// compareBools puts false first.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// believed returns what is to be believed of claims that begin at the same time, those of pods that have ended last.
func believed(claims []claim) span {
	best := claims[0]
	for _, c := range claims[1:] {
		if c.ended && !best.ended {
			break
		}
		if best.until = max(best.until, c.until); c.who != best.who {
			best.who = nobody
		}
	}
	return best.span
}

// at returns the pod that had the address of a run at a time. The zero time is now, whenever that is.
func (h holders) at(r run, t time.Time) int32 {
	if r.n == 0 {
		return nobody
	}
	spans := h[r.first : r.first+r.n]
	if t.IsZero() {
		if last := spans[len(spans)-1]; last.until == open {
			return last.who
		}
		return nobody
	}
	at := nanoseconds(t)
	next := 0 // the first that begins later
	for end := len(spans); next < end; {
		if middle := (next + end) / 2; spans[middle].from <= at {
			next = middle + 1
		} else {
			end = middle
		}
	}
	switch {
	case next > 0 && at < spans[next-1].until:
		return spans[next-1].who
	case next < len(spans) && at >= spans[next].from-int64(slack): // what is between two belongs to who comes: it has not ended
		return spans[next].who
	case next > 0 && at <= spans[next-1].until+int64(grace):
		return spans[next-1].who
	}
	return nobody
}

// The times that fit into nanoseconds, and a little less.
var earliest, latest = time.Unix(0, 0), time.Unix(0, 0).AddDate(200, 0, 0)

func nanoseconds(t time.Time) int64 {
	switch {
	case t.Before(earliest):
		return earliest.UnixNano()
	case t.After(latest):
		return latest.UnixNano()
	}
	return t.UnixNano()
}
