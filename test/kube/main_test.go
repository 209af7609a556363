package kubetest_test

import (
	"flag"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	kubetest "sextant/test/kube"
)

// patience is how long a test waits for what must happen, quiet for what must not.
const (
	patience = 30 * time.Second
	quiet    = 300 * time.Millisecond
)

// The definitions of Cilium that the product reads objects of.
var watched = []string{
	"ciliumnodes", "ciliumendpoints", "ciliumendpointslices", "ciliumidentities",
	"ciliumegressgatewaypolicies", "ciliumnodeconfigs", "ciliumpodippools",
}

// A shared server is started by the first test that asks, and ends with the last.
type shared struct {
	families kubetest.Families
	once     sync.Once
	server   *kubetest.Server
	err      error
}

var six, dual = shared{families: kubetest.IPv6Only}, shared{families: kubetest.DualStack}

func (s *shared) get(t *testing.T) *kubetest.Server {
	t.Helper()
	s.once.Do(func() {
		s.server, s.err = kubetest.Start(kubetest.Options{Families: s.families})
		if s.err == nil {
			s.server.Define(t, watched...)
		}
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

// tests end the shared servers before anybody looks for goroutines that are left.
type tests struct{ *testing.M }

func (m tests) Run() int {
	code := m.M.Run()
	for _, s := range []*shared{&six, &dual} {
		if s.server != nil {
			s.server.Stop()
		}
	}
	return code
}

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(childConfig) != "" {
		watchAlone()
		return
	}
	// Tests that run at the same time wait for servers, most of the time.
	if err := flag.Set("test.parallel", "12"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(tests{m})
}

// both runs a test on an IPv6-only and on a dual-stack cluster.
func both(t *testing.T, test func(t *testing.T, s *kubetest.Server)) {
	t.Run("IPv6Only", func(t *testing.T) { test(t, six.get(t)) })
	t.Run("DualStack", func(t *testing.T) { test(t, dual.get(t)) })
}

// eventually waits until a condition holds; what it says otherwise fails the test in the end.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	var complaint string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if complaint = check(); complaint == "" {
			return
		}
	}
	t.Fatal(complaint)
}
