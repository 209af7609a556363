package inventory

import "sextant/collector/flow"

// nearly is the share that may be left, as one of so many, when something is nearly used up: 20 %. One of anything left is
// near, too.
const nearly = 5

// fill is how much of something is given out.
type fill struct {
	total, used uint64
	unknown     bool // there is more of it than total says
}

func (f *fill) add(total flow.Count, used uint64) {
	f.total = plus(f.total, total.N)
	f.used = plus(f.used, used)
	f.unknown = f.unknown || !total.Known
}

func (f fill) left() uint64 {
	if f.used >= f.total {
		return 0
	}
	return f.total - f.used
}

// finding returns NearlyUsedUp, UsedUp, or nothing. What nobody uses is not nearly used up, however little it is.
func (f fill) finding() string {
	switch {
	case f.unknown:
		return ""
	case f.used >= f.total:
		return UsedUp
	case f.used > 0 && f.left() <= max(f.total/nearly, 1):
		return NearlyUsedUp
	}
	return ""
}

// plus adds, as far as a column can hold.
func plus(a, b uint64) uint64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return ^uint64(0)
}
