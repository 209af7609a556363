package kube

import (
	"net/netip"
	"strconv"
	"time"

	"sextant/collector/flow"
)

// builder puts an index together.
type builder struct {
	*state
	names   *flow.Interner
	x       *Index
	claims  []claim
	nodes   map[netip.Addr]*NodeInfo // by address
	endings map[podName]time.Time    // of the pods that are gone and that more than Cilium told of
}

// index returns an index of what is there.
func (s *state) index(names *flow.Interner) *Index {
	pods := len(s.pods) + len(s.past.list)
	b := builder{
		state: s, names: names,
		x: &Index{
			cluster:    names.Name(s.clusterName(s.ciliumConfig())),
			pods:       make(map[podName]int32, pods),
			whos:       make([]Who, 0, pods),
			more:       make([]more, 0, pods),
			nodes:      map[flow.Name]*NodeInfo{},
			namespaces: map[uint32]flow.Name{},
			objects:    map[Kind]int{},
			former:     len(s.past.list),
		},
		claims:  make([]claim, 0, 2*pods),
		nodes:   map[netip.Addr]*NodeInfo{},
		endings: map[podName]time.Time{},
	}
	b.addNodes()
	b.addPast()
	b.addPods()
	b.addEndpoints()
	b.x.spots = make(map[netip.Addr]spot, len(b.claims)+2*len(s.services)+2*len(b.nodes))
	b.x.holders = newHolders(b.claims, func(a netip.Addr, r run) { b.spot(a, func(s *spot) { s.run = r }) })
	for a, node := range b.nodes {
		b.spot(a, func(s *spot) { s.node = node })
	}
	b.addServices()
	for n, told := range s.identities {
		if id, err := strconv.ParseUint(n.name, 10, 32); err == nil {
			b.x.namespaces[uint32(id)] = names.Name(told.object)
		}
	}
	for _, kind := range stored {
		b.x.objects[kind] = s.of(kind).len()
	}
	return b.x
}

func (b *builder) spot(a netip.Addr, change func(*spot)) {
	s := b.x.spots[a]
	change(&s)
	b.x.spots[a] = s
}

// addNodes adds the nodes, their addresses and the prefixes of their pods.
func (b *builder) addNodes() {
	config := b.ciliumConfig()
	for _, n := range b.nodeNames() {
		core, cilium := b.state.nodes.get(n), b.ciliumNodes.get(n)
		zone, region := b.topology(n.name)
		node := &NodeInfo{Name: b.names.Name(n.name), Zone: b.names.Name(zone), Region: b.names.Name(region)}
		for _, addrs := range [][]netip.Addr{core.addresses, cilium.addresses, core.router, cilium.router} {
			node.Addresses = appendNew(node.Addresses, addrs...)
		}
		b.x.nodes[node.Name] = node
		for _, a := range node.Addresses {
			if b.nodes[a] == nil {
				b.nodes[a] = node
			}
		}
		for _, prefix := range podCIDRs(core.podCIDRs, cilium.podCIDRs, config.values["ipam"].text, config.found) {
			b.x.podCIDRs.Insert(prefix)
		}
	}
	if prefixes, err := b.clusterPodCIDRs(config); err == nil { // else the facts about the cluster tell of it
		for _, prefix := range prefixes {
			b.x.podCIDRs.Insert(prefix)
		}
	}
}

// addPast adds the pods that are gone, the later one in the place of the earlier where they had the same name.
func (b *builder) addPast() {
	for _, f := range b.past.list {
		i := b.add(&f.who)
		if !f.who.thin {
			b.endings[podName{f.who.namespace, f.who.pod}] = f.until
		}
		b.claim(i, &f.who, f.ips, f.since, f.until, true)
	}
}

func (b *builder) addPods() {
	for _, told := range b.pods {
		p := &told.object
		who := b.who(p)
		b.claim(b.add(&who), &who, p.IPs, p.since, p.until, p.ended)
	}
}

// addEndpoints adds the pods of which Cilium alone tells. Its word stays a while when a pod is gone.
func (b *builder) addEndpoints() {
	for _, told := range b.endpoints {
		b.addEndpoint(&told.object)
	}
	for _, told := range b.batches {
		for i := range told.object {
			b.addEndpoint(&told.object[i])
		}
	}
}

func (b *builder) addEndpoint(e *endpoint) {
	if b.state.pods.has(name{e.namespace, e.pod}) {
		return
	}
	if end, ok := b.endings[podName{e.namespace, e.pod}]; ok && !e.since.After(end) {
		return
	}
	who := who{namespace: e.namespace, pod: e.pod}
	if node := b.nodes[e.node]; node != nil {
		who.node, who.zone = node.Name.String(), node.Zone.String()
	}
	b.claim(b.add(&who), &who, e.ips, e.since, time.Time{}, false)
}

// add adds a pod and returns its place. What is equal has one.
func (b *builder) add(w *who) int32 {
	tags := make([]flow.Name, len(w.tags))
	for i, tag := range w.tags {
		tags[i] = b.names.Name(tag)
	}
	ep := flow.Endpoint{
		Cluster:   b.x.cluster,
		Namespace: b.names.Name(w.namespace), Pod: b.names.Name(w.pod),
		Workload: b.names.Name(w.workload.name), WorkloadKind: b.names.Name(w.workload.kind),
		Node: b.names.Name(w.node), Zone: b.names.Name(w.zone),
		Tags: b.names.Names(tags),
	}
	key := podName{ep.Namespace.String(), ep.Pod.String()}
	ref := b.names.Endpoint(ep)
	if i, ok := b.x.pods[key]; ok && b.x.whos[i].Endpoint == ref && b.x.whos[i].HostNetwork == w.hostNetwork {
		b.x.more[i].policies = w.policies
		return i
	}
	i := int32(len(b.x.whos))
	b.x.pods[key] = i
	b.x.whos = append(b.x.whos, Who{
		Endpoint: ref, Cluster: ep.Cluster, Namespace: ep.Namespace, Pod: ep.Pod, Node: ep.Node, Zone: ep.Zone,
		Workload: ep.Workload, WorkloadKind: ep.WorkloadKind, Tags: ep.Tags, HostNetwork: w.hostNetwork,
	})
	b.x.more = append(b.x.more, more{policies: w.policies})
	return i
}

// claim says that a pod had addresses for a time. One on the host's network has its node's, as others there.
func (b *builder) claim(i int32, w *who, ips []netip.Addr, since, until time.Time, ended bool) {
	if w.hostNetwork {
		return
	}
	for _, ip := range ips {
		if b.nodes[ip] == nil {
			b.claims = append(b.claims, newClaim(i, ip, since, until, ended))
			b.x.more[i].addressed = true
		}
	}
}
