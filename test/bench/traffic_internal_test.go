package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
)

var (
	dawn  = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)
	small = size{nodes: 10, namespaces: 5, apps: 30, pods: 200, hosts: 200, visitors: 100}
)

// observed is what an hour or so of traffic became.
type observed struct {
	made  int // connections that were begun and show
	flows []flow.Record
	flow.Batch
}

// observe runs n flows, and those that end what they began, through the stages.
func observe(t *testing.T, seed uint64, s size, n int) *observed {
	t.Helper()
	names := flow.NewInterner()
	tr := newTraffic(names, seed, dawn, s, 100)
	st, err := newStages(names, tr.cluster)
	if err != nil {
		t.Fatal(err)
	}
	o := new(observed)
	for i := range 11 {
		b := new(flow.Batch)
		if i < 10 {
			tr.fill(b, n/10)
		} else {
			tr.end(b)
		}
		st.process(b, i == 10)
		o.flows = append(o.flows, b.Records...)
		o.Connections = append(o.Connections, b.Connections...)
		o.Gaps, o.Pulls, o.Items, o.Beats = append(o.Gaps, b.Gaps...), append(o.Pulls, b.Pulls...), append(o.Items, b.Items...), append(o.Beats, b.Beats...)
	}
	o.made = tr.connections
	return o
}

// Every connection that was begun counts once and is told once, from its begin on.
func TestConnections(t *testing.T) {
	o := observe(t, 1, medium, 30_000)
	var counted, late int
	for i := range o.flows {
		if o.flows[i].Counted {
			counted++
		}
	}
	for i := range o.Connections {
		if o.Connections[i].Late {
			late++
		}
	}
	if counted != o.made || len(o.Connections) != o.made || late != 0 {
		t.Errorf("%d connections were made: %d flows count, %d are told, of which %d late", o.made, counted, len(o.Connections), late)
	}
}

// The same seed gives the same, and another seed something else.
func TestSeed(t *testing.T) {
	first, again, other := observe(t, 1, small, 5_000), observe(t, 1, small, 5_000), observe(t, 2, small, 5_000)
	texts := func(o *observed) (lines []string) {
		for i := range o.flows {
			lines = append(lines, string(flow.AppendJSON(nil, "flow", flow.Fields, &o.flows[i])))
		}
		return lines
	}
	if diff := cmp.Diff(texts(first), texts(again)); diff != "" {
		t.Errorf("the same seed gives other flows:\n%.2000s", diff)
	}
	if cmp.Equal(texts(first), texts(other)) {
		t.Error("another seed gives the same flows")
	}
}

func TestOrder(t *testing.T) {
	o := observe(t, 1, small, 5_000)
	for i := range o.flows[1:] {
		if o.flows[i+1].Time.Before(o.flows[i].Time) {
			t.Fatalf("flow %d is of %s, the one after it of %s", i, o.flows[i].Time, o.flows[i+1].Time)
		}
	}
}

// What views and the cookbook look for is there.
func TestVariety(t *testing.T) {
	o := observe(t, 1, medium, 300_000)
	have := map[string]bool{}
	for i := range o.flows {
		r := &o.flows[i]
		have["event "+r.EventType.String()] = true
		have["noise "+r.Noise.String()] = true
		have["direction "+r.Direction.String()] = true
		if r.DNS.RCode != 0 {
			have["name that does not exist"] = true
		}
	}
	for i := range o.Connections {
		c := &o.Connections[i]
		have["class "+c.Class.String()+" "+c.ClassEvidence.String()] = true
		have["outcome "+c.Outcome.String()] = true
		have["avoidable"] = have["avoidable"] || c.AvoidableIPv4
		have["fallback"] = have["fallback"] || c.FallbackOf != flow.UUID{}
		have["fallen back"] = have["fallen back"] || c.FallenBack
		have["name "+c.Destination.NameSource.String()] = true
		have["service "+c.Destination.ServiceEvidence.String()] = true
		have["from "+c.Source.Side.String()] = true
		have["to "+c.Destination.Side.String()] = true
		have["egress address"] = have["egress address"] || c.EgressIP.IsValid()
	}
	for i := range o.Pulls {
		have["pull "+o.Pulls[i].Result.String()] = true
	}
	for _, want := range []string{
		"event trace", "event policy_verdict", "event drop", "event l7", "noise ndp", "noise arp", "name that does not exist",
		"direction egress", "direction ingress", "direction internal",
		"class native6 inferred", "class native4 inferred", "class nat66 inferred", "class nat66 observed", "class nat44 inferred", "class nat44 observed",
		"class nat64 confirmed", "class nat64 inferred",
		"outcome answered", "outcome refused", "outcome unanswered", "outcome denied", "outcome unknown", "avoidable", "fallback", "fallen back",
		"name hubble", "name dns", "service observed", "service inferred", "from world", "from host", "to kube_apiserver", "egress address",
		"pull pulled", "pull present", "pull rate_limited",
	} {
		if !have[want] {
			t.Errorf("there is nothing of: %s", want)
		}
	}
	if len(o.Gaps) == 0 || len(o.Beats) == 0 || len(o.Items) == 0 {
		t.Errorf("%d gaps, %d heartbeats, %d inventory rows", len(o.Gaps), len(o.Beats), len(o.Items))
	}
}
