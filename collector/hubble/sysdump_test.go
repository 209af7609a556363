package hubble_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/hubble"
	"sextant/collector/sysdump/sysdumptest"
)

// The recordings of a sysdump are one stream with each other and with those beside it, each keeping its own order.
func TestSysdump(t *testing.T) {
	t.Parallel()
	files := sysdumptest.Files{}
	files.AddFlows("cilium-a", lines(line("a1", "03:00"), line("a2", "03:05"), line("a3", "03:04"), line("a4", "03:10")))
	long := `{"padding":"` + strings.Repeat("x", 100<<10) + `",` + line("b2", "03:04.5")[1:] // more than is read ahead
	files.AddFlows("cilium-b", lines(line("b1", "03:01"), long, line("b3", "03:05")))
	files.AddFlows("cilium-c", nil)
	files["more/c.jsonl.gz"] = pack(t, lines(line("c1", "03:02")))
	files["more/k8s-pods-20261124-033000.yaml"] = []byte("no flows\n")
	other := file(t, "d.jsonl", line("d1", "03:03"))
	want := []string{"a1", "b1", "c1", "d1", "b2", "a2", "a3", "b3", "a4"}
	for _, path := range []string{archive(t, files), folder(t, files)} {
		flows, _, report, err := replay(t, hubble.FilesConfig{Paths: []string{path, other}, Strict: true})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, sources(t, flows)); diff != "" {
			t.Errorf("flows (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(hubble.Report{Flows: 9}, report); diff != "" {
			t.Errorf("report (-want +got):\n%s", diff)
		}
	}
}

// A line that is cut short is told with the archive's name and its own, and so is a member that is damaged. The rest is read.
func TestSysdumpDamaged(t *testing.T) {
	t.Parallel()
	files := sysdumptest.Files{}
	text := bytes.Repeat([]byte(line("b1", "03:01")+"\n"), 100)
	files.AddFlows("cilium-a", append(lines(line("a1", "03:00"), line("a2", "03:05")), `{"flow":{"verd`...))
	files.AddFlows("cilium-b", text)
	path := archive(t, files)
	damage(t, path, "cilium-b")
	var log bytes.Buffer
	flows, _, report, err := replay(t, hubble.FilesConfig{Paths: []string{path}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	a, b := path+"/"+sysdumptest.Folder+"/hubble-flows-cilium-a-20261124-033000.json", path+"/"+sysdumptest.Folder+"/hubble-flows-cilium-b-20261124-033000.json"
	if len(flows) < 2 || report.Broken != 2 || !strings.Contains(log.String(), "file="+a+" line=3") || !strings.Contains(log.String(), `msg="recording ends early" err="`+b+": after line ") {
		t.Errorf("%d flows, %+v, log:\n%s", len(flows), report, log.String())
	}
	if _, _, _, err := replay(t, hubble.FilesConfig{Paths: []string{path}, Strict: true}); err == nil {
		t.Error("strict: no error")
	}
}

// What holds no flows is named at once, before anything is read, with the way out.
func TestSysdumpUnreadable(t *testing.T) {
	t.Parallel()
	good := file(t, "good.jsonl", line("a1", "03:00"))
	quick := archive(t, sysdumptest.Files{"k8s-nodes-20261124-033000.yaml": nil})
	nested := archive(t, sysdumptest.Files{"cilium-sysdump.zip": nil})
	text := file(t, "sysdump.zip", "text")
	bare, err := os.ReadFile(quick)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ path, want string }{
		{quick, "open recording: " + quick + ": there are no recorded flows, no file named hubble-flows-*.json or *.jsonl (cilium sysdump leaves them out when it is --quick, and where Hubble is off)"},
		{nested, "; what lies in " + nested + "/cilium-sysdump.zip is not looked at: unpack that, and name it"},
		{text, "open recording: " + text + ": is no zip archive, or one that was cut short or damaged"},
	} {
		flows, _, _, err := replay(t, hubble.FilesConfig{Paths: []string{good, row.path}})
		if err == nil || !strings.Contains(err.Error(), row.want) || len(flows) != 0 {
			t.Errorf("got %d flows, %v, want %s", len(flows), err, row.want)
		}
	}
	_, err = hubble.NewRecording("standard input", io.NopCloser(bytes.NewReader(bare)))
	if err == nil || err.Error() != "standard input is a zip archive: give its name, for it cannot be read from its beginning" {
		t.Error(err)
	}
}

// Whichever byte of an archive is another (every third is tried), replaying it ends, and names it if it ends with an error.
func TestSysdumpFlipped(t *testing.T) {
	t.Parallel()
	files := sysdumptest.Files{}
	files.AddFlows("cilium-a", lines(line("a1", "03:00"), line("a2", "03:05")))
	files.AddFlows("cilium-b", lines(line("b1", "03:01")))
	path := archive(t, files)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := rand.IntN(3); i < len(whole); i += 3 {
		flipped := bytes.Clone(whole)
		flipped[i] ^= byte(1 + rand.IntN(255))
		if err := os.WriteFile(path, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		flows, _, _, err := replay(t, hubble.FilesConfig{Paths: []string{path}})
		if err != nil && !strings.Contains(err.Error(), path) || len(flows) > 4 {
			t.Errorf("byte %d, %#x: %d flows, %v", i, flipped[i], len(flows), err)
		}
	}
}

func lines(all ...string) []byte { return []byte(strings.Join(all, "\n") + "\n") }

func archive(t *testing.T, files sysdumptest.Files) string {
	t.Helper()
	content, err := files.Zip()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.zip")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func folder(t *testing.T, files sysdumptest.Files) string {
	t.Helper()
	dir := t.TempDir()
	if err := files.Unpack(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func pack(t *testing.T, text []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

// damage changes the middle of a member's content.
func damage(t *testing.T, path, part string) {
	t.Helper()
	r, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.File {
		if at, err := m.DataOffset(); err == nil && strings.Contains(m.Name, "hubble-flows-"+part) {
			content[at+int64(m.CompressedSize64)/2] ^= 0xff
		}
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
