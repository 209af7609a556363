package preflight

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Style is how a text looks.
type Style struct {
	Color bool
	Width int // columns; 0: lines are as long as they are
}

// Columns of a line: verdict, then subject, then everything else.
const (
	subjectAt = 10
	leastText = 40
)

var colors = map[Verdict]string{OK: "\x1b[32m", Note: "\x1b[36m", Warn: "\x1b[33m", Fail: "\x1b[1;31m", Unknown: "\x1b[35m"}

// WriteText writes the report for people: by topic, one verdict a line, and below it what follows and what to do.
func (r Report) WriteText(w io.Writer, style Style) {
	textAt := 0
	for _, l := range r.Lines {
		textAt = max(textAt, subjectAt+utf8.RuneCountInString(l.Subject)+2)
	}
	p := printer{w: w, style: style, indent: textAt}
	topic := ""
	for _, l := range r.Lines {
		if l.Topic != topic {
			if topic != "" {
				fmt.Fprintln(w)
			}
			topic = l.Topic
			fmt.Fprintln(w, topic)
		}
		p.line(l)
	}
	s := r.Summary
	fmt.Fprintf(w, "\n%d ok, %d note, %d warn, %d fail, %d unknown\n", s.OK, s.Note, s.Warn, s.Fail, s.Unknown)
}

type printer struct {
	w      io.Writer
	style  Style
	indent int
}

func (p *printer) line(l Line) {
	word := fmt.Sprintf("%-7s", l.Verdict)
	if p.style.Color {
		word = colors[l.Verdict] + word + "\x1b[0m"
	}
	head := "  " + word + " " + l.Subject + strings.Repeat(" ", p.indent-subjectAt-utf8.RuneCountInString(l.Subject))
	text := l.Text
	if len(l.Nodes) > 0 {
		text = some(l.Nodes) + ": " + text
	}
	p.paragraph(head, "", text)
	margin := strings.Repeat(" ", p.indent)
	if l.Means != "" {
		p.paragraph(margin, "", l.Means)
	}
	if l.Remedy != "" {
		p.paragraph(margin, "  ", "do: "+l.Remedy)
	}
}

// paragraph writes words behind a head, and what does not fit below them.
func (p *printer) paragraph(head, hang, text string) {
	width := 0
	if p.style.Width > 0 {
		width = max(leastText, p.style.Width-p.indent)
	}
	margin := strings.Repeat(" ", p.indent)
	for i, line := range wrap(Printable(text), width, len(hang)) {
		if i == 0 {
			fmt.Fprintln(p.w, strings.TrimRight(head+line, " "))
		} else {
			fmt.Fprintln(p.w, margin+hang+line)
		}
	}
}

// wrap breaks a text at its blanks into lines of a width, the ones after the first shorter by hang. A word that is longer
// stays whole, for it may be a command.
func wrap(text string, width, hang int) []string {
	if width == 0 {
		return []string{text}
	}
	var lines []string
	line, room := "", width
	for word := range strings.FieldsSeq(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > room {
			lines = append(lines, line)
			line, room = "", width-hang
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

// Printable keeps what a stranger put into a name from being a command to the terminal.
func Printable(s string) string {
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c >= 0x7f && c < 0xa0 || c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 {
			return '?'
		}
		return c
	}, s)
}

// some names a few of many.
func some(names []string) string {
	const most = 3
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}
