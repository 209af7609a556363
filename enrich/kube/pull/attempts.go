package pull

import (
	"cmp"
	"slices"
	"time"

	"sextant/collector/flow"
)

// attempts pairs the beginnings of pulls with their ends, to find those whose end nobody told. Every pull has one Pulling
// event, so these are what is counted where the others were left out: the kubelet's recorder drops events of a pod that
// has many (25, then one in 5 minutes), and an end that was dropped is never told again, while the number of a beginning
// catches up with the next one that is not.
type attempts struct {
	patience time.Duration
	limit    int
	sites    map[site]*pulls
	order    []due
}

// site is one image for one pod. The kubelet pulls for one container of a pod at a time.
type site flow.UUID

// pulls are those of a site that are not settled.
type pulls struct {
	begins []begin
	ends   []end
}

type begin struct {
	series series
	number uint32
	from   time.Time // not earlier than this
	heard  time.Time
	row    flow.Pull // what is told where there is no end
}

type end struct {
	series series
	number uint32
	until  time.Time // not later than this
	heard  time.Time
}

// due is when a site is to be looked at.
type due struct {
	site  site
	heard time.Time
}

func (a *attempts) full() bool { return len(a.order) >= a.limit }

func (a *attempts) at(s site, heard time.Time) *pulls {
	p := a.sites[s]
	if p == nil {
		p = &pulls{}
		a.sites[s] = p
	}
	a.order = append(a.order, due{s, heard})
	return p
}

// begin notes that a pull began and reports whether there was room.
func (a *attempts) begin(s site, b begin) bool {
	if a.full() {
		return false
	}
	p := a.at(s, b.heard)
	p.begins = append(p.begins, b)
	return true
}

// end notes that a pull ended. Without room it takes a beginning that it may belong to at once.
func (a *attempts) end(s site, e end) {
	if !a.full() {
		p := a.at(s, e.heard)
		p.ends = append(p.ends, e)
		return
	}
	if p := a.sites[s]; p != nil {
		if i := slices.IndexFunc(p.begins, func(b begin) bool { return !b.from.After(e.until) }); i >= 0 {
			p.begins = slices.Delete(p.begins, i, i+1)
		}
	}
}

// refine takes the time of an occurrence as a bound of those after it, of beginnings, and before it, of ends: whichever
// state of a series came first, in the end all that is known of its times counts.
func (a *attempts) refine(s site, of series, known mark) {
	p := a.sites[s]
	if p == nil {
		return
	}
	for i := range p.begins {
		if b := &p.begins[i]; b.series == of && b.number >= known.number && b.from.Before(known.time) {
			b.from = known.time
		}
	}
	for i := range p.ends {
		if e := &p.ends[i]; e.series == of && e.number <= known.number && e.until.After(known.time) {
			e.until = known.time
		}
	}
}

// settle tells the pulls whose end was not heard of for too long, or all whose end was not heard of.
func (a *attempts) settle(now time.Time, all bool, tell func(flow.Pull)) {
	over := func(heard time.Time) bool { return all || now.Sub(heard) >= a.patience }
	for len(a.order) > 0 && over(a.order[0].heard) {
		s := a.order[0].site
		a.order = a.order[1:]
		if p := a.sites[s]; p != nil {
			p.settle(over, tell)
			if len(p.begins)+len(p.ends) == 0 {
				delete(a.sites, s)
			}
		}
	}
}

func (p *pulls) settle(over func(heard time.Time) bool, tell func(flow.Pull)) {
	if !slices.ContainsFunc(p.begins, func(b begin) bool { return over(b.heard) }) &&
		!slices.ContainsFunc(p.ends, func(e end) bool { return over(e.heard) }) {
		return
	}
	slices.SortFunc(p.begins, func(a, b begin) int {
		return cmp.Or(b.from.Compare(a.from), slices.Compare(a.series[:], b.series[:]), cmp.Compare(a.number, b.number))
	})
	slices.SortFunc(p.ends, func(a, b end) int { return b.until.Compare(a.until) })

	// From the latest beginning on, each takes the earliest end after it that is left. So as many as can have one have one.
	var begins []begin
	var ends, after []end
	next := 0
	for _, b := range p.begins {
		for ; next < len(p.ends) && !p.ends[next].until.Before(b.from); next++ {
			after = append(after, p.ends[next])
		}
		ended := len(after) > 0
		switch {
		case over(b.heard) && !ended:
			tell(b.row)
		case !over(b.heard):
			begins = append(begins, b)
			if ended {
				ends = append(ends, after[len(after)-1])
			}
		}
		if ended {
			after = after[:len(after)-1]
		}
	}
	for _, e := range append(after, p.ends[next:]...) {
		if !over(e.heard) {
			ends = append(ends, e)
		}
	}
	p.begins, p.ends = begins, ends
}
