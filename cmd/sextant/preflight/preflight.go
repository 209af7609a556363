// Package preflight judges what Sextant will be able to see and to say: of Hubble, of the cluster's settings, of the store.
// It turns facts that somebody else has gathered into lines, each with a verdict, what follows from it, and the remedy.
//
// Everything here is a pure function of its facts. It asks nobody, changes nothing, and refuses to guess: what was not
// told is unknown, and a line says so.
package preflight

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Verdict is how good what a line tells is. The zero value is unknown.
type Verdict uint8

// Verdicts.
const (
	Unknown Verdict = iota // nobody told
	OK
	Note // something that Sextant says less about, or says with less certainty, than it could
	Warn // something that will be missing or misleading
	Fail // something without which Sextant is blind, or cannot store what it sees
)

var verdictWords = []string{"unknown", "ok", "note", "warn", "fail"}

func (v Verdict) String() string {
	if int(v) >= len(verdictWords) {
		return verdictWords[Unknown]
	}
	return verdictWords[v]
}

// MarshalText implements encoding.TextMarshaler.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Verdict) UnmarshalText(text []byte) error {
	i := slices.Index(verdictWords, string(text))
	if i < 0 {
		return fmt.Errorf("%q is no verdict", text)
	}
	*v = Verdict(i)
	return nil
}

// Line is one thing that was looked at.
type Line struct {
	Topic   string   `json:"topic"`           // "hubble", "masquerade" …
	Subject string   `json:"subject"`         // what of it
	Verdict Verdict  `json:"verdict"`         //
	Nodes   []string `json:"nodes,omitempty"` // the nodes that it is about, where that is not all of them
	Text    string   `json:"text"`            // what is
	Means   string   `json:"means,omitempty"` // what follows for what Sextant can say, in a sentence
	Remedy  string   `json:"remedy,omitempty"`
}

// Topics, in the order in which they are told.
const (
	TopicHubble     = "hubble"
	TopicCluster    = "cluster"
	TopicFlows      = "flows"
	TopicMasquerade = "masquerade"
	TopicServices   = "services"
	TopicNodes      = "node traffic"
	TopicDNS        = "dns names"
	TopicNAT64      = "nat64"
	TopicPrefixes   = "prefixes"
	TopicKubernetes = "kubernetes"
	TopicClickHouse = "clickhouse"
	TopicClocks     = "clocks"
)

// Report is all that was looked at.
type Report struct {
	Summary Summary `json:"summary"`
	Lines   []Line  `json:"lines"`
}

// Summary counts the lines by verdict. Verdict is the worst of them; a line that is unknown does not make it worse.
type Summary struct {
	Verdict Verdict `json:"verdict"`
	OK      int     `json:"ok"`
	Note    int     `json:"note"`
	Warn    int     `json:"warn"`
	Fail    int     `json:"fail"`
	Unknown int     `json:"unknown"`
}

// New makes a report.
func New(lines []Line) Report {
	r := Report{Lines: lines}
	if r.Lines == nil {
		r.Lines = []Line{}
	}
	for _, l := range lines {
		r.Summary.Verdict = max(r.Summary.Verdict, l.Verdict)
		switch l.Verdict {
		case OK:
			r.Summary.OK++
		case Note:
			r.Summary.Note++
		case Warn:
			r.Summary.Warn++
		case Fail:
			r.Summary.Fail++
		default:
			r.Summary.Unknown++
		}
	}
	return r
}

// WriteJSON writes the report as one object.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// An answer is a line without what it is about.
type answer struct {
	verdict             Verdict
	text, means, remedy string
}

func (a answer) line(topic, subject string) Line {
	return Line{Topic: topic, Subject: subject, Verdict: a.verdict, Text: a.text, Means: a.means, Remedy: a.remedy}
}

// number writes a count with its noun: "1 node", "2 nodes".
func number(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
