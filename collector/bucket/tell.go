package bucket

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"sextant/collector/flow"
)

// again is how long at most a bucket goes untold though nothing of it changes: whoever asks for the last days, or has begun
// since, is to find it.
const again = 10 * time.Minute

// tellLocked appends the buckets that have changed since they were told last, those that would be untold for too long by the
// next time, or all, and forgets those that are empty.
func (s *Stage) tellLocked(b *flow.Batch, at moment, wall time.Time, all bool) {
	answers := s.answersLocked(at)
	for h := s.held.oldest; h != nil; h = h.newer {
		first, _ := h.limit.span(at)
		s.held.forget(h, first)
	}
	unseen := s.expectLocked(at)
	rows := s.rowsLocked(at, answers, unseen)
	slices.SortFunc(rows, func(a, b told) int { return compare(&a.row, &b.row) })
	for i := range rows {
		r := &rows[i]
		stale := wall.Sub(r.held.lastTold)+2*s.cfg.Every >= again // twice: whoever calls Flush may be late
		if !all && !stale && r.held.last != nil && same(r.held.last, &r.row) {
			continue
		}
		b.Buckets = append(b.Buckets, r.row)
		row := r.row // a copy: the rows of all others are not to be kept with it
		r.held.last, r.held.lastTold = &row, wall
	}
	for h := s.held.oldest; h != nil; {
		newer := h.newer
		if _, probed := answers[h.key]; len(h.parts) == 0 && !probed && !h.expected {
			s.held.drop(h)
		}
		h = newer
	}
	s.held.trim()
}

// told is a row and the bucket that it is of.
type told struct {
	row  flow.Bucket
	held *held
}

// compare orders buckets: by service, then the fullest first.
func compare(a, b *flow.Bucket) int {
	return cmp.Or(
		cmp.Compare(a.Service.String(), b.Service.String()), cmp.Compare(b.Used, a.Used),
		cmp.Compare(a.Family, b.Family), cmp.Compare(a.Bucket.String(), b.Bucket.String()), cmp.Compare(a.Cluster.String(), b.Cluster.String()),
	)
}

// same reports whether two rows of a bucket differ in nothing but the time.
func same(a, b *flow.Bucket) bool {
	one := *a
	one.Time, one.SeenSeconds = b.Time, b.SeenSeconds
	return one == *b
}

// hosts is what the nodes themselves used of the services, as their connections and as pulls.
type hosts map[hostKey]*hostUse

type hostKey struct {
	limit         *limit
	cluster, node flow.Name
}

type hostUse struct {
	connections, pulls uint64
	most               *held // the bucket in which most of the pulls are
	mostPulls          uint64
}

// surplus returns by how much pulls exceed connections: only these are not seen twice.
func (u *hostUse) surplus() uint64 {
	if u == nil || u.pulls <= u.connections {
		return 0
	}
	return u.pulls - u.connections
}

// of returns the surplus that goes to a bucket.
func (m hosts) of(h *held, node flow.Name) uint64 {
	if u := m[hostKey{h.limit, h.cluster, node}]; u != nil && u.most == h {
		return u.surplus()
	}
	return 0
}

// hostsLocked adds up what nodes themselves used in a part of each window: that which the function returns.
func (s *Stage) hostsLocked(part func(*limit) (first, last uint32)) hosts {
	all := hosts{}
	pulls := map[flow.Name]uint64{}
	for h := s.held.oldest; h != nil; h = h.newer {
		first, last := part(h.limit)
		clear(pulls)
		for i := range h.parts {
			p := &h.parts[i]
			if p.side != flow.SideHost {
				continue
			}
			uses, _ := p.sum(first, last)
			if p.measure == flow.MeasurePull {
				pulls[p.node] += uses
				continue
			}
			all.at(h, p.node).connections += uses
		}
		for node, n := range pulls {
			u := all.at(h, node)
			u.pulls += n
			if u.most == nil || n > u.mostPulls || n == u.mostPulls && h.before(u.most) {
				u.most, u.mostPulls = h, n
			}
		}
	}
	return all
}

// before orders buckets in a way that is the same for everybody: by their prefix as it is written, then by family.
func (h *held) before(other *held) bool {
	return cmp.Or(cmp.Compare(h.name.String(), other.name.String()), cmp.Compare(h.family.String(), other.family.String())) < 0
}

func (m hosts) at(h *held, node flow.Name) *hostUse {
	k := hostKey{h.limit, h.cluster, node}
	if m[k] == nil {
		m[k] = &hostUse{}
	}
	return m[k]
}

// The speed is measured by the last part of a window, or by all of it where it is short: connections are told up to minutes
// after they began, and a part of a minute would have seen none of them.
const (
	recentPart  = 6
	shortWindow = 10 * time.Minute
)

func (l *limit) recent(at moment) (first, last uint32, seconds uint64) {
	_, last = l.span(at)
	n := l.grains
	if time.Duration(l.grains)*time.Duration(l.grain)*time.Second > shortWindow {
		n = max(1, l.grains/recentPart)
	}
	return last - min(last, n-1), last, uint64(n) * uint64(l.grain)
}

func (s *Stage) rowsLocked(at moment, answers map[key]Told, unseen func(*held) flow.Unseen) []told {
	whole := s.hostsLocked(func(l *limit) (uint32, uint32) { return l.span(at) })
	lately := s.hostsLocked(func(l *limit) (uint32, uint32) { first, last, _ := l.recent(at); return first, last })
	seen := uint64(0)
	if first := s.clock.first.Load(); first != 0 && momentOf(time.Unix(0, first)) < at {
		seen = uint64(at - momentOf(time.Unix(0, first)))
	}
	var t tally
	var rows []told
	for h := s.held.oldest; h != nil; h = h.newer {
		l := h.limit
		first, last := l.span(at)
		t.reset()
		t.count(h, first, last, whole)
		row := bucketRow{flow.Bucket{
			Time: at.time(), Cluster: h.cluster, Service: s.services[l], Bucket: h.name, Family: h.family, Evidence: h.evidence,
			Used: clamp32(t.used), WindowSeconds: uint32(l.Window / time.Second), SeenSeconds: clamp32(min(seen, uint64(l.Window/time.Second))),
			LowerBound: s.held.lossy(l, first), Measure: t.measure(), Unit: s.units[l], UsedEvidence: flow.UsedCounted,
			Unseen: unseen(h), Limited: clamp32(t.limited),
			Nodes: clamp32(uint64(len(t.nodes))), Namespaces: clamp32(uint64(len(t.namespaces))), Pods: clamp32(uint64(len(t.pods))),
			TopWorkloads: s.top(t.workloads), TopImages: s.top(t.images), TopNodes: s.top(t.nodes),
		}}
		if l.Allowed > 0 && !l.Indirect {
			row.Limit = flow.Count{N: l.Allowed, Known: true}
		}
		if answer, ok := answers[h.key]; ok {
			row.answered(&answer)
		}
		var seconds uint64
		first, last, seconds = l.recent(at)
		t.reset()
		t.count(h, first, last, lately)
		if seen > 0 {
			seconds = min(seconds, seen)
		}
		row.speed(t.used, seconds)
		rows = append(rows, told{row.Bucket, h})
	}
	return rows
}

// bucketRow is a row that is being made.
type bucketRow struct{ flow.Bucket }

// answered puts what the service itself said in place of what was counted.
func (r *bucketRow) answered(t *Told) {
	if t.Limit > 0 {
		r.Limit = flow.Count{N: uint64(t.Limit), Known: true}
	}
	if seconds := t.Window / time.Second; seconds > 0 && seconds < math.MaxUint32 {
		r.WindowSeconds = uint32(seconds)
		r.SeenSeconds = min(r.SeenSeconds, r.WindowSeconds)
	}
	if t.Limited {
		r.Limited = max(r.Limited, 1)
	}
	if !r.Limit.Known { // refused, and how many are allowed is not known
		return
	}
	r.Used = clamp32(r.Limit.N - min(r.Limit.N, uint64(t.Remaining)))
	r.UsedEvidence, r.Unseen, r.LowerBound = flow.UsedProbed, flow.UnseenNothing, false
}

// speed says how fast the bucket fills, and when it is full if it goes on like that. At a speed that the window takes it is
// never full.
func (r *bucketRow) speed(uses, seconds uint64) {
	r.PerHour = clamp32(uses * 3600 / seconds)
	if !r.Limit.Known || !r.Seen() {
		return
	}
	used := uint64(r.Used)
	r.Headroom = flow.Count{N: r.Limit.N - min(r.Limit.N, used), Known: true}
	switch {
	case used >= r.Limit.N:
		r.ExhaustedIn = flow.Count{Known: true}
	case uses > 0 && uses*uint64(r.WindowSeconds)/seconds > r.Limit.N:
		r.ExhaustedIn = flow.Count{N: r.Headroom.N * seconds / uses, Known: true}
	}
}

// tally adds up what one bucket holds.
type tally struct {
	used, limited uint64
	measures      [4]uint64
	nodes, images map[flow.Name]uint64
	namespaces    map[flow.Name]struct{}
	pods          map[[2]flow.Name]struct{}
	workloads     map[[2]flow.Name]uint64
	pulled        map[flow.Name]uint64 // by nodes
}

func (t *tally) reset() {
	if t.nodes == nil {
		t.nodes, t.images, t.namespaces = map[flow.Name]uint64{}, map[flow.Name]uint64{}, map[flow.Name]struct{}{}
		t.pods, t.workloads = map[[2]flow.Name]struct{}{}, map[[2]flow.Name]uint64{}
		t.pulled = map[flow.Name]uint64{}
	}
	t.used, t.limited, t.measures = 0, 0, [4]uint64{}
	clear(t.nodes)
	clear(t.images)
	clear(t.namespaces)
	clear(t.pods)
	clear(t.workloads)
	clear(t.pulled)
}

func (t *tally) count(h *held, first, last uint32, hosts hosts) {
	for i := range h.parts {
		p := &h.parts[i]
		uses, limited := p.sum(first, last)
		if uses == 0 {
			continue
		}
		t.limited += limited
		t.measures[p.measure&3] += uses
		if p.measure == flow.MeasurePull {
			t.pulled[p.node] += uses
			if !p.image.IsZero() {
				t.images[p.image] += uses
			}
		} else {
			t.used += uses
			t.nodes[p.node] += uses
		}
		if !p.namespace.IsZero() {
			t.namespaces[p.namespace] = struct{}{}
			if !p.pod.IsZero() {
				t.pods[[2]flow.Name{p.namespace, p.pod}] = struct{}{}
			}
			if !p.workload.IsZero() {
				t.workloads[[2]flow.Name{p.namespace, p.workload}] += uses
			}
		}
	}
	for node := range t.pulled {
		surplus := hosts.of(h, node)
		t.used += surplus
		t.nodes[node] += surplus
	}
	delete(t.nodes, flow.Name{})
}

// measure is what most of the uses are.
func (t *tally) measure() flow.Measure {
	most := flow.MeasureUnknown
	for m, n := range t.measures {
		if n > t.measures[most] {
			most = flow.Measure(m)
		}
	}
	return most
}

// mostTop is how many of the greatest users are told.
const mostTop = 5

// top returns the greatest as name=uses.
func (s *Stage) top(of any) flow.Names {
	type one struct {
		text string
		uses uint64
	}
	var all []one
	switch of := of.(type) {
	case map[flow.Name]uint64:
		for name, uses := range of {
			all = append(all, one{name.String(), uses})
		}
	case map[[2]flow.Name]uint64:
		for names, uses := range of {
			all = append(all, one{names[0].String() + "/" + names[1].String(), uses})
		}
	}
	slices.SortFunc(all, func(a, b one) int { return cmp.Or(cmp.Compare(b.uses, a.uses), cmp.Compare(a.text, b.text)) })
	var list []flow.Name
	for _, o := range all[:min(len(all), mostTop)] {
		if o.uses > 0 {
			list = append(list, s.names.Name(o.text+"="+strconv.FormatUint(o.uses, 10)))
		}
	}
	return s.names.Names(list)
}
