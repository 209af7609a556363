package bucket_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/bucket"
	"sextant/collector/flow"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// rig is a stage that tells its buckets at every flush.
type rig struct {
	*bucket.Stage
	names    *flow.Interner
	registry *prometheus.Registry
	made     uint32
}

func newRig(t testing.TB, catalogue string, settings ...func(*bucket.Config)) *rig {
	t.Helper()
	cfg := bucket.Default()
	cfg.Every = 0
	for _, set := range settings {
		set(&cfg)
	}
	c, err := bucket.ParseCatalogue("test.yaml", []byte(catalogue))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{names: flow.NewInterner(), registry: prometheus.NewRegistry()}
	r.Stage = bucket.New(cfg, c, r.names, r.registry)
	return r
}

func (r *rig) id() flow.UUID {
	r.made++
	return flow.UUID{byte(r.made >> 24), byte(r.made >> 16), byte(r.made >> 8), byte(r.made)}
}

func ip(text string) netip.Addr {
	if text == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(text)
}

// connection is one of a pod of node-1 to a name, which leaves with an address that was observed; "" is none.
func (r *rig) connection(name, egress string, edits ...func(*flow.Connection)) flow.Connection {
	c := flow.Connection{
		ID: r.id(), First: noon, Last: noon.Add(time.Second), Node: r.names.Name("node-1"), Cluster: r.names.Name("lab"),
		Protocol: flow.TCP, Direction: flow.EgressDirection, Outcome: flow.Answered, Family: flow.FamilyIPv6,
		Class: flow.NAT66, EgressIP: ip(egress), EgressIPEvidence: flow.Observed,
	}
	c.Source = flow.End{IP: ip("fd00:1::1"), Port: uint16(rand.N(60000) + 1), Side: flow.SidePod, Endpoint: r.names.Endpoint(flow.Endpoint{
		Namespace: r.names.Name("shop"), Pod: r.names.Name("web-1"), Workload: r.names.Name("web"), Node: r.names.Name("node-1"),
	})}
	c.Destination = flow.End{IP: ip("2001:db8:ffff::20"), Port: 443, Side: flow.SideWorld, Name: r.names.Name(name)}
	if !c.EgressIP.IsValid() {
		c.Class, c.EgressIPEvidence = flow.ClassUnknown, flow.EvidenceNone
	}
	if c.EgressIP.Is4() {
		c.Family, c.Class = flow.FamilyIPv4, flow.NAT44
	}
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

// byHost makes it one that a node itself made.
func (r *rig) byHost(node string) func(*flow.Connection) {
	return func(c *flow.Connection) {
		c.Node = r.names.Name(node)
		c.Source.Side, c.Source.IP, c.Class, c.EgressIPEvidence = flow.SideHost, c.EgressIP, flow.Native6, flow.Inferred
		c.Source.Endpoint = r.names.Endpoint(flow.Endpoint{Node: c.Node})
	}
}

func at(after time.Duration) func(*flow.Connection) {
	return func(c *flow.Connection) { c.First, c.Last = noon.Add(after), noon.Add(after) }
}

func (r *rig) pull(node, registry string, edits ...func(*flow.Pull)) flow.Pull {
	p := flow.Pull{
		Time: noon, ID: r.id(), Cluster: r.names.Name("lab"), Node: r.names.Name(node), Registry: r.names.Name(registry),
		Repository: r.names.Name("library/nginx"), Tag: r.names.Name("1.27"), Result: flow.Pulled, Count: 1,
		Namespace: r.names.Name("shop"), Workload: r.names.Name("web"), Pod: r.names.Name("web-1"),
	}
	for _, edit := range edits {
		edit(&p)
	}
	return p
}

// flush hands a batch on, and returns it as it comes out.
func (r *rig) flush(rows ...any) *flow.Batch {
	b := &flow.Batch{}
	for _, row := range rows {
		switch row := row.(type) {
		case flow.Connection:
			b.Connections = append(b.Connections, row)
		case flow.Pull:
			b.Pulls = append(b.Pulls, row)
		default:
			panic(fmt.Sprintf("no row: %T", row))
		}
	}
	r.Flush(b, true)
	return b
}

// short is a bucket in a line: how full it is, how its prefix is known, and what could not be seen.
func short(b *flow.Bucket) string {
	limit := "?"
	if b.Limit.Known {
		limit = fmt.Sprint(b.Limit.N)
	}
	used := "?"
	if b.Seen() {
		used = fmt.Sprint(b.Used)
	}
	return fmt.Sprintf("%s %s %s %s/%s %s unseen=%s", b.Service, b.Family, or(b.Bucket.String(), "-"), used, limit, b.Evidence, b.Unseen)
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// of returns the buckets of a service in lines.
func of(b *flow.Batch, service string) []string {
	var lines []string
	for i := range b.Buckets {
		if b.Buckets[i].Service.String() == service {
			lines = append(lines, short(&b.Buckets[i]))
		}
	}
	return lines
}

func (r *rig) twoNodes(shows flow.Tristate) *bucket.Facts {
	return &bucket.Facts{Cluster: r.names.Name("lab"), Nodes: map[flow.Name]bucket.Node{
		r.names.Name("node-1"): {IPv4: ip("192.0.2.1"), IPv6: ip("2001:db8:a::1"), Shows: shows},
		r.names.Name("node-2"): {IPv4: ip("192.0.2.2"), IPv6: ip("2001:db8:a::2"), Shows: shows},
	}}
}

const hub = "registry-1.docker.io"
