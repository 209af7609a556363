package fault_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// build makes the command as users have it.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "sextant")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "sextant/cmd/sextant").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// process is a collector that is killed and started again.
type process struct {
	t      *testing.T
	binary string
	args   []string
	log    string // file that all of its lives write to

	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of the exit
}

func (p *process) start() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	p.cmd = exec.Command(p.binary, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd, exited := p.cmd, make(chan struct{})
	p.exited = exited
	go func() {
		defer close(exited)
		p.err = cmd.Wait()
	}()
}

// kill ends it at once, as the kernel does when memory runs out.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.exited
	p.cmd = nil
}

// stop ends it as a service manager does.
func (p *process) stop(patience time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
		p.cmd = nil
		return p.err
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("the collector did not end within %s", patience)
	}
}

// ended returns why it ended by itself, or nil while it runs or is not meant to.
func (p *process) ended() error {
	if p.cmd == nil {
		return nil
	}
	select {
	case <-p.exited:
		p.cmd = nil
		return fmt.Errorf("the collector ended by itself: %w", p.err)
	default:
		return nil
	}
}
