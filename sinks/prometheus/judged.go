package prometheus

import (
	"slices"

	"sextant/collector/flow"
)

// Judged is a connection, with what is said of it here beside its columns.
type Judged struct {
	*flow.Connection

	Cause Cause // where IPv4 was needed
}

// leaves reports whether the connection began in the cluster.
func (j *Judged) leaves() bool { return j.Direction != flow.IngressDirection }

// needsIPv4 reports whether the connection went to the outside over IPv4, in the end.
func (j *Judged) needsIPv4() bool {
	return j.Direction == flow.EgressDirection && j.Outcome != flow.Denied && (j.Family == flow.FamilyIPv4 || j.Class == flow.NAT64)
}

// isRetry reports whether an IPv6 attempt had failed before.
func (j *Judged) isRetry() bool { return j.FallbackOf != flow.UUID{} }

// JudgedFields is the one table of what may be a label of a connection: what may be one of its columns, and what is said here.
var JudgedFields = append([]flow.Field[Judged]{
	own(LabelNamespace, columns.SourceNamespace, columns.DestinationNamespace),
	own(LabelWorkload, columns.SourceWorkload, columns.DestinationWorkload),
	own(LabelSide, columns.SourceSide, columns.DestinationSide),
	{Name: LabelTraffic, Doc: "what it is for, roughly", Label: true, Words: trafficNames, Enum: func(j *Judged) uint16 { return uint16(trafficOf(j.Connection)) }},
	{Name: LabelCause, Doc: "why it was not IPv6", Label: true, Words: causeNames, Enum: func(j *Judged) uint16 { return uint16(j.Cause) }},
}, ofConnection...)

var (
	columns      = flow.ConnectionColumns
	ofConnection = lift(flow.ConnectionFields, func(j *Judged) *flow.Connection { return j.Connection })
)

// own returns the field of the cluster's own end: of who is asked from outside, or else of who asks.
func own(name, source, destination string) flow.Field[Judged] {
	from, to := column(source), column(destination)
	f := flow.Field[Judged]{Name: name, Doc: "of the cluster's own end: " + from.Doc, Label: true, Words: from.Words}
	pick := func(j *Judged) *flow.Field[Judged] {
		if j.Direction == flow.IngressDirection {
			return to
		}
		return from
	}
	if from.Enum != nil {
		f.Enum = func(j *Judged) uint16 { return pick(j).Enum(j) }
	} else {
		f.Str = func(j *Judged) flow.Name { return pick(j).Str(j) }
	}
	return f
}

func column(name string) *flow.Field[Judged] {
	return &ofConnection[slices.IndexFunc(ofConnection, func(f flow.Field[Judged]) bool { return f.Name == name })]
}

// lift returns the fields that may be labels of a row that is part of another.
func lift[R, S any](fields []flow.Field[R], part func(*S) *R) []flow.Field[S] {
	var lifted []flow.Field[S]
	for _, of := range fields {
		f := flow.Field[S]{Name: of.Name, Doc: of.Doc, Label: true, Words: of.Words}
		switch {
		case !of.Label:
			continue
		case of.Enum != nil:
			f.Enum = func(s *S) uint16 { return of.Enum(part(s)) }
		default:
			f.Str = func(s *S) flow.Name { return of.Str(part(s)) }
		}
		lifted = append(lifted, f)
	}
	return lifted
}

// Traffic is what a connection is for, as far as its protocol and port tell.
type Traffic uint8

// Kinds of traffic. DNS and pings follow the resolver's and the operator's choice of a family, not the application's.
const (
	OtherTraffic Traffic = iota
	DNSTraffic
	PingTraffic
)

var trafficNames = []string{"other", "dns", "ping"}

func (t Traffic) String() string { return trafficNames[t] }

func trafficOf(c *flow.Connection) Traffic {
	switch {
	case c.Protocol == flow.ICMP || c.Protocol == flow.ICMPv6:
		return PingTraffic
	case c.Destination.Port == 53:
		return DNSTraffic
	}
	return OtherTraffic
}
