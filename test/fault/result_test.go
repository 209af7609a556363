package fault_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// result is what the record holds, against what it should.
type result struct {
	flows, connections tally
	gaps               []gap
	nodes              []string
	span               time.Duration
}

// tally counts what there is of rows that should each be there once.
type tally struct {
	expected, alike    int
	missing, differing int // covered by gaps or not
	untold             []string
	doubled, foreign   []string
	late               int // further rows of a connection that a gap has cut in two
}

type gap struct {
	node, cause string
	from, to    time.Time
}

// connection is what is compared of one.
type connection struct {
	nodes       []string // that saw it
	key         string   // ends and protocol
	first, last time.Time
	late        bool
	seen        string
}

func (r *rig) result(played map[string]played) *result {
	res := &result{}
	nodes := map[string]bool{}
	var first, last time.Time
	for _, f := range played {
		nodes[f.node] = true
		if first.IsZero() || f.at.Before(first) {
			first = f.at
		}
		if f.at.After(last) {
			last = f.at
		}
	}
	res.nodes, res.span = slices.Sorted(maps.Keys(nodes)), last.Sub(first)
	for _, row := range r.ask("SELECT node, toString(cause), toUnixTimestamp64Nano(`from`), toUnixTimestamp64Nano(`to`) FROM faults.gaps WHERE cause != 'hidden_by_settings' ORDER BY `from`, node") {
		res.gaps = append(res.gaps, gap{row[0].(string), row[1].(string), unix(row[2]), unix(row[3])})
	}

	stored := map[string]int{}
	for _, row := range r.ask("SELECT toString(uuid), count() FROM faults.flows GROUP BY uuid") {
		stored[row[0].(string)] = number(row[1])
	}
	res.flows.expected = len(played)
	for id, f := range played {
		switch n := stored[id]; {
		case n == 1:
			res.flows.alike++
		case n > 1:
			res.flows.doubled = append(res.flows.doubled, fmt.Sprintf("%s of %s at %s: %d times", id, f.node, r.since(f.at), n))
		default:
			res.flows.missing++
			if !res.covered(f.node, f.at, f.at) {
				res.flows.untold = append(res.flows.untold, fmt.Sprintf("%s of %s at %s", id, f.node, r.since(f.at)))
			}
		}
	}
	for id := range stored {
		if _, ok := played[id]; !ok {
			res.flows.foreign = append(res.flows.foreign, id)
		}
	}

	want, got := r.connections("reference"), r.connections("faults")
	res.connections.expected = len(want)
	cut := map[string]bool{}
	for id, c := range want {
		have, ok := got[id]
		if ok && have.seen == c.seen {
			res.connections.alike++
			continue
		}
		told := slices.ContainsFunc(c.nodes, func(node string) bool { return res.covered(node, c.first, c.last) })
		if told {
			cut[c.key] = true
		}
		if ok {
			res.connections.differing++
		} else {
			res.connections.missing++
		}
		if !told {
			res.connections.untold = append(res.connections.untold, fmt.Sprintf("%s %s from %s to %s: want %s, got %s", id, c.key, r.since(c.first), r.since(c.last), c.seen, have.seen))
		}
	}
	for id, c := range got {
		switch _, ok := want[id]; {
		case ok:
		case cut[c.key]:
			res.connections.late++
		default:
			res.connections.foreign = append(res.connections.foreign, fmt.Sprintf("%s %s from %s to %s: %s", id, c.key, r.since(c.first), r.since(c.last), c.seen))
		}
	}
	return res
}

func (r *rig) connections(database string) map[string]connection {
	r.t.Helper()
	all := map[string]connection{}
	for _, row := range r.ask("SELECT toString(id), [node, source_node, destination_node], toUnixTimestamp64Nano(first), toUnixTimestamp64Nano(last), late, " +
		"concat(toString(protocol), ' ', toString(source_ip), ' ', toString(source_port), ' > ', toString(destination_ip), ' ', toString(destination_port)), " +
		"concat(toString(outcome), ' flows=', toString(flows), ' node=', node, ' view=', toString(view), ' late=', toString(late), ' ', toString(first), ' ', toString(last)) " +
		"FROM " + database + ".connections") {
		c := connection{first: unix(row[2]), last: unix(row[3]), late: number(row[4]) == 1, key: row[5].(string), seen: row[6].(string)}
		for _, node := range row[1].([]any) {
			c.nodes = append(c.nodes, node.(string))
		}
		if _, twice := all[row[0].(string)]; twice {
			r.t.Errorf("connection %s stands twice in %s", row[0], database)
		}
		all[row[0].(string)] = c
	}
	return all
}

// covered reports whether a gap says that something of a node may be missing within a time.
func (res *result) covered(node string, from, to time.Time) bool {
	return slices.ContainsFunc(res.gaps, func(g gap) bool {
		return (g.node == "" || g.node == node) && !g.from.After(to) && !g.to.Before(from)
	})
}

// gapTime is the time of all nodes that lies in gaps.
func (res *result) gapTime() (all time.Duration) {
	for _, node := range res.nodes {
		var until time.Time
		for _, g := range res.gaps { // by begin
			if g.node != "" && g.node != node || !g.to.After(until) {
				continue
			}
			from := g.from
			if until.After(from) {
				from = until
			}
			all += g.to.Sub(from)
			until = g.to
		}
	}
	return all
}

// table is the account.
func (res *result) table(r *rig) string {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	counts := map[string]int{}
	for _, f := range r.done {
		counts[f.kind]++
	}
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "%s\t%d\n", kind, counts[kind])
	}
	fmt.Fprintf(w, "faults\t%d\n", len(r.done))
	fmt.Fprintf(w, "engine died by itself\t%d\n", r.deaths)
	fmt.Fprintf(w, "\texpected\talike\tmissing\tdiffering\tdoubled\tforeign\tcut in two\tnot told\tshare told as gaps\n")
	for _, row := range []struct {
		name string
		*tally
	}{{"flows", &res.flows}, {"connections", &res.connections}} {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f %%\n", row.name, row.expected, row.alike, row.missing, row.differing, len(row.doubled), len(row.foreign),
			row.late, len(row.untold), 100*float64(row.missing+row.differing-len(row.untold))/float64(row.expected))
	}
	fmt.Fprintf(w, "collector down\t%.1f s\tof %.1f s, in %d kills\n", r.down.Seconds(), res.span.Seconds(), r.kills)
	fmt.Fprintf(w, "gaps\t%d\tof %.1f s, on %d nodes\n", len(res.gaps), res.gapTime().Seconds(), len(res.nodes))
	causes := map[string]int{}
	for _, g := range res.gaps {
		causes[g.cause]++
	}
	for _, cause := range slices.Sorted(maps.Keys(causes)) {
		fmt.Fprintf(w, "  %s\t%d\n", cause, causes[cause])
	}
	_ = w.Flush() // into memory
	return text.String()
}

// allowance is how much more than its down time a killed collector may not know of each node.
const allowance = 2 * time.Second

// mostTold is which part of all a gap may tell of: the record is to be there, not to say that it is not.
const mostTold = 5

// problems are what must not be.
func (res *result) problems(r *rig) (all []string) {
	say := func(what string, list []string) {
		slices.Sort(list)
		if n := len(list); n > 0 {
			all = append(all, fmt.Sprintf("%d %s:\n  %s", n, what, strings.Join(list[:min(n, 10)], "\n  ")))
		}
	}
	say("flows are missing, and no gap tells of them", res.flows.untold)
	say("flows are there more than once", res.flows.doubled)
	say("flows are none that were played", res.flows.foreign)
	say("connections are missing or other than they were, and no gap tells of them", res.connections.untold)
	say("connections are none that were", res.connections.foreign)
	for name, t := range map[string]*tally{"flows": &res.flows, "connections": &res.connections} {
		if told := t.missing + t.differing; told > t.expected/mostTold {
			all = append(all, fmt.Sprintf("of %d %s %d are not as they were, though gaps tell of them", t.expected, name, told))
		}
	}
	if most := time.Duration(len(res.nodes)) * (r.down + time.Duration(r.kills)*allowance); res.gapTime() > most {
		all = append(all, fmt.Sprintf("gaps of %s of all nodes, want at most %s", res.gapTime(), most))
	}
	return all
}

func (r *rig) since(t time.Time) string { return fmt.Sprintf("%.3fs", t.Sub(r.began).Seconds()) }

func unix(v any) time.Time { return time.Unix(0, int64(number(v))) }

func number(v any) (n int) {
	if _, err := fmt.Sscan(fmt.Sprint(v), &n); err != nil {
		panic(err)
	}
	return n
}
