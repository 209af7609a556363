package clickhouse

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Formats are the formats that Write knows: a table for a person, one JSON object per line, or CSV with a header line.
var Formats = []string{"table", "json", "csv"}

const (
	tableRows = 10_000 // a table is held in memory to be aligned
	cellRunes = 500
)

// Write prints the rows as they come, but for a table, which is held back to be aligned and ends after 10,000 rows with a
// line that says how many there were more.
func (r *Rows) Write(w io.Writer, format string) error {
	out := bufio.NewWriter(w)
	var err error
	switch format {
	case "table":
		err = r.writeTable(out)
	case "json":
		err = r.writeJSON(out)
	case "csv":
		err = r.writeCSV(out)
	default:
		return fmt.Errorf("format must be one of %s, is %q", strings.Join(Formats, ", "), format)
	}
	if flushed := out.Flush(); err == nil {
		err = flushed
	}
	return err
}

func (r *Rows) writeJSON(w *bufio.Writer) error {
	var line []byte
	for row, err := range r.All() {
		if err != nil {
			return err
		}
		line = append(line[:0], '{')
		for i, v := range row {
			if i > 0 {
				line = append(line, ',')
			}
			line = appendJSON(line, r.Columns[i].Name)
			line = append(line, ':')
			line = appendJSON(line, v)
		}
		line = append(line, '}', '\n')
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

func (r *Rows) writeCSV(w *bufio.Writer) error {
	out := csv.NewWriter(w)
	cells := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		cells[i] = c.Name
	}
	if len(cells) > 0 {
		out.Write(cells) // an error comes back from Error
	}
	for row, err := range r.All() {
		if err != nil {
			out.Flush()
			return err
		}
		for i, v := range row {
			cells[i] = Text(v)
			if v == nil {
				cells[i] = `\N` // as ClickHouse writes and reads it
			}
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func (r *Rows) writeTable(w *bufio.Writer) error {
	lines := [][]string{make([]string, len(r.Columns))}
	widths := make([]int, len(r.Columns))
	for i, c := range r.Columns {
		lines[0][i] = cell(c.Name)
		widths[i] = utf8.RuneCountInString(lines[0][i])
	}
	cut := 0
	for row, err := range r.All() {
		if err != nil {
			return err
		}
		if len(lines) > tableRows {
			cut++
			continue
		}
		line := make([]string, len(row))
		for i, v := range row {
			line[i] = cell(Text(v))
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
		lines = append(lines, line)
	}
	for n, line := range lines {
		for i, c := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
			switch last := i == len(line)-1; {
			case n > 0 && numeric(r.Columns[i].Type):
				c = pad + c
			case !last:
				c += pad
			}
			if i > 0 {
				w.WriteString("  ")
			}
			w.WriteString(c) // an error comes back from Flush
		}
		if len(line) > 0 {
			w.WriteByte('\n')
		}
	}
	if cut > 0 {
		fmt.Fprintf(w, "… and %d more rows; json and csv print all\n", cut)
	}
	return nil
}

func numeric(typ string) bool {
	typ = strings.TrimPrefix(typ, "LowCardinality(")
	typ = strings.TrimPrefix(typ, "Nullable(")
	for _, kind := range []string{"UInt", "Int", "Float", "Decimal", "BFloat"} {
		if strings.HasPrefix(typ, kind) && !strings.HasPrefix(typ, "Interval") {
			return true
		}
	}
	return false
}

// cell makes a text fit to be shown: what a stranger put into a name must not reach the terminal as a command to it.
func cell(s string) string {
	var b strings.Builder
	n := 0
	for i := 0; i < len(s); n++ {
		if n == cellRunes {
			b.WriteString("…")
			break
		}
		c, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !strconv.IsPrint(c):
			b.WriteString(strings.Trim(strconv.QuoteRune(c), "'"))
		default:
			b.WriteRune(c)
		}
		i += size
	}
	return b.String()
}
