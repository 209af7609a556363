package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sextant/collector"
	"sextant/collector/flow"
)

// progress is how far the flows of each node went to the sink, and what the stages of the pipeline held back of them. It
// stands in two files beside the segments, so that a process goes on where the one before ended, killed or not:
//
//	sent  a frame of the marks of all nodes, and one of the delivery that is being sent. So a delivery and that it was
//	      begun are written at once, before anybody else may know of it
//	held  a frame of what the stages held back when the nodes were where they are Known
//
// Each file is replaced as a whole. They are not synced: a process that is killed leaves them, a machine that loses power
// may leave older ones, and then the flows since are sent twice.
type progress struct {
	dir     string
	logger  *slog.Logger
	encoder *encoder
	marks   map[nodeKey]*mark
	asked   bool // what the stages hold was told: else nothing is kept, as nobody knows what is missing
	broken  bool // the disk did not take them the last time

	token  string   // of the delivery that is being sent
	frame  frame    // where it stands in …
	flight *os.File // … the file; nil where there is none
}

type nodeKey struct{ node, cluster flow.Name }

// mark is that of a node. It is ours once a flow behind it has come: then the stages of this process have seen all before.
type mark struct {
	flow.Mark
	ours bool
}

const (
	sentName, heldName = "sent", "held"

	// No ring holds what a node said so long ago.
	forgetNode = 24 * time.Hour
	// mostMarks bounds the nodes. Further ones begin anew after a restart.
	mostMarks = 1 << 14
	// underWay is how much later than from another node a flow may have come from one: of that time, what the stages held
	// may lack a part.
	underWay = time.Second
)

// left is what a process has left.
type left struct {
	held   *flow.Batch // what its stages held back, with gaps that say since when it may be incomplete
	token  string      // of the delivery that it was sending …
	flight *flow.Batch // … with its rows; nil where there was none
}

// openProgress reads what the process before left. Damaged files are as none.
func openProgress(dir string, names *flow.Interner, logger *slog.Logger) (p *progress, was left) {
	p = &progress{dir: dir, logger: logger, encoder: newEncoder(), marks: map[nodeKey]*mark{}}
	sent, tokens, err := p.read(sentName, names)
	if err == nil && len(sent) > 1 {
		was.token, was.flight = tokens[1], sent[1]
	}
	if err == nil && len(sent) > 0 {
		p.take(sent[0].Records)
	}
	held, _, heldErr := p.read(heldName, names)
	if heldErr == nil && len(held) > 0 {
		was.held = held[0]
	}
	if err = errors.Join(err, heldErr); err != nil {
		logger.Error("what an earlier run left under way cannot be read", "err", err)
	}
	if len(p.marks) > 0 {
		if was.held == nil {
			was.held = &flow.Batch{}
		}
		was.held.Gaps = append(was.held.Gaps, p.gaps(names)...)
	}
	return p, was
}

// take reads the marks: two records for each node.
func (p *progress) take(records []flow.Record) {
	for ; len(records) >= 2; records = records[2:] {
		known, sent := &records[0], &records[1]
		if time.Since(sent.Time) < forgetNode {
			p.marks[nodeKey{known.Node, known.Cluster}] = &mark{Mark: flow.Mark{Node: known.Node, Cluster: known.Cluster, Known: flow.PointOf(known), Sent: flow.PointOf(sent)}}
		}
	}
}

// gaps tell where connections are cut. The nodes were not all followed to the same moment, and a connection of two of them
// may have been half seen.
func (p *progress) gaps(names *flow.Interner) (gaps []flow.Gap) {
	var newest time.Time
	for _, m := range p.marks {
		if m.Known.Time.After(newest) {
			newest = m.Known.Time
		}
	}
	for _, m := range p.sorted() {
		from := newest.Add(-underWay)
		if m.Known.Time.After(from) {
			from = m.Known.Time
		}
		gaps = append(gaps, flow.Gap{
			Node: m.Node, Cluster: m.Cluster, From: from, To: newest, Cause: flow.GapRestart,
			Detail: names.Name("the collector was started anew: of a connection that was under way then, the record may hold two parts"),
		})
	}
	return gaps
}

// sorted returns the marks by node.
func (p *progress) sorted() (all []flow.Mark) {
	for _, m := range p.marks {
		all = append(all, m.Mark)
	}
	slices.SortFunc(all, func(x, y flow.Mark) int {
		return cmp.Or(cmp.Compare(x.Node.Get(), y.Node.Get()), cmp.Compare(x.Cluster.Get(), y.Cluster.Get()))
	})
	return all
}

// depart writes a delivery and the marks behind it, before it is sent. One that is tried again is there already.
func (p *progress) depart(d collector.Delivery) {
	if !p.asked || p.flight != nil && p.token == d.Token {
		return
	}
	for _, b := range d.Batches {
		p.note(b.Records)
	}
	p.token = d.Token
	p.save(part{d.Token, d.Batches})
}

// land notes that a delivery is stored, or waits in a segment.
func (p *progress) land() {
	if p.flight == nil {
		return
	}
	if err := p.frame.done(p.flight); err != nil { // then it is sent once more, and found
		p.complain(err)
	}
	p.flight.Close()
	p.flight = nil
}

// note moves the marks behind flows.
func (p *progress) note(records []flow.Record) {
	var m *mark
	for i := range records {
		r := &records[i]
		if m == nil || m.Node != r.Node || m.Cluster != r.Cluster {
			m = p.mark(r)
		}
		if m != nil {
			m.Sent, m.ours = flow.PointOf(r), true
		}
	}
}

func (p *progress) mark(r *flow.Record) *mark {
	key := nodeKey{r.Node, r.Cluster}
	m := p.marks[key]
	if m == nil && len(p.marks) < mostMarks {
		m = &mark{Mark: flow.Mark{Node: r.Node, Cluster: r.Cluster, Known: flow.Point{Time: r.Time.Add(-1)}}}
		p.marks[key] = m
	}
	return m
}

// hold writes what the stages held back when all was stored up to the marks.
func (p *progress) hold(held *flow.Batch) {
	p.asked = true
	if !p.keep(held) { // first: to hold what came later does no harm
		return
	}
	for _, m := range p.marks {
		if m.ours {
			m.Known = m.Sent
		}
	}
	p.save()
}

// clear forgets what the process before left, as it is in a segment now. Its marks stay.
func (p *progress) clear() {
	if p.keep(&flow.Batch{}) {
		p.save()
	}
}

func (p *progress) keep(held *flow.Batch) bool {
	file, _, err := p.write(heldName, part{heldName, []*flow.Batch{held}})
	p.complain(err)
	if err != nil {
		return false
	}
	file.Close()
	return true
}

// save writes the marks, and the deliveries that are being sent: one at most.
func (p *progress) save(flights ...part) {
	marks := &flow.Batch{}
	for _, m := range p.sorted() {
		for _, at := range []flow.Point{m.Known, m.Sent} {
			marks.Records = append(marks.Records, flow.Record{Node: m.Node, Cluster: m.Cluster, Time: at.Time, UUID: at.UUID})
		}
	}
	file, last, err := p.write(sentName, append([]part{{sentName, []*flow.Batch{marks}}}, flights...)...)
	p.complain(err)
	if err != nil {
		return
	}
	if p.flight != nil {
		p.flight.Close()
		p.flight = nil
	}
	if len(flights) == 0 {
		file.Close()
		return
	}
	p.flight, p.frame = file, last
}

// part is what becomes a frame.
type part struct {
	token   string
	batches []*flow.Batch
}

// write replaces a file, and returns the new one with its last frame.
func (p *progress) write(name string, parts ...part) (file *os.File, last frame, err error) {
	var raw []byte
	for _, part := range parts {
		payload, from, to := p.encoder.encode(part.batches)
		rows := 0
		for _, b := range part.batches {
			rows += b.Len()
		}
		offset := int64(len(raw))
		raw, last = appendFrame(raw, part.token, payload, rows, time.Now(), from, to)
		last.offset = offset
	}
	path := filepath.Join(p.dir, name)
	file, err = os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, frame{}, err
	}
	if _, err = file.Write(raw); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		file.Close()
		return nil, frame{}, err
	}
	return file, last, nil
}

// complain says in the log, once, that the disk takes nothing, or does again.
func (p *progress) complain(err error) {
	switch {
	case err != nil && !p.broken:
		p.logger.Error("how far the flows came cannot be noted on disk, a restart may store some twice", "err", err)
	case err == nil && p.broken:
		p.logger.Info("how far the flows came can be noted on disk again")
	}
	p.broken = err != nil
}

// read returns what stands in a file and is not done, with its tokens.
func (p *progress) read(name string, names *flow.Interner) (batches []*flow.Batch, tokens []string, err error) {
	path := filepath.Join(p.dir, name)
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	found := scan(file, info.Size())
	if found.newer > 0 || len(found.holes) > 0 {
		return nil, nil, fmt.Errorf("%s: it is damaged, or of a newer sextant", path)
	}
	for _, f := range found.waiting {
		token, payload, err := f.read(file)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		b, err := newDecoder(names).decode(payload, f.rows)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		batches, tokens = append(batches, b), append(tokens, token)
	}
	return batches, tokens, nil
}
