package hubble_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/hubble"
)

const recordings = "../../test/recordings"

// replay runs the files and returns the flows and gaps as the stdout contract prints them.
func replay(t *testing.T, cfg hubble.FilesConfig) (flows, gaps []string, report hubble.Report, err error) {
	t.Helper()
	if cfg.Names == nil {
		cfg.Names = flow.NewInterner()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Pool = flow.NewPool(64)
	files := hubble.NewFiles(cfg)
	err = files.Run(t.Context(), func(_ context.Context, b *flow.Batch) error {
		for i := range b.Records {
			flows = append(flows, string(flow.AppendJSON(nil, "flow", flow.Fields, &b.Records[i])))
		}
		for i := range b.Gaps {
			gaps = append(gaps, string(flow.AppendJSON(nil, "gap", flow.GapFields, &b.Gaps[i])))
		}
		b.Release()
		return nil
	})
	return flows, gaps, files.Report(), err
}

// TestRecordings holds every recording against its own lines, read with encoding/json alone: one flow each, in order,
// with the same identifier, addresses and ports.
func TestRecordings(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob(recordings + "/*.jsonl*")
	if err != nil {
		t.Fatal(err)
	}
	demo, err := filepath.Glob("../../deploy/demo/*.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	if paths = append(paths, demo...); len(paths) < 48 {
		t.Fatalf("only %d recordings found", len(paths))
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			want := plainFlows(t, path)
			flows, _, report, err := replay(t, hubble.FilesConfig{Paths: []string{path}, Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			if report.Flaws != 0 || report.Broken != 0 || report.Flows != len(want) {
				t.Errorf("report %+v, want %d flows without flaw", report, len(want))
			}
			var got []plain
			for _, line := range flows {
				var f struct {
					Record, UUID, Time, Family string
					SourceIP                   *string `json:"source_ip"`
					DestinationIP              *string `json:"destination_ip"`
					SourcePort                 int     `json:"source_port"`
					DestinationPort            int     `json:"destination_port"`
					Verdict                    string
				}
				if err := json.Unmarshal([]byte(line), &f); err != nil {
					t.Fatalf("%v in %s", err, line)
				}
				if f.Record != "flow" || f.Time == "" {
					t.Fatalf("not a flow with a time: %s", line)
				}
				got = append(got, plain{f.UUID, text(f.SourceIP), text(f.DestinationIP), f.SourcePort, f.DestinationPort, f.Verdict})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("flows (-recorded +replayed):\n%s", diff)
			}
		})
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

type plain struct {
	UUID, Source, Destination   string
	SourcePort, DestinationPort int
	Verdict                     string
}

func plainFlows(t *testing.T, path string) []plain {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	var flows []plain
	for decoder := json.NewDecoder(r); ; {
		var line struct {
			Flow *struct {
				UUID, Verdict string
				IP            struct{ Source, Destination string }
				L4            map[string]struct {
					SourcePort      int `json:"source_port"`
					DestinationPort int `json:"destination_port"`
				}
			}
		}
		if err := decoder.Decode(&line); err == io.EOF {
			return flows
		} else if err != nil {
			t.Fatal(err)
		}
		if f := line.Flow; f != nil {
			p := plain{UUID: f.UUID, Verdict: f.Verdict}
			p.Source, _, _ = strings.Cut(f.IP.Source, "%")
			p.Destination, _, _ = strings.Cut(f.IP.Destination, "%")
			for _, l4 := range f.L4 {
				p.SourcePort, p.DestinationPort = l4.SourcePort, l4.DestinationPort
			}
			flows = append(flows, p)
		}
	}
}

func TestMergeByTime(t *testing.T) {
	t.Parallel()
	a := file(t, "a.jsonl", line("a1", "03:00"), line("a2", "03:05"), line("a3", "03:04"), line("a4", "03:10"))
	b := file(t, "b.jsonl", line("b1", "03:01"), line("b2", "03:04.5"), line("b3", "03:05"))
	flows, _, _, err := replay(t, hubble.FilesConfig{Paths: []string{a, b}})
	if err != nil {
		t.Fatal(err)
	}
	// a3 is out of order in its own file and keeps its place there; a tie goes to the file named first.
	want := []string{"a1", "b1", "b2", "a2", "a3", "b3", "a4"}
	if diff := cmp.Diff(want, sources(t, flows)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// line is a flow from pod name at 2026-11-24T03:00:00 and so on.
func line(pod, minute string) string {
	return `{"flow":{"verdict":"FORWARDED","source":{"pod_name":"` + pod + `"},"Type":"L3_L4"},"node_name":"lab/node-1","time":"2026-11-24T03:` + minute + `Z"}`
}

func sources(t *testing.T, flows []string) []string {
	t.Helper()
	var pods []string
	for _, f := range flows {
		var r struct {
			Pod string `json:"source_pod"`
		}
		if err := json.Unmarshal([]byte(f), &r); err != nil {
			t.Fatal(err)
		}
		pods = append(pods, r.Pod)
	}
	return pods
}

func file(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBrokenLines(t *testing.T) {
	t.Parallel()
	path := file(t, "broken.jsonl",
		line("one", "03:00"),
		`{"flow":{"verdict":`,
		``,
		`{"flow":{"verdict":"SOMETHING_NEW","source":{"pod_name":"two"},"a_new_field":{"x":[1]},"drop_reason_desc":9999},"node_name":"n","time":"2026-11-24T03:03:01Z"}`,
		`{"agent_event":{"type":"AGENT_STARTED"},"node_name":"n"}`,
		`{"hello":"world"}`,
		`[1,2]`,
		`{"verdict":"DROPPED","IP":{"source":"::1%0","destination":"nonsense"},"source":{"pod_name":"bare"},"time":"2026-11-24T03:03:02Z","node_name":"old"}`,
		`{"flow":{"source":{"pod_name":"`+strings.Repeat("x", 5<<20)+`"}}}`,
		line("last", "03:03"),
	)
	var log bytes.Buffer
	flows, _, report, err := replay(t, hubble.FilesConfig{Paths: []string{path}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"one", "two", "bare", "last"}, sources(t, flows)); diff != "" {
		t.Errorf("flows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(hubble.Report{Flows: 4, Other: 2, Broken: 3, Flaws: 1}, report); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	for _, want := range []string{"broken.jsonl line=2 ", "broken.jsonl line=7 ", "broken.jsonl line=9 err=\"line is longer than 4194304 bytes\""} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log.String())
		}
	}

	_, _, _, err = replay(t, hubble.FilesConfig{Paths: []string{path}, Strict: true})
	var broken *hubble.LineError
	if !errors.As(err, &broken) || broken.Line != 2 || !strings.Contains(err.Error(), path+":2: ") {
		t.Errorf("strict: got %v, want an error at line 2 of %s", err, path)
	}
}

func TestCutShort(t *testing.T) {
	t.Parallel()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := io.WriteString(w, strings.Repeat(line("pod", "03:00")+"\n", 5000)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cut.gz")
	if err := os.WriteFile(path, z.Bytes()[:z.Len()/2], 0o600); err != nil {
		t.Fatal(err)
	}
	flows, _, report, err := replay(t, hubble.FilesConfig{Paths: []string{path}})
	if err != nil || len(flows) == 0 || report.Broken != 1 {
		t.Errorf("got %d flows, %+v, %v; want those before the cut and one broken place", len(flows), report, err)
	}
	if _, _, _, err = replay(t, hubble.FilesConfig{Paths: []string{path}, Strict: true}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("strict: got %v, want an unexpected EOF", err)
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct{ path, want string }{
		{filepath.Join(dir, "absent.jsonl"), "open recording: open " + filepath.Join(dir, "absent.jsonl") + ": no such file or directory"},
		{dir, "open recording: " + dir + ": there are no recorded flows, no file named hubble-flows-*.json or *.jsonl"},
		{file(t, "bad.gz", "\x1f\x8bnot gzip"), "gzip: "},
	} {
		_, _, _, err := replay(t, hubble.FilesConfig{Paths: []string{c.path}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.path, err, c.want)
		}
	}
}

// In each file a node was watched from its first flow to its last, whatever the order in which they stand.
func TestRecordedBeats(t *testing.T) {
	t.Parallel()
	of := func(node, minute string) string { return strings.Replace(line("pod", minute), "lab/node-1", node, 1) }
	first := file(t, "first.jsonl", of("lab/b", "03:02"), of("lab/a", "03:01"), of("lab/b", "03:00"), of("lab/b", "03:05"))
	second := file(t, "second.jsonl", of("lab/b", "03:04"), of("", "03:06"), of("lab/b", "03:09"), `{"agent_event":{"type":"AGENT_STARTED"},"node_name":"lab/c"}`)
	var got []string
	files := hubble.NewFiles(hubble.FilesConfig{Paths: []string{first, second}, Names: flow.NewInterner(), Pool: flow.NewPool(2), Logger: slog.New(slog.DiscardHandler)})
	err := files.Run(t.Context(), func(_ context.Context, b *flow.Batch) error {
		for _, b := range b.Beats {
			got = append(got, fmt.Sprint(b.Cluster, "/", b.Node, b.From.Format(" 04:05"), b.To.Format(" 04:05 "), b.Flows.N))
		}
		b.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"lab/a 03:01 03:01 1", "lab/b 03:00 03:05 3", "lab/b 03:04 03:09 2"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestRecordedGaps: what recordings say of losses becomes gaps.
func TestRecordedGaps(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file string
		want []string
	}{
		{"72b-lost-events-hubble-ring-buffer.node-1.jsonl", []string{
			`{"record":"gap","node":"node-1","cluster":"lab","from":"2026-11-24T03:43:37.270289906Z","to":"2026-11-24T03:43:37.369373852Z","cause":"lost_hubble_ring","count":5275,"detail":"told by Hubble in a LostEvent"}`,
			`{"record":"gap","node":"node-1","cluster":"lab","from":"2026-11-24T03:43:37.328627464Z","to":"2026-11-24T03:43:37.343997464Z","cause":"lost_observer_queue","count":329,"detail":"told by Hubble in a LostEvent"}`,
			`{"record":"gap","node":"node-1","cluster":"lab","from":"2026-11-24T03:43:40.077675208Z","to":"2026-11-24T03:43:40.504624736Z","cause":"lost_hubble_ring","count":5447,"detail":"told by Hubble in a LostEvent"}`,
		}},
		{"71-lost-events-observer-queue.node-1.jsonl.gz", []string{
			`{"record":"gap","node":"node-1","cluster":"lab","from":"2026-11-24T03:40:45.461137793Z","to":"2026-11-24T03:40:45.589417964Z","cause":"lost_observer_queue","count":4646,"detail":"told by Hubble in a LostEvent"}`,
		}},
		{"44-relay-follow-node2-goes-away.node_status.stderr.json", nil}, // the node is named, but no flow tells how long it was away
	} {
		_, gaps, _, err := replay(t, hubble.FilesConfig{Paths: []string{filepath.Join(recordings, c.file)}})
		if err != nil {
			t.Fatal(err)
		}
		if c.want == nil {
			if len(gaps) != 1 || !strings.Contains(gaps[0], `"node":"node-2"`) || !strings.Contains(gaps[0], `"cause":"node_unavailable"`) {
				t.Errorf("%s: got %v, want node-2 unavailable", c.file, gaps)
			}
			continue
		}
		if diff := cmp.Diff(c.want, gaps); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.file, diff)
		}
	}
}
