package bucket

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"strings"
	"time"

	"sextant/collector/flow"
)

func (s *Stage) connectionLocked(b *flow.Batch, c *flow.Connection) {
	if !leaves(c) || c.Outcome == flow.Unanswered || c.Outcome == flow.Denied {
		return
	}
	if t := s.ofLocked(c); t != nil {
		s.chargeConnectionLocked(b, c, t)
	}
}

// slack is how far the times of a connection and of its requests may be apart, which are told by two observers.
const slack = 5 * time.Second

func (s *Stage) chargeConnectionLocked(b *flow.Batch, c *flow.Connection, t *target) {
	if len(t.limits) == 0 {
		return
	}
	at, requested := s.seen.get(ends{socketOf(&c.Source), socketOf(&c.Destination)})
	requested = requested && !at.Before(c.First.Add(-slack)) && !at.After(c.Last.Add(slack))
	from := c.Source.Endpoint.Get()
	row := flow.Charge{
		Time: c.First, ID: c.ID, Cluster: c.Cluster, Node: nodeOf(from.Node, c.Node), Measure: flow.MeasureConnection,
		Side: flow.SidePod, Uses: 1, SourceIP: c.Source.IP, Name: c.Destination.Name,
		Namespace: from.Namespace, Workload: from.Workload, WorkloadKind: from.WorkloadKind, Pod: from.Pod,
	}
	if ofHost(c) {
		row.Side = flow.SideHost
	}
	w := s.ofConnection(c)
	for _, l := range t.limits {
		if l.RequestsOnly || (requested || c.Outcome == flow.Refused) && l.Unit != "connections" {
			continue
		}
		s.chargeLocked(b, l, row, w, c.Family)
	}
}

// nodeOf is the node that a source lives on, else the one that saw it.
func nodeOf(lives, saw flow.Name) flow.Name {
	if lives.IsZero() {
		return saw
	}
	return lives
}

// ends are a connection's sockets.
type ends struct{ from, to socket }

// firstAnswer returns the index of the first HTTP answer, -1 where there is none.
func firstAnswer(records []flow.Record) int {
	for i := range records {
		if isAnswer(&records[i]) {
			return i
		}
	}
	return -1
}

// isAnswer reports whether a record is an HTTP answer: of a request alone nobody knows whether it got anywhere, and the
// answer names the request.
func isAnswer(r *flow.Record) bool {
	return r.EventType == flow.EventL7 && r.L7Type == flow.L7Response && !r.HTTP.URL.IsZero()
}

const tooManyRequests = 429 // RFC 6585 section 4

func (s *Stage) requestsLocked(b *flow.Batch, first int) {
	for i := first; i < len(b.Records); i++ {
		r := &b.Records[i]
		if !isAnswer(r) || r.Direction == flow.InternalDirection || r.Direction == flow.IngressDirection {
			continue
		}
		from, to, _ := r.Ends()
		host, path := splitURL(r.HTTP.URL.String())
		t := s.catalogue.hosts.find(host)
		name := to.Name
		if t != nil {
			name = s.names.Name(host)
		} else if t = s.nameLocked(to.Name); t == nil {
			continue
		}
		s.seen.put(ends{socketOf(from), socketOf(to)}, r.Time)
		s.chargeRequestLocked(b, r, from, t, name, path)
	}
}

func (s *Stage) chargeRequestLocked(b *flow.Batch, r *flow.Record, from *flow.End, t *target, name flow.Name, path string) {
	who := from.Endpoint.Get()
	row := flow.Charge{
		Time: r.Time, ID: requestID(r), Cluster: r.Cluster, Node: nodeOf(who.Node, r.Node), Measure: flow.MeasureRequest,
		Side: flow.SidePod, Uses: max(1, r.AggregatedFlows), Limited: r.HTTP.Status == tooManyRequests, SourceIP: from.IP, Name: name,
		Namespace: who.Namespace, Workload: who.Workload, WorkloadKind: who.WorkloadKind, Pod: who.Pod,
	}
	if from.Side == flow.SideHost || from.Side == flow.SideRemoteNode {
		row.Side = flow.SideHost
	}
	w := s.ofRequest(r, from, row.Node, s.facts.Load())
	for _, l := range t.limits {
		refused := row.Limited && l.Of == "" // that says enough, whatever it was
		if l.Unit != "connections" && (refused || l.counts(r.HTTP.Method.String(), path)) {
			s.chargeLocked(b, l, row, w, r.Family)
		}
	}
}

// splitURL returns the host, without port, and the path of a URL or of what a proxy makes of one.
func splitURL(text string) (host, path string) {
	_, rest, ok := strings.Cut(text, "://")
	if !ok {
		return "", text
	}
	path = "/"
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		rest, path = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 && !strings.HasSuffix(rest, "]") {
		rest = rest[:i]
	}
	return rest, path
}

// requestID is the flow's own identifier, or made of what it says where an old agent sent none.
func requestID(r *flow.Record) flow.UUID {
	if r.UUID != (flow.UUID{}) {
		return r.UUID
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(r.Time.UnixNano()))
	for _, end := range [...]*flow.End{&r.Source, &r.Destination} {
		a := end.IP.As16()
		b = append(b, a[:]...)
		b = binary.BigEndian.AppendUint16(b, end.Port)
	}
	b = append(b, r.Node.String()+" "+r.HTTP.Method.String()+" "+r.HTTP.URL.String()...)
	sum := sha256.Sum256(b)
	return flow.UUID(sum[:16])
}

func (s *Stage) pullLocked(b *flow.Batch, p *flow.Pull) {
	switch p.Result {
	case flow.PullUnknown, flow.Pulled, flow.PullRateLimited:
	default: // it asked no registry, or was no pull to it
		return
	}
	t, host := s.registry(p.Registry.String())
	if t == nil {
		return
	}
	row := flow.Charge{
		Time: p.Time, ID: p.ID, Cluster: p.Cluster, Node: p.Node, Measure: flow.MeasurePull,
		Side: flow.SideHost, Uses: max(1, p.Count), Limited: p.Result == flow.PullRateLimited,
		Namespace: p.Namespace, Workload: p.Workload, WorkloadKind: p.WorkloadKind, Pod: p.Pod, Image: s.image(p),
	}
	facts := s.facts.Load()
	s.clock.hear(s, p.Time)
	for _, l := range t.limits {
		if l.RequestsOnly || l.Unit == "connections" {
			continue
		}
		w := s.ofNode(p.Node, l.HasIPv6(host), facts)
		family := w.family
		row.SourceIP = facts.address(p.Node, family)
		if family == flow.FamilyIPv4 && !row.SourceIP.IsValid() { // through a NAT64
			family = flow.FamilyIPv6
			row.SourceIP = facts.address(p.Node, family)
		}
		s.chargeLocked(b, l, row, w, family)
	}
}

// registry returns what limits pulls from a registry, or from what stands for it, and the host that is asked.
func (s *Stage) registry(name string) (t *target, host string) {
	name = strings.ToLower(name)
	if mirror, ok := s.mirrors[name]; ok {
		if t = s.catalogue.registries.find(mirror); t == nil {
			t = s.catalogue.hosts.find(mirror)
		}
		return t, mirror
	}
	if t = s.catalogue.registries.find(name); t == nil {
		return nil, ""
	}
	host = name
	if main := t.limits[0]; s.catalogue.hosts.find(name) != t && len(main.Hosts) > 0 { // "docker.io"
		host = main.Hosts[0]
	}
	return t, host
}

// longestImage bounds the names of images that are told.
const longestImage = 512

func (s *Stage) image(p *flow.Pull) flow.Name {
	text := p.Repository.String()
	switch {
	case !p.Tag.IsZero():
		text += ":" + p.Tag.String()
	case !p.Digest.IsZero():
		text += "@" + p.Digest.String()
	}
	if len(text) > longestImage {
		text = strings.ToValidUTF8(text[:longestImage], "")
	}
	return s.names.Name(text)
}

// chargeLocked tells a use and counts it. The family is the one in which it left its source.
func (s *Stage) chargeLocked(b *flow.Batch, l *limit, row flow.Charge, w way, family flow.Family) {
	p, ok := l.place(w)
	if !ok {
		return
	}
	if len(s.told) > 0 {
		p = s.probedLocked(l, &row, p, w, family)
	}
	row.Service, row.Family, row.Evidence, row.EgressIP = s.services[l], p.family, p.evidence, w.address
	if s.trial {
		row.Bucket = s.names.Name(text(p.prefix))
	} else {
		row.Bucket = s.countLocked(l, &row, p)
	}
	b.Charges = append(b.Charges, row)
}

// countLocked adds a use to its bucket, unless the window has passed it, and returns the bucket's name.
func (s *Stage) countLocked(l *limit, row *flow.Charge, p place) flow.Name {
	if !row.Cluster.IsZero() {
		s.cluster = row.Cluster
	}
	first, _ := l.span(max(s.at, momentOf(time.Unix(0, s.clock.newest.Load()))))
	grain := uint32(momentOf(row.Time)) / l.grain
	if grain < first {
		return s.names.Name(text(p.prefix))
	}
	held := s.held.hold(key{l, row.Cluster, p.prefix, p.family}, s.names)
	held.evidence = max(held.evidence, p.evidence)
	s.held.add(held, partOf(row), grain, row.Uses, row.Limited)
	return held.name
}

// egress returns the address of a way for comparison with a node's own.
func (w *way) is(a netip.Addr) bool { return a.IsValid() && w.address == a }
