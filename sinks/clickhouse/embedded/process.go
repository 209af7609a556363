package embedded

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is one engine as its parent sees it.
type process struct {
	cmd     *exec.Cmd
	stdin   io.Closer // closing it ends the engine, as our own death does
	started time.Time
	done    chan struct{}
	err     error // how it ended; set before done is closed
}

// spawn starts a second copy of this program that does the job. lock goes along,
// so that the directory is taken for as long as the engine lives, even without us.
func spawn(j job, dir string, lock *os.File) (*process, error) {
	if os.Getenv(childEnv) != "" {
		// Otherwise a program that forgot MaybeChild would start itself for ever.
		return nil, fmt.Errorf("start engine process: this is one already: call embedded.MaybeChild first in main or TestMain")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own executable: %w", err)
	}
	spec, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("describe engine process: %w", err)
	}
	var stderr tail
	cmd := &exec.Cmd{
		Path:       self,
		Args:       []string{"sextant-engine"},
		Dir:        dir,
		Env:        append(childEnviron(), childEnv+"="+string(spec)),
		Stderr:     &stderr,
		ExtraFiles: []*os.File{lock},
		// Ctrl-C on the terminal is for us: we drain into the engine first.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		WaitDelay:   time.Second,
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start engine process: %w", err)
	}
	p := &process{cmd: cmd, stdin: stdin, started: time.Now(), done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		stdin.Close()
		return nil, fmt.Errorf("start engine process: %w", err)
	}
	go func() {
		defer close(p.done)
		err := cmd.Wait()
		p.err = fmt.Errorf("engine ended: %s", describe(err, stderr.String()))
	}()
	return p, nil
}

// kill ends the process and whatever it started.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// childEnviron is the part of our environment that an engine needs: credentials
// of other programs are none of its business.
func childEnviron() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "GOCOVERDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// describe puts the way a process ended and its last words into one line.
func describe(err error, words string) string {
	how := "exit status 0"
	if err != nil {
		how = err.Error()
	}
	if words = strings.Join(strings.Fields(words), " "); words != "" {
		how += ": " + words
	}
	return how
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailSize = 1 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if cut := len(t.buf) - tailSize; cut > 0 {
		t.buf = append(t.buf[:0], t.buf[cut:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.buf), "")
}
