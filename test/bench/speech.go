package main

import (
	"time"

	"sextant/collector/flow"
)

// course is how a TCP connection goes.
type course uint8

const (
	brief course = iota // a question and its answer
	kept                // used for a minute or so
	refused
	unanswered
)

// speak is a connection that is answered. One in thirty is kept.
func (t *traffic) speak(at time.Time, p *path) {
	if t.rng.IntN(30) == 0 {
		t.tcp(at, p, kept)
	} else {
		t.tcp(at, p, brief)
	}
}

// tcp schedules what shows of a connection: with aggregation every new flag in each direction, and then something every
// five seconds (monitor-aggregation-interval and -flags).
func (t *traffic) tcp(at time.Time, p *path, c course) {
	t.count(p)
	trip := time.Duration(100_000 + t.rng.ExpFloat64()*3_000_000)
	t.put(at, p.opens, flow.SYN, true)
	at = at.Add(time.Duration(8_000 * len(p.opens)))
	t.put(at, p.out, flow.SYN, true)
	switch c {
	case refused:
		t.put(at.Add(trip), p.back, flow.RST|flow.ACK, true)
		return
	case unanswered: // SYNs are sent again after 1, 3 and 7 s
		t.put(at.Add(7*time.Second), p.out, flow.SYN, false)
		return
	}
	t.put(at.Add(trip), p.back, flow.SYN|flow.ACK, true)
	t.put(at.Add(trip+60*time.Microsecond), p.out, flow.ACK, false)
	t.put(at.Add(trip+200*time.Microsecond), p.out, flow.ACK|flow.PSH, false)
	at = at.Add(2*trip + time.Duration(t.rng.ExpFloat64()*float64(20*time.Millisecond)))
	t.put(at, p.back, flow.ACK|flow.PSH, true)
	lives := time.Duration(t.rng.ExpFloat64() * float64(300*time.Millisecond))
	if c == kept {
		lives = time.Duration(t.rng.ExpFloat64() * float64(time.Minute))
		for after := 5 * time.Second; after < lives; after += 5 * time.Second {
			t.put(at.Add(after), p.out, flow.ACK, false)
			t.put(at.Add(after+trip), p.back, flow.ACK, true)
		}
	}
	at = at.Add(lives)
	t.put(at, p.back, flow.ACK|flow.FIN, true)
	t.put(at.Add(100*time.Microsecond), p.out, flow.ACK|flow.FIN, false)
	t.put(at.Add(trip), p.back, flow.ACK, true)
}

// exchange schedules a datagram and its answer.
func (t *traffic) exchange(at time.Time, p *path) time.Time {
	t.count(p)
	t.put(at, p.opens, 0, true)
	at = at.Add(time.Duration(8_000 * len(p.opens)))
	t.put(at, p.out, 0, true)
	at = at.Add(time.Duration(400_000 + t.rng.ExpFloat64()*1_500_000))
	t.put(at, p.back, 0, true)
	return at.Add(time.Millisecond)
}

// retry schedules an attempt that policy denies, and the SYNs that follow it: each of them shows.
func (t *traffic) retry(at time.Time, p *path) {
	t.count(p)
	for _, after := range []time.Duration{0, time.Second, 3 * time.Second} {
		t.put(at.Add(after), p.out, flow.SYN, after == 0)
	}
}

func (t *traffic) count(p *path) {
	if len(p.out) > 0 {
		t.connections++
	}
}
