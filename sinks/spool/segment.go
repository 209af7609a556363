package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/bits"
	"os"
	"time"
)

// A segment is a file of frames, one for each delivery. All numbers are little-endian:
//
//	 0  magic
//	 4  version
//	 5  mark: 0 waiting, 0xff done, by most of its bits; the one byte that changes, and no part of the checksum
//	 6  length of the token
//	 8  length of the payload
//	12  number of rows
//	16  when it was written (Unix, nanoseconds)
//	24  time of the first row
//	32  time of the last row
//	40  CRC-32C of bytes 0 to 39 with mark 0
//	44  token and payload
//	…   CRC-32C of token and payload
//
// Where a header is damaged, the next one is found by its magic and checksum, so that nothing else is lost. Where only
// what follows a header is, the header still tells which rows are gone.
const (
	version    = 1
	headerSize = 44
	crcSize    = 4
)

var (
	magic      = []byte{0xd6, 'S', 'x', 0x1a}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// frame is where a delivery lies in a segment, and what its header says.
type frame struct {
	offset         int64
	token, payload int // lengths
	rows           int
	at, from, to   int64
}

func (f frame) size() int64 { return headerSize + int64(f.token) + int64(f.payload) + crcSize }

// hole is a stretch of a segment that cannot be read.
type hole struct {
	rows     int   // in it; 0 where nobody knows
	from, to int64 // times of the rows, or else when they were written; 0 where nobody knows
}

func (f frame) hole() hole { return hole{f.rows, f.from, f.to} }

// appendFrame appends a frame to dst.
func appendFrame(dst []byte, token string, payload []byte, rows int, at, from, to time.Time) ([]byte, frame) {
	f := frame{token: len(token), payload: len(payload), rows: rows, at: nanoseconds(at), from: nanoseconds(from), to: nanoseconds(to)}
	begin := len(dst)
	dst = append(dst, magic...)
	dst = append(dst, version, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(f.token))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(f.payload))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(f.rows))
	for _, t := range []int64{f.at, f.from, f.to} {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(t))
	}
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[begin:], castagnoli))
	dst = append(dst, token...)
	dst = append(dst, payload...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[begin+headerSize:], castagnoli)), f
}

// nanoseconds returns the Unix time, or the nearest that fits.
func nanoseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case t.IsZero():
		return 0
	case s <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// parseHeader returns the frame whose header is at the beginning of b, whether it is done, and whether there is one at all. It is
// of a newer program where its version is above ours, and then only its lengths mean anything.
func parseHeader(b []byte) (f frame, ver byte, done, ok bool) {
	if len(b) < headerSize || !bytes.Equal(b[:4], magic) {
		return frame{}, 0, false, false
	}
	var h [headerSize]byte
	copy(h[:], b)
	h[5] = 0
	if crc32.Checksum(h[:40], castagnoli) != binary.LittleEndian.Uint32(h[40:]) {
		return frame{}, 0, false, false
	}
	number := func(i int) int64 { return int64(binary.LittleEndian.Uint64(h[i:])) }
	return frame{
		token: int(binary.LittleEndian.Uint16(h[6:])), payload: int(binary.LittleEndian.Uint32(h[8:])),
		rows: int(binary.LittleEndian.Uint32(h[12:])), at: number(16), from: number(24), to: number(32),
	}, h[4], bits.OnesCount8(b[5]) > 4, true
}

// contents is what a scan finds in a segment.
type contents struct {
	waiting []frame
	holes   []hole
	newer   byte // version, where it is above ours: nothing else is told then
}

// scan reads the headers of a segment. It reads on beside them where they are damaged or cannot be read.
func scan(r io.ReaderAt, size int64) (c contents) {
	var header [headerSize]byte
	var last int64 // when the frame before was written
	known := 0     // of the holes, those whose times are known
	for offset := int64(0); offset < size; {
		n, _ := r.ReadAt(header[:min(headerSize, size-offset)], offset)
		f, ver, done, ok := parseHeader(header[:n])
		f.offset = offset
		if ok && ver > version {
			return contents{newer: ver}
		}
		if ok {
			for ; known < len(c.holes); known++ {
				c.holes[known].to = f.at
			}
			last = f.at
		}
		switch {
		case ok && offset+f.size() <= size:
			if !done {
				c.waiting = append(c.waiting, f)
			}
			offset += f.size()
			continue
		case ok: // the file ends in it
			c.holes = append(c.holes, f.hole())
			known++
		default:
			c.holes = append(c.holes, hole{from: last, to: last})
		}
		offset = next(r, offset+1, size)
	}
	return c
}

// next returns where the next frame begins, or the end.
func next(r io.ReaderAt, offset, size int64) int64 {
	rest := make([]byte, size-offset)
	n, _ := r.ReadAt(rest, offset)
	rest = rest[:n]
	for begin := 0; ; begin++ {
		i := bytes.Index(rest[begin:], magic)
		if i < 0 {
			return size
		}
		begin += i
		if f, _, _, ok := parseHeader(rest[begin:]); ok && offset+int64(begin)+f.size() <= size {
			return offset + int64(begin)
		}
	}
}

// read returns the token and the payload of a frame.
func (f frame) read(r io.ReaderAt) (token string, payload []byte, err error) {
	body := make([]byte, f.size()-headerSize)
	if n, err := r.ReadAt(body, f.offset+headerSize); n < len(body) {
		return "", nil, err
	}
	body, sum := body[:len(body)-crcSize], binary.LittleEndian.Uint32(body[len(body)-crcSize:])
	if crc32.Checksum(body, castagnoli) != sum {
		return "", nil, fmt.Errorf("checksum of %d bytes at %d is wrong", len(body), f.offset)
	}
	return string(body[:f.token]), body[f.token:], nil
}

// done marks a frame as no longer waiting.
func (f frame) done(w *os.File) error {
	_, err := w.WriteAt([]byte{0xff}, f.offset+5)
	return err
}
