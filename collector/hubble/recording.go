package hubble

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	flowpb "github.com/cilium/cilium/api/v1/flow"
	observerpb "github.com/cilium/cilium/api/v1/observer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"sextant/collector/sysdump"
)

// Recording reads one recorded stream of flows, a JSON object a line: a file of Hubble's exporter, or the output of
// `hubble observe -o jsonpb` or `-o json`, where old versions print the bare flow. Plain or gzip, told by its first
// bytes. Fields and enum values it does not know are skipped.
type Recording struct {
	name  string
	file  io.Closer
	lines *bufio.Reader
	line  int
	event observerpb.ExportEvent // scratch
}

// Message is one line of a recording.
type Message struct {
	Raw  []byte    // an observer.ExportEvent, which a GetFlowsResponse is too; empty when the line holds neither
	Time time.Time // zero when the line has none
	Line int       // from 1
}

// LineError is a line that could not be read. The lines after it can.
type LineError struct {
	File string
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// maxLine bounds a line, in bytes. A flow with all its labels is about 3,000 long.
const maxLine = 4 << 20

var errLongLine = fmt.Errorf("line is longer than %d bytes", maxLine)

// OpenRecording opens the file at path, or standard input for "-".
func OpenRecording(path string) (*Recording, error) {
	if path == "-" {
		return NewRecording("standard input", io.NopCloser(os.Stdin))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err // names the path
	}
	r, err := NewRecording(path, f)
	if err != nil {
		f.Close()
	}
	return r, err
}

// NewRecording reads from file, which Close closes. The name is for errors.
func NewRecording(name string, file io.ReadCloser) (*Recording, error) {
	return newRecording(name, file, 256<<10)
}

func newRecording(name string, file io.ReadCloser, buffer int) (*Recording, error) {
	lines := bufio.NewReaderSize(file, buffer)
	if magic, _ := lines.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(lines)
		if err != nil {
			return nil, fmt.Errorf("%s: gzip: %w", name, err)
		}
		lines = bufio.NewReaderSize(z, buffer)
	}
	if start, _ := lines.Peek(4); sysdump.IsArchive(start) {
		return nil, fmt.Errorf("%s is a zip archive: give its name, for it cannot be read from its beginning", name)
	}
	return &Recording{name: name, file: file, lines: lines}, nil
}

// Close closes the file.
func (r *Recording) Close() error { return r.file.Close() }

// Next returns the next line that is not blank, io.EOF after the last, a *LineError for one that cannot be read, and any
// other error when the file itself cannot be read on.
func (r *Recording) Next() (Message, error) {
	for {
		line, err := r.readLine()
		if errors.Is(err, errLongLine) {
			return Message{}, &LineError{r.name, r.line, err}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				err = fmt.Errorf("%s: after line %d: %w", r.name, r.line, err)
			}
			return Message{}, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		msg := Message{Line: r.line}
		if err := r.parse(line, &msg); err != nil {
			return Message{}, &LineError{r.name, r.line, plainError(err)}
		}
		return msg, nil
	}
}

// readLine returns the next line, valid until the next call.
func (r *Recording) readLine() ([]byte, error) {
	line, err := r.lines.ReadSlice('\n')
	if err == nil || err == io.EOF && len(line) > 0 {
		r.line++
		return line, nil
	}
	if err != bufio.ErrBufferFull {
		return nil, err
	}
	r.line++
	long := bytes.Clone(line)
	for err == bufio.ErrBufferFull {
		line, err = r.lines.ReadSlice('\n')
		if len(long) <= maxLine {
			long = append(long, line...)
		}
	}
	if len(long) > maxLine {
		return nil, errLongLine
	}
	if err == io.EOF {
		err = nil
	}
	return long, err
}

func (r *Recording) parse(line []byte, msg *Message) error {
	options := protojson.UnmarshalOptions{DiscardUnknown: true}
	proto.Reset(&r.event)
	if err := options.Unmarshal(line, &r.event); err != nil {
		return err
	}
	if r.event.GetResponseTypes() == nil {
		var bare flowpb.Flow
		if err := options.Unmarshal(line, &bare); err != nil || !isFlow(&bare) {
			return nil // a JSON object, but of something else
		}
		r.event.ResponseTypes = &observerpb.ExportEvent_Flow{Flow: &bare}
	}
	if msg.Time = timeOf(r.event.GetTime()); msg.Time.IsZero() {
		msg.Time = timeOf(r.event.GetFlow().GetTime())
	}
	raw, err := proto.Marshal(&r.event)
	msg.Raw = raw
	return err
}

// plainError undoes the prefix "proto:" and the space behind it, which protobuf varies so that nobody relies on its words.
func plainError(err error) error {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	return errors.New(strings.TrimPrefix(text, "proto: "))
}

// isFlow tells a bare flow from any other JSON object, which unknown fields alone would not.
func isFlow(f *flowpb.Flow) bool {
	return f.GetEventType() != nil || f.GetIP() != nil || f.GetType() != flowpb.FlowType_UNKNOWN_TYPE ||
		f.GetVerdict() != flowpb.Verdict_VERDICT_UNKNOWN
}
