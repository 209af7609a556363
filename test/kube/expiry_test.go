package kubetest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	watchapi "k8s.io/apimachinery/pkg/watch"

	kubetest "sextant/test/kube"
)

// A watcher that was cut off for a while goes on where it was, without another list.
func TestResume(t *testing.T) {
	s := six.get(t)
	const site = kubetest.Site(20)
	c := s.Client(t)
	ns := c.Namespace(nil, nil)
	g := s.Gate(t)
	w := watch(t, g.Through(s.Config(t)))
	c.Pod(kubetest.Pod{Namespace: ns, Name: "a", IPs: []string{site.Pod6(1)}})
	wants(t, "a", func() string { return w.at(site.Pod6(1)).Pod })

	g.Cut()
	c.DeletePod(ns, "a")
	c.Pod(kubetest.Pod{Namespace: ns, Name: "b", IPs: []string{site.Pod6(2)}})
	g.Mend()
	wants(t, "b", func() string { return w.at(site.Pod6(2)).Pod })
	wants(t, "", func() string { return w.then(site.Pod6(1), time.Now().Add(time.Hour)).Pod })
	if got := w.count("watch_lists_total", "Pod"); got != 1 {
		t.Errorf("pods were listed %v times", got)
	}
}

// A watcher that was cut off for too long is told so, lists anew, and has lost nothing. API servers say it in two ways:
// at once, from a cache that remembers no more, or within a stream, when etcd does.
func TestExpiry(t *testing.T) {
	for name, args := range map[string][]string{
		"AtOnce":   nil,
		"InStream": {"--watch-cache=false", "--etcd-compaction-interval=500ms"},
	} {
		t.Run(name, func(t *testing.T) {
			s := kubetest.New(t, kubetest.Options{Args: args})
			c := s.Client(t)
			ns := c.Namespace(nil, nil)
			c.Pod(kubetest.Pod{Namespace: ns, Name: "stays", Node: "n1", IPs: []string{"fd00::1"}})
			c.Pod(kubetest.Pod{Namespace: ns, Name: "goes", Node: "n1", IPs: []string{"fd00::2"}})
			list, err := c.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			g := s.Gate(t)
			all, ofNode := watch(t, g.Through(s.Config(t))), watch(t, g.Through(s.Config(t)), onNode("n1"))

			g.Cut()
			c.DeletePod(ns, "goes")
			c.Pod(kubetest.Pod{Namespace: ns, Name: "comes", Node: "n1", IPs: []string{"fd00::3"}})
			if args == nil {
				s.Restart(t) // what a cache remembers ends with its process
			}
			eventually(t, func() string { return expired(c.CoreV1().Pods(ns).Watch, list.ResourceVersion, args != nil) })
			g.Mend()

			later := time.Now().Add(time.Hour)
			for _, w := range []*watching{all, ofNode} {
				for ip, want := range map[string]string{"fd00::1": "stays", "fd00::2": "", "fd00::3": "comes"} {
					wants(t, want, func() string { return w.then(ip, later).Pod })
				}
				if got := w.count("watch_lists_total", "Pod"); got != 2 {
					t.Errorf("pods were listed %v times", got)
				}
				w.synced()
			}
		})
	}
}

// expired says what is missing for a watch from a version to be refused, in a stream or at once.
func expired(open func(context.Context, metav1.ListOptions) (watchapi.Interface, error), version string, inStream bool) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	from, err := open(ctx, metav1.ListOptions{ResourceVersion: version})
	if err == nil {
		defer from.Stop()
		e, ok := <-from.ResultChan()
		if !ok {
			return "the stream ended"
		}
		err = apierrors.FromObject(e.Object)
	} else if inStream {
		return fmt.Sprintf("the stream did not begin: %v", err)
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		return fmt.Sprintf("the version is not too old: %v", err)
	}
	return ""
}
