package bucket_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/bucket"
	"sextant/collector/flow"
)

// model keeps every use, once however often it is told, and counts anew each time it is asked.
type model struct {
	uses   map[string]use // by service and id
	newest time.Time
}

type use struct {
	time            time.Time
	service, bucket string
	node            string
	host, pull      bool
	uses            int
}

// limits of the model's services, as their catalogue says them below.
var modelLimits = []struct {
	name   string
	window time.Duration
	v4, v6 int
}{
	{"a.example", time.Hour, 32, 64},
	{"a.example /48", 100 * time.Second, 24, 48},
	{"b.example", 10 * time.Minute, 32, 128},
}

const modelCatalogue = `limits:
- {name: a.example, hosts: [a.example], registries: [a.example], unit: pulls, limit: 50, window: 1h}
- {name: a.example /48, of: a.example, unit: requests, limit: 9, window: 100s, ipv4_length: 24, ipv6_length: 48}
- {name: b.example, hosts: [b.example], unit: requests, window: 10m, ipv6_length: 128}
`

func mask(a netip.Addr, v4, v6 int) string {
	bits := v6
	if a.Is4() {
		bits = v4
	}
	p, err := a.Prefix(bits)
	switch {
	case err != nil || !a.IsValid():
		return ""
	case p.IsSingleIP():
		return p.Addr().String()
	}
	return p.String()
}

// used counts by the definition: the uses whose grain began after the window did, and of what a node did itself the larger
// of both ways in which it shows.
func (m *model) used() map[string]uint32 {
	type host struct{ service, node string }
	conns, pulls := map[host]int{}, map[host]int{}
	pullsOf := map[host]map[string]int{}
	got := map[string]uint32{}
	for _, u := range m.uses {
		var window time.Duration
		for _, l := range modelLimits {
			if l.name == u.service {
				window = l.window
			}
		}
		grain := bucket.Grain(window)
		begin := u.time.Truncate(grain)
		end := m.newest.Truncate(grain)
		if !begin.After(end.Add(-window)) || begin.After(end) {
			continue
		}
		k := host{u.service, u.node}
		switch {
		case u.pull:
			pulls[k] += u.uses
			if pullsOf[k] == nil {
				pullsOf[k] = map[string]int{}
			}
			pullsOf[k][u.bucket] += u.uses
			continue
		case u.host:
			conns[k] += u.uses
		}
		got[u.service+" "+u.bucket] += uint32(u.uses)
	}
	for k, n := range pulls {
		names := slices.SortedFunc(maps.Keys(pullsOf[k]), func(a, b string) int {
			if pullsOf[k][a] != pullsOf[k][b] {
				return pullsOf[k][b] - pullsOf[k][a]
			}
			return slices.Compare([]string{a}, []string{b})
		})
		if surplus := n - conns[k]; surplus > 0 {
			got[k.service+" "+names[0]] += uint32(surplus)
		}
	}
	maps.DeleteFunc(got, func(_ string, n uint32) bool { return n == 0 })
	return got
}

// stream makes random rows around a time, of which some come late and some twice over two collectors.
type stream struct {
	*rand.Rand
	rig  *rig
	made uint64
}

func (s *stream) addr() netip.Addr {
	if s.IntN(3) == 0 {
		return netip.AddrFrom4([4]byte{192, 0, 2, byte(s.IntN(4))})
	}
	return netip.AddrFrom16([16]byte{0x20, 1, 0x0d, 0xb8, 0, byte(s.IntN(2)), 0, byte(s.IntN(3)), 15: byte(s.IntN(3))})
}

func (s *stream) row(now time.Time) any {
	s.made++
	id := flow.UUID{byte(s.made >> 16), byte(s.made >> 8), byte(s.made), 1}
	when := now.Add(-time.Duration(s.Int64N(int64(5 * time.Second)))) // within the merge window
	if s.IntN(20) == 0 {
		when = now.Add(-time.Duration(s.Int64N(int64(90 * time.Minute)))) // a connection that was long
	}
	node := fmt.Sprint("node-", s.IntN(3))
	if s.IntN(3) == 0 {
		return s.rig.pull(node, "a.example", func(p *flow.Pull) { p.ID, p.Time, p.Count = id, when, uint32(1+s.IntN(3)) })
	}
	a := s.addr()
	c := s.rig.connection([]string{"a.example", "b.example", "www.example.com"}[s.IntN(3)], a.String())
	if s.IntN(3) == 0 {
		s.rig.byHost(node)(&c)
	}
	c.ID, c.First, c.Last, c.Source.Port = id, when, when, uint16(s.made)
	c.Source.Endpoint = s.rig.names.Endpoint(flow.Endpoint{
		Namespace: s.rig.names.Name("ns"), Pod: s.rig.names.Name(fmt.Sprint("pod-", s.IntN(40))), Node: s.rig.names.Name(node),
	})
	return c
}

// add takes a row as the model understands it.
func (m *model) add(row any) {
	put := func(at time.Time, id flow.UUID, names []string, a func(v4, v6 int) string, u use) {
		for _, l := range modelLimits {
			if slices.Contains(names, l.name) {
				one := u
				one.time, one.service, one.bucket = at, l.name, a(l.v4, l.v6)
				m.uses[l.name+" "+id.String()] = one
			}
		}
	}
	switch row := row.(type) {
	case flow.Connection:
		if row.Last.After(m.newest) {
			m.newest = row.Last
		}
		names := map[string][]string{"a.example": {"a.example", "a.example /48"}, "b.example": {"b.example"}}[row.Destination.Name.String()]
		put(row.First, row.ID, names, func(v4, v6 int) string { return mask(row.EgressIP, v4, v6) },
			use{node: row.Source.Endpoint.Get().Node.String(), host: row.Source.Side == flow.SideHost, uses: 1})
	case flow.Pull:
		if row.Time.After(m.newest) {
			m.newest = row.Time
		}
		put(row.Time, row.ID, []string{"a.example", "a.example /48"}, func(v4, v6 int) string {
			return mask(nodeAddress(row.Node.String()), v4, v6)
		}, use{node: row.Node.String(), host: true, pull: true, uses: int(row.Count)})
	}
}

// nodeAddress is that of a node of the model: node-0 has IPv4 alone, node-2 none that is known.
func nodeAddress(node string) netip.Addr {
	return map[string]netip.Addr{"node-0": ip("192.0.2.1"), "node-1": ip("2001:db8:1:1::1")}[node]
}

func modelRig(t *testing.T, names *flow.Interner) *rig {
	r := newRig(t, modelCatalogue)
	if names != nil {
		r.names = names
	}
	r.SetFacts(&bucket.Facts{Nodes: map[flow.Name]bucket.Node{
		r.names.Name("node-0"): {IPv4: nodeAddress("node-0")}, r.names.Name("node-1"): {IPv6: nodeAddress("node-1")},
	}})
	return r
}

// TestModel: at random times, what is used is exactly what a slow count of everything says.
func TestModel(t *testing.T) {
	for seed := range uint64(12) {
		r := modelRig(t, nil)
		s := &stream{Rand: rand.New(rand.NewPCG(seed, 1)), rig: r}
		m := model{uses: map[string]use{}}
		now, latest := noon, map[string]uint32{}
		for step := range 150 {
			b := &flow.Batch{}
			for range s.IntN(30) {
				row := s.row(now)
				m.add(row)
				switch row := row.(type) {
				case flow.Connection:
					b.Connections = append(b.Connections, row)
				case flow.Pull:
					b.Pulls = append(b.Pulls, row)
				}
			}
			if len(b.Connections)+len(b.Pulls) == 0 && m.newest.IsZero() {
				continue
			}
			r.Flush(b, s.IntN(10) == 0)
			for _, told := range b.Buckets {
				latest[told.Service.String()+" "+told.Bucket.String()] = told.Used
			}
			maps.DeleteFunc(latest, func(_ string, n uint32) bool { return n == 0 })
			if diff := cmp.Diff(m.used(), latest); diff != "" {
				t.Fatalf("seed %d, step %d (-want +got):\n%s", seed, step, diff)
			}
			now = now.Add(time.Duration(s.Int64N(int64(4 * time.Minute))))
		}
	}
}

// TestTwoCollectors: the charges of two collectors, of which some are of the same uses, are those of one that sees all, and
// what they add up to is what the slow count says.
func TestTwoCollectors(t *testing.T) {
	for seed := range uint64(8) {
		all := modelRig(t, nil)
		halves := []*rig{newRig(t, modelCatalogue), newRig(t, modelCatalogue)}
		s := &stream{Rand: rand.New(rand.NewPCG(seed, 2)), rig: all}
		m := model{uses: map[string]use{}}
		for _, half := range halves {
			half.SetFacts(&bucket.Facts{Nodes: map[flow.Name]bucket.Node{
				half.names.Name("node-0"): {IPv4: nodeAddress("node-0")}, half.names.Name("node-1"): {IPv6: nodeAddress("node-1")},
			}})
		}
		merged, whole := map[string]string{}, map[string]string{}
		collect := func(into map[string]string, b *flow.Batch) {
			for _, c := range b.Charges {
				into[c.Service.String()+" "+c.ID.String()] = fmt.Sprintf("%s %s %s %d %s %s %s", c.Time.Format(time.RFC3339Nano), c.Bucket, c.Evidence, c.Uses, c.Node, c.Side, c.Measure)
			}
		}
		now := noon
		for range 60 {
			b, parts := &flow.Batch{}, [2]*flow.Batch{{}, {}}
			for range s.IntN(30) {
				row := s.row(now)
				m.add(row)
				which := s.IntN(3) // one, the other, or both
				for i, part := range parts {
					if which != 2 && which != i {
						continue
					}
					switch row := row.(type) {
					case flow.Connection:
						part.Connections = append(part.Connections, row)
					case flow.Pull:
						part.Pulls = append(part.Pulls, row)
					}
				}
				switch row := row.(type) {
				case flow.Connection:
					b.Connections = append(b.Connections, row)
				case flow.Pull:
					b.Pulls = append(b.Pulls, row)
				}
			}
			// What the halves get was interned by another: names must be their own to be compared.
			for i, part := range parts {
				for j := range part.Connections {
					c := &part.Connections[j]
					c.Destination.Name, c.Node, c.Cluster = halves[i].names.Name(c.Destination.Name.String()), halves[i].names.Name(c.Node.String()), halves[i].names.Name("lab")
					who := c.Source.Endpoint.Get()
					c.Source.Endpoint = halves[i].names.Endpoint(flow.Endpoint{Namespace: halves[i].names.Name("ns"), Pod: halves[i].names.Name(who.Pod.String()), Node: halves[i].names.Name(who.Node.String())})
				}
				for j := range part.Pulls {
					p := &part.Pulls[j]
					p.Registry, p.Node, p.Cluster = halves[i].names.Name(p.Registry.String()), halves[i].names.Name(p.Node.String()), halves[i].names.Name("lab")
				}
				halves[i].Flush(part, false)
				collect(merged, part)
			}
			all.Flush(b, false)
			collect(whole, b)
			now = now.Add(time.Duration(s.Int64N(int64(4 * time.Minute))))
		}
		if diff := cmp.Diff(whole, merged); diff != "" {
			t.Fatalf("seed %d (-one +two):\n%s", seed, diff)
		}
		if len(merged) != len(m.uses) {
			t.Fatalf("seed %d: %d charges, want %d", seed, len(merged), len(m.uses))
		}
	}
}
