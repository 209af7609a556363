package kube

import (
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	noon  = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	one   = netip.MustParseAddr("10.0.0.1")
	other = netip.MustParseAddr("fd00::1")
)

// after returns a time some seconds after noon; nothing is the zero time.
func after(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

func TestHolders(t *testing.T) {
	since := func(who int32, from int) claim { return newClaim(who, one, after(from), time.Time{}, false) }
	from := func(who int32, from, until int) claim { return newClaim(who, one, after(from), after(until), true) }
	ever := func(who int32) claim { return newClaim(who, one, time.Time{}, time.Time{}, false) }
	ended := func(who int32) claim { return newClaim(who, one, time.Time{}, time.Time{}, true) }
	type at struct {
		second int
		who    int32
	}
	const minute = 60
	for _, row := range []struct {
		name   string
		claims []claim
		want   []at
	}{
		{"nobody", nil, []at{{0, nobody}}},
		{"somebody, since ever", []claim{ever(1)}, []at{{-1e6, 1}, {0, 1}, {1e6, 1}}},
		{"somebody, by a clock that is a little ahead", []claim{since(1, 100)}, []at{{94, nobody}, {95, 1}, {100, 1}, {1e6, 1}}},
		{"somebody, who ended a while ago", []claim{from(1, 0, 100)}, []at{{99, 1}, {100, 1}, {100 + 3*minute, 1}, {101 + 3*minute, nobody}}},
		{"somebody, who ended at a time unknown", []claim{ended(1)}, []at{{0, 1}, {1e6, 1}}},
		{"one after the other", []claim{from(1, 0, 100), since(2, 200)}, []at{{99, 1}, {150, 1}, {194, 1}, {195, 2}, {200, 2}}},
		{"one right after the other", []claim{from(1, 0, 100), since(2, 102)}, []at{{99, 1}, {100, 2}, {101, 2}, {102, 2}}},
		{"one who is told to be gone later than the other came", []claim{from(1, 0, 130), since(2, 100)}, []at{{96, 1}, {99, 1}, {100, 2}, {129, 2}, {200, 2}}},
		{"one who is not told to be gone", []claim{since(1, 0), since(2, 100)}, []at{{99, 1}, {100, 2}}},
		{"one who had it before, since ever", []claim{since(2, 100), ever(1)}, []at{{-1e6, 1}, {99, 1}, {100, 2}}},
		{"one who had it before, and is not told to have lost it, after the other ended", []claim{since(1, 0), from(2, 100, 200)}, []at{{99, 1}, {199, 2}, {200 + 4*minute, nobody}}},
		{"one who ended and one who has it, since ever", []claim{ended(1), ever(2)}, []at{{0, 2}}},
		{"the same the other way around", []claim{ever(2), ended(1)}, []at{{0, 2}}},
		{"two since ever", []claim{ever(1), ever(2)}, []at{{0, nobody}}},
		{"two since ever, and one later", []claim{ever(1), since(3, 100), ever(2)}, []at{{50, nobody}, {100, 3}}},
		{"two since the same time", []claim{since(1, 100), since(2, 100)}, []at{{94, nobody}, {100, nobody}, {1e6, nobody}}},
		{"two who ended, since ever", []claim{ended(1), ended(2)}, []at{{0, nobody}}},
		{"one told twice", []claim{since(1, 100), since(1, 100)}, []at{{100, 1}}},
		{"one told twice, once to be gone", []claim{from(1, 100, 200), since(1, 100)}, []at{{100, 1}, {1e6, 1}}},
		{"three", []claim{from(3, 300, 400), from(1, 100, 200), from(2, 200, 300)}, []at{{150, 1}, {200, 2}, {299, 2}, {300, 3}, {401, 3}}},
		{"an end before the begin", []claim{from(1, 100, 50)}, []at{{94, nobody}, {96, 1}, {100, 1}, {300, nobody}}},
	} {
		var run run
		claims := append([]claim{newClaim(9, other, after(0), time.Time{}, false)}, row.claims...)
		h := newHolders(claims, func(a netip.Addr, r runOf) {
			if a == one {
				run = r
			}
		})
		for _, at := range row.want {
			if got := h.at(run, after(at.second)); got != at.who {
				t.Errorf("%s: %d s after noon it is %d's, want %d", row.name, at.second, got, at.who)
			}
		}
	}
}

type runOf = run

// The zero time, of a flow without one, is now.
func TestHoldersNow(t *testing.T) {
	for _, row := range []struct {
		until time.Time
		want  int32
	}{{time.Time{}, 1}, {after(100), nobody}} {
		var r run
		h := newHolders([]claim{newClaim(1, one, after(0), row.until, false)}, func(_ netip.Addr, of runOf) { r = of })
		if got := h.at(r, time.Time{}); got != row.want {
			t.Errorf("until %s: now it is %d's, want %d", row.until, got, row.want)
		}
	}
}

// Times that no nanoseconds can tell, as a hostile object may have them, are times all the same.
func TestHoldersHostileTimes(t *testing.T) {
	ages := []time.Time{{}, time.Unix(-1<<40, 0), time.Unix(0, 0), noon, time.Unix(1<<40, 0), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	for _, since := range ages {
		for _, until := range ages {
			var r run
			h := newHolders([]claim{newClaim(1, one, since, until, true), newClaim(2, one, noon, time.Time{}, false)}, func(_ netip.Addr, of runOf) { r = of })
			for _, at := range ages {
				h.at(r, at)
			}
			if got := h.at(r, noon.Add(time.Second)); got != 2 && !since.After(noon) {
				t.Errorf("%s to %s: a second after noon it is %d's", since, until, got)
			}
		}
	}
}

// The index of claims answers as somebody would who reads all of them each time.
func TestHoldersReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		moment := rapid.Custom(func(t *rapid.T) time.Time {
			if rapid.IntRange(0, 4).Draw(t, "unknown") == 0 {
				return time.Time{}
			}
			return after(rapid.IntRange(0, 6).Draw(t, "seconds") * 100)
		})
		claims := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) claim {
			addr := rapid.SampledFrom([]netip.Addr{one, other}).Draw(t, "address")
			return newClaim(rapid.Int32Range(0, 3).Draw(t, "who"), addr, moment.Draw(t, "since"), moment.Draw(t, "until"), rapid.Bool().Draw(t, "ended"))
		}), 0, 8).Draw(t, "claims")
		read := append([]claim(nil), claims...)
		runs := map[netip.Addr]run{}
		h := newHolders(claims, func(a netip.Addr, r run) { runs[a] = r })
		for _, a := range []netip.Addr{one, other} {
			for second := -300; second < 1200; second++ {
				if got, want := h.at(runs[a], after(second)), slowly(read, a, after(second).UnixNano()); got != want {
					t.Fatalf("%s, %d s after noon: %d, want %d", a, second, got, want)
				}
			}
		}
	})
}

// slowly answers by reading every claim.
func slowly(claims []claim, a netip.Addr, at int64) int32 {
	var last, next *claim // of those that began, and of those that did not
	for i := range claims {
		c := &claims[i]
		switch {
		case c.addr != a:
		case c.from <= at && (last == nil || c.from > last.from):
			last = c
		case c.from > at && (next == nil || c.from < next.from):
			next = c
		}
	}
	same := func(as *claim) (who int32, until int64) {
		ofLive, all := map[int32]int64{}, map[int32]int64{}
		for _, c := range claims {
			if c.addr == a && c.from == as.from {
				all[c.who] = max(all[c.who], c.until)
				if !c.ended {
					ofLive[c.who] = max(ofLive[c.who], c.until)
				}
			}
		}
		if len(ofLive) > 0 {
			all = ofLive
		}
		who = nobody
		for each, end := range all {
			who, until = each, max(until, end)
		}
		if len(all) > 1 {
			who = nobody
		}
		return who, until
	}
	if last != nil {
		if who, until := same(last); at < until {
			return who
		}
	}
	if next != nil && next.from-at <= int64(5*time.Second) {
		who, _ := same(next)
		return who
	}
	if last != nil {
		if who, until := same(last); at-until <= int64(3*time.Minute) {
			return who
		}
	}
	return nobody
}
