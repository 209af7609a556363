package prometheus

import (
	"sextant/collector/flow"
)

// Cause is why a connection was not made over IPv6, in the words of the view ipv4_dependencies.
type Cause uint8

// Causes.
const (
	CauseUnknown     Cause = iota
	CausePolicy            // IPv6 connections of the same workload to the same name are denied
	CauseFallback          // it is the retry of an IPv6 attempt that failed
	CauseApplication       // the name has an IPv6 address, by somebody's DNS answer, and was not used
	CauseNoAAAA            // the name has none: an answer said so, or a DNS64 made one up
	CauseLiteral           // no name was asked for, of a workload whose questions are seen
)

var causeNames = []string{"unknown", "policy", "fallback", "application", "no_aaaa", "literal"}

func (c Cause) String() string { return causeNames[c] }

// Known is what other connections and DNS answers say of a connection that needed IPv4.
type Known struct {
	Denied bool // IPv6 connections of the same workload to the same name are denied
	NAT64  bool // somebody reaches the name through NAT64
	Asks   bool // the workload's questions are seen
	AAAA   bool // the name has an IPv6 address of its own
	NoAAAA bool // the name was said to have none, or a DNS64 made one up
}

// CauseOf says why a connection that needed IPv4 was not made over IPv6.
func CauseOf(c *flow.Connection, k Known) Cause {
	named := !c.Destination.Name.IsZero()
	retry, nat64 := c.FallbackOf != flow.UUID{}, c.Class == flow.NAT64
	switch {
	case named && k.Denied && (retry || !c.AvoidableIPv4 && !nat64):
		return CausePolicy
	case retry:
		return CauseFallback
	case c.AvoidableIPv4:
		return CauseApplication
	case !named && k.Asks:
		return CauseLiteral
	case !named:
		return CauseUnknown
	case nat64 || k.NAT64:
		return CauseNoAAAA
	case k.AAAA:
		return CauseApplication
	case k.NoAAAA:
		return CauseNoAAAA
	}
	return CauseUnknown
}
