package preflight

import (
	"fmt"
	"strings"
	"time"

	"sextant/collector/flow"
)

// Store is what a ClickHouse server told of itself.
type Store struct {
	Address, Database, Version string

	HasDatabase bool
	Changes     []string // statements that the next start runs
	Refusal     error    // why it would store nothing

	Rights map[string]flow.Tristate // what our user may do: "CREATE TABLE", "INSERT" …; what is not in it is unknown
	Disks  []Disk                   // none where it may not be asked

	Now  time.Time // what its clock showed …
	Then time.Time // … in the middle of the time that the question took
	Trip time.Duration
}

// Disk is a disk of the server, in bytes.
type Disk struct {
	Name        string
	Free, Total uint64
}

// ClickHouse judges the store. A nil store was not to be had, for the reason in err; named says whether the user asked for
// it.
func ClickHouse(s *Store, err error, named bool) []Line {
	if s == nil {
		l := Line{Topic: TopicClickHouse, Subject: "server", Verdict: Fail, Means: "No flow can be stored."}
		l.Text, l.Remedy = cause(err)
		if !named {
			l.Verdict, l.Remedy = Unknown, "name a server with --clickhouse ADDR; `sextant demo` runs one on this machine"
		}
		return []Line{l}
	}
	lines := []Line{
		answer{verdict: OK, text: fmt.Sprintf("%s: ClickHouse %s", s.Address, s.Version)}.line(TopicClickHouse, "server"),
		s.schema().line(TopicClickHouse, "schema"),
		s.rights().line(TopicClickHouse, "rights"),
	}
	if len(s.Disks) == 0 {
		return append(lines, answer{Unknown, "free space is not told", "A full disk keeps flows from being stored.", "GRANT SELECT ON system.disks"}.line(TopicClickHouse, "disk"))
	}
	for _, d := range s.Disks {
		lines = append(lines, d.answer().line(TopicClickHouse, "disk"))
	}
	return lines
}

func (s *Store) schema() answer {
	switch {
	case s.Refusal != nil:
		a := answer{verdict: Fail, means: "No flow can be stored."}
		a.text, a.remedy = cause(s.Refusal)
		return a
	case !s.HasDatabase:
		return answer{Note, "there is no database " + s.Database + " yet", "The first start of `sextant run` makes it, and its tables.", ""}
	case len(s.Changes) > 0:
		return answer{
			Note, fmt.Sprintf("database %s is not as this program makes it: %s to run", s.Database, number(len(s.Changes), "statement")),
			"The next start of `sextant run` runs them; it loses no row.", "sextant migrate --dry-run prints them",
		}
	}
	return answer{verdict: OK, text: "database " + s.Database + " is as it should be"}
}

// rights judges what our user may do: what is always needed, and what only a database needs that is not complete.
func (s *Store) rights() answer {
	needs := []string{"INSERT", "SELECT"}
	switch {
	case !s.HasDatabase:
		needs = append(needs, "CREATE DATABASE", "CREATE TABLE", "CREATE VIEW")
	case len(s.Changes) > 0:
		needs = append(needs, "CREATE TABLE", "CREATE VIEW", "ALTER TABLE")
	}
	var lacks []string
	known := true
	for _, right := range needs {
		switch s.Rights[right] {
		case flow.No:
			lacks = append(lacks, right)
		case flow.Unknown:
			known = false
		}
	}
	switch {
	case len(lacks) == 1 && lacks[0] == "SELECT":
		return answer{Warn, "the user may not SELECT", "Flows are stored. Whether one that was tried twice really is cannot be looked up.", "GRANT SELECT ON " + s.Database + ".*"}
	case len(lacks) > 0:
		return answer{
			Fail, "the user may not " + strings.Join(lacks, ", "), "Flows cannot be stored.",
			"GRANT " + strings.Join(lacks, ", ") + " ON " + s.Database + ".*; or let somebody make the tables who may, with one start of `sextant run`",
		}
	case !known:
		return answer{Unknown, "what the user may do is not told", "", "CHECK GRANT needs ClickHouse 24.9 or later"}
	}
	return answer{verdict: OK, text: "the user may " + strings.Join(needs, ", ")}
}

// Free space that is little, in hundredths of the disk. Merges need room beside what they merge.
const (
	littleFree = 10
	noneFree   = 1
)

func (d Disk) answer() answer {
	a := answer{verdict: OK, text: fmt.Sprintf("%s: %s free of %s", d.Name, size(d.Free), size(d.Total))}
	switch hundredths := float64(d.Free) * 100 / float64(max(d.Total, 1)); {
	case hundredths < noneFree:
		a.verdict, a.means = Fail, "ClickHouse soon stores nothing more."
	case hundredths < littleFree:
		a.verdict, a.means = Warn, "ClickHouse merges need room: when it is gone, nothing more is stored."
	}
	if a.verdict != OK {
		a.remedy = "a larger disk, or less to keep: clickhouse.ttl_flows, clickhouse.ttl_connections"
	}
	return a
}

func size(bytes uint64) string {
	const units = "kMGTPE"
	if bytes < 1000 {
		return fmt.Sprintf("%d B", bytes)
	}
	n, unit := float64(bytes)/1000, 0
	for n >= 1000 {
		n /= 1000
		unit++
	}
	return fmt.Sprintf("%.3g %cB", n, units[unit])
}

// StoreClock compares ClickHouse's clock, by which rows age, with ours.
func StoreClock(s *Store) []Line {
	if s == nil || s.Now.IsZero() {
		return nil
	}
	off := s.Now.Sub(s.Then)
	by := max(off, -off) - s.Trip/2
	a := answer{verdict: OK, text: "within a second of ours"}
	if by > skewNote {
		word := "ahead of"
		if off < 0 {
			word = "behind"
		}
		a = answer{
			Note, fmt.Sprintf("%s ours by %s", word, about(by)), "Queries that ask for the last minutes by ClickHouse's now() ask for others than they mean.", "let both machines keep time by NTP",
		}
		if by >= skewWarn {
			a.verdict = Warn
		}
	}
	return []Line{a.line(TopicClocks, "clickhouse")}
}
