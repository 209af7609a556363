package prometheus

import "time"

// span is a stretch of time, in nanoseconds since 1970.
type span struct{ from, to int64 }

func spanOf(from, to time.Time) span { return span{from.UnixNano(), to.UnixNano()} }

// spans are stretches of time in their order that do not touch.
type spans []span

// maxSpans bounds how much of the past is remembered: heartbeats join each other, so that one span is as long as nothing
// happens.
const maxSpans = 32

// within returns how much of s the spans cover.
func (l spans) within(s span) (ns int64) {
	for _, x := range l {
		ns += max(0, min(x.to, s.to)-max(x.from, s.from))
	}
	return ns
}

// without calls f with each part of s that the spans do not cover.
func (l spans) without(s span, f func(span)) {
	for _, x := range l {
		if x.to <= s.from || x.from >= s.to {
			continue
		}
		if x.from > s.from {
			f(span{s.from, x.from})
		}
		s.from = x.to
	}
	if s.from < s.to {
		f(s)
	}
}

// add joins s with the spans. Beyond maxSpans the oldest is forgotten.
func (l *spans) add(s span) {
	old, at := *l, 0
	for at < len(old) && old[at].to < s.from {
		at++
	}
	end := at
	for end < len(old) && old[end].from <= s.to {
		s.from, s.to = min(s.from, old[end].from), max(s.to, old[end].to)
		end++
	}
	if at == end { // it touches none
		old = append(old, span{})
		copy(old[at+1:], old[at:])
	} else {
		old = append(old[:at+1], old[end:]...)
	}
	old[at] = s
	if len(old) > maxSpans {
		old = append(old[:0], old[1:]...)
	}
	*l = old
}
