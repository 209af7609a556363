package track_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/track"
)

// TestTrack holds a table of what Hubble shows: each flow with the mark it must get, then the connections that follow.
func TestTrack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		flows []string // LINE | mark
		want  []string
	}{
		{"pod to pod on one node", []string{
			"1.0 n1 FROM_ENDPOINT - tcp:S web6:40000 > cart6:80 | untracked",
			"1.0 n1 VERDICT NEW tcp:S web6:40000 > cart6:80 | policy_verdict",
			"1.0 n1 ENDPOINT NEW tcp:S web6:40000 > cart6:80 | counted",
			"1.1 n1 FROM_ENDPOINT - tcp:S. cart6:80 > web6:40000 | reply",
			"1.1 n1 ENDPOINT REPLY tcp:S. cart6:80 > web6:40000 | reply",
			"1.2 n1 ENDPOINT EST tcp:. web6:40000 > cart6:80 | later_flow",
		}, []string{"tcp web6:40000>cart6:80 answered destination"}},
		{"pod to pod across a tunnel, both nodes", []string{
			"1.0 n1 OVERLAY NEW tcp:S web6:40000 > db6:80 | other_view",
			"1.0 n1 OVERLAY - tcp:S web6:40000 > db6:80 again | untracked",
			"1.0 n1 NETWORK - tcp:S web6:40000 > db6:80 tunnel | tunnel_outer",
			"1.0 n2 FROM_OVERLAY - tcp:S web6:40000 > db6:80 | untracked",
			"1.0 n2 ENDPOINT NEW tcp:S web6:40000 > db6:80 | counted",
			"1.1 n2 OVERLAY REPLY tcp:S. db6:80 > web6:40000 | reply",
			"1.1 n1 ENDPOINT REPLY tcp:S. db6:80 > web6:40000 | reply",
		}, []string{"tcp web6:40000>db6:80 answered destination"}},
		{"the pod's node alone: told, but no flow counts it", []string{
			"1.0 n1 OVERLAY NEW tcp:S web6:40000 > db6:80 | other_view",
			"1.1 n1 ENDPOINT REPLY tcp:S. db6:80 > web6:40000 | reply",
		}, []string{"tcp web6:40000>db6:80 answered source"}},
		{"pod to world, masqueraded by BPF", []string{
			"1.0 n1 NETWORK NEW tcp:S web6:40000 > www6:443 class=nat66 | counted",
			"1.0 n1 NETWORK - tcp:S web6:40000 > www6:443 xlated=n16 class=observed | nat_evidence",
			"1.1 n1 FROM_NETWORK - tcp:S. www6:443 > n16:40000 | reply",
			"1.1 n1 ENDPOINT REPLY tcp:S. www6:443 > web6:40000 class=nat66 | reply",
		}, []string{"tcp web6:40000>www6:443 answered source nat66/observed source:nat66/observed egress:n16"}},
		{"masqueraded to another port", []string{
			"1.0 n1 NETWORK NEW tcp:S web6:40000 > www6:443 class=nat66 | counted",
			"1.0 n1 NETWORK - tcp:S web6:55555 > www6:443 xlated=n16 class=observed | nat_evidence",
			"1.2 n1 NETWORK EST tcp:. web6:40000 > www6:443 class=nat66 | later_flow",
			"1.2 n1 NETWORK - tcp:. web6:55555 > www6:443 xlated=n16 class=observed | nat_evidence",
		}, []string{"tcp web6:40000>www6:443 answered source nat66/observed source:nat66/observed egress:n16"}},
		{"masqueraded by iptables, where the device shows it", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443 class=nat66 | counted",
			"1.0 n1 NETWORK NEW tcp:S n16:40000 > www6:443 from=1000 | nat_evidence",
			"1.1 n1 FROM_NETWORK - tcp:S. www6:443 > n16:40000 | reply",
			"1.1 n1 ENDPOINT REPLY tcp:S. www6:443 > web6:40000 class=nat66 | reply",
		}, []string{"tcp web6:40000>www6:443 answered source nat66/confirmed source:nat66/confirmed egress:n16"}},
		{"the pair proves it against what the configuration says", []string{
			"1.0 n1 STACK NEW udp web6:40000 > www6:443 class=native6 | counted",
			"1.0 n1 NETWORK NEW udp n16:40000 > www6:443 from=1000 | nat_evidence",
		}, []string{"udp web6:40000>www6:443 unanswered source nat66/confirmed source:nat66/confirmed egress:n16"}},
		{"the pair says nothing of what lies behind a NAT64", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443 class=nat64 | counted",
			"1.0 n1 NETWORK NEW tcp:S n16:40000 > www6:443 from=1000 | nat_evidence",
		}, []string{"tcp web6:40000>www6:443 unanswered source nat64/inferred source:nat66/confirmed"}},
		{"the pair the other way round", []string{
			"1.0 n1 NETWORK NEW tcp:S n16:40000 > www6:443 from=1000 | proxy_leg",
			"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443 | counted",
		}, []string{"tcp web6:40000>www6:443 unanswered source nat66/confirmed source:nat66/confirmed egress:n16"}},
		{"same ports, but another pod's identity", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443 | counted",
			"1.0 n1 NETWORK NEW tcp:S n16:40000 > www6:443 from=2000 | proxy_leg",
		}, []string{"tcp web6:40000>www6:443 unanswered source"}},
		{"what the datapath itself said is stronger", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443 class=observed | counted",
			"1.0 n1 NETWORK NEW tcp:S n16:40000 > www6:443 from=1000 | nat_evidence",
		}, []string{"tcp web6:40000>www6:443 unanswered source nat66/observed source:nat66/observed egress:n16"}},
		{"the same ports and identity on another node", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443 | counted",
			"1.0 n2 NETWORK NEW tcp:S n26:40000 > www6:443 from=1000 | proxy_leg",
			"2.0 n2 NETWORK NEW tcp:S n26:40001 > www6:443 from=1000 | proxy_leg",
			"2.0 n1 STACK NEW tcp:S web6:40001 > www6:443 | counted",
		}, []string{"tcp web6:40000>www6:443 unanswered source", "tcp web6:40001>www6:443 unanswered source"}},
		{"DNS through the proxy, which asks with the node's address", []string{
			"1.0 n1 VERDICT NEW udp web6:40000 > www6:53 | policy_verdict",
			"1.0 n1 PROXY NEW udp web6:40000 > www6:53 | counted",
			"1.0 n1 L7 NEW udp web6:40000 > www6:53 | l7",
			"1.0 n1 NETWORK NEW udp n16:50000 > www6:53 from=1000 | proxy_leg",
			"1.1 n1 FROM_NETWORK - udp www6:53 > n16:50000 | untracked",
			"1.1 n1 ENDPOINT REPLY udp www6:53 > web6:40000 | reply",
		}, []string{"udp web6:40000>www6:53 answered proxy"}},
		{"the proxy's query is no proof even with the pod's port", []string{
			"1.0 n1 PROXY NEW udp web6:40000 > www6:53 | counted",
			"1.0 n1 NETWORK NEW udp n16:40000 > www6:53 from=1000 | proxy_leg",
		}, []string{"udp web6:40000>www6:53 unanswered proxy"}},
		{"DNS through a transparent proxy to a pod on the node", []string{
			"1.0 n1 PROXY NEW udp web6:40000 > cart6:53 | other_view",
			"1.0 n1 ENDPOINT NEW udp web6:40000 > cart6:53 in=lxc | counted",
			"1.1 n1 PROXY REPLY udp cart6:53 > web6:40000 in=lxc | reply",
			"1.1 n1 ENDPOINT REPLY udp cart6:53 > web6:40000 in=lxc | reply",
		}, []string{"udp web6:40000>cart6:53 answered destination"}},
		{"Envoy on the way out", []string{
			"1.00 n1 PROXY NEW tcp:S web6:40000 > www6:443 | counted",
			"1.01 n1 ENDPOINT REPLY tcp:S. www6:443 > web6:40000 | reply",
			"1.05 n1 STACK NEW tcp:S web6:50000 > www6:443 | proxy_leg",
			"1.10 n1 STACK EST tcp:. web6:50000 > www6:443 | proxy_leg",
			"9.00 n1 STACK NEW tcp:S web6:50001 > www6:443 | counted",
		}, []string{"tcp web6:40000>www6:443 answered proxy", "tcp web6:50001>www6:443 unanswered source"}},
		{"Envoy on the way to a pod", []string{
			"1.00 n1 PROXY NEW tcp:S web6:40000 > db6:80 | counted",
			"1.05 n1 OVERLAY NEW tcp:S web6:50000 > db6:80 | proxy_leg",
			"1.06 n2 ENDPOINT NEW tcp:S web6:50000 > db6:80 | proxy_leg",
		}, []string{"tcp web6:40000>db6:80 unanswered proxy"}},
		{"a DNS proxy that asks a pod with its own address", []string{
			"1.00 n1 PROXY NEW udp web6:40000 > db6:53 | other_view",
			"1.05 n2 ENDPOINT NEW udp n16:50000 > db6:53 from=1000 | proxy_leg",
			"1.06 n1 ENDPOINT REPLY udp db6:53 > web6:40000 | reply",
			"9.00 n2 ENDPOINT NEW udp n16:50001 > db6:53 from=1000 | counted",
		}, []string{"udp web6:40000>db6:53 answered proxy", "udp n16:50001>db6:53 unanswered destination"}},
		{"Envoy on the way in", []string{
			"1.00 n1 PROXY NEW tcp:S web6:40000 > cart6:80 in=lxc | counted",
			"1.05 n1 ENDPOINT NEW tcp:S web6:40000 > cart6:80 in=lxc | other_view",
		}, []string{"tcp web6:40000>cart6:80 unanswered destination"}},
		{"service answered by its address and port", []string{
			"1.0 n1 ENDPOINT NEW tcp:S web6:40000 > cart6:8080 | counted",
			"1.1 n1 ENDPOINT REPLY tcp:S. cart6:80 > web6:40000 xlated=lb6 service=shop/cart name=cart.shop | reply",
			"1.2 n1 ENDPOINT REPLY tcp:R. cart6:80 > web6:40001 xlated=lb6 | reply",
		}, []string{"tcp web6:40000>cart6:8080 answered destination cart.shop shop/cart service_nat"}},
		{"NodePort, forwarded to a pod elsewhere", []string{
			"1.0 n1 FROM_NETWORK - tcp:S client6:40000 > n16:30080 | untracked",
			"1.0 n1 OVERLAY NEW tcp:S lb6:40000 > db6:80 | other_view",
			"1.0 n1 OVERLAY NEW tcp:. lb6:40000 > db6:80 | other_view",
			"1.0 n2 ENDPOINT NEW tcp:S lb6:40000 > db6:80 | counted",
			"1.1 n2 OVERLAY REPLY tcp:S. db6:80 > lb6:40000 | reply",
			"1.1 n1 NETWORK - tcp:S. n16:30080 > client6:40000 | reply",
		}, []string{"tcp lb6:40000>db6:80 answered destination"}},
		{"only the load-balancer's node", []string{
			"1.0 n1 OVERLAY NEW tcp:S lb6:40000 > db6:80 | other_view",
			"1.0 n1 OVERLAY NEW tcp:. lb6:40000 > db6:80 | other_view",
		}, []string{"tcp lb6:40000>db6:80 answered load_balancer"}},
		{"a node's own, whole", []string{
			"1.0 n1 NETWORK NEW tcp:S n1:40000 > www:443 way=in | counted",
			"1.1 n1 NETWORK EST tcp:. n1:40000 > www:443 way=in | later_flow",
		}, []string{"tcp n1:40000>www:443 answered node"}},
		{"a node's own, of which only the FIN shows", []string{
			"1.0 n1 NETWORK EST tcp:F. n1:40000 > www:443 | counted",
			"1.1 n1 NETWORK EST tcp:F. n1:40001 > www:443 | counted",
		}, []string{"tcp n1:40000>www:443 answered node late", "tcp n1:40001>www:443 answered node late"}},
		{"a node's own, of which nobody sees answers", []string{
			"1.0 n1 NETWORK NEW udp n1:40000 > www:53 | counted",
		}, []string{"udp n1:40000>www:53 unknown node"}},
		{"a node's own, of which only answers show, beside a pod's", []string{
			"1.0 n1 STACK NEW tcp:S web:40000 > www:443 | counted",
			"1.1 n1 FROM_NETWORK - tcp:S. www:443 > n1:40000 | reply",
			"1.2 n1 FROM_NETWORK - tcp:S. www:443 > n1:40001 | counted",
			"1.3 n1 FROM_NETWORK - tcp:. www:443 > n1:40001 | untracked",
			"1.4 n1 ENDPOINT REPLY tcp:S. www:443 > web:40000 | reply",
		}, []string{"tcp web:40000>www:443 answered source", "tcp n1:40001>www:443 answered node"}},
		{"answers to a node that shows what leaves it", []string{
			"1.0 n1 NETWORK NEW tcp:S n1:40000 > www:443 | counted",
			"1.2 n1 FROM_NETWORK - tcp:S. www:443 > n1:40001 | reply",
		}, []string{"tcp n1:40000>www:443 unknown node"}},
		{"host to pod", []string{
			"1.0 n1 ENDPOINT NEW tcp:S n1:40000 > web:8080 | counted",
			"1.1 n1 STACK REPLY tcp:S. web:8080 > n1:40000 | reply",
		}, []string{"tcp n1:40000>web:8080 answered destination"}},
		{"pod to its host", []string{
			"1.0 n1 HOST NEW tcp:S web:40000 > n1:10250 | counted",
		}, []string{"tcp web:40000>n1:10250 unanswered source"}},
		{"world to pod", []string{
			"1.0 n1 ENDPOINT NEW tcp:S client6:40000 > web6:8080 way=out | counted",
			"1.1 n1 NETWORK REPLY tcp:S. web6:8080 > client6:40000 | reply",
		}, []string{"tcp client6:40000>web6:8080 answered destination"}},
		{"refused", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443 | counted",
			"1.1 n1 ENDPOINT REPLY tcp:R. www6:443 > web6:40000 | reply",
		}, []string{"tcp web6:40000>www6:443 refused source"}},
		{"reset after an answer", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443 | counted",
			"1.1 n1 ENDPOINT REPLY tcp:S. www6:443 > web6:40000 | reply",
			"1.2 n1 ENDPOINT REPLY tcp:R www6:443 > web6:40000 | reply",
		}, []string{"tcp web6:40000>www6:443 answered source"}},
		{"nobody answers", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443 | counted",
			"2.0 n1 STACK EST tcp:S web6:40000 > www6:443 | later_flow",
			"4.0 n1 STACK EST tcp:S web6:40000 > www6:443 | later_flow",
			"8.0 n1 STACK EST tcp:S web6:40000 > www6:443 | later_flow",
			"16.0 n1 STACK EST tcp:S web6:40000 > www6:443 | later_flow",
			"32.0 n1 STACK EST tcp:S web6:40000 > www6:443 | later_flow",
			"64.0 n1 STACK EST tcp:S web6:40000 > www6:443 | later_flow",
		}, []string{"tcp web6:40000>www6:443 unanswered source"}},
		{"begin not seen", []string{
			"1.0 n1 STACK EST tcp:. web6:40000 > www6:443 | counted",
		}, []string{"tcp web6:40000>www6:443 answered source late"}},
		{"new to connection tracking is not begun", []string{
			"1.0 n1 STACK NEW tcp:. web6:40000 > www6:443 | counted",
			"1.1 n1 STACK EST udp web6:40000 > www6:443 | counted",
		}, []string{"tcp web6:40000>www6:443 answered source late", "udp web6:40000>www6:443 unknown source late"}},
		{"an agent that gives no reasons", []string{
			"1.0 n1 STACK OLD udp web6:40000 > www6:443 | counted",
		}, []string{"udp web6:40000>www6:443 unanswered source"}},
		{"denied on the way out", []string{
			"1.0 n1 VERDICT - tcp:S web6:40000 > www6:443 | policy_verdict",
			"1.0 n1 DROP - tcp:S web6:40000 > www6:443 way=out name=www.example | counted",
			"2.0 n1 DROP - tcp:S web6:40000 > www6:443 way=out again | later_flow",
		}, []string{"tcp web6:40000>www6:443 denied source POLICY_DENIED www.example"}},
		{"denied on the way in, on the other node", []string{
			"1.0 n1 OVERLAY NEW tcp:S web6:40000 > db6:80 | other_view",
			"1.0 n2 DROP - tcp:S web6:40000 > db6:80 way=in | counted",
			"1.0 n2 DROP - udp web6:40000 > db6:80 way=in | counted",
		}, []string{"tcp web6:40000>db6:80 denied destination POLICY_DENIED", "udp web6:40000>db6:80 denied destination POLICY_DENIED"}},
		{"denied datagrams, a window each", []string{
			"1 n1 DROP - udp web6:40000 > www6:443 | counted",
			"30 n1 DROP - udp web6:40000 > www6:443 | later_flow",
			"60 n1 DROP - udp web6:40000 > www6:443 | later_flow",
			"61 n1 DROP - udp web6:40000 > www6:443 | counted",
			"120 n1 DROP - udp web6:40000 > www6:443 | later_flow",
		}, []string{"udp web6:40000>www6:443 denied source POLICY_DENIED", "udp web6:40000>www6:443 denied source POLICY_DENIED"}},
		{"a packet of a connection that works is dropped", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443 | counted",
			"1.1 n1 ENDPOINT REPLY tcp:S. www6:443 > web6:40000 | reply",
			"1.2 n1 DROP - tcp:. www6:443 > web6:40000 reason=CT_INVALID | later_flow",
			"1.3 n1 DROP - tcp:. www6:443 > web6:49999 reason=CT_INVALID | untracked",
		}, []string{"tcp web6:40000>www6:443 answered source CT_INVALID"}},
		{"an answer is dropped, nobody says it is one", []string{
			"1.0 n1 STACK NEW udp web6:40000 > www6:443 | counted",
			"1.1 n1 DROP - udp www6:443 > web6:40000 reason=NO_ROUTE | later_flow",
		}, []string{"udp web6:40000>www6:443 denied source NO_ROUTE"}},
		{"fragments without ports", []string{
			"1.0 n1 FROM_ENDPOINT - none web6 > www6 | fragment",
			"1.0 n1 DROP - none web6 > www6 | counted",
			"1.1 n1 DROP - none web6 > www6 | later_flow",
		}, []string{"unknown web6:0>www6:0 denied source POLICY_DENIED"}},
		{"pings", []string{
			"1 n1 STACK NEW icmpv6:128 web6 > www6 | counted",
			"1 n1 ENDPOINT REPLY icmpv6:129 www6 > web6 | reply",
			"2 n1 STACK EST icmpv6:128 web6 > www6 | later_flow",
			"2 n1 STACK NEW icmp:8 web > www | counted",
			"70 n1 STACK NEW icmpv6:128 web6 > www6 | counted",
		}, []string{"icmpv6 web6:0>www6:0 answered source", "icmp web:0>www:0 unanswered source", "icmpv6 web6:0>www6:0 unanswered source"}},
		{"a ping that never stops", []string{
			"1 n1 STACK NEW icmp:8 web > www | counted",
			"31 n1 STACK EST icmp:8 web > www | later_flow",
			"61 n1 STACK EST icmp:8 web > www | counted",
		}, []string{"icmp web:0>www:0 unanswered source", "icmp web:0>www:0 unknown source late"}},
		{"a ping masqueraded by iptables", []string{
			"1 n1 STACK NEW icmpv6:128 web6 > www6 | counted",
			"1 n1 NETWORK NEW icmpv6:128 n16 > www6 from=1000 | nat_evidence",
		}, []string{"icmpv6 web6:0>www6:0 unanswered source nat66/confirmed source:nat66/confirmed egress:n16"}},
		{"ICMP that is no ping", []string{
			"1 n1 ENDPOINT RELATED icmpv6:1 www6 > web6 | icmp_error",
			"1 n1 ENDPOINT NEW icmp:3 www > web | icmp_error",
		}, nil},
		{"upkeep and other kinds", []string{
			"1 n1 STACK NEW udp web6:5353 > ff026:5353 | noise",
			"1 n1 STACK NEW icmpv6:128 web6 > router6 | noise",
			"1 n1 DROP - icmpv6:133 web6 > www6 noise | noise",
			"1 n1 SOCK - tcp web6 > cart6:80 | sock",
			"1 n1 DEBUG - tcp web6 > cart6:80 | other_event",
			"1 n1 STACK NEW udp web:40000 > router:53 | counted",
		}, []string{"udp web:40000>router:53 unanswered source"}},
		{"port used again after an end", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > www6:443 | counted",
			"1.1 n1 ENDPOINT REPLY tcp:R. www6:443 > web6:40000 | reply",
			"7.0 n1 STACK NEW tcp:S web6:40000 > www6:443 | counted",
			"7.1 n1 ENDPOINT REPLY tcp:S. www6:443 > web6:40000 | reply",
			"7.2 n1 STACK EST tcp:F. web6:40000 > www6:443 | later_flow",
			"7.3 n1 ENDPOINT REPLY tcp:F. www6:443 > web6:40000 | reply",
			"20 n1 STACK NEW tcp:S web6:40000 > www6:443 | counted",
		}, []string{"tcp web6:40000>www6:443 refused source", "tcp web6:40000>www6:443 answered source", "tcp web6:40000>www6:443 unanswered source"}},
		{"the other node's view of which of two", []string{
			"1.0 n1 OVERLAY NEW tcp:S web6:40000 > db6:80 | other_view",
			"1.1 n1 ENDPOINT REPLY tcp:R. db6:80 > web6:40000 | reply",
			"6.1 n1 OVERLAY NEW tcp:S web6:40000 > db6:80 | other_view",
			"0.9 n2 ENDPOINT NEW tcp:S web6:40000 > db6:80 | counted",
			"5.9 n2 ENDPOINT NEW tcp:S web6:40000 > db6:80 | counted",
		}, []string{"tcp web6:40000>db6:80 refused destination", "tcp web6:40000>db6:80 unanswered destination"}},
		{"port used again after a silence", []string{
			"1 n1 STACK NEW udp web6:40000 > www6:443 | counted",
			"60 n1 STACK NEW udp web6:40000 > www6:443 | later_flow",
			"121 n1 STACK NEW udp web6:40000 > www6:443 | counted",
		}, []string{"udp web6:40000>www6:443 unanswered source", "udp web6:40000>www6:443 unanswered source"}},
		{"a FIN that overtook its SYN", []string{
			"1.000 n1 ENDPOINT REPLY tcp:F. www6:443 > web6:40000 | reply",
			"1.001 n1 STACK EST tcp:F. web6:40000 > www6:443 | counted",
			"1.002 n1 STACK NEW tcp:S web6:40000 > www6:443 | later_flow",
		}, []string{"tcp web6:40000>www6:443 answered source"}},
		{"delivered twice", []string{
			"1 n1 STACK NEW udp web6:40000 > www6:443 | counted",
			"1 n1 STACK NEW udp web6:40000 > www6:443 | redelivered",
		}, []string{"udp web6:40000>www6:443 unanswered source"}},
		{"names from the client's node, workloads from each", []string{
			"1.0 n2 ENDPOINT NEW tcp:S web6:40000 > db6:80 | counted",
			"1.0 n1 OVERLAY NEW tcp:S web6:40000 > db6:80 name=db.example | other_view",
		}, []string{"tcp web6:40000>db6:80 unanswered destination db.example"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t)
			var flows, want []string
			for _, line := range c.flows {
				line, mark, _ := strings.Cut(line, " | ")
				flows, want = append(flows, line), append(want, mark)
			}
			seen, told := run(track.New(track.Default(), rig.names), 100, rig.records(flows...))
			for i, mark := range marks(seen) {
				if mark != want[i] {
					t.Errorf("%s is marked %q, want %q", flows[i], mark, want[i])
				}
			}
			if diff := cmp.Diff(c.want, briefs(told)); diff != "" {
				t.Errorf("connections (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEnds: each end is told as its own node knows it.
func TestEnds(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	_, told := run(track.New(track.Default(), rig.names), 100, rig.records(
		"1.0 n2 ENDPOINT NEW tcp:S web6:40000 > db6:80",
		"1.1 n1 OVERLAY NEW tcp:S web6:40000 > db6:80",
		"1.2 n1 ENDPOINT REPLY tcp:S. db6:80 > web6:40000",
	))
	if len(told) != 1 {
		t.Fatalf("%d connections", len(told))
	}
	c := told[0]
	if w, d := c.Source.Endpoint.Get().Workload.String(), c.Destination.Endpoint.Get().Workload.String(); w != "web" || d != "db" {
		t.Errorf("workloads %q and %q, want web and db", w, d)
	}
	if c.Node.String() != "n2" || c.Flows != 3 || !c.First.Equal(midnight.Add(time.Second)) || !c.Last.Equal(midnight.Add(1200*time.Millisecond)) {
		t.Errorf("node %s, %d flows, from %s to %s", c.Node, c.Flows, c.First, c.Last)
	}
}

// TestID: two collectors that see one end each name the connection alike.
func TestID(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	_, here := run(track.New(track.Default(), rig.names), 1, rig.records("1.001 n1 OVERLAY NEW tcp:S web6:40000 > db6:80"))
	_, there := run(track.New(track.Default(), newRig(t).names), 1, newRig(t).records("1.003 n2 ENDPOINT NEW tcp:S web6:40000 > db6:80"))
	_, later := run(track.New(track.Default(), rig.names), 1, rig.records("9 n1 OVERLAY NEW tcp:S web6:40000 > db6:80"))
	if here[0].ID != there[0].ID {
		t.Errorf("%x here and %x there", here[0].ID, there[0].ID)
	}
	if here[0].ID == later[0].ID || here[0].ID == (flow.UUID{}) {
		t.Errorf("%x at first and %x later", here[0].ID, later[0].ID)
	}
	for range 3 { // also in another process, whose seed is another
		_, again := run(track.New(track.Default(), rig.names), 1, rig.records("1.001 n1 OVERLAY NEW tcp:S web6:40000 > db6:80"))
		if again[0].ID != here[0].ID {
			t.Errorf("%x the first time, then %x", here[0].ID, again[0].ID)
		}
	}
}

// TestRedelivered: an event is known again after a good many others.
func TestRedelivered(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	stage := track.New(track.Default(), rig.names)
	line := rig.record("1 n1 STACK NEW udp web6:40000 > www6:443")
	deliver := func(from, to int) (known int) {
		for i := range to - from {
			r := line
			r.UUID = flow.UUID{0: byte(from + i), 1: byte((from + i) >> 8), 2: byte((from + i) >> 16), 9: 1}
			b := flow.Batch{Records: []flow.Record{r}}
			stage.Process(&b)
			if b.Records[0].Duplicate.String() == "redelivered" {
				known++
			}
		}
		return known
	}
	if known := deliver(0, 150_000); known != 0 {
		t.Errorf("%d of the first delivery were taken for known", known)
	}
	if known := deliver(50_000, 60_000); known != 10_000 {
		t.Errorf("%d of 10000 repeated were known", known)
	}
}

// TestNoUUID: agents before 1.14 send no identifier, and are not taken for repeating themselves.
func TestNoUUID(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	records := rig.records("1.0 n1 VERDICT NEW tcp:S web6:40000 > www6:443", "1.0 n1 STACK OLD tcp:S web6:40000 > www6:443",
		"1.0 n1 STACK OLD tcp:S web6:40000 > www6:443", "1.0 n1 STACK OLD tcp:S web6:40001 > www6:443")
	for i := range records {
		records[i].UUID = flow.UUID{}
	}
	seen, _ := run(track.New(track.Default(), rig.names), 100, records)
	if diff := cmp.Diff([]string{"policy_verdict", "counted", "redelivered", "counted"}, marks(seen)); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
}

// TestMapped: an IPv4-mapped address in an IPv6 packet, which Hubble prints as IPv4, is not the IPv4 connection.
func TestMapped(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	records := rig.records("1 n1 STACK NEW udp web:40000 > www:443", "1 n1 STACK NEW udp web:40000 > www:443 again")
	records[1].Family = flow.FamilyIPv6
	if _, told := run(track.New(track.Default(), rig.names), 100, records); len(told) != 2 {
		t.Errorf("%d connections, want 2", len(told))
	}
}

// TestOddRecords: whatever arrives gets a mark and does no harm.
func TestOddRecords(t *testing.T) {
	t.Parallel()
	rig := newRig(t)
	late := rig.record("1 n1 STACK NEW udp web:40000 > www:443")
	late.Time = time.Time{}
	seen, told := run(track.New(track.Default(), rig.names), 100, []flow.Record{
		{}, {EventType: flow.EventTrace}, late, {Time: midnight, EventType: flow.EventDrop, Source: flow.End{IP: netip.IPv6Unspecified()}, Destination: flow.End{IP: netip.IPv4Unspecified()}},
	})
	if len(told) != 0 {
		t.Errorf("connections: %v", briefs(told))
	}
	for i, mark := range marks(seen) {
		if mark == "" {
			t.Errorf("record %d has no mark", i)
		}
	}
}
