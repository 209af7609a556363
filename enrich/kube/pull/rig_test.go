package pull_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	"sextant/collector/flow"
	"sextant/enrich/kube"
	"sextant/enrich/kube/pull"
)

var (
	_ collector.Stage   = (*pull.Tracker)(nil)
	_ collector.Flusher = (*pull.Tracker)(nil)
)

// rig is a tracker and what it told.
type rig struct {
	*pull.Tracker
	reg   *prometheus.Registry
	pulls []flow.Pull
}

func newRig(change ...func(*pull.Config)) *rig {
	return rigWith(func() *kube.Index { return nil }, flow.NewInterner(), change...)
}

func rigWith(index func() *kube.Index, names *flow.Interner, change ...func(*pull.Config)) *rig {
	cfg := pull.Default()
	for _, each := range change {
		each(&cfg)
	}
	r := &rig{reg: prometheus.NewRegistry()}
	r.Tracker = pull.New(cfg, index, names, r.reg)
	return r
}

func (r *rig) flush(end bool) []flow.Pull {
	var b flow.Batch
	r.Flush(&b, end)
	r.pulls = append(r.pulls, b.Pulls...)
	return b.Pulls
}

// metric returns the sum of a metric's series whose labels hold a value, or of all.
func (r *rig) metric(t *testing.T, name, label string) float64 {
	t.Helper()
	all, err := r.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, family := range all {
		for _, m := range family.GetMetric() {
			if family.GetName() != name || label != "" && m.GetLabel()[0].GetValue() != label {
				continue
			}
			found = true
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if !found {
		t.Fatalf("no metric %s %s", name, label)
	}
	return sum
}

// noon is when things happen, in tests without a clock.
var noon = time.Date(2026, 11, 3, 12, 0, 0, 0, time.UTC)

// event returns an event of a pod named web-0 that happened once, at noon.
func event(reason, message string, change ...func(*kube.Event)) *kube.Event {
	e := &kube.Event{Reason: reason, Message: message, Count: 1, FirstTimestamp: noon, LastTimestamp: noon}
	e.Metadata.Name, e.Metadata.Namespace, e.Metadata.UID = "web-0.18b2", "shop", "e-1"
	e.InvolvedObject.Kind, e.InvolvedObject.Namespace, e.InvolvedObject.Name = "Pod", "shop", "web-0"
	e.InvolvedObject.UID, e.InvolvedObject.FieldPath = "p-1", "spec.containers{web}"
	e.Source.Component, e.Source.Host = "kubelet", "node-1"
	for _, each := range change {
		each(e)
	}
	return e
}

func named(name string) func(*kube.Event) { return func(e *kube.Event) { e.Metadata.Name = name } }

// counted makes an event one that happened n times, the last one a time after noon.
func counted(n uint32, after time.Duration) func(*kube.Event) {
	return func(e *kube.Event) { e.Count, e.LastTimestamp = n, noon.Add(after) }
}

// once makes an event one that happened once, a time after noon.
func once(name string, after time.Duration) func(*kube.Event) {
	return func(e *kube.Event) {
		e.Metadata.Name, e.FirstTimestamp, e.LastTimestamp = name, noon.Add(after), noon.Add(after)
	}
}

// text prints what an event said of a pull.
func text(p flow.Pull) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", p.Result, or(p.Registry.Get()), or(p.Repository.Get()))
	if tag := p.Tag.Get(); tag != "" {
		fmt.Fprintf(&b, ":%s", tag)
	}
	if digest := p.Digest.Get(); digest != "" {
		fmt.Fprintf(&b, "@%s", digest[:10])
	}
	for _, c := range []struct {
		n    flow.Count
		unit string
	}{{p.DurationMs, "ms"}, {p.WaitMs, "ms waiting"}, {p.Bytes, "B"}} {
		if c.n.Known {
			fmt.Fprintf(&b, " %d%s", c.n.N, c.unit)
		}
	}
	return b.String()
}

func or(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
