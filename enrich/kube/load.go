package kube

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sextant/collector/sysdump"
)

// maxFileSize bounds a file of a dump. Reading takes some ten times its size in memory.
const maxFileSize = 256 << 20

// load takes the objects of a file, or of all files below a directory or in an archive.
func (s *state) load(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("load the cluster's state: %w", err)
	case sysdump.Is(path):
		return s.loadDump(path)
	case info.Mode().IsRegular():
		return s.loadFile(sysdump.File{Name: path, Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(path) }})
	}
	return fmt.Errorf("load the cluster's state: %s is neither a file nor a directory", path)
}

func (s *state) loadDump(path string) error {
	dump, err := sysdump.Open(path)
	if err != nil {
		return fmt.Errorf("load the cluster's state: %w", err)
	}
	defer dump.Close()
	if len(dump.Objects) == 0 {
		return fmt.Errorf("load the cluster's state from %s: %w", path, dump.NoObjects())
	}
	for _, file := range dump.Left {
		note(&s.report.Skipped, "%s: no Kubernetes objects, by its name", file)
	}
	for _, file := range dump.Objects {
		if err := s.loadFile(file); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) loadFile(file sysdump.File) error {
	text, err := readFile(file)
	if err != nil {
		return fmt.Errorf("load the cluster's state: %w", err)
	}
	s.report.Files++
	var documents, strange int
	for doc, err := range parse(text, strings.EqualFold(filepath.Ext(file.Name), ".json")) {
		documents++
		s.where = fmt.Sprintf("%s: document %d", file.Name, documents)
		if err == nil {
			var ok bool
			ok, err = s.takeDocument(doc)
			if err == nil && !ok {
				strange++
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.where, err)
		}
	}
	switch {
	case documents == 0:
		note(&s.report.Skipped, "%s: empty", file.Name)
	case strange == documents:
		note(&s.report.Skipped, "%s: no Kubernetes objects, they have an apiVersion and a kind", file.Name)
	case strange > 0:
		note(&s.report.Skipped, "%s: %d of %d documents are no Kubernetes objects, they have an apiVersion and a kind", file.Name, strange, documents)
	}
	return nil
}

// readFile reads a file that is not too large, whatever it grows to meanwhile.
func readFile(file sysdump.File) ([]byte, error) {
	tooLarge := fmt.Errorf("%s has more than %d MiB: dump fewer kinds at a time, each into a file", file.Name, maxFileSize>>20)
	if file.Size > maxFileSize {
		return nil, tooLarge
	}
	content, err := file.Open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, maxFileSize+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", file.Name, err)
	case len(text) > maxFileSize:
		return nil, tooLarge
	}
	return text, nil
}
