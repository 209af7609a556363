// Package embeddedtest gives tests a real ClickHouse engine: one per test binary,
// started by the first test that asks for it, with a database per test.
//
//	func TestMain(m *testing.M) { embeddedtest.Main(m) }
//
//	func TestInsert(t *testing.T) {
//		srv := embeddedtest.Start(t)
//		db := embeddedtest.Database(t, srv)
//		// connect to srv.Addr() as "default", no password
//	}
//
// The engines are open ([embedded.Config.Open]) and their data is gone afterwards.
// On a machine without an engine the tests are skipped with the way to get one,
// unless the environment has CI set: then they fail.
package embeddedtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sextant/sinks/clickhouse/embedded"
)

// shared is the engine of this test binary.
var shared struct {
	sync.Mutex
	main bool // Main runs, so that somebody stops the engine
	dir  string
	srv  *embedded.Server
}

// Main runs the tests of a package and exits; TestMain calls it and nothing
// before it. It stops the shared engine at the end.
func Main(m interface{ Run() int }) {
	embedded.MaybeChild()
	shared.Lock()
	shared.main = true
	shared.Unlock()
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func stopShared() error {
	shared.Lock()
	defer shared.Unlock()
	if shared.srv == nil {
		return nil
	}
	return errors.Join(stop(shared.srv), os.RemoveAll(shared.dir))
}

// Start returns the engine that all tests of this binary share. Do not kill or
// stop it: [Own] is for that.
func Start(t testing.TB) *embedded.Server {
	t.Helper()
	engine := Engine(t)
	shared.Lock()
	defer shared.Unlock()
	if !shared.main {
		t.Fatal("call embeddedtest.Main in TestMain")
	}
	if shared.srv != nil {
		select {
		case <-shared.srv.Done(): // a test has cost it its life, and fails by itself: the others go on
			if err := shared.srv.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		default:
		}
		return shared.srv
	}
	dir, err := os.MkdirTemp("", "sextant-engine-")
	if err != nil {
		t.Fatal(err)
	}
	srv := embedded.New(embedded.Config{Dir: dir, Engine: engine, Open: true})
	if err := srv.Start(t.Context()); err != nil {
		os.RemoveAll(dir)
		t.Fatal(err)
	}
	shared.dir, shared.srv = dir, srv
	return srv
}

// Own returns a running engine for this test alone, with an empty data directory.
func Own(t testing.TB) *embedded.Server {
	t.Helper()
	srv := embedded.New(embedded.Config{Dir: t.TempDir(), Engine: Engine(t), Open: true})
	if err := srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(srv); err != nil {
			t.Error(err)
		}
	})
	return srv
}

// Cluster returns running engines for this test alone that know each other as [ClusterName], all replicas of the first shard
// before those of the next. What is written to a Distributed table goes to every replica, as they do not replicate by
// themselves. keeper is the address of a ZooKeeper, and may be empty.
func Cluster(t testing.TB, shards, replicas int, keeper string) []*embedded.Server {
	t.Helper()
	engine := Engine(t)
	servers := make([]*embedded.Server, shards*replicas)
	layout := func(shard, replica int) string {
		var b strings.Builder
		b.WriteString("<remote_servers><" + ClusterName + ">")
		for i, srv := range servers {
			if i%replicas == 0 {
				b.WriteString("<shard>")
			}
			host, port, _ := strings.Cut(srv.Addr(), ":")
			fmt.Fprintf(&b, "<replica><host>%s</host><port>%s</port></replica>", host, port)
			if i%replicas == replicas-1 {
				b.WriteString("</shard>")
			}
		}
		fmt.Fprintf(&b, "</%s></remote_servers><macros><shard>%d</shard><replica>%d</replica></macros>", ClusterName, shard, replica)
		if host, port, ok := strings.Cut(keeper, ":"); ok {
			// The engines share the name under which a server notes that it is there.
			fmt.Fprintf(&b, "<zookeeper><node><host>%s</host><port>%s</port></node><sessions_path>/sessions/%d/%d</sessions_path></zookeeper>", host, port, shard, replica)
		}
		return b.String()
	}
	for i := range servers {
		servers[i] = embedded.New(embedded.Config{
			Dir: t.TempDir(), Engine: engine, Open: true,
			Extra: func() string { return layout(i/replicas+1, i%replicas+1) },
		})
		if err := servers[i].Reserve(); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for _, srv := range servers {
		all.Go(func() {
			if err := srv.Start(t.Context()); err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(func() {
			if err := stop(srv); err != nil {
				t.Error(err)
			}
		})
	}
	if all.Wait(); t.Failed() {
		t.FailNow()
	}
	return servers
}

// ClusterName is the name of the cluster that [Cluster] makes.
const ClusterName = "engines"

// Database creates a database with a name of its own and drops it after the test.
func Database(t testing.TB, srv *embedded.Server) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text()[:12])
	exec(t, t.Context(), srv, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		exec(t, ctx, srv, "DROP DATABASE "+name+" SYNC")
	})
	return name
}

func exec(t testing.TB, ctx context.Context, srv *embedded.Server, statement string) {
	t.Helper()
	if _, err := srv.State().Query(ctx, statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}

// Engine returns the engine of this machine, for a test that starts it by itself,
// or ends the test when there is none.
func Engine(t testing.TB) embedded.Engine {
	t.Helper()
	engine, err := embedded.Find(os.Getenv("SEXTANT_ENGINE"))
	switch {
	case err == nil:
		return engine
	case errors.Is(err, embedded.ErrNoEngine) && os.Getenv("CI") == "":
		t.Skipf("SKIPPED WITHOUT A CLICKHOUSE ENGINE: %v", err)
	default:
		t.Fatal(err)
	}
	return embedded.Engine{}
}

func stop(srv *embedded.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return srv.Stop(ctx)
}
