// Package browser_test opens the page of a running demo in a real Chromium, as a reader does. It is a module of its own, as
// the product has no need of what drives a browser.
package browser_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that happens at all: with a machine that is busy with other tests, too.
const patience = 60 * time.Second

// page is where the demo of these tests serves its page: a port on both loopback addresses.
var page struct{ port string }

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sextant-browser-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	stop, err := startDemo(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintln(os.Stderr, "the demo ended badly:", err)
		return 1
	}
	return code
}

// startDemo builds the command and starts its demo on ports of the kernel's choice.
func startDemo(dir string) (stop func() error, err error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "sextant"), "./cmd/sextant")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build sextant: %w\n%s", err, out)
	}
	cmd := exec.Command(filepath.Join(dir, "sextant"), "demo", "--data-dir", filepath.Join(dir, "data"), "--listen", "localhost:0", "--ui-listen", "localhost:0", "--log-level", "warn")
	cmd.Dir = root // where the engine is looked for
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	found := make(chan string, 2)
	go func() {
		defer close(found)
		address := regexp.MustCompile(`(?:dashboards|metrics) +http://localhost:([0-9]+)/`)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if m := address.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
			}
		}
	}()
	stop = func() error {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			return errors.Join(err, cmd.Wait())
		}
		hung := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer hung.Stop()
		return cmd.Wait()
	}
	late := time.After(patience)
	var ports []string
	for len(ports) < 2 {
		select {
		case port, ok := <-found:
			if !ok {
				return nil, errors.Join(errors.New("the demo ended before it said where its page and its metrics are"), stop())
			}
			ports = append(ports, port)
		case <-late:
			return nil, errors.Join(errors.New("the demo did not say where its page and its metrics are"), stop())
		}
	}
	page.port = ports[0]
	for stored("http://localhost:"+ports[1]+"/metrics") < recorded {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-late:
			return nil, errors.Join(errors.New("the demo did not store what was recorded"), stop())
		}
	}
	return stop, nil
}

// recorded is how many rows one round of the recording leaves in the store: its flows, and more.
const recorded = 19_988

var storedRows = regexp.MustCompile(`(?m)^sextant_sink_rows_total\{sink="clickhouse"\} (\S+)$`)

// stored is how many rows the store has taken.
func stored(metrics string) float64 {
	answer, err := http.Get(metrics)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0
	}
	m := storedRows.FindSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseFloat(string(m[1]), 64)
	return n
}

// chromium is the browser to use.
func chromium() string {
	for name := range strings.FieldsSeq("chromium chromium-browser google-chrome") {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
