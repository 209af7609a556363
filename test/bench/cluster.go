package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"

	"sextant/collector/flow"
)

// size is how much there is in a cluster and in the world around it.
type size struct{ nodes, namespaces, apps, pods, hosts, visitors int }

// medium is a cluster with 25 pods on a node and ten in an app.
var medium = size{nodes: 200, namespaces: 60, apps: 500, pods: 5000, hosts: 20_000, visitors: 20_000}

// cluster is who talks.
type cluster struct {
	nodes    []*node
	apps     []*app
	dns      *app
	hosts    []*host
	visitors []host // who come in from the world
	resolver host   // whom the cluster's DNS asks
	names    *flow.Interner
	name     flow.Name
}

// node is a node. One in five masquerades in BPF, without kube-proxy and with little aggregation, as one of the two in the
// recorded cluster (deploy/demo) does; the others have what Cilium's chart sets by default.
type node struct {
	name       flow.Name
	zone       string
	bpf        bool
	index      int
	ip, router family // router is cilium_host's
	here, away flow.Ref[flow.Endpoint]
	pods       int
}

// app is a workload: pods that are alike, and a service before them.
type app struct {
	namespace, workload string
	pods                []*pod
	service             family
	name                flow.Name // of the service, as it is asked for
	single              bool      // the service is IPv4 alone
	habit               habit
	filtered            bool // policies select it: verdicts show, and its DNS goes through Cilium's proxy
	egress, ingress     flow.Names
	calls               []*app
	uses                []*host
}

// habit is how an app comes to use IPv4.
type habit uint8

const (
	modern  habit = iota // takes what the resolver prefers, which is IPv6
	either               // connects over IPv4 half of the time, whatever was answered
	bound                // asks for A alone
	literal              // has IPv4 addresses in its configuration
)

// pod is one pod. Hubble tells its workload on its own node alone.
type pod struct {
	app        *app
	node       *node
	name       string
	ip         family
	here, away flow.Ref[flow.Endpoint]
	veth       flow.Name
}

// host is somebody in the world.
type host struct {
	ip      family // without IPv6 it has an A record alone; NAT64 where DNS64 made one up
	name    flow.Name
	names   flow.Names // as Hubble attaches it, without the trailing dot
	who     flow.Ref[flow.Endpoint]
	trouble trouble
}

// trouble is what happens to IPv6 on the way to a host.
type trouble uint8

const (
	fine trouble = iota
	refuses
	silent
)

// family is a pair of addresses.
type family struct{ v4, v6 netip.Addr }

func (f family) of(v4 bool) netip.Addr {
	if v4 {
		return f.v4
	}
	return f.v6
}

// newCluster makes a cluster. The same numbers from rng make the same one.
func newCluster(rng *rand.Rand, names *flow.Interner, s size) *cluster {
	c := &cluster{names: names, name: names.Name("prod")}
	c.addNodes(s)
	c.addHosts(rng, s)
	c.addApps(rng, s)
	c.addCalls(rng, s)
	return c
}

func (c *cluster) addNodes(s size) {
	for i := range s.nodes {
		n := &node{
			name: c.names.Name(fmt.Sprintf("worker-%03d", i)), zone: "eu-1" + string("abc"[i%3]), bpf: i%5 == 0, index: i,
			ip:     family{addr4(172, 16, i>>8, i), addr6(0x20010db8000a0000, uint64(i+1))},
			router: family{addr4(10, i>>8, i, 1), addr6(0xfd10020100000000+uint64(i), 1)},
		}
		n.here = c.names.Endpoint(flow.Endpoint{Identity: 1})
		n.away = c.names.Endpoint(flow.Endpoint{Identity: 6})
		c.nodes = append(c.nodes, n)
	}
}

// addHosts makes the world: in ten hosts are six with both families, three with IPv4 alone, and one whose AAAA comes from
// DNS64. One in fifty of those with both cannot be reached over IPv6. Addresses are those for documentation and benchmarks
// (RFC 3849, RFC 2544).
func (c *cluster) addHosts(rng *rand.Rand, s size) {
	for i := range s.hosts {
		h := &host{name: c.names.Name(fmt.Sprintf("api%d.partner-%d.example.", i%7, i))}
		h.ip.v4 = addr4(198, 18, i>>8, i)
		switch i % 10 {
		case 6, 7, 8:
		case 9:
			v4 := h.ip.v4.As4()
			h.ip.v6 = addr6(0x0064ff9b00000000, uint64(binary.BigEndian.Uint32(v4[:])))
		default:
			h.ip.v6 = addr6(0x20010db8f0000000+uint64(i)<<4, uint64(rng.Uint32()))
			h.trouble = map[int]trouble{24: refuses, 45: silent}[i%50]
		}
		h.names = c.names.Names([]flow.Name{c.names.Name(fmt.Sprintf("api%d.partner-%d.example", i%7, i))})
		h.who = c.names.Endpoint(flow.Endpoint{Identity: uint32(1<<24 + 1 + i%4096)}) // of names that policies allow
		c.hosts = append(c.hosts, h)
	}
	for i := range s.visitors {
		c.visitors = append(c.visitors, host{ip: family{addr4(198, 19, i>>8, i), addr6(0x20010db8c0000000+uint64(i)<<2, rng.Uint64())}})
	}
	c.resolver = host{ip: family{addr4(198, 19, 255, 53), addr6(0x20010db8ffff0000, 0x53)}, who: c.names.Endpoint(flow.Endpoint{Identity: 10})}
}

// addApps makes the apps. Few have many pods, and the cluster's DNS is the last.
func (c *cluster) addApps(rng *rand.Rand, s size) {
	for i := range s.apps {
		a := &app{namespace: fmt.Sprintf("team-%02d", i*i%s.namespaces), workload: fmt.Sprintf("service-%03d", i)}
		a.habit = [...]habit{modern, bound, either, literal, modern, modern, modern, modern, either, modern}[i%10]
		a.filtered, a.single = i%5 < 3, i%8 == 5
		c.addPods(rng, a, i, max(1, int(float64(s.pods)*share(i, s.apps))))
	}
	c.dns = &app{namespace: "kube-system", workload: "coredns"}
	c.addPods(rng, c.dns, s.apps, 2+s.nodes/20)
}

// share is the part of all pods that app i of n has.
func share(i, n int) float64 { return 1 / (float64(i+1) * (math.Log(float64(n)) + 0.58)) }

func (c *cluster) addPods(rng *rand.Rand, a *app, index, count int) {
	a.service = family{addr4(10, 96, index>>8, index+1), addr6(0xfd10009600000000, uint64(index+1))}
	a.name = c.names.Name(a.workload + "." + a.namespace + ".svc.cluster.local.")
	policy := func(name string) flow.Names {
		return c.names.Names([]flow.Name{c.names.Name("CiliumNetworkPolicy/" + a.namespace + "/" + name)})
	}
	a.egress, a.ingress = policy("egress"), policy(a.workload)
	hash := fmt.Sprintf("%09x", rng.Uint32())
	for p := range count {
		n := c.nodes[(index*31+p*7)%len(c.nodes)]
		n.pods++
		one := &pod{app: a, node: n, name: fmt.Sprintf("%s-%s-%05x", a.workload, hash, rng.Uint32()>>12), veth: c.names.Name(fmt.Sprintf("lxc%012x", rng.Uint64()>>16))}
		one.ip = family{addr4(10, n.index>>8, n.index, n.pods+1), addr6(0xfd10020100000000+uint64(n.index), uint64(n.pods+1)<<8|uint64(rng.UintN(256)))}
		e := flow.Endpoint{Identity: uint32(10_000 + index), Cluster: c.name, Namespace: c.names.Name(a.namespace), Pod: c.names.Name(one.name)}
		one.away = c.names.Endpoint(e)
		e.ID, e.Workload, e.WorkloadKind = uint32(n.pods+100), c.names.Name(a.workload), c.names.Name("Deployment")
		one.here = c.names.Endpoint(e)
		a.pods = append(a.pods, one)
	}
	if a.workload != "coredns" {
		c.apps = append(c.apps, a)
	}
}

// addCalls says who talks to whom: to few, and mostly to those to whom many talk.
func (c *cluster) addCalls(rng *rand.Rand, s size) {
	popular, visited := rand.NewZipf(rng, 1.1, 8, uint64(s.apps-1)), rand.NewZipf(rng, 1.2, 4, uint64(s.hosts-1))
	for _, a := range c.apps {
		for range 1 + rng.IntN(6) {
			a.calls = append(a.calls, c.apps[popular.Uint64()])
		}
		for range 1 + rng.IntN(8) {
			a.uses = append(a.uses, c.hosts[visited.Uint64()])
		}
	}
}

func addr4(a, b, c, d int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a), byte(b), byte(c), byte(d)})
}

func addr6(high, low uint64) netip.Addr {
	var a [16]byte
	binary.BigEndian.PutUint64(a[:8], high)
	binary.BigEndian.PutUint64(a[8:], low)
	return netip.AddrFrom16(a)
}
