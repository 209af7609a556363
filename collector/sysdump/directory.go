package sysdump

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// maxFiles bounds what a dump may hold.
const maxFiles = 100_000

// walk notes what lies below the directory. Links to directories are not followed, so that there is an end; a mounted
// ConfigMap or Secret still shows each file once.
func (d *Dump) walk() error {
	seen := 0
	return filepath.WalkDir(d.Path, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if file != d.Path && isHidden(entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(d.Path, file)
		if err != nil {
			return err
		}
		if holds(filepath.ToSlash(name)) == other {
			return nil
		}
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() {
			d.note(filepath.ToSlash(name), File{file, info.Size(), func() (io.ReadCloser, error) { return os.Open(file) }})
		}
		if seen++; seen > maxFiles {
			return fmt.Errorf("more than %d files: name the directory of the dump itself", maxFiles)
		}
		return nil
	})
}

// note files a file under what it holds. It reports whether anybody will read it.
func (d *Dump) note(name string, f File) bool {
	switch holds(name) {
	case objects:
		d.Whole = d.Whole || matches("k8s-nodes-????????-??????.yaml", path.Base(name))
		d.Objects = append(d.Objects, f)
		return true
	case flows:
		d.Flows = append(d.Flows, f)
		return true
	case strange:
		d.Left = append(d.Left, f.Name)
	case archive:
		d.archives = append(d.archives, f.Name)
	}
	return false
}
