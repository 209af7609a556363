package flow

import (
	"net/netip"
	"time"
)

// Charge is one use of a service that limits how much one address prefix may use it: a connection, a request or an image
// pull. Charges are facts: they are added up into buckets, by who counts them here and again by whoever asks the store.
type Charge struct {
	Time    time.Time // of a connection its begin, of a pull its begin
	ID      UUID      // of the connection, the request or the pull: the same whoever saw it
	Cluster Name
	Node    Name // where it came from
	Service Name // name of the limit in the catalogue
	Bucket  Name // the prefix that the service counts by, a single address without its length; empty where it is not known
	Family  Family
	// Evidence is how Bucket is known.
	Evidence     BucketEvidence
	Measure      Measure
	Side         Side // pod, or host for what the node itself did
	Uses         uint32
	Limited      bool // the service said that it was too many
	SourceIP     netip.Addr
	EgressIP     netip.Addr
	Namespace    Name
	Workload     Name
	WorkloadKind Name
	Pod          Name
	Image        Name // of a pull: repository and tag or digest
	Name         Name // DNS name of the destination
}

// BucketEvidence is how the prefix that a service counts by is known, strongest last.
type BucketEvidence uint8

// Bucket evidence.
const (
	BucketUnknown   BucketEvidence = iota
	BucketAssumed                  // the address that the outside sees is not known: all of a family is taken for one
	BucketInferred                 // from the configuration, as flow.Inferred
	BucketConfirmed                // as flow.Confirmed
	BucketObserved                 // the datapath said which address left
	BucketProbed                   // the service itself said it
)

var bucketEvidenceNames = []string{"unknown", "assumed", "inferred", "confirmed", "observed", "probed"}

func (v BucketEvidence) String() string { return word(bucketEvidenceNames, v) }

// Measure is what was counted.
type Measure uint8

// Measures.
const (
	MeasureUnknown    Measure = iota
	MeasureConnection         // connections, of which each may carry many requests
	MeasureRequest            // HTTP requests
	MeasurePull               // image pulls, as the kubelet's events tell
)

var measureNames = []string{"unknown", "connection", "request", "pull"}

func (v Measure) String() string { return word(measureNames, v) }

// ChargeFields is the one table of a charge's columns.
var ChargeFields = []Field[Charge]{
	{Name: "time", Doc: "when it began (UTC)", Time: func(c *Charge) time.Time { return c.Time }},
	{Name: "id", Doc: "identifier of the connection, request or pull", UUID: func(c *Charge) UUID { return c.ID }},
	{Name: "cluster", Doc: "cluster it came from", Label: true, Str: func(c *Charge) Name { return c.Cluster }},
	{Name: "node", Doc: "node it came from", Label: true, Str: func(c *Charge) Name { return c.Node }},
	{Name: "service", Doc: "name of the limit in the catalogue", Label: true, Str: func(c *Charge) Name { return c.Service }},
	{Name: "bucket", Doc: "the prefix that the service counts by, a single address without a length; empty where it is not known", Str: func(c *Charge) Name { return c.Bucket }},
	{Name: "family", Doc: "address family towards the service: ipv4 behind a NAT64", Label: true, Words: familyNames, Enum: func(c *Charge) uint16 { return uint16(c.Family) }},
	{Name: "evidence", Doc: "how the prefix is known", Label: true, Words: bucketEvidenceNames, Enum: func(c *Charge) uint16 { return uint16(c.Evidence) }},
	{Name: "measure", Doc: "what was counted", Label: true, Words: measureNames, Enum: func(c *Charge) uint16 { return uint16(c.Measure) }},
	{Name: "side", Doc: "pod, or host for what the node itself did", Label: true, Words: sideNames, Enum: func(c *Charge) uint16 { return uint16(c.Side) }},
	{Name: "uses", Doc: "how many uses this row stands for", U32: func(c *Charge) uint32 { return c.Uses }},
	{Name: "limited", Doc: "1 where the service said that it was too many (429, toomanyrequests)", U8: func(c *Charge) uint8 { return bit(c.Limited) }},
	{Name: "source_ip", Doc: "address it came from, before any translation", Addr: func(c *Charge) netip.Addr { return c.SourceIP }},
	{Name: "egress_ip", Doc: "the address the service sees, best known", Addr: func(c *Charge) netip.Addr { return c.EgressIP }},
	{Name: "namespace", Doc: "namespace of the pod it came from, or for which the node pulled", Label: true, Str: func(c *Charge) Name { return c.Namespace }},
	{Name: "workload", Doc: "workload of that pod", Label: true, Str: func(c *Charge) Name { return c.Workload }},
	{Name: "workload_kind", Doc: "kind of that workload", Label: true, Str: func(c *Charge) Name { return c.WorkloadKind }},
	{Name: "pod", Doc: "that pod", Str: func(c *Charge) Name { return c.Pod }},
	{Name: "image", Doc: "of a pull: repository with tag or digest", Str: func(c *Charge) Name { return c.Image }},
	{Name: "name", Doc: "DNS name of the destination", Str: func(c *Charge) Name { return c.Name }},
}
