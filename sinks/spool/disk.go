package spool

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sextant/collector/flow"
)

const (
	lockName = "lock"
	suffix   = ".spool"

	// Marks are synced after so many. A machine that loses power sends again what was marked since, which ClickHouse knows
	// by its tokens: it remembers 1,000.
	marksPerSync = 64
)

// segment is a file of the spool. All but the last one are complete.
type segment struct {
	path    string
	file    *os.File
	size    int64
	waiting []frame // oldest first
	losses  losses  // what of it will never be delivered; told when the file goes
	newer   bool    // nobody here can read it
	busy    bool    // its first waiting frame is being sent
	marks   int     // that are not synced
}

// name is the segment's own, for all time and everywhere.
func (s *segment) name() string { return strings.TrimSuffix(filepath.Base(s.path), suffix) }

// disk is the directory of the spool. Its files are the only state: a delivery counts as taken once it is synced, and
// waits until its mark says otherwise or its file is gone. It is not safe for concurrent use.
type disk struct {
	dir         string
	max         int64 // bytes of all segments; what tells of losses may exceed it a little
	segmentSize int64
	logger      *slog.Logger
	metrics     *metrics

	lock     *os.File
	run      string // makes names of segments unique
	segments []*segment
	open     bool // the last one takes more
	number   uint64
	bytes    int64
	untold   losses // of segments that are gone, while the disk takes nothing
	told     int    // how often these were told

	names   *flow.Interner
	encoder *encoder
	decoder *decoder
}

// openDisk locks the directory, which it makes when it is missing, and finds what is in it.
func openDisk(cfg Config, names *flow.Interner, logger *slog.Logger, m *metrics) (*disk, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of spool.dir, which another path may be: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	var run [8]byte
	rand.Read(run[:]) // never fails (crypto/rand)
	d := &disk{
		dir: cfg.Dir, max: cfg.MaxBytes, segmentSize: max(1, min(cfg.MaxBytes/8, 32<<20)), logger: logger, metrics: m,
		lock: lock, run: hex.EncodeToString(run[:]), untold: newLosses(names),
		names: names, encoder: newEncoder(), decoder: newDecoder(names),
	}
	if err := d.load(names); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write to the folder of spool.dir, which another path may be: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("the spool %s is in use by another collector: give each its own spool.dir", dir)
		}
		return nil, fmt.Errorf("lock the spool %s: %w", dir, err)
	}
	return f, nil
}

// load finds the segments of earlier processes.
func (d *disk) load(names *flow.Interner) error {
	entries, err := os.ReadDir(d.dir) // by name, which is by age
	if err != nil {
		return fmt.Errorf("read the spool: %w", err)
	}
	for _, entry := range entries {
		digits, _, _ := strings.Cut(entry.Name(), "-")
		number, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || len(digits) != 20 || !strings.HasSuffix(entry.Name(), suffix) || !entry.Type().IsRegular() {
			continue
		}
		d.number = max(d.number, number)
		path := filepath.Join(d.dir, entry.Name())
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("open the spool: %w", err)
		}
		info, err := file.Stat()
		if err != nil {
			file.Close()
			return fmt.Errorf("open the spool: %w", err)
		}
		found := scan(file, info.Size())
		s := &segment{path: path, file: file, size: info.Size(), waiting: found.waiting, newer: found.newer > 0, losses: newLosses(names)}
		d.segments = append(d.segments, s)
		d.bytes += s.size
		if s.newer {
			d.logger.Error("a file of the spool is left alone: a newer sextant wrote it, start that one to have its rows stored", "file", path, "version", found.newer, "known", version)
			s.losses.hole(flow.GapSpoolFull, written(info.ModTime())) // told only where it has to give way
		}
		for _, h := range found.holes {
			d.damaged(s, h, errors.New("header, or the end of the file"))
		}
	}
	for i := range slices.Backward(d.segments) {
		d.retireIfDone(i)
	}
	d.count()
	return nil
}

// written returns a hole of which is known only when it was written.
func written(t time.Time) hole { return hole{from: nanoseconds(t), to: nanoseconds(t)} }

// damaged notes that rows of a segment cannot be read.
func (d *disk) damaged(s *segment, h hole, err error) {
	if h.to == 0 { // nor is there a frame behind it
		h.to = nanoseconds(time.Now())
		if info, err := s.file.Stat(); err == nil {
			h.to = nanoseconds(info.ModTime())
		}
	}
	if h.from == 0 {
		h.from = h.to
	}
	d.logger.Error("rows in the spool cannot be read and are lost", "file", s.path, "rows", h.rows, "err", err)
	s.losses.hole(flow.GapSpoolDamaged, h)
	d.metrics.damaged.Inc()
	d.metrics.dropped.WithLabelValues(reasonDamaged).Add(float64(h.rows))
}

// append takes a delivery, for which the oldest give way. The error leaves everything as it was.
func (d *disk) append(token string, payload []byte, rows int, from, to time.Time) error {
	size := frame{token: len(token), payload: len(payload)}.size()
	if size > d.max {
		return fmt.Errorf("a delivery of %d bytes is larger than the spool: raise spool.max_bytes (%d)", size, d.max)
	}
	for d.bytes+size > d.max {
		before := d.bytes
		if err := d.giveWay(); err != nil {
			return err
		}
		if d.bytes >= before {
			break // what is left tells of losses
		}
	}
	if err := d.write(token, payload, rows, from, to); err != nil {
		return err
	}
	if b := d.untold.Take(); b != nil {
		d.told++
		d.tell(fmt.Sprintf("spool-%s-untold%d", d.run, d.told), b)
	}
	d.count()
	return nil
}

// write appends a frame and syncs it.
func (d *disk) write(token string, payload []byte, rows int, from, to time.Time) error {
	raw, f := appendFrame(nil, token, payload, rows, time.Now(), from, to)
	s, err := d.last(int64(len(raw)))
	if err != nil {
		return err
	}
	f.offset = s.size
	_, err = s.file.WriteAt(raw, s.size)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		if s.file.Truncate(s.size) != nil {
			d.open = false // what is behind its end is nobody's: found as damaged later, as it may be whole
		}
		return err
	}
	s.size += f.size()
	d.bytes += f.size()
	s.waiting = append(s.waiting, f)
	return nil
}

// last returns the segment to write to.
func (d *disk) last(size int64) (*segment, error) {
	if d.open {
		s := d.segments[len(d.segments)-1]
		if s.size == 0 || s.size+size <= d.segmentSize {
			return s, nil
		}
	}
	path := filepath.Join(d.dir, fmt.Sprintf("%020d-%s%s", d.number+1, d.run, suffix))
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := d.syncDir(); err != nil {
		file.Close()
		os.Remove(path)
		return nil, err
	}
	d.number++
	s := &segment{path: path, file: file, losses: newLosses(d.names)}
	d.segments = append(d.segments, s)
	d.open = true
	return s, nil
}

func (d *disk) syncDir() error {
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// giveWay drops the oldest segment of which nothing is being sent.
func (d *disk) giveWay() error {
	i := slices.IndexFunc(d.segments, func(s *segment) bool { return !s.busy })
	if i < 0 {
		return errors.New("the spool is full of what is being sent")
	}
	s := d.segments[i]
	dropped := 0
	for _, f := range s.waiting {
		b, _, err := d.read(s, f, d.decoder)
		if err != nil {
			d.damaged(s, f.hole(), err)
			continue
		}
		s.losses.Batch(flow.GapSpoolFull, b)
		dropped += f.rows - len(b.Gaps) // those are kept
	}
	d.decoder.free()
	d.metrics.dropped.WithLabelValues(reasonFull).Add(float64(dropped))
	d.logger.Warn("the spool is full, its oldest rows are lost: see what keeps the sink, or raise spool.max_bytes", "rows", dropped, "max_bytes", d.max)
	d.retire(i)
	return nil
}

// read returns the rows of a frame.
func (d *disk) read(s *segment, f frame, dec *decoder) (*flow.Batch, string, error) {
	token, payload, err := f.read(s.file)
	if err != nil {
		return nil, "", err
	}
	b, err := dec.decode(payload, f.rows)
	return b, token, err
}

// head returns the segment whose first waiting frame is the oldest of all, or nil.
func (d *disk) head() *segment {
	for _, s := range d.segments {
		if !s.newer && len(s.waiting) > 0 {
			return s
		}
	}
	return nil
}

// done takes the first waiting frame from a segment, and with the last one the segment. Only what was stored is marked:
// what was not is told when the segment goes, and found again where the process ends before.
func (d *disk) done(s *segment, stored bool) error {
	f := s.waiting[0]
	s.waiting = s.waiting[1:]
	var err error
	if stored {
		if err = f.done(s.file); err == nil {
			if s.marks++; s.marks >= marksPerSync {
				err = s.file.Sync()
				s.marks = 0
			}
		}
	}
	d.retireIfDone(slices.Index(d.segments, s))
	d.count()
	return err
}

func (d *disk) retireIfDone(i int) {
	if s := d.segments[i]; !s.newer && len(s.waiting) == 0 {
		d.retire(i)
	}
}

// retire removes a segment. What tells of its losses is on the disk before, under a token that is always the same: when
// the process ends in between it is written again, and a sink takes it for a repetition.
func (d *disk) retire(i int) {
	s := d.segments[i]
	if i == len(d.segments)-1 {
		d.open = false
	}
	if b := s.losses.Take(); b != nil {
		d.tell("spool-"+s.name(), b)
	}
	os.Remove(s.path)
	s.file.Close()
	d.segments = slices.Delete(d.segments, i, i+1)
	d.bytes -= s.size
}

// tell writes gaps, or keeps them until the disk takes them.
func (d *disk) tell(token string, b *flow.Batch) {
	payload, from, to := d.encoder.encode([]*flow.Batch{b})
	if err := d.write(token, payload, b.Len(), from, to); err != nil {
		d.untold.Batch(flow.GapUnknown, b)
	}
}

func (d *disk) count() {
	n := 0
	for _, s := range d.segments {
		n += len(s.waiting)
	}
	d.metrics.deliveries.Set(float64(n))
	d.metrics.bytes.Set(float64(d.bytes))
}

// waiting returns how many deliveries and rows wait, and since when the oldest does.
func (d *disk) waiting() (deliveries, rows int, oldest time.Time) {
	for _, s := range d.segments {
		for _, f := range s.waiting {
			if at := time.Unix(0, f.at); deliveries == 0 || at.Before(oldest) {
				oldest = at
			}
			deliveries++
			rows += f.rows
		}
	}
	return deliveries, rows, oldest
}

// close lets go of the directory.
func (d *disk) close() error {
	var errs []error
	for _, s := range d.segments {
		if s.marks > 0 {
			errs = append(errs, s.file.Sync())
		}
		s.file.Close()
	}
	d.lock.Close()
	return errors.Join(errs...)
}
