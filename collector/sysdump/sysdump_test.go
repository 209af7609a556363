package sysdump_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/sysdump"
	"sextant/collector/sysdump/sysdumptest"
)

// A dump of the recorded cluster holds what it holds, as an archive and unpacked.
func TestOpen(t *testing.T) {
	t.Parallel()
	files, err := sysdumptest.New(os.DirFS("../../deploy/demo/state"), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files.AddFlows("cilium-4qk7d", []byte("one\n"))
	files.AddFlows("cilium-x7k2p", nil)
	archive, err := files.Zip()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := files.Unpack(dir); err != nil {
		t.Fatal(err)
	}
	const folder, stamp = sysdumptest.Folder + "/", "-20261124-033000"
	want := contents{
		Whole: true,
		Objects: []string{
			folder + "cilium-configmap" + stamp + ".yaml", folder + "cilium-daemonset" + stamp + ".yaml",
			folder + "ciliumendpoints" + stamp + ".yaml", folder + "ciliumidentities" + stamp + ".yaml",
			folder + "ciliumlocalredirectpolicies" + stamp + ".yaml", folder + "ciliumnetworkpolicies" + stamp + ".yaml",
			folder + "ciliumnodeconfigs" + stamp + ".yaml", folder + "ciliumnodes" + stamp + ".yaml",
			folder + "hubble-relay-configmap" + stamp + ".yaml", folder + "k8s-endpointslices" + stamp + ".yaml",
			folder + "k8s-namespaces" + stamp + ".yaml", folder + "k8s-nodes" + stamp + ".yaml",
			folder + "k8s-pods" + stamp + ".yaml", folder + "k8s-services" + stamp + ".yaml",
		},
		Flows: []string{folder + "hubble-flows-cilium-4qk7d" + stamp + ".json", folder + "hubble-flows-cilium-x7k2p" + stamp + ".json"},
		Left: []string{
			folder + "cilium-helm-metadata" + stamp + ".yaml", folder + "cilium-helm-values" + stamp + ".yaml",
			folder + "cilium-operator-pod-x-metrics" + stamp + ".yaml", folder + "cilium-spire-server-entries-x" + stamp + ".json",
			folder + "k8s-metrics" + stamp + ".yaml", folder + "kvstore-nodes.json",
		},
	}
	for _, path := range []string{write(t, "sysdump.zip", archive), write(t, "renamed", archive), dir} {
		if !sysdump.Is(path) {
			t.Errorf("%s is no dump", path)
		}
		dump, err := sysdump.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, contentsOf(dump)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		for _, f := range append(dump.Objects, dump.Flows...) {
			text := read(t, f)
			name := strings.TrimPrefix(f.Name, path+"/")
			if !bytes.Equal(text, files[name]) || f.Size != int64(len(text)) {
				t.Errorf("%s: %d of %d bytes, or others", f.Name, len(text), len(files[name]))
			}
		}
		dump.Close()
	}
}

// contents are the names in a dump, without its own path.
type contents struct {
	Objects, Flows, Left []string
	Whole                bool
}

func contentsOf(d *sysdump.Dump) contents {
	c := contents{Whole: d.Whole}
	for _, f := range d.Objects {
		c.Objects = append(c.Objects, strings.TrimPrefix(f.Name, d.Path+"/"))
	}
	for _, f := range d.Flows {
		c.Flows = append(c.Flows, strings.TrimPrefix(f.Name, d.Path+"/"))
	}
	for _, name := range d.Left {
		c.Left = append(c.Left, strings.TrimPrefix(name, d.Path+"/"))
	}
	return c
}

// Whatever an archive's folders are and whoever packed it, its files are found.
func TestNames(t *testing.T) {
	t.Parallel()
	archive := pack(t,
		member{Name: "b/x.yaml"}, member{Name: "b.yaml"}, member{Name: "B/"}, member{Name: `b\a.JSON`}, member{Name: "a.yml"},
		member{Name: "flows.jsonl"}, member{Name: "deep/er/hubble-flows-cilium-x-20261124-033000.json.gz"}, member{Name: "node-1.jsonl.gz"},
		member{Name: "__MACOSX/._b.yaml"}, member{Name: ".git/b.yaml"}, member{Name: "cilium-bugtool-a/b/c.yaml"}, member{Name: "tetragon-bugtool-a/c.json"},
		member{Name: "link.yaml", Mode: os.ModeSymlink}, member{Name: ""}, member{Name: "readme.txt"}, member{Name: "ä\x1b[2J\xff.yaml"},
	)
	dump := open(t, archive)
	want := contents{
		Objects: []string{"a.yml", "b/a.JSON", "b/x.yaml", "b.yaml", "ä?[2J�.yaml"},
		Flows:   []string{"deep/er/hubble-flows-cilium-x-20261124-033000.json.gz", "flows.jsonl", "node-1.jsonl.gz"},
	}
	if diff := cmp.Diff(want, contentsOf(dump)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		archive []byte
		hint    string
	}{
		{pack(t), ""},
		{pack(t, member{Name: "readme.txt"}), ""},
		{pack(t, member{Name: "out/cilium-sysdump-a.zip"}, member{Name: "b.tar.gz"}), "; what lies in PATH/b.tar.gz is not looked at: unpack that, and name it"},
	} {
		dump := open(t, row.archive)
		hint := strings.ReplaceAll(row.hint, "PATH", dump.Path)
		if got, want := dump.NoObjects().Error(), "there is no file named *.yaml, *.yml or *.json that may hold Kubernetes objects"+hint; got != want {
			t.Errorf("objects: %s, want %s", got, want)
		}
		if got, want := dump.NoFlows().Error(), " where Hubble is off)"+hint; !strings.HasSuffix(got, want) {
			t.Errorf("flows: %s, want %s", got, want)
		}
	}
}

// What is no archive, or none that anybody should open, is refused with the way out.
func TestRefused(t *testing.T) {
	t.Parallel()
	good := pack(t, member{Name: "a.yaml", Text: "a: b"})
	for _, row := range []struct {
		name    string
		archive []byte
		want    string
	}{
		{"empty", nil, "is no zip archive, or one that was cut short or damaged: copy it once more (zip: not a valid zip file)"},
		{"text", []byte("kind: Pod"), "is no zip archive, or one that was cut short or damaged"},
		{"cut", good[:len(good)-1], "is no zip archive, or one that was cut short or damaged"},
		{"half", good[:len(good)/2], "is no zip archive, or one that was cut short or damaged"},
		{"encrypted by gpg", append([]byte("\x85\x01\x0c"), good...)[:len(good)/2], "is no zip archive"},
		{"up", pack(t, member{Name: "x/../../etc/a.yaml"}), `holds a file named "x/../../etc/a.yaml", which leads out of it: no sysdump does`},
		{"up and no object", pack(t, member{Name: "../a.txt"}), `holds a file named "../a.txt", which leads out of it`},
		{"up, backwards", pack(t, member{Name: `..\a.yaml`}), `holds a file named "..\\a.yaml", which leads out of it`},
		{"absolute", pack(t, member{Name: "/etc/a.yaml"}), `holds a file named "/etc/a.yaml", which leads out of it`},
		{"encrypted", pack(t, member{Name: "d/a.yaml", Flags: 1}), "d/a.yaml is encrypted: unpack the archive with its password, and name the folder"},
		{"zstd", pack(t, member{Name: "d/a.yaml", Method: 93}), "d/a.yaml is packed by method 93, which is neither stored nor deflated: unpack the archive, and name the folder"},
		{"large", pack(t, member{Name: "a.jsonl", Size: 64<<30 + 1, Packed: 1 << 30}), "a.jsonl unpacks to 65536 MiB, "},
		{"larger than numbers go", pack(t, member{Name: "a.yaml", Size: 1<<64 - 1, Packed: 1}), "a.yaml unpacks to 17592186044415 MiB, "},
		{"dense", pack(t, member{Name: "a.yaml", Size: 201 << 20, Packed: 1 << 20}), "a.yaml unpacks to 201 MiB, from less than a 200th of that: unpack the archive if you trust it, and name the folder"},
		{"one over the other", pack(t, lots(300, member{Size: 1 << 20, Packed: 1 << 16})...), "unpacks to more than 65 MiB, which no sysdump of its size does: unpack it if you trust it, and name the folder"},
		{"more than a disk holds", pack(t, lots(3, member{Size: 30 << 30, Packed: 1 << 30})...), "unpacks to more than "},
	} {
		path := write(t, "x.zip", row.archive)
		if !sysdump.Is(path) {
			t.Errorf("%s: means to be an archive", row.name)
		}
		dump, err := sysdump.Open(path)
		if err == nil {
			dump.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), path+": "+row.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s:\n got %v\nwant %s", row.name, err, row.want)
		}
	}
	// What nobody reads may be as it likes, and what is small too.
	dump := open(t, pack(t, member{Name: "a.txt", Flags: 1, Method: 93, Size: 1 << 62}, member{Name: "a.yaml", Size: 60 << 20, Packed: 60 << 10}))
	if got := contentsOf(dump); len(got.Objects) != 1 {
		t.Errorf("got %+v", got)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "absent.zip"), os.DevNull} {
		if _, err := sysdump.Open(path); err == nil || !strings.Contains(err.Error(), path) || sysdump.Is(path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Too many files are an error whatever they are.
func TestTooMany(t *testing.T) {
	t.Parallel()
	archive := pack(t, lots(100_001, member{Name: ".txt"})...)
	if _, err := sysdump.Open(write(t, "x.zip", archive)); err == nil || !strings.Contains(err.Error(), "holds more than 100000 files: unpack it, and name the folder of the dump itself") {
		t.Error(err)
	}
}

// A member that is damaged is an error when it is read, and no more comes out of it than it told.
func TestDamaged(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("kind: Pod\n", 10_000)
	whole := pack(t, member{Name: "a.yaml", Text: text})
	at := bytes.Index(whole, deflate(t, text)) + 20
	flipped := bytes.Clone(whole)
	flipped[at] ^= 0x40
	for _, row := range []struct {
		name    string
		archive []byte
		want    error
	}{
		{"flipped", flipped, nil},
		{"more than told", pack(t, member{Name: "a.yaml", Text: text, Size: 100}), zip.ErrFormat},
		{"less than told", pack(t, member{Name: "a.yaml", Text: text, Size: uint64(len(text) + 1)}), io.ErrUnexpectedEOF},
		{"cut", pack(t, member{Name: "a.yaml", Text: text, Packed: 30}), io.ErrUnexpectedEOF},
		{"another's sum", pack(t, member{Name: "a.yaml", Text: text, Sum: 7}), zip.ErrChecksum},
	} {
		dump := open(t, row.archive)
		content, err := dump.Objects[0].Open()
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		got, err := io.ReadAll(content)
		if err == nil || !strings.HasPrefix(err.Error(), "unpack: ") || row.want != nil && !errors.Is(err, row.want) || int64(len(got)) > dump.Objects[0].Size {
			t.Errorf("%s: %d bytes of %d, %v, want %v", row.name, len(got), dump.Objects[0].Size, err, row.want)
		}
		content.Close()
	}
	// The member's own header is missing.
	lost := bytes.Clone(whole)
	copy(lost, "PK\x03\x05")
	dump := open(t, lost)
	if _, err := dump.Objects[0].Open(); err == nil || !strings.HasPrefix(err.Error(), "unpack "+dump.Objects[0].Name+": ") {
		t.Errorf("no header: %v", err)
	}
}

// Whatever an archive is, opening it and reading all of it ends, within what it told.
func FuzzOpen(f *testing.F) {
	f.Add(pack(f, member{Name: "a.yaml", Text: "kind: Pod\n"}, member{Name: "b/hubble-flows-x.json", Text: strings.Repeat("{}\n", 100)}))
	f.Add(pack(f, member{Name: "../a.yaml"}))
	f.Add(pack(f, member{Name: "a.yaml", Flags: 1}))
	f.Add(pack(f, member{Name: "a.yaml", Text: "text", Size: 1 << 40}))
	f.Fuzz(func(t *testing.T, archive []byte) {
		path := write(t, "x.zip", archive)
		dump, err := sysdump.Open(path)
		if err != nil {
			if !strings.Contains(err.Error(), path) {
				t.Errorf("%v does not name the archive", err)
			}
			return
		}
		defer dump.Close()
		for _, file := range append(dump.Objects, dump.Flows...) {
			content, err := file.Open()
			if err != nil {
				continue
			}
			if n, err := io.Copy(io.Discard, content); n > file.Size || err == nil && n != file.Size {
				t.Errorf("%s: %d bytes of %d, %v", file.Name, n, file.Size, err)
			}
			content.Close()
		}
	})
}

// member is a member of an archive, and the lies that its headers tell.
type member struct {
	Name, Text   string
	Method       uint16 // 0 is deflated
	Flags        uint16
	Size, Packed uint64 // 0 is what they are
	Sum          uint32 // 0 is what it is
	Mode         os.FileMode
}

func lots(n int, m member) []member {
	all := make([]member, n)
	for i := range all {
		all[i] = m
		if all[i].Name == "" {
			all[i].Name = "a.yaml"
		}
	}
	return all
}

func pack(t testing.TB, members ...member) []byte {
	t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	packedOf := map[string][]byte{}
	for _, m := range members {
		if packedOf[m.Text] == nil {
			packedOf[m.Text] = deflate(t, m.Text)
		}
		packed := packedOf[m.Text]
		if strings.HasSuffix(m.Name, "/") {
			packed = nil
		}
		h := &zip.FileHeader{Name: m.Name, Method: zip.Deflate, Flags: m.Flags, CRC32: sum(m.Text), UncompressedSize64: uint64(len(m.Text)), CompressedSize64: uint64(len(packed))}
		if m.Method != 0 {
			h.Method = m.Method
		}
		if m.Size != 0 {
			h.UncompressedSize64 = m.Size
		}
		if m.Packed != 0 {
			h.CompressedSize64 = m.Packed
		}
		if m.Sum != 0 {
			h.CRC32 = m.Sum
		}
		h.SetMode(m.Mode | 0o600)
		content, err := w.CreateRaw(h)
		if err == nil {
			_, err = content.Write(packed)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return archive.Bytes()
}

func sum(text string) uint32 { return crc32.ChecksumIEEE([]byte(text)) }

func deflate(t testing.TB, text string) []byte {
	t.Helper()
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func write(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, archive []byte) *sysdump.Dump {
	t.Helper()
	dump, err := sysdump.Open(write(t, "x.zip", archive))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dump.Close)
	return dump
}

func read(t *testing.T, f sysdump.File) []byte {
	t.Helper()
	content, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
