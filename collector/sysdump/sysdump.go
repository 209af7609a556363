// Package sysdump opens what `cilium sysdump` leaves behind, the zip archive or the directory that it unpacks to, and says
// which of its files hold Kubernetes objects and which hold flows.
//
// cilium-cli writes some hundred files into one folder and zips it, alike since 2021 (cilium-cli/sysdump/constants.go): lists
// of objects as YAML (k8s-pods-20261124-033000.yaml, ciliumnodes-….yaml, cilium-configmap-….yaml), for every agent the output
// of `hubble observe -o jsonpb` (hubble-flows-cilium-x7k2p-….json), and logs, metrics, profiles and for every agent a folder
// cilium-bugtool-…, which tell nothing here. ReplicaSets, Jobs and ServiceCIDRs it does not ask for. Names are taken for what
// they begin and end with, in any folder, so that other archives and directories of objects and recordings serve as well.
//
// It unpacks nothing to a disk, opens no archive within the archive, and refuses archives that unpack to more than what
// anybody would have packed.
package sysdump

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Dump is an opened archive or directory.
type Dump struct {
	Path    string
	Objects []File   // that hold Kubernetes objects if their names tell the truth, in lexical order
	Flows   []File   // that hold recorded flows, in lexical order
	Left    []string // that are named as if they held objects, but are known to hold none
	Whole   bool     // cilium sysdump wrote it: there is the list of nodes, which is always the first that it writes

	archives []string // that lie in it
	archive  *os.File // that it is; nil for a directory
}

// File is one of a dump's.
type File struct {
	Name string // the dump's path and the file's within it, for whoever reads messages
	Size int64  // in bytes, as the dump tells
	// Open opens the file, any number of times and together with others. An error names it. Out of an archive comes no
	// more than Size.
	Open func() (io.ReadCloser, error)
}

// Is reports whether path names what Open opens: a directory, or a file that begins as a zip archive does or is named as
// one.
func Is(path string) bool {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return false
	case info.IsDir():
		return true
	case !info.Mode().IsRegular():
		return false
	case strings.EqualFold(filepath.Ext(path), ".zip"):
		return true
	}
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	var start [4]byte
	_, err = io.ReadFull(file, start[:])
	return err == nil && IsArchive(start[:])
}

// IsArchive reports whether text begins as a zip archive does: with a file, or with the end of an empty one.
func IsArchive(text []byte) bool {
	return bytes.HasPrefix(text, []byte("PK\x03\x04")) || bytes.HasPrefix(text, []byte("PK\x05\x06"))
}

// Open opens an archive or a directory, and reads nothing of it but what lies in it. An error names the path.
func Open(path string) (*Dump, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	d := &Dump{Path: path}
	switch {
	case info.IsDir():
		err = d.walk()
	case info.Mode().IsRegular():
		err = d.unzip()
	default:
		err = errors.New("neither a zip archive nor a directory")
	}
	if err != nil {
		d.Close()
		if _, named := errors.AsType[*fs.PathError](err); !named {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return nil, err
	}
	return d, nil
}

// Close closes the archive. Files that were opened cannot be read on.
func (d *Dump) Close() {
	if d.archive != nil {
		d.archive.Close()
	}
}

// NoObjects is what to say of a dump without Objects.
func (d *Dump) NoObjects() error {
	return fmt.Errorf("there is no file named *.yaml, *.yml or *.json that may hold Kubernetes objects%s", d.hint())
}

// NoFlows is what to say of a dump without Flows.
func (d *Dump) NoFlows() error {
	return fmt.Errorf("there are no recorded flows, no file named hubble-flows-*.json or *.jsonl (cilium sysdump leaves them out when it is --quick, and where Hubble is off)%s", d.hint())
}

// hint tells whoever packed a sysdump once more, as CI systems do, where to look.
func (d *Dump) hint() string {
	if len(d.archives) == 0 {
		return ""
	}
	return fmt.Sprintf("; what lies in %s is not looked at: unpack that, and name it", d.archives[0])
}
