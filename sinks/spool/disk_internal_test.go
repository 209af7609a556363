package spool

import (
	"bytes"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
)

func openTestDisk(t *testing.T, cfg Config) *disk {
	t.Helper()
	d, err := openDisk(cfg, flow.NewInterner(), slog.New(slog.DiscardHandler), newMetrics(prometheus.NewRegistry(), func() float64 { return 0 }))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// waitingTokens returns what can be read of what waits.
func waitingTokens(t *testing.T, d *disk) (tokens []string) {
	t.Helper()
	for _, s := range d.segments {
		for _, f := range s.waiting {
			token, _, err := f.read(s.file)
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// A disk that is full has room for the beginning of a delivery, and refuses the rest.
func TestDiskFull(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 1 << 20}
	d := openTestDisk(t, cfg)
	add := func(token string) error { return d.append(token, make([]byte, 1000), 1, noon, noon) }
	if err := add("a"); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	setLimit := func(size uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
	}
	setLimit(1500)
	for range 3 {
		if err := add("b"); err == nil {
			t.Error("a full disk took it")
		}
	}
	setLimit(limit.Cur)
	if info, err := os.Stat(d.segments[0].path); err != nil || info.Size() != d.segments[0].size {
		t.Errorf("%v, %v: want %d bytes", info.Size(), err, d.segments[0].size)
	}
	if err := add("c"); err != nil {
		t.Fatal(err)
	}
	want := []string{"a", "c"}
	if got := waitingTokens(t, d); !slices.Equal(got, want) {
		t.Errorf("%q wait, want %q", got, want)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	d = openTestDisk(t, cfg)
	if got := waitingTokens(t, d); !slices.Equal(got, want) || !d.segments[0].losses.Empty() {
		t.Errorf("after a restart %q wait and %v are lost, want %q", got, d.segments[0].losses.Take(), want)
	}
	d.close() //nolint:errcheck // it is only read
}

// What was lost while the disk takes nothing is told when it does.
func TestLossesWait(t *testing.T) {
	d := openTestDisk(t, Config{Dir: t.TempDir(), MaxBytes: 1 << 20})
	if err := d.append("a", []byte("not a payload"), 7, noon, noon); err != nil {
		t.Fatal(err)
	}
	dir := d.dir
	d.dir = filepath.Join(dir, "gone")
	if err := d.giveWay(); err != nil {
		t.Fatal(err)
	}
	if len(d.segments) > 0 || d.bytes != 0 {
		t.Fatalf("%d segments of %d bytes are left", len(d.segments), d.bytes)
	}
	d.dir = dir
	if err := d.append("b", payloadOf(&flow.Batch{}), 0, noon, noon); err != nil {
		t.Fatal(err)
	}
	s := d.segments[0]
	b, _, err := d.read(s, s.waiting[1], d.decoder)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Gaps) != 1 || b.Gaps[0].Count.N != 7 || b.Gaps[0].Cause != flow.GapSpoolDamaged || !b.Gaps[0].From.Equal(noon) {
		t.Errorf("told is %+v", b.Gaps)
	}
	d.close() //nolint:errcheck // it is only read
}

// A file of a newer program stays where it is, until there is no more room.
func TestNewerFile(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 10_000}
	d := openTestDisk(t, cfg)
	if err := d.append("a", make([]byte, 3000), 7, noon, noon); err != nil {
		t.Fatal(err)
	}
	path := d.segments[0].path
	d.close() //nolint:errcheck // looked at below
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[4]++
	resum(raw)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}

	var log bytes.Buffer
	d, err = openDisk(cfg, flow.NewInterner(), slog.New(slog.NewTextHandler(&log, nil)), newMetrics(prometheus.NewRegistry(), func() float64 { return 0 }))
	if err != nil {
		t.Fatal(err)
	}
	if d.head() != nil || !bytes.Contains(log.Bytes(), []byte("a newer sextant wrote it")) {
		t.Errorf("it is to be sent, or nobody told: %s", &log)
	}
	for _, token := range []string{"b", "c", "d"} {
		if err := d.append(token, payloadOf(&flow.Batch{Records: make([]flow.Record, 1)}), 1, noon, noon); err != nil {
			t.Fatal(err)
		}
	}
	if s := d.head(); s == nil || len(s.waiting) != 3 {
		t.Error("what is written here does not wait")
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("it is gone: %v", err)
	}
	if err := d.append("e", make([]byte, 8000), 1, time.Time{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it did not give way")
	}
	d.close() //nolint:errcheck // it is only read
}

// A segment is not larger than it may be, but for a delivery that alone is.
func TestSegments(t *testing.T) {
	d := openTestDisk(t, Config{Dir: t.TempDir(), MaxBytes: 80_000})
	for range 40 {
		if err := d.append("a", make([]byte, 900), 1, noon, noon); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.append("b", make([]byte, 20_000), 1, noon, noon); err != nil {
		t.Fatal(err)
	}
	if err := d.append("c", make([]byte, 100_000), 1, noon, noon); err == nil {
		t.Error("a delivery larger than the spool was taken")
	}
	var sizes []int64
	for _, s := range d.segments {
		sizes = append(sizes, s.size)
	}
	if want := []int64{9490, 9490, 9490, 9490, 20_049}; !slices.Equal(sizes, want) {
		t.Errorf("sizes %d, want %d", sizes, want)
	}
	for range 15 {
		if err := d.done(d.head(), true); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.segments) != 4 {
		t.Errorf("%d segments are left, want 4: those before are done", len(d.segments))
	}
	d.close() //nolint:errcheck // it is only read
}
