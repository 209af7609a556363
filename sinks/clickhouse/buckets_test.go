package clickhouse_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/bucket"
	"sextant/collector/flow"
	"sextant/sinks/clickhouse"
	"sextant/sinks/clickhouse/cookbook"
)

// limit is what the model below knows of a service.
type limit struct {
	window time.Duration
	allows uint64
}

var limits = map[string]limit{
	"registry.example": {2 * time.Hour, 100}, "api.example": {time.Hour, 60}, "odd.example": {601 * time.Second, 40}, "short.example": {20 * time.Second, 3},
}

// used is a use as the best collector tells it.
func used(r *rand.Rand, in *flow.Interner, i int, begin time.Time, over time.Duration) flow.Charge {
	node := r.IntN(4)
	c := flow.Charge{
		Time: begin.Add(time.Duration(r.Int64N(int64(over)))), ID: flow.UUID{1, byte(i >> 16), byte(i >> 8), byte(i)}, Cluster: in.Name("a"), Node: in.Name(fmt.Sprint("node-", node)),
		Service: in.Name(slices.Sorted(maps.Keys(limits))[r.IntN(len(limits))]), Evidence: flow.BucketInferred + flow.BucketEvidence(r.IntN(3)),
		Family: flow.FamilyIPv6, Measure: flow.MeasureConnection, Side: flow.SidePod, Uses: 1 + uint32(r.IntN(3)), Limited: r.IntN(9) == 0,
		Namespace: in.Name("shop"), Workload: in.Name(fmt.Sprint("web-", r.IntN(8))), Pod: in.Name(fmt.Sprint("web-", r.IntN(20))),
	}
	if r.IntN(3) == 0 {
		c.Family = flow.FamilyIPv4
	}
	switch r.IntN(5) {
	case 0, 1: // a connection of the node's own
		c.Side, c.Namespace, c.Workload, c.Pod = flow.SideHost, flow.Name{}, flow.Name{}, flow.Name{}
	case 2, 3:
		c.Side, c.Measure, c.Image, c.Evidence = flow.SideHost, flow.MeasurePull, in.Name(fmt.Sprint("image:", r.IntN(7))), flow.BucketAssumed
		if r.IntN(4) > 0 { // most of a node's pulls are in one bucket
			c.Family = flow.FamilyIPv6
		}
	}
	c.Bucket = in.Name(map[flow.Family]string{flow.FamilyIPv4: fmt.Sprint("192.0.2.", node), flow.FamilyIPv6: fmt.Sprintf("2001:db8:%d::/64", node/2)}[c.Family])
	return c
}

// worse is how another collector tells of the same use: it knows less.
func worse(r *rand.Rand, in *flow.Interner, c flow.Charge) flow.Charge {
	c.Evidence--
	if r.IntN(2) == 0 {
		c.Bucket, c.Family = in.Name(""), flow.FamilyIPv6
	}
	c.Workload, c.Pod, c.Node, c.Time = flow.Name{}, flow.Name{}, in.Name("elsewhere"), c.Time.Add(time.Minute)
	return c
}

// place is a bucket.
type place struct{ service, name, family string }

func placeOf(c *flow.Charge) place {
	return place{c.Service.String(), c.Bucket.String(), c.Family.String()}
}

// whose is a node's own use of a service.
type whose struct{ service, node string }

// levels counts what is used of each bucket at a time, all anew: every use that is in the window, and of what nodes did
// themselves the larger of the two numbers.
func levels(charges []flow.Charge, in func(*flow.Charge) bool) map[place]int {
	counted := map[place]int{}
	connections, pulls := map[whose]int{}, map[whose]map[place]int{}
	for i := range charges {
		c := &charges[i]
		if !in(c) {
			continue
		}
		by := whose{c.Service.String(), c.Node.String()}
		switch {
		case c.Measure == flow.MeasurePull:
			if pulls[by] == nil {
				pulls[by] = map[place]int{}
			}
			pulls[by][placeOf(c)] += int(c.Uses)
			continue
		case c.Side == flow.SideHost:
			connections[by] += int(c.Uses)
		}
		counted[placeOf(c)] += int(c.Uses)
	}
	for by, places := range pulls {
		total := 0
		for _, n := range places {
			total += n
		}
		most := slices.MinFunc(slices.Collect(maps.Keys(places)), func(a, b place) int {
			if places[a] != places[b] {
				return places[b] - places[a]
			}
			return strings.Compare(a.name+" "+a.family, b.name+" "+b.family)
		})
		counted[most] += max(0, total-connections[by])
	}
	return counted
}

// exposure is what the view must tell, by brute force.
func exposure(charges []flow.Charge, since, until time.Time) map[place]string {
	peaks, lines := map[place]int{}, map[place]string{}
	for service, l := range limits {
		grain := int64(bucket.Grain(l.window) / time.Second)
		of := func(t time.Time) int64 { return t.Unix() / grain * grain }
		window := func(at, length int64) func(*flow.Charge) bool {
			return func(c *flow.Charge) bool {
				begin := of(c.Time)
				return c.Service.String() == service && !c.Time.After(until) && begin > at-length && begin <= at
			}
		}
		mine := slices.DeleteFunc(slices.Clone(charges), func(c flow.Charge) bool { return c.Service.String() != service })
		seconds := int64(l.window / time.Second)
		for at := of(since); at <= of(until); at += grain {
			for p, n := range levels(mine, window(at, seconds)) {
				peaks[p] = max(peaks[p], n)
			}
		}
		now := window(of(until), seconds)
		part := (seconds + grain - 1) / grain * grain
		if part > 600 {
			part = max(1, part/grain/6) * grain
		}
		used, recent := levels(mine, now), levels(mine, window(of(until), part))
		for p := range peaks {
			if p.service == service {
				lines[p] = line(mine, now, p, used[p], peaks[p], recent[p], l, part)
			}
		}
	}
	return lines
}

func line(charges []flow.Charge, now func(*flow.Charge) bool, p place, used, peak, recent int, l limit, part int64) string {
	evidence, limited := flow.BucketUnknown, 0
	nodes, namespaces, pods, workloads, images := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for i := range charges {
		c := &charges[i]
		if placeOf(c) != p || !now(c) {
			continue
		}
		evidence = max(evidence, c.Evidence)
		if c.Limited {
			limited += int(c.Uses)
		}
		nodes[c.Node.String()]++
		if !c.Namespace.IsZero() {
			namespaces[c.Namespace.String()]++
		}
		if !c.Workload.IsZero() {
			pods[c.Pod.String()]++
			workloads[c.Namespace.String()+"/"+c.Workload.String()] += int(c.Uses)
		}
		if !c.Image.IsZero() {
			images[c.Image.String()] += int(c.Uses)
		}
	}
	headroom := max(0, int(l.allows)-used)
	exhausted := "NULL"
	switch {
	case used >= int(l.allows):
		exhausted = "0"
	case recent > 0 && int64(recent)*int64(l.window/time.Second)/part > int64(l.allows):
		exhausted = strconv.FormatInt(int64(headroom)*part/int64(recent), 10)
	}
	return fmt.Sprintf("%s used %d of %d, at most %d, %d left, %d an hour, full in %s, refused %d, by %d nodes, %d namespaces, %d pods, %v, %v",
		evidence, used, l.allows, peak, headroom, int64(recent)*3600/part, exhausted, limited, len(nodes), len(namespaces), len(pods), top(workloads), top(images))
}

func top(of map[string]int) []string {
	names := slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		if of[a] != of[b] {
			return of[b] - of[a]
		}
		return strings.Compare(a, b)
	})
	var list []string
	for _, name := range names[:min(len(names), 5)] {
		list = append(list, fmt.Sprint(name, "=", of[name]))
	}
	return list
}

// exposed asks the view.
func exposed(t *testing.T, c clickhouse.Config, since, until time.Time) map[place]string {
	t.Helper()
	lines := map[place]string{}
	const stamp = "2006-01-02 15:04:05.000"
	answer := query(t, c, fmt.Sprintf(`SELECT service, bucket, family, format('{} used {} of {}, at most {}, {} left, {} an hour, full in {}, refused {}, by {} nodes, {} namespaces, {} pods, [{}], [{}]',
		evidence, toString(used), toString(limit), toString(peak_used), toString(headroom), toString(per_hour), ifNull(toString(exhausted_in_seconds), 'NULL'), toString(limited),
		toString(nodes), toString(namespaces), toString(pods), arrayStringConcat(top_workloads, ' '), arrayStringConcat(top_images, ' '))
		FROM rate_limit_exposure(since = '%s', until = '%s')`, since.Format(stamp), until.Format(stamp)))
	for row := range strings.SplitSeq(answer, "\n") {
		cells := strings.Split(row, "\t")
		lines[place{cells[0], cells[1], cells[2]}] = cells[3]
	}
	return lines
}

// Two collectors tell of some of the same uses, and one of them knows less. However their rows come and whether they were
// merged, the buckets hold exactly what a slow count of each use holds, and the same for any window.
func TestExposureIsExact(t *testing.T) {
	const seed = 7
	r, in, c := rand.New(rand.NewPCG(seed, 1)), flow.NewInterner(), config(t)
	begin := at("2026-11-01T00:00:00Z")
	one, two, states := &flow.Batch{}, &flow.Batch{}, &flow.Batch{}
	var all []flow.Charge
	for i := range 1500 {
		use := used(r, in, i, begin, 4*time.Hour)
		n := r.IntN(10)
		if n != 0 {
			one.Charges = append(one.Charges, use)
		}
		if n < 4 {
			two.Charges = append(two.Charges, worse(r, in, use))
		}
		if n == 0 { // nobody but the one that knows less
			use = two.Charges[len(two.Charges)-1]
		}
		all = append(all, use)
	}
	for service, l := range limits {
		for i, row := range []flow.Bucket{
			{Limit: flow.Count{N: 7, Known: true}, UsedEvidence: flow.UsedCounted}, // as it was before
			{Limit: flow.Count{N: l.allows, Known: true}, UsedEvidence: flow.UsedCounted},
		} {
			row.Time, row.Cluster, row.Service, row.Bucket = begin.Add(time.Duration(i)*time.Minute-time.Hour), in.Name("a"), in.Name(service), in.Name("of another time")
			row.WindowSeconds, row.SeenSeconds, row.Unseen = uint32(l.window/time.Second), uint32(l.window/time.Second), flow.UnseenNothing
			states.Buckets = append(states.Buckets, row)
		}
	}
	r.Shuffle(len(one.Charges), func(i, j int) { one.Charges[i], one.Charges[j] = one.Charges[j], one.Charges[i] })
	check(t, c)
	query(t, c, "SYSTEM STOP MERGES charges")
	write(t, sink(t, c), "one", one, states)
	write(t, sink(t, c), "two", two)
	if got, want := query(t, c, "SELECT count() FROM charges SETTINGS final = 0"), fmt.Sprint(len(one.Charges)+len(two.Charges)); got != want {
		t.Errorf("%s rows, want %s that are not merged", got, want)
	}
	windows := [][2]time.Duration{
		{3 * time.Hour, 4 * time.Hour}, {0, 2*time.Hour + 13*time.Minute + 11*time.Second}, {3 * time.Hour, 3*time.Hour + time.Second}, {3*time.Hour + 30*time.Minute, 5 * time.Hour},
	}
	for _, merged := range []bool{false, true} {
		if merged {
			query(t, c, "SYSTEM START MERGES charges")
			query(t, c, "OPTIMIZE TABLE charges FINAL")
		}
		for _, w := range windows {
			since, until := begin.Add(w[0]), begin.Add(w[1])
			want := exposure(all, since, until)
			if diff := cmp.Diff(want, exposed(t, c, since, until)); diff != "" {
				t.Errorf("%s to %s, merged %v (-counted +view)\n%s", w[0], w[1], merged, diff)
			}
			if len(want) < 8 {
				t.Errorf("%s to %s: only %d buckets", w[0], w[1], len(want))
			}
		}
	}
}

const (
	bucketColumns = "INSERT INTO buckets (time, bucket, used, `limit`, used_evidence, unseen, evidence, window_seconds, seen_seconds, cluster, service, family, unit, measure) VALUES "
	exposureOf    = "SELECT bucket, used, used_evidence, `limit`, headroom, window_seconds, unseen, evidence, unit FROM rate_limit_exposure"
)

// charged inserts seven uses of a bucket.
func charged(bucket string) string {
	return "INSERT INTO charges (id, time, service, bucket, evidence, uses, node, cluster, family, measure, side, namespace, workload) SELECT generateUUIDv4(), " +
		"'2026-11-01 12:30:00', 's', '" + bucket + "', 'inferred', 7, 'n', 'a', 'ipv6', 'connection', 'pod', 'shop', 'web'"
}

// What a service itself said takes the place of what was counted, as long as its window lasts; its limit stays, and is that
// bucket's alone.
func TestProbeInPlaceOfCount(t *testing.T) {
	row := func(at, bucket, more string) string {
		return bucketColumns + "('2026-11-01 " + at + "', '" + bucket + "', " + more + ", 3600, 3600, 'a', 's', 'ipv6', 'pulls', 'pull')"
	}
	c := made(t,
		charged("asked"), charged("not asked"),
		row("12:10:00", "not asked", "1, 100, 'counted', 'node', 'inferred'"),
		row("12:20:00", "not asked", "2, 100, 'counted', 'nothing', 'inferred'"),
		row("12:20:00", "asked", "1, 100, 'counted', 'node', 'inferred'"),
		row("12:25:00", "asked", "60, 200, 'probed', 'nothing', 'probed'"),
		row("12:40:00", "asked", "2, 100, 'counted', 'node', 'inferred'"),
		row("12:40:00", "hidden", "0, 100, 'counted', 'node', 'inferred'"),
		row("12:40:00", "empty", "0, 100, 'counted', 'nothing', 'inferred'"),
		row("12:50:00", "heard of", "90, 100, 'probed', 'nothing', 'probed'"),
	)
	for until, want := range map[string]string{
		"12:35:00": `
			asked|60|probed|200|140|3600|nothing|probed|pulls
			hidden|NULL|counted|100|NULL|3600|node|inferred|pulls
			not asked|7|counted|100|93|3600|node|inferred|pulls`,
		"13:24:00": `
			asked|60|probed|100|40|3600|nothing|probed|pulls
			heard of|90|probed|100|10|3600|nothing|probed|pulls
			hidden|NULL|counted|100|NULL|3600|node|inferred|pulls
			not asked|7|counted|100|93|3600|nothing|inferred|pulls`,
		"13:29:00": `
			asked|7|counted|100|93|3600|node|probed|pulls
			heard of|90|probed|100|10|3600|nothing|probed|pulls
			hidden|NULL|counted|100|NULL|3600|node|inferred|pulls
			not asked|7|counted|100|93|3600|nothing|inferred|pulls`,
	} {
		got := query(t, c, exposureOf+"(since = '2026-11-01 12:29:00', until = '2026-11-01 "+until+"') ORDER BY bucket")
		if diff := cmp.Diff(strings.ReplaceAll(rows(want), "|", "\t"), got); diff != "" {
			t.Errorf("at %s (-want +got)\n%s", until, diff)
		}
	}
}

// A replay tells its buckets when it ends, and what was told of a service holds for buckets of which nothing was. Where
// nothing was told at all, uses are counted all the same, and no limit is made up.
func TestExposureWithoutStates(t *testing.T) {
	c := made(t, charged("a"), charged("b"))
	ask := func(until string) string {
		return query(t, c, exposureOf+"(since = '2026-11-01 12:29:00', until = '2026-11-01 "+until+"') ORDER BY bucket")
	}
	want := strings.ReplaceAll(rows(`
		a|7|counted|NULL|NULL|3600|unknown|inferred|
		b|7|counted|NULL|NULL|3600|unknown|inferred|`), "|", "\t")
	if diff := cmp.Diff(want, ask("13:00:00")); diff != "" {
		t.Errorf("nothing told (-want +got)\n%s", diff)
	}
	query(t, c, bucketColumns+"('2026-11-01 18:00:00', 'a', 7, 100, 'counted', 'node', 'observed', 21600, 18000, 'a', 's', 'ipv6', 'pulls', 'connection')")
	for until, want := range map[string]string{
		"13:00:00": `
			a|7|counted|100|93|21600|node|observed|pulls
			b|7|counted|100|93|21600|unknown|inferred|pulls`,
		"18:25:00": `
			a|7|counted|100|93|21600|node|observed|pulls
			b|7|counted|100|93|21600|unknown|inferred|pulls`,
	} {
		if diff := cmp.Diff(strings.ReplaceAll(rows(want), "|", "\t"), ask(until)); diff != "" {
			t.Errorf("at %s (-want +got)\n%s", until, diff)
		}
	}
	if got, want := query(t, c, "SELECT bucket, used, peak_used, evidence, unseen FROM rate_limit_exposure(since = '2026-11-01 12:29:00', until = '2026-11-01 18:35:00') ORDER BY bucket"),
		"a\tNULL\t7\tobserved\tnode\nb\t0\t7\tunknown\tunknown"; got != want {
		t.Errorf("when the window has left the uses behind: %q, want %q", got, want)
	}
}

// The named queries about rate limits.
func TestRateLimitQueries(t *testing.T) {
	in, c := flow.NewInterner(), config(t)
	charge := func(id byte, measure flow.Measure, uses uint32, limited bool, workload, image string) flow.Charge {
		return flow.Charge{
			Time: at("2026-11-01T12:10:00Z").Add(time.Duration(id) * time.Minute), ID: flow.UUID{id}, Cluster: in.Name("a"), Node: in.Name("n=1"), Service: in.Name("s"), Bucket: in.Name("2001:db8::/64"),
			Family: flow.FamilyIPv6, Evidence: flow.BucketObserved, Measure: measure, Side: map[bool]flow.Side{true: flow.SideHost, false: flow.SidePod}[measure == flow.MeasurePull],
			Uses: uses, Limited: limited, Namespace: in.Name("shop"), Workload: in.Name(workload), Image: in.Name(image),
		}
	}
	b := &flow.Batch{
		Charges: []flow.Charge{
			charge(1, flow.MeasureRequest, 5, true, "web", ""), charge(2, flow.MeasureRequest, 6, false, "web", ""), charge(3, flow.MeasureRequest, 1, true, "web", ""),
			charge(4, flow.MeasurePull, 3, true, "db", "library/db:1=2"), charge(5, flow.MeasurePull, 4, false, "db", "library/db:1=2"),
		},
		Buckets: []flow.Bucket{{
			Time: at("2026-11-01T12:20:00Z"), Cluster: in.Name("a"), Service: in.Name("s"), Bucket: in.Name("2001:db8::/64"), Family: flow.FamilyIPv6, WindowSeconds: 3600,
			Limit: flow.Count{N: 20, Known: true}, SeenSeconds: 3600, UsedEvidence: flow.UsedCounted, Unseen: flow.UnseenNothing, Evidence: flow.BucketInferred,
		}},
	}
	write(t, sink(t, c), "one", b)
	write(t, sink(t, c), "other", b)
	for name, want := range map[string]string{
		"rate-limits": `a|s|2001:db8::/64|ipv6|observed|19|counted|nothing|19|20|1|3600|114|31|9|1|1|0|["shop/web=12","shop/db=7"]|0`,
		"rate-limit-top": `
			a|s|2001:db8::/64|workload|shop/web|12|19|20|nothing|0
			a|s|2001:db8::/64|workload|shop/db|7|19|20|nothing|0
			a|s|2001:db8::/64|image|library/db:1=2|7|19|20|nothing|0
			a|s|2001:db8::/64|node|n=1|19|19|20|nothing|0`,
		"rate-limited": `
			a|s|2001:db8::/64|request|n=1|shop|web||6|2026-11-01T12:11:00.000000000Z|2026-11-01T12:13:00.000000000Z|0
			a|s|2001:db8::/64|pull|n=1|shop|db|library/db:1=2|3|2026-11-01T12:14:00.000000000Z|2026-11-01T12:14:00.000000000Z|0`,
	} {
		q, ok := cookbook.Find(name)
		if !ok {
			t.Fatalf("no query is called %s", name)
		}
		ctx := clickhouse.WithParameters(t.Context(), map[string]string{
			"since": "2026-11-01 12:00:00", "until": "2026-11-01 12:20:00", "cluster": "", "namespace": "", "workload": "", "limit": "9",
		})
		found, err := open(t, c).Query(ctx, q.SQL)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for row, err := range found.All() {
			if err != nil {
				t.Fatal(err)
			}
			var cells []string
			for _, v := range row {
				cells = append(cells, clickhouse.Text(v))
			}
			got = append(got, strings.Join(cells, "|"))
		}
		if diff := cmp.Diff(rows(want), strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
