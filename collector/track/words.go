package track

import (
	"sextant/collector/flow"
	"sextant/collector/verdict"
)

// word is why a flow is not the one that counts its connection.
type word uint8

const (
	wordNone        word = iota
	wordReply            // a packet of who answers
	wordLaterFlow        // the same view of the connection again
	wordOtherView        // another view of it: another point, or the other node
	wordPolicy           // policy was asked; the packet itself has another flow
	wordUntracked        // seen on its way, without a word of connection tracking
	wordEvidence         // tells of the connection's source translation
	wordProxyLeg         // the proxy's own connection on a pod's behalf
	wordTunnelOuter      // the packet around another one
	wordNoise            // the network's own upkeep
	wordL7               // part of an application exchange
	wordSock             // the socket load-balancer, before there is a packet
	wordOtherEvent       // debugging
	wordUnreadable       // without addresses, as ARP, or without a time
	wordFragment         // a packet in which Hubble found no ports
	wordICMPError        // an ICMP message that is no ping
	wordRedelivered      // the same event a second time
	words
)

var wordNames = [words]string{
	"", "reply", "later_flow", "other_view", "policy_verdict", "untracked", "nat_evidence", "proxy_leg", "tunnel_outer",
	"noise", "l7", "sock", "other_event", "unreadable", "fragment", "icmp_error", "redelivered",
}

// vocabulary holds the words as names.
type vocabulary struct {
	words [words]flow.Name
	pair  flow.Name // the rule that decides by a pair of flows

	inherited flow.Name // the rule of a flow whose connection alone tells
}

func newVocabulary(names *flow.Interner) (v vocabulary) {
	for w, text := range wordNames {
		v.words[w] = names.Name(text)
	}
	v.pair = names.Name(verdict.RuleMasqueradePair)
	v.inherited = names.Name(verdict.RuleOfConnection)
	return v
}
