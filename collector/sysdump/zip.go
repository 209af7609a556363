package sysdump

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"unicode"
)

// What an archive may unpack to, in bytes. Flows and objects shrink to a tenth or a twentieth; what shrinks to less than a
// two-hundredth was made to. A small file may: everything alike shrinks to a thousandth.
const (
	maxUnpacked = 64 << 30
	maxRatio    = 200
	small       = 64 << 20
)

// unzip notes what lies in the archive.
func (d *Dump) unzip() error {
	file, err := os.Open(d.Path)
	if err != nil {
		return err
	}
	d.archive = file
	info, err := file.Stat()
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(file, info.Size())
	if err != nil {
		return fmt.Errorf("is no zip archive, or one that was cut short or damaged: copy it once more (%w)", err)
	}
	if len(archive.File) > maxFiles {
		return fmt.Errorf("holds more than %d files: unpack it, and name the folder of the dump itself", maxFiles)
	}
	var unpacked uint64
	for _, m := range inOrder(archive.File) {
		name := slashed(m.Name)
		if path.IsAbs(name) || slices.Contains(strings.Split(name, "/"), "..") {
			return fmt.Errorf("holds a file named %q, which leads out of it: no sysdump does", m.Name)
		}
		if !m.Mode().IsRegular() || !d.note(name, d.member(m, name)) {
			continue
		}
		if err := refuse(m); err != nil {
			return fmt.Errorf("%s %w", printable(name), err)
		}
		if unpacked += m.UncompressedSize64; unpacked > maxUnpacked || unpacked > small && unpacked/maxRatio > uint64(info.Size()) {
			return fmt.Errorf("unpacks to more than %d MiB, which no sysdump of its size does: unpack it if you trust it, and name the folder", unpacked>>20)
		}
	}
	return nil
}

// inOrder sorts members as walking a directory does: what lies in a folder stands where the folder does.
func inOrder(members []*zip.File) []*zip.File {
	type keyed struct {
		key string
		*zip.File
	}
	sorted := make([]keyed, len(members))
	for i, m := range members {
		sorted[i] = keyed{strings.ReplaceAll(slashed(m.Name), "/", "\x00"), m}
	}
	slices.SortStableFunc(sorted, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	for i := range sorted {
		members[i] = sorted[i].File
	}
	return members
}

// refuse says why a member cannot be read, or should not be.
func refuse(m *zip.File) error {
	const encrypted = 1 // the lowest flag (APPNOTE 4.4.4)
	switch size := m.UncompressedSize64; {
	case m.Flags&encrypted != 0:
		return errors.New("is encrypted: unpack the archive with its password, and name the folder")
	case m.Method != zip.Store && m.Method != zip.Deflate:
		return fmt.Errorf("is packed by method %d, which is neither stored nor deflated: unpack the archive, and name the folder", m.Method)
	case size > maxUnpacked || size > small && size/maxRatio > m.CompressedSize64:
		return fmt.Errorf("unpacks to %d MiB, from less than a %dth of that: unpack the archive if you trust it, and name the folder", size>>20, maxRatio)
	}
	return nil
}

// member returns a member of the archive as a file.
func (d *Dump) member(m *zip.File, name string) File {
	where := d.Path + "/" + printable(name)
	return File{where, int64(m.UncompressedSize64), func() (io.ReadCloser, error) {
		content, err := m.Open()
		if err != nil {
			return nil, &fs.PathError{Op: "unpack", Path: where, Err: err}
		}
		return unpacking{content}, nil
	}}
}

// unpacking says of an error that it came from unpacking: there is more than the archive told, less, or something else
// than was packed.
type unpacking struct{ io.ReadCloser }

func (u unpacking) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("unpack: %w", err)
	}
	return n, err
}

// slashed returns a member's name with slashes, which some programs write the other way.
func slashed(name string) string { return strings.ReplaceAll(name, `\`, "/") }

// printable keeps what a stranger put into a name from being a command to a terminal.
func printable(name string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, name)
}
