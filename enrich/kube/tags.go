package kube

import (
	"slices"
	"unicode/utf8"
)

// The most there is of an object's tags.
const (
	maxTags = 16
	maxTag  = 128 // bytes, the key among them
)

// tags returns the labels and annotations that the settings ask for as "key=value", in the order asked for: of the first
// object, or else of the second.
func (c *Config) tags(first, second described) []string {
	var tags []string
	add := func(key string, of func(described) map[string]string) {
		value, ok := of(first)[key]
		if !ok {
			value, ok = of(second)[key]
		}
		if tag := shorten(key + "=" + value); ok && len(tags) < maxTags && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	for _, key := range c.Labels {
		add(key, func(d described) map[string]string { return d.labels })
	}
	for _, key := range c.Annotations {
		add(key, func(d described) map[string]string { return d.annotations })
	}
	return tags
}

// described is how an object is described, as far as the settings ask for it.
type described struct{ labels, annotations map[string]string }

// asked returns the annotations that the settings ask for.
func (s *state) asked(annotations map[string]string) map[string]string {
	var asked map[string]string
	for _, key := range s.cfg.Annotations {
		if value, ok := annotations[key]; ok {
			if asked == nil {
				asked = map[string]string{}
			}
			asked[key] = shorten(value)
		}
	}
	return s.shared.set(asked)
}

// shorten cuts a text between its runes.
func shorten(text string) string {
	if len(text) <= maxTag {
		return text
	}
	end := maxTag
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
