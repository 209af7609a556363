package hubble

import (
	"testing"

	"pgregory.net/rapid"
)

// reader is an agent with a ring and one stream from it, as the account sees them: which events are flows, which the
// ring has lost, which are on the way, and what was said of it.
type reader struct {
	ring    uint64
	events  []bool // written: a flow, or else an event that no stream shows
	next    int    // event that the reader comes to next
	way     int    // flows sent that did not arrive yet
	pending int    // events that were lost, but of which nothing was said yet
	due     bool   // the agent says it with the next event: a second has passed
	a       account

	lostFlows int // since the account was first balanced
	found     int // flows told as missing, by the account and by the agent
	open      bool
}

// read lets the reader come to so many events. The newest is never yielded.
func (r *reader) read(n int) {
	for ; n > 0 && r.next < len(r.events)-1; n-- {
		if r.next < len(r.events)-1-int(r.ring) { // overwritten
			if r.events[r.next] {
				r.lostFlows++
			}
			if r.pending == 0 {
				r.due = false
			}
			r.pending++
			r.next++
			continue
		}
		if r.pending > 0 && r.due {
			r.found += int(r.a.hubble(uint64(r.pending)))
			r.pending = 0
			r.open = true
		}
		if r.events[r.next] {
			r.way++
		}
		r.next++
	}
}

func (r *reader) arrive(n int) {
	n = min(n, r.way)
	r.way -= n
	r.a.arrived += int64(n)
	r.open = r.open || n > 0
}

func (r *reader) seen() (n uint64) {
	for _, flow := range r.events {
		if flow {
			n++
		}
	}
	return n
}

func (r *reader) poll() int {
	r.due = true
	missing := int(r.a.poll(r.seen(), r.ring, r.open, r.way == 0))
	r.found += missing
	return missing
}

// Whatever is written, read and polled in whatever order, the account finds no flows missing that are not, and once all
// is quiet it has found those that are, but for a few.
func TestAccount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &reader{ring: uint64(rapid.SampledFrom([]int{7, 15, 63}).Draw(t, "ring"))}
		before := rapid.IntRange(1, 100).Draw(t, "events before")
		odd := 0 // events that are no flows
		for range before {
			flow := rapid.IntRange(0, 9).Draw(t, "flow") > 0
			if !flow {
				odd++
			}
			r.events = append(r.events, flow)
		}
		r.next = max(0, before-1-rapid.IntRange(0, int(r.ring)).Draw(t, "position"))
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"write", "burst", "read", "arrive", "poll", "quiet"}).Draw(t, "step") {
			case "write":
				flow := rapid.IntRange(0, 9).Draw(t, "flow") > 0
				if !flow {
					odd++
				}
				r.events = append(r.events, flow)
			case "burst":
				for range rapid.IntRange(1, 5*int(r.ring)).Draw(t, "events") {
					r.events = append(r.events, true)
				}
			case "read":
				r.read(rapid.IntRange(1, 200).Draw(t, "events"))
			case "arrive":
				r.arrive(rapid.IntRange(1, 200).Draw(t, "flows"))
			case "poll":
				// A poll apart, what was sent arrives; what the reader did not come to is no business of the account's.
				r.read(len(r.events))
				r.poll()
			case "quiet":
				r.read(len(r.events))
				r.arrive(r.way)
				r.poll()
				r.poll()
			}
			if r.found > r.lostFlows+odd+1 {
				t.Fatalf("%d flows told as missing, %d are (%d other events)", r.found, r.lostFlows, odd)
			}
		}
		if r.a.off {
			t.Fatal("gave up on numbers that add up")
		}
		// From a quiet moment on all that is lost in a burst is found at the next.
		r.read(len(r.events))
		r.arrive(r.way)
		r.poll()
		r.poll()
		if !r.a.balanced {
			return // nothing ever came
		}
		lostBefore, foundBefore := r.lostFlows, r.found
		for range 3 * int(r.ring) {
			r.events = append(r.events, true)
		}
		r.read(len(r.events))
		r.arrive(r.way)
		r.poll()
		r.poll()
		if lost, found := r.lostFlows-lostBefore, r.found-foundBefore; found < lost-1 {
			t.Fatalf("%d of %d lost flows were found", found, lost)
		}
	})
}

func TestSeen(t *testing.T) {
	s := seen{limit: 100}
	for i := range uint64(1000) {
		if s.add(i) {
			t.Fatalf("%d is new", i)
		}
		for j := i - min(i, 99); j <= i; j++ {
			if !s.add(j) {
				t.Fatalf("after %d: %d is known", i, j)
			}
		}
		if n := len(s.young) + len(s.old); n > 200 {
			t.Fatalf("remembers %d", n)
		}
	}
	if s.add(1) == true {
		t.Error("remembers for ever")
	}
}

func TestTargetHost(t *testing.T) {
	for text, want := range map[string]string{
		"hubble-peer.kube-system.svc.cluster.local.:443": "hubble-peer.kube-system.svc.cluster.local",
		"[2001:db8::1]:4245":                             "2001:db8::1",
		"[fe80::1%eth0]:4244":                            "fe80::1",
		"tls://relay:443":                                "relay",
	} {
		target, err := parseTarget(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := target.host(); got != want {
			t.Errorf("%s: host is %q, want %q", text, got, want)
		}
	}
}
