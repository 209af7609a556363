package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// small returns a segment of three frames and where each ends.
func small() (raw []byte, ends []int) {
	for i := range 3 {
		payload := bytes.Repeat([]byte{byte('a' + i)}, 20)
		if i == 1 {
			payload = slices.Concat(magic, payload, magic, []byte{version}) // looks like a frame, and is none
		}
		raw, _ = appendFrame(raw, fmt.Sprint("token-", i), payload, 10+i, noon, noon.Add(-time.Minute), noon)
		ends = append(ends, len(raw))
	}
	return raw, ends
}

// tokens returns the tokens of all frames that can be read, and how many rows are known to be lost in how many holes.
func tokens(raw []byte) (tokens []string, holes, rows int) {
	c := scan(bytes.NewReader(raw), int64(len(raw)))
	for _, f := range c.waiting {
		token, _, err := f.read(bytes.NewReader(raw))
		if err != nil {
			holes, rows = holes+1, rows+f.rows
			continue
		}
		tokens = append(tokens, token)
	}
	for _, h := range c.holes {
		holes, rows = holes+1, rows+h.rows
	}
	return tokens, holes, rows
}

// A file that ends at any byte has lost the frame that it ends in, and no other.
func TestTruncatedAnywhere(t *testing.T) {
	raw, ends := small()
	for n := range len(raw) + 1 {
		var want []string
		begin := 0
		for i, end := range ends {
			if end <= n {
				want = append(want, fmt.Sprint("token-", i))
				begin = end
			}
		}
		wantHoles, wantRows := 0, 0
		if n > begin {
			wantHoles = 1
			if n >= begin+headerSize {
				wantRows = 10 + len(want)
			}
		}
		got, holes, rows := tokens(raw[:n])
		if !slices.Equal(got, want) || holes != wantHoles || rows != wantRows {
			t.Errorf("%d bytes: %q, %d holes of %d rows, want %q, %d of %d", n, got, holes, rows, want, wantHoles, wantRows)
		}
	}
}

// Any flipped bit, and any byte that is another one, costs the frame it is in, and no other.
func TestFlippedAnywhere(t *testing.T) {
	raw, ends := small()
	for n := range raw {
		frame := slices.IndexFunc(ends, func(end int) bool { return n < end })
		begin := 0
		if frame > 0 {
			begin = ends[frame-1]
		}
		for mask := 1; mask < 256; mask++ {
			damaged := bytes.Clone(raw)
			damaged[n] ^= byte(mask)
			got, holes, rows := tokens(damaged)
			var want []string
			for i := range ends {
				if i != frame {
					want = append(want, fmt.Sprint("token-", i))
				}
			}
			wantHoles, wantRows := 1, 0
			switch {
			case n == begin+5: // the mark, which is told by most of its bits
				if wantHoles = 0; mask&(mask-1) == 0 {
					want = []string{"token-0", "token-1", "token-2"}
				} else {
					want, got = nil, nil
				}
			case n >= begin+headerSize:
				wantRows = 10 + frame
			}
			if !slices.Equal(got, want) || holes != wantHoles || rows != wantRows {
				t.Fatalf("byte %d, mask %#x: %q, %d holes of %d rows, want %q, %d of %d", n, mask, got, holes, rows, want, wantHoles, wantRows)
			}
		}
	}
}

// A hole is at a time of which the frames around it tell.
func TestHoleHasTimes(t *testing.T) {
	var raw []byte
	for i := range 3 {
		raw, _ = appendFrame(raw, "x", []byte("y"), 1, noon.Add(time.Duration(i)*time.Hour), noon, noon)
	}
	raw[len(raw)/3]++
	c := scan(bytes.NewReader(raw), int64(len(raw)))
	want := []hole{{0, noon.UnixNano(), noon.Add(2 * time.Hour).UnixNano()}}
	if !slices.Equal(c.holes, want) {
		t.Errorf("%v, want %v", c.holes, want)
	}
}

func TestNewerVersion(t *testing.T) {
	raw, _ := appendFrame(nil, "x", []byte("y"), 1, noon, noon, noon)
	raw[4] = version + 1
	if got, holes, _ := tokens(raw); got != nil || holes != 1 {
		t.Errorf("%q, %d holes: a version without its checksum is a damaged one", got, holes)
	}
	resum(raw)
	if c := scan(bytes.NewReader(raw), int64(len(raw))); c.newer != version+1 || c.waiting != nil || c.holes != nil {
		t.Errorf("%+v, want nothing but the version", c)
	}
}

// resum makes the checksum of the first header right.
func resum(raw []byte) {
	binary.LittleEndian.PutUint32(raw[40:], crc32.Checksum(raw[:40], castagnoli))
}

func FuzzScan(f *testing.F) {
	raw, _ := small()
	f.Add(raw, 0, byte(1))
	f.Fuzz(func(t *testing.T, raw []byte, at int, mask byte) {
		if at >= 0 && at < len(raw) {
			raw[at] ^= mask
		}
		var end int64
		for _, f := range scan(bytes.NewReader(raw), int64(len(raw))).waiting {
			if f.offset < end || f.offset+f.size() > int64(len(raw)) {
				t.Fatalf("a frame from %d of %d bytes after one that ends at %d, in %d", f.offset, f.size(), end, len(raw))
			}
			end = f.offset + f.size()
			f.read(bytes.NewReader(raw)) //nolint:errcheck // either will do
		}
	})
}
