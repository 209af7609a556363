package bucket

import "time"

// grainsOfWindow is how finely a window slides.
const grainsOfWindow = 72

// Grain returns the steps in which a window slides: a 72nd of it in whole seconds, and at least one. Used at a time are the
// uses whose grain began in (begin of that time's grain - window, begin of that time's grain].
func Grain(window time.Duration) time.Duration {
	return max(time.Second, (window / grainsOfWindow).Truncate(time.Second))
}

// moment is a time in whole seconds since 1970. What lies before or after what fits is at its end.
type moment uint32

func momentOf(t time.Time) moment {
	return moment(min(max(t.Unix(), 0), 1<<32-1))
}

func (m moment) time() time.Time { return time.Unix(int64(m), 0).UTC() }

// span returns the first and last grain of the window that ends at a time.
func (l *limit) span(at moment) (first, last uint32) {
	last = uint32(at) / l.grain
	if last < l.grains-1 {
		return 0, last
	}
	return last - l.grains + 1, last
}

// cell is what was used in one grain.
type cell struct{ grain, uses, limited uint32 }

// series is uses over time: cells in the order of their grains.
type series []cell

// add reports how many cells it took.
func (s *series) add(grain, uses, limited uint32) int {
	list := *s
	i := len(list)
	for i > 0 && list[i-1].grain > grain {
		i--
	}
	if i > 0 && list[i-1].grain == grain {
		c := &list[i-1]
		c.uses, c.limited = sum32(c.uses, uses), sum32(c.limited, limited)
		return 0
	}
	list = append(list, cell{})
	copy(list[i+1:], list[i:])
	list[i] = cell{grain, uses, limited}
	*s = list
	return 1
}

// sum adds what was used from one grain to another.
func (s series) sum(first, last uint32) (uses, limited uint64) {
	for i := len(s) - 1; i >= 0 && s[i].grain >= first; i-- {
		if s[i].grain <= last {
			uses += uint64(s[i].uses)
			limited += uint64(s[i].limited)
		}
	}
	return uses, limited
}

// forget drops what lies before a grain, and returns how many cells that were.
func (s *series) forget(first uint32) int {
	n := 0
	for n < len(*s) && (*s)[n].grain < first {
		n++
	}
	if n > 0 {
		*s = append((*s)[:0], (*s)[n:]...)
	}
	return n
}

func sum32(a, b uint32) uint32 {
	if a+b < a {
		return 1<<32 - 1
	}
	return a + b
}

func clamp32(n uint64) uint32 { return uint32(min(n, 1<<32-1)) }
