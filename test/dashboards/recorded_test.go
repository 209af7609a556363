package dashboardstest_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	buckets "sextant/collector/bucket"
	"sextant/collector/flow"
	"sextant/collector/hubble"
	"sextant/collector/track"
	"sextant/collector/verdict"
	"sextant/dashboards"
	"sextant/enrich/kube"
	"sextant/sinks/prometheus"
	dashboardstest "sextant/test/dashboards"
)

const (
	root      = "../../"
	lab       = root + "test/recordings/"
	demoState = root + "deploy/demo/state"
	labState  = lab + "state/objects.yaml " + lab + "state/cilium-config-"
)

// tape is a recording of the cluster that is called lab, and who is followed while it plays and in the quiet minutes after it.
type tape struct {
	files string // patterns
	state string
	nodes string        // those that are followed
	stops string        // one of them that cannot be followed any more …
	after time.Duration // … so long after the first flow
	loses time.Duration // of each minute of node-1, told by Hubble as events lost
}

var tapes = map[string]tape{
	"demo":                {files: root + "deploy/demo/node-*.jsonl.gz", state: demoState, nodes: "node-1 node-2"},
	"demo without node-2": {files: root + "deploy/demo/node-1.jsonl.gz", state: demoState, nodes: "node-1 node-2", stops: "node-2"},
	"demo with losses":    {files: root + "deploy/demo/node-*.jsonl.gz", state: demoState, nodes: "node-1 node-2", loses: 50 * time.Second},
	"01 pod to pod":       {files: lab + "01-*.jsonl", state: labState + "A.yaml", nodes: "node-1 node-2"},
	"06 NAT66":            {files: lab + "06-*.jsonl", state: labState + "A.yaml", nodes: "node-1"},
	"10 policy drops":     {files: lab + "10-*.jsonl", state: labState + "A.yaml", nodes: "node-1"},
	"34 one fallback":     {files: lab + "34-*.jsonl", state: labState + "F.yaml", nodes: "node-1"},
	"44 node-2 goes away": {files: lab + "44-*.relay.jsonl " + lab + "44-*.stderr.json", state: labState + "G.yaml", nodes: "node-1 node-2", stops: "node-2", after: 12 * time.Second},
	"72b a second lost":   {files: lab + "72b-*.jsonl", state: demoState, nodes: "node-1"},
}

// recordedAlerts say of each alert which recordings trip it and which do not. Of some no recording trips it: these have none
// under trips, and that they can be given is seen in TestAlerts only.
var recordedAlerts = []struct {
	alert string
	trips string // a tape
	label string // tells apart what the alerts are about …
	about string // … and this is all that it is about
	quiet []string
	held  []string // the value is beyond the threshold, and too little is known
}{
	{
		"SextantUnexpectedIPv4", "demo", "workload", "(none) catalog-sync erp-client image-build node-agent", // (none): a node itself
		[]string{"01 pod to pod", "06 NAT66"}, []string{"demo with losses", "demo without node-2"},
	},
	{"SextantIPv6Fallback", "demo", "workload", "checkout web", []string{"34 one fallback", "06 NAT66"}, []string{"demo with losses", "demo without node-2"}},
	{"SextantRateLimitNear", "demo", "bucket", "2001:db8:a::/64", []string{"06 NAT66"}, []string{"demo with losses", "demo without node-2"}},
	{
		"SextantRateLimitExhausting", "demo", "bucket", "172.31.250.1 172.31.250.2 2001:db8:a::/64", // a third of the former are used, in seven minutes
		[]string{"06 NAT66"}, []string{"demo with losses", "demo without node-2"},
	},
	{"SextantBlind", "44 node-2 goes away", "cluster", "lab", []string{"demo", "72b a second lost"}, nil},
	{"SextantNodeUnobserved", "44 node-2 goes away", "node", "node-2", []string{"demo", "72b a second lost"}, nil},
	{"SextantBlindSpot", "demo", "node", "node-2", []string{"06 NAT66", "10 policy drops"}, nil},
	// All that went through NAT64 was answered, and was less than the alert needs.
	{"SextantNAT64Failing", "", "", "", []string{"demo"}, nil},
	// Packets were dropped, by policies; none for want of a translation.
	{"SextantTranslationFailing", "", "", "", []string{"demo", "10 policy drops"}, nil},
}

// madeUp are the alerts for which there is no recording: TestAlerts, TestOwnAlerts and TestBlindness trip them with rows and
// metrics made by hand.
const madeUp = "SextantIPv4ShareRising SextantRateLimited SextantPrefixNearlyFull SextantServiceOneFamily " +
	"SextantInventoryStale SextantSinkLosing SextantSinkRetrying SextantSpoolOld SextantLagging SextantDown SextantSeriesOverflow"

// TestAlertsOnRecordings plays recordings of real clusters to the stages and the sink of the command, at their own pace, to a
// Prometheus with the shipped rules, and sees which alerts are given, which are not, and which are held back.
func TestAlertsOnRecordings(t *testing.T) {
	played := map[string]*deck{}
	for name, tape := range tapes {
		played[name] = playTape(t, name, tape)
	}
	c := dashboards.Default()
	var table strings.Builder
	for _, row := range recordedAlerts {
		a := find(c, row.alert)
		fmt.Fprintf(&table, "\n%s", row.alert)
		if row.trips != "" {
			d := played[row.trips]
			fmt.Fprintf(&table, "\n  given      %-20s %s", row.trips, d.given(t, row.alert, row.label))
			if got := d.given(t, row.alert, row.label); got != row.about {
				t.Errorf("%s: %s: given for %q, want %q", row.trips, row.alert, got, row.about)
			}
			if a.Guard != dashboards.Unguarded && d.blind(t) {
				t.Errorf("%s: SextantBlind is given although all is known", row.trips)
			}
		}
		for _, name := range row.quiet {
			d := played[name]
			fmt.Fprintf(&table, "\n  not given  %s", name)
			if got := d.given(t, row.alert, "cluster"); got != "" || d.flows == 0 {
				t.Errorf("%s: %s is given (%d flows)", name, row.alert, d.flows)
			}
			if d.blind(t) {
				t.Errorf("%s: that %s is not given means nothing: SextantBlind is", name, row.alert)
			}
		}
		for _, name := range row.held {
			d := played[name]
			fmt.Fprintf(&table, "\n  held back  %-20s SextantBlind", name)
			if beyond, err := d.At(fmt.Sprintf("(%s) %s %v", a.Value, a.Compare, a.Limit), d.now); err != nil || len(beyond) == 0 {
				t.Errorf("%s: nothing is to be held back of %s: %v", name, row.alert, err)
			}
			if got := d.given(t, row.alert, "cluster"); got != "" {
				t.Errorf("%s: %s is given although too little is known", name, row.alert)
			}
			if !d.blind(t) {
				t.Errorf("%s: too little is known, and SextantBlind does not say so", name)
			}
		}
	}
	t.Log(table.String())
}

// TestAlertsRecorded sees to it that of every alert it is known whether a recording trips it.
func TestAlertsRecorded(t *testing.T) {
	seen := map[string]int{}
	for _, row := range recordedAlerts {
		seen[row.alert]++
	}
	for name := range strings.FieldsSeq(madeUp) {
		seen[name]++
	}
	for _, a := range dashboards.Alerts(dashboards.Default()) {
		if seen[a.Name] != 1 {
			t.Errorf("%s is %d times among those that recordings trip and those that they do not, want once", a.Name, seen[a.Name])
		}
		delete(seen, a.Name)
	}
	if len(seen) > 0 {
		t.Errorf("these are no alerts: %v", seen)
	}
}

// deck plays a tape.
type deck struct {
	*dashboardstest.Prometheus

	tape   tape
	names  *flow.Interner
	stages []collector.Stage
	sink   collector.Sink
	flows  int
	first  time.Time
	now    time.Time // of the last scrape
}

const tail = 12 // quiet minutes after the last flow: alerts are given when they have held for up to ten

func playTape(t *testing.T, name string, tape tape) *deck {
	t.Helper()
	d := &deck{Prometheus: dashboardstest.New(t, ruleFile(t, "recording"), ruleFile(t, "alerts")), tape: tape, names: flow.NewInterner()}
	d.sink = prometheus.New(prometheus.Default(), d.Registry)
	d.Registry.MustRegister(alive())
	d.load(t, strings.Fields(tape.state)...)
	var paths []string
	for pattern := range strings.FieldsSeq(tape.files) {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: no recording is %s: %v", name, pattern, err)
		}
		paths = append(paths, found...)
	}
	if tape.loses > 0 {
		paths = append(paths, losses(t, tape.loses))
	}
	files := hubble.NewFiles(hubble.FilesConfig{Paths: paths, Names: d.names, Pool: flow.NewPool(64), Logger: slog.New(slog.DiscardHandler)})
	if err := files.Run(t.Context(), d.take); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	d.flush(t.Context(), true)
	for range tail {
		d.scrape(t.Context())
	}
	d.flows = files.Report().Flows
	return d
}

// ruleFile returns a file of rules as it is shipped.
func ruleFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(shipped + "/" + name + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// load makes the stages, in the order of the command, with what they would know of the cluster.
func (d *deck) load(t *testing.T, state ...string) {
	t.Helper()
	reg := client.NewRegistry()
	store := kube.NewStore(kube.Config{}, d.names, slog.New(slog.DiscardHandler))
	if _, err := store.Load(state...); err != nil {
		t.Fatal(err)
	}
	facts, err := store.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := buckets.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	who := kube.NewStage(d.names, reg)
	who.SetIndex(store.Index())
	asked := track.NewNames(d.names, track.DefaultNames())
	judge := verdict.New(d.names, verdict.Prefixes{})
	judge.SetFacts(verdict.NewFacts(d.names, facts))
	connections := track.New(track.Default(), d.names)
	connections.AAAA = asked
	cfg := buckets.Default()
	cfg.Every = 1 // whenever it is asked: a minute passes in no time
	limits := buckets.New(cfg, catalogue, d.names, reg)
	of := &buckets.Facts{Cluster: d.names.Name(facts.Name), Nodes: map[flow.Name]buckets.Node{}}
	for i := range facts.Nodes {
		n := &facts.Nodes[i]
		of.Nodes[d.names.Name(n.Name)] = buckets.Node{
			IPv4: n.Egress(flow.FamilyIPv4), IPv6: n.Egress(flow.FamilyIPv6), PodCIDRs: n.PodCIDRs,
			Shows: n.Settings.ShowsNode(), Masquerade: n.Settings.MasqueradeIPv6,
		}
	}
	limits.SetFacts(of)
	d.stages = []collector.Stage{who, asked, judge, verdict.NewHidden(d.names, judge), connections, limits}
}

// take takes what was recorded next, after the scrapes that were due before it.
func (d *deck) take(ctx context.Context, b *flow.Batch) error {
	defer b.Release()
	if len(b.Records) > 0 {
		at := b.Records[0].Time
		if d.first.IsZero() {
			d.first, d.now = at, at
		}
		for at.Sub(d.now) >= time.Minute {
			d.flush(ctx, false)
			d.scrape(ctx)
		}
	}
	b.Beats = nil // of a whole recording, at its end; who follows a node says so every minute
	for _, stage := range d.stages {
		stage.Process(b)
	}
	return d.write(ctx, b)
}

func (d *deck) flush(ctx context.Context, end bool) {
	b := &flow.Batch{}
	for _, stage := range d.stages {
		if f, ok := stage.(collector.Flusher); ok {
			f.Flush(b, end)
		}
	}
	_ = d.write(ctx, b)
}

func (d *deck) write(ctx context.Context, b *flow.Batch) error {
	return d.sink.Write(ctx, collector.Delivery{Batches: []*flow.Batch{b}}) // never an error
}

// scrape lets a minute pass in which nodes were followed, and scrapes.
func (d *deck) scrape(ctx context.Context) {
	from := d.now
	d.now = d.now.Add(time.Minute)
	b := &flow.Batch{}
	for n := range strings.FieldsSeq(d.tape.nodes) {
		beat := flow.Beat{Cluster: d.names.Name("lab"), Node: d.names.Name(n), From: from, To: d.now}
		if end := d.first.Add(d.tape.after); n == d.tape.stops && beat.To.After(end) {
			b.Gaps = append(b.Gaps, flow.Gap{Cluster: beat.Cluster, Node: beat.Node, From: maxTime(from, end), To: d.now, Cause: flow.GapNodeUnavailable})
			beat.To = end
		}
		if beat.To.After(from) {
			b.Beats = append(b.Beats, beat)
		}
	}
	_ = d.write(ctx, b)
	d.Tick(d.now)
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// given returns the values of a label with which an alert was given so far, sorted.
func (d *deck) given(t *testing.T, alert, label string) string {
	t.Helper()
	all, err := d.At(`last_over_time(ALERTS{alertname="`+alert+`",alertstate="firing"}[1h])`, d.now)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, s := range all {
		list = append(list, cmp.Or(s.Metric.Get(label), "(none)"))
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

func (d *deck) blind(t *testing.T) bool { return d.given(t, "SextantBlind", "cluster") == "lab" }

// losses returns a file in which Hubble tells of events that node-1 lost in each minute of the demo's recording.
func losses(t *testing.T, each time.Duration) string {
	t.Helper()
	var lines strings.Builder
	const stamp = time.RFC3339Nano
	for m := range 7 {
		from := time.Date(2026, 11, 24, 3, 27+m, 5, 0, time.UTC)
		to := from.Add(each)
		fmt.Fprintf(&lines, `{"lost_events":{"source":"HUBBLE_RING_BUFFER","num_events_lost":"5275","first":%q,"last":%q},"node_name":"lab/node-1","time":%q}`+"\n",
			from.Format(stamp), to.Format(stamp), to.Format(stamp))
	}
	path := filepath.Join(t.TempDir(), "losses.jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
