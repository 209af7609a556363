package probe

import (
	"net/netip"
	"time"

	"sextant/collector/flow"
)

// Answer is what a registry said, or why it is not known. With an Err, the fields after Family are zero, but for Local.
type Answer struct {
	Time    time.Time   // when the answer was there
	Service string      // Target.Service
	Node    string      // Config.NodeName
	Family  flow.Family // over which the registry was asked

	Limit     uint32        // pulls in a window; 0 when Limited and not said
	Remaining uint32        // of them, as far as the registry has counted; 0 when Limited
	Window    time.Duration // 0 when Limit is
	Limited   bool          // the HEAD itself was refused with 429: whoever pulls from here now is, too

	// Source is the address, or the first one of the prefix, that the registry counts by. It is zero when it did not say,
	// an IPv4 address for Family IPv6 behind a NAT64, and of either family through a proxy.
	Source netip.Addr

	// SourceBits is the length of that prefix where it was told or follows, else 0. A source says of itself only that its
	// last one bit belongs to the prefix, so that it is SourceLeast bits long or longer. Our own address, where it lies in
	// the prefix, says that it is not longer than what both have in common, SourceMost.
	SourceBits, SourceLeast, SourceMost int

	// Local is our own address of the connection. Where Source does not cover it, addresses are translated on the way.
	Local netip.Addr

	Result Result
	Err    error
}

// Prefix returns what the registry counts by: of the likely lengths the first that fits what it said, else the longest
// multiple of four that does, else the longest. The likely ones are those that its operator is known to use, the likeliest
// first. It reports false when the registry did not say.
func (a Answer) Prefix(likely ...int) (netip.Prefix, bool) {
	if !a.Source.IsValid() {
		return netip.Prefix{}, false
	}
	bits := a.SourceMost
	if rounded := bits &^ 3; rounded >= a.SourceLeast {
		bits = rounded
	}
	for _, l := range likely {
		if a.SourceLeast <= l && l <= a.SourceMost {
			bits = l
			break
		}
	}
	p, err := a.Source.Prefix(bits)
	return p, err == nil
}

// Result is what became of a question.
type Result uint8

// Results. All but OK and Limited leave the limit unknown.
const (
	Unknown     Result = iota
	OK                 // the registry told its numbers
	Limited            // it refused the question because of the limit
	Silent             // it answered and said nothing of a limit
	Account            // it counts by an account, so its numbers are not our address's
	Malformed          // its numbers or its source cannot be read, or contradict each other
	Impossible         // the source that it tells can be nobody's, or not ours
	Status             // it answered with another status, or with a page for people
	Redirect           // it sent us elsewhere
	Token              // its token service refuses, or is not to be trusted
	TLS                // its certificate is not to be trusted
	Timeout            // it was too slow
	Unreachable        // no connection: no address of the family, no route, nobody there
)

var resultNames = []string{
	"unknown", "ok", "limited", "silent", "account", "malformed", "impossible", "status", "redirect", "token", "tls", "timeout",
	"unreachable",
}

func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return resultNames[Unknown]
}
