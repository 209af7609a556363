package kube

import (
	"hash/maphash"
	"maps"
	"strings"
)

// shared keeps one of equal texts and equal sets of labels, of which a cluster has many: the pods of a workload differ in
// little but their names. It forgets all it has when it is full; what was shared stays so.
type shared struct {
	seed  maphash.Seed
	texts map[string]string
	sets  map[uint64]map[string]string
}

const (
	maxShared     = 1 << 15
	maxSharedText = 256 // longer ones are seldom equal
)

// text returns a copy of a text that equal ones share, so that nothing else stays in memory with it.
func (s *shared) text(text string) string {
	if text == "" {
		return ""
	}
	if same, ok := s.texts[text]; ok {
		return same
	}
	text = strings.Clone(text)
	if len(text) > maxSharedText {
		return text
	}
	if s.texts == nil || len(s.texts) >= maxShared {
		s.texts = map[string]string{}
	}
	s.texts[text] = text
	return text
}

// set returns a set that equal ones share. It must not be changed.
func (s *shared) set(set map[string]string) map[string]string {
	if len(set) == 0 {
		return nil
	}
	if s.sets == nil || len(s.sets) >= maxShared {
		s.seed, s.sets = maphash.MakeSeed(), map[uint64]map[string]string{}
	}
	var hash uint64
	for key, value := range set {
		hash += maphash.Comparable(s.seed, [2]string{key, value})
	}
	if same, ok := s.sets[hash]; ok && maps.Equal(same, set) {
		return same
	}
	copied := make(map[string]string, len(set))
	for key, value := range set {
		copied[s.text(key)] = s.text(value)
	}
	s.sets[hash] = copied
	return copied
}
