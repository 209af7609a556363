package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"sextant/sinks/clickhouse/embedded"
	"sextant/sinks/clickhouse/embedded/embeddedtest"
)

// ownerEnv makes this test binary a program that runs an engine in the directory
// it names, until it is killed.
const ownerEnv = "EMBEDDED_TEST_OWNER"

func TestMain(m *testing.M) {
	embedded.MaybeChild()
	if dir := os.Getenv(ownerEnv); dir != "" {
		own(dir)
	}
	embeddedtest.Main(m)
}

func own(dir string) {
	engine, err := embedded.Find(os.Getenv("SEXTANT_ENGINE"))
	if err == nil {
		err = embedded.New(embedded.Config{Dir: dir, Engine: engine}).Start(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("running")
	select {}
}

func TestNativeAndHTTP(t *testing.T) {
	srv := embeddedtest.Start(t)
	db := embeddedtest.Database(t, srv)
	conn := connect(t, srv.Addr(), clickhouse.Auth{Database: db})
	execute(t, conn, "CREATE TABLE t (n UInt64) ENGINE = MergeTree ORDER BY n")
	execute(t, conn, "INSERT INTO t SELECT number FROM numbers(1000)")
	got, err := srv.State().Query(t.Context(), "SELECT count(), engine FROM system.databases, "+db+".t WHERE name = '"+db+"' GROUP BY engine")
	if diff := cmp.Diff("1000\tAtomic", got); diff != "" || err != nil {
		t.Errorf("error %v, answer (-want +got)\n%s", err, diff)
	}
	for _, addr := range []string{srv.Addr(), srv.HTTPAddr()} {
		host, port, _ := net.SplitHostPort(addr)
		if host != "127.0.0.1" {
			t.Errorf("listens on %s, want loopback", addr)
		}
		for _, other := range []string{"127.0.0.2", "::1"} { // reached when it listens on every address
			if conn, err := net.Dial("tcp", net.JoinHostPort(other, port)); err == nil {
				conn.Close()
				t.Errorf("listens on more than %s: %s answers", addr, other)
			}
		}
	}
}

func TestStopAndStartAgain(t *testing.T) {
	dir := t.TempDir()
	srv := start(t, dir)
	query(t, srv.State(), "CREATE DATABASE d")
	query(t, srv.State(), "CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n")
	for round := 1; round <= 3; round++ {
		query(t, srv.State(), "INSERT INTO d.t VALUES (1)")
		// Without the removal of the last run's logs this hangs.
		query(t, srv.State(), "SYSTEM FLUSH LOGS")
		if got := query(t, srv.State(), "SELECT count() > 0 FROM system.query_log"); got != "1" {
			t.Errorf("round %d: no query log", round)
		}
		if err := srv.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := embedded.Running(dir); !errors.Is(err, embedded.ErrNotRunning) {
			t.Errorf("round %d: after Stop: got error %v, want %v", round, err, embedded.ErrNotRunning)
		}
		srv = start(t, dir)
		if got := query(t, srv.State(), "SELECT count() FROM d.t"); got != fmt.Sprint(round) {
			t.Errorf("round %d: found %s rows, want %d", round, got, round)
		}
	}
}

func TestKilledEngineKeepsItsData(t *testing.T) {
	srv := embeddedtest.Own(t)
	before := srv.Addr()
	query(t, srv.State(), "CREATE DATABASE d")
	query(t, srv.State(), "CREATE TABLE d.t (n UInt64) ENGINE = MergeTree ORDER BY n")
	query(t, srv.State(), "INSERT INTO d.t SELECT number FROM numbers(5000)")
	srv.Kill()
	<-srv.Done()
	if err := srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, srv.State(), "SELECT uniqExact(n) FROM d.t"); got != "5000" {
		t.Errorf("found %s of 5000 rows", got)
	}
	if srv.Addr() != before {
		t.Errorf("address changed from %s to %s", before, srv.Addr())
	}
}

// A refused native handshake ends libchdb. If this test fails because the engine
// survives, the warning in the package comment can go.
func TestRunRestartsAnEngineThatAborted(t *testing.T) {
	srv := start(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()

	first := srv.Done()
	conn := connect(t, srv.Addr(), clickhouse.Auth{Username: "nobody", Password: "wrong"})
	if err := conn.Ping(t.Context()); !isCode(err, 516) {
		t.Errorf("wrong user: got error %v, want code 516", err)
	}
	<-first
	eventually(t, "engine restarted", func() bool {
		_, err := srv.State().Query(t.Context(), "SELECT 1")
		return err == nil && srv.Restarts() >= 1
	})
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	<-srv.Done()
}

func TestRunStartsAndStops(t *testing.T) {
	srv := embedded.New(embedded.Config{Dir: t.TempDir(), Engine: embeddedtest.Engine(t)})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	eventually(t, "engine started", func() bool { return srv.State().Version != "" })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	if srv.Restarts() != 0 {
		t.Errorf("counted %d restarts, want none", srv.Restarts())
	}
}

func TestEngineEndsWithItsProgram(t *testing.T) {
	engine := embeddedtest.Engine(t)
	dir := t.TempDir()
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), ownerEnv+"="+dir)
	owner.Stderr = os.Stderr
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	defer owner.Wait()
	defer owner.Process.Kill()
	if line := make([]byte, 8); !reads(out, line, "running\n") {
		t.Fatalf("owner said %q", line)
	}
	state, err := embedded.Running(dir)
	if err != nil {
		t.Fatal(err)
	}
	query(t, state, "CREATE DATABASE d")

	_, err = embedded.Running(dir) // looking must not disturb
	if err != nil {
		t.Fatal(err)
	}
	second := embedded.New(embedded.Config{Dir: dir, Engine: engine})
	want := fmt.Sprintf("start engine in %s: the directory is in use by another sextant (process %d): stop that, or use another directory", dir, owner.Process.Pid)
	if err := second.Start(t.Context()); err == nil || err.Error() != want {
		t.Errorf("second program: got error\n%v\nwant\n%s", err, want)
	}

	// A terminal's or a service manager's signals do not end the engine, only its program does.
	syscall.Kill(state.PID, syscall.SIGTERM)
	query(t, state, "SELECT 1")
	owner.Process.Kill()
	owner.Wait()
	if err := second.Start(t.Context()); err != nil { // waits for the engine to go
		t.Fatal(err)
	}
	defer second.Stop(t.Context())
	if got := query(t, second.State(), "SELECT count() FROM system.databases WHERE name = 'd'"); got != "1" {
		t.Errorf("database d is gone")
	}
	if _, err := state.Query(t.Context(), "SELECT 1"); err == nil {
		t.Errorf("the killed program's engine still answers at %s", state.HTTP)
	}
}

func TestSideBySide(t *testing.T) {
	dir := t.TempDir()
	a, b := start(t, dir), start(t, t.TempDir())
	addrs := map[string]bool{a.Addr(): true, a.HTTPAddr(): true, b.Addr(): true, b.HTTPAddr(): true}
	if len(addrs) != 4 {
		t.Errorf("shared addresses: %v", addrs)
	}
	query(t, a.State(), "CREATE DATABASE only_a")
	if got := query(t, b.State(), "SELECT count() FROM system.databases WHERE name = 'only_a'"); got != "0" {
		t.Errorf("b sees a's database")
	}

	// A state file that a crash left may name the port of somebody else by now.
	raw, err := os.ReadFile(filepath.Join(dir, "engine.json"))
	if err != nil {
		t.Fatal(err)
	}
	stale := t.TempDir()
	if err := os.WriteFile(filepath.Join(stale, "engine.json"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := embedded.Running(stale); !errors.Is(err, embedded.ErrNotRunning) {
		t.Errorf("stale state: got %+v, error %v", got, err)
	}
}

func TestOnlyOneUser(t *testing.T) {
	srv := start(t, t.TempDir())
	state := srv.State()
	for _, file := range []string{state.PasswordFile, filepath.Join(filepath.Dir(state.PasswordFile), "users.xml")} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, error %v, want 0600", file, info.Mode(), err)
		}
	}
	password, err := os.ReadFile(state.PasswordFile)
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, srv.Addr(), clickhouse.Auth{Username: state.User, Password: strings.TrimSpace(string(password))})
	if err := conn.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	wrong := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(wrong, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for user, code := range map[string]string{"default": "Code: 700", "sextant": "Code: 516", "nobody": "Code: 516"} {
		state.User, state.PasswordFile = user, wrong
		if got, err := state.Query(t.Context(), "SELECT 1"); err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("user %q without password: got answer %q, error %v, want %s", user, got, err, code)
		}
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "libchdb.so")
	if err := os.WriteFile(broken, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port

	for name, test := range map[string]struct {
		cfg  embedded.Config
		want []string
	}{
		"no engine":      {embedded.Config{}, []string{"no engine given"}},
		"broken library": {embedded.Config{Engine: embedded.Engine{Path: broken, Library: true}}, []string{broken}},
		"failing binary": {embedded.Config{Engine: embedded.Engine{Path: "/bin/false"}}, []string{"/bin/false", "exit status 1"}},
		"port in use":    {embedded.Config{Engine: embeddedtest.Engine(t), NativePort: port}, []string{fmt.Sprint(port), "already in use"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.cfg.Dir = t.TempDir()
			srv := embedded.New(test.cfg)
			err := srv.Start(t.Context())
			if err == nil {
				srv.Stop(t.Context())
				t.Fatal("started")
			}
			t.Log(err)
			for _, want := range append(test.want, "start engine in "+test.cfg.Dir) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not name %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has several lines", err)
			}
		})
	}
}

func TestStartGivesUpWithItsContext(t *testing.T) {
	srv := embedded.New(embedded.Config{Dir: t.TempDir(), Engine: embeddedtest.Engine(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := srv.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	<-srv.Done()
}

func TestProgramWithoutMaybeChild(t *testing.T) {
	t.Setenv("SEXTANT_ENGINE_CHILD", "{}")
	srv := embedded.New(embedded.Config{Dir: t.TempDir(), Engine: embedded.Engine{Path: "/bin/false"}})
	if err := srv.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "MaybeChild") {
		t.Errorf("got error %v, want one that names MaybeChild", err)
	}
}

func TestMachineWithoutEngine(t *testing.T) {
	self, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for ci, want := range map[string]string{"": "SKIPPED WITHOUT A CLICKHOUSE ENGINE", "true": "FAIL"} {
		empty := t.TempDir()
		cmd := exec.Command(self, "-test.v", "-test.run=^TestNativeAndHTTP$")
		cmd.Dir = empty
		cmd.Env = []string{"HOME=" + empty, "PATH=" + empty, "CI=" + ci}
		out, err := cmd.CombinedOutput()
		if failed := err != nil; failed != (ci != "") || !strings.Contains(string(out), want) || !strings.Contains(string(out), "make engine") {
			t.Errorf("CI=%q: error %v, output\n%s\nwant %q", ci, err, out, want)
		}
	}
}

// start returns a running engine that is stopped at the end.
func start(t *testing.T, dir string) *embedded.Server {
	t.Helper()
	srv := embedded.New(embedded.Config{Dir: dir, Engine: embeddedtest.Engine(t)})
	if err := srv.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := srv.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return srv
}

func connect(t *testing.T, addr string, auth clickhouse.Auth) clickhouse.Conn {
	t.Helper()
	conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{addr}, Auth: auth})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func execute(t *testing.T, conn clickhouse.Conn, statement string) {
	t.Helper()
	if err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func query(t *testing.T, s embedded.State, statement string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answer, err := s.Query(ctx, statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return answer
}

func isCode(err error, code int32) bool {
	var e *clickhouse.Exception
	return errors.As(err, &e) && e.Code == code
}

func reads(r interface{ Read([]byte) (int, error) }, buf []byte, want string) bool {
	n, _ := r.Read(buf)
	return string(buf[:n]) == want
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
