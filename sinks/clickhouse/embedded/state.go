package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// State is what a client needs to know of a running engine. It stands in
// engine.json of the data directory.
type State struct {
	Native       string    `json:"native"` // address of the native protocol
	HTTP         string    `json:"http"`   // address of the HTTP interface
	User         string    `json:"user"`
	PasswordFile string    `json:"password_file"` // holds the password alone
	Version      string    `json:"version"`       // of ClickHouse
	PID          int       `json:"pid"`
	Started      time.Time `json:"started"`
}

const stateFile = "engine.json"

// ErrNotRunning says that no engine runs in a data directory.
var ErrNotRunning = errors.New("no engine is running")

// Running returns the engine that runs in the data directory dir, started by
// this or another process, after it has answered. The error wraps [ErrNotRunning]
// when there is none.
func Running(dir string) (State, error) {
	raw, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, os.ErrNotExist) {
		return State{}, fmt.Errorf("%w in %s", ErrNotRunning, dir)
	}
	if err != nil {
		return State{}, fmt.Errorf("find engine: %w", err)
	}
	var s State
	if err := json.Unmarshal(raw, &s); err != nil {
		return State{}, fmt.Errorf("read %s: %w", filepath.Join(dir, stateFile), err)
	}
	if !held(filepath.Join(dir, lockFile)) { // the file was left by a crash
		return State{}, fmt.Errorf("%w in %s", ErrNotRunning, dir)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := s.Query(ctx, "SELECT 1"); err != nil {
		return State{}, fmt.Errorf("%w in %s: %w", ErrNotRunning, dir, err)
	}
	return s, nil
}

const (
	answerSize  = 1 << 20 // bytes of an answer that Query keeps
	messageSize = 500     // bytes of an error message
)

// Query sends one statement over HTTP and returns the answer, at most 1 MiB of
// it, tab-separated, without the last newline. It is for set-up and checks; data
// goes through a driver.
func (s State) Query(ctx context.Context, statement string) (string, error) {
	password, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("query engine: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.HTTP+"/", strings.NewReader(statement))
	if err != nil {
		return "", fmt.Errorf("query engine: %w", err)
	}
	req.Header.Set("X-ClickHouse-User", s.User)
	req.Header.Set("X-ClickHouse-Key", strings.TrimSpace(string(password)))
	// Neither a proxy nor a connection that outlives the call.
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", fmt.Errorf("query engine at %s: %w", s.HTTP, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerSize))
	if err != nil {
		return "", fmt.Errorf("query engine at %s: %w", s.HTTP, err)
	}
	answer := strings.TrimSuffix(string(body), "\n")
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("query engine at %s: %s: %.*s", s.HTTP, resp.Status, messageSize, answer)
	}
	return answer, nil
}

// write replaces the state file in one step.
func (s State) write(dir string) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write engine state: %w", err)
	}
	return replace(filepath.Join(dir, stateFile), append(raw, '\n'))
}

// replace writes a file that only the owner can read and that is never seen
// half-written.
func replace(path string, content []byte) error {
	temp := path + ".new"
	if err := os.WriteFile(temp, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// oldestMajor is the oldest ClickHouse that the schema is written for; the one
// in some distributions is of 2018.
const oldestMajor = 24

func tooOld(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n < oldestMajor
}
