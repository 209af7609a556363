package inventory

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"sextant/collector/flow"
)

// Bounds of a detail, for names may be as long as a dump's author likes.
const (
	maxExamples = 3
	maxDetail   = 1000 // bytes
)

// label is a family in a sentence.
var label = [...]string{flow.FamilyNone: "no family", flow.FamilyIPv4: "IPv4", flow.FamilyIPv6: "IPv6"}

func clause(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// sentence joins clauses.
func sentence(clauses []string) string {
	text := strings.Join(clauses, "; ")
	if len(text) <= maxDetail {
		return text
	}
	cut := maxDetail
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// number says how many there are of a thing whose plural has an s, or an es.
func number(n uint64, thing string) string {
	switch {
	case n == 1:
	case strings.HasSuffix(thing, "s") || strings.HasSuffix(thing, "x"):
		thing += "es"
	default:
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// verb is the verb after a number, "are" but for one.
func verb(n uint64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// enumerate lists words, as many as a reader needs to know what is meant.
func enumerate(words []string) string {
	if more := len(words) - maxExamples; more > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:maxExamples], ", "), more)
	}
	return strings.Join(words, ", ")
}
