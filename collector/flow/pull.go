package flow

import "time"

// Pull is one image that a node pulled or tried to, as the kubelet's events tell. Pulls are made by the node, from its own
// address, whatever pod they are for.
type Pull struct {
	Time     time.Time // when it ended, or begin where its end is not known
	ID       UUID      // of the event and its number in the event's series: the same whoever saw it
	Cluster  Name
	Node     Name
	Zone     Name
	Registry Name // host, and port where there is one: "docker.io" where the reference names none
	// Repository, tag and digest are those of the reference: "library/nginx", "1.27", "sha256:…".
	Repository   Name
	Tag          Name
	Digest       Name
	Namespace    Name // of the pod it was for, as what follows
	Pod          Name
	Container    Name // empty for what a volume needed
	Workload     Name
	WorkloadKind Name
	Tags         Names
	Result       PullResult
	Policy       Name   // imagePullPolicy of the container, empty where it is not known
	Count        uint32 // how many the row stands for: an event may be told once for many
	DurationMs   Count  // without the time spent waiting for other pulls
	WaitMs       Count  // that time
	Bytes        Count  // the image's size
	Detail       Name   // why it failed, in the words of the runtime
}

// PullResult is how a pull ended.
type PullResult uint8

// Pull results.
const (
	PullUnknown     PullResult = iota // it began, and nothing was heard of its end
	Pulled                            // bytes came from a registry or a mirror
	PullPresent                       // the image was on the node already: no registry was asked
	PullFailed                        // for another reason than the following
	PullRateLimited                   // the registry said toomanyrequests, or 429
	PullDenied                        // authentication or authorization was refused
	PullNotFound                      // no such image
	PullUnreachable                   // name, route, connection or TLS to the registry failed
)

var pullResultNames = []string{"unknown", "pulled", "present", "failed", "rate_limited", "denied", "not_found", "unreachable"}

func (v PullResult) String() string { return word(pullResultNames, v) }

// PullFields is the one table of a pull's columns.
var PullFields = []Field[Pull]{
	{Name: "time", Doc: "when it ended, or when it began where its end is not known (UTC)", Time: func(p *Pull) time.Time { return p.Time }},
	{Name: "id", Doc: "identifier made of the event and its number in a series", UUID: func(p *Pull) UUID { return p.ID }},
	{Name: "cluster", Doc: "cluster of the node", Label: true, Str: func(p *Pull) Name { return p.Cluster }},
	{Name: "node", Doc: "node that pulled", Label: true, Str: func(p *Pull) Name { return p.Node }},
	{Name: "zone", Doc: "topology zone of the node", Label: true, Str: func(p *Pull) Name { return p.Zone }},
	{Name: "registry", Doc: "registry of the image's reference; a mirror may have answered in its place", Label: true, Str: func(p *Pull) Name { return p.Registry }},
	{Name: "repository", Doc: "repository in that registry", Str: func(p *Pull) Name { return p.Repository }},
	{Name: "tag", Doc: "tag of the reference", Str: func(p *Pull) Name { return p.Tag }},
	{Name: "digest", Doc: "digest of the reference", Str: func(p *Pull) Name { return p.Digest }},
	{Name: "namespace", Doc: "namespace of the pod it was for", Label: true, Str: func(p *Pull) Name { return p.Namespace }},
	{Name: "pod", Doc: "pod it was for", Str: func(p *Pull) Name { return p.Pod }},
	{Name: "container", Doc: "container of that pod; empty for an image volume", Str: func(p *Pull) Name { return p.Container }},
	{Name: "workload", Doc: "workload of that pod", Label: true, Str: func(p *Pull) Name { return p.Workload }},
	{Name: "workload_kind", Doc: "kind of that workload", Label: true, Str: func(p *Pull) Name { return p.WorkloadKind }},
	{Name: "tags", Doc: "labels and annotations of the pod or its namespace that the settings ask for, as key=value", Strs: func(p *Pull) Names { return p.Tags }},
	{Name: "result", Doc: "how it ended", Label: true, Words: pullResultNames, Enum: func(p *Pull) uint16 { return uint16(p.Result) }},
	{Name: "pull_policy", Doc: "imagePullPolicy of the container", Label: true, Str: func(p *Pull) Name { return p.Policy }},
	{Name: "pulls", Doc: "how many this row stands for: an event may be told once for many", U32: func(p *Pull) uint32 { return p.Count }},
	{Name: "duration_ms", Doc: "milliseconds it took, without waiting for other pulls", Count: func(p *Pull) Count { return p.DurationMs }},
	{Name: "wait_ms", Doc: "milliseconds it waited for other pulls", Count: func(p *Pull) Count { return p.WaitMs }},
	{Name: "bytes", Doc: "size of the image", Count: func(p *Pull) Count { return p.Bytes }},
	{Name: "detail", Doc: "why it failed, in the words of the node's runtime", Str: func(p *Pull) Name { return p.Detail }},
}
