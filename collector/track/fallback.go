package track

import (
	"sync"
	"time"

	"sextant/collector/flow"
)

// attempt is a connection as its fallbacks see it. It is guarded by the room it is in, and like its entry when it is in
// none; of the entry others read nothing but the key, which never changes.
type attempt struct {
	room           *room
	listed         bool
	earlier, later *entry // in the room's list
	joined         moment // by the clock of its node
	began          moment
	got            moment // from its begin to its first answer; negative: none
	number         flow.UUID
	retried        bool // IPv6: an IPv4 connection is its retry
	fallen         bool // IPv6: IPv4 followed
	decided        bool // IPv4: whether it is a retry is known
	retryOf        flow.UUID
	retryAfter     moment
}

// room holds the attempts that may be about one and the same thing: those of a pod to a DNS name, or, where no name is
// known, of a workload to a port of a service.
type room struct {
	key  roomKey
	held int      // entries in it
	four attempts // that are not decided
	six  attempts // that did not get through
}

// most is how many attempts a room compares. A pod that makes more within the time of a fallback is beyond help, and must
// not cost more than others.
const most = 256

type roomKey struct {
	cluster, namespace, who, what flow.Name
	port                          uint16
	named                         bool
}

// rooms are guarded in stripes. An entry's shard is locked before, never after.
type rooms struct {
	window, wait moment
	stripes      [16]stripe
}

type stripe struct {
	mu   sync.Mutex
	open map[roomKey]*room
	free []*room
}

func newRooms(cfg *Config) *rooms {
	rs := &rooms{window: moment(cfg.HappyEyeballs), wait: moment(cfg.HappyEyeballs + cfg.MergeWindow)}
	for i := range rs.stripes {
		rs.stripes[i].open = map[roomKey]*room{}
	}
	return rs
}

func (rs *rooms) stripe(k *roomKey) *stripe {
	return &rs.stripes[(k.who.Number()*31+k.what.Number()*17+uint32(k.port))%uint32(len(rs.stripes))]
}

// roomOf says what a connection is about, if that can matter.
func roomOf(e *entry) (k roomKey, ok bool) {
	ep := e.Source.Endpoint.Get()
	switch e.Protocol {
	case flow.TCP, flow.UDP, flow.SCTP:
	default:
		return k, false
	}
	if !e.told() || !e.begun || ep.Pod.IsZero() {
		return k, false
	}
	k = roomKey{cluster: e.Cluster, namespace: ep.Namespace}
	switch {
	case !e.Destination.Name.IsZero():
		k.who, k.what, k.named = ep.Pod, e.Destination.Name, true
	case !e.Destination.Service.IsZero() && !ep.Workload.IsZero():
		k.who, k.what, k.port = ep.Workload, e.Destination.Service, e.Destination.Port
	default:
		return k, false
	}
	return k, true
}

// update brings what is known of a connection to its room.
func (rs *rooms) update(e *entry) {
	k, ok := roomOf(e)
	if e.room != nil && (!ok || e.room.key != k) {
		rs.move(e, nil)
	}
	if !ok {
		return
	}
	st := rs.stripe(&k)
	st.mu.Lock()
	defer st.mu.Unlock()
	a := &e.attempt
	if e.first != a.began {
		a.began = e.first
		if e.Family == flow.FamilyIPv6 {
			a.number = e.id()
		}
		if a.listed { // its place among the others may be another
			a.room.list(e).remove(e)
			a.room.list(e).insert(e)
		}
	}
	a.got = -1
	if e.answered != 0 {
		a.got = e.answered - e.first
	}
	switch {
	case a.room == nil && !a.decided && !(e.Family == flow.FamilyIPv6 && rs.through(a)):
		r := st.open[k]
		if r == nil {
			r = st.take(k)
		}
		a.room, a.joined = r, e.touched
		r.held++
		r.list(e).insert(e)
		switch {
		case r.four.n > most:
			rs.decide(r, r.four.first)
		case r.six.n > most:
			r.six.remove(r.six.first)
		}
	case a.room != nil && e.Family == flow.FamilyIPv6 && rs.through(a):
		st.part(e)
	}
}

// move takes a connection out of its room.
func (rs *rooms) move(e *entry, before func(*room)) {
	k := e.room.key
	st := rs.stripe(&k)
	st.mu.Lock()
	defer st.mu.Unlock()
	if before != nil {
		before(e.room)
	}
	if e.room != nil {
		st.part(e)
	}
}

// leave settles what is known of a connection's fallback, writes it into its row and takes it out of its room.
func (rs *rooms) leave(e *entry, now moment) {
	if e.room != nil {
		rs.move(e, func(r *room) {
			for four := r.four.first; four != nil && now-four.joined > rs.wait; four = r.four.first {
				rs.decide(r, four)
			}
			if e.listed && e.Family == flow.FamilyIPv4 {
				rs.decide(r, e)
			}
		})
	}
	e.fellBack()
}

// fellBack fills in what is known of fallbacks.
func (e *entry) fellBack() {
	a := &e.attempt
	e.FallbackOf, e.FallenBack = a.retryOf, a.fallen
	e.FallbackMs = uint32(time.Duration(a.retryAfter).Milliseconds())
	e.AvoidableIPv4 = e.usable && a.retryOf == flow.UUID{}
}

// through reports whether an attempt was answered in time.
func (rs *rooms) through(a *attempt) bool { return a.got >= 0 && a.got <= rs.window }

// decide says whether an IPv4 connection is the retry of an IPv6 attempt that failed: the oldest one before it that has
// no retry yet. It has to have got through itself, for IPv6 costs nothing where IPv4 fails as well, be it that a policy
// denies both. Further failed attempts to other addresses of the name are part of the same try.
func (rs *rooms) decide(r *room, four *entry) {
	four.decided = true
	r.four.remove(four)
	if !rs.through(&four.attempt) {
		return
	}
	var head *entry
	for six := range r.six.until(four, rs.window) {
		if !six.retried && (head == nil || head.fallen && !six.fallen) {
			head = six
		}
	}
	if head == nil {
		return
	}
	head.retried = true
	four.retryOf, four.retryAfter = head.number, four.began-head.began
	for six := range r.six.until(four, rs.window) {
		if !six.fallen && (six == head || six.began >= head.began && six.Destination.IP != head.Destination.IP) {
			six.fallen, six.retryAfter = true, four.began-six.began
		}
	}
}

func (r *room) list(e *entry) *attempts {
	if e.Family == flow.FamilyIPv4 {
		return &r.four
	}
	return &r.six
}

func (st *stripe) take(k roomKey) *room {
	var r *room
	if n := len(st.free); n > 0 {
		r, st.free = st.free[n-1], st.free[:n-1]
	} else {
		r = &room{}
	}
	r.key = k
	st.open[k] = r
	return r
}

// part takes an entry out of its room, and closes the room after the last.
func (st *stripe) part(e *entry) {
	r := e.room
	if e.listed {
		r.list(e).remove(e)
	}
	e.room = nil
	if r.held--; r.held == 0 {
		delete(st.open, r.key)
		*r = room{}
		if len(st.free) < 1024 {
			st.free = append(st.free, r)
		}
	}
}

// before orders attempts by begin, and those that began together in a way that is the same for everybody.
func (e *entry) before(o *entry) bool {
	switch {
	case e.began != o.began:
		return e.began < o.began
	case e.Source.Port != o.Source.Port:
		return e.Source.Port < o.Source.Port
	}
	return e.Destination.IP.Less(o.Destination.IP)
}

// attempts is a list ordered by begin.
type attempts struct {
	first, last *entry
	n           int
}

func (l *attempts) insert(e *entry) {
	after := l.last
	for after != nil && e.before(after) {
		after = after.earlier
	}
	e.earlier, e.listed = after, true
	l.n++
	if after != nil {
		e.later, after.later = after.later, e
	} else {
		e.later, l.first = l.first, e
	}
	if e.later != nil {
		e.later.earlier = e
	} else {
		l.last = e
	}
}

func (l *attempts) remove(e *entry) {
	if e.earlier != nil {
		e.earlier.later = e.later
	} else {
		l.first = e.later
	}
	if e.later != nil {
		e.later.earlier = e.earlier
	} else {
		l.last = e.earlier
	}
	e.earlier, e.later, e.listed = nil, nil, false
	l.n--
}

// until yields the failed attempts that began within a time before another one.
func (l *attempts) until(e *entry, within moment) func(func(*entry) bool) {
	return func(yield func(*entry) bool) {
		for a := l.first; a != nil && a.began <= e.began; a = a.later {
			if e.began-a.began <= within && !yield(a) {
				return
			}
		}
	}
}
