package kubetest_test

import (
	"net/netip"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector/flow"
	"sextant/enrich/kube"
)

// stage enriches records of which Hubble told nothing but addresses.
type stage struct {
	w     *watching
	stage *kube.Stage
}

func newStage(w *watching) *stage {
	return &stage{w, kube.NewStage(w.names, prometheus.NewRegistry())}
}

// pods returns the pods at the source of records from an address at some times, by what is known now.
func (s *stage) pods(ip string, times ...time.Time) []string {
	s.stage.SetIndex(s.w.Index())
	var b flow.Batch
	for _, t := range times {
		r := flow.Record{Time: t, Protocol: flow.TCP}
		r.Source.IP, r.Source.Port = netip.MustParseAddr(ip), 40000
		b.Records = append(b.Records, r)
	}
	s.stage.Process(&b)
	var pods []string
	for _, r := range b.Records {
		pods = append(pods, r.Source.Endpoint.Get().Pod.String())
	}
	return pods
}

func diffOf[T any](want, got T) string { return cmp.Diff(want, got, values...) }
