package track_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sextant/collector/flow"
	"sextant/collector/track"
)

// answers is an AAAA memory that knows when a pod was answered what.
type answers map[string]time.Time

func (a answers) Usable(pod flow.Ref[flow.Endpoint], name flow.Name, at time.Time) bool {
	since, ok := a[pod.Get().Pod.String()+" "+name.String()]
	return ok && !at.Before(since)
}

func TestFallback(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		flows []string
		want  []string
	}{
		{"refused, then IPv4", []string{
			"1.000 n1 STACK NEW tcp:S web6:40000 > cdn6:443 name=cdn.example",
			"1.010 n1 ENDPOINT REPLY tcp:R. cdn6:443 > web6:40000 name=cdn.example",
			"1.020 n1 STACK NEW tcp:S web:40001 > cdn:443 name=cdn.example",
			"1.030 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40001 name=cdn.example",
		}, []string{
			"tcp web6:40000>cdn6:443 refused source cdn.example fallen_back:20",
			"tcp web:40001>cdn:443 answered source cdn.example fallback:20",
		}},
		{"unanswered, while IPv4 already runs; not avoidable, for IPv6 was tried", []string{
			"0.900 n1 STACK NEW tcp:S web6:39999 > www6:443 name=www.example",
			"0.950 n1 ENDPOINT REPLY tcp:S. www6:443 > web6:39999 name=www.example",
			"1.000 n1 STACK NEW tcp:S web6:40000 > cdn6:443 name=www.example",
			"1.250 n1 STACK NEW tcp:S web:40001 > cdn:443 name=www.example",
			"1.260 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40001 name=www.example",
			"2.000 n1 STACK EST tcp:S web6:40000 > cdn6:443 name=www.example",
		}, []string{
			"tcp web6:39999>www6:443 answered source www.example",
			"tcp web6:40000>cdn6:443 unanswered source www.example fallen_back:250",
			"tcp web:40001>cdn:443 answered source www.example fallback:250",
		}},
		{"denied, then IPv4", []string{
			"1.0 n1 DROP - tcp:S web6:40000 > cdn6:443 way=out name=cdn.example",
			"4.0 n1 STACK NEW tcp:S web:40001 > cdn:443 name=cdn.example",
			"4.1 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40001 name=cdn.example",
		}, []string{
			"tcp web6:40000>cdn6:443 denied source POLICY_DENIED cdn.example fallen_back:3000",
			"tcp web:40001>cdn:443 answered source cdn.example fallback:3000",
		}},
		{"over UDP", []string{
			"1.0 n1 STACK NEW udp web6:40000 > cdn6:443 name=cdn.example",
			"1.3 n1 STACK NEW udp web:40001 > cdn:443 name=cdn.example",
			"1.4 n1 ENDPOINT REPLY udp cdn:443 > web:40001 name=cdn.example",
		}, []string{
			"udp web6:40000>cdn6:443 unanswered source cdn.example fallen_back:300",
			"udp web:40001>cdn:443 answered source cdn.example fallback:300",
		}},
		{"IPv6 was answered, late but in time: a race that IPv4 lost or won, no failure", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > cdn6:443 name=cdn.example",
			"1.3 n1 STACK NEW tcp:S web:40001 > cdn:443 name=cdn.example",
			"1.4 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40001 name=cdn.example",
			"1.5 n1 ENDPOINT REPLY tcp:S. cdn6:443 > web6:40000 name=cdn.example",
		}, []string{
			"tcp web6:40000>cdn6:443 answered source cdn.example",
			"tcp web:40001>cdn:443 answered source cdn.example",
		}},
		{"both denied: a policy, not IPv6", []string{
			"1.0 n1 DROP - tcp:S web6:40000 > cdn6:443 way=out name=cdn.example",
			"1.7 n1 DROP - tcp:S web:40001 > cdn:443 way=out name=cdn.example",
		}, []string{
			"tcp web6:40000>cdn6:443 denied source POLICY_DENIED cdn.example",
			"tcp web:40001>cdn:443 denied source POLICY_DENIED cdn.example",
		}},
		{"too late, another name, another pod, before it", []string{
			"1.0 n1 STACK NEW tcp:S web:39999 > cdn:443 name=cdn.example",
			"1.1 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:39999 name=cdn.example",
			"2.0 n1 STACK NEW tcp:S web6:40000 > cdn6:443 name=cdn.example",
			"2.1 n1 STACK NEW tcp:S web:40001 > www:443 name=www.example",
			"2.2 n1 ENDPOINT REPLY tcp:S. www:443 > web:40001 name=www.example",
			"2.3 n1 STACK NEW tcp:S cart:40002 > cdn:443 name=cdn.example",
			"2.4 n1 ENDPOINT REPLY tcp:S. cdn:443 > cart:40002 name=cdn.example",
			"12.1 n1 STACK NEW tcp:S web:40003 > cdn:443 name=cdn.example",
			"12.2 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40003 name=cdn.example",
		}, []string{
			"tcp web:39999>cdn:443 answered source cdn.example",
			"tcp web6:40000>cdn6:443 unanswered source cdn.example",
			"tcp web:40001>www:443 answered source www.example avoidable",
			"tcp cart:40002>cdn:443 answered source cdn.example",
			"tcp web:40003>cdn:443 answered source cdn.example",
		}},
		{"one retry each, oldest first", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > cdn6:443 name=cdn.example",
			"1.1 n1 STACK NEW tcp:S web6:40001 > cdn6:443 name=cdn.example",
			"1.3 n1 STACK NEW tcp:S web:40002 > cdn:443 name=cdn.example",
			"1.35 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40002 name=cdn.example",
			"1.4 n1 STACK NEW tcp:S web:40003 > cdn:443 name=cdn.example",
			"1.45 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40003 name=cdn.example",
			"1.5 n1 STACK NEW tcp:S web:40004 > cdn:443 name=cdn.example",
			"1.55 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40004 name=cdn.example",
		}, []string{
			"tcp web6:40000>cdn6:443 unanswered source cdn.example fallen_back:300",
			"tcp web6:40001>cdn6:443 unanswered source cdn.example fallen_back:300",
			"tcp web:40002>cdn:443 answered source cdn.example fallback:300",
			"tcp web:40003>cdn:443 answered source cdn.example fallback:300",
			"tcp web:40004>cdn:443 answered source cdn.example",
		}},
		{"attempts that arrive in another order than they were made", []string{
			"1.1 n1 STACK NEW tcp:S web6:40001 > cdn6:443 name=cdn.example",
			"1.0 n1 STACK NEW tcp:S web6:40000 > cdn6:443 name=cdn.example",
			"1.4 n1 STACK NEW tcp:S web:40003 > cdn:443 name=cdn.example",
			"1.3 n1 STACK NEW tcp:S web:40002 > cdn:443 name=cdn.example",
			"1.45 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40003 name=cdn.example",
			"1.45 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40002 name=cdn.example",
		}, []string{
			"tcp web6:40000>cdn6:443 unanswered source cdn.example fallen_back:300",
			"tcp web6:40001>cdn6:443 unanswered source cdn.example fallen_back:300",
			"tcp web:40002>cdn:443 answered source cdn.example fallback:300",
			"tcp web:40003>cdn:443 answered source cdn.example fallback:300",
		}},
		{"a name with two addresses, both dead", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > cdn6:443 name=cdn.example",
			"1.25 n1 STACK NEW tcp:S web6:40001 > cdn26:443 name=cdn.example",
			"1.5 n1 STACK NEW tcp:S web:40002 > cdn:443 name=cdn.example",
			"1.6 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40002 name=cdn.example",
		}, []string{
			"tcp web6:40000>cdn6:443 unanswered source cdn.example fallen_back:500",
			"tcp web6:40001>cdn26:443 unanswered source cdn.example fallen_back:250",
			"tcp web:40002>cdn:443 answered source cdn.example fallback:500",
		}},
		{"without names: workload, port and service", []string{
			"1.0 n1 ENDPOINT NEW tcp:S web6:40000 > cart6:80 service=shop/cart",
			"1.0 n1 ENDPOINT REPLY tcp:R. cart6:80 > web6:40000",
			"1.1 n1 ENDPOINT NEW tcp:S web:40001 > cart:80 service=shop/cart",
			"1.2 n1 ENDPOINT REPLY tcp:S. cart:80 > web:40001",
			"1.3 n1 ENDPOINT NEW tcp:S web6:40002 > cart6:81 service=shop/cart",
			"1.3 n1 ENDPOINT REPLY tcp:R. cart6:81 > web6:40002",
			"1.4 n1 ENDPOINT NEW tcp:S web:40003 > cart:82 service=shop/cart",
			"1.5 n1 ENDPOINT REPLY tcp:S. cart:82 > web:40003",
		}, []string{
			"tcp web6:40000>cart6:80 refused destination shop/cart fallen_back:100",
			"tcp web:40001>cart:80 answered destination shop/cart fallback:100",
			"tcp web6:40002>cart6:81 refused destination shop/cart",
			"tcp web:40003>cart:82 answered destination shop/cart",
		}},
		{"neither name nor service, nor a pod", []string{
			"1.0 n1 STACK NEW tcp:S web6:40000 > cdn6:443",
			"1.1 n1 STACK NEW tcp:S web:40001 > cdn:443",
			"1.2 n1 ENDPOINT REPLY tcp:S. cdn:443 > web:40001",
			"2.0 n1 NETWORK NEW tcp:S n16:40000 > cdn6:443 name=cdn.example",
			"2.1 n1 NETWORK NEW tcp:S n1:40001 > cdn:443 name=cdn.example",
			"2.2 n1 NETWORK EST tcp:. n1:40001 > cdn:443 name=cdn.example",
		}, []string{
			"tcp web6:40000>cdn6:443 unanswered source",
			"tcp web:40001>cdn:443 answered source",
			"tcp n16:40000>cdn6:443 unknown node cdn.example",
			"tcp n1:40001>cdn:443 answered node cdn.example",
		}},
		{"avoidable from the answer on", []string{
			"1.0 n1 STACK NEW tcp:S web:40001 > www:443 name=www.example",
			"2.0 n1 STACK NEW tcp:S web:40002 > www:443 name=www.example",
			"2.1 n1 STACK NEW tcp:S web6:40003 > www6:443 name=www.example",
			"2.2 n1 ENDPOINT REPLY tcp:S. www6:443 > web6:40003 name=www.example",
			"2.5 n1 STACK NEW tcp:S web:40004 > www:443 name=other.example",
			"2.6 n1 STACK NEW tcp:S cart:40005 > www:443 name=www.example",
		}, []string{
			"tcp web:40001>www:443 unanswered source www.example",
			"tcp web:40002>www:443 unanswered source www.example avoidable",
			"tcp web6:40003>www6:443 answered source www.example",
			"tcp web:40004>www:443 unanswered source other.example",
			"tcp cart:40005>www:443 unanswered source www.example",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t)
			stage := track.New(track.Default(), rig.names)
			stage.AAAA = answers{"web-1 www.example": midnight.Add(1100 * time.Millisecond)}
			_, told := run(stage, 100, rig.records(c.flows...))
			if diff := cmp.Diff(c.want, briefs(told)); diff != "" {
				t.Errorf("connections (-want +got):\n%s", diff)
			}
			byID := map[flow.UUID]flow.Connection{}
			for _, c := range told {
				byID[c.ID] = c
			}
			for _, c := range told {
				if six := byID[c.FallbackOf]; c.FallbackOf != (flow.UUID{}) && (!six.FallenBack || six.Family != flow.FamilyIPv6 || six.FallbackMs != c.FallbackMs) {
					t.Errorf("%s is the fallback of %s", brief(&c), brief(&six))
				}
			}
		})
	}
}
