package hubbletest

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"

	v1 "github.com/cilium/cilium/pkg/hubble/api/v1"
	"github.com/cilium/cilium/pkg/hubble/observer"
	"github.com/cilium/cilium/pkg/hubble/observer/namespace"
	"github.com/cilium/cilium/pkg/hubble/observer/observeroption"
	"github.com/cilium/cilium/pkg/hubble/parser"
	"github.com/cilium/cilium/pkg/hubble/parser/getters"
	"github.com/cilium/cilium/pkg/hubble/testutils"
	"github.com/cilium/cilium/pkg/ipcache"
)

// newObserver returns the agent's observer as pkg/hubble/cell wires it, less
// exporters, metrics and the labels of the local node.
func newObserver(t testing.TB, opts Options) (*observer.LocalObserverServer, error) {
	log := slog.New(slog.DiscardHandler)
	p, err := parser.New(log, podGetter(opts.Pods), &testutils.NoopIdentityGetter, nameGetter(opts.Names),
		metadataGetter(opts.Pods), &testutils.NoopServiceGetter, &testutils.NoopLinkGetter, &testutils.NoopPodMetadataGetter)
	if err != nil {
		return nil, err
	}
	return observer.NewLocalServer(decoder{p, t}, namespace.NewManager(), log,
		observeroption.WithMaxFlows(opts.Ring),
		observeroption.WithMonitorBuffer(opts.Queue),
		observeroption.WithLostEventSendInterval(opts.LostInterval),
		observeroption.WithOnMonitorEventFunc(stopAtBarrier),
	)
}

// A decoder is Cilium's parser, but fails the test for an event that the parser
// refuses. The observer alone would drop it without a word.
type decoder struct {
	parser.Decoder
	t testing.TB
}

func (d decoder) Decode(e *Event) (*v1.Event, error) {
	decoded, err := d.Decoder.Decode(e)
	if err != nil {
		d.t.Errorf("decode %T: %v", e.Payload, err)
	}
	return decoded, err
}

// A barrier is a payload that the observer's loop closes when it comes to it,
// which proves that all events sent before are in the ring. It leaves no trace.
type barrier chan struct{}

func stopAtBarrier(_ context.Context, e *Event) (stop bool, err error) {
	b, ok := e.Payload.(barrier)
	if ok {
		close(b)
	}
	return ok, nil
}

func podGetter(pods []*testutils.FakeEndpointInfo) getters.EndpointGetter {
	return &testutils.FakeEndpointGetter{
		OnGetEndpointInfo: func(ip netip.Addr) (getters.EndpointInfo, bool) {
			for _, p := range pods {
				if ip.IsValid() && (p.IPv4.Equal(ip.AsSlice()) || p.IPv6.Equal(ip.AsSlice())) {
					return p, true
				}
			}
			return nil, false
		},
		OnGetEndpointInfoByID: func(id uint16) (getters.EndpointInfo, bool) {
			for _, p := range pods {
				if p.ID == uint64(id) {
					return p, true
				}
			}
			return nil, false
		},
	}
}

// metadataGetter knows local pods only, where an agent knows those of all nodes.
func metadataGetter(pods []*testutils.FakeEndpointInfo) getters.IPGetter {
	endpoints := podGetter(pods)
	return &testutils.FakeIPGetter{
		OnGetK8sMetadata: func(ip netip.Addr) *ipcache.K8sMetadata {
			if p, ok := endpoints.GetEndpointInfo(ip); ok {
				return &ipcache.K8sMetadata{Namespace: p.GetK8sNamespace(), PodName: p.GetK8sPodName()}
			}
			return nil
		},
		OnLookupSecIDByIP: testutils.NoopIPGetter.OnLookupSecIDByIP,
	}
}

func nameGetter(names map[string][]string) getters.DNSGetter {
	return &testutils.FakeFQDNCache{
		OnGetNamesOf: func(_ uint32, ip netip.Addr) []string { return names[ip.String()] },
	}
}
