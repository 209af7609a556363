package flow

import "time"

// Bucket is how full one bucket of a limited service is at one time, as one collector knows it: a service, the prefix that
// it counts by, and a window that slides.
type Bucket struct {
	Time     time.Time
	Cluster  Name
	Service  Name // name of the limit in the catalogue
	Bucket   Name // the prefix, a single address without a length; empty where it is not known
	Family   Family
	Evidence BucketEvidence // how the prefix is known

	Used          uint32 // in the window that ends at Time
	Limit         Count  // unknown where the service publishes none
	WindowSeconds uint32
	SeenSeconds   uint32 // of the window, since the first flow: what was before is missing in Used
	LowerBound    bool   // uses were let go of for want of room, so that Used is the least that it can be
	Headroom      Count  // what is left of the limit; 0 where it is exceeded
	PerHour       uint32 // how fast it fills: uses of the last part of the window, as of an hour
	ExhaustedIn   Count  // seconds until the limit is reached at that speed; unknown where it is not going to be
	Measure       Measure
	Unit          Name // what the service itself counts
	UsedEvidence  UsedEvidence
	Unseen        Unseen
	Limited       uint32 // uses in the window that were refused as too many

	Nodes        uint32 // that share it, as what follows
	Namespaces   uint32
	Pods         uint32
	TopWorkloads Names // namespace/workload=uses, the most first
	TopImages    Names
	TopNodes     Names
}

// Seen reports whether Used says anything: a zero where the nodes' own uses could not be seen does not.
func (b *Bucket) Seen() bool {
	return b.Used > 0 || b.Unseen != UnseenNode || b.UsedEvidence == UsedProbed
}

func (b *Bucket) seen(n uint32) Count { return Count{N: uint64(n), Known: b.Seen()} }

// UsedEvidence is how Used is known, strongest last.
type UsedEvidence uint8

// Used evidence.
const (
	UsedUnknown UsedEvidence = iota
	UsedCounted              // from flows and events
	UsedProbed               // the service itself said what is left
)

var usedEvidenceNames = []string{"unknown", "counted", "probed"}

func (v UsedEvidence) String() string { return word(usedEvidenceNames, v) }

// Unseen says whether what the nodes themselves did, such as pulling images, can be in what was counted.
type Unseen uint8

// Unseen words.
const (
	UnseenUnknown Unseen = iota // it cannot be said whether the nodes' own connections show
	UnseenNothing               // they show, in flows or in events
	UnseenNode                  // they do not show: what the nodes did is missing in Used
)

var unseenNames = []string{"unknown", "nothing", "node"}

func (v Unseen) String() string { return word(unseenNames, v) }

// BucketFields is the one table of a bucket's columns.
var BucketFields = []Field[Bucket]{
	{Name: "time", Doc: "end of the window (UTC)", Time: func(b *Bucket) time.Time { return b.Time }},
	{Name: "cluster", Doc: "cluster whose uses were counted", Label: true, Str: func(b *Bucket) Name { return b.Cluster }},
	{Name: "service", Doc: "name of the limit in the catalogue", Label: true, Str: func(b *Bucket) Name { return b.Service }},
	{Name: "bucket", Doc: "the prefix that the service counts by, a single address without a length; empty where it is not known", Str: func(b *Bucket) Name { return b.Bucket }},
	{Name: "family", Doc: "address family towards the service: ipv4 behind a NAT64", Label: true, Words: familyNames, Enum: func(b *Bucket) uint16 { return uint16(b.Family) }},
	{Name: "evidence", Doc: "how the prefix is known", Label: true, Words: bucketEvidenceNames, Enum: func(b *Bucket) uint16 { return uint16(b.Evidence) }},
	{Name: "used", Doc: "uses in the window that ends at time; unknown where nothing was counted and what nodes do could not be seen", Count: func(b *Bucket) Count { return b.seen(b.Used) }},
	{Name: "limit", Doc: "uses that the service allows in the window; unknown where it publishes none", Count: func(b *Bucket) Count { return b.Limit }},
	{Name: "window_seconds", Doc: "length of the window", U32: func(b *Bucket) uint32 { return b.WindowSeconds }},
	{Name: "seen_seconds", Doc: "how much of the window was watched: what was before is missing in used", U32: func(b *Bucket) uint32 { return b.SeenSeconds }},
	{Name: "lower_bound", Doc: "1 where uses were let go of for want of room, so that used is the least that it can be", U8: func(b *Bucket) uint8 { return bit(b.LowerBound) }},
	{Name: "headroom", Doc: "what is left of the limit; 0 where it is exceeded", Count: func(b *Bucket) Count { return b.Headroom }},
	{Name: "per_hour", Doc: "uses an hour, as the last part of the window had them; unknown where used is", Count: func(b *Bucket) Count { return b.seen(b.PerHour) }},
	{Name: "exhausted_in_seconds", Doc: "seconds until the limit is reached at that speed; unknown where it is not going to be", Count: func(b *Bucket) Count { return b.ExhaustedIn }},
	{Name: "measure", Doc: "what was counted", Label: true, Words: measureNames, Enum: func(b *Bucket) uint16 { return uint16(b.Measure) }},
	{Name: "unit", Doc: "what the service itself counts", Label: true, Str: func(b *Bucket) Name { return b.Unit }},
	{Name: "used_evidence", Doc: "probed where the service itself said what is left", Label: true, Words: usedEvidenceNames, Enum: func(b *Bucket) uint16 { return uint16(b.UsedEvidence) }},
	{Name: "unseen", Doc: "node where what the nodes themselves did (image pulls) could not be seen and is missing in used", Label: true, Words: unseenNames, Enum: func(b *Bucket) uint16 { return uint16(b.Unseen) }},
	{Name: "limited", Doc: "uses in the window that were refused as too many (429, toomanyrequests)", U32: func(b *Bucket) uint32 { return b.Limited }},
	{Name: "nodes", Doc: "nodes that share it", U32: func(b *Bucket) uint32 { return b.Nodes }},
	{Name: "namespaces", Doc: "namespaces that share it", U32: func(b *Bucket) uint32 { return b.Namespaces }},
	{Name: "pods", Doc: "pods that share it", U32: func(b *Bucket) uint32 { return b.Pods }},
	{Name: "top_workloads", Doc: "who used most of it, as namespace/workload=uses", Strs: func(b *Bucket) Names { return b.TopWorkloads }},
	{Name: "top_images", Doc: "images pulled most, as image=pulls", Strs: func(b *Bucket) Names { return b.TopImages }},
	{Name: "top_nodes", Doc: "nodes that used most of it, as node=uses", Strs: func(b *Bucket) Names { return b.TopNodes }},
}
