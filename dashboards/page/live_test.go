package page_test

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"sextant/collector"
	sink "sextant/sinks/prometheus"
)

// Panels of the dashboard of Sextant itself that look at metrics.
const (
	flowsReceived = "10"
	lag           = "11"
	rowsWaiting   = "22"
	timeOfAWrite  = "23"
	overflow      = "25"
)

// watched runs a page that looks at a registry, in a bubble of time.
func watched(t *testing.T, test func(t *testing.T, registry *prometheus.Registry, lines func(panel string) map[string][]float64)) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		p := inert(t, registry)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Second) // away from the moments at which it looks
		test(t, registry, func(panel string) map[string][]float64 {
			t.Helper()
			synctest.Wait()
			a := get[answer](t, p, "/api/panel", url.Values{
				"dashboard": {"sextant-itself"}, "panel": {panel},
				"since": {fmt.Sprint(time.Now().Add(-24 * time.Hour).UnixMilli())}, "until": {fmt.Sprint(time.Now().UnixMilli())}, "step": {"60"},
			})
			list := map[string][]float64{}
			for _, row := range a.Rows {
				name := row[1].(string)
				list[name] = append(list[name], row[2].(float64))
			}
			return list
		})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestLiveRate(t *testing.T) {
	watched(t, func(t *testing.T, registry *prometheus.Registry, lines func(string) map[string][]float64) {
		var flows atomic.Int64
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: collector.MetricFlowsTotal}, func() float64 { return float64(flows.Load()) }))
		if got := lines(flowsReceived); len(got) > 0 {
			t.Errorf("growth was told of one sample: %v", got)
		}
		for _, now := range []int64{10, 60, 60, 5} { // the last one after the counter began anew
			flows.Store(now)
			time.Sleep(5 * time.Second)
		}
		if diff := cmp.Diff(map[string][]float64{"flows": {2, 10, 0, 1}}, lines(flowsReceived)); diff != "" {
			t.Errorf("flows a second (-want +got)\n%s", diff)
		}
	})
}

func TestLiveLargestAndSum(t *testing.T) {
	watched(t, func(t *testing.T, registry *prometheus.Registry, lines func(string) map[string][]float64) {
		late := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: collector.MetricLagSeconds}, []string{"node"})
		waiting := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: collector.MetricSinkQueuedRows}, []string{collector.LabelSink, "of"})
		registry.MustRegister(late, waiting)
		late.WithLabelValues("a").Set(-3)
		late.WithLabelValues("b").Set(-1)
		waiting.WithLabelValues("clickhouse", "flows").Set(3)
		waiting.WithLabelValues("clickhouse", "gaps").Set(4)
		waiting.WithLabelValues("stdout", "flows").Set(1)
		time.Sleep(5 * time.Second)
		waiting.DeleteLabelValues("stdout", "flows")
		time.Sleep(5 * time.Second)
		if diff := cmp.Diff(map[string][]float64{"lag": {-1, -1}}, lines(lag)); diff != "" {
			t.Errorf("the largest (-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(map[string][]float64{"clickhouse": {7, 7}, "stdout": {1}}, lines(rowsWaiting)); diff != "" {
			t.Errorf("by sink, of which one is gone (-want +got)\n%s", diff)
		}
	})
}

func TestLiveQuantile(t *testing.T) {
	watched(t, func(t *testing.T, registry *prometheus.Registry, lines func(string) map[string][]float64) {
		took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: collector.MetricSinkWriteSeconds, Buckets: []float64{1, 2, 4}}, []string{collector.LabelSink, "of"})
		registry.MustRegister(took)
		observe := func(of string, times int, seconds float64) {
			for range times {
				took.WithLabelValues("clickhouse", of).Observe(seconds)
			}
		}
		observe("flows", 1, 0.5)
		time.Sleep(5 * time.Second)
		observe("flows", 5, 0.5) // of 10 writes the 9.5th is halfway of two between 2 and 4 seconds
		observe("gaps", 4, 1.5)
		observe("gaps", 1, 3)
		time.Sleep(5 * time.Second)
		time.Sleep(5 * time.Second) // in which nothing is written
		observe("flows", 1, 100)
		time.Sleep(5 * time.Second)
		got := lines(timeOfAWrite)["clickhouse"]
		want := []float64{0.95, 3, 4} // beyond the last bound it is that bound
		if !cmp.Equal(want, got, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-9 })) {
			t.Errorf("95 %% of the writes take at most %v seconds, not %v", got, want)
		}
	})
}

func TestLiveIsBounded(t *testing.T) {
	watched(t, func(t *testing.T, registry *prometheus.Registry, lines func(string) map[string][]float64) {
		over := prometheus.NewCounterVec(prometheus.CounterOpts{Name: sink.MetricSeriesOverflowTotal}, []string{"metric"})
		registry.MustRegister(over)
		for i := range 250 {
			over.WithLabelValues(fmt.Sprint("metric", i)).Inc()
		}
		time.Sleep(2 * time.Hour)
		got := lines(overflow)
		if len(got) != 100 {
			t.Errorf("%d lines are kept", len(got))
		}
		for name, samples := range got {
			if len(samples) != 719 { // an hour's, of which the first has none before it
				t.Fatalf("%d samples of %s are kept", len(samples), name)
			}
		}
	})
}
