// Package embedded runs a real ClickHouse engine on this machine, as a child
// process of the program that uses it: for a laptop, a test, a demo.
//
// The engine is libchdb.so, the ClickHouse code as a library, which the program
// loads in a second copy of itself ([MaybeChild]); or a clickhouse binary. It
// speaks HTTP and the native protocol on loopback, keeps its data in one
// directory, and ends when the program ends, however that happens.
//
// Who may use it. Whoever can send SQL to a ClickHouse of this kind can read
// files and run commands as the user it runs as, and every user of the machine
// and every page in a browser reaches a loopback port. So the engine has one
// user, "sextant", with a random password that stands in a file only the owner
// can read ([State.PasswordFile]). [Config.Open] lifts that, for tests.
//
// What libchdb cannot do: any refused native handshake (wrong password, unknown
// user or database, garbage) ends the process. The client gets its error first
// and nothing that was acknowledged is lost, but someone has to start the engine
// again: [Server.Run] does. There is no TLS, no CREATE USER, no replication, no
// ON CLUSTER and no asynchronous insert; its database "default" is a special one,
// so tables belong in a database of their own. It is not meant to be reached from
// other machines and refuses to listen on anything but loopback.
//
// A clickhouse binary is started with the same generated configuration. The tests
// have libchdb only, so that way of running is not covered by them. The data
// directory should stay with one engine: an older one may not read what a newer
// one wrote.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	startTimeout = 2 * time.Minute  // a cold disk has 550 MB of library to read
	stopTimeout  = 30 * time.Second // for running merges; then the engine is killed
)

// Config says how to run an engine. Dir and Engine are required.
type Config struct {
	// Dir holds the data, the generated configuration, the password and the
	// state file. It is created, readable by the owner only. One engine at a time.
	Dir string
	// Engine is what to run, from [Find].
	Engine Engine
	// NativePort and HTTPPort are the ports on loopback; 0 chooses a free one.
	NativePort, HTTPPort int
	// Open lets everybody who reaches the port in as "default" without a
	// password, and thereby act as the user the engine runs as: for tests only.
	Open bool
	// Extra returns more elements for ClickHouse's configuration (XML), remote_servers for one. It is asked at every
	// start, when the addresses are chosen; nil adds nothing.
	Extra func() string
	// Logger hears of starts, ends and restarts; nil discards.
	Logger *slog.Logger
}

// Server is an engine on this machine. Start, Stop and Run belong to one
// goroutine; the other methods may be called from any.
type Server struct {
	cfg Config
	log *slog.Logger

	mu       sync.Mutex
	lock     *os.File // held from Start to Stop
	state    State
	proc     *process // the present child or the last one, nil before the first
	restarts int
}

// New returns a server that is not running yet.
func New(cfg Config) *Server {
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, log: log}
}

// Start runs the engine and returns when it answers queries. The addresses are
// chosen at the first Start and stay the same for the life of the Server. ctx
// bounds the start only.
func (s *Server) Start(ctx context.Context) error {
	if s.running() {
		return fmt.Errorf("start engine in %s: it is running already", s.cfg.Dir)
	}
	if err := s.prepare(); err != nil {
		return fmt.Errorf("start engine in %s: %w", s.cfg.Dir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	began := time.Now()
	for try := 1; ; try++ {
		fresh, err := s.choosePorts()
		if err == nil {
			err = s.launch(ctx)
		}
		if err == nil {
			s.log.Info("engine started", "native", s.Addr(), "http", s.HTTPAddr(), "dir", s.cfg.Dir,
				"version", s.State().Version, "took", time.Since(began).Round(time.Millisecond))
			return nil
		}
		// A port found free a moment ago may be somebody else's now.
		if taken := strings.Contains(err.Error(), "already in use"); taken && fresh && try < 3 {
			s.forgetPorts()
			continue
		}
		s.release()
		return fmt.Errorf("start engine in %s: %w", s.cfg.Dir, err)
	}
}

// Reserve chooses the addresses without starting anything, for engines that have to know each other's.
func (s *Server) Reserve() error {
	_, err := s.choosePorts()
	return err
}

// Stop ends the engine in the regular way: what is running is finished and
// written. When ctx ends first, the engine is killed, which loses nothing that
// was acknowledged, and Stop says so. Stopping twice is harmless.
func (s *Server) Stop(ctx context.Context) error {
	defer s.release()
	p := s.process()
	if p == nil {
		return nil
	}
	p.stdin.Close()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.kill()
		<-p.done
		return fmt.Errorf("stop engine in %s: %w, so it was killed", s.cfg.Dir, ctx.Err())
	}
}

// Kill ends the engine at once, as a crash would. The Server keeps its directory
// and addresses: Start, or Run, brings the engine back.
func (s *Server) Kill() {
	if p := s.process(); p != nil {
		p.kill()
		<-p.done
	}
}

// Done is closed when the engine that runs at the moment of the call has ended.
// Before the first Start it is closed already.
func (s *Server) Done() <-chan struct{} {
	if p := s.process(); p != nil {
		return p.done
	}
	ended := make(chan struct{})
	close(ended)
	return ended
}

// Addr is the address of the native protocol, "127.0.0.1:port" or "[::1]:port".
func (s *Server) Addr() string { return s.State().Native }

// HTTPAddr is the address of the HTTP interface, "127.0.0.1:port" or "[::1]:port".
func (s *Server) HTTPAddr() string { return s.State().HTTP }

// State returns what a client needs to know of the engine.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Restarts counts how often Run had to start the engine again.
func (s *Server) Restarts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}

// launch starts one child in the prepared directory and waits until it answers.
func (s *Server) launch(ctx context.Context) error {
	if err := s.writeSettings(); err != nil {
		return err
	}
	p, err := spawn(job{Engine: s.cfg.Engine, Config: s.path(configFile)}, s.cfg.Dir, s.lock)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.proc = p
	state := s.state
	s.mu.Unlock()

	version, err := awaitReady(ctx, p, state)
	if err == nil && tooOld(version) {
		err = fmt.Errorf("%s is ClickHouse %s, but sextant needs %d or newer: set SEXTANT_ENGINE to the path of another, or use a server with --clickhouse ADDR",
			s.cfg.Engine.Path, version, oldestMajor)
	}
	if err == nil {
		state.PID, state.Version, state.Started = p.cmd.Process.Pid, version, p.started
		err = state.write(s.cfg.Dir)
	}
	if err != nil {
		p.kill()
		<-p.done
		return err
	}
	s.mu.Lock()
	s.state = state
	s.mu.Unlock()
	return nil
}

// awaitReady asks until the engine answers as the user and with the password of
// this directory: another engine that took the port would not.
func awaitReady(ctx context.Context, p *process, state State) (version string, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		version, err = state.Query(ctx, "SELECT version()")
		if err == nil {
			return version, nil
		}
		select {
		case <-p.done:
			return "", p.err
		case <-ctx.Done():
			return "", fmt.Errorf("wait for the engine to answer: %w (last: %w)", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

func (s *Server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc
}

func (s *Server) running() bool {
	select {
	case <-s.Done():
		return false
	default:
		return true
	}
}

// prepare takes the directory and makes sure that it has what every start needs.
func (s *Server) prepare() error {
	if s.cfg.Engine == (Engine{}) {
		return errors.New("no engine given")
	}
	if err := os.MkdirAll(s.path(storeDir), 0o700); err != nil {
		return err
	}
	password, err := ensurePassword(s.path(passwordFile))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		if s.lock, err = acquire(s.path(lockFile)); err != nil {
			return err
		}
	}
	s.state.User, s.state.PasswordFile = userName, password
	return nil
}

// release gives the directory back; the last child must have ended.
func (s *Server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return
	}
	os.Remove(s.path(stateFile))
	s.lock.Close()
	s.lock = nil
}
