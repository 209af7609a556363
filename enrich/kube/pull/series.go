package pull

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// series is what an event is one state of: the same thing again and again, of which the API server keeps the number and
// the first and latest times alone.
//
// It is known by the pod and by the event's name, not by the event's UID: an event that the API server has forgotten is
// made anew with its next occurrence, under the same name and with the number that it has reached, but with another UID
// (client-go tools/record, recordEvent).
type series flow.UUID

func seriesOf(e *kube.Event) series {
	name := e.Metadata.Name
	if name == "" {
		name = e.Metadata.UID
	}
	return series(digest("series", e.InvolvedObject.UID, e.Metadata.Namespace, name))
}

// id returns the identifier of one occurrence. It is the same whoever saw it, and whatever it saw of the others.
func (s series) id(number uint32) flow.UUID {
	return digest("pull", string(s[:]), string(binary.BigEndian.AppendUint32(nil, number)))
}

// digest returns a UUID of version 8 (RFC 9562) that is made of texts.
func digest(texts ...string) flow.UUID {
	h := sha256.New()
	for _, text := range texts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) // a hash never returns an error
		h.Write([]byte(text))
	}
	id := flow.UUID(h.Sum(nil)[:16])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return id
}

// mark is an occurrence whose time is known.
type mark struct {
	number uint32
	time   time.Time
}

// span is what an event tells of its series.
type span struct{ first, latest mark }

// skew is how far in the future a node's clock may be.
const skew = 5 * time.Minute

// spanOf reads an event that came in at a time. It reports false where the event does not say when it was.
func spanOf(at time.Time, e *kube.Event) (span, bool) {
	latest, first := e.LastTimestamp, e.FirstTimestamp
	for _, t := range []time.Time{e.Series.LastObservedTime, e.EventTime} {
		if t.After(latest) {
			latest = t
		}
	}
	if latest.IsZero() {
		latest = e.Metadata.Created
	}
	if first.IsZero() {
		first = e.EventTime
	}
	if !at.IsZero() && latest.After(at.Add(skew)) {
		latest = at
	}
	if latest.Year() < 1970 || latest.Year() > 2200 { // what nanoseconds in 64 bits can tell
		return span{}, false
	}
	if first.IsZero() || first.After(latest) {
		first = latest
	}
	return span{mark{1, first.UTC()}, mark{max(1, e.Count, e.Series.Count), latest.UTC()}}, true
}

// since returns the number of the first occurrence at or after a time, taking those in between for evenly spaced, or 0 when
// there is none.
func (s span) since(t time.Time) uint32 {
	switch {
	case s.latest.time.Before(t):
		return 0
	case !s.first.time.Before(t):
		return s.first.number
	}
	part := float64(s.latest.time.Sub(t)) / float64(s.latest.time.Sub(s.first.time))
	return s.latest.number - uint32(float64(s.latest.number-s.first.number)*part)
}

// around returns the nearest occurrences before and after one, or itself, among those whose times are known.
func around(number uint32, known []mark) (before, after mark) {
	for _, m := range known {
		if m.number <= number && m.number >= before.number {
			before = m
		}
		if m.number >= number && (after.number == 0 || m.number < after.number) {
			after = m
		}
	}
	return before, after
}

// timeOf returns the time of an occurrence, taking those between known ones for evenly spaced.
func timeOf(number uint32, known []mark) time.Time {
	before, after := around(number, known)
	if before.number == after.number {
		return before.time
	}
	part := float64(number-before.number) / float64(after.number-before.number)
	return before.time.Add(time.Duration(float64(after.time.Sub(before.time)) * part))
}

// run is a run of numbers, both ends included. It is empty when from is 0.
type run struct{ from, to uint32 }

// memory is which occurrences of which series were told. It forgets the oldest when it is full.
type memory struct {
	limit     int
	told      map[series]told
	forgotten func(series int)
}

// told is what was told of one series: without gaps, because what is between two occurrences that are recent enough to be
// told is recent enough, too. So it comes to the same in whatever order the series' states come in.
type told struct {
	run
	latest int64 // when to was, in Unix nanoseconds
}

// add tells a run of a series and returns which of it were not told yet, below and above of what was, and the latest
// occurrence that was known before.
func (m *memory) add(key series, r run, at time.Time) (below, above run, latest mark) {
	was, known := m.told[key]
	if !known {
		m.told[key] = told{r, at.UnixNano()}
		if len(m.told) > m.limit {
			m.forget()
		}
		return run{}, r, mark{}
	}
	is := was
	if r.from < was.from {
		is.from, below = r.from, run{r.from, was.from - 1}
	}
	if r.to > was.to {
		is.to, above, is.latest = r.to, run{was.to + 1, r.to}, at.UnixNano()
	}
	m.told[key] = is
	return below, above, mark{was.to, time.Unix(0, was.latest).UTC()}
}

// forget forgets the quarter that was heard of longest ago.
func (m *memory) forget() {
	latest := make([]int64, 0, len(m.told))
	for _, t := range m.told {
		latest = append(latest, t.latest)
	}
	slices.Sort(latest)
	old, left := latest[len(latest)/4], len(m.told)-len(latest)/4-1
	for key, t := range m.told {
		// Of those of the same age as many stay as have room.
		if t.latest <= old && len(m.told) > left {
			delete(m.told, key)
		}
	}
	m.forgotten(len(latest) - len(m.told))
}
