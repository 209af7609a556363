package kube

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// loadAll takes the objects of files and of what is below directories.
func (s *state) loadAll(paths []string) (Report, error) {
	s.report, s.objects = newReport(), 0
	if len(paths) == 0 {
		return s.report, errors.New("no file or directory with the cluster's state was named")
	}
	for _, path := range paths {
		s.paths++
		s.path = s.paths
		if err := s.load(path); err != nil {
			return s.report, err
		}
	}
	if len(s.report.Objects) == 0 {
		return s.report, fmt.Errorf("no object that tells about a cluster in %s (%d files): write some there with `kubectl get nodes,pods,services,… -A -o yaml`",
			strings.Join(paths, ", "), s.report.Files)
	}
	return s.report, nil
}

// takeDocument takes the objects of a document: one, the items of a List, or a plain list of both. It returns false when
// there is none.
func (s *state) takeDocument(doc tree) (bool, error) {
	elements, isList := doc.list()
	if !isList {
		return s.takeObjects(doc)
	}
	place, any := s.where, false
	for i, element := range elements {
		s.where = fmt.Sprintf("%s, element %d", place, i+1)
		ok, err := s.takeObjects(element)
		if err != nil {
			return false, err
		}
		any = any || ok
	}
	return any, nil
}

func (s *state) takeObjects(doc tree) (bool, error) {
	apiVersion, kind, items := doc.head()
	if apiVersion == "" || kind == "" {
		return false, nil
	}
	of, isList := strings.CutSuffix(kind, "List")
	if !isList || items == nil {
		return true, s.takeObject(apiVersion, kind, doc)
	}
	place := s.where
	for i, item := range items {
		s.where = fmt.Sprintf("%s, item %d", place, i+1)
		itemVersion, itemKind, _ := item.head()
		if itemVersion == "" && itemKind == "" && of != "" { // as in a NodeList straight from the API
			itemVersion, itemKind = apiVersion, of
		}
		if err := s.takeObject(itemVersion, itemKind, item); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (s *state) takeObject(apiVersion, kind string, object tree) error {
	if s.objects++; s.objects > maxObjects {
		return fmt.Errorf("more than %d objects: dump only the kinds that matter", maxObjects)
	}
	full := strings.TrimSpace(apiVersion + " " + kind)
	if full == "" {
		full = "no kind"
	}
	decode, ok := kinds[full]
	if !ok {
		count(s.report.Ignored, full)
		return nil
	}
	s.where += ": " + kind
	o, err := decode(object)
	if err != nil {
		return err
	}
	s.where += " " + o.called().String()
	if err := s.take(time.Time{}, o); err != nil {
		return err
	}
	count(s.report.Objects, full)
	return nil
}
