package kube_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sextant/collector/flow"
	"sextant/collector/verdict"
	"sextant/enrich/kube"
)

// What is made of a store follows its changes: the first at once, the next ones together, and the less often the longer it takes.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, kube.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		takes := time.Duration(0)
		var updates []string
		done := make(chan error, 1)
		go func() {
			done <- r.Run(ctx, func(x *kube.Index, c *verdict.Cluster) {
				_, ok := x.Node(r.names.Name("n2"))
				updates = append(updates, fmt.Sprint(time.Since(begin), " ", len(c.Nodes), " ", ok))
				time.Sleep(takes)
			})
		}()
		synctest.Wait()
		time.Sleep(10 * time.Second) // nothing changes
		r.put(noon, strings.Split(twoNodes, "\n---\n")[0])
		synctest.Wait()
		time.Sleep(time.Millisecond)
		r.put(noon, strings.Split(twoNodes, "\n---\n")[1])
		time.Sleep(time.Millisecond)
		takes = time.Second
		r.Delete(noon, kube.KindNode, "", "n1")
		time.Sleep(5 * time.Second)
		r.Delete(noon, kube.KindNode, "", "n2")
		time.Sleep(30 * time.Second)
		cancel()
		same(t, "end", <-done, error(nil))
		same(t, "updates", updates, []string{"0s 0 false", "10s 1 false", "10.25s 1 true", "30.25s 0 false"})
	})
}

// Settings that make no sense leave the facts unknown, and are told once.
func TestRunTellsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := newRig(t, kube.Config{})
		r.Store = kube.NewStore(kube.Config{}, flow.NewInterner(), slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			},
		})))
		ctx, cancel := context.WithCancel(t.Context())
		known := 0
		done := make(chan error, 1)
		go func() {
			done <- r.Run(ctx, func(_ *kube.Index, c *verdict.Cluster) {
				if c != nil {
					known++
				}
			})
		}()
		config := "{apiVersion: v1, kind: ConfigMap, metadata: {namespace: kube-system, name: cilium-config}, data: {ipv6-native-routing-cidr: x}}"
		for range 3 {
			time.Sleep(time.Second)
			r.put(noon, twoNodes, config)
		}
		time.Sleep(time.Second)
		cancel()
		same(t, "end", <-done, error(nil))
		same(t, "updates with facts", known, 1)
		same(t, "log", log.String(), `level=WARN msg="the cluster's facts are less certain" doubt="there is no ConfigMap cilium-config, so that every setting is unknown"
level=WARN msg="the cluster's settings are unknown" err="ConfigMap kube-system/cilium-config: ipv6-native-routing-cidr[0]: \"x\" is no CIDR"
`)
	})
}
