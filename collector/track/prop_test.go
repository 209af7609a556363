package track_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sextant/collector/flow"
	"sextant/collector/track"
)

// drawLines makes up what two nodes show of a few connections, in the order of time.
func drawLines(t *rapid.T) []string {
	mode := rapid.SampledFrom([]string{"bpf", "iptables", "hidden"}).Draw(t, "masquerade")
	var lines []string
	n := rapid.IntRange(1, 12).Draw(t, "connections")
	for i := range n {
		lines = append(lines, drawConnection(t, i, mode)...)
	}
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:9], b[:9]) })
	return lines
}

// drawConnection makes up one connection. Connections of the same addresses and ports begin 40 s apart or more, unless
// they are one.
func drawConnection(t *rapid.T, i int, mode string) []string {
	begin := float64(rapid.IntRange(0, 9).Draw(t, "begin"))*40 + 100
	begin += float64(rapid.IntRange(0, 20).Draw(t, "shift")) * 0.25
	protocol := rapid.SampledFrom([]string{"tcp", "tcp", "tcp", "udp", "icmp"}).Draw(t, "protocol")
	six := rapid.SampledFrom([]string{"", "6"}).Draw(t, "family")
	port := fmt.Sprint(":", 40000+i)
	if rapid.Bool().Draw(t, "reuse") {
		port = ":40000"
		begin = begin - float64(int(begin)%40) + 20 // all of them 40 s apart
	}
	to := rapid.SampledFrom([]string{"cart", "db", "www", "cdn", "cdn2"}).Draw(t, "to")
	aggregated := rapid.Bool().Draw(t, "aggregated")
	fate := rapid.SampledFrom([]string{"answered", "answered", "refused", "silent", "denied", "late"}).Draw(t, "fate")
	name := ""
	if to[0] != 'd' && rapid.Bool().Draw(t, "named") {
		name = " name=cdn.example"
	}

	from, at, service := "web"+six, to+six, ":443"
	ask, answer := protocol+":S", protocol+":S."
	switch protocol {
	case "udp":
		ask, answer = "udp", "udp"
	case "icmp":
		port, service = "", ""
		if ask, answer = "icmp:8", "icmp:0"; six != "" {
			ask, answer = "icmpv6:128", "icmpv6:129"
		}
	}
	if protocol != "tcp" && fate == "refused" {
		fate = "silent"
	}
	var out []string
	second := begin
	serial := 0
	say := func(node, point, reason, proto, a, b, more string) {
		serial++
		out = append(out, fmt.Sprintf("%09.4f %s %s %s %s %s > %s%s again=%d.%d", second, node, point, reason, proto, a, b, more, i, serial))
	}
	forward := func(proto, reason string) {
		second += 0.003
		f, d := from+port, at+service
		if !aggregated {
			say("n1", "FROM_ENDPOINT", "-", proto, f, d, "")
		}
		switch to {
		case "cart":
			say("n1", "ENDPOINT", reason, proto, f, d, name)
		case "db":
			say("n1", "OVERLAY", reason, proto, f, d, name+" class=native6")
			if !aggregated {
				say("n1", "OVERLAY", "-", proto, f, d, "")
				say("n1", "NETWORK", "-", proto, f, d, " tunnel")
			}
			second += 0.001
			say("n2", "ENDPOINT", reason, proto, f, d, " class=nat66")
		default:
			switch mode {
			case "bpf":
				say("n1", "NETWORK", reason, proto, f, d, name+" class=nat66")
				if !aggregated {
					translated := f
					if port != "" && i%3 == 0 {
						translated = from + fmt.Sprint(":", 55000+i) // the port was taken
					}
					say("n1", "NETWORK", "-", proto, translated, d, " class=observed xlated=n1"+six)
				}
			case "iptables":
				say("n1", "STACK", reason, proto, f, d, name+" class=native6")
				say("n1", "NETWORK", reason, proto, "n1"+six+port, d, " from=1000")
			case "hidden":
				say("n1", "STACK", reason, proto, f, d, name+" class=nat66")
			}
		}
	}
	reply := func(proto string) {
		second += 0.002
		f, d := from+port, at+service
		if to == "db" {
			if !aggregated {
				say("n2", "FROM_ENDPOINT", "-", proto, d, f, "")
			}
			say("n2", "OVERLAY", "REPLY", proto, d, f, "")
			second += 0.001
		}
		more := name
		if to == "cart" && protocol != "icmp" && i%2 == 0 {
			d, more = at+":80", more+" xlated=lb"+six // through a service
		}
		say("n1", "ENDPOINT", "REPLY", proto, d, f, more)
	}

	if fate == "late" {
		if protocol == "tcp" {
			forward("tcp:.", "EST")
		} else {
			forward(ask, "EST")
		}
		return out
	}
	say("n1", "VERDICT", "NEW", ask, from+port, at+service, name)
	if fate == "denied" {
		node, way := "n1", "out"
		if to == "db" {
			node, way = "n2", "in"
		}
		for range rapid.IntRange(1, 3).Draw(t, "tries") {
			say(node, "DROP", "-", ask, from+port, at+service, " way="+way+name)
			second += 1
		}
		return out
	}
	forward(ask, "NEW")
	switch {
	case fate == "silent":
		if protocol == "tcp" {
			second += 1
			forward("tcp:S", "EST")
		}
		return out
	case fate == "refused":
		reply("tcp:R.")
		return out
	}
	reply(answer)
	for range rapid.IntRange(0, 2).Draw(t, "more") {
		if protocol == "tcp" {
			second += 5
			forward("tcp:P.", "EST")
			reply("tcp:.")
		}
	}
	if protocol == "tcp" && rapid.Bool().Draw(t, "closed") {
		forward("tcp:F.", "EST")
		reply("tcp:F.")
		forward("tcp:.", "EST")
	}
	return out
}

// arrival makes up in which order the flows of two nodes arrive: each node's in its own order, none later than its
// fellows by more than the merge window.
func arrival(t *rapid.T, records []flow.Record, within float64) []flow.Record {
	type item struct {
		at float64
		r  flow.Record
	}
	var items []item
	for _, node := range []string{"n1", "n2"} {
		last := 0.0
		for i := range records {
			if records[i].Node.String() != node {
				continue
			}
			at := records[i].Time.Sub(midnight).Seconds() + rapid.Float64Range(0, within*0.99).Draw(t, "delay")
			last = max(last, at)
			items = append(items, item{last, records[i]})
		}
	}
	slices.SortStableFunc(items, func(a, b item) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	var out []flow.Record
	for _, it := range items {
		out = append(out, it.r)
	}
	return out
}

var remembered = answers{"web-1 cdn.example": midnight}

func tracked(rig *rig, size int, records []flow.Record) ([]flow.Record, []flow.Connection) {
	stage := track.New(track.Default(), rig.names)
	stage.AAAA = remembered
	return run(stage, size, records)
}

// TestReference: the fast way gives what the slow and obvious one gives.
func TestReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rig := newRig(t)
		text := drawLines(t)
		records := rig.records(text...)
		seen, told := tracked(rig, 50, records)
		want := reference(track.Default(), remembered, records)
		if diff := cmp.Diff(want, fullTexts(told)); diff != "" {
			t.Fatalf("flows:\n%s\nconnections (-reference +track):\n%s", strings.Join(text, "\n"), diff)
		}
		counted := map[string]int{}
		for i := range seen {
			r := &seen[i]
			if r.Counted == !r.Duplicate.IsZero() {
				t.Fatalf("counted %t, duplicate %q", r.Counted, r.Duplicate)
			}
			if r.Counted {
				counted[fmt.Sprint(r.Protocol, r.Source.IP, r.Source.Port, r.Destination.IP, r.Destination.Port)]++
			}
		}
		for i := range told {
			c := &told[i]
			counted[fmt.Sprint(c.Protocol, c.Source.IP, c.Source.Port, c.Destination.IP, c.Destination.Port)]--
		}
		for k, n := range counted {
			if n != 0 {
				t.Fatalf("flows:\n%s\n%s: %d more flows counted than connections", strings.Join(text, "\n"), k, n)
			}
		}
	})
}

// TestOrder: in whatever order two nodes' flows arrive within the merge window, however often and in whatever batches,
// the connections are the same, and as many flows count them.
func TestOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rig := newRig(t)
		text := drawLines(t)
		records := rig.records(text...)
		_, want := tracked(rig, len(records), records)

		other := arrival(t, records, track.Default().MergeWindow.Seconds())
		for range rapid.IntRange(0, 5).Draw(t, "repetitions") {
			i := rapid.IntRange(0, len(other)-1).Draw(t, "repeated")
			j := rapid.IntRange(i+1, len(other)).Draw(t, "at")
			other = slices.Insert(other, j, other[i])
		}
		seen, got := tracked(rig, rapid.IntRange(1, len(other)).Draw(t, "batch"), other)
		if diff := cmp.Diff(lines(want), lines(got)); diff != "" {
			t.Fatalf("flows:\n%s\nconnections (-in order +as they came):\n%s", strings.Join(text, "\n"), diff)
		}
		counted := 0
		for i := range seen {
			if seen[i].Counted {
				counted++
			}
		}
		if counted != len(want) {
			t.Fatalf("flows:\n%s\n%d flows counted, %d connections", strings.Join(text, "\n"), counted, len(want))
		}
	})
}
