package hubble

import (
	"fmt"

	"sextant/collector/sysdump"
)

// open are the recordings that are open, and the dumps in which some of them lie.
type open struct {
	recordings []*Recording
	dumps      []*sysdump.Dump
}

// memberBuffer is what a recording reads ahead, in bytes, that lies in a dump beside those of hundreds of nodes. The
// lines that are longer cost a copy.
const memberBuffer = 16 << 10

// add opens what is at path: a recording, or all that lie in a sysdump or a directory, which may hold other things as
// well. An error names what cannot be opened.
func (o *open) add(path string) error {
	if !sysdump.Is(path) { // standard input and what is not there among them
		recording, err := OpenRecording(path)
		if err == nil {
			o.recordings = append(o.recordings, recording)
		}
		return err
	}
	dump, err := sysdump.Open(path)
	if err != nil {
		return err
	}
	o.dumps = append(o.dumps, dump)
	if len(dump.Flows) == 0 {
		return fmt.Errorf("%s: %w", path, dump.NoFlows())
	}
	for _, file := range dump.Flows {
		content, err := file.Open()
		if err != nil {
			return err
		}
		recording, err := newRecording(file.Name, content, memberBuffer)
		if err != nil {
			content.Close()
			return err
		}
		o.recordings = append(o.recordings, recording)
	}
	return nil
}

func (o *open) close() {
	for _, r := range o.recordings {
		r.Close()
	}
	for _, d := range o.dumps {
		d.Close()
	}
}
