package preflight_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"sextant/cmd/sextant/preflight"
	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
	"sextant/enrich/kube/inventory"
)

var update = flag.Bool("update", false, "write the golden files")

const (
	demo       = "../../../deploy/demo/state"
	recordings = "../../../test/recordings/state"
)

// load reads a dump, and the values of its cilium-config as they stand there.
func load(t *testing.T, paths ...string) (*preflight.Cluster, *kube.Store) {
	t.Helper()
	store := kube.NewStore(kube.Config{}, flow.NewInterner(), slog.New(slog.DiscardHandler))
	if _, err := store.Load(paths...); err != nil {
		t.Fatal(err)
	}
	cluster, err := store.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	c := &preflight.Cluster{Cluster: *cluster, Source: "a test", Doubts: store.Doubts(), Values: map[string]preflight.Values{}}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		var object struct {
			Kind string
			Data preflight.Values
		}
		if err != nil || yaml.Unmarshal(raw, &object) != nil || object.Kind != "ConfigMap" {
			continue
		}
		for _, n := range c.Nodes {
			c.Values[n.Name] = object.Data
		}
	}
	return c, store
}

// brief writes a line without its remedy and, where it is about some nodes, with these.
func brief(l preflight.Line) string {
	text := fmt.Sprintf("%s | %s | %s", l.Subject, l.Verdict, l.Text)
	if len(l.Nodes) > 0 {
		text += " | " + strings.Join(l.Nodes, " ")
	}
	return text
}

func briefs(lines []preflight.Line, topics ...string) []string {
	var list []string
	for _, l := range lines {
		if len(topics) == 0 || slices.Contains(topics, l.Topic) {
			list = append(list, brief(l))
		}
	}
	return list
}

// lines compares lines, each written as brief does.
func lines(t *testing.T, what string, got []preflight.Line, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, briefs(got)); diff != "" {
		t.Errorf("%s: -want +got\n%s", what, diff)
	}
	for _, l := range got {
		wellSaid(t, l)
	}
}

// wellSaid: what is more than a note says what follows, and what is not right what to do.
func wellSaid(t *testing.T, l preflight.Line) {
	t.Helper()
	switch {
	case l.Topic == "" || l.Subject == "" || l.Text == "":
		t.Errorf("empty: %+v", l)
	case l.Verdict >= preflight.Warn && l.Subject != "doubt" && l.Means == "" && l.Topic != preflight.TopicPrefixes:
		t.Errorf("%s does not say what follows: %+v", l.Subject, l)
	case l.Means != "" && !strings.HasSuffix(l.Means, "."):
		t.Errorf("%s: what follows is no sentence: %q", l.Subject, l.Means)
	case strings.HasSuffix(l.Text, ".") || strings.HasSuffix(l.Remedy, "."):
		t.Errorf("%s: text and remedy are no sentences: %+v", l.Subject, l)
	}
}

// What the recordings prove of each of their settings (test/recordings/README.md): where source_xlated was set, where a
// translation was seen outside and not in a flow, and which of the node's own connections showed.
func TestRecorded(t *testing.T) {
	const (
		observed = "ok | masqueraded by BPF, and every packet is told"
		missed   = "note | masqueraded by BPF, and aggregation medium keeps that from the flows"
		paired   = "ok | masqueraded by iptables, and packets show before and after it"
		hidden   = "note | masqueraded by iptables, which no flow shows"

		none   = "note | none: a flow for every packet at every point that it passes"
		low    = "note | low: a flow for every packet at every point that it leaves by"
		medium = "ok | medium: a flow when a connection begins, every 5s while it lasts, and at each new TCP flag (all)"
		few    = "ok | medium: a flow when a connection begins, every 5s while it lasts, and at each new TCP flag (syn,fin,rst)"

		socket = "ok | Cilium's own, at the socket (kube-proxy replacement)"
		packet = "ok | Cilium's own, for each packet of a pod (kube-proxy replacement, bpf-lb-sock-hostns-only)"
		proxy  = "note | kube-proxy's"

		shows  = "ok | show"
		late   = "ok | show, with the host firewall not always from their beginning"
		hides  = "warn | do not show: nothing watches what leaves the device"
		opaque = "note | off (dnsproxy-enable-transparent-mode)"
	)
	for _, row := range []struct {
		config                                  string
		masquerade, aggregation, services, node string
		more                                    []string
	}{
		{"A", observed, none, socket, shows, []string{"transparent mode | " + opaque}},
		{"B", paired, none, packet, shows, []string{"transparent mode | " + opaque}},
		{"C", missed, medium, socket, shows, []string{"transparent mode | " + opaque}},
		{"F", missed, few, socket, shows, []string{"transparent mode | " + opaque}},
		{"G", observed, low, socket, shows, []string{"transparent mode | " + opaque}},
		{"61", hidden, medium, proxy, hides, nil},
		{"62", missed, medium, socket, shows, nil},
		{"65", missed, medium, socket, late, nil},
		{"67", paired, medium, proxy, late, nil},
		{"71", observed, none, socket, shows, []string{"buffers | warn | the agent queues 4 events (hubble-event-queue-size)"}},
		{"72", observed, none, socket, shows, []string{"buffers | warn | the ring holds 15 flows (hubble-event-buffer-capacity)"}},
	} {
		c, _ := load(t, recordings+"/objects.yaml", recordings+"/cilium-config-"+row.config+".yaml")
		got := append(preflight.Settings(c), preflight.Names(c, nil)...)
		got = append(got, preflight.NAT64(preflight.Pref64{}, c)...)
		want := []string{
			"events | ok | trace, drop and policy verdict events are on",
			"aggregation | " + row.aggregation,
			"IPv6 | " + row.masquerade, "IPv4 | " + row.masquerade,
			"load-balancing | " + row.services,
			"own connections | " + row.node,
			"names | unknown | not known: no flow was looked at",
			"discovery | unknown | no resolver was asked (RFC 7050)",
			"gateway | ok | Cilium's own is off: who translates is beyond the nodes, and no flow shows it",
		}
		want = append(want, row.more...)
		was := briefs(got)
		slices.Sort(want)
		slices.Sort(was)
		if diff := cmp.Diff(want, was); diff != "" {
			t.Errorf("%s: -want +got\n%s", row.config, diff)
		}
		for _, l := range got {
			wellSaid(t, l)
		}
	}
}

// Without a node object the cluster's one configuration speaks for all; without a configuration nothing does.
func TestPartsOfAState(t *testing.T) {
	c, _ := load(t, recordings+"/cilium-config-61.yaml")
	lines(t, "no objects", append(preflight.Known(c, nil), preflight.Settings(c)[1]),
		"state | warn | cluster lab: 0 nodes, 0 pods, 0 services, told by a test",
		"aggregation | ok | medium: a flow when a connection begins")
	c, _ = load(t, recordings+"/objects.yaml")
	lines(t, "no configuration", append(preflight.Known(c, nil), preflight.Settings(c)...),
		"state | ok | 2 nodes, 4 pods, 2 services, told by a test",
		"doubt | warn | there is no ConfigMap cilium-config, so that every setting is unknown",
		"settings | unknown | none is known")
	lines(t, "nothing", append(preflight.Known(nil, nil), preflight.Settings(nil)...), "state | unknown | nothing was told of the cluster's settings and objects")
	lines(t, "an error", preflight.Known(nil, os.ErrNotExist), "state | fail | file does not exist")
	c = &preflight.Cluster{Cluster: verdict.Cluster{Nodes: make([]verdict.Node, 1)}}
	lines(t, "no pods", preflight.Known(c, nil), "state | warn | 1 node, 0 pods, 0 services")
}

// TestDemo reads as a user reads it: two nodes that differ.
func TestDemo(t *testing.T) {
	c, store := load(t, demo, demo+"/cilium-config.yaml")
	c.Source = "deploy/demo/state"
	view, names := store.View(), flow.NewInterner()
	all := slices.Concat(
		preflight.Hubble(nil, fmt.Errorf("localhost:4245: nothing listens there; start Hubble Relay"), false, c), preflight.Known(c, nil), preflight.Settings(c),
		preflight.Names(c, nil), preflight.NAT64(preflight.Pref64{}, c), preflight.Prefixes(inventory.Of(names, view), view.IPAM),
		preflight.ClickHouse(nil, fmt.Errorf("none runs on this machine"), false),
	)
	for _, l := range all {
		wellSaid(t, l)
	}
	report := preflight.New(all)
	var text bytes.Buffer
	report.WriteText(&text, preflight.Style{})
	golden(t, "demo.txt", text.Bytes())
	text.Reset()
	report.WriteText(&text, preflight.Style{Width: 100})
	golden(t, "demo-100.txt", text.Bytes())
	for line := range strings.Lines(text.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: -want +got\n%s", name, diff)
	}
}

func TestJSON(t *testing.T) {
	var text bytes.Buffer
	if err := preflight.New(nil).WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(strings.Fields(text.String()), ""); got != `{"summary":{"verdict":"unknown","ok":0,"note":0,"warn":0,"fail":0,"unknown":0},"lines":[]}` {
		t.Error(got)
	}
	text.Reset()
	report := preflight.New([]preflight.Line{
		{Topic: "hubble", Subject: "server", Verdict: preflight.OK, Text: "a < b"},
		{Topic: "hubble", Subject: "ring", Verdict: preflight.Warn, Text: "small", Means: "It overruns.", Remedy: "a larger one", Nodes: []string{"a"}},
		{Topic: "hubble", Subject: "nodes", Text: "unknown"},
		{Topic: "x", Subject: "y", Verdict: preflight.Note, Text: "z"},
		{Topic: "x", Subject: "y", Verdict: preflight.Fail, Text: "z"},
	})
	if err := report.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var again preflight.Report
	if err := json.Unmarshal(text.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(report, again); diff != "" {
		t.Error(diff)
	}
	if err := json.Unmarshal([]byte(`{"lines":[{"verdict":"fine"}]}`), &again); err == nil {
		t.Error("a verdict that is none is read")
	}
	var got struct {
		Summary map[string]any
		Lines   []map[string]any
	}
	if err := json.Unmarshal(text.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"topic": "hubble", "subject": "ring", "verdict": "warn", "text": "small", "means": "It overruns.", "remedy": "a larger one", "nodes": []any{"a"}}
	if diff := cmp.Diff(want, got.Lines[1]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"verdict": "fail", "ok": 1.0, "note": 1.0, "warn": 1.0, "fail": 1.0, "unknown": 1.0}, got.Summary); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(text.String(), "a < b") {
		t.Errorf("not plain: %s", text.String())
	}
}

// Names may hold anything, a command to the terminal among it.
func TestText(t *testing.T) {
	report := preflight.New([]preflight.Line{{
		Topic: "hubble", Subject: "server", Verdict: preflight.Warn, Text: "one\x1b[2Jtwo\u202e", Nodes: []string{"a", "b", "c", "d", "e"},
		Remedy: "a-word-that-is-longer-than-any-line-can-be-because-it-is-a-command and one more",
	}})
	var text bytes.Buffer
	report.WriteText(&text, preflight.Style{Color: true, Width: 20})
	want := "hubble\n  \x1b[33mwarn   \x1b[0m server  a, b, c and 2 more: one?[2Jtwo?\n                  do:\n" +
		"                    a-word-that-is-longer-than-any-line-can-be-because-it-is-a-command\n                    and one more\n\n0 ok, 0 note, 1 warn, 0 fail, 0 unknown\n"
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
}
