package inventory_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// view reads a cluster from lines:
//
//	ipam MODE
//	unknown KIND …                  what was not told; everything else was
//	pool [NAME] PREFIX LENGTH
//	range PREFIX …                  of services
//	node NAME [@ZONE] (ADDRESS|PREFIX) …
//	pod NAMESPACE/NAME [KIND/WORKLOAD] [host|ended] ADDRESS …
//	service NAMESPACE/NAME [POLICY] [headless|unselected|external|ipv4|ipv6] [v4=READY/ALL] [v6=READY/ALL] [lb=ADDRESS] [IP] …
//
// A service's families are those of its cluster IPs, and more if it names them.
func view(t testing.TB, lines string) kube.View {
	t.Helper()
	v := kube.View{Time: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Cluster: "lab", Knows: map[kube.Kind]bool{}}
	for _, k := range []kube.Kind{kube.KindNode, kube.KindPod, kube.KindService, kube.KindEndpointSlice, kube.KindServiceCIDR} {
		v.Knows[k] = true
	}
	for line := range strings.Lines(lines) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		what, words := words[0], words[1:]
		switch what {
		case "ipam":
			v.IPAM = words[0]
		case "unknown":
			for _, k := range words {
				delete(v.Knows, kube.Kind(k))
			}
		case "pool":
			v.Pools = append(v.Pools, readPool(t, words))
		case "range":
			for _, p := range words {
				v.ServiceCIDRs = append(v.ServiceCIDRs, netip.MustParsePrefix(p))
			}
		case "node":
			v.Nodes = append(v.Nodes, readNode(words))
		case "pod":
			v.Pods = append(v.Pods, readPod(words))
		case "service":
			v.Services = append(v.Services, readService(t, words))
		default:
			t.Fatalf("%q is no line of a view", line)
		}
	}
	return v
}

func readPool(t testing.TB, words []string) (p kube.Pool) {
	if len(words) == 3 {
		p.Name, words = words[0], words[1:]
	}
	p.Prefix, p.NodeLength = netip.MustParsePrefix(words[0]), integer(t, words[1])
	return p
}

func readNode(words []string) kube.ViewNode {
	n := kube.ViewNode{Name: words[0]}
	for _, w := range words[1:] {
		switch {
		case strings.HasPrefix(w, "@"):
			n.Zone = w[1:]
		case strings.Contains(w, "/"):
			n.PodCIDRs = append(n.PodCIDRs, netip.MustParsePrefix(w))
		default:
			n.Addresses = append(n.Addresses, netip.MustParseAddr(w))
		}
	}
	return n
}

func readPod(words []string) (p kube.ViewPod) {
	p.Namespace, p.Name, _ = strings.Cut(words[0], "/")
	for _, w := range words[1:] {
		kind, workload, isWorkload := strings.Cut(w, "/")
		switch {
		case w == "host":
			p.HostNetwork = true
		case w == "ended":
			p.Ended = true
		case isWorkload:
			p.Workload, p.WorkloadKind = workload, kind
		default:
			p.IPs = append(p.IPs, netip.MustParseAddr(w))
		}
	}
	return p
}

func readService(t testing.TB, words []string) kube.ViewService {
	v := kube.ViewService{Type: "ClusterIP", Policy: "SingleStack", Selects: true}
	v.Namespace, v.Name, _ = strings.Cut(words[0], "/")
	has := func(f flow.Family) {
		if !slices.Contains(v.Families, f) {
			v.Families = append(v.Families, f)
		}
	}
	endpoints := func(f flow.Family, text string) {
		ready, all, _ := strings.Cut(text, "/")
		v.Ready[f], v.Endpoints[f] = integer(t, ready), integer(t, all)
	}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "SingleStack", "PreferDualStack", "RequireDualStack":
			v.Policy = w
		case "headless":
			v.Headless = true
		case "unselected":
			v.Selects = false
		case "external":
			v.Type = "ExternalName"
		case "ipv4":
			has(flow.FamilyIPv4)
		case "ipv6":
			has(flow.FamilyIPv6)
		case "v4":
			endpoints(flow.FamilyIPv4, value)
		case "v6":
			endpoints(flow.FamilyIPv6, value)
		case "lb":
			v.Type = "LoadBalancer"
			v.LoadBalancers = append(v.LoadBalancers, netip.MustParseAddr(value))
		default:
			ip := netip.MustParseAddr(w)
			v.ClusterIPs = append(v.ClusterIPs, ip)
			if ip.Is4() {
				has(flow.FamilyIPv4)
			} else {
				has(flow.FamilyIPv6)
			}
		}
	}
	return v
}

func integer(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// brief is a row in a line: what is not there is left out.
func brief(i flow.Item) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", i.Kind, i.Family)
	word := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, " %s%s", key, value)
		}
	}
	if i.Prefix.IsZero() {
		name := i.Name.String()
		if !i.Namespace.IsZero() {
			name = i.Namespace.String() + "/" + name
		}
		word("", name)
	}
	word("", i.Prefix.String())
	word("kind=", i.WorkloadKind.String())
	word("node=", i.Node.String())
	word("zone=", i.Zone.String())
	word("policy=", i.Policy.String())
	word("has=", i.Has.String())
	for _, a := range i.Addresses {
		word("", a.String())
	}
	for _, a := range i.LoadBalancers {
		word("lb=", a.String())
	}
	if i.Used.Known || i.Total.Known {
		word("", count(i.Used)+"/"+count(i.Total))
	}
	word("", strings.Join(words(i.Findings), ","))
	if !i.Detail.IsZero() {
		fmt.Fprintf(&b, "\n    %s", i.Detail)
	}
	return b.String()
}

func words(names flow.Names) (texts []string) {
	for _, n := range names.Get() {
		texts = append(texts, n.String())
	}
	return texts
}

func count(c flow.Count) string {
	if !c.Known {
		return "?"
	}
	return strconv.FormatUint(c.N, 10)
}
