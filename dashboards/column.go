package dashboards

import "strings"

// Column is a column of a table.
type Column struct {
	Name   string // as the query returns it
	Title  string
	Unit   Unit   // empty: the panel's
	Empty  string // what an empty text is shown as
	Levels []Level
	Link   *Link
}

// Link leads from a cell to another dashboard, with the values of columns of the same row as those of variables.
type Link struct {
	UID   string
	Title string
	Vars  []Var
}

// Var gives a variable the value of a column.
type Var struct{ Variable, Column string }

// column returns the column of that name as all tables show it.
func column(name string) Column {
	c := Column{Name: name, Title: name}
	for suffix, unit := range map[string]Unit{"_percent": Percent, "_ms": Millis, "_seconds": Seconds} {
		if stem, ok := strings.CutSuffix(name, suffix); ok {
			c.Title, c.Unit = stem, unit
		}
	}
	c.Title = strings.ReplaceAll(c.Title, "_", " ")
	if strings.HasPrefix(name, "bytes") {
		c.Unit = Bytes
	}
	if own, ok := known[name]; ok {
		own.Name = name
		if own.Title == "" {
			own.Title = c.Title
		}
		if own.Unit == "" {
			own.Unit = c.Unit
		}
		return own
	}
	return c
}

// columns returns the columns of those names.
func columns(names string) []Column {
	var list []Column
	for name := range strings.FieldsSeq(names) {
		list = append(list, column(name))
	}
	return list
}

// Texts and times among the columns, and those whose name says too little.
var known = map[string]Column{
	"address": {Unit: Text}, "bucket": {Unit: Text}, "cause": {Unit: Text}, "causes": {Unit: Text}, "class": {Unit: Text}, "cluster": {Unit: Text},
	"column": {Unit: Text}, "declared": {Unit: Text}, "destination": {Unit: Text}, "destination_address": {Unit: Text}, "detail": {Unit: Text},
	"direction": {Unit: Text}, "drop_reason": {Unit: Text}, "egress_address": {Unit: Text}, "embedded_ipv4": {Title: "IPv4 inside", Unit: Text},
	"event_type": {Title: "event", Unit: Text}, "evidence": {Unit: Text}, "family": {Unit: Text}, "finding": {Unit: Text}, "findings": {Unit: Text},
	"id": {Unit: Text}, "image": {Unit: Text}, "kind": {Unit: Text}, "makes_certain": {Unit: Text}, "measure": {Unit: Text}, "mode": {Unit: Text},
	"name": {Unit: Text}, "network": {Unit: Text}, "node": {Unit: Text}, "outcome": {Unit: Text}, "owner": {Unit: Text}, "policy": {Unit: Text},
	"port": {Unit: "none"}, "prefix": {Unit: Text}, "protocol": {Unit: Text}, "reason": {Unit: Text}, "registry": {Unit: Text}, "result": {Unit: Text},
	"rule": {Unit: Text}, "says": {Unit: Text}, "service": {Unit: Text}, "source": {Unit: Text}, "source_address": {Unit: Text}, "table": {Unit: Text},
	"top_workloads": {Title: "most used by", Unit: Text}, "top_nodes": {Title: "on nodes", Unit: Text}, "top_images": {Title: "for images", Unit: Text},
	"translation": {Unit: Text}, "unit": {Unit: Text}, "unseen": {Unit: Text}, "used_by": {Unit: Text}, "used_evidence": {Unit: Text},
	"verdict": {Unit: Text}, "way": {Unit: Text}, "who": {Unit: Text}, "why": {Unit: Text},

	"first": {Unit: Time}, "last": {Unit: Time}, "last_time": {Title: "last", Unit: Time}, "since": {Unit: Time}, "time": {Unit: Time}, "until": {Unit: Time},

	"ipv6": {Title: "IPv6"}, "ipv4": {Title: "IPv4"}, "nat64": {Title: "NAT64"},
	"ipv6_percent":        {Title: "IPv6 share", Levels: shareLevels},
	"application_percent": {Title: "without lookups and pings", Levels: shareLevels},
	"failed_ipv6":         {Title: "failed IPv6"}, "failed_ipv4": {Title: "failed IPv4"},
	"limited": {Title: "refused", Levels: noneIsGood}, "peak_used": {Title: "most used"},
	"window_seconds": {Title: "window"}, "exhausted_in_seconds": {Title: "exhausted in"}, "per_hour": {Title: "an hour", Unit: PerHour},
	"ready_ipv6": {Title: "ready IPv6"}, "ready_ipv4": {Title: "ready IPv4"},
	"completeness_percent": {Title: "observed", Levels: seenLevels},
	"used_percent":         {Title: "used share", Levels: fullLevels},
	"failed_percent":       {Title: "failed share"},
	"percent":              {Title: "share", Unit: Percent},
	"expected_seconds":     {Title: "expected time"},
	"observed_seconds":     {Title: "observed time"},
	"lost_seconds":         {Title: "time lost"},

	"namespace": {Unit: Text, Link: &Link{UID: needsUID, Title: "What it still needs IPv4 for", Vars: []Var{{"namespace", "namespace"}}}},
	"workload":  {Unit: Text, Link: &Link{UID: workloadUID, Title: "This workload", Vars: []Var{{"namespace", "namespace"}, {"workload", "workload"}}}},
}

var (
	shareLevels = []Level{{0, Bad}, {50, Warning}, {90, Good}}
	seenLevels  = []Level{{0, Bad}, {90, Warning}, {99, Good}}
	fullLevels  = []Level{{0, Good}, {75, Warning}, {90, Bad}}
	noneIsGood  = []Level{{0, Good}, {1, Warning}}
)
