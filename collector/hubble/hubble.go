// Package hubble brings Hubble's flows in: from Relay, from single nodes, from all nodes of a cluster through the Peer
// service, from the agent's unix socket, and from recorded files. All of them end in one Decoder, which is the only place
// where Hubble's wire format becomes flow.Records, where addresses are unmapped and their zones stripped.
//
// It is the only package that knows gRPC and protobuf. It says what was seen and what was not (gaps), and refuses to
// interpret either: no class, no direction, no connection is decided here.
package hubble

import (
	"context"
	"time"

	"sextant/collector/flow"
)

// Emit takes over a batch and the one hold on it. An error means that no more is taken.
type Emit = func(context.Context, *flow.Batch) error

// A Decoder turns the bytes of one observer.GetFlowsResponse (or observer.ExportEvent, which has the same field numbers)
// into an Event. A flow fills r, which must be zero; nothing of raw is kept. The error says that raw is no such message;
// it does not mean that later ones are bad. A Decoder is not safe for concurrent use.
type Decoder interface {
	Decode(raw []byte, r *flow.Record) (Event, error)
}

// Event is what one message said.
type Event struct {
	Kind    Kind
	Node    flow.Name // the node that said it, without the cluster prefix
	Cluster flow.Name
	Time    time.Time // zero when the message has none
	Flaws   int       // fields of the flow that could not be read and were left unknown

	Lost   Lost   // for KindLost
	Status Status // for KindStatus
}

// Kind is the kind of an event.
type Kind uint8

// Kinds. KindOther is a message without a flow that says nothing about completeness either: an agent or debug event.
const (
	KindOther Kind = iota
	KindFlow
	KindLost
	KindStatus
)

// Lost is Hubble's own word that events were lost (flow.proto LostEvent).
type Lost struct {
	Cause flow.GapCause
	Count uint64
	First time.Time // zero where the agent is too old to say
	Last  time.Time
}

// Status is Relay's word about nodes (relay.proto NodeStatusEvent).
type Status struct {
	State   NodeState
	Nodes   []NodeName
	Message string
}

// NodeName is a node's name, split from its cluster's.
type NodeName struct{ Node, Cluster flow.Name }

// NodeState is what Relay says of a node.
type NodeState uint8

// Node states.
const (
	NodeUnknown NodeState = iota
	NodeConnected
	NodeUnavailable
	NodeGone
	NodeError
)
