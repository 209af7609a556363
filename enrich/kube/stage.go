package kube

import (
	"net/netip"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
)

// Stage says who the ends of flows are: what Hubble told stands, and an index fills in the rest, as of the flow's time. It
// is safe for concurrent use. Without an index it knows no more than on which node the ends live that Hubble calls local.
type Stage struct {
	// Unresolved, where it is set before the first Process, is told of ends that are pods of which the index does not know, by
	// address, and by name where Hubble told that. It is called for each such end, and must be quick.
	Unresolved func(addr netip.Addr, namespace, pod flow.Name)

	names   *flow.Interner
	index   atomic.Pointer[Index]
	merged  cache
	metrics *metrics
}

// NewStage returns a stage without an index. Its names come from the interner of the flows and of the store.
func NewStage(names *flow.Interner, reg prometheus.Registerer) *Stage {
	return &Stage{names: names, metrics: newMetrics(reg)}
}

// SetIndex gives what is known from now on; nil is nothing. A batch is enriched by one and the same index.
func (s *Stage) SetIndex(x *Index) {
	s.index.Store(x)
	s.metrics.set(x)
}

// Process enriches both ends of each record. It allocates nothing for ends that it has seen before.
func (s *Stage) Process(b *flow.Batch) {
	x := s.index.Load()
	var t tally
	for i := range b.Records {
		r := &b.Records[i]
		initiator, responder, known := r.Ends()
		s.end(&t, x, r, initiator, !known) // who is known to begin is nobody's service
		s.end(&t, x, r, responder, true)
	}
	s.metrics.add(&t)
}

// end fills in the endpoint of an end, and its service where it may have one, and says who told it.
func (s *Stage) end(t *tally, x *Index, r *flow.Record, e *flow.End, serves bool) {
	told := e.Endpoint.Get()
	if x.elsewhere(r, &told) {
		x = nil
	}
	at := x.spot(e.IP)
	if serves {
		x.serve(t, r, e, &told, &at)
	}
	// Hubble may know the pod behind a node's address; nobody else does.
	who, sure, node := nobody, false, at.node
	if node == nil || !told.Pod.IsZero() {
		who, sure = x.find(t, r, &at, &told)
		node = nil
	}
	local := told.ID != 0 || node == nil && who == nobody && ownHost(r, &told)

	e.Resolution = x.resolution(e, &told, who != nobody || node != nil, local)
	t.ends[e.Resolution]++
	if s.Unresolved != nil && x != nil && who == nobody && (e.Resolution == flow.Unresolved || !told.Pod.IsZero()) {
		s.Unresolved(e.IP, told.Namespace, told.Pod)
	}

	key := mergeKey{told: e.Endpoint}
	switch {
	case who != nobody:
		key.who = x.whos[who].Endpoint
		if sure {
			key.node, key.zone = x.whos[who].Node, x.whos[who].Zone
		}
	case node != nil:
		key.cluster, key.node, key.zone = x.cluster, node.Name, node.Zone
	}
	if local && key.node != r.Node {
		if !key.node.IsZero() {
			t.disagreements[overNode]++
		}
		key.node, key.zone = r.Node, x.zone(r.Node)
	}
	if told.Namespace.IsZero() && who == nobody {
		key.namespace = x.Namespace(told.Identity)
	}
	if key == (mergeKey{told: e.Endpoint}) {
		return
	}
	m := s.merged.get(&key)
	if m == nil {
		m = s.merge(x, key)
		s.merged.put(m)
	}
	e.Endpoint = m.endpoint
	if m.otherWorkload {
		t.disagreements[overWorkload]++
	}
}

// resolution says who told an end.
func (x *Index) resolution(e *flow.End, told *flow.Endpoint, found, local bool) flow.Resolution {
	switch {
	case !told.Pod.IsZero():
		return flow.ResolvedByFlow
	case found:
		return flow.ResolvedByCluster
	case x.isPod(e, told.Identity):
		return flow.Unresolved
	case local:
		return flow.ResolvedByFlow
	}
	return flow.ResolutionNone
}

// elsewhere reports whether an end is of another cluster than the index.
func (x *Index) elsewhere(r *flow.Record, told *flow.Endpoint) bool {
	cluster := told.Cluster
	if cluster.IsZero() {
		cluster = r.Cluster
	}
	return x != nil && !x.cluster.IsZero() && !cluster.IsZero() && cluster != x.cluster
}

// find returns the pod of an end, and whether it surely is the one that had the address: of a name alone several pods may
// have been called, one after the other and on other nodes.
func (x *Index) find(t *tally, r *flow.Record, at *spot, told *flow.Endpoint) (who int32, sure bool) {
	who = x.holder(at, r.Time)
	if told.Pod.IsZero() {
		if who != nobody && !told.Namespace.IsZero() && told.Namespace != x.whos[who].Namespace {
			t.disagreements[overNamespace]++
			return nobody, false
		}
		return who, who != nobody
	}
	if who != nobody {
		if w := &x.whos[who]; w.Pod == told.Pod && w.Namespace == told.Namespace {
			return who, true
		}
		t.disagreements[overPod]++
	}
	who = x.pod(told.Namespace.String(), told.Pod.String())
	return who, who != nobody && !x.more[who].addressed
}

// ownHost reports whether an end is the observing node itself. In a tunnel, and out of one, the identity is not the address's.
func ownHost(r *flow.Record, told *flow.Endpoint) bool {
	return told.Identity == idHost && r.TunnelProtocol == flow.TunnelNone && r.ObservationPoint != flow.FromOverlay
}

// Reserved identities (pkg/identity/numericidentity.go), and how others are told apart.
const (
	idHost          = 1
	idWorld         = 2
	idHealth        = 4
	idRemoteNode    = 6
	idKubeAPIServer = 7
	idIngress       = 8
	idWorldIPv4     = 9
	idWorldIPv6     = 10

	idFirst = 256     // of those that Cilium allocates for pods with the same labels
	idLocal = 1 << 24 // and of those that are a node's own, for CIDRs first
	idNodes = 2 << 24 // and then for remote nodes
)

// isPod reports whether an end is a pod, whoever it is: by its identity, or, where that says nothing of it, by its address.
func (x *Index) isPod(e *flow.End, identity uint32) bool {
	switch identity {
	case idHost, idHealth, idRemoteNode, idKubeAPIServer, idIngress:
		return false
	}
	return e.IP.IsValid() && (identity >= idFirst && identity < idLocal || x.IsPodAddress(e.IP))
}

func isWorld(identity uint32) bool {
	return identity == idWorld || identity == idWorldIPv4 || identity == idWorldIPv6 || identity >= idLocal && identity < idNodes
}

// serve names the service of an end where Hubble does not.
func (x *Index) serve(t *tally, r *flow.Record, e *flow.End, told *flow.Endpoint, at *spot) {
	if x == nil {
		return
	}
	// What the load-balancer in the datapath makes of an answer on its way to the pod has the service's port and, beside the
	// backend's address, the service's (bpf/bpf_lxc.c).
	if vip := r.SourceTranslatedIP; vip.IsValid() && e == &r.Source && r.IsReply == flow.Yes && (r.ObservationPoint == flow.ToEndpoint || r.ObservationPoint == flow.ToProxy) {
		spot := x.spot(vip)
		if service, evidence := x.served(&spot, socket{vip, e.Port, r.Protocol}); evidence == flow.Observed {
			nameService(t, e, service, evidence)
			return
		}
	}
	service, evidence := x.served(at, socket{e.IP, e.Port, r.Protocol})
	if evidence == flow.Inferred && isWorld(told.Identity) { // to the verdict a service of the world is a frontend
		return
	}
	nameService(t, e, service, evidence)
}

func nameService(t *tally, e *flow.End, service flow.Name, evidence flow.Evidence) {
	switch {
	case service.IsZero():
	case e.Service.IsZero():
		e.Service, e.ServiceEvidence = service, evidence
	case e.Service != service && evidence == flow.Observed && e.ServiceEvidence == flow.EvidenceNone:
		t.disagreements[overService]++
	}
}
