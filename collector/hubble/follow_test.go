package hubble_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"sextant/collector/hubble"
)

// Every kind of address and of security brings the same flows.
func TestFollow(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	hour := time.Now().Add(time.Hour)
	f := write(t, t.TempDir(), ca, ca)
	port := func(addr string) string { return addr[strings.LastIndex(addr, ":"):] }
	for _, tt := range []struct {
		name   string
		serve  func(*fake)
		target func(*fake) string
		edit   func(*hubble.Config)
	}{
		{"ipv6", func(s *fake) { s.serve("[::1]:0", nil) }, func(s *fake) string { return s.addr }, nil},
		{"ipv4", func(s *fake) { s.serve("127.0.0.1:0", nil) }, func(s *fake) string { return s.addr }, nil},
		{"name", func(s *fake) { s.serve("127.0.0.1:0", nil) }, func(s *fake) string { return "localhost" + port(s.addr) }, nil},
		{"unix", func(s *fake) { s.serve(socket(t), nil) }, func(s *fake) string { return "unix://" + s.addr }, nil},
		{
			"tls scheme", func(s *fake) { s.serve("[::1]:0", ca.server(hour, nil, "::1")) }, func(s *fake) string { return "tls://" + s.addr },
			func(c *hubble.Config) { c.TLSCACertFiles = []string{f.ca} },
		},
		{
			"mtls and server name", func(s *fake) { s.serve("[::1]:0", ca.server(hour, ca, "ui.hubble-relay.cilium.io")) }, func(s *fake) string { return s.addr },
			func(c *hubble.Config) { f.mutual(c); c.TLS = true; c.TLSServerName = "ui.hubble-relay.cilium.io" },
		},
		{
			"tls not verified", func(s *fake) { s.serve("[::1]:0", ca.server(hour, nil, "elsewhere")) }, func(s *fake) string { return s.addr },
			func(c *hubble.Config) { c.TLS, c.TLSAllowInsecure = true, true },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newFake(t, "lab/node-1")
			tt.serve(server)
			server.send(server.flows(0, 3)...)
			r := start(t, tt.target(server), tt.edit)
			r.waitFlows(ids(2, 3)) // the newest one, and then what comes
			r.waitReady()
			server.send(server.flows(3, 500)...)
			r.waitFlows(ids(2, 500))
			first := r.flows[0]
			if got := first.Cluster.String() + "/" + first.Node.String(); got != "lab/node-1" {
				t.Errorf("node is %s", got)
			}
			r.noGaps()
			if err := r.end(); err != nil {
				t.Errorf("Run: %v", err)
			}
			if got := r.metric("sextant_hubble_flows_total"); got != 498 {
				t.Errorf("flows_total is %v", got)
			}
			if err := r.client.Ready(); err == nil {
				t.Error("ready though it has ended")
			}
		})
	}
}

// What is asked for: positions, filters, masks.
func TestRequest(t *testing.T) {
	t.Parallel()
	own := []*flowpb.FlowFilter{
		{Protocol: []string{"tcp"}, SourcePort: []string{"4244", "4245"}},
		{Protocol: []string{"tcp"}, DestinationPort: []string{"4244", "4245"}},
	}
	for _, tt := range []struct {
		name string
		unix bool
		edit func(*hubble.Config)
		want *observerpb.GetFlowsRequest
	}{
		{"now", false, nil, &observerpb.GetFlowsRequest{Follow: true, Number: 1, Blacklist: own}},
		{"unix", true, nil, &observerpb.GetFlowsRequest{Follow: true, Number: 1}},
		{"own traffic too", false, func(c *hubble.Config) { c.HubbleTraffic = "include" }, &observerpb.GetFlowsRequest{Follow: true, Number: 1}},
		{"last", false, func(c *hubble.Config) { c.Last = 7 }, &observerpb.GetFlowsRequest{Follow: true, Number: 7, Blacklist: own}},
		{
			"since", true, func(c *hubble.Config) { c.Since = "2026-11-24T05:00:00Z" },
			&observerpb.GetFlowsRequest{Follow: true, Since: timestamppb.New(time.Date(2026, 11, 24, 5, 0, 0, 0, time.UTC))},
		},
		{"filters", true, func(c *hubble.Config) {
			c.Allowlist = []string{`{"source_pod":["shop/"],"verdict":["DROPPED"]}`}
			c.Denylist = []string{`{"ip_version":["IPv4"]}`, `{"destination_fqdn":["*.example.com"]}`}
		}, &observerpb.GetFlowsRequest{
			Follow: true, Number: 1,
			Whitelist: []*flowpb.FlowFilter{{SourcePod: []string{"shop/"}, Verdict: []flowpb.Verdict{flowpb.Verdict_DROPPED}}},
			Blacklist: []*flowpb.FlowFilter{{IpVersion: []flowpb.IPVersion{flowpb.IPVersion_IPv4}}, {DestinationFqdn: []string{"*.example.com"}}},
		}},
		{
			"mask", true, func(c *hubble.Config) { c.FieldMask = []string{"source.namespace", "source", "l4.TCP", "IP"} },
			&observerpb.GetFlowsRequest{Follow: true, Number: 1, FieldMask: &fieldmaskpb.FieldMask{Paths: []string{"IP", "l4", "node_name", "source", "time", "uuid"}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, target := newFake(t, "lab/node-1"), ""
			if tt.unix {
				target = "unix://" + server.serve(socket(t), nil).addr
			} else {
				target = server.serve("[::1]:0", nil).addr
			}
			server.send(server.flow(0))
			start(t, target, tt.edit)
			if diff := cmp.Diff(tt.want, server.request(0), protocmp.Transform()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// On a socket Hubble's own traffic is left out on our side.
func TestOwnTraffic(t *testing.T) {
	t.Parallel()
	own := func(f *fake, i int, source, destination uint32) *observerpb.GetFlowsResponse {
		m := f.flow(i)
		m.GetFlow().L4 = &flowpb.Layer4{Protocol: &flowpb.Layer4_TCP{TCP: &flowpb.TCP{SourcePort: source, DestinationPort: destination}}}
		return m
	}
	for _, tt := range []struct {
		name string
		edit func(*hubble.Config)
		want []string
	}{
		{"exclude", nil, ids(2, 3)},
		{"include", func(c *hubble.Config) { c.HubbleTraffic = "include" }, ids(0, 3)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := newFake(t, "lab/node-1").serve(socket(t), nil)
			server.send(own(server, 0, 40000, 4244), own(server, 1, 4245, 40000), server.flow(2))
			r := start(t, "unix://"+server.addr, func(c *hubble.Config) {
				c.Last = 3
				if tt.edit != nil {
					tt.edit(c)
				}
			})
			r.waitFlows(tt.want)
			if got := r.metric("sextant_hubble_own_flows_total"); got != float64(3-len(tt.want)) {
				t.Errorf("own_flows_total is %v", got)
			}
		})
	}
}

// An error of the pipeline ends the client, and is returned.
func TestEmitFails(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.send(server.flow(0))
	r := start(t, server.addr, nil)
	r.waitFlows(ids(0, 1))
	full := errors.New("no more")
	r.mu.Lock()
	r.stop = full
	r.mu.Unlock()
	next := 1
	wait(t, "the error to be met", func() bool { server.send(server.flow(next)); next++; return len(r.done) == 1 })
	if err := r.end(); !errors.Is(err, full) {
		t.Errorf("Run returned %v", err)
	}
}

// A message that is none is counted, and the ones after it come.
func TestUndecodable(t *testing.T) {
	t.Parallel()
	server := newFake(t, "lab/node-1").serve("[::1]:0", nil)
	server.send(server.flow(0))
	r := start(t, server.addr, nil)
	r.waitFlows(ids(0, 1))
	bad := server.flow(1)
	bad.ProtoReflect().SetUnknown([]byte{0x0a, 0x02, 0xff, 0xff}) // field 1, the flow, cannot be this
	server.send(bad, server.flow(2))
	r.waitFlows([]string{id(0), id(2)})
	if got := r.metric("sextant_hubble_messages_total", "kind", "undecodable"); got != 1 {
		t.Errorf("undecodable messages: %v", got)
	}
}
